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
	const clears, uses = `{"keep":"all", "type":"clear_thinking_20251015"}`, `{"type":"clear_tool_uses_20250919","trigger":{"type":"input_tokens","value":30000}}`
	for body, want := range map[string]string{
		`{"model":"m", ` + thinking + `,` + turns(foreign, foreign) + `}`: `{"model":"m",` + turns("", "") + `}`,
		`{` + thinking + `, ` + turns("", foreign) + `}`:                  `{ ` + turns("", "") + `}`,
		`{` + turns("", foreign) + `,` + thinking + `}`:                   `{` + turns("", "") + `}`,
		`{"model":"m",` + thinking + `,` + turns(foreign, own) + `}`:      `{"model":"m",` + thinking + `,` + turns("", own) + `}`,
		`{"thinking":{"type":"adaptive"},` + turns("", foreign) + `}`:     `{"thinking":{"type":"adaptive"},` + turns("", "") + `}`,
		`{"model":"m","thinking":null,` + turns("", foreign) + `}`:        `{"model":"m","thinking":null,` + turns("", "") + `}`,

		// What is to be cleared of it is refused when there is none.
		`{` + thinking + `,"context_management":{"edits":[` + clears + `]},` + turns("", foreign) + `,"a":1}`:                    `{` + turns("", "") + `,"a":1}`,
		`{"context_management":{"edits": [ ` + clears + ` ]} , ` + thinking + `, ` + turns("", foreign) + `}`:                    `{ ` + turns("", "") + `}`,
		`{"a":1,` + thinking + `,"context_management":{"edits":[` + clears + `]},` + turns("", foreign) + `}`:                    `{"a":1,` + turns("", "") + `}`,
		`{` + turns("", foreign) + `,"context_management":{"edits":[` + clears + `,` + clears + `]},` + thinking + `}`:           `{` + turns("", "") + `}`,
		`{` + turns("", foreign) + `,"context_management":{"edits":[` + clears + `, ` + uses + `]},` + thinking + `}`:            `{` + turns("", "") + `,"context_management":{"edits":[` + uses + `]}}`,
		`{` + thinking + `,` + turns("", foreign) + `,"context_management":{"edits":[` + uses + `,` + clears + `]}}`:             `{` + turns("", "") + `,"context_management":{"edits":[` + uses + `]}}`,
		`{"context_management":{"edits":[` + clears + `],"x":1},` + thinking + `,` + turns("", foreign) + `}`:                    `{"context_management":{"edits":[],"x":1},` + turns("", "") + `}`,
		`{"context_management":{"edits":[]},` + thinking + `,` + turns("", foreign) + `}`:                                        `{"context_management":{"edits":[]},` + turns("", "") + `}`,
		`{"context_management":null,` + thinking + `,` + turns("", foreign) + `}`:                                                `{"context_management":null,` + turns("", "") + `}`,
		`{"context_management":{"edits":"clear_thinking_","y":["clear_thinking_"]},` + thinking + `,` + turns("", foreign) + `}`: `{"context_management":{"edits":"clear_thinking_","y":["clear_thinking_"]},` + turns("", "") + `}`,
		`{"context_management":{"edits":[` + clears + `]},` + thinking + `,` + turns(foreign, own) + `}`:                         `{"context_management":{"edits":[` + clears + `]},` + thinking + `,` + turns("", own) + `}`,
		`{"context_management":{"edits":[` + clears + `]},"thinking":{"type":"adaptive"},` + turns("", foreign) + `}`:            `{"context_management":{"edits":[` + clears + `]},"thinking":{"type":"adaptive"},` + turns("", "") + `}`,
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
