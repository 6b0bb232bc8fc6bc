package dialect

import (
	"slices"
	"strings"
	"testing"
)

// Agents run a call that is complete. One that was cut off before its arguments must not look like one without any.
func TestCutCallsInResponses(t *testing.T) {
	t.Parallel()
	const use1, use2 = `"type":"tool_use","id":"t1","name":"f","input":{}`, `"type":"tool_use","id":"t2","name":"f","input":{}`
	for reason, want := range map[string][]string{
		"max_tokens": {"completed", "{}", "incomplete", ""},
		"tool_use":   {"completed", "{}", "completed", "{}"},
	} {
		ask := func() Answers {
			x, err := Translate(Responses, Messages, []byte(`{"input":"hi","tools":[{"type":"function","name":"f"}]}`), &Target{Model: "claude-sonnet-4-5"})
			if err != nil {
				t.Fatal(err)
			}
			return x.Answers
		}
		whole, err := ask().Whole(nil, []byte(`{"type":"message","id":"msg_1","content":[{`+use1+`},{`+use2+`}],"stop_reason":"`+reason+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := translateStream(ask(), started(`{}`)+blockBegins(0, use1)+blockEnds(0)+blockBegins(1, use2)+blockEnds(1)+ends(reason, `{}`))
		f, bad := follow(stream)
		if err != nil || bad != nil {
			t.Fatalf("%v, %v: %s", err, bad, stream)
		}
		for _, r := range []string{string(whole), f.last.RawJSON()} {
			r := wantResponse(t, []byte(strings.TrimSpace(r)))
			var got []string
			for _, item := range r.Output {
				got = append(got, item.Status, item.Arguments.OfString)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q: %s", reason, got, want, r.RawJSON())
			}
		}
	}
}
