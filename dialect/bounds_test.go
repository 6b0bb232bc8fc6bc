package dialect

import (
	"errors"
	"strings"
	"testing"
)

func TestWhatWouldGrowWithItselfIsRefused(t *testing.T) {
	t.Parallel()
	const n = 20000
	for _, c := range []struct {
		name, body, param string
		from, to          API
	}{
		{"alternatives beside properties", withSchema(`{"type":"string","properties":{` + listed(n, numbered(`"p%d":{}`)) + `},"anyOf":[` + listed(n, same(`{}`)) + `]}`),
			"tools[0].function.parameters", Chat, Gemini},
		{"alternatives beside values", withSchema(`{"type":"string","enum":[` + listed(n, same(`1`)) + `],"anyOf":[` + listed(n, same(`{}`)) + `]}`),
			"tools[0].function.parameters", Chat, Gemini},
		{"more types than there are", withSchema(`{"type":[` + listed(n, numbered(`"t%d"`)) + `],"properties":{"a":{}}}`), "tools[0].function.parameters", Chat, Gemini},
		{"references that go deep", withSchema(`{"$defs":` + strings.Repeat(`{"a":`, 200) + `{"b":"` + strings.Repeat("b", n) + `"}` + strings.Repeat(`}`, 200) +
			`,"allOf":[` + listed(100, numbered(`{"$ref":"#/$defs`+strings.Repeat("/a", 199)+`/%d"}`)) + `]}`), "tools[0].function.parameters", Chat, Gemini},
		{"a namespace whose long description each of its tools is told", `{"input":"a","tools":[{"type":"namespace","name":"n","description":"` + strings.Repeat("a", n) + `","tools":[` +
			listed(n, numbered(`{"type":"function","name":"f%d"}`)) + `]}]}`, "tools[0].tools[209]", Responses, Chat},
		{"a document in a document", said(`{"role":"user","content":[{"type":"document","source":{"type":"content","content":[`+
			`{"type":"document","source":{"type":"content","content":[]}}]}}]}`) + `}`, "messages[0].content[0].source.content[0].source.type", Messages, Chat},
	} {
		_, err := Translate(c.from, c.to, []byte(c.body), &Target{Model: "gemini-2.0-flash"})
		if told, ok := errors.AsType[*Error](err); !ok || told.Param != c.param || told.Status != 400 {
			t.Errorf("%s: %+v, want an error about %s", c.name, err, c.param)
		}
	}
}

func TestAdjustmentsAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		item string
		want int
	}{
		"many names":                  {`"k%d":1`, maxAdjusted + 1},
		"long names":                  {`"` + strings.Repeat("k", 1000) + `%d":1`, 2}, // which are not told apart
		"many names of some length":   {`"` + strings.Repeat("k", 100) + `%d":1`, maxAdjustedSize/101 + 1},
		"names that are no UTF-8 cut": {`"` + strings.Repeat("é", 100) + `%d":1`, 2},
	} {
		for from, body := range map[API]string{Chat: said(chatUser), Responses: `{"model":"m","input":"a"`, Messages: said(chatUser)} {
			tr, err := Translate(from, Gemini, []byte(body+`,`+listed(500, numbered(c.item))+`}`), &Target{Model: "m"})
			switch {
			case err != nil:
				t.Errorf("%s of %s: %v", name, from, err)
			case len(tr.Adjusted) > c.want || len(strings.Join(tr.Adjusted, ", ")) > maxAdjustedSize+2*maxAdjusted+maxAdjustedName:
				t.Errorf("%s of %s: %d names are listed: %q", name, from, len(tr.Adjusted), tr.Adjusted)
			case name == "many names" && tr.Adjusted[len(tr.Adjusted)-1] != moreAdjusted:
				t.Errorf("%s of %s: the list does not say that there are more: %q", name, from, tr.Adjusted)
			}
		}
	}
}
