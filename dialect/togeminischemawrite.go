package dialect

import (
	"slices"
	"strings"
)

// anything is the schema of what may be anything, for which Gemini's has no word.
const anything = `{"anyOf":[{"type":"STRING"},{"type":"NUMBER"},{"type":"BOOLEAN"}]}`

func (s *schemaWriter) write(is *jsonSchema) error {
	if err := s.withoutNull(is); err != nil {
		return err
	}
	s.infer(is)
	switch {
	case len(is.alternatives) > 0:
		return s.anyOf(is)
	case len(is.types) > 1:
		s.open('{')
		s.key("anyOf")
		s.open('[')
		for _, kind := range is.types {
			if err := s.reads(schemaCost * len(is.enum)); err != nil {
				return err
			}
			if err := s.object(is, kind); err != nil {
				return err
			}
		}
		s.close(']')
		s.close('}')
		return nil
	case len(is.types) == 0 && is.nullable:
		s.lossy = true
		s.literal(`{"type":"STRING","nullable":true}`)
		return nil
	case len(is.types) == 0:
		s.lossy = true
		s.literal(anything)
		return nil
	}
	return s.object(is, is.types[0])
}

// withoutNull turns alternatives and values that are null into nullable.
func (s *schemaWriter) withoutNull(is *jsonSchema) error {
	if err := s.reads(schemaCost * len(is.enum)); err != nil {
		return err
	}
	is.enum = slices.DeleteFunc(is.enum, func(v []byte) bool {
		if string(v) == "null" {
			is.nullable = true
			return true
		}
		return false
	})
	is.alternatives = slices.DeleteFunc(is.alternatives, func(schema []byte) bool {
		null := false
		if schema[0] == '{' {
			_ = eachMember(schema, "", func(name string, value []byte) error {
				null = null || name == "type" && string(value) == `"null"` || name == "const" && string(value) == "null"
				return nil
			})
		}
		is.nullable = is.nullable || null
		return null
	})
	if len(is.alternatives) != 1 { // of one there is no choice
		return nil
	}
	only := is.alternatives[0]
	is.alternatives = nil
	nullable := is.nullable
	if err := s.read(only, is); err != nil {
		return err
	}
	is.nullable = is.nullable || nullable
	if len(is.alternatives) > 0 {
		return s.withoutNull(is)
	}
	return nil
}

// infer tells the type from other words, where there is none.
func (s *schemaWriter) infer(is *jsonSchema) {
	if len(is.types) > 0 || len(is.alternatives) > 0 {
		return
	}
	switch {
	case len(is.properties) > 0:
		is.types = []string{"object"}
	case is.items != nil || is.prefix != nil:
		is.types = []string{"array"}
	}
	for _, v := range is.enum {
		kind := "number"
		switch v[0] {
		case '"':
			kind = "string"
		case 't', 'f':
			kind = "boolean"
		case '{':
			kind = "object"
		case '[':
			kind = "array"
		}
		if !slices.Contains(is.types, kind) {
			is.types = append(is.types, kind)
		}
	}
}

// anyOf writes alternatives. Gemini takes no other word beside them, so that each gets what all have in common.
func (s *schemaWriter) anyOf(is *jsonSchema) error {
	common := *is
	common.alternatives = nil
	s.open('{')
	s.key("anyOf")
	s.open('[')
	for _, schema := range is.alternatives {
		if err := s.reads(schemaCost * (len(common.properties) + len(common.required))); err != nil {
			return err
		}
		depth := len(s.refs)
		one := common
		one.properties, one.required, one.places = slices.Clone(common.properties), slices.Clone(common.required), nil
		one.kept, one.types = slices.Clone(common.kept), slices.Clone(common.types)
		if err := s.read(schema, &one); err != nil {
			return err
		}
		if err := s.write(&one); err != nil {
			return err
		}
		s.refs = s.refs[:depth]
	}
	s.close(']')
	s.close('}')
	return nil
}

// schemaWords are the words that go with types, besides those that go with any.
var schemaWords = map[string]string{
	"minItems": "array", "maxItems": "array", "minProperties": "object", "maxProperties": "object",
	"minLength": "string", "maxLength": "string", "pattern": "string", "minimum": "number", "maximum": "number",
}

// formats are those that Gemini knows, of others it refuses the whole schema.
var formats = map[string]string{
	"date-time": "string", "enum": "string", "float": "number", "double": "number", "int32": "number", "int64": "number",
}

// object writes a schema of one type.
func (s *schemaWriter) object(is *jsonSchema, kind string) error {
	group := kind
	if kind == "integer" {
		group = "number"
	}
	s.open('{')
	s.writer.member("type", strings.ToUpper(kind))
	if is.format != "" {
		if formats[is.format] == group {
			s.writer.member("format", is.format)
		} else {
			s.lossy = true
		}
	}
	for _, word := range is.kept {
		if of := schemaWords[word.Name]; of == "" || of == group {
			s.key(word.Name)
			s.raw(word.Value)
		}
	}
	if is.nullable {
		s.key("nullable")
		s.literal("true")
	}
	s.enum(is, kind)
	var err error
	switch kind {
	case "object":
		err = s.properties(is)
	case "array":
		err = s.itemsOf(is)
	}
	s.close('}')
	return err
}

// enum writes the values of a string. Gemini knows those of no other type.
func (s *schemaWriter) enum(is *jsonSchema, kind string) {
	if len(is.enum) == 0 {
		return
	}
	known := slices.DeleteFunc(slices.Clone(is.enum), func(v []byte) bool { return !hasText(v) })
	if kind != "string" || len(known) == 0 {
		s.lossy = true
		return
	}
	s.lossy = s.lossy || len(known) < len(is.enum) && len(is.types) == 1
	s.key("enum")
	s.open('[')
	for _, v := range known {
		s.raw(v)
	}
	s.close(']')
}

func (s *schemaWriter) properties(is *jsonSchema) error {
	if len(is.properties) == 0 {
		return nil
	}
	s.key("properties")
	s.open('{')
	for _, p := range is.properties {
		if p.Value == nil {
			continue
		}
		s.key(p.Name)
		if err := s.value(p.Value); err != nil {
			return err
		}
	}
	s.close('}')
	if required := slices.DeleteFunc(slices.Clone(is.required), func(name string) bool { return !is.has(name) }); len(required) > 0 {
		s.key("required")
		s.open('[')
		for _, name := range required {
			s.text(name)
		}
		s.close(']')
	}
	if s.ordered {
		s.key("propertyOrdering")
		s.open('[')
		for _, p := range is.properties {
			if p.Value != nil {
				s.text(p.Name)
			}
		}
		s.close(']')
	}
	return nil
}

// itemsOf writes the elements of an array, which Gemini wants to know.
func (s *schemaWriter) itemsOf(is *jsonSchema) error {
	s.key("items")
	switch {
	case len(is.prefix) > 0:
		s.lossy = true // which of them stands where
		all := jsonSchema{alternatives: slices.Clone(is.prefix)}
		return s.write(&all)
	case is.items == nil || is.items[0] == '[':
		s.lossy = true
		s.literal(anything)
		return nil
	}
	return s.value(is.items)
}
