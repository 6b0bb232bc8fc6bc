package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/responses"

	"github.com/runestone-gateway/runestone/sse"
)

// respond translates a request that must be one.
func respond(t testing.TB, body string, target *Target) *Translation {
	t.Helper()
	tr, err := Translate(Responses, Chat, []byte(body), target)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return tr
}

func TestResponsesToChat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body, want string // the parameters beside the model
		between    bool
	}{
		"a text": {`"input":"hi"`, `"messages":[{"role":"user","content":"hi"}]`, false},
		"instructions come first": {
			`"input":"hi","instructions":"Be brief."`,
			`"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]`, false,
		},
		"messages without a type, and with parts": {
			`"input":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"input_text","text":"what"},{"type":"input_image","image_url":"https://a/b.png","detail":"low"}]}]`,
			`"messages":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"what"},{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}}]}]`, false,
		},
		"a file": {
			`"input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}]}]`,
			`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}}]}]`, false,
		},
		"parallel calls are one message, and so is what is said before them": {
			`"input":[{"role":"user","content":"go"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok","annotations":[]}]},
			{"type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1.50}"},{"type":"function_call","call_id":"b","name":"g","arguments":"{}"},
			{"type":"function_call_output","call_id":"a","output":"1"},{"type":"function_call_output","call_id":"b","output":[{"type":"input_text","text":"2"}]}]`,
			`"messages":[{"role":"user","content":"go"},{"role":"assistant","content":"ok","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1.50}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},` +
				`{"role":"tool","content":"1","tool_call_id":"a"},{"role":"tool","content":"2","tool_call_id":"b"}]`, false,
		},
		"flat tools are nested": {
			`"input":"hi","tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object","z":1,"a":2},"strict":true}],"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false`,
			`"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","z":1,"a":2},"strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false`, false,
		},
		"a schema": {
			`"input":"hi","text":{"format":{"type":"json_schema","name":"n","schema":{"b":1,"a":2},"strict":true}}`,
			`"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"b":1,"a":2},"strict":true}}`, false,
		},
		"numbers are exact": {
			`"input":"hi","max_output_tokens":20,"temperature":0.10,"top_p":1e-1,"reasoning":{"effort":"low","summary":"auto"}`,
			`"messages":[{"role":"user","content":"hi"}],"max_completion_tokens":20,"temperature":0.10,"top_p":1e-1,"reasoning_effort":"low"`, false,
		},
		"thinking that comes back goes to whoever has thought it": {
			`"input":[{"role":"user","content":"go"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"` + carrier([]json.RawMessage{json.RawMessage(`{"type":"thinking","thinking":"hm","signature":"s"}`)}) + `"},` +
				`{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"1"}]`,
			`"messages":[{"role":"user","content":"go"},{"role":"assistant","content":null,"reasoning_content":"hm","thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"s"}],"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"1","tool_call_id":"a"}]`, true,
		},
		"thinking that leads nowhere is left out": {
			`"input":[{"type":"reasoning","summary":[]},{"role":"user","content":"go"}]`, `"messages":[{"role":"user","content":"go"}]`, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := respond(t, `{"model":"smart",`+test.body+`}`, &Target{Model: "m", Shown: "smart", Between: test.between})
			sameJSON(t, string(tr.Body), `{"model":"m",`+test.want+`}`)
		})
	}
}

// sameJSON fails the test unless both are the same, the order of the outermost members and space apart.
func sameJSON(t testing.TB, got, want string) {
	t.Helper()
	members := func(text string) map[string]string {
		all := make(map[string]string)
		if err := eachMember([]byte(text), "", func(name string, value []byte) error { all[name] = string(compact(value)); return nil }); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return all
	}
	g, w := members(got), members(want)
	for name := range g {
		if g[name] != w[name] {
			t.Errorf("%s is %s, want %s", name, g[name], w[name])
		}
	}
	for name := range w {
		if _, ok := g[name]; !ok {
			t.Errorf("%s is missing, want %s", name, w[name])
		}
	}
}

func TestResponsesThatNeedMore(t *testing.T) {
	t.Parallel()
	for body, param := range map[string]string{
		`{}`:          "input",
		`{"input":5}`: "input",
		`{"input":"x","previous_response_id":"r"}`:                                                                    "previous_response_id",
		`{"input":"x","conversation":"c"}`:                                                                            "conversation",
		`{"input":"x","prompt":{"id":"p"}}`:                                                                           "prompt",
		`{"input":"x","background":true}`:                                                                             "background",
		`{"input":"x","top_logprobs":2}`:                                                                              "top_logprobs",
		`{"input":"x","tools":[{"type":"web_search"}]}`:                                                               "tools[0].type",
		`{"input":"x","tools":[{"type":"function"}]}`:                                                                 "tools[0].name",
		`{"input":"x","tool_choice":{"type":"mcp"}}`:                                                                  "tool_choice.type",
		`{"input":"x","text":{"format":{"type":"grammar"}}}`:                                                          "text.format.type",
		`{"input":[{"type":"item_reference","id":"i"}]}`:                                                              "input[0]",
		`{"input":[{"type":"web_search_call"}]}`:                                                                      "input[0].type",
		`{"input":[{"role":"user"}]}`:                                                                                 "input[0].content",
		`{"input":[{"role":"nobody","content":"x"}]}`:                                                                 "input[0].role",
		`{"input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]}`:                                "input[0].content[0].file_id",
		`{"input":[{"role":"user","content":[{"type":"input_audio"}]}]}`:                                              "input[0].content[0].type",
		`{"input":[{"type":"function_call_output","call_id":"a","output":"1"}]}`:                                      "input[0].call_id",
		`{"input":[{"type":"function_call","call_id":"a"}]}`:                                                          "input[0].name",
		`{"input":[{"type":"function_call","call_id":"a","name":"f"},{"type":"function_call_output","call_id":"a"}]}`: "input[1].output",
	} {
		_, err := Translate(Responses, Chat, []byte(body), &Target{Model: "m"})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != 400 || told.Param != param {
			t.Errorf("%s: got %+v, want a 400 about %s", body, told, param)
		}
	}
}

// A response as OpenAI's SDK reads it has every member that OpenAI requires.
func wantResponse(t testing.TB, text []byte) responses.Response {
	t.Helper()
	var r responses.Response
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for name, valid := range map[string]bool{
		"id": r.JSON.ID.Valid(), "created_at": r.JSON.CreatedAt.Valid(), "metadata": r.JSON.Metadata.Valid(), "model": r.JSON.Model.Valid(),
		"object": r.JSON.Object.Valid(), "output": r.JSON.Output.Valid(), "parallel_tool_calls": r.JSON.ParallelToolCalls.Valid(),
		"temperature": r.JSON.Temperature.Valid(), "tool_choice": r.JSON.ToolChoice.Valid(), "tools": r.JSON.Tools.Valid(), "top_p": r.JSON.TopP.Valid(),
		"status": r.JSON.Status.Valid(), "text": r.JSON.Text.Valid(), "truncation": r.JSON.Truncation.Valid(),
	} {
		if !valid {
			t.Errorf("the response has no %s: %s", name, text)
		}
	}
	return r
}

func TestChatAnswersToResponses(t *testing.T) {
	t.Parallel()
	answers := respond(t, `{"model":"smart","input":"x","temperature":0.5,"metadata":{"a":"b"}}`, &Target{Model: "m", Shown: "smart"}).Answers
	text, err := answers.Whole(nil, []byte(`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"say \"hi\"","reasoning_content":"hm",
		"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1.0}"}}]},"finish_reason":"tool_calls"}],
		"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":3}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := wantResponse(t, text)
	if r.Status != "completed" || r.Model != "smart" || r.OutputText() != `say "hi"` || r.Temperature != 0.5 || r.Metadata["a"] != "b" {
		t.Errorf("got %s", text)
	}
	if len(r.Output) != 3 || r.Output[0].Type != "reasoning" || r.Output[0].Summary[0].Text != "hm" || r.Output[2].Arguments.OfString != `{"x":1.0}` || r.Output[2].CallID != "a" {
		t.Errorf("the output is %s", text)
	}
	if u := r.Usage; u.InputTokens != 5 || u.OutputTokens != 7 || u.TotalTokens != 12 || u.InputTokensDetails.CachedTokens != 2 || u.OutputTokensDetails.ReasoningTokens != 3 {
		t.Errorf("the usage is %+v", u)
	}
	if u := answers.Usage(); u.Input != 5 || u.Output != 7 {
		t.Errorf("it counts as %+v", u)
	}
	for finish, reason := range map[string]string{"length": "max_output_tokens", "content_filter": "content_filter"} {
		text, err := respond(t, `{"model":"m","input":"x"}`, &Target{}).Answers.Whole(nil, []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"`+finish+`"}]}`))
		if r := wantResponse(t, text); err != nil || r.Status != "incomplete" || r.IncompleteDetails.Reason != reason || r.Output[0].Status != "incomplete" {
			t.Errorf("%s: error %v, %s", finish, err, text)
		}
	}
}

// chatStream is a stream with reasoning, text and two calls in one event and in pieces.
const chatStream = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"reasoning_content":" so","content":"Hé"},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"content":" \"you\""},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}

data: [DONE]

`

// feedResponses translates the events of a stream.
func feedResponses(answers Answers, stream string) (out []byte, err error) {
	for _, block := range strings.SplitAfter(stream, "\n\n") {
		e := sse.Parse([]byte(block))
		if !e.HasData {
			continue
		}
		if out, err = answers.Event(out, e); err != nil {
			return out, err
		}
	}
	return answers.End(out)
}

func TestChatStreamToResponses(t *testing.T) {
	t.Parallel()
	answers := respond(t, `{"model":"smart","input":"x","stream":true}`, &Target{Model: "m", Shown: "smart"}).Answers
	out, err := feedResponses(answers, chatStream)
	if err != nil || !answers.Done() {
		t.Fatalf("error %v, done %v: %s", err, answers.Done(), out)
	}
	var kinds []string
	texts := map[string]string{}
	var last responses.ResponseStreamEventUnion
	for i, block := range strings.Split(strings.TrimSpace(string(out)), "\n\n") {
		e := sse.Parse([]byte(block + "\n\n"))
		last = responses.ResponseStreamEventUnion{}
		if err := json.Unmarshal(e.Data, &last); err != nil {
			t.Fatalf("%s: %v", block, err)
		}
		if last.Type != string(e.Name) || last.SequenceNumber != int64(i) || !last.JSON.SequenceNumber.Valid() {
			t.Errorf("event %d: %s", i, block)
		}
		kinds = append(kinds, strings.TrimPrefix(last.Type, "response."))
		texts[last.Type+last.ItemID] += last.Delta
	}
	want := "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.delta " +
		"reasoning_summary_text.done reasoning_summary_part.done output_item.done " +
		"output_item.added content_part.added output_text.delta output_text.delta output_text.done content_part.done output_item.done " +
		"output_item.added function_call_arguments.delta output_item.added function_call_arguments.delta function_call_arguments.delta " +
		"function_call_arguments.done output_item.done function_call_arguments.done output_item.done completed"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("the events are\n%s, want\n%s", got, want)
	}
	r := wantResponse(t, []byte(last.Response.RawJSON()))
	if r.OutputText() != `Hé "you"` || len(r.Output) != 4 || r.Output[0].Summary[0].Text != "hm so" || r.Output[2].Arguments.OfString != `{"x":1}` ||
		r.Output[3].CallID != "b" || r.Output[3].Arguments.OfString != "{}" || r.Usage.TotalTokens != 12 {
		t.Errorf("the response is %s", r.RawJSON())
	}
}

// What is repeated of a request that was written in several lines is written in one.
func TestResponsesEventsHaveNoLineEnds(t *testing.T) {
	t.Parallel()
	answers := respond(t, "{\"model\":\"m\",\"input\":\"x\",\"metadata\":{\n\"a\":\r\n\"b\"},\"tools\":[\n]}", &Target{}).Answers
	out, err := feedResponses(answers, chatStream)
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		if strings.Count(block, "\n") != 1 || strings.Contains(block, "\r") {
			t.Errorf("%q", block)
		}
	}
}

// One that breaks off is an error, wherever it does before its reason to finish.
func TestChatStreamToResponsesBreaksOff(t *testing.T) {
	t.Parallel()
	blocks := strings.SplitAfter(chatStream, "\n\n")
	for n := range blocks {
		_, err := feedResponses(respond(t, `{"model":"m","input":"x","stream":true}`, &Target{}).Answers, strings.Join(blocks[:n], ""))
		if whole := n >= 8; whole != (err == nil) || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d events the error is %v", n, err)
		}
	}
	_, err := feedResponses(respond(t, `{"model":"m","input":"x"}`, &Target{}).Answers, blocks[0]+`data: {"error":{"message":"no","type":"rate_limit_error"}}`+"\n\n")
	if told, ok := errors.AsType[*Error](err); !ok || told.Status != 429 {
		t.Errorf("an error in the stream is %v", err)
	}
}

// Some servers give every call the index 0.
func TestChatStreamToResponsesWithOneIndex(t *testing.T) {
	t.Parallel()
	out, err := feedResponses(respond(t, `{"model":"m","input":"x"}`, &Target{}).Answers,
		`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	if err != nil || bytes.Count(out, []byte(`event: response.output_item.done`)) != 2 {
		t.Errorf("error %v: %s", err, out)
	}
}

func FuzzResponsesToChat(f *testing.F) {
	f.Add([]byte(`{"model":"m","input":"x","tools":[{"type":"function","name":"f"}],"text":{"format":{"type":"json_schema","schema":{}}}}`))
	f.Add([]byte(`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"u"}]},{"type":"reasoning","encrypted_content":"runestone1.W10","summary":[]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"1"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ScanOpenAI(body); err != nil {
			return
		}
		for _, to := range []API{Chat, Messages, Gemini} {
			tr, err := Translate(Responses, to, body, &Target{Model: "m", Shown: "m"})
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Errorf("the error is %v", err)
				}
				continue
			}
			if !json.Valid(tr.Body) {
				t.Errorf("%s becomes %s", body, tr.Body)
			}
		}
	})
}

func FuzzChatAnswersToResponses(f *testing.F) {
	f.Add(chatStream)
	f.Add("data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"refusal\":\"b\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{}]},\"finish_reason\":\"length\"}]}\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		tr, err := Translate(Responses, Chat, []byte(`{"model":"m","input":"x","stream":true}`), &Target{Model: "m", Shown: "m"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := feedResponses(tr.Answers, stream)
		if err == nil && !tr.Answers.Done() {
			t.Errorf("it ends well and is not done: %s", out)
		}
		for block := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\n"), "\n\n") {
			if e := sse.Parse([]byte(block + "\n\n")); e.HasData && !json.Valid(e.Data) {
				t.Errorf("%q gives %q", stream, block)
			}
		}
	})
}

func BenchmarkChatStreamToResponses(b *testing.B) {
	event := sse.Parse([]byte(`data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n"))
	tr, err := Translate(Responses, Chat, []byte(`{"model":"m","input":"x","stream":true}`), &Target{Model: "m", Shown: "m"})
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if out, err = tr.Answers.Event(out[:0], event); err != nil {
			b.Fatal(err)
		}
	}
}
