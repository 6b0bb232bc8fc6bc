package dialect

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClaudeSchema(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ schema, want string }{
		"what is known stays as it is": {
			`{"type":"object","properties":{"b":{"description":"x","type":"string","format":"date","enum":["x",null]},"a":{"$ref":"#/$defs/x"}},"required":["b"],"additionalProperties":false,"$defs":{"x":{"const":1.50}}}`,
			`{"type":"object","properties":{"b":{"description":"x","type":"string","format":"date","enum":["x",null]},"a":{"$ref":"#/$defs/x"}},"required":["b"],"additionalProperties":false,"$defs":{"x":{"const":1.50}}}`,
		},
		"limits go to the description": {
			`{"type":"integer","minimum":0,"maximum":1e2}`,
			`{"type":"integer","description":"{minimum: 0, maximum: 1e2}"}`,
		},
		"after what it says": {
			`{"description":"An \"age\"","type":"integer","minimum":0}`,
			`{"description":"An \"age\"\n\n{minimum: 0}","type":"integer"}`,
		},
		"a format that is not known":  {`{"type":"string","format":"color"}`, `{"type":"string","description":"{format: \"color\"}"}`},
		"lists of one or more remain": {`{"type":"array","minItems":1,"items":{"maxLength":3}}`, `{"type":"array","minItems":1,"items":{"description":"{maxLength: 3}"}}`},
		"lists of two or more do not": {`{"minItems":2}`, `{"description":"{minItems: 2}"}`},
		"objects are closed":          {`{"type":"object","properties":{}}`, `{"type":"object","properties":{},"additionalProperties":false}`},
		"also those that say that they are open": {
			`{"type":"object","properties":{},"additionalProperties":true}`,
			`{"type":"object","properties":{},"additionalProperties":false,"description":"{additionalProperties: true}"}`,
		},
		"and those whose further members have a schema": {
			`{"type":"object","additionalProperties":{"type":"string","minLength":1}}`,
			`{"type":"object","additionalProperties":false,"description":"{additionalProperties: {\"type\":\"string\",\"minLength\":1}}"}`,
		},
		"one with rules for its members": {
			`{"type":"object","properties":{"if":{"contains":{"type":"string"},"minContains":1}},"patternProperties":{"^a":true},"propertyNames":{"pattern":"x"},"dependentRequired":{"a":["b"]},"if":{"minimum":1},"then":false}`,
			`{"type":"object","properties":{"if":{"description":"{contains: {\"type\":\"string\"}, minContains: 1}"}},"additionalProperties":false,` +
				`"description":"{patternProperties: {\"^a\":true}, propertyNames: {\"pattern\":\"x\"}, dependentRequired: {\"a\":[\"b\"]}, if: {\"minimum\":1}, then: false}"}`,
		},
		"one of is not any of twice": {
			`{"oneOf":[{"type":"null"}],"description":"D","anyOf":[{"type":"string"}]}`, `{"anyOf":[{"type":"null"}],"description":"D\n\n{anyOf: [{\"type\":\"string\"}]}"}`,
		},
		"also those that may be null": {`{"type":["object","null"],"properties":{}}`, `{"type":["object","null"],"properties":{},"additionalProperties":false}`},
		"one of is any of":            {`{"oneOf":[{"type":"null"},{"pattern":"a"}]}`, `{"anyOf":[{"type":"null"},{"description":"{pattern: \"a\"}"}]}`},
		"a property named like a word": {
			`{"properties":{"minimum":{"type":"string"},"description":{"type":"string"}}}`,
			`{"properties":{"minimum":{"type":"string"},"description":{"type":"string"}}}`,
		},
		"true is a schema": {`{"items":true}`, `{"items":true}`},
		"what is none":     {`[1]`, `[1]`},
	} {
		if got := string(claudeSchema([]byte(test.schema))); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
	}
}

func TestClaudeSchemaIsBounded(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"items":`, 5000) + `{"minimum":1}` + strings.Repeat("}", 5000)
	if got := claudeSchema([]byte(deep)); !json.Valid(got) {
		t.Errorf("it became %.100s", got)
	}
}

func FuzzClaudeSchema(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"oneOf":[{"minimum":1}],"description":"x"}},"not":{}}`)
	f.Add(`{"items":{"minItems":2},"properties":[],"anyOf":{}}`)
	f.Fuzz(func(t *testing.T, schema string) {
		if !json.Valid([]byte(schema)) || !utf8.ValidString(schema) {
			t.Skip()
		}
		got := claudeSchema(compact([]byte(schema)))
		if !json.Valid(got) {
			t.Errorf("%s became %s", schema, got)
		}
		if again := claudeSchema(got); string(again) != string(got) {
			t.Errorf("%s became %s, and that %s", schema, got, again)
		}
	})
}
