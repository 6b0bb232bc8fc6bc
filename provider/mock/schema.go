package mock

import (
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A schema comes from a client: it may be recursive, or ask for a billion
// items. Beyond these limits everything is null.
const (
	maxSampleDepth = 32
	maxSampleBytes = 64 << 10
	settleDepth    = 8 // from here on, alternatives that end the recursion are taken
)

// sample returns a small JSON document that fits schema: the required
// properties only, in the order in which they are required, with a space after
// each comma and colon so that it has words to be streamed by. It knows type,
// enum, const, default, properties, required, items, minItems, prefixItems,
// anyOf, oneOf, allOf, $ref, format, the bounds of numbers and the lengths of strings.
// It does not know pattern.
func sample(schema json.RawMessage, r *random) string {
	s := sampler{random: r}
	if json.Unmarshal(schema, &s.root) != nil || s.root == nil {
		return "{}"
	}
	s.value(s.root, 0)
	return string(s.out)
}

type sampler struct {
	root   map[string]any
	random *random
	out    []byte
}

func (s *sampler) value(schema map[string]any, depth int) {
	if depth > maxSampleDepth || len(s.out) > maxSampleBytes {
		s.out = append(s.out, "null"...)
		return
	}
	schema = s.resolve(schema, depth)
	if given, ok := fixed(schema); ok {
		s.out = append(s.out, marshal(given)...)
		return
	}
	switch kind := typeOf(schema); {
	case kind == "object", kind == "" && depth == 0:
		s.object(schema, depth)
	case kind == "array":
		s.array(schema, depth)
	case kind == "integer":
		s.out = strconv.AppendFloat(s.out, math.Ceil(number(schema)), 'f', -1, 64)
	case kind == "number":
		s.out = strconv.AppendFloat(s.out, number(schema), 'f', -1, 64)
	case kind == "boolean":
		s.out = append(s.out, "true"...)
	case kind == "null":
		s.out = append(s.out, "null"...)
	default:
		s.out = appendQuoted(s.out, s.text(schema))
	}
}

// fixed returns the value that schema names itself.
func fixed(schema map[string]any) (any, bool) {
	if v, ok := schema["const"]; ok {
		return v, true
	}
	if list, _ := schema["enum"].([]any); len(list) > 0 {
		return list[0], true
	}
	v, ok := schema["default"]
	return v, ok
}

// resolve follows references, takes an alternative, and merges allOf, until
// schema says for itself what it is.
func (s *sampler) resolve(schema map[string]any, depth int) map[string]any {
	for range maxSampleDepth {
		if path, ok := schema["$ref"].(string); ok {
			schema = s.lookup(path)
			continue
		}
		options := append(schemas(schema["anyOf"]), schemas(schema["oneOf"])...)
		if len(options) > 0 {
			schema = choose(options, depth)
			continue
		}
		if parts := schemas(schema["allOf"]); len(parts) > 0 {
			schema = s.merge(schema, parts)
			continue
		}
		return schema
	}
	return nil
}

// lookup follows a reference within the document, such as #/$defs/city.
func (s *sampler) lookup(path string) map[string]any {
	at := s.root
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "#"), "/") {
		if name != "" {
			name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
			at, _ = at[name].(map[string]any)
		}
	}
	return at
}

// choose takes the first alternative, or the simplest one deep down.
func choose(options []map[string]any, depth int) map[string]any {
	if depth >= settleDepth {
		for _, option := range options {
			_, refers := option["$ref"]
			if t := typeOf(option); !refers && t != "object" && t != "array" {
				return option
			}
		}
	}
	return options[0]
}

// merge puts the parts of allOf, and what stands beside it, into one schema.
func (s *sampler) merge(schema map[string]any, parts []map[string]any) map[string]any {
	schema = maps.Clone(schema)
	delete(schema, "allOf")
	merged := make(map[string]any)
	properties := make(map[string]any)
	var required []any
	for _, part := range append(parts, schema) {
		if path, ok := part["$ref"].(string); ok {
			part = s.lookup(path)
		}
		maps.Copy(merged, part)
		maps.Copy(properties, object(part["properties"]))
		more, _ := part["required"].([]any)
		required = append(required, more...)
	}
	if len(properties) > 0 {
		merged["properties"], merged["required"] = properties, required
	}
	return merged
}

func (s *sampler) object(schema map[string]any, depth int) {
	properties := object(schema["properties"])
	required, _ := schema["required"].([]any)
	done := make(map[string]bool, len(required))
	s.out = append(s.out, '{')
	for _, r := range required {
		name, ok := r.(string)
		if !ok || done[name] {
			continue
		}
		if len(done) > 0 {
			s.out = append(s.out, ", "...)
		}
		done[name] = true
		s.out = append(appendQuoted(s.out, name), ": "...)
		s.value(object(properties[name]), depth+1)
	}
	s.out = append(s.out, '}')
}

func (s *sampler) array(schema map[string]any, depth int) {
	prefix := schemas(schema["prefixItems"])
	length := max(len(prefix), int(clamp(bound(schema, "minItems", 1), 0, maxSampleBytes)))
	s.out = append(s.out, '[')
	for i := 0; i < length && len(s.out) <= maxSampleBytes; i++ {
		if i > 0 {
			s.out = append(s.out, ", "...)
		}
		if i < len(prefix) {
			s.value(prefix[i], depth+1)
		} else {
			s.value(object(schema["items"]), depth+1)
		}
	}
	s.out = append(s.out, ']')
}

// samples are strings of the formats that have a form of their own.
var samples = map[string]string{
	"date-time": "2026-01-02T15:04:05Z",
	"date":      "2026-01-02",
	"time":      "15:04:05Z",
	"duration":  "PT15M",
	"email":     "mock@example.com",
	"hostname":  "mock.example.com",
	"uri":       "https://mock.example.com/",
	"ipv4":      "192.0.2.1",
	"ipv6":      "2001:db8::1",
	"uuid":      "00000000-0000-4000-8000-000000000000",
}

func (s *sampler) text(schema map[string]any) string {
	name, _ := schema["format"].(string)
	if text, ok := samples[name]; ok {
		return text
	}
	text := vocabulary[s.random.below(len(vocabulary))]
	shortest := int(clamp(bound(schema, "minLength", 0), 0, maxSampleBytes))
	for utf8.RuneCountInString(text) < shortest {
		text += " " + vocabulary[s.random.below(len(vocabulary))]
	}
	longest := int(clamp(bound(schema, "maxLength", maxSampleBytes), 0, maxSampleBytes))
	return text[:min(len(text), longest)] // the vocabulary is ASCII
}

// number returns 1, or a number within the bounds where 1 is not. The middle of
// two bounds is right whether or not they are exclusive.
func number(schema map[string]any) float64 {
	low := max(bound(schema, "minimum", math.Inf(-1)), bound(schema, "exclusiveMinimum", math.Inf(-1)))
	high := min(bound(schema, "maximum", math.Inf(1)), bound(schema, "exclusiveMaximum", math.Inf(1)))
	x := 1.0
	switch {
	case low < x && x < high:
	case math.IsInf(high, 1):
		x = low + 1
	case math.IsInf(low, -1):
		x = high - 1
	default:
		x = low/2 + high/2
	}
	step := bound(schema, "multipleOf", 0)
	if whole := math.Ceil(x/step) * step; step > 0 && !math.IsInf(whole, 0) {
		if whole > high {
			whole -= step
		}
		return whole
	}
	return x
}

func clamp(x, low, high float64) float64 { return max(low, min(x, high)) }

func bound(schema map[string]any, name string, missing float64) float64 {
	if x, ok := schema[name].(float64); ok {
		return x
	}
	return missing
}

// typeOf is the first type of schema, or what its keywords are about. It is ""
// when anything is allowed.
func typeOf(schema map[string]any) string {
	switch t := schema["type"].(type) {
	case string:
		return t
	case []any:
		if len(t) > 0 {
			name, _ := t[0].(string)
			return name
		}
	}
	switch {
	case schema["properties"] != nil || schema["required"] != nil:
		return "object"
	case schema["items"] != nil || schema["prefixItems"] != nil:
		return "array"
	}
	return ""
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func schemas(v any) (list []map[string]any) {
	all, _ := v.([]any)
	for _, one := range all {
		if m := object(one); m != nil {
			list = append(list, m)
		}
	}
	return list
}
