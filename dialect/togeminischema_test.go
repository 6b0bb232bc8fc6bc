package dialect

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const toolSchema = "tools[0].function.parameters"

// schemaRequest is a request with a tool that has a schema.
func schemaRequest(schema string) []byte {
	return []byte(`{"model":"m",` + hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}]}`)
}

func TestSchemasForOldModels(t *testing.T) {
	t.Parallel()
	const whatever = `{"anyOf":[{"type":"STRING"},{"type":"NUMBER"},{"type":"BOOLEAN"}]}`
	for _, test := range []struct {
		name, schema, want string // of the property a
		lossy              bool
	}{
		{"a type", `{"type":"string"}`, `{"type":"STRING"}`, false},
		{"a type of Google's", `{"type":"STRING"}`, `{"type":"STRING"}`, false},
		{"words that mean the same", `{"type":"integer","title":"t","description":"d","minimum":1,"maximum":1e2,"default":5}`, `{"type":"INTEGER","title":"t","description":"d","minimum":1,"maximum":1e2,"default":5}`, false},
		{"words of other types", `{"type":"integer","minLength":1}`, `{"type":"INTEGER"}`, false},
		{"words that are notes", `{"$schema":"x","$id":"y","$comment":"z","type":"string","examples":["a"],"deprecated":true}`, `{"type":"STRING"}`, false},
		{"words that restrict", `{"type":"integer","exclusiveMinimum":0,"multipleOf":5}`, `{"type":"INTEGER"}`, true},
		{"one of a union is null", `{"type":["integer","null"]}`, `{"type":"INTEGER","nullable":true}`, false},
		{"a union", `{"type":["integer","string"],"minimum":1,"minLength":2,"description":"d"}`, `{"anyOf":[{"type":"INTEGER","minimum":1,"description":"d"},{"type":"STRING","minLength":2,"description":"d"}]}`, false},
		{"a union with null", `{"type":["integer","string","null"]}`, `{"anyOf":[{"type":"INTEGER","nullable":true},{"type":"STRING","nullable":true}]}`, false},
		{"nothing but null", `{"type":"null"}`, `{"type":"STRING","nullable":true}`, true},
		{"alternatives of which one is null", `{"anyOf":[{"type":"string","maxLength":3},{"type":"null"}],"description":"d"}`, `{"type":"STRING","maxLength":3,"description":"d","nullable":true}`, false},
		{"alternatives", `{"description":"d","oneOf":[{"type":"string"},{"type":"object","properties":{"b":{"type":"boolean"}}},{"const":null}]}`, `{"anyOf":[{"type":"STRING","description":"d","nullable":true},{"type":"OBJECT","description":"d","nullable":true,"properties":{"b":{"type":"BOOLEAN"}}}]}`, false},
		{"alternatives in alternatives", `{"anyOf":[{"anyOf":[{"type":"string"},{"type":"null"}]}]}`, `{"type":"STRING","nullable":true}`, false},
		{"all of one", `{"allOf":[{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]},{"properties":{"c":{"type":"number"}}}]}`, `{"type":"OBJECT","properties":{"b":{"type":"STRING"},"c":{"type":"NUMBER"}},"required":["b"]}`, false},
		{"a constant", `{"const":"x"}`, `{"type":"STRING","enum":["x"]}`, false},
		{"values", `{"type":"string","enum":["x","y",null]}`, `{"type":"STRING","nullable":true,"enum":["x","y"]}`, false},
		{"an empty value", `{"type":"string","enum":["x",""]}`, `{"type":"STRING","enum":["x"]}`, true},
		{"values of numbers", `{"type":"integer","enum":[1,2]}`, `{"type":"INTEGER"}`, true},
		{"a constant that is a number", `{"const":7}`, `{"type":"NUMBER"}`, true},
		{"formats that are known", `{"type":"string","format":"date-time"}`, `{"type":"STRING","format":"date-time"}`, false},
		{"formats that are not", `{"type":"string","format":"uri"}`, `{"type":"STRING"}`, true},
		{"an array", `{"type":"array","items":{"type":"string"},"minItems":1}`, `{"type":"ARRAY","minItems":1,"items":{"type":"STRING"}}`, false},
		{"an array of anything", `{"type":"array"}`, `{"type":"ARRAY","items":` + whatever + `}`, true},
		{"a tuple", `{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]}`, `{"type":"ARRAY","items":{"anyOf":[{"type":"STRING"},{"type":"NUMBER"}]}}`, true},
		{"a tuple in the old way", `{"items":[{"type":"string"}]}`, `{"type":"ARRAY","items":` + whatever + `}`, true},
		{"anything", `{"description":"d"}`, whatever, true},
		{"anything in short", `true`, whatever, true},
		{"an object of anything", `{"type":"object"}`, `{"type":"OBJECT"}`, false},
		{"a map", `{"type":"object","additionalProperties":{"type":"string"}}`, `{"type":"OBJECT"}`, true},
		{"no type, but properties", `{"properties":{"b":{"type":"string"}},"required":["b","c"]}`, `{"type":"OBJECT","properties":{"b":{"type":"STRING"}},"required":["b"]}`, false},
		{"a definition", `{"$ref":"#/$defs/d","description":"mine"}`, `{"type":"OBJECT","description":"mine","properties":{"x":{"type":"STRING"}}}`, false},
		{"a definition twice", `{"type":"object","properties":{"b":{"$ref":"#/$defs/d"},"c":{"$ref":"#/$defs/d"}}}`, `{"type":"OBJECT","properties":{"b":{"type":"OBJECT","properties":{"x":{"type":"STRING"}},"description":"D"},"c":{"type":"OBJECT","properties":{"x":{"type":"STRING"}},"description":"D"}}}`, false},
		{"an odd name of a definition", `{"$ref":"#/$defs/a~1b~0/allOf/0"}`, `{"type":"BOOLEAN"}`, false},
		{"a type that is no word", `{"type":["string","string"]}`, `{"type":"STRING"}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := `{"type":"object","properties":{"a":` + test.schema + `},"$defs":{"d":{"type":"object","properties":{"x":{"type":"string"}},"description":"D"},"a/b~":{"allOf":[{"type":"boolean"}]}}}`
			got, err := Translate(Chat, Gemini, schemaRequest(root), &Target{Model: oldModel})
			if err != nil {
				t.Fatal(err)
			}
			// A schema is the same whatever the order of its words.
			want := sorted(t, `{`+saysHi+`,"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":`+test.want+`}}}]}]}`)
			if text := sorted(t, string(got.Body)); text != want {
				t.Errorf("got  %s\nwant %s", text, want)
			}
			if lossy := len(got.Adjusted) == 1 && got.Adjusted[0] == toolSchema; lossy != test.lossy {
				t.Errorf("adjusted %q", got.Adjusted)
			}
		})
	}
}

func TestToolsWithoutParametersHaveNoSchema(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{}`, `null`, `{"type":"object"}`, `{"type":"object","properties":{ },"required":[],"additionalProperties":false,"$schema":"x"}`, `{"properties":null}`,
	} {
		for _, model := range []string{oldModel, model3} {
			got, err := Translate(Chat, Gemini, schemaRequest(schema), &Target{Model: model})
			if err != nil || string(got.Body) != `{`+saysHi+`,"tools":[{"functionDeclarations":[{"name":"f"}]}]}` {
				t.Errorf("%s: got %s and %v", schema, got.Body, err)
			}
		}
	}
}

func TestSchemasThatOldModelsDoNotTake(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"one that contains itself":          `{"type":"object","properties":{"a":{"$ref":"#"}}}`,
		"definitions that contain another":  `{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"properties":{"b":{"$ref":"#/$defs/b"}}},"b":{"items":{"$ref":"#/$defs/a"}}}}`,
		"an alternative that is the whole":  `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#/$defs/a"}}]}}}`,
		"one of itself":                     `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}`,
		"a definition that is not there":    `{"properties":{"a":{"$ref":"#/$defs/a"}}}`,
		"a definition in nothing":           `{"properties":{"a":{"$ref":"#/properties/b/c/0"},"b":{"c":5}}}`,
		"a definition elsewhere":            `{"properties":{"a":{"$ref":"https://h/schema.json"}}}`,
		"a schema that is none":             `{"properties":{"a":7}}`,
		"properties that are none":          `{"properties":{"a":{"properties":[]}}}`,
		"alternatives that are none":        `{"properties":{"a":{"anyOf":{}}}}`,
		"an alternative that is none":       `{"properties":{"a":{"anyOf":[1,2]}}}`,
		"an only alternative that is none":  `{"properties":{"a":{"anyOf":[1]}}}`,
		"definitions that grow beyond all":  explosion(40, `"properties":{"x":{"$ref":"#/$defs/%[1]d"},"y":{"$ref":"#/$defs/%[1]d"}}`),
		"alternatives that grow beyond all": explosion(40, `"anyOf":[{"$ref":"#/$defs/%[1]d"},{"$ref":"#/$defs/%[1]d"}]`),
		"definitions that are read too often": `{"properties":{` + many(5000, `"a%d":{"$ref":"#/$defs/a"}`) +
			`},"$defs":{"a":{"type":"string","description":"` + strings.Repeat("x", 100_000) + `"}}}`,
	} {
		start := time.Now()
		_, err := Translate(Chat, Gemini, schemaRequest(schema), &Target{Model: oldModel})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != http.StatusBadRequest || told.Param != toolSchema {
			t.Errorf("%s: got %v", name, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// explosion is a schema with n definitions, each of which refers to the next twice.
func explosion(n int, body string) string {
	var b strings.Builder
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, `"%d":{%s},`, i, fmt.Sprintf(body, i+1))
	}
	return fmt.Sprintf(`{%s,"$defs":{%s"%d":{"type":"string"}}}`, fmt.Sprintf(body, 1), b.String(), n)
}

// many is a text n times, each with its number, with commas between.
func many(n int, format string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(all, ",")
}
