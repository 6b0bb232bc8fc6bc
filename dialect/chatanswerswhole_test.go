package dialect

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

// randomIDs are those of calls to which the provider gave none.
var randomIDs = regexp.MustCompile(`toolu_[A-Za-z0-9]{24}`)

func TestChatAnswerToMessage(t *testing.T) {
	t.Parallel()
	answer := func(message, finish string) string {
		return `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"theirs","choices":[{"index":0,"message":` + message + `,"finish_reason":` + finish + `}],"usage":{"prompt_tokens":120,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":20}},"service_tier":"priority"}`
	}
	call := func(id, name, arguments string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":` + Quote(arguments) + `}}`
	}
	for _, test := range []struct{ name, body, content, reason string }{
		{"text", answer(`{"role":"assistant","content":"a\u00e9\n","refusal":null}`, `"stop"`), `[{"type":"text","text":"aé\n"}]`, "end_turn"},
		{"nothing", answer(`{"role":"assistant","content":null}`, `"stop"`), `[]`, "end_turn"},
		{"cut off", answer(`{"role":"assistant","content":"a"}`, `"length"`), `[{"type":"text","text":"a"}]`, "max_tokens"},
		{"no reason (pydantic-ai#2996)", answer(`{"role":"assistant","content":"a"}`, `null`), `[{"type":"text","text":"a"}]`, "end_turn"},
		{"filtered", answer(`{"role":"assistant","content":""}`, `"content_filter"`), `[]`, "refusal"},
		{"a refusal", answer(`{"role":"assistant","content":null,"refusal":"no"}`, `"stop"`), `[{"type":"text","text":"no"}]`, "refusal"},
		{"thinking, text and calls, whose numbers stay exact", answer(`{"role":"assistant","tool_calls":[`+call("call_1", "f", `{"n": 12345678901234567890,"x":1.10}`)+`,`+call("call_2", shortName, ``)+`],"content":"a","reasoning_content":"hm"}`, `"tool_calls"`),
			`[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"a"},{"type":"tool_use","id":"call_1","name":"f","input":{"n": 12345678901234567890,"x":1.10}},{"type":"tool_use","id":"call_2","name":"` + longName + `","input":{}}]`, "tool_use"},
		{"a call, and a reason that does not say so (bifrost#6123)", answer(`{"role":"assistant","content":"","tool_calls":[`+call("call_1", "f", `{}`)+`]}`, `"stop"`), `[{"type":"tool_use","id":"call_1","name":"f","input":{}}]`, "tool_use"},
		{"a reason that says so, and no call", answer(`{"role":"assistant","content":"a","tool_calls":[]}`, `"tool_calls"`), `[{"type":"text","text":"a"}]`, "end_turn"},
		{"arguments that are cut off", answer(`{"role":"assistant","tool_calls":[`+call("call_1", "f", `{"a`)+`]}`, `"length"`), `[{"type":"tool_use","id":"call_1","name":"f","input":{}}]`, "max_tokens"},
		{"arguments that are no object", answer(`{"role":"assistant","tool_calls":[`+call("call_1", "f", `[1]`)+`]}`, `"stop"`), `[{"type":"tool_use","id":"call_1","name":"f","input":{}}]`, "tool_use"},
		{"arguments that are not text", answer(`{"role":"assistant","tool_calls":[{"id":"call_1","function":{"name":"f","arguments":{"a":1}}}]}`, `"stop"`), `[{"type":"tool_use","id":"call_1","name":"f","input":{"a":1}}]`, "tool_use"},
		{"IDs that are missing or the same", answer(`{"role":"assistant","tool_calls":[`+call("", "f", `{}`)+`,`+call("call_1", "f", `{}`)+`,`+call("call_1", "f", `{}`)+`]}`, `"stop"`), `[{"type":"tool_use","id":"toolu_random","name":"f","input":{}},{"type":"tool_use","id":"call_1","name":"f","input":{}},{"type":"tool_use","id":"toolu_random","name":"f","input":{}}]`, "tool_use"},
		{"a function_call", answer(`{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}`, `"function_call"`), `[{"type":"tool_use","id":"toolu_random","name":"f","input":{}}]`, "tool_use"},
		{"Mistral's parts", answer(`{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}`, `"stop"`), `[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"a"}]`, "end_turn"},
		{"Anthropic's blocks of thinking", answer(`{"role":"assistant","content":"a","reasoning_content":"hm","thinking_blocks":[`+thoughtSent+`,{"type":"redacted_thinking","data":"x"}]}`, `"stop"`), `[` + thoughtSent + `,{"type":"redacted_thinking","data":"x"},{"type":"text","text":"a"}]`, "end_turn"},
		{"Google's signatures", answer(`{"role":"assistant","content":"a","thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:sig"}],"tool_calls":[{"id":"call_1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig"}}}]}`, `"stop"`), `[{"type":"text","text":"a"},{"type":"tool_use","id":"call_1__sig_c2ln","name":"f","input":{}}]`, "tool_use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newChatAnswers("smart", map[string]string{shortName: longName})
			out, err := a.Whole([]byte("before"), []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			got := randomIDs.ReplaceAllString(string(out), "toolu_random")
			want := `before{"id":"msg_1","type":"message","role":"assistant","model":"smart","content":` + test.content + `,"stop_reason":"` + test.reason + `","stop_sequence":null,"usage":{"input_tokens":70,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":9,"service_tier":"priority"}}`
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if a.Usage().Input != 120 {
				t.Errorf("usage %+v", a.Usage())
			}
		})
	}
	for _, body := range []string{`{"choices":[]}`, `{"id":"","choices":[],"usage":null}`, `{"choices":[{"index":1,"message":{"content":"x"}}]}`} { // litellm#30761
		a := newChatAnswers("smart", nil)
		out, err := a.Whole(nil, []byte(body))
		if err != nil || !strings.Contains(string(out), `"content":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}`) {
			t.Errorf("%s: error %v, got %s", body, err, out)
		}
	}
}

// TestChatAnswersThatFail is that errors after a 200 are errors, whatever their shape, and that broken answers are not
// taken for whole ones.
func TestChatAnswersThatFail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		data   string
		status int // 0 for ErrNotJSON
	}{
		{"an error", `{"error":{"message":"Overloaded","type":"server_error","code":503}}`, 503},
		{"OpenRouter's", `{"id":"x","choices":[{"index":0,"delta":{"content":"lost"},"finish_reason":"error"}],"error":{"code":429,"message":"Limited"}}`, 429},
		{"a reason that is an error", `{"choices":[{"index":0,"delta":{},"message":{},"finish_reason":"error"}]}`, 502},
		{"DeepSeek's", `{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}`, 503},
		{"a call without a name", `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"arguments":"{}"}}]},"finish_reason":"stop"}]}`, 502},
		{"a page", `<html>502</html>`, 0},
		{"null", `null`, 0},
	} {
		for _, chunks := range [][]string{{test.data}, {deltaChunk(`{"content":"a"}`), test.data}} {
			a := newChatAnswers("smart", nil)
			out, err := feedChat(a, chunks...)
			told, ok := errors.AsType[*Error](err)
			if ok != (test.status > 0) || ok && told.Status != test.status || !ok && !errors.Is(err, ErrNotJSON) {
				t.Errorf("%s: %v", test.name, err)
			}
			if strings.Contains(string(out), "message_stop") || strings.Contains(string(out), "lost") || len(chunks) == 1 && len(out) > 0 {
				t.Errorf("%s: the client gets %s", test.name, out)
			}
		}
		a := newChatAnswers("smart", nil)
		out, err := a.Whole([]byte("x"), []byte(test.data))
		if told, ok := errors.AsType[*Error](err); ok != (test.status > 0) || ok && told.Status != test.status || string(out) != "x" {
			t.Errorf("%s, whole: %v, %s", test.name, err, out)
		}
	}
	for _, data := range []string{`{"message":"boom","type":"rate_limit_error"}`, `"boom"`, `boom`} {
		_, err := newChatAnswers("smart", nil).Event(nil, sse.Event{Name: []byte("error"), Data: []byte(data), HasData: true})
		if told, ok := errors.AsType[*Error](err); !ok || told.Status == 0 || told.Message == "" {
			t.Errorf("%s: %v", data, err)
		}
	}
	if _, err := newChatAnswers("smart", nil).Whole(nil, []byte(`{"message":"hello"}`)); !errors.Is(err, ErrNotJSON) {
		t.Errorf("an answer without choices: %v", err)
	}
}
