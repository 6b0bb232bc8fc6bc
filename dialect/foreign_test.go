package dialect

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestForeignThinking(t *testing.T) {
	t.Parallel()
	const own, gemini, none, text = `{"type":"thinking","thinking":"a","signature":"Eq"}`, `{"type":"thinking","thinking":"b","signature":"gemini:xy"}`,
		`{"type": "thinking", "thinking": "c", "signature": ""}`, `{"type":"text","text":"\"signature\":\"\""}`
	for name, test := range map[string]struct{ content, want string }{
		"none":                  {`[` + text + `]`, `[` + text + `]`},
		"Anthropic's own":       {`[` + own + `,` + text + `]`, `[` + own + `,` + text + `]`},
		"the first":             {`[` + gemini + ` , ` + text + `]`, `[` + text + `]`},
		"the first two":         {`[` + gemini + `,` + none + `,` + text + `]`, `[` + text + `]`},
		"one between":           {`[` + own + `, ` + none + `, ` + text + `]`, `[` + own + `, ` + text + `]`},
		"the last":              {`[` + text + `,` + none + `]`, `[` + text + `]`},
		"the last two":          {`[` + text + `,` + none + `,` + gemini + `]`, `[` + text + `]`},
		"all":                   {`[` + none + `]`, `[]`},
		"every one of two":      {`[` + none + `,` + none + `]`, `[]`},
		"content that is text":  {`"\"signature\""`, `"\"signature\""`},
		"a block that is words": {`["signature"]`, `["signature"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := func(content string) string {
				return `{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":` + content + `}],"max_tokens":1}`
			}
			got := []byte(body(test.content))
			for _, at := range slices.Backward(ForeignThinking(got)) {
				got = slices.Delete(got, at.Start, at.End)
			}
			if string(got) != body(test.want) || !json.Valid(got) {
				t.Errorf("got %s, want %s", got, body(test.want))
			}
		})
	}
}

// A turn that another model has answered does not begin with Anthropic's thinking, which it would demand.
func TestForeignThinkingOfTheLatestTurn(t *testing.T) {
	t.Parallel()
	const foreign, own = `{"type":"thinking","thinking":"b","signature":""},`, `{"type":"thinking","thinking":"a","signature":"Eq"},`
	turns := func(first, latest string) string {
		return `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[` + first + `{"type":"text","text":"a"}]},{"role":"user","content":"so"},` +
			`{"content":[` + latest + `{"type":"tool_use","id":"a","name":"f","input":{}}],"role":"assistant"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]`
	}
	const thinking = `"thinking":{"type":"enabled","budget_tokens":2000}`
	for body, want := range map[string]string{
		`{"model":"m", ` + thinking + `,` + turns(foreign, foreign) + `}`: `{"model":"m",` + turns("", "") + `}`,
		`{` + thinking + `, ` + turns("", foreign) + `}`:                  `{ ` + turns("", "") + `}`,
		`{` + turns("", foreign) + `,` + thinking + `}`:                   `{` + turns("", "") + `}`,
		`{"model":"m",` + thinking + `,` + turns(foreign, own) + `}`:      `{"model":"m",` + thinking + `,` + turns("", own) + `}`,
		`{"thinking":{"type":"adaptive"},` + turns("", foreign) + `}`:     `{"thinking":{"type":"adaptive"},` + turns("", "") + `}`,
		`{"model":"m","thinking":null,` + turns("", foreign) + `}`:        `{"model":"m","thinking":null,` + turns("", "") + `}`,
	} {
		got := []byte(body)
		for _, at := range slices.Backward(ForeignThinking(got)) {
			got = slices.Delete(got, at.Start, at.End)
		}
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}
