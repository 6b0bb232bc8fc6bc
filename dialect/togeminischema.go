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
	alternatives [][]byte // anyOf and oneOf
	properties   []Member
	required     []string
	items        []byte
	prefix       [][]byte // prefixItems
	format       string
	kept         []Member // whose meaning is the same
}

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
	if err := s.reads(len(schema)); err != nil {
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
			return nil
		})
	case "type":
		return s.types(value, is)
	case "enum":
		is.enum = nil
		return eachElement(value, s.at, func(_ int, v []byte) error {
			is.enum = append(is.enum, v)
			return nil
		})
	case "const":
		is.enum = [][]byte{value}
	case "properties":
		return eachMember(value, s.at, func(name string, schema []byte) error {
			is.properties = append(slices.DeleteFunc(is.properties, func(m Member) bool { return m.Name == name }), Member{name, schema})
			return nil
		})
	case "required":
		return eachElement(value, s.at, func(_ int, v []byte) error {
			is.required = append(is.required, string(unquoted(v)))
			return nil
		})
	case "prefixItems":
		is.prefix = nil
		return eachElement(value, s.at, func(_ int, schema []byte) error {
			is.prefix = append(is.prefix, schema)
			return nil
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
	add := func(word string) {
		switch {
		case word == "null":
			is.nullable = true
		case !slices.Contains(is.types, word):
			is.types = append(is.types, word)
		}
	}
	if value[0] != '[' {
		word, err := readText(value, s.at)
		if word != "" {
			is.types = nil
			add(strings.ToLower(word))
		}
		return err
	}
	is.types = nil
	return eachElement(value, s.at, func(_ int, v []byte) error {
		add(strings.ToLower(string(unquoted(v))))
		return nil
	})
}

// follow reads what a reference refers to.
func (s *schemaWriter) follow(value []byte, is *jsonSchema) error {
	ref := string(unquoted(value))
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return Invalid(s.at, "unsupported_parameter", "'"+s.at+"' refers to a schema elsewhere, which this model cannot follow.")
	}
	if slices.Contains(s.refs, ref) {
		return Invalid(s.at, "unsupported_parameter", "'"+s.at+"' has a schema that contains itself, which this model does not take.")
	}
	target, ok := s.targets[ref]
	if !ok {
		if err := s.reads(len(s.root)); err != nil {
			return err
		}
		target = s.find(pointer)
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
func (s *schemaWriter) find(pointer string) []byte {
	target := s.root
	if pointer == "" {
		return target
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if target = stepInto(target, step); target == nil {
			return nil
		}
	}
	return target
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
