package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openai/openai-go/v3/responses"

	"github.com/runestone-gateway/runestone/sse"
)

// The events as they are written, IDs apart.
func TestResponsesEvents(t *testing.T) {
	t.Parallel()
	out, err := feedChat(responsesOf(t, `,"stream":true`),
		deltaChunk(`{"reasoning":"hm"}`), deltaChunk(`{"content":"H\u00e9 \"you\""}`), deltaChunk(`{"refusal":"no"}`), toolChunk("0", "x", "f", `{"a":1}`), finishChunk("tool_calls"), chatUsageChunk, "[DONE]")
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"type":"output_text","annotations":[],"logprobs":[],"text":"H\u00e9 \"you\""}`
	const refusal = `{"type":"refusal","refusal":"no"}`
	want := []string{
		"created", "in_progress", // see below
		`output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs_","type":"reasoning","status":"in_progress","summary":[]}}`,
		`reasoning_summary_part.added","sequence_number":3,"item_id":"rs_","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}`,
		`reasoning_summary_text.delta","sequence_number":4,"item_id":"rs_","output_index":0,"summary_index":0,"delta":"hm"}`,
		`reasoning_summary_text.done","sequence_number":5,"item_id":"rs_","output_index":0,"summary_index":0,"text":"hm"}`,
		`reasoning_summary_part.done","sequence_number":6,"item_id":"rs_","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"hm"}}`,
		`output_item.done","sequence_number":7,"output_index":0,"item":{"id":"rs_","type":"reasoning","status":"completed","summary":[{"type":"summary_text","text":"hm"}]}}`,
		`output_item.added","sequence_number":8,"output_index":1,"item":{"id":"msg_","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
		`content_part.added","sequence_number":9,"item_id":"msg_","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}`,
		`output_text.delta","sequence_number":10,"item_id":"msg_","output_index":1,"content_index":0,"delta":"H\u00e9 \"you\"","logprobs":[]}`,
		`output_text.done","sequence_number":11,"item_id":"msg_","output_index":1,"content_index":0,"text":"H\u00e9 \"you\"","logprobs":[]}`,
		`content_part.done","sequence_number":12,"item_id":"msg_","output_index":1,"content_index":0,"part":` + text + `}`,
		`content_part.added","sequence_number":13,"item_id":"msg_","output_index":1,"content_index":1,"part":{"type":"refusal","refusal":""}}`,
		`refusal.delta","sequence_number":14,"item_id":"msg_","output_index":1,"content_index":1,"delta":"no"}`,
		`refusal.done","sequence_number":15,"item_id":"msg_","output_index":1,"content_index":1,"refusal":"no"}`,
		`content_part.done","sequence_number":16,"item_id":"msg_","output_index":1,"content_index":1,"part":` + refusal + `}`,
		`output_item.done","sequence_number":17,"output_index":1,"item":{"id":"msg_","type":"message","status":"completed","role":"assistant","content":[` + text + `,` + refusal + `]}}`,
		`output_item.added","sequence_number":18,"output_index":2,"item":{"id":"fc_","type":"function_call","status":"in_progress","call_id":"x","name":"f","arguments":""}}`,
		`function_call_arguments.delta","sequence_number":19,"item_id":"fc_","output_index":2,"delta":"{\"a\":1}"}`,
		`function_call_arguments.done","sequence_number":20,"item_id":"fc_","output_index":2,"name":"f","arguments":"{\"a\":1}"}`,
		`output_item.done","sequence_number":21,"output_index":2,"item":{"id":"fc_","type":"function_call","status":"completed","call_id":"x","name":"f","arguments":"{\"a\":1}"}}`,
		"completed",
	}
	blocks := strings.SplitAfter(anonymous(out), "\n\n")
	if len(blocks) != len(want)+1 {
		t.Fatalf("there are %d events: %s", len(blocks), out)
	}
	for i, w := range want {
		kind, _, whole := strings.Cut(w, `"`)
		if !whole {
			continue
		}
		if w = "event: response." + kind + "\ndata: {\"type\":\"response." + w + "\n\n"; blocks[i] != w {
			t.Errorf("got\n%s, want\n%s", blocks[i], w)
		}
	}
	for i, w := range map[int]string{
		0:             `event: response.created` + "\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_","object":"response","created_at":1,"status":"in_progress",`,
		1:             `event: response.in_progress` + "\n" + `data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_","object":"response","created_at":1,"status":"in_progress",`,
		len(want) - 1: `event: response.completed` + "\n" + `data: {"type":"response.completed","sequence_number":22,"response":{"id":"resp_","object":"response","created_at":1,"status":"completed",`,
	} {
		if !strings.HasPrefix(blocks[i], w) {
			t.Errorf("got %s, want %s", blocks[i], w)
		}
	}
}

// What is repeated of a request that was written in several lines is written in one.
func TestResponsesEventsHaveNoLineEnds(t *testing.T) {
	t.Parallel()
	answers := responsesOf(t, ",\n\"metadata\":{\n\"a\":\r\n\"b\"},\"tools\":[\n{\"type\":\"function\",\n\"name\":\"f\",\"parameters\":{\n}}],\"reasoning\":{\n}")
	out, err := feedChat(answers, deltaChunk("{\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"a\",\n\"signature\":\"s\"}]}"), finishChunk("stop"))
	f, bad := follow(out) // which looks for them
	if err != nil || bad != nil || f.last.Metadata["a"] != "b" {
		t.Errorf("%v, %v, %s", err, bad, out)
	}
}

// A stream gives the same wherever it is cut into pieces.
func TestChatStreamToResponsesInTwoPieces(t *testing.T) {
	t.Parallel()
	var want string
	for ends, step := range map[string]int{"\n": 5, "\r\n": 17, "\r": 23} {
		stream := bytes.ReplaceAll(recordedChat, []byte("\n"), []byte(ends))
		for i := 0; i <= len(stream); i += step {
			out, err := pump(responsesOf(t, ""), io.MultiReader(bytes.NewReader(stream[:i]), bytes.NewReader(stream[i:])))
			if err != nil {
				t.Fatalf("cut at byte %d: %v", i, err)
			}
			got := anonymous(out)
			if want == "" {
				want = got
				if f, err := follow(out); err != nil || f.whole() != nil || f.String() != `+reasoning < hém > - +message < Grüß  Gott 🌍 > - +function_call:f:call_1 {"a +function_call:g:call_2 {} ":"é"} - - completed` {
					t.Fatalf("%s, %v", f, err)
				}
			}
			if got != want {
				t.Fatalf("cut at byte %d it is %s", i, got)
			}
		}
	}
	out, err := pump(responsesOf(t, ""), iotest.OneByteReader(bytes.NewReader(recordedChat)))
	if err != nil || anonymous(out) != want {
		t.Errorf("byte by byte: %v, %s", err, out)
	}
	// A whole answer is what the stream is in the end.
	whole, err := responsesOf(t, "").Whole(nil, []byte(wholeChat(`{"reasoning_content":"h\u00e9m","content":"Grüß Gott 🌍","tool_calls":[{"id":"call_1","function":{"name":"f","arguments":"{\"a\":\"é\"}"}},{"id":"call_2","function":{"name":"g","arguments":"{}"}}]}`, "tool_calls")))
	if f, bad := follow(out); err != nil || bad != nil || anonymous([]byte(f.last.RawJSON())) != anonymous(whole) {
		t.Errorf("%v, %v: whole it is %s, and in the end %s", err, bad, whole, f.last.RawJSON())
	}
}

// Thinking is carried by reasoning, with what it was signed with.
func TestResponsesThinking(t *testing.T) {
	t.Parallel()
	block := func(text, signature string) string {
		return `{"type":"thinking","thinking":"` + text + `","signature":"` + signature + `"}`
	}
	blocks := func(all ...string) string { return deltaChunk(`{"thinking_blocks":[` + strings.Join(all, ",") + `]}`) }
	const redacted = `{"type":"redacted_thinking","data":"xyz="}`
	for _, test := range []struct {
		name   string
		chunks []string
		text   string
		blocks []string
	}{
		{"the text, then the block", []string{deltaChunk(`{"reasoning_content":"h"}`), deltaChunk(`{"reasoning_content":"m"}`), blocks(block("hm", "s"))}, "hm", []string{block("hm", "s")}},
		{"the block alone", []string{blocks(block("hm", "s"))}, "hm", []string{block("hm", "s")}},
		{"two, with their texts", []string{deltaChunk(`{"reasoning_content":"a"}`), blocks(block("a", "s")), deltaChunk(`{"reasoning_content":"b"}`), blocks(block("b", "t"))}, "ab", []string{block("a", "s"), block("b", "t")}},
		{"two alone", []string{blocks(block("a", "s"), block("b", "t"))}, "ab", []string{block("a", "s"), block("b", "t")}},
		{"in pieces, and a signature of them", []string{deltaChunk(`{"reasoning_content":"h","thinking_blocks":[` + block("h", "") + `]}`), blocks(block("m", "")), blocks(block("", "s"))}, "hm", []string{block("hm", "s")}},
		{"redacted", []string{blocks(redacted)}, "", []string{redacted}},
		{"not signed", []string{blocks(block("hm", ""))}, "hm", nil},
		{"Gemini's signature alone", []string{blocks(block("", "gemini:s"))}, "", []string{block("", "gemini:s")}},
		{"something else", []string{deltaChunk(`{"reasoning":"hm"}`), blocks(`{"type":"new"}`, `{}`)}, "hm", nil},
		{"Google's server", []string{deltaChunk(`{"tool_calls":[{"index":0,"id":"x","extra_content":{"google":{"thought_signature":"s"}},"function":{"name":"f","arguments":"{}"}},{"index":1,"id":"y","function":{"name":"g","arguments":"{}"}}]}`)}, "", []string{block("", "gemini:s")}},
		{"the same signature twice", []string{blocks(block("", "gemini:s")), deltaChunk(`{"tool_calls":[{"index":0,"id":"x","extra_content":{"google":{"thought_signature":"s"}},"function":{"name":"f","arguments":"{}"}}]}`)}, "", []string{block("", "gemini:s")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := feedChat(responsesOf(t, ""), append(test.chunks, deltaChunk(`{"content":"so"}`), finishChunk("stop"), "[DONE]")...)
			f, bad := follow(out)
			if err != nil || bad != nil || f.whole() != nil {
				t.Fatalf("%v, %v, %s", err, bad, out)
			}
			first := f.last.Output[0]
			said := ""
			for _, part := range first.Summary {
				said += part.Text
			}
			var got []string
			for _, b := range carriedBlocks(first.EncryptedContent) {
				got = append(got, string(b))
			}
			if first.Type != "reasoning" || said != test.text || !reflect.DeepEqual(got, test.blocks) {
				t.Errorf("got %s, %q, %q", first.Type, said, got)
			}
			if n := strings.Count(f.String(), "+reasoning"); n != 1 {
				t.Errorf("there are %d pieces of reasoning: %s", n, f)
			}
		})
	}
}

// nextTurn is a request with what a response has said, as a client sends it back, and the results of its calls.
func nextTurn(t *testing.T, r responses.Response) string {
	t.Helper()
	items := []string{goes}
	var results []string
	for _, item := range r.Output {
		items = append(items, item.RawJSON())
		if item.Type == "function_call" {
			results = append(results, `{"type":"function_call_output","call_id":"`+item.CallID+`","output":"1"}`)
		}
	}
	return `{"model":"smart","input":[` + strings.Join(append(items, results...), ",") + `],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}`
}

// The thinking of Claude and of Gemini outlives the tool loop of a client of the Responses API.
func TestResponsesToolLoops(t *testing.T) {
	t.Parallel()
	const claude = `{"type":"thinking","thinking":"h\u00e9m","signature":"c2ln"}`
	for name, test := range map[string]struct {
		to            API
		model, stream string
		want          string
	}{
		"Claude": {
			Messages, "claude-sonnet-4-5",
			started(`{"input_tokens":5}`) + blockBegins(0, `"type":"thinking","thinking":"","signature":""`) + adds(0, "thinking_delta", "thinking", `h`) + adds(0, "thinking_delta", "thinking", `ém`) + adds(0, "signature_delta", "signature", "c2ln") + blockEnds(0) +
				blockBegins(1, `"type":"text","text":""`) + adds(1, "text_delta", "text", "so") + blockEnds(1) +
				blockBegins(2, `"type":"tool_use","id":"toolu_1","name":"f","input":{}`) + adds(2, "input_json_delta", "partial_json", `{"a":12345678901234567890}`) + blockEnds(2) + ends("tool_use", `{"output_tokens":7}`) + event("message_stop", ""),
			`[` + strings.ReplaceAll(claude, `\u00e9`, "é") + `,{"type":"text","text":"so"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":12345678901234567890}}]`,
		},
		"Gemini": {
			Gemini, "gemini-3-pro-preview",
			`data: {"responseId":"r","candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"functionCall":{"id":"x","name":"f","args":{"a":1}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"y","name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3,"thoughtsTokenCount":4}}` + "\n\n",
			`[{"functionCall":{"id":"x","name":"f","args":{"a":1}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"y","name":"f","args":{}}}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := &Target{Model: test.model, Shown: "smart"}
			tr, err := Translate(Responses, test.to, []byte(`{"model":"smart","input":"go","stream":true}`), target)
			if err != nil {
				t.Fatal(err)
			}
			out, err := pump(tr.Answers, strings.NewReader(test.stream))
			f, bad := follow(out)
			if err != nil || bad != nil || f.whole() != nil || f.last.Output[0].Type != "reasoning" || f.last.Usage.InputTokens != 5 || f.last.Usage.OutputTokens != 7 {
				t.Fatalf("%v, %v, %s", err, bad, out)
			}
			tr, err = Translate(Responses, test.to, []byte(nextTurn(t, f.last)), target)
			if err != nil || !strings.Contains(string(tr.Body), test.want) {
				t.Errorf("%v: there is no\n%s in\n%s", err, test.want, tr.Body)
			}
		})
	}
}

// An answer that is too long to be repeated is an error, not the end of the gateway's memory.
func TestResponsesThatAreTooLong(t *testing.T) {
	t.Parallel()
	long := deltaChunk(`{"content":"` + strings.Repeat("x", 1<<20) + `"}`)
	for name, chunk := range map[string]func(i int) string{
		"text":                 func(int) string { return long },
		"calls":                func(i int) string { return toolChunk(fmt.Sprint(i), "x", "f", "{}") },
		"calls without a name": func(i int) string { return toolChunk(fmt.Sprint(i), "x", "", "") },
		"items":                func(i int) string { return deltaChunk(`{"` + []string{"content", "reasoning"}[i%2] + `":"a"}`) },
		"parts":                func(i int) string { return deltaChunk(`{"` + []string{"content", "refusal"}[i%2] + `":"a"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := responsesOf(t, "")
			var out []byte
			var err error
			for i := 0; err == nil && i < 2*maxCalls; i++ {
				out, err = answers.Event(out[:0], sse.Event{Data: []byte(chunk(i)), HasData: true})
			}
			if told, ok := errors.AsType[*Error](err); !ok || told.Status != 502 {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestResponsesErrorEvent(t *testing.T) {
	t.Parallel()
	e := &Error{Status: 503, Type: "server_error", Code: "overloaded", Message: "Too much \"to\" do."}
	got := string(e.AppendEvent([]byte("<"), Responses, "r"))
	want := "<event: error\ndata: " + `{"type":"error","sequence_number":0,"code":"overloaded","message":"Too much \"to\" do.","param":null,"error":{"message":"Too much \"to\" do.","type":"server_error","param":null,"code":"overloaded"}}` + "\n\n"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var u responses.ResponseStreamEventUnion
	if err := json.Unmarshal(sse.Parse([]byte(got[1:])).Data, &u); err != nil || u.AsError().Message != e.Message || len(missingMembers(reflect.ValueOf(u), "event")) > 0 {
		t.Errorf("the SDK reads %+v, %v", u, err)
	}
}

// What reports an error has the number after that of the last event, wherever the stream fails.
func TestResponsesErrorsHaveTheNextNumber(t *testing.T) {
	t.Parallel()
	answers := responsesOf(t, "")
	sent := 0
	for _, chunk := range []string{deltaChunk(`{"reasoning":"hm"}`), deltaChunk(`{"content":"a"}`), toolChunk("0", "x", "f", "{}")} {
		told := &Error{Message: "x", Sequence: answers.Sequence()}
		if got := string(told.AppendEvent(nil, Responses, "")); !strings.Contains(got, fmt.Sprintf(`"sequence_number":%d,`, sent)) {
			t.Errorf("after %d events: %s", sent, got)
		}
		out, err := answers.Event(nil, sse.Event{Data: []byte(chunk), HasData: true})
		if err != nil {
			t.Fatal(err)
		}
		sent += strings.Count(string(out), "event: ")
	}
	if got := (&chain{second: answers}).Sequence(); sent < 8 || got != int64(sent) {
		t.Errorf("the next number is %d, after %d events", got, sent)
	}
}
