package anthropic

import (
	"io"
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

func TestThinkingOfOthersIsLeftOut(t *testing.T) {
	t.Parallel()
	const (
		ours   = `{"type":"thinking","thinking":"a","signature":"Ep0="}`
		theirs = `{"signature":"","type":"thinking","thinking":"b"}`
		google = `{"type":"thinking","thinking":"","signature":"gemini:abc"}`
		text   = `{"type":"text","text":"{\"type\":\"thinking\",\"signature\":\"\"}"}`
	)
	body := func(content string) string {
		return `{ "messages":[{"role":"user","content":"x"},{"role":"assistant","content":[` + content + `]},{"role":"user","content":[{"type":"text","text":"y"}]}], "model":"m"}`
	}
	for name, test := range map[string]struct{ has, want string }{
		"nothing to leave out":  {ours + `, ` + text, ours + `, ` + text},
		"at the start":          {theirs + ` , ` + text, text},
		"in the middle":         {ours + `,` + theirs + `,` + text, ours + `,` + text},
		"at the end":            {text + `,` + theirs, text},
		"two at the end":        {text + `, ` + google + ` , ` + theirs, text},
		"two at the start":      {google + `,` + theirs + `,` + text, text},
		"all of it":             {theirs + `,` + google, ``},
		"a text that says so":   {text, text},
		"what is no list":       {`1,null,"a",[` + theirs + `]`, `1,null,"a",[` + theirs + `]`},
		"a call's own argument": {`{"type":"tool_use","id":"t","name":"f","input":` + theirs + `}`, `{"type":"tool_use","id":"t","name":"f","input":` + theirs + `}`},
	} {
		has := body(test.has)
		b := provider.NewBody([]byte(has), nil)
		s := b.Splice(unsigned([]byte(has), nil)...)
		length := s.Len()
		got, err := io.ReadAll(s)
		if err != nil || string(got) != body(test.want) || length != int64(len(got)) {
			t.Errorf("%s: error %v, %d bytes\n got %s\nwant %s", name, err, length, got, body(test.want))
		}
		_ = s.Close()
	}
	for _, odd := range []string{``, `[]`, `{"messages":5,"signature":""}`, `{"messages":[1,{"content":"signature"}],"a":{"signature":""}}`, `{"messages":[{"content":[{"type":"thinking","signature":""`} {
		if got := unsigned([]byte(odd), nil); len(got) > 0 {
			t.Errorf("%s: %v", odd, got)
		}
	}
}
