package dialect

import (
	"errors"
	"strings"
	"testing"
)

// newMessagesAnswers returns the translator of answers to a request that asks for a name shown as smart.
func newMessagesAnswers(t testing.TB, members string) *messagesAnswers {
	t.Helper()
	got, err := Translate(Chat, Messages, []byte(`{`+asked+members+`}`), &Target{Model: "claude-sonnet-4-0", Shown: "smart"})
	if err != nil {
		t.Fatal(err)
	}
	answers := got.Answers.(*messagesAnswers)
	answers.out.created = 1764000000
	return answers
}

// wholeMessages are whole answers: the members of the message after type, role and model, and what becomes of them: that of
// choices[0].message after its role, finish_reason, and usage.
var wholeMessages = []struct{ name, request, answer, message, finish, usage string }{
	{"text", ``, `"content":[{"type":"text","text":"Hi <b>\u0041"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5}`,
		`"content":"Hi <b>\u0041","refusal":null`, "stop", `{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`},
	{"ISS: all texts, not only the first", ``, `"content":[{"type":"text","text":"A"},{"type":"text","text":"\n"},{"type":"text","text":"B","citations":[{}]}],"stop_reason":"stop_sequence","stop_sequence":"X"`,
		`"content":"A\nB","refusal":null`, "stop", ``},
	{"ISS: usage includes the cache, and thinking", ``, `"content":[],"stop_reason":"max_tokens","usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":1000,"output_tokens":50,"output_tokens_details":{"thinking_tokens":30},"service_tier":"standard"}`,
		`"content":"","refusal":null`, "length", `{"prompt_tokens":1110,"completion_tokens":50,"total_tokens":1160,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":1000},"completion_tokens_details":{"reasoning_tokens":30}},"service_tier":"default"`},
	{"usage of a compaction", ``, `"content":[],"stop_reason":"model_context_window_exceeded","usage":{"input_tokens":10,"output_tokens":5,"iterations":[{"type":"compaction","input_tokens":100,"cache_read_input_tokens":7,"output_tokens":50},{"type":"message","input_tokens":10,"output_tokens":5},{"type":"other","input_tokens":1000}]}`,
		`"content":"","refusal":null`, "length", `{"prompt_tokens":117,"completion_tokens":55,"total_tokens":172,"prompt_tokens_details":{"cached_tokens":7},"completion_tokens_details":{"reasoning_tokens":0}}`},
	{"usage of a model that stepped in", ``, `"content":[],"stop_reason":"pause_turn","usage":{"input_tokens":10,"output_tokens":5,"iterations":[{"type":"message","input_tokens":100},{"type":"fallback_message","input_tokens":10}]}`,
		`"content":"","refusal":null`, "stop", `{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`},
	{"calls", ``, `"content":[{"type":"tool_use","id":"c1","name":"f","input":{ "n" : 12345678901234567890, "f":1.10 }},{"type":"tool_use","id":"c2","name":"g","input":{}},{"type":"tool_use","id":"c3","name":"h"}],"stop_reason":"tool_use"`,
		`"content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"n\":12345678901234567890,\"f\":1.10}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}},{"id":"c3","type":"function","function":{"name":"h","arguments":"{}"}}]`, "tool_calls", ``},
	{"ISS: thinking, which is no content", ``, `"content":[{"type":"thinking","signature":"s\/1", "thinking":"a\nb"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"So:"},{"type":"tool_use","id":"c1","name":"f","input":{}}],"stop_reason":"tool_use"`,
		`"content":"So:","refusal":null,"reasoning_content":"a\nb","thinking_blocks":[{"type":"thinking","signature":"s\/1", "thinking":"a\nb"},{"type":"redacted_thinking","data":"x"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]`, "tool_calls", ``},
	{"ISS: Anthropic's own tools are not shown", ``, `"content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"A"},{"type":"made_up"}],"stop_reason":"end_turn"`,
		`"content":"A","refusal":null`, "stop", ``},
	{"citations of what it has found", `,"web_search_options":{}`, `"content":[{"type":"text","text":"\u00e9: "},{"type":"text","text":"it \ud83c\udf0d is","citations":[{"type":"web_search_result_location","url":"https://a","title":"A","encrypted_index":"x","cited_text":"c"},{"type":"char_location","document_index":0}]},{"type":"text","text":".","citations":null}],"stop_reason":"end_turn"`,
		`"content":"\u00e9: it \ud83c\udf0d is.","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"start_index":3,"end_index":10,"url":"https://a","title":"A"}}]`, "stop", ``},
	{"a refusal", ``, `"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"No \"x\"."}`, `"content":null,"refusal":"No \"x\"."`, "content_filter", ``},
	{"a refusal without a reason", ``, `"content":[{"type":"text","text":"A"}],"stop_reason":"refusal","stop_details":null`, `"content":"A","refusal":"The model refused to answer."`, "content_filter", ``},
	{"ISS: a refusal without details", ``, `"content":[],"stop_reason":"refusal"`, `"content":null,"refusal":"The model refused to answer."`, "content_filter", ``},
	{"details that are no refusal's", ``, `"content":[],"stop_reason":"end_turn","stop_details":{"explanation":"x"}`, `"content":"","refusal":null`, "stop", ``},
	{"ISS: a reason that nobody knows", ``, `"content":[{"type":"text","text":"A"}],"stop_reason":"made_up"`, `"content":"A","refusal":null`, "stop", ``},
	{"no reason", ``, `"content":null,"stop_reason":null`, `"content":"","refusal":null`, "stop", ``},
	{"an answer through a tool", `,` + schemaF, `"content":[{"type":"text","text":"Here:"},{"type":"tool_use","id":"c1","name":"json","input":{"b": 1.50}},{"type":"text","text":"."},{"type":"tool_use","id":"c2","name":"json","input":{}}],"stop_reason":"tool_use"`,
		`"content":"{\"b\":1.50}","refusal":null`, "stop", ``},
	{"an answer through a tool that was cut off", `,` + schemaF, `"content":[{"type":"tool_use","id":"c1","name":"json","input":{}}],"stop_reason":"max_tokens"`, `"content":"","refusal":null`, "length", ``},
	{"ISS: a call that was cut off before its arguments", ``, `"content":[{"type":"tool_use","id":"c1","name":"f","input":{}},{"type":"tool_use","id":"c2","name":"g","input":{}}],"stop_reason":"max_tokens"`,
		`"content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":""}}]`, "length", ``},
	{"a call before what was cut off", ``, `"content":[{"type":"tool_use","id":"c1","name":"f","input":{}},{"type":"text","text":"A"}],"stop_reason":"model_context_window_exceeded"`,
		`"content":"A","refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]`, "length", ``},
	{"a call with arguments that was cut off", ``, `"content":[{"type":"tool_use","id":"c1","name":"f","input":{"a":1}}],"stop_reason":"max_tokens"`,
		`"content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`, "length", ``},
	{"a call instead of an answer through a tool", `,"tools":[{"type":"function","function":{"name":"f"}}],` + schemaF, `"content":[{"type":"tool_use","id":"c1","name":"f","input":{}}],"stop_reason":"tool_use"`,
		`"content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]`, "tool_calls", ``},
}

func TestMessagesToChatWhole(t *testing.T) {
	t.Parallel()
	for _, test := range wholeMessages {
		got, err := newMessagesAnswers(t, test.request).Whole([]byte("before"), []byte("\n"+`{"id":"msg_1","type":"message","role":"assistant","model":"claude-x",`+test.answer+`}`))
		usage := test.usage
		if usage == "" {
			usage = `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`
		}
		want := `before{"id":"msg_1","object":"chat.completion","created":1764000000,"model":"smart","choices":[{"index":0,"message":{"role":"assistant",` + test.message +
			`},"logprobs":null,"finish_reason":"` + test.finish + `"}],"usage":` + usage + `}`
		if err != nil || string(got) != want {
			t.Errorf("%s (%v)\n got %s\nwant %s", test.name, err, got, want)
		}
	}
}

func TestMessagesWholeErrors(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `null`, `[]`, `<html>`, `{"type":"message"`, `{"type":"message","content":"x"}`, `{"type":"message","content":[1]}`, `{"content":[]}`, `{"type":"completion"}`, "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"\x19\"}]}"} {
		if got, err := newMessagesAnswers(t, "").Whole(nil, []byte(body)); !errors.Is(err, ErrNotJSON) || len(got) > 0 {
			t.Errorf("%s: %s, %v", body, got, err)
		}
	}
	for kind, status := range messagesErrors {
		_, err := newMessagesAnswers(t, "").Whole(nil, []byte(`{"type":"error","error":{"type":"`+kind+`","message":"M"}}`))
		wantStatus(t, err, status, "M")
	}
}

var messagesErrors = map[string]int{
	"overloaded_error": 503, "rate_limit_error": 429, "api_error": 500, "invalid_request_error": 400, "billing_error": 402,
	"permission_error": 403, "not_found_error": 404, "request_too_large": 413, "timeout_error": 504, "made_up_error": 502,
}

func wantStatus(t *testing.T, err error, status int, message string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != status || e.Message != message || e.Type == "" || strings.HasSuffix(e.Type, "_error") && e.Type != "invalid_request_error" && e.Type != "rate_limit_error" && e.Type != "permission_error" && e.Type != "server_error" {
		t.Errorf("%#v, want status %d", err, status)
	}
}

// A key of the gateway's that is wrong is told as the gateway's failure, and what the provider says of it is not told.
func TestKeysThatAreRefusedInAnAnswer(t *testing.T) {
	t.Parallel()
	_, err := newMessagesAnswers(t, "").Whole(nil, []byte(`{"type":"error","error":{"type":"authentication_error","message":"sk-secret"}}`))
	wantStatus(t, err, 502, "The provider refused the gateway's credentials.")
	for _, body := range []string{`{"error":{"message":"sk-secret","code":401}}`, `{"error":{"message":"sk-secret","code":"invalid_api_key"}}`} { // OpenRouter, OpenAI
		_, err = responsesOf(t, "").Whole(nil, []byte(body))
		wantStatus(t, err, 502, "The provider refused the gateway's credentials.")
		_, err = feedChat(newChatAnswers("m", nil), body)
		wantStatus(t, err, 502, "The provider refused the gateway's credentials.")
	}
}

// A client of the Responses API is told of a refusal as well, with details or without.
func TestRefusalsToResponses(t *testing.T) {
	t.Parallel()
	for details, want := range map[string]string{``: refused, `,"stop_details":null`: refused, `,"stop_details":{"explanation":"No."}`: "No."} {
		x, err := Translate(Responses, Messages, []byte(`{"input":"hi"}`), &Target{Model: "claude-sonnet-4-5"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Answers.Whole(nil, []byte(`{"type":"message","id":"msg_1","content":[],"stop_reason":"refusal"`+details+`}`))
		if r := wantResponse(t, got); err != nil || r.Status != "incomplete" || len(r.Output) != 1 || r.Output[0].Content[0].Refusal != want {
			t.Errorf("%s: %v, %s", details, err, got)
		}
	}
}
