package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

// chatChunk is an event of a stream with a choice.
func chatChunk(choice string) string {
	return `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"theirs","choices":[` + choice + `],"usage":null}`
}

func deltaChunk(delta string) string {
	return chatChunk(`{"index":0,"delta":` + delta + `,"finish_reason":null}`)
}

func finishChunk(reason string) string {
	return chatChunk(`{"index":0,"delta":{},"finish_reason":"` + reason + `"}`)
}

const chatUsageChunk = `{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":120,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":20},"completion_tokens_details":{"reasoning_tokens":4}}}`

// toolChunk is an event with a fragment of a call: its index, ID, name and arguments, each left out if it is "".
func toolChunk(index, id, name, arguments string) string {
	var w writer
	w.open('{')
	if index != "" {
		w.key("index")
		w.literal(index)
	}
	if id != "" {
		w.member("id", id)
	}
	w.key("function")
	w.open('{')
	if name != "" {
		w.member("name", name)
	}
	w.member("arguments", arguments)
	w.close('}')
	w.close('}')
	return deltaChunk(`{"tool_calls":[` + string(w.b) + `]}`)
}

// feedChat has a stream of events translated, and returns what the client gets up to the end or an error. Each event is
// in memory that is overwritten after it.
func feedChat(a Answers, chunks ...string) ([]byte, error) {
	var out []byte
	for _, c := range chunks {
		data := []byte(c)
		var err error
		out, err = a.Event(out, sse.Event{Data: data, HasData: true})
		for i := range data {
			data[i] = 'X'
		}
		if err != nil {
			return out, err
		}
	}
	return a.End(out)
}

// summary reads events as the strictest of Anthropic's clients does, and returns what they say, a word for each:
// message, +text, the text, -, and so on.
func summary(stream []byte) (string, error) {
	var words []string
	open, next := -1, 0
	for len(stream) > 0 {
		n := sse.End(stream)
		if n == 0 {
			return "", errors.New("an event has no end")
		}
		e := sse.Parse(stream[:n])
		stream = stream[n:]
		var v struct {
			Type    string
			Index   *int
			Message struct {
				ID, Model, Type, Role string
				Content               []any
				Usage                 map[string]any
			}
			ContentBlock struct{ Type, ID, Name, Data string } `json:"content_block"`
			Delta        struct {
				Type, Text, Thinking, Signature string
				PartialJSON                     string `json:"partial_json"`
				StopReason                      string `json:"stop_reason"`
			}
			Usage map[string]any
		}
		if err := json.Unmarshal(e.Data, &v); err != nil || v.Type != string(e.Name) {
			return "", fmt.Errorf("%q is no event: %w", e.Data, err)
		}
		switch v.Type {
		case "message_start":
			m := v.Message
			if words != nil || !strings.HasPrefix(m.ID, "msg_") || m.Model != "smart" || m.Type != "message" || m.Role != "assistant" || m.Content == nil || m.Usage["input_tokens"] == nil || m.Usage["output_tokens"] == nil {
				return "", fmt.Errorf("it starts with %s", e.Data)
			}
			words = append(words, "message")
		case "content_block_start":
			if open >= 0 || v.Index == nil || *v.Index != next {
				return "", fmt.Errorf("a block starts too early, or with another number: %s", e.Data)
			}
			b := v.ContentBlock
			open = next
			id := randomIDs.ReplaceAllString(b.ID, "toolu_random")
			words = append(words, "+"+strings.Join(strings.Fields(strings.Join([]string{b.Type, id, b.Name, b.Data}, " ")), ":"))
		case "content_block_delta":
			if v.Index == nil || *v.Index != open {
				return "", fmt.Errorf("a delta of a block that is not open: %s", e.Data)
			}
			d := v.Delta
			if d.Type == "signature_delta" {
				d.Signature = "sig=" + d.Signature
			}
			words = append(words, d.Text+d.Thinking+d.PartialJSON+d.Signature)
		case "content_block_stop":
			if v.Index == nil || *v.Index != open {
				return "", fmt.Errorf("a block stops that is not open: %s", e.Data)
			}
			open = -1
			next++
			words = append(words, "-")
		case "message_delta":
			if open >= 0 || v.Usage["input_tokens"] == nil || v.Usage["output_tokens"] == nil {
				return "", fmt.Errorf("it ends with %s", e.Data)
			}
			words = append(words, v.Delta.StopReason)
		case "message_stop":
			words = append(words, "stop")
		default:
			return "", fmt.Errorf("an unknown event: %s", e.Data)
		}
	}
	return strings.Join(words, " "), nil
}

func TestChatStreamToMessages(t *testing.T) {
	t.Parallel()
	const start, f = "message ", "+tool_use:call_1:f"
	for _, test := range []struct {
		name   string
		chunks []string
		want   string
	}{
		{"text, and the usage after the end", []string{deltaChunk(`{"role":"assistant","content":""}`), deltaChunk(`{"content":"Hel"}`), deltaChunk(`{"content":"lo"}`), finishChunk("stop"), chatUsageChunk, "[DONE]"}, "+text Hel lo - end_turn stop"},
		{"the usage with the end (Groq, xAI, Ollama)", []string{deltaChunk(`{"content":"a"}`), `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`}, "+text a - end_turn stop"},
		{"the usage never", []string{deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]"}, "+text a - end_turn stop"},
		{"the usage before", []string{chatUsageChunk, deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+text a - end_turn stop"},
		{"no [DONE]", []string{deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+text a - end_turn stop"},
		{"no reason to finish (Ollama, pydantic-ai#2996)", []string{deltaChunk(`{"content":"a"}`), "[DONE]"}, "+text a - end_turn stop"},
		{"nothing at all", []string{"[DONE]"}, "end_turn stop"},
		{"a role and no more", []string{deltaChunk(`{"role":"assistant","content":""}`), finishChunk("stop"), "[DONE]"}, "end_turn stop"},
		{"no choices (litellm#30761)", []string{`{"id":"","choices":[]}`, "[DONE]"}, "end_turn stop"},
		{"Azure's first chunk", []string{`{"id":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, deltaChunk(`{"content":"a"}`), chatChunk(`{"index":0,"finish_reason":null,"content_filter_offsets":{}}`), finishChunk("stop"), chatUsageChunk, "[DONE]"}, "+text a - end_turn stop"},
		{"cut off", []string{deltaChunk(`{"content":"a"}`), finishChunk("length"), "[DONE]"}, "+text a - max_tokens stop"},
		{"filtered", []string{deltaChunk(`{"content":"a"}`), finishChunk("content_filter"), "[DONE]"}, "+text a - refusal stop"},
		{"a refusal", []string{deltaChunk(`{"refusal":"I ca"}`), deltaChunk(`{"refusal":"n't."}`), finishChunk("stop"), "[DONE]"}, "+text I ca n't. - refusal stop"},
		{"an unknown reason", []string{deltaChunk(`{"content":"a"}`), finishChunk("eos"), "[DONE]"}, "+text a - end_turn stop"},
		{"reasoning, then text", []string{deltaChunk(`{"reasoning_content":"h"}`), deltaChunk(`{"reasoning":"m"}`), deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+thinking h m - +text a - end_turn stop"},
		{"reasoning and text in one event (vLLM)", []string{deltaChunk(`{"content":"a","reasoning_content":"hm"}`), finishChunk("stop")}, "+thinking hm - +text a - end_turn stop"},
		{"text, the reason and the usage in one event (litellm combined chunk)", []string{`{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"hm","content":"a","tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`}, "+thinking hm - +text a - " + f + " {} - tool_use stop"},
		{"thinking again", []string{deltaChunk(`{"reasoning":"h"}`), deltaChunk(`{"content":"a"}`), deltaChunk(`{"reasoning":"m"}`), finishChunk("stop")}, "+thinking h - +text a - +thinking m - end_turn stop"},
		{"Mistral's parts", []string{deltaChunk(`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}`), deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+thinking hm - +text a - end_turn stop"},
		{"Anthropic's blocks of thinking", []string{deltaChunk(`{"reasoning_content":"h"}`), deltaChunk(`{"thinking_blocks":[{"type":"thinking","thinking":"h","signature":"s"}]}`), deltaChunk(`{"thinking_blocks":[{"type":"redacted_thinking","data":"xyz"}]}`), deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+thinking h sig=s - +redacted_thinking:xyz - +text a - end_turn stop"},
		{"thinking that is not shown but signed", []string{deltaChunk(`{"thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"}]}`), deltaChunk(`{"reasoning":"m"}`), finishChunk("stop")}, "+thinking sig=s - +thinking m - end_turn stop"},
		{"blocks that repeat the reasoning without a signature", []string{deltaChunk(`{"reasoning_content":"h","thinking_blocks":[{"type":"thinking","thinking":"h","signature":""}]}`), deltaChunk(`{"thinking_blocks":[{"type":"thinking","thinking":"m","signature":null},{"type":"odd"}]}`), finishChunk("stop")}, "+thinking h m - end_turn stop"},
		{"Google's signatures are in the IDs of calls", []string{deltaChunk(`{"content":"a"}`), deltaChunk(`{"thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:sig"}]}`), deltaChunk(`{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig"}}}]}`), finishChunk("stop")}, "+text a - +tool_use:call_1__sig_c2ln:f {} - tool_use stop"},
		{"a call, and a reason that does not say so (bifrost#6123)", []string{toolChunk("0", "call_1", "f", ""), toolChunk("0", "", "", `{"a":`), toolChunk("0", "", "", `1}`), finishChunk("stop"), "[DONE]"}, f + ` {"a": 1} - tool_use stop`},
		{"a call that is cut off", []string{toolChunk("0", "call_1", "f", `{"a`), finishChunk("length"), "[DONE]"}, f + ` {"a - max_tokens stop`},
		{"a reason that says so, and no call", []string{deltaChunk(`{"content":"a"}`), finishChunk("tool_calls"), "[DONE]"}, "+text a - end_turn stop"},
		{"a call in one event (xAI, Gemini)", []string{toolChunk("0", "call_1", "f", `{}`), finishChunk("tool_calls")}, f + ` {} - tool_use stop`},
		{"a call without arguments", []string{toolChunk("0", "call_1", "f", ``), finishChunk("tool_calls")}, f + ` - tool_use stop`},
		{"text before and after a call", []string{deltaChunk(`{"content":"a"}`), toolChunk("0", "call_1", "f", `{}`), deltaChunk(`{"content":"b"}`), finishChunk("tool_calls")}, "+text a - " + f + " {} - +text b - tool_use stop"},
		{"text in the midst of a call", []string{toolChunk("0", "call_1", "f", `{`), deltaChunk(`{"content":"b"}`), deltaChunk(`{"content":"c"}`), toolChunk("0", "", "", `}`), deltaChunk(`{"content":"d"}`), finishChunk("tool_calls")}, f + " { } - +text bc d - tool_use stop"},
		{"parallel calls", []string{toolChunk("0", "call_1", "f", ""), toolChunk("0", "", "", `{"a":"}\""}`), toolChunk("1", "call_2", "g", ""), toolChunk("1", "", "", `{}`), finishChunk("tool_calls")}, f + ` {"a":"}\""} - +tool_use:call_2:g {} - tool_use stop`},
		{"parallel calls on the same index (smolagents#1958)", []string{toolChunk("0", "call_1", "f", `{"a":1}`), toolChunk("0", "call_2", "f", `{"a":2}`), finishChunk("tool_calls")}, f + ` {"a":1} - +tool_use:call_2:f {"a":2} - tool_use stop`},
		{"parallel calls in one event", []string{deltaChunk(`{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"call_2","function":{"name":"f","arguments":"{}"}}]}`), finishChunk("stop")}, f + ` {} - +tool_use:call_2:f {} - tool_use stop`},
		{"calls without an index", []string{toolChunk("", "call_1", "f", `{`), toolChunk("", "call_1", "", `}`), toolChunk("", "call_2", "g", ``), toolChunk("", "", "", `{}`), finishChunk("stop")}, f + ` { } - +tool_use:call_2:g {} - tool_use stop`},
		{"calls without an ID get one each", []string{toolChunk("0", "", "f", `{}`), toolChunk("0", "", "f", `{}`), toolChunk("", "", "g", `{}`), finishChunk("stop")}, `+tool_use:toolu_random:f {} - +tool_use:toolu_random:f {} - +tool_use:toolu_random:g {} - tool_use stop`},
		{"calls with the same ID get another", []string{toolChunk("0", "call_1", "f", `{}`), toolChunk("1", "call_1", "f", `{"a"`), toolChunk("1", "call_1", "f", `:1}`), finishChunk("stop")}, f + ` {} - +tool_use:toolu_random:f {"a" :1} - tool_use stop`},
		{"an ID and a name that are said again", []string{toolChunk("0", "call_1", "f", `{`), toolChunk("0", "call_1", "f", `}`), toolChunk("0", "call_1", "f", ``), finishChunk("stop")}, f + ` { } - tool_use stop`},
		{"an index that begins with 1", []string{toolChunk("1", "call_1", "f", `{}`), finishChunk("stop")}, f + ` {} - tool_use stop`},
		{"a name that comes later", []string{toolChunk("0", "call_1", "", `{"a":`), toolChunk("0", "", "f", `1`), toolChunk("0", "", "", `}`), finishChunk("stop")}, f + ` {"a": 1 } - tool_use stop`},
		{"interleaved calls (headroom#2890)", []string{toolChunk("0", "call_1", "f", `{`), toolChunk("1", "call_2", "g", `{"b`), toolChunk("0", "", "", `"a":1`), toolChunk("1", "", "", `":2`), toolChunk("0", "", "", `}`), toolChunk("1", "", "", `}`), finishChunk("stop")}, f + ` { "a":1 } - +tool_use:call_2:g {"b":2 } - tool_use stop`},
		{"interleaved calls, all at the end", []string{toolChunk("0", "call_1", "f", ``), toolChunk("1", "call_2", "g", ``), toolChunk("2", "call_3", "h", `{}`), toolChunk("1", "", "", `{}`), finishChunk("stop")}, f + ` - +tool_use:call_2:g {} - +tool_use:call_3:h {} - tool_use stop`},
		{"a fragment of nothing", []string{toolChunk("0", "", "", ``), deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+text a - end_turn stop"},
		{"a function_call", []string{deltaChunk(`{"function_call":{"name":"f","arguments":""}}`), deltaChunk(`{"function_call":{"arguments":"{}"}}`), finishChunk("function_call")}, `+tool_use:toolu_random:f {} - tool_use stop`},
		{"a name that was too long", []string{toolChunk("0", "call_1", shortName, `{}`), finishChunk("stop")}, `+tool_use:call_1:` + longName + ` {} - tool_use stop`},
		{"other choices", []string{chatChunk(`{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}`), chatChunk(`{"index":1,"delta":{},"finish_reason":"length"}`), finishChunk("stop")}, "+text a - end_turn stop"},
		{"what comes after the end", []string{deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]", deltaChunk(`{"content":"b"}`), chatUsageChunk, "[DONE]"}, "+text a - end_turn stop"},
		{"something else, and nothing", []string{`{"type":"ping"}`, "", " ", deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE] "}, "+text a - end_turn stop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newChatAnswers("smart", map[string]string{shortName: longName})
			out, err := feedChat(a, test.chunks...)
			if err != nil || !a.Done() {
				t.Fatalf("error %v, done %v, after %s", err, a.Done(), out)
			}
			got, err := summary(out)
			if want := start + test.want; err != nil || got != want {
				t.Errorf("got  %s\nwant %s\n%v", got, want, err)
			}
		})
	}
}

// TestChatStreamBytes is what a stream is to the byte.
func TestChatStreamBytes(t *testing.T) {
	t.Parallel()
	got, err := Translate(Messages, Chat, []byte(`{"max_tokens":1,"stream":true,`+says(`"`+strings.Repeat("a", 40)+`"`)+`}`), &Target{Model: "theirs", Shown: "smart"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := feedChat(got.Answers, deltaChunk(`{"role":"assistant","content":""}`), deltaChunk(`{"content":"\ud83c"}`), deltaChunk(`{"content":"\udf0d\u2028"}`), toolChunk("0", "call_1", "f", `{"n":1.10}`), finishChunk("tool_calls"), chatUsageChunk, "[DONE]")
	want := `event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"smart","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":28,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ud83c"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\udf0d\u2028"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_1","name":"f","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"n\":1.10}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":70,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}}

event: message_stop
data: {"type":"message_stop"}

`
	if err != nil || string(out) != want {
		t.Errorf("error %v, got\n%s", err, out)
	}
	if u := got.Answers.Usage(); u != (Usage{120, 30, 20, 9, 4}) {
		t.Errorf("usage %+v", u)
	}
}

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

// recordedChat is a stream with a bit of everything, as bytes.
var recordedChat = func() []byte {
	var b []byte
	for _, c := range []string{
		`{"id":"","model":"","choices":[],"prompt_filter_results":[]}`, deltaChunk(`{"role":"assistant","content":""}`), deltaChunk(`{"reasoning_content":"h\u00e9m"}`),
		deltaChunk(`{"content":"Grüß "}`), deltaChunk(`{"content":"Gott 🌍"}`), toolChunk("0", "call_1", "f", ``), toolChunk("0", "", "", `{"a`), toolChunk("1", "call_2", "g", `{}`),
		toolChunk("0", "", "", `":"é"}`), finishChunk("tool_calls"), chatUsageChunk, "[DONE]",
	} {
		b = sse.AppendData(b, []byte(c))
	}
	return b
}()

const recordedSummary = `message +thinking hém - +text Grüß  Gott 🌍 - +tool_use:call_1:f {"a ":"é"} - +tool_use:call_2:g {} - tool_use stop`

// pump has a stream of bytes translated that arrives in pieces.
func pump(a Answers, stream io.Reader) (out []byte, err error) {
	r := sse.NewReader(stream)
	defer r.Release()
	for {
		blocks, err := r.Next()
		if err == io.EOF {
			return a.End(out)
		}
		if err != nil {
			return out, err
		}
		for len(blocks) > 0 {
			n := sse.End(blocks)
			if n == 0 {
				n = len(blocks)
			}
			e := sse.Parse(blocks[:n])
			blocks = blocks[n:]
			if !e.HasData {
				continue
			}
			if out, err = a.Event(out, e); err != nil {
				return out, err
			}
		}
	}
}

func TestChatStreamInTwoPieces(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"\n", "\r\n", "\r"} {
		stream := bytes.ReplaceAll(recordedChat, []byte("\n"), []byte(ends))
		for i := range stream {
			out, err := pump(newChatAnswers("smart", nil), io.MultiReader(bytes.NewReader(stream[:i]), bytes.NewReader(stream[i:])))
			if err != nil {
				t.Fatalf("cut at byte %d: %v", i, err)
			}
			if got, err := summary(out); err != nil || got != recordedSummary {
				t.Fatalf("cut at byte %d: %v, %s", i, err, got)
			}
		}
	}
}

// TestChatStreamCutOff: a stream that ends before its reason to is an error; what has come until then has been passed
// on; and after the reason nothing is missing but the usage.
func TestChatStreamCutOff(t *testing.T) {
	t.Parallel()
	events := bytes.SplitAfter(recordedChat, []byte("\n\n"))
	finished := slices.IndexFunc(events, func(e []byte) bool { return bytes.Contains(e, []byte(`"finish_reason":"tool_calls"`)) })
	for n := range events {
		a := newChatAnswers("smart", nil)
		out, err := pump(a, bytes.NewReader(bytes.Join(events[:n], nil)))
		if n <= finished {
			if !errors.Is(err, io.ErrUnexpectedEOF) || a.Done() || bytes.Contains(out, []byte("message_stop")) {
				t.Errorf("after %d events: %v, %s", n, err, out)
			}
			continue
		}
		if got, bad := summary(out); err != nil || bad != nil || got != recordedSummary {
			t.Errorf("after %d events: %v, %v, %s", n, err, bad, got)
		}
	}
}

// TestChatStreamAtOnce is that each event becomes the client's when it comes, also when calls follow each other.
func TestChatStreamAtOnce(t *testing.T) {
	t.Parallel()
	a := newChatAnswers("smart", nil)
	for i, step := range []struct{ chunk, want string }{
		{deltaChunk(`{"role":"assistant","content":""}`), "message_start"},
		{deltaChunk(`{"content":"a"}`), `"text":"a"`}, {deltaChunk(`{"content":"b"}`), `"text":"b"`},
		{toolChunk("0", "call_1", "f", `{"a"`), `{\"a\"`}, {toolChunk("0", "", "", `:1}`), `:1}`},
		{toolChunk("1", "call_2", "g", ""), `call_2`}, {toolChunk("1", "", "", `{`), `"{"`}, {finishChunk("tool_calls"), ""}, {chatUsageChunk, "message_stop"},
	} {
		out, err := a.Event(nil, sse.Event{Data: []byte(step.chunk), HasData: true})
		if err != nil || !strings.Contains(string(out), step.want) {
			t.Errorf("event %d: %v, %s", i, err, out)
		}
	}
}

// TestChatStreamIsBounded is that a provider cannot have the gateway keep as much as it likes.
func TestChatStreamIsBounded(t *testing.T) {
	t.Parallel()
	a := newChatAnswers("smart", nil)
	_, err := feedChat(a, toolChunk("0", "call_1", "f", "{"), toolChunk("1", "call_2", "g", ""))
	text := toolChunk("1", "", "", strings.Repeat("x", 1<<20))
	for range 40 {
		if _, err = a.Event(nil, sse.Event{Data: []byte(text), HasData: true}); err != nil {
			break
		}
	}
	if told, ok := errors.AsType[*Error](err); !ok || told.Status != 502 {
		t.Errorf("held text: %v", err)
	}
	a = newChatAnswers("smart", nil)
	for i := range maxCalls + 1 {
		if _, err = a.Event(nil, sse.Event{Data: []byte(toolChunk(fmt.Sprint(i), "", "f", "{}")), HasData: true}); err != nil {
			break
		}
	}
	if told, ok := errors.AsType[*Error](err); !ok || told.Status != 502 {
		t.Errorf("calls: %v", err)
	}
}
