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
	w := writer{b: make([]byte, 0, len(schema)+64)}
	if writeClaudeSchema(&w, schema, 0) != nil {
		return schema
	}
	return w.b
}

func writeClaudeSchema(w *writer, schema []byte, depth int) error {
	if len(schema) == 0 || schema[0] != '{' || depth > maxSchemaDepth {
		w.raw(schema)
		return nil
	}
	is := readSchemaKind(schema)
	notes, err := is.notes(schema)
	if err != nil {
		return err
	}
	closed := false
	w.open('{')
	err = eachMember(schema, "schema", func(name string, value []byte) error {
		switch {
		case is.isNote(name, value):
			return nil
		case name == "description" && notes != nil && value[0] == '"':
			w.member(name, string(unquoted(value))+"\n\n{"+string(notes)+"}")
			notes = nil
			return nil
		case name == "oneOf":
			name = "anyOf"
		case name == "additionalProperties":
			closed = true
		}
		w.key(name)
		return writeSubschemas(w, name, value, depth)
	})
	if is.object && !closed {
		w.key("additionalProperties")
		w.literal("false")
	}
	if notes != nil {
		w.member("description", "{"+string(notes)+"}")
	}
	w.close('}')
	return err
}

// schemaKind is what of a schema matters to its other members.
type schemaKind struct {
	object bool // it is of an object, or may be
	anyOf  bool // it has an anyOf, and oneOf cannot become another
}

func readSchemaKind(schema []byte) (is schemaKind) {
	_ = eachMember(schema, "schema", func(name string, value []byte) error {
		switch name {
		case "type":
			is.object = bytes.Contains(value, []byte(`"object"`)) // it may be one of several
		case "anyOf":
			is.anyOf = true
		}
		return nil
	})
	return is
}

// isNote reports whether the decoder refuses a member of a schema.
func (is schemaKind) isNote(name string, value []byte) bool {
	return slices.Contains(unconstrained, name) ||
		name == "format" && !slices.Contains(constrainedFormats, string(value)) ||
		name == "minItems" && string(value) != "0" && string(value) != "1" ||
		name == "additionalProperties" && string(value) != "false" || // objects have to be closed
		name == "oneOf" && is.anyOf
}

// notes returns what the description has to say, nil for nothing.
func (is schemaKind) notes(schema []byte) (notes []byte, err error) {
	err = eachMember(schema, "schema", func(name string, value []byte) error {
		if is.isNote(name, value) {
			if notes != nil {
				notes = append(notes, ", "...)
			}
			notes = append(append(append(notes, name...), ": "...), value...)
		}
		return nil
	})
	return notes, err
}

// writeSubschemas writes the value of a member of a schema, in which there may be others.
func writeSubschemas(w *writer, name string, value []byte, depth int) error {
	switch name {
	case "properties", "$defs", "definitions":
		if value[0] == '{' {
			w.open('{')
			err := eachMember(value, name, func(name string, value []byte) error {
				w.key(name)
				return writeClaudeSchema(w, value, depth+1)
			})
			w.close('}')
			return err
		}
	case "anyOf", "allOf", "prefixItems":
		if value[0] == '[' {
			w.open('[')
			err := eachElement(value, name, func(_ int, value []byte) error { return writeClaudeSchema(w, value, depth+1) })
			w.close(']')
			return err
		}
	case "items":
		return writeClaudeSchema(w, value, depth+1)
	}
	w.raw(value)
	return nil
}
