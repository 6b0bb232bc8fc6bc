package mock

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestADocumentFitsItsSchema(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, schema, want string }{
		{"the required properties, in order", `{"type":"object","required":["b","a"],"properties":{"a":{"type":"integer"},"b":{"type":"boolean"},"c":{}}}`,
			`{"b": true, "a": 1}`},
		{"an object within an object", `{"properties":{"a":{"type":"object","required":["b"],"properties":{"b":{"type":"null"}}}},"required":["a"]}`,
			`{"a": {"b": null}}`},
		{"no schema", ``, `{}`},
		{"no type", `{}`, `{}`},
		{"a list", `{"type":"array","items":{"enum":["x","y"]},"minItems":2}`, `["x", "x"]`},
		{"a list of one unless told otherwise", `{"type":"array","items":{"const":7}}`, `[7]`},
		{"a list of none", `{"type":"array","minItems":0}`, `[]`},
		{"a tuple", `{"prefixItems":[{"const":1},{"const":null}]}`, `[1, null]`},
		{"a default", `{"type":"string","default":"d"}`, `"d"`},
		{"the first of several types", `{"type":["integer","null"]}`, `1`},
		{"the first alternative", `{"anyOf":[{"const":1},{"const":2}]}`, `1`},
		{"all of several", `{"allOf":[{"required":["a"],"properties":{"a":{"const":1}}},{"$ref":"#/$defs/x"}],"required":["c"],
			"properties":{"c":{"const":3}},"$defs":{"x":{"required":["b"],"properties":{"b":{"const":2}}}}}`,
			`{"a": 1, "b": 2, "c": 3}`},
		{"a reference", `{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"const":"x"}}}`, `"x"`},
		{"a format", `{"type":"string","format":"date"}`, `"2026-01-02"`},
		{"a number from", `{"type":"number","minimum":10}`, `11`},
		{"a number to", `{"type":"number","exclusiveMaximum":0}`, `-1`},
		{"a number between", `{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":0.5}`, `0.25`},
		{"a whole number between", `{"type":"integer","minimum":2,"maximum":3}`, `3`},
		{"a multiple", `{"type":"integer","minimum":10,"multipleOf":4}`, `12`},
		{"a multiple below a bound", `{"type":"integer","minimum":8,"maximum":11,"multipleOf":4}`, `8`},
		{"an absurd multiple", `{"type":"number","multipleOf":1e-320}`, `1`},
		{"a recursion that ends", `{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","required":["next"],
			"properties":{"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}}}}}`,
			strings.Repeat(`{"next": `, 8) + `null` + strings.Repeat(`}`, 8)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := sample(json.RawMessage(tt.schema), new(random)); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAStringKeepsToItsLengths(t *testing.T) {
	t.Parallel()
	for schema, ok := range map[string]func(n int) bool{
		`{"type":"string","minLength":30}`:                func(n int) bool { return n >= 30 },
		`{"type":"string","maxLength":2}`:                 func(n int) bool { return n <= 2 },
		`{"type":"string","minLength":20,"maxLength":20}`: func(n int) bool { return n == 20 },
	} {
		var got string
		if err := json.Unmarshal([]byte(sample(json.RawMessage(schema), new(random))), &got); err != nil {
			t.Fatal(err)
		}
		if !ok(len(got)) {
			t.Errorf("%s: %q", schema, got)
		}
	}
}

func TestASchemaWithoutEndMakesADocumentWithOne(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{"$ref":"#"}`,
		`{"allOf":[{"$ref":"#"},{"$ref":"#"}]}`,
		`{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}`,
		`{"type":"object","required":["a","b","c"],"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"}}}`,
		`{"type":"array","items":{"$ref":"#"},"minItems":1e300}`,
		`{"type":"string","minLength":1e300}`,
	} {
		if got := sample(json.RawMessage(schema), new(random)); !json.Valid([]byte(got)) || len(got) > 4*maxSampleBytes {
			t.Errorf("%s: %d bytes", schema, len(got))
		}
	}
}

func TestAJSONFormatIsAnsweredInJSON(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		`{"type":"json_object"}`: `{"reply":"This is a simulated answer from mock-small (Runestone's mock provider). You said: \"hi\"..."}`,
		`{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}}}`: `{"a":1}`,
	} {
		got := ask[chatCompletion](t, quick(), "chat/completions", askFor("hi", `,"response_format":`+format))
		same(t, []byte(*got.Choices[0].Message.Content), want)
		if got.Choices[0].FinishReason != "stop" {
			t.Errorf("finished by %s", got.Choices[0].FinishReason)
		}
	}
}

func FuzzSample(f *testing.F) {
	f.Add(`{"type":"object","required":["a"],"properties":{"a":{"anyOf":[{"type":"number","multipleOf":0.1},{"$ref":"#"}]}}}`)
	f.Add(`{"allOf":[{"$ref":"#/x"}],"enum":[]}`)
	f.Fuzz(func(t *testing.T, schema string) {
		if got := sample(json.RawMessage(schema), new(random)); !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", schema, got)
		}
	})
}
