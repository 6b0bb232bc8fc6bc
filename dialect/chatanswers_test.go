package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
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
	if u := got.Answers.Usage(); u != (Usage{Input: 120, CachedInput: 30, CacheWrite: 20, Output: 9, Reasoning: 4}) {
		t.Errorf("usage %+v", u)
	}
}
