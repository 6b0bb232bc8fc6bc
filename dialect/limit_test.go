package dialect

import (
	"slices"
	"strings"
	"testing"
)

// A limit above what the catalog knows of a model is that, whatever is translated to what, since servers refuse more. The answer
// says so by the client's name.
func TestLimitsOfModels(t *testing.T) {
	t.Parallel()
	const input, says = `"input":"x"`, `"messages":[{"role":"user","content":"x"}]`
	for _, test := range []struct {
		from, to API
		body     string
		want     string
		adjusted string
	}{
		{Chat, Messages, says + `,"max_completion_tokens":5000`, `"max_tokens":4096`, "max_completion_tokens"},
		{Chat, Messages, says + `,"max_tokens":5000`, `"max_tokens":4096`, "max_tokens"},
		{Chat, Messages, says + `,"max_tokens":4096`, `"max_tokens":4096`, ""},
		{Chat, Messages, says + `,"max_tokens":5000,"max_completion_tokens":100`, `"max_tokens":100`, ""},
		{Chat, Messages, says + `,"max_tokens":5000,"reasoning_effort":"high"`, `"max_tokens":4096`, "max_tokens reasoning_effort"},
		{Chat, Gemini, says + `,"max_completion_tokens":5000`, `"maxOutputTokens":4096`, "max_completion_tokens"},
		{Chat, Gemini, says + `,"max_tokens":10`, `"maxOutputTokens":10`, ""},
		{Messages, Gemini, says + `,"max_tokens":5000`, `"maxOutputTokens":4096`, "max_tokens"},
		{Messages, Chat, says + `,"max_tokens":5000`, `"max_completion_tokens":4096`, "max_tokens"},
		{Responses, Messages, input + `,"max_output_tokens":5000`, `"max_tokens":4096`, "max_output_tokens"},
		{Responses, Gemini, input + `,"max_output_tokens":5000`, `"maxOutputTokens":4096`, "max_output_tokens"},
		{Responses, Gemini, input + `,"max_output_tokens":4000`, `"maxOutputTokens":4000`, ""},
	} {
		x, err := Translate(test.from, test.to, []byte("{"+test.body+"}"), &Target{Model: "claude-sonnet-4-5", MaxOutput: 4096})
		if err != nil {
			t.Errorf("%s to %s: %s: %v", test.from, test.to, test.body, err)
			continue
		}
		if !strings.Contains(string(x.Body), test.want) || !slices.Equal(x.Adjusted, strings.Fields(test.adjusted)) {
			t.Errorf("%s to %s: adjusted %q, want %q: %s, want %s", test.from, test.to, x.Adjusted, test.adjusted, x.Body, test.want)
		}
	}
	x, err := Translate(Chat, Messages, []byte("{"+says+`,"max_tokens":5000}`), &Target{Model: "claude-sonnet-4-5"})
	if err != nil || !strings.Contains(string(x.Body), `"max_tokens":5000`) || len(x.Adjusted) > 0 {
		t.Errorf("a model of which nothing is known: %v, %+v", err, x)
	}
}
