package dialect

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

// event is an event as Anthropic writes it. data begins after its type.
func event(kind, data string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + data + "}\n\n"
}

func started(usage string) string {
	return event("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":`+usage+`}`)
}

func blockBegins(i int, block string) string {
	return event("content_block_start", `,"index":`+strconv.Itoa(i)+`,"content_block":{`+block+`}`)
}

// adds is the event that adds to a block. It is padded, as Anthropic pads it.
func adds(i int, kind, member, text string) string {
	return "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":" + strconv.Itoa(i) + `,"delta":{"type":"` + kind + `","` + member + `":` + Quote(text) + "}     }\n\n"
}

func blockEnds(i int) string { return event("content_block_stop", `,"index":`+strconv.Itoa(i)) }

func ends(reason, usage string) string {
	return event("message_delta", `,"delta":{"stop_reason":"`+reason+`","stop_sequence":null},"usage":`+usage) + event("message_stop", "")
}

// delta is the chunk with a delta.
func delta(members string) string {
	return `{"id":"msg_1","object":"chat.completion.chunk","created":1764000000,"model":"smart","choices":[{"index":0,"delta":{` + members + `},"logprobs":null,"finish_reason":null}]}`
}

func finished(reason string) string {
	return `{"id":"msg_1","object":"chat.completion.chunk","created":1764000000,"model":"smart","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"` + reason + `"}]}`
}

const roleChunk = `"role":"assistant","content":""`

func argumentsChunk(i int, text string) string {
	return delta(`"tool_calls":[{"index":` + strconv.Itoa(i) + `,"function":{"arguments":` + Quote(text) + `}}]`)
}

func callChunk(i int, id, name, arguments string) string {
	return delta(`"tool_calls":[{"index":` + strconv.Itoa(i) + `,"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":` + Quote(arguments) + `}}]`)
}

// messagesStreams are streams, and the chunks that become of them, [DONE] left out. Each has a row of protocols.md c.2,
// or a case of those that peers got wrong.
var messagesStreams = []struct {
	name, request, stream string
	chunks                []string
}{
	{"text", ``, started(`{"input_tokens":10,"output_tokens":1}`) + blockBegins(0, `"type":"text","text":""`) + event("ping", "") + adds(0, "text_delta", "text", "Hi") + adds(0, "text_delta", "text", "") +
		adds(0, "text_delta", "text", "\n\"é\"") + blockEnds(0) + ends("end_turn", `{"output_tokens":5}`),
		[]string{delta(roleChunk), delta(`"content":"Hi"`), delta(`"content":"\n\"é\""`), finished("stop")}},
	{"usage, of which a later event leaves out the input", `,"stream":true,"stream_options":{"include_usage":true}`,
		started(`{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":1000,"output_tokens":1}`) + event("message_delta", `,"delta":{},"usage":{"output_tokens":7}`) + ends("max_tokens", `{"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}`),
		[]string{
			strings.Replace(delta(roleChunk), "}]}", `}],"usage":null}`, 1), strings.Replace(finished("length"), "}]}", `}],"usage":null}`, 1),
			`{"id":"msg_1","object":"chat.completion.chunk","created":1764000000,"model":"smart","choices":[],"usage":{"prompt_tokens":1110,"completion_tokens":9,"total_tokens":1119,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":1000},"completion_tokens_details":{"reasoning_tokens":4}}}`,
		}},
	{"ISS: calls, numbered by themselves", ``, started(`{}`) + blockBegins(0, `"type":"text","text":""`) + adds(0, "text_delta", "text", "So:") + blockEnds(0) +
		blockBegins(1, `"type":"server_tool_use","id":"s","name":"web_search","input":{}`) + adds(1, "input_json_delta", "partial_json", `{"query":"q"}`) + blockEnds(1) + blockBegins(2, `"type":"web_search_tool_result","tool_use_id":"s","content":[]`) + blockEnds(2) +
		blockBegins(3, `"type":"tool_use","id":"c1","name":"f","input":{}`) + adds(3, "input_json_delta", "partial_json", "") + adds(3, "input_json_delta", "partial_json", `{"a":`) + adds(3, "input_json_delta", "partial_json", `1.10}`) + blockEnds(3) +
		blockBegins(4, `"type":"tool_use","id":"c2","name":"g","input":{}`) + adds(4, "input_json_delta", "partial_json", `{}`) + blockEnds(4) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), delta(`"content":"So:"`), callChunk(0, "c1", "f", ""), argumentsChunk(0, `{"a":`), argumentsChunk(0, `1.10}`), callChunk(1, "c2", "g", ""), argumentsChunk(1, `{}`), finished("tool_calls")}},
	{"ISS: no arguments are an empty object", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f","input":{}`) + adds(0, "input_json_delta", "partial_json", "") + blockEnds(0) + blockBegins(1, `"type":"tool_use","id":"c2","name":"f"`) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", ""), argumentsChunk(0, "{}"), callChunk(1, "c2", "f", ""), argumentsChunk(1, "{}"), finished("tool_calls")}},
	{"ISS: a call that was cut off before its arguments", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f","input":{}`) + blockEnds(0) + blockBegins(1, `"type":"tool_use","id":"c2","name":"f","input":{}`) + adds(1, "input_json_delta", "partial_json", "") + blockEnds(1) + ends("max_tokens", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", ""), argumentsChunk(0, "{}"), callChunk(1, "c2", "f", ""), finished("length")}},
	{"or before its block ended", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f"`) + ends("max_tokens", `{}`), []string{delta(roleChunk), callChunk(0, "c1", "f", ""), finished("length")}},
	{"a call before what was cut off", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f"`) + blockEnds(0) + blockBegins(1, `"type":"text","text":"A"`) + blockEnds(1) + ends("max_tokens", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", ""), argumentsChunk(0, "{}"), delta(`"content":"A"`), finished("length")}},
	{"calls that end after another has begun", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f"`) + blockBegins(1, `"type":"tool_use","id":"c2","name":"g"`) + blockEnds(0) + adds(1, "input_json_delta", "partial_json", "{") + blockEnds(1) + ends("max_tokens", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", ""), callChunk(1, "c2", "g", ""), argumentsChunk(0, "{}"), argumentsChunk(1, "{"), finished("length")}},
	{"an answer through a tool that was cut off", `,` + schemaF, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"json","input":{}`) + blockEnds(0) + ends("max_tokens", `{}`), []string{delta(roleChunk), finished("length")}},
	{"arguments that are there from the start", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f","input":{ "a": 1 }`) + blockEnds(0) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", `{"a":1}`), finished("tool_calls")}},
	{"calls that go on at the same time", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f","input":{}`) + blockBegins(1, `"type":"tool_use","id":"c2","name":"g","input":{}`) + adds(1, "input_json_delta", "partial_json", "{") + adds(0, "input_json_delta", "partial_json", "{}") + adds(1, "input_json_delta", "partial_json", "}") + blockEnds(1) + blockEnds(0) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", ""), callChunk(1, "c2", "g", ""), argumentsChunk(1, "{"), argumentsChunk(0, "{}"), argumentsChunk(1, "}"), finished("tool_calls")}},
	{"blocks of the same number", ``, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"f","input":{}`) + adds(0, "input_json_delta", "partial_json", "{}") + blockBegins(0, `"type":"server_tool_use","id":"s","name":"x","input":{}`) + adds(0, "input_json_delta", "partial_json", "{}") + ends("tool_use", `{}`),
		[]string{delta(roleChunk), callChunk(0, "c1", "f", ""), argumentsChunk(0, "{}"), finished("tool_calls")}},
	{"ISS: thinking, whole with its signature", ``, started(`{}`) + blockBegins(0, `"type":"thinking","thinking":"","signature":""`) + adds(0, "thinking_delta", "thinking", "a\"b") + adds(0, "thinking_delta", "thinking", "\nc") + adds(0, "signature_delta", "signature", "s/1") + blockEnds(0) +
		blockBegins(1, `"type":"redacted_thinking","data":"x"`) + blockEnds(1) + blockBegins(2, `"type":"thinking","thinking":"","signature":""`) + adds(2, "signature_delta", "signature", "s2") + blockEnds(2) + blockBegins(3, `"type":"text","text":"A"`) + blockEnds(3) + ends("end_turn", `{}`),
		[]string{
			delta(roleChunk), delta(`"reasoning_content":"a\"b"`), delta(`"reasoning_content":"\nc"`), delta(`"content":"A"`),
			delta(`"thinking_blocks":[{"type":"thinking","thinking":"a\"b\nc","signature":"s/1"},{"type":"redacted_thinking","data":"x"},{"type":"thinking","thinking":"","signature":"s2"}]`), finished("stop"),
		}},
	{"thinking that is there from the start", ``, started(`{}`) + blockBegins(0, `"type":"thinking","thinking":"a","signature":"s"`) + blockEnds(0) + blockBegins(1, `"type":"thinking","thinking":"b"`) + blockEnds(1) + blockBegins(2, `"type":"redacted_thinking"`) + ends("end_turn", `{}`),
		[]string{delta(roleChunk), delta(`"reasoning_content":"a"`), delta(`"reasoning_content":"b"`), delta(`"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"}]`), finished("stop")}},
	{"a refusal, told once", ``, started(`{}`) + event("message_delta", `,"delta":{"stop_reason":"refusal","stop_details":{"explanation":"No."}},"usage":{}`) + ends("refusal", `{}`),
		[]string{delta(roleChunk), delta(`"refusal":"No."`), finished("content_filter")}},
	{"a reason that nobody knows, and events", ``, started(`{}`) + event("made_up", `,"x":{"type":"text"}`) + blockBegins(0, `"type":"made_up"`) + event("content_block_delta", `,"index":0,"delta":{"type":"citations_delta","citation":{}}`) + ends("made_up", `{}`),
		[]string{delta(roleChunk), finished("stop")}},
	{"citations of what it has found", `,"web_search_options":{}`, started(`{}`) + blockBegins(0, `"type":"text","text":"\u00e9"`) + blockEnds(0) + blockBegins(1, `"type":"text","text":"","citations":[]`) +
		event("content_block_delta", `,"index":1,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://a","title":"A","encrypted_index":"x"}}`) + adds(1, "text_delta", "text", "it ") + adds(1, "text_delta", "text", "is") +
		event("content_block_delta", `,"index":1,"delta":{"type":"citations_delta","citation":{"url":"https://b","title":null}}`) + blockEnds(1) + blockBegins(2, `"type":"text","text":""`) + adds(2, "text_delta", "text", ".") + blockEnds(2) + ends("end_turn", `{}`),
		[]string{
			delta(roleChunk), delta(`"content":"\u00e9"`), delta(`"content":"it "`), delta(`"content":"is"`), delta(`"content":"."`),
			delta(`"annotations":[{"type":"url_citation","url_citation":{"start_index":1,"end_index":6,"url":"https://a","title":"A"}},{"type":"url_citation","url_citation":{"start_index":1,"end_index":6,"url":"https://b","title":""}}]`), finished("stop"),
		}},
	{"an answer through a tool", `,` + schemaF, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"json","input":{}`) + adds(0, "input_json_delta", "partial_json", `{"b":`) + adds(0, "input_json_delta", "partial_json", `1}`) + blockEnds(0) +
		blockBegins(1, `"type":"tool_use","id":"c2","name":"json","input":{"b":2}`) + adds(1, "input_json_delta", "partial_json", `{"b":2}`) + blockEnds(1) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), delta(`"content":"{\"b\":"`), delta(`"content":"1}"`), finished("stop")}},
	{"an answer through a tool, at once or empty", `,` + schemaF, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"json","input":{"b":2}`) + blockEnds(0) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), delta(`"content":"{\"b\":2}"`), finished("stop")}},
	{"an empty answer through a tool", `,` + schemaF, started(`{}`) + blockBegins(0, `"type":"tool_use","id":"c1","name":"json","input":{}`) + blockEnds(0) + ends("tool_use", `{}`),
		[]string{delta(roleChunk), delta(`"content":"{}"`), finished("stop")}},
	{"another server's, with space, members in another order and [DONE]", ``, "data: {\"message\": {\"id\": \"msg_1\"}, \"type\": \"message_start\"}\n\ndata: {\"delta\": {\"text\": \"A\", \"type\": \"text_delta\"}, \"index\": 0, \"type\": \"content_block_delta\"}\n\n" +
		"data:{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"B\",\"x\":1}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: [DONE]\n\ndata:\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\ndata: nonsense\n\n",
		[]string{delta(roleChunk), delta(`"content":"A"`), delta(`"content":"B"`), finished("stop")}},
	{"two that start", ``, started(`{"input_tokens":1}`) + started(`{}`) + ends("end_turn", `{}`), []string{delta(roleChunk), finished("stop")}},
}

// translateStream translates a stream, which comes in pieces, to its end.
func translateStream(answers Answers, pieces ...string) (out []byte, err error) {
	readers := make([]io.Reader, len(pieces))
	for i, piece := range pieces {
		readers[i] = strings.NewReader(piece)
	}
	source := sse.NewReader(io.MultiReader(readers...))
	defer source.Release()
	for {
		blocks, err := source.Next()
		if err == io.EOF {
			return answers.End(out)
		}
		if err != nil {
			return out, err
		}
		for len(blocks) > 0 {
			n := sse.End(blocks)
			if n == 0 {
				n = len(blocks)
			}
			if e := sse.Parse(blocks[:n]); e.HasData {
				if out, err = answers.Event(out, e); err != nil {
					return out, err
				}
			}
			blocks = blocks[n:]
		}
	}
}

func chunksOf(data []string) string {
	return "data: " + strings.Join(append(slices.Clip(data), "[DONE]"), "\n\ndata: ") + "\n\n"
}

func TestMessagesToChatStream(t *testing.T) {
	t.Parallel()
	for _, test := range messagesStreams {
		answers := newMessagesAnswers(t, test.request)
		got, err := translateStream(answers, test.stream)
		if want := chunksOf(test.chunks); err != nil || string(got) != want {
			t.Errorf("%s (%v)\n got %s\nwant %s", test.name, err, got, want)
		}
		if !answers.Done() {
			t.Errorf("%s: it is not done", test.name)
		}
	}
}

// TestMessagesStreamsAtEverySplit is that it does not matter where a stream is split on the way.
func TestMessagesStreamsAtEverySplit(t *testing.T) {
	t.Parallel()
	for _, test := range messagesStreams {
		want := chunksOf(test.chunks)
		for i := range len(test.stream) {
			if got, err := translateStream(newMessagesAnswers(t, test.request), test.stream[:i], test.stream[i:]); err != nil || string(got) != want {
				t.Fatalf("%s, split at %d (%v)\n got %s\nwant %s", test.name, i, err, got, want)
			}
		}
	}
}

// TestMessagesStreamsThatBreakOff is that a stream is one that broke off unless message_stop has come, and that what came
// before is passed on.
func TestMessagesStreamsThatBreakOff(t *testing.T) {
	t.Parallel()
	for _, test := range messagesStreams {
		want := chunksOf(test.chunks)
		last := strings.Index(test.stream, event("message_stop", "")[:len("event: message_stop")])
		for at := 0; at < last; {
			at += sse.End([]byte(test.stream[at:]))
			if at > last {
				break
			}
			answers := newMessagesAnswers(t, test.request)
			got, err := translateStream(answers, test.stream[:at])
			if !errors.Is(err, io.ErrUnexpectedEOF) || answers.Done() || !strings.HasPrefix(want, string(got)) {
				t.Errorf("%s, ends at %d (%v)\n got %s\nwant %s", test.name, at, err, got, want)
			}
		}
	}
}

func TestMessagesStreamsWithErrors(t *testing.T) {
	t.Parallel()
	for kind, status := range messagesErrors {
		report := event("error", `,"error":{"type":"`+kind+`","message":"M"}`)
		for before, wanted := range map[string]string{"": "", started(`{}`) + blockBegins(0, `"type":"text","text":"A"`): "data: " + delta(roleChunk) + "\n\ndata: " + delta(`"content":"A"`) + "\n\n"} {
			answers := newMessagesAnswers(t, "")
			got, err := translateStream(answers, before+report)
			wantStatus(t, err, status, "M")
			if string(got) != wanted || answers.Done() {
				t.Errorf("%s: %s", kind, got)
			}
		}
	}
	for stream, status := range map[string]int{
		event("error", ""): 502, "data: {\"error\":{\"type\":\"overloaded_error\",\"message\":\" \"}}\n\n": 503, "data: {\"type\":\"error\",\"error\":\"x\"}\n\n": 502,
	} {
		_, err := translateStream(newMessagesAnswers(t, ""), stream)
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != status || strings.TrimSpace(e.Message) == "" {
			t.Errorf("%s: %#v", stream, err)
		}
	}
	for _, stream := range []string{
		"data: nonsense\n\n", "data: null\n\n", "data: [1]\n\n", event("content_block_delta", `,"delta":7`), event("message_start", ""), event("message_start", `,"message":"x"`),
		// What a provider sends has not been checked before, unlike a request.
		"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\x19\"}}\n\n",
		"data: {\"index\":0,\"delta\":{\"text\":\"\x19\",\"type\":\"text_delta\"},\"type\":\"content_block_delta\"}\n\n",
		event("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"\x19\"}}"),
		"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}\n\n",
	} {
		if got, err := translateStream(newMessagesAnswers(t, ""), started(`{}`)+stream); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%s: %v, %s", stream, err, got)
		}
	}
}

// TestMessagesUsageOfAStreamThatBreaksOff is that what was used is known as soon as it is told.
func TestMessagesUsageOfAStreamThatBreaksOff(t *testing.T) {
	t.Parallel()
	answers := newMessagesAnswers(t, "")
	_, _ = translateStream(answers, started(`{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":1}`)+event("message_delta", `,"usage":{"input_tokens":null,"output_tokens":4}`))
	if got, want := answers.Usage(), (Usage{Input: 8, CachedInput: 3, Output: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestMessagesStreamsWithoutAStart is that there is a role nevertheless, and an ID.
func TestMessagesStreamsWithoutAStart(t *testing.T) {
	t.Parallel()
	got, err := translateStream(newMessagesAnswers(t, ""), adds(0, "text_delta", "text", "A")+ends("end_turn", `{}`))
	lines := strings.Split(string(got), "\n\n")
	if err != nil || len(lines) != 5 || !strings.HasPrefix(lines[0], `data: {"id":"chatcmpl-`) || !strings.Contains(lines[0], roleChunk) || lines[3] != "data: [DONE]" {
		t.Fatalf("%s (%v)", got, err)
	}
	if id, _, _ := strings.Cut(lines[0], ","); !strings.HasPrefix(lines[1], id) || !strings.HasPrefix(lines[2], id) {
		t.Errorf("the ID changes: %s", got)
	}
}
