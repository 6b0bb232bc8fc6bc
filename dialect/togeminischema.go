package dialect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Definitions that refer to others grow with each reference. maxSchema bounds, in bytes, what the schemas of a request
// become, and maxScanned what is read for it, over and over where references are followed. Schemas
// that people write stay far below.
const (
	maxSchema  = 1 << 20
	maxScanned = 64 << 20
)

// writeSchema writes a member whose value is a JSON Schema as Gemini's Schema, the subset of OpenAPI's that older
// models know (ai.google.dev/api/caching#Schema). What it has no word for is left out and
// counts as an adjustment of the parameter at, where it restricts more than the words that remain. ordered has objects name the order of
// their properties, which is that of the answer.
func (g *geminiMaker) writeSchema(name string, schema []byte, at string, ordered bool) error {
	s := &schemaWriter{writer: &g.w, root: schema, at: at, ordered: ordered, limit: len(g.w.b) + maxSchema - g.schemas, scanned: &g.scanned}
	g.w.key(name)
	start := len(g.w.b)
	if err := s.value(schema); err != nil {
		return err
	}
	g.schemas += len(g.w.b) - start
	if s.lossy {
		g.adjust(at)
	}
	return nil
}

// isEmptySchema reports whether a schema is one of an object without properties.
func isEmptySchema(schema []byte) bool {
	empty := true
	_ = eachMember(schema, "", func(name string, value []byte) error {
		switch name {
		case "type", "additionalProperties", "$schema", "description", "title":
		case "properties", "required", "$defs", "definitions":
			empty = empty && (isNull(value) || len(value) > 1 && len(bytes.TrimSpace(value[1:len(value)-1])) == 0)
		default:
			empty = false
		}
		return nil
	})
	return empty
}

// schemaWriter writes a schema.
type schemaWriter struct {
	*writer
	root    []byte // the whole schema, to which references refer
	at      string
	ordered bool
	limit   int  // the length at which the schemas are too large
	scanned *int // bytes read for the request's schemas
	targets map[string][]byte
	refs    []string // being followed
	lossy   bool     // something has been left out that restricts
}

// jsonSchema is what is read of a schema, those that it refers to included.
type jsonSchema struct {
	types        []string
	nullable     bool
	enum         [][]byte
	alternatives [][]byte       // anyOf and oneOf
	properties   []Member       // of those without a value a later one has the name
	places       map[string]int // of properties, once there are many
	required     []string
	items        []byte
	prefix       [][]byte // prefixItems
	format       string
	kept         []Member // whose meaning is the same
}

// schemaCost is for how many bytes a schema counts beside its own, or one more look at a property or a value, and schemaItem is
// that for what is in a list.
const (
	schemaCost = 64
	schemaItem = 16
)

// reads accounts for n bytes that are read.
func (s *schemaWriter) reads(n int) error {
	if *s.scanned += n; *s.scanned > maxScanned || len(s.b) > s.limit {
		return Invalid(s.at, "invalid_value", "'"+s.at+"' is too large once its references are followed.")
	}
	return nil
}

func (s *schemaWriter) value(schema []byte) error {
	depth := len(s.refs)
	defer func() { s.refs = s.refs[:depth] }()
	var is jsonSchema
	if err := s.read(schema, &is); err != nil {
		return err
	}
	return s.write(&is)
}

// read adds a schema to what has been read.
func (s *schemaWriter) read(schema []byte, is *jsonSchema) error {
	if string(schema) == "true" || string(schema) == "false" {
		return nil
	}
	if err := s.reads(len(schema) + schemaCost); err != nil {
		return err
	}
	return eachMember(schema, s.at, func(name string, value []byte) error { return s.member(name, value, is) })
}

func (s *schemaWriter) member(name string, value []byte, is *jsonSchema) (err error) {
	switch name {
	case "$ref":
		return s.follow(value, is)
	case "allOf":
		return eachElement(value, s.at, func(_ int, schema []byte) error { return s.read(schema, is) })
	case "anyOf", "oneOf":
		if is.alternatives != nil {
			s.lossy = true // which of two sets: the later stands
		}
		is.alternatives = nil
		return eachElement(value, s.at, func(_ int, schema []byte) error {
			is.alternatives = append(is.alternatives, schema)
			return s.reads(schemaItem)
		})
	case "type":
		return s.types(value, is)
	case "enum":
		is.enum = nil
		return eachElement(value, s.at, func(_ int, v []byte) error {
			is.enum = append(is.enum, v)
			return s.reads(schemaItem)
		})
	case "const":
		is.enum = [][]byte{value}
	case "properties":
		return eachMember(value, s.at, func(name string, schema []byte) error {
			is.property(name, schema)
			return s.reads(schemaItem)
		})
	case "required":
		return eachElement(value, s.at, func(_ int, v []byte) error {
			is.required = append(is.required, string(unquoted(v)))
			return s.reads(schemaItem)
		})
	case "prefixItems":
		is.prefix = nil
		return eachElement(value, s.at, func(_ int, schema []byte) error {
			is.prefix = append(is.prefix, schema)
			return s.reads(schemaItem)
		})
	case "items":
		is.items = value
	default:
		return s.keyword(name, value, is)
	}
	return err
}

// keyword reads what is copied or left out.
func (s *schemaWriter) keyword(name string, value []byte, is *jsonSchema) (err error) {
	switch name {
	case "format":
		is.format, err = readText(value, s.at)
	case "nullable":
		is.nullable = is.nullable || string(value) == "true"
	case "title", "description", "default", "example",
		"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "minimum", "maximum":
		if !isNull(value) {
			is.kept = append(slices.DeleteFunc(is.kept, func(m Member) bool { return m.Name == name }), Member{name, value})
		}
	case "$schema", "$id", "$comment", "$defs", "$anchor", "definitions", "examples", "deprecated", "readOnly", "writeOnly",
		"strict", "propertyOrdering":
	case "additionalProperties", "unevaluatedProperties": // a model adds none of its own accord
		s.lossy = s.lossy || value[0] == '{' && len(is.properties) == 0
	default:
		s.lossy = true
	}
	return err
}

func (s *schemaWriter) types(value []byte, is *jsonSchema) error {
	add := func(word string) error {
		switch {
		case word == "null":
			is.nullable = true
		case slices.Contains(is.types, word):
		case len(is.types) == maxTypes:
			return Invalid(s.at, "invalid_value", "'"+s.at+"' has a schema of more types than there are.")
		default:
			is.types = append(is.types, word)
		}
		return nil
	}
	if value[0] != '[' {
		word, err := readText(value, s.at)
		if word != "" {
			is.types = nil
			_ = add(strings.ToLower(word)) // it is the first
		}
		return err
	}
	is.types = nil
	return eachElement(value, s.at, func(_ int, v []byte) error {
		return add(strings.ToLower(string(unquoted(v))))
	})
}

// maxTypes is how many types JSON Schema has, null aside.
const maxTypes = 6

// property adds a property. Of those with the same name the last counts, and has the last one's place.
func (is *jsonSchema) property(name string, schema []byte) {
	if len(is.properties) < searchedNames {
		is.properties = append(slices.DeleteFunc(is.properties, func(m Member) bool { return m.Name == name }), Member{name, schema})
		return
	}
	is.find()
	if i, ok := is.places[name]; ok {
		is.properties[i].Value = nil
	}
	is.places[name] = len(is.properties)
	is.properties = append(is.properties, Member{name, schema})
}

// find makes the map of the properties, if they are many.
func (is *jsonSchema) find() {
	if is.places != nil || len(is.properties) < searchedNames {
		return
	}
	is.places = make(map[string]int, len(is.properties))
	for i, p := range is.properties {
		if p.Value != nil {
			is.places[p.Name] = i
		}
	}
}

// has reports whether there is a property of a name.
func (is *jsonSchema) has(name string) bool {
	if is.find(); is.places != nil {
		_, ok := is.places[name]
		return ok
	}
	return slices.ContainsFunc(is.properties, func(m Member) bool { return m.Name == name })
}

// follow reads what a reference refers to.
func (s *schemaWriter) follow(value []byte, is *jsonSchema) error {
	ref := string(unquoted(value))
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return Invalid(s.at, "unsupported_parameter", "'"+s.at+"' refers to a schema elsewhere, which this model cannot follow.")
	}
	if err := s.reads(schemaItem * len(s.refs)); err != nil {
		return err
	}
	if slices.Contains(s.refs, ref) {
		return Invalid(s.at, "unsupported_parameter", "'"+s.at+"' has a schema that contains itself, which this model does not take.")
	}
	target, ok := s.targets[ref]
	if !ok {
		if err := s.reads(len(s.root)); err != nil {
			return err
		}
		var err error
		if target, err = s.find(pointer); err != nil {
			return err
		}
		if s.targets == nil {
			s.targets = make(map[string][]byte)
		}
		s.targets[ref] = target
	}
	if target == nil {
		return Invalid(s.at, "invalid_value", "'"+s.at+"' refers to a schema that is not there.")
	}
	s.refs = append(s.refs, ref)
	return s.read(target, is)
}

// find returns what a JSON pointer points to, nil if there is nothing.
func (s *schemaWriter) find(pointer string) ([]byte, error) {
	target := s.root
	if pointer == "" {
		return target, nil
	}
	steps := 0
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if steps++; steps > 2 { // which the root counts for: most references have so many
			if err := s.reads(len(target)); err != nil {
				return nil, err
			}
		}
		if target = stepInto(target, step); target == nil {
			return nil, nil
		}
	}
	return target, nil
}

// stepInto returns a member of an object or an element of an array, nil if there is none.
func stepInto(value []byte, step string) (found json.RawMessage) {
	switch {
	case len(value) > 0 && value[0] == '{':
		_ = eachMember(value, "", func(name string, v []byte) error {
			if name == step {
				found = v
			}
			return nil
		})
	case len(value) > 0 && value[0] == '[':
		n, err := strconv.Atoi(step)
		_ = eachElement(value, "", func(i int, v []byte) error {
			if err == nil && i == n {
				found = v
			}
			return nil
		})
	}
	return found
}
