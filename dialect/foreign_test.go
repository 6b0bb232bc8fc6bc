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
