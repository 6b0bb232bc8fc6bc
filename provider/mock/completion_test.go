package mock

import (
	"encoding/json"
	"strings"
	"testing"
)

const zeroDetails = `"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
	"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}`

func TestACompletionHasEveryFieldOfOpenAIs(t *testing.T) {
	t.Parallel()
	_, got := post(t, quick(), "completions", `{"model":"m","prompt":["one two",[1,2,3]],"max_tokens":4,"n":2}`)
	const choice = `"text":"This is a simulated","logprobs":null,"finish_reason":"length"`
	same(t, got, `{"id":"cmpl-...","object":"text_completion","created":`+number64(t, got, "created")+`,"model":"m",
		"choices":[{"index":0,`+choice+`},{"index":1,`+choice+`},{"index":2,`+choice+`},{"index":3,`+choice+`}],
		"usage":{"prompt_tokens":5,"completion_tokens":16,"total_tokens":21,`+zeroDetails+`},
		"system_fingerprint":"fp_runestone_mock"}`)
}

func TestEachPromptOfACompletionIsAnswered(t *testing.T) {
	t.Parallel()
	got := ask[textCompletion](t, quick(), "completions", `{"model":"m","prompt":["one","two"]}`)
	for i, want := range []string{`You said: "one".`, `You said: "two".`} {
		if !strings.Contains(got.Choices[i].Text, want) {
			t.Errorf("choice %d: %s", i, got.Choices[i].Text)
		}
	}
	if got := ask[textCompletion](t, quick(), "completions", `{"model":"m"}`); len(got.Choices) != 1 {
		t.Errorf("%d answers to no prompt", len(got.Choices))
	}
}

func TestAStreamedCompletionSaysWhatTheWholeOneSays(t *testing.T) {
	t.Parallel()
	p := quick()
	whole := ask[textCompletion](t, p, "completions", `{"model":"m","prompt":["one","two"],"max_tokens":20}`)
	_, stream := post(t, p, "completions", `{"model":"m","prompt":["one","two"],"max_tokens":20,"stream":true,"stream_options":{"include_usage":true}}`)
	list := events(t, stream)
	same(t, []byte(list[0].data), `{"id":"cmpl-...","object":"text_completion","created":"any","model":"m","system_fingerprint":"fp_runestone_mock",
		"choices":[{"text":"This","index":0,"logprobs":null,"finish_reason":null}],"usage":null}`)
	got := textCompletion{Choices: make([]textChoice, 2)}
	for _, e := range list[:len(list)-1] {
		var chunk struct {
			Choices []textChoice `json:"choices"`
			Usage   *usage       `json:"usage"`
		}
		if err := json.Unmarshal([]byte(e.data), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunk.Choices {
			got.Choices[c.Index].Text += c.Text
			got.Choices[c.Index].FinishReason += c.FinishReason
		}
		if chunk.Usage != nil {
			got.Usage = *chunk.Usage
		}
	}
	for i, want := range whole.Choices {
		if c := got.Choices[i]; c.Text != want.Text || c.FinishReason != want.FinishReason {
			t.Errorf("got %+v, want %+v", c, want)
		}
	}
	if got.Usage != whole.Usage || list[len(list)-1].data != "[DONE]" {
		t.Errorf("usage %+v, end %q", got.Usage, list[len(list)-1].data)
	}
}
