package dialect

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// wholeChat is a whole answer.
func wholeChat(message, finish string) string {
	return `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":` + message + `,"finish_reason":"` + finish + `"}],` +
		`"usage":{"prompt_tokens":120,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":20},"completion_tokens_details":{"reasoning_tokens":4}}}`
}

func TestChatAnswersToResponses(t *testing.T) {
	t.Parallel()
	const usage = `"usage":{"input_tokens":120,"input_tokens_details":{"cached_tokens":30,"cache_write_tokens":20},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":129}`
	// A response with its status, output, and what it repeats of the request.
	response := func(status, details, output, tier string) string {
		return `{"id":"resp_","object":"response","created_at":1,"status":"` + status + `","background":false,"access_programs":{"cyber":"standard"},"error":null,"incomplete_details":` + details +
			`,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"metadata":{},"model":"smart","output":[` + output + `],"parallel_tool_calls":true,"previous_response_id":null,` +
			`"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"` + tier + `","store":false,"temperature":1,"text":{"format":{"type":"text"}},` +
			`"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1,"truncation":"disabled",` + usage + `,"user":null}`
	}
	text := func(status, text string) string {
		return `{"id":"msg_","type":"message","status":"` + status + `","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"` + text + `"}]}`
	}
	call := func(status, id, name, arguments string) string {
		return `{"id":"fc_","type":"function_call","status":"` + status + `","call_id":"` + id + `","name":"` + name + `","arguments":"` + arguments + `"}`
	}
	for name, test := range map[string]struct{ answer, want string }{
		"a text, as it was written": {wholeChat(`{"role":"assistant","content":"say \"h\u00e9\" 🌍","refusal":null}`, "stop"), response("completed", "null", text("completed", `say \"h\u00e9\" 🌍`), "default")},
		"a service tier":            {`{"service_tier":"flex",` + wholeChat(`{"content":"a"}`, "stop")[1:], response("completed", "null", text("completed", "a"), "flex")},
		"one that OpenAI does not have": {
			`{"service_tier":"on_demand",` + wholeChat(`{"content":"a"}`, "stop")[1:], response("completed", "null", text("completed", "a"), "default"),
		},
		"cut off":      {wholeChat(`{"content":"a"}`, "length"), response("incomplete", `{"reason":"max_output_tokens"}`, text("incomplete", "a"), "default")},
		"filtered":     {wholeChat(`{"content":"a"}`, "content_filter"), response("incomplete", `{"reason":"content_filter"}`, text("incomplete", "a"), "default")},
		"nothing":      {wholeChat(`{"content":null}`, "stop"), response("completed", "null", text("completed", ""), "default")},
		"nothing, cut": {wholeChat(`{"content":null}`, "length"), response("incomplete", `{"reason":"max_output_tokens"}`, "", "default")},
		"a refusal": {
			wholeChat(`{"content":null,"refusal":"no"}`, "stop"),
			response("completed", "null", `{"id":"msg_","type":"message","status":"completed","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}`, "default"),
		},
		"a refusal after a text": {
			wholeChat(`{"content":"I","refusal":"no"}`, "content_filter"),
			response("incomplete", `{"reason":"content_filter"}`, `{"id":"msg_","type":"message","status":"incomplete","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"I"},{"type":"refusal","refusal":"no"}]}`, "default"),
		},
		"reasoning, text and parallel calls": {
			wholeChat(`{"content":"so","reasoning_content":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":12345678901234567890}"}},{"id":"b","type":"function","function":{"name":"g","arguments":""}}]}`, "tool_calls"),
			response("completed", "null", `{"id":"rs_","type":"reasoning","status":"completed","summary":[{"type":"summary_text","text":"hm"}]},`+
				text("completed", "so")+","+call("completed", "a", "f", `{\"x\":12345678901234567890}`)+","+call("completed", "b", "g", "{}"), "default"),
		},
		"calls of which the last is cut off": {
			wholeChat(`{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"{\"a"}}]}`, "length"),
			response("incomplete", `{"reason":"max_output_tokens"}`, call("completed", "a", "f", "{}")+","+call("incomplete", "b", "g", `{\"a`), "default"),
		},
		"thinking with its signature": {
			wholeChat(`{"content":"so","reasoning_content":"hm","thinking_blocks":[`+signedThought+`]}`, "stop"),
			response("completed", "null", `{"id":"rs_","type":"reasoning","status":"completed","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"`+carrierPrefix+`W3sidHlwZSI6InRoaW5raW5nIiwidGhpbmtpbmciOiJobSIsInNpZ25hdHVyZSI6InMifV0"},`+text("completed", "so"), "default"),
		},
		"no choice": {`{"choices":[],` + wholeChat(`{}`, "stop")[strings.Index(wholeChat(`{}`, "stop"), `"usage"`):], response("completed", "null", text("completed", ""), "default")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := responsesOf(t, "")
			got, err := answers.Whole([]byte("<"), []byte(test.answer))
			if err != nil || got[0] != '<' {
				t.Fatalf("%v: %s", err, got)
			}
			if got := anonymous(got[1:]); got != test.want {
				t.Errorf("got\n%s, want\n%s", got, test.want)
			}
			wantResponse(t, got[1:])
			if u := answers.Usage(); u != (Usage{Input: 120, CachedInput: 30, CacheWrite: 20, Output: 9, Reasoning: 4}) {
				t.Errorf("the usage is %+v", u)
			}
		})
	}
}

func TestResponsesRepeatTheRequest(t *testing.T) {
	t.Parallel()
	answers := responsesOf(t, `,"instructions":"i","max_output_tokens":20,"max_tool_calls":2,"metadata":{"a":"b"},"parallel_tool_calls":false,"prompt_cache_key":"k","reasoning":{"effort":"low"},"safety_identifier":"s",
		"temperature":0.10,"text":{"format":{"type":"json_schema","name":"n","schema":{"b":1,"a":2}}},"tool_choice":{"type":"function","name":"f"},"tools":[{"type":"function","name":"f"},
		{"name":"g","parameters":{"type":"object"},"strict":null,"description":"d","type":"function"}],"top_p":0.5,"truncation":"auto","user":"u"`)
	got, err := answers.Whole(nil, []byte(wholeChat(`{"content":"a"}`, "stop")))
	if err != nil {
		t.Fatal(err)
	}
	wantResponse(t, got)
	for _, want := range []string{
		`"instructions":"i"`, `"max_output_tokens":20`, `"max_tool_calls":2`, `"metadata":{"a":"b"}`, `"parallel_tool_calls":false`, `"prompt_cache_key":"k"`, `"reasoning":{"effort":"low"}`, `"safety_identifier":"s"`,
		`"temperature":0.10`, `"text":{"format":{"type":"json_schema","name":"n","schema":{"b":1,"a":2}}}`, `"tool_choice":{"type":"function","name":"f"}`, `"top_p":0.5`, `"truncation":"auto"`, `"user":"u"`, `"store":false`,
		`"tools":[{"type":"function","name":"f","parameters":null,"strict":false},{"name":"g","parameters":{"type":"object"},"strict":null,"description":"d","type":"function"}]`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("there is no %s in %s", want, got)
		}
	}
}

func TestChatAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		``: 0, `no`: 0, `[]`: 0, `{}`: 0, `{"object":"response"}`: 0,
		`{"error":{"message":"x","code":"rate_limit_exceeded"}}`: 429, `{"error":{"message":"x","code":402}}`: 402, `{"object":"error","message":"x"}`: 502,
		wholeChat(`{"content":"a"}`, "error"):                                          502,
		wholeChat(`{"content":"a"}`, "insufficient_system_resource"):                   503,
		wholeChat(`{"tool_calls":[{"id":"a","function":{"arguments":"{}"}}]}`, "stop"): 502,
	} {
		out, err := responsesOf(t, "").Whole([]byte("<"), []byte(body))
		told, ok := errors.AsType[*Error](err)
		if status == 0 && !errors.Is(err, ErrNotJSON) || status != 0 && (!ok || told.Status != status) || string(out) != "<" {
			t.Errorf("%s: %v, %q", body, err, out)
		}
	}
}

func TestChatStreamToResponses(t *testing.T) {
	t.Parallel()
	const role = `{"role":"assistant","content":""}`
	for _, test := range []struct {
		name   string
		chunks []string
		want   string
	}{
		{"text, and the usage after the end", []string{deltaChunk(role), deltaChunk(`{"content":"Hel"}`), deltaChunk(`{"content":"lo"}`), finishChunk("stop"), chatUsageChunk, "[DONE]"}, "+message < Hel lo > - completed"},
		{"usage with the reason", []string{deltaChunk(`{"content":"a"}`), strings.TrimSuffix(finishChunk("stop"), "}") + `,"usage":{"prompt_tokens":1}}`}, "+message < a > - completed"},
		{"no usage at all", []string{deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]"}, "+message < a > - completed"},
		{"no DONE either", []string{deltaChunk(`{"content":"a"}`), finishChunk("stop")}, "+message < a > - completed"},
		{"Azure's first event", []string{`{"id":"","model":"","choices":[],"prompt_filter_results":[]}`, deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]"}, "+message < a > - completed"},
		{"everything in one event", []string{chatChunk(`{"index":0,"delta":{"reasoning":"hm","content":"a","tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}`), "[DONE]"},
			"+reasoning < hm > - +message < a > - +function_call:f:x {} - completed"},
		{"cut off", []string{deltaChunk(`{"content":"a"}`), finishChunk("length"), "[DONE]"}, "+message < a > -incomplete incomplete:max_output_tokens"},
		{"cut off while it thinks", []string{deltaChunk(`{"reasoning_content":"hm"}`), finishChunk("length"), "[DONE]"}, "+reasoning < hm > -incomplete incomplete:max_output_tokens"},
		{"filtered", []string{deltaChunk(`{"content":"a"}`), finishChunk("content_filter"), "[DONE]"}, "+message < a > -incomplete incomplete:content_filter"},
		{"nothing", []string{deltaChunk(role), finishChunk("stop"), "[DONE]"}, "+message < > - completed"},
		{"nothing but a reason that is cut", []string{finishChunk("length"), "[DONE]"}, "incomplete:max_output_tokens"},
		{"a refusal", []string{deltaChunk(`{"refusal":"I "}`), deltaChunk(`{"refusal":"won't"}`), finishChunk("stop"), "[DONE]"}, "+message < I  won't > - completed"},
		{"a refusal between texts", []string{deltaChunk(`{"content":"a"}`), deltaChunk(`{"refusal":"b"}`), deltaChunk(`{"content":"c"}`), finishChunk("stop"), "[DONE]"}, "+message < a > < b > < c > - completed"},
		{"reasoning after text", []string{deltaChunk(`{"content":"a"}`), deltaChunk(`{"reasoning":"b"}`), deltaChunk(`{"content":"c"}`), finishChunk("stop"), "[DONE]"}, "+message < a > - +reasoning < b > - +message < c > - completed"},
		{"a call in pieces", []string{toolChunk("0", "x", "f", ""), toolChunk("0", "", "", `{"a":`), toolChunk("0", "", "", `"é"}`), finishChunk("tool_calls"), "[DONE]"}, `+function_call:f:x {"a": "é"} - completed`},
		{"calls one after the other, from 1", []string{toolChunk("1", "x", "f", "{}"), toolChunk("2", "y", "g", ""), toolChunk("2", "", "", "{}"), finishChunk("tool_calls"), "[DONE]"}, "+function_call:f:x {} - +function_call:g:y {} - completed"},
		{"calls that take turns", []string{toolChunk("0", "x", "f", `{"a`), toolChunk("1", "y", "g", `{"b`), toolChunk("0", "", "", `":1}`), toolChunk("1", "", "", `":2}`), finishChunk("tool_calls"), "[DONE]"},
			`+function_call:f:x {"a +function_call:g:y {"b ":1} ":2} - - completed`},
		{"calls that all have the index 0", []string{toolChunk("0", "x", "f", "{}"), toolChunk("0", "y", "g", `{"a":1}`), finishChunk("stop"), "[DONE]"}, `+function_call:f:x {} - +function_call:g:y {"a":1} - completed`},
		{"in one event", []string{deltaChunk(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"y","function":{"name":"g","arguments":"{}"}}]}`), finishChunk("stop"), "[DONE]"}, "+function_call:f:x {} - +function_call:g:y {} - completed"},
		{"and no index", []string{toolChunk("", "x", "f", "{}"), toolChunk("", "y", "g", "{}"), finishChunk("stop"), "[DONE]"}, "+function_call:f:x {} - +function_call:g:y {} - completed"},
		{"a call that is repeated with its name", []string{toolChunk("0", "x", "f", `{`), toolChunk("0", "x", "f", `}`), finishChunk("stop"), "[DONE]"}, "+function_call:f:x { } - completed"},
		{"a name that comes late", []string{toolChunk("0", "x", "", `{"a`), deltaChunk(`{"content":"t"}`), toolChunk("0", "", "f", `":1}`), finishChunk("tool_calls"), "[DONE]"}, `+message < t > - +function_call:f:x {"a ":1} - completed`},
		{"no arguments", []string{toolChunk("0", "x", "f", ""), finishChunk("tool_calls"), "[DONE]"}, "+function_call:f:x {} - completed"},
		{"no arguments, cut", []string{toolChunk("0", "x", "f", ""), finishChunk("length"), "[DONE]"}, "+function_call:f:x -incomplete incomplete:max_output_tokens"},
		{"arguments that are an object", []string{deltaChunk(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":{"a":1}}}]}`), finishChunk("tool_calls"), "[DONE]"}, `+function_call:f:x {"a":1} - completed`},
		{"a call that is cut off", []string{toolChunk("0", "x", "f", "{}"), toolChunk("1", "y", "g", `{"a`), finishChunk("length"), "[DONE]"}, `+function_call:f:x {} - +function_call:g:y {"a -incomplete incomplete:max_output_tokens`},
		{"text after a call", []string{toolChunk("0", "x", "f", "{}"), deltaChunk(`{"content":"a"}`), toolChunk("0", "", "", " "), finishChunk("stop"), "[DONE]"}, "+function_call:f:x {} - +message < a > - completed"},
		{"a fragment of nothing", []string{toolChunk("0", "", "", ""), deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]"}, "+message < a > - completed"},
		{"other choices", []string{chatChunk(`{"index":1,"delta":{"content":"b"},"finish_reason":"length"}`), deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]"}, "+message < a > - completed"},
		{"what comes after the end", []string{deltaChunk(`{"content":"a"}`), finishChunk("stop"), "[DONE]", deltaChunk(`{"content":"b"}`), "[DONE]", "no"}, "+message < a > - completed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answers := responsesOf(t, `,"stream":true`)
			out, err := feedChat(answers, test.chunks...)
			if err != nil || !answers.Done() {
				t.Fatalf("error %v, done %v: %s", err, answers.Done(), out)
			}
			f, err := follow(out)
			if err == nil {
				err = f.whole()
			}
			if err != nil || f.String() != test.want {
				t.Errorf("got\n%s, want\n%s: %v", f, test.want, err)
			}
			if strings.Contains(string(out), "[DONE]") {
				t.Errorf("there is a [DONE]: %s", out)
			}
		})
	}
}

// IDs of calls are the client's to tell them apart by.
func TestChatStreamToResponsesWithoutIDs(t *testing.T) {
	t.Parallel()
	for name, chunks := range map[string][]string{
		"none":     {toolChunk("0", "", "f", "{}"), toolChunk("1", "", "f", "{}")},
		"the same": {toolChunk("0", "x", "f", "{}"), toolChunk("1", "x", "f", "{}")},
	} {
		out, err := feedChat(responsesOf(t, ""), append(chunks, finishChunk("tool_calls"), "[DONE]")...)
		f, bad := follow(out)
		if err != nil || bad != nil || len(f.last.Output) != 2 || f.last.Output[0].CallID == "" || f.last.Output[0].CallID == f.last.Output[1].CallID {
			t.Errorf("%s: %v, %v, %s", name, err, bad, out)
		}
	}
}

// One that breaks off is an error, wherever it does before its reason to finish, unless it was said to be done.
func TestChatStreamToResponsesBreaksOff(t *testing.T) {
	t.Parallel()
	chunks := []string{
		deltaChunk(`{"role":"assistant","content":""}`), deltaChunk(`{"reasoning":"hm"}`), deltaChunk(`{"content":"a"}`), deltaChunk(`{"content":"b"}`),
		toolChunk("0", "x", "f", ""), toolChunk("0", "", "", `{"a"`), toolChunk("1", "y", "g", "{}"), finishChunk("tool_calls"), chatUsageChunk, "[DONE]",
	}
	for n := range chunks {
		for _, end := range [][]string{nil, {"[DONE]"}, {`{"error":{"message":"no","type":"rate_limit_error"}}`}, {finishChunk("error")}, {"{"}} {
			answers := responsesOf(t, `,"stream":true`)
			out, err := feedChat(answers, append(chunks[:n:n], end...)...)
			f, bad := follow(out)
			if bad != nil {
				t.Fatalf("after %d events: %v", n, bad)
			}
			ended := n >= 8 && end == nil || end != nil && end[0] == "[DONE]" || n == 9
			if ended != (err == nil) || ended != f.ended || ended && !answers.Done() {
				t.Errorf("after %d events, and %s: %v, %s", n, end, err, f)
			}
			told, ok := errors.AsType[*Error](err)
			switch {
			case ended:
			case end == nil:
				ok = errors.Is(err, io.ErrUnexpectedEOF)
			case end[0] == "{":
				ok = errors.Is(err, ErrNotJSON)
			case strings.Contains(end[0], "rate"):
				ok = ok && told.Status == 429
			default:
				ok = ok && told.Status == 502
			}
			if !ok && !ended {
				t.Errorf("after %d events, and %s: %v", n, end, err)
			}
		}
	}
}

// What has been translated of an event with an error is not the client's.
func TestChatStreamToResponsesOfAnEventThatFails(t *testing.T) {
	t.Parallel()
	answers := responsesOf(t, "")
	out, err := feedChat(answers, deltaChunk(`{"content":"a"}`), toolChunk("0", "x", "", "{}"), finishChunk("stop"), "[DONE]")
	f, bad := follow(out)
	if _, ok := errors.AsType[*Error](err); !ok || bad != nil || f.String() != "+message < a" {
		t.Errorf("%v, %v, %s", err, bad, out)
	}
}
