package dialect

import (
	"bytes"
	"slices"
)

// What Anthropic's constrained decoder knows of JSON Schema is not all of it (platform.claude.com, Structured outputs: JSON Schema
// limitations). What it would refuse is told in the description instead, as Anthropic's own SDKs do, since the model can heed it there.
var (
	unconstrained = []string{
		"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
		"maxItems", "uniqueItems", "minProperties", "maxProperties", "not",
		"patternProperties", "propertyNames", "unevaluatedProperties", "dependentRequired", "dependentSchemas", "dependencies",
		"contains", "minContains", "maxContains", "unevaluatedItems", "additionalItems", "if", "then", "else",
	}
	constrainedFormats = []string{
		`"date-time"`, `"time"`, `"date"`, `"duration"`, `"email"`, `"hostname"`, `"uri"`, `"ipv4"`, `"ipv6"`, `"uuid"`,
	}
)

// maxSchemaDepth is how deep schemas are looked into; what is deeper stays as it is.
const maxSchemaDepth = 100

// claudeSchema returns a schema as Anthropic takes it for what must be followed, in the same order and the same
// bytes save what has to change.
func claudeSchema(schema []byte) []byte {
	c := claudeSchemaWriter{scanner: scanner{data: schema, trusted: true}, w: writer{b: make([]byte, 0, len(schema)+64)}}
	if c.schema(0) != nil {
		return schema
	}
	return c.w.b
}

// claudeSchemaWriter writes a schema while it reads it, so that it is read once, however deep it is.
type claudeSchemaWriter struct {
	scanner
	w writer
}

// claudeSchemaObject is a schema that is being written.
type claudeSchemaObject struct {
	object, closed bool
	anyOf          bool   // it has one, or an oneOf that has become one: there cannot be two
	notes          []byte // what the description has to say, nil for nothing
	description    []byte
	at             int // where that begins in what is written
}

func (c *claudeSchemaWriter) schema(depth int) error {
	if c.peek() != '{' || depth > maxSchemaDepth {
		return c.raw()
	}
	var is claudeSchemaObject
	w := &c.w
	w.open('{')
	err := c.eachMember("schema", func(name string) error { return c.member(name, &is, depth) })
	if is.object && !is.closed {
		w.key("additionalProperties")
		w.literal("false")
	}
	if is.notes != nil {
		notes := "{" + string(is.notes) + "}"
		if is.description == nil {
			w.member("description", notes)
		} else {
			w.b = slices.Replace(w.b, is.at, is.at+len(is.description), appendJSON(nil, string(unquoted(is.description))+"\n\n"+notes)...)
		}
	}
	w.close('}')
	return err
}

// raw copies a value.
func (c *claudeSchemaWriter) raw() error {
	value, err := c.take()
	c.w.raw(value)
	return err
}

// member writes a member of a schema, in which there may be others.
func (c *claudeSchemaWriter) member(name string, is *claudeSchemaObject, depth int) error {
	switch next := c.peek(); {
	case next == '{' && (name == "properties" || name == "$defs" || name == "definitions"):
		c.w.key(name)
		c.w.open('{')
		err := c.eachMember(name, func(name string) error {
			c.w.key(name)
			return c.schema(depth + 1)
		})
		c.w.close('}')
		return err
	case next == '[' && (name == "allOf" || name == "prefixItems" || constrainedName(name) == "anyOf" && !is.anyOf):
		is.anyOf = is.anyOf || constrainedName(name) == "anyOf"
		c.w.key(constrainedName(name))
		c.w.open('[')
		err := c.eachElement(name, func(int) error { return c.schema(depth + 1) })
		c.w.close(']')
		return err
	case name == "items":
		c.w.key(name)
		return c.schema(depth + 1)
	}
	value, err := c.take()
	if err != nil {
		return err
	}
	switch {
	case isSchemaNote(name, value), constrainedName(name) == "anyOf" && is.anyOf:
		if is.notes != nil {
			is.notes = append(is.notes, ", "...)
		}
		is.notes = append(append(append(is.notes, name...), ": "...), value...)
		return nil
	case name == "type":
		is.object = bytes.Contains(value, []byte(`"object"`)) // it may be one of several
	case name == "additionalProperties":
		is.closed = true
	}
	c.w.key(constrainedName(name))
	if name == "description" && is.description == nil && value[0] == '"' {
		is.description, is.at = value, len(c.w.b)
	}
	c.w.raw(value)
	return nil
}

// constrainedName returns what the decoder knows a member of a schema as.
func constrainedName(name string) string {
	if name == "oneOf" {
		return "anyOf"
	}
	return name
}

// isSchemaNote reports whether the decoder refuses a member of a schema.
func isSchemaNote(name string, value []byte) bool {
	return slices.Contains(unconstrained, name) ||
		name == "format" && !slices.Contains(constrainedFormats, string(value)) ||
		name == "minItems" && string(value) != "0" && string(value) != "1" ||
		name == "additionalProperties" && string(value) != "false" // objects have to be closed
}
