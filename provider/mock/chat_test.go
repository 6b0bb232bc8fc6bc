package mock

import (
	"encoding/json"
	"strings"
	"testing"
)

// chatChunk is what the tests read from the events of a chat.
type chatChunk struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Model   string `json:"model"`
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Role      string  `json:"role"`
			Content   *string `json:"content"`
			ToolCalls []struct {
				Index    int              `json:"index"`
				ID       string           `json:"id"`
				Type     string           `json:"type"`
				Function chatFunctionCall `json:"function"`
			} `json:"tool_calls"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *usage `json:"usage"`
}

// assemble puts a streamed chat together as an SDK does.
func assemble(t *testing.T, stream []byte) (answer chatCompletion) {
	t.Helper()
	list := events(t, stream)
	if last := list[len(list)-1]; last.data != "[DONE]" {
		t.Fatalf("the last event is %q", last.data)
	}
	for _, e := range list[:len(list)-1] {
		var chunk chatChunk
		if err := json.Unmarshal([]byte(e.data), &chunk); err != nil {
			t.Fatalf("decoding %s: %v", e.data, err)
		}
		if answer.ID == "" {
			answer.ID = chunk.ID
		}
		if chunk.ID != answer.ID || chunk.Object != "chat.completion.chunk" {
			t.Fatalf("a chunk of another kind: %s", e.data)
		}
		if chunk.Usage != nil {
			answer.Usage = *chunk.Usage
		}
		for _, c := range chunk.Choices {
			if c.Index == len(answer.Choices) {
				answer.Choices = append(answer.Choices, chatChoice{Index: c.Index})
			}
			to := &answer.Choices[c.Index]
			to.FinishReason += c.FinishReason
			to.Message.Role += c.Delta.Role
			if c.Delta.Content != nil {
				to.Message.Content = new(valueOr(to.Message.Content, "") + *c.Delta.Content)
			}
			for _, call := range c.Delta.ToolCalls {
				if call.Index == len(to.Message.ToolCalls) {
					to.Message.ToolCalls = append(to.Message.ToolCalls, chatToolCall{})
				}
				whole := &to.Message.ToolCalls[call.Index]
				whole.ID += call.ID
				whole.Type += call.Type
				whole.Function.Name += call.Function.Name
				whole.Function.Arguments += call.Function.Arguments
			}
		}
	}
	return answer
}

func TestAChatHasEveryFieldOfOpenAIs(t *testing.T) {
	t.Parallel()
	_, got := post(t, quick(), "chat/completions", `{"model":"mock-small","messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":[{"type":"text","text":"Hello <there>"},{"type":"image_url","image_url":{"url":"x"}}]}],
		"max_tokens":13}`)
	same(t, got, `{
		"id":"chatcmpl-...","object":"chat.completion","created":`+number64(t, got, "created")+`,"model":"mock-small",
		"choices":[{"index":0,"logprobs":null,"finish_reason":"length","message":{
			"role":"assistant","refusal":null,"annotations":[],
			"content":"This is a simulated answer from mock-small (Runestone's mock provider). You said: \"Hello"}}],
		"usage":{"prompt_tokens":4,"completion_tokens":13,"total_tokens":17,
			"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
			"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,
				"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},
		"service_tier":"default","system_fingerprint":"fp_runestone_mock"}`)
}

// number64 is the number of that name in an answer, which must be one.
func number64(t *testing.T, answer []byte, name string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	var n int64
	if err := json.Unmarshal(answer, &fields); err != nil {
		t.Fatalf("decoding %s: %v", answer, err)
	}
	if err := json.Unmarshal(fields[name], &n); err != nil || n == 0 {
		t.Fatalf("%s is %s", name, fields[name])
	}
	return string(fields[name])
}

func TestAStreamedChatHasItsChunksInOrder(t *testing.T) {
	t.Parallel()
	const head = `"id":"chatcmpl-...","object":"chat.completion.chunk","created":"any","model":"mock-small","service_tier":"default","system_fingerprint":"fp_runestone_mock"`
	chunk := func(delta, finish, more string) string {
		return `{` + head + `,"choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + `}]` + more + `}`
	}
	const role = `{"role":"assistant","content":"","refusal":null}`
	tests := []struct {
		name, options string
		want          []string
	}{
		{"without usage", ``, []string{
			chunk(role, `null`, ``), chunk(`{"content":"This"}`, `null`, ``), chunk(`{"content":" is"}`, `null`, ``),
			chunk(`{}`, `"length"`, ``),
		}},
		{"with usage", `,"stream_options":{"include_usage":true}`, []string{
			chunk(role, `null`, `,"usage":null`), chunk(`{"content":"This"}`, `null`, `,"usage":null`),
			chunk(`{"content":" is"}`, `null`, `,"usage":null`), chunk(`{}`, `"length"`, `,"usage":null`),
			`{` + head + `,"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
				"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
				"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,
					"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, stream := post(t, quick(), "chat/completions", askFor("hi", `,"stream":true,"max_completion_tokens":2`+tt.options))
			list := events(t, stream)
			if len(list) != len(tt.want)+1 || list[len(list)-1].data != "[DONE]" {
				t.Fatalf("got %d events: %s", len(list), stream)
			}
			for i, want := range tt.want {
				same(t, []byte(list[i].data), want)
			}
		})
	}
}

func TestAStreamSaysWhatTheWholeAnswerSays(t *testing.T) {
	t.Parallel()
	const tools = `,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}}}]`
	for name, body := range map[string]string{
		"text":           askFor("tell me a story\nof “two” lines", ``),
		"two choices":    askFor("hello", `,"n":2`),
		"cut":            askFor("hello", `,"max_tokens":5`),
		"stopped":        askFor("hello", `,"stop":["simulated"]`),
		"stopped early":  askFor("hello", `,"stop":"This"`),
		"one word":       askFor("mock:words=1", ``),
		"JSON":           askFor("hello", `,"response_format":{"type":"json_object"}`),
		"a call":         askFor("call:weather", tools),
		"two calls":      askFor(`call:weather({"city":"Reykjavík"}) call:weather`, tools),
		"calls, n times": askFor(`call:weather call:weather`, tools+`,"n":3`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := quick()
			whole := ask[chatCompletion](t, p, "chat/completions", body)
			_, stream := post(t, p, "chat/completions", strings.TrimSuffix(body, "}")+`,"stream":true,"stream_options":{"include_usage":true}}`)
			got := assemble(t, stream)
			if got.ID != whole.ID || got.Usage != whole.Usage {
				t.Errorf("got %+v, want %+v", got, whole)
			}
			for i, c := range whole.Choices {
				c.Message.Annotations = nil
				same(t, marshal(got.Choices[i]), string(marshal(c)))
			}
		})
	}
}

func TestAReplyIsAsLongAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, message, more string
		words               int
		finish              string
	}{
		{"by default", "hi", ``, defaultWords, "stop"},
		{"by directive", "mock:words=200", ``, 200, "stop"},
		{"shorter than its opening words", "mock:words=3", ``, 3, "stop"},
		{"by max_tokens", "hi", `,"max_tokens":7`, 7, "length"},
		{"by max_completion_tokens, which overrules", "hi", `,"max_tokens":7,"max_completion_tokens":9`, 9, "length"},
		{"by a limit that is not reached", "hi", `,"max_tokens":50`, 50, "stop"},
		{"by null", "hi", `,"max_tokens":null,"stop":null,"n":null`, 50, "stop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ask[chatCompletion](t, quick(), "chat/completions", askFor(tt.message, tt.more))
			c := got.Choices[0]
			if n := countWords(*c.Message.Content); n != tt.words || n != got.Usage.CompletionTokens || c.FinishReason != tt.finish {
				t.Errorf("got %d words, %d tokens, %s: %s", n, got.Usage.CompletionTokens, c.FinishReason, *c.Message.Content)
			}
		})
	}
}

func TestAReplyStopsBeforeAStopSequence(t *testing.T) {
	t.Parallel()
	got := ask[chatCompletion](t, quick(), "chat/completions", askFor("hi", `,"stop":["","answer","simulated"],"max_tokens":40`))
	if c := got.Choices[0]; *c.Message.Content != "This is a " || c.FinishReason != "stop" || got.Usage.CompletionTokens != 3 {
		t.Errorf("got %q, %s, %d tokens", *c.Message.Content, c.FinishReason, got.Usage.CompletionTokens)
	}
}

func TestAReplyQuotesTheLastUserMessage(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, messages, want string }{
		{"the last one", `{"role":"user","content":"one"},{"role":"assistant","content":"x"},{"role":"user","content":"two"}`,
			`You said: "two".`},
		{"without directives", `{"role":"user","content":"one mock:rate=-1 two, mock:words=90."}`, `You said: "one two,".`},
		{"only its beginning", `{"role":"user","content":"` + strings.Repeat("w ", 30) + `"}`,
			`You said: "` + strings.Repeat("w ", 19) + `w…".`},
		{"or what a tool returned", `{"role":"user","content":"one"},{"role":"tool","tool_call_id":"a","content":"sunny"},{"role":"tool","tool_call_id":"b","content":"21 °C"}`,
			`The tool returned: "sunny; 21 °C".`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ask[chatCompletion](t, quick(), "chat/completions", `{"model":"m","messages":[`+tt.messages+`]}`)
			if text := *got.Choices[0].Message.Content; !strings.Contains(text, tt.want) {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestTheSameRequestGetsTheSameReply(t *testing.T) {
	t.Parallel()
	text := func(p *Provider, body string) string {
		return *ask[chatCompletion](t, p, "chat/completions", body).Choices[0].Message.Content
	}
	plain := askFor("hello", ``)
	want := text(quick(), plain)
	if got := text(&Provider{WordsPerSecond: unlimited, ErrorRate: 0, Words: 50}, plain); got != want {
		t.Errorf("another provider with the same seed says %q, not %q", got, want)
	}
	if got := text(quick(), askFor("hello", `, "user": "someone"`)); got != want {
		t.Errorf("a field that is not looked at changed the reply to %q", got)
	}
	others := map[string]string{
		"another seed":         text(&Provider{WordsPerSecond: unlimited, Seed: 1}, plain),
		"the request's seed":   text(quick(), askFor("hello", `,"seed":1`)),
		"another model":        text(quick(), strings.Replace(plain, "small", "large", 1)),
		"another conversation": text(quick(), strings.Replace(plain, `[{`, `[{"role":"system","content":"x"},{`, 1)),
	}
	for name, got := range others {
		if got == want {
			t.Errorf("%s makes no difference", name)
		}
	}
	choices := ask[chatCompletion](t, quick(), "chat/completions", askFor("hello", `,"n":2`)).Choices
	if *choices[0].Message.Content != want || *choices[1].Message.Content == want {
		t.Errorf("two choices: %q and %q", *choices[0].Message.Content, *choices[1].Message.Content)
	}
}
