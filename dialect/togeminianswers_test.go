package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/sse"
)

// geminiStream returns what translates the answer to a request of a stream.
func geminiStream(t testing.TB) Answers {
	t.Helper()
	got, err := Translate(Chat, Gemini, []byte(`{"model":"m","stream":true,"stream_options":{"include_usage":true},`+hi+`}`), &Target{Model: model3, Shown: "shown"})
	if err != nil {
		t.Fatal(err)
	}
	return got.Answers
}

func geminiWhole(t testing.TB) Answers {
	t.Helper()
	got, err := Translate(Chat, Gemini, []byte(`{"model":"m",`+hi+`}`), &Target{Model: model3, Shown: "shown"})
	if err != nil {
		t.Fatal(err)
	}
	return got.Answers
}

var (
	createdAt = regexp.MustCompile(`"created":\d+,`)
	madeID    = regexp.MustCompile(`"call_[A-Za-z0-9]{24}"`)
	answerID  = regexp.MustCompile(`"chatcmpl-[A-Za-z0-9]{24}"`)
)

// plain replaces what is another each time.
func plain(text []byte) string {
	s := createdAt.ReplaceAllString(string(text), "")
	s = madeID.ReplaceAllString(s, `"call_MADE"`)
	return answerID.ReplaceAllString(s, `"chatcmpl-MADE"`)
}

func TestWholeAnswersOfGemini(t *testing.T) {
	t.Parallel()
	const usage = `"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":15,"totalTokenCount":120,"cachedContentTokenCount":60,"thoughtsTokenCount":5}`
	const counted = `"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60},"completion_tokens_details":{"reasoning_tokens":5}}`
	const none = `"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`
	parts := func(finish, parts string) string {
		return `{"candidates":[{"content":{"role":"model","parts":[` + parts + `]},"finishReason":"` + finish + `","index":0}]}`
	}
	says := func(finish, message string) string {
		return `{"index":0,"message":{"role":"assistant",` + message + `},"logprobs":null,"finish_reason":"` + finish + `"}`
	}
	for _, test := range []struct{ name, body, choices, usage, id string }{
		{"a text", `{"candidates":[{"content":{"parts":[{"text":"H\u00e9\u006Co "},{"text":"\"you\""}]},"finishReason":"STOP"}],` + usage + `,"modelVersion":"secret","responseId":"r1"}`, says("stop", `"content":"Hélo \"you\"","refusal":null`), counted, "r1"},
		{"too long", parts("MAX_TOKENS", `{"text":"a"}`), says("length", `"content":"a","refusal":null`), none, ""},
		{"cut by a filter", parts("SAFETY", `{"text":"a"}`), says("content_filter", `"content":"a","refusal":null`), none, ""},
		{"nothing, by a filter", `{"candidates":[{"finishReason":"RECITATION"}]}`, says("content_filter", `"content":null,"refusal":null`), none, ""},
		{"nothing at all", `{"candidates":[{"content":{"role":"model"},"finishReason":"STOP"}]}`, says("stop", `"content":"","refusal":null`), none, ""},
		{"nulls", `{"candidates":[{"content":null,"finishReason":null,"index":null}],"usageMetadata":null,"promptFeedback":null,"error":null}`, says("stop", `"content":"","refusal":null`), none, ""},
		{"a reason that is new", parts("TIRED", `{"text":"a"}`), says("stop", `"content":"a","refusal":null`), none, ""},
		{"a prompt that is blocked", `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},` + usage + `}`, says("content_filter", `"content":null,"refusal":null`), counted, ""},
		{"a prompt that is blocked, and no candidates", `{"candidates":[],"promptFeedback":{"blockReason":"SAFETY"}}`, says("content_filter", `"content":null,"refusal":null`), none, ""},
		{"thoughts", parts("STOP", `{"text":"h","thought":true},{"thought":true,"text":"m"},{"text":"a"}`), says("stop", `"content":"a","refusal":null,"reasoning_content":"hm"`), none, ""},
		{
			"calls, to the digit", parts("STOP", `{"functionCall":{"name":"f","args":{"b": 12345678901234567890, "a":[1.0]}},"thoughtSignature":"U0lH"},{"functionCall":{"id":"own","name":"g"}},{"functionCall":{"name":"h","args":null,"id":""}}`),
			says("tool_calls", `"content":null,"refusal":null,"thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:U0lH"}],"tool_calls":[`+
				`{"id":"call_MADE","type":"function","function":{"name":"f","arguments":"{\"b\":12345678901234567890,\"a\":[1.0]}"},"extra_content":{"google":{"thought_signature":"U0lH"}}},`+
				`{"id":"own","type":"function","function":{"name":"g","arguments":"{}"}},{"id":"call_MADE","type":"function","function":{"name":"h","arguments":"{}"}}]`), none, "",
		},
		{
			"thoughts, a text and a call", parts("STOP", `{"text":"hm","thought":true},{"text":"So.","thoughtSignature":"VA=="},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"Qw=="}`),
			says("tool_calls", `"content":"So.","refusal":null,"reasoning_content":"hm","thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"gemini:text:VA=="},{"type":"thinking","thinking":"","signature":"gemini:Qw=="}],`+
				`"tool_calls":[{"id":"call_MADE","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"Qw=="}}}]`), none, "",
		},
		{"an image", parts("STOP", `{"text":"See: "},{"inlineData":{"mimeType":"image/png","data":"iVBORw0K+/="}}`), says("stop", `"content":"See: ![image](data:image/png;base64,iVBORw0K+/=)","refusal":null`), none, ""},
		{"what is run at Google", parts("STOP", `{"executableCode":{"code":"1"}},{"codeExecutionResult":{"output":"1"}},{"text":"a"}`), says("stop", `"content":"a","refusal":null`), none, ""},
		{
			"several answers", `{"candidates":[{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"},{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`,
			says("stop", `"content":"a","refusal":null`) + `,` + strings.Replace(says("length", `"content":"b","refusal":null`), `"index":0`, `"index":1`, 1), none, "",
		},
		{"what Google's tools have read", `{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":"100","toolUsePromptTokenCount":7,"candidatesTokenCount":-3}}`, says("stop", `"content":"a","refusal":null`), strings.NewReplacer(`"prompt_tokens":0`, `"prompt_tokens":107`, `"total_tokens":0`, `"total_tokens":107`).Replace(none), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answers := geminiWhole(t)
			got, err := answers.Whole(nil, []byte("\n"+test.body+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			id := test.id
			if id == "" {
				id = "chatcmpl-MADE"
			}
			want := `{"id":"` + id + `","object":"chat.completion","model":"shown","choices":[` + test.choices + `],` + test.usage + `}`
			if text := plain(got); text != want {
				t.Errorf("got  %s\nwant %s", text, want)
			}
			if !json.Valid(got) {
				t.Error("it is no JSON")
			}
		})
	}
}

func TestAnswersOfGeminiThatAreErrors(t *testing.T) {
	t.Parallel()
	retry := `{"error":{"code":429,"message":"Quota.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"39.84s"}]}}`
	for name, test := range map[string]struct {
		body string
		want Error
	}{
		"an error":                         {`{"error":{"code":503,"message":"Overloaded.","status":"UNAVAILABLE"}}`, Error{Status: 503, Type: "server_error", Code: "overloaded", Message: "Overloaded."}},
		"when to try again":                {retry, Error{Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Quota.", RetryAfter: 39840 * time.Millisecond}},
		"an error in an array":             {`[` + retry + `]`, Error{Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Quota.", RetryAfter: 39840 * time.Millisecond}},
		"a bad key":                        {`{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}`, *unreadable("The provider refused the gateway's credentials.")},
		"an odd status":                    {`{"error":{"code":7,"message":"Odd."}}`, Error{Status: 502, Type: "server_error", Message: "Odd."}},
		"details that are none":            {`{"error":{"code":500,"message":"Odd.","details":{"retryDelay":"1s"}}}`, Error{Status: 500, Type: "server_error", Message: "Odd."}},
		"a call that cannot be read":       {`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"MALFORMED_FUNCTION_CALL"}]}`, Error{Status: 502, Type: "server_error", Code: "malformed_function_call", Message: "The model gave an answer that is none (MALFORMED_FUNCTION_CALL)."}},
		"a call that nobody expected":      {`{"candidates":[{"finishReason":"UNEXPECTED_TOOL_CALL"}]}`, Error{Status: 502, Type: "server_error", Code: "unexpected_tool_call", Message: "The model gave an answer that is none (UNEXPECTED_TOOL_CALL)."}},
		"an array of answers":              {`[{"candidates":[]}]`, *unreadable("The provider's answer could not be read.")},
		"a string":                         {`"candidates"`, *unreadable("The provider's answer could not be read.")},
		"null":                             {`null`, *unreadable("The provider's answer could not be read.")},
		"a number":                         {`7`, *unreadable("The provider's answer could not be read.")},
		"half an answer":                   {`{"candidates":[{"content":{"parts":[{"text":"a"`, *unreadable("The provider's answer could not be read.")},
		"a text that is none":              {`{"candidates":[{"content":{"parts":[{"text":7}]}}]}`, *unreadable("The provider's answer could not be read.")},
		"arguments that are no object":     {`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[1]}}]}}]}`, *unreadable("The provider's answer could not be read.")},
		"a call of nothing":                {`{"candidates":[{"content":{"parts":[{"functionCall":{"args":{}}}]}}]}`, *unreadable("The provider's answer has a call of a function without a name.")},
		"sound":                            {`{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"audio/L16","data":"AA=="}}]}}]}`, *unreadable("The provider's answer has a part that is neither text nor an image.")},
		"a page":                           {`<html>`, *unreadable("The provider's answer could not be read.")},
		"an error that is a string":        {`{"error":"Odd."}`, Error{Status: 502, Type: "server_error", Message: "Odd."}},
		"an error that comes with answers": {`{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"error":{"code":500,"message":"Odd."}}`, Error{Status: 500, Type: "server_error", Message: "Odd."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, translate := range map[string]func() ([]byte, error){
				"whole": func() ([]byte, error) { return geminiWhole(t).Whole([]byte("before"), []byte(test.body)) },
				"stream": func() ([]byte, error) {
					return geminiStream(t).Event([]byte("before"), sse.Event{Data: []byte(test.body), HasData: true})
				},
			} {
				out, err := translate()
				told, ok := errors.AsType[*Error](err)
				if !ok || *told != test.want {
					t.Errorf("%s: got %+v, want %+v", kind, told, test.want)
				}
				if string(out) != "before" {
					t.Errorf("%s: the client gets %s", kind, out)
				}
			}
		})
	}
	for _, body := range []string{`{}`, `{"candidates":[]}`, `{"candidates":"a"}`, `{"usageMetadata":{"promptTokenCount":7}}`, ``} {
		if out, err := geminiWhole(t).Whole(nil, []byte(body)); err == nil || len(out) > 0 {
			t.Errorf("%s is taken for the answer %s", body, out)
		}
	}
}

// chunk is an event of Gemini's.
func chunk(more string, parts ...string) string {
	return `data: {"candidates":[{"content":{"parts":[` + strings.Join(parts, ",") + `],"role":"model"},"index":0` + more + `}],"usageMetadata":{"promptTokenCount":100,"totalTokenCount":100},"modelVersion":"secret","responseId":"r1"}` + "\r\n\r\n"
}

const geminiEnd = `,"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":15,"cachedContentTokenCount":60,"thoughtsTokenCount":5},"x":[{"index":0`

// streamed has answers translate a stream that arrives in pieces, and returns what the client gets.
func streamed(t testing.TB, answers Answers, stream string, piece int) (string, error) {
	t.Helper()
	var out []byte
	r := sse.NewReader(&pieces{text: stream, size: piece})
	defer r.Release()
	for {
		blocks, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
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
			if out, err = answers.Event(out, e); err != nil {
				return plain(out), err
			}
		}
	}
	out, err := answers.End(out)
	return plain(out), err
}

// pieces is a reader that gives a few bytes at a time.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// saysChunk is an event of chat completions.
func saysChunk(id, delta, finish string) string {
	return `data: {"id":"` + id + `","object":"chat.completion.chunk","model":"shown","choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + `}],"usage":null}` + "\n\n"
}

const (
	saysRole = `{"role":"assistant","content":""}`
	saysDone = `data: {"id":"r1","object":"chat.completion.chunk","model":"shown","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60},"completion_tokens_details":{"reasoning_tokens":5}}}` + "\n\ndata: [DONE]\n\n"
)

// geminiStreams are streams and what becomes of them.
var geminiStreams = map[string]struct{ stream, want string }{
	"a text": {
		chunk("", `{"text":"Gr"}`) + chunk("", `{"text":"\u00fc\u00dfe 🌍"}`) + chunk(geminiEnd, `{"text":""}`),
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{"content":"Gr"}`, "null") + saysChunk("r1", `{"content":"\u00fc\u00dfe 🌍"}`, "null") + saysChunk("r1", `{}`, `"stop"`) + saysDone,
	},
	"thoughts, and the end with the last text": {
		chunk("", `{"text":"h","thought":true}`) + chunk("", `{"text":"m","thought":true},{"text":"a"}`) + chunk(geminiEnd, `{"text":"b","thoughtSignature":"U0lH"}`),
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{"reasoning_content":"h"}`, "null") + saysChunk("r1", `{"reasoning_content":"m"}`, "null") + saysChunk("r1", `{"content":"a"}`, "null") +
			saysChunk("r1", `{"content":"b"}`, "null") + saysChunk("r1", `{"thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:text:U0lH"}]}`, "null") + saysChunk("r1", `{}`, `"stop"`) + saysDone,
	},
	"a signature with an empty text at the end": {
		chunk("", `{"text":"a"}`) + chunk(geminiEnd, `{"text":"","thoughtSignature":"U0lH"}`),
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{"content":"a"}`, "null") + saysChunk("r1", `{"thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:text:U0lH"}]}`, "null") + saysChunk("r1", `{}`, `"stop"`) + saysDone,
	},
	"calls are counted through the stream": {
		chunk("", `{"functionCall":{"name":"f","args":{"a": 1.0}},"thoughtSignature":"U0lH"}`) + chunk("", `{"functionCall":{"name":"g","args":{}}},{"functionCall":{"id":"own","name":"h"}}`) + chunk(geminiEnd, `{"text":""}`),
		saysChunk("r1", saysRole, "null") +
			saysChunk("r1", `{"tool_calls":[{"index":0,"id":"call_MADE","type":"function","function":{"name":"f","arguments":"{\"a\":1.0}"},"extra_content":{"google":{"thought_signature":"U0lH"}}}]}`, "null") +
			saysChunk("r1", `{"tool_calls":[{"index":1,"id":"call_MADE","type":"function","function":{"name":"g","arguments":"{}"}}]}`, "null") +
			saysChunk("r1", `{"tool_calls":[{"index":2,"id":"own","type":"function","function":{"name":"h","arguments":"{}"}}]}`, "null") +
			saysChunk("r1", `{"thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:U0lH"}]}`, "null") + saysChunk("r1", `{}`, `"tool_calls"`) + saysDone,
	},
	"the end comes before the usage": {
		chunk(`,"finishReason":"STOP"`, `{"text":"a"}`) + `data: {"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":15,"cachedContentTokenCount":60,"thoughtsTokenCount":5}}` + "\n\ndata: [DONE]\n\n",
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{"content":"a"}`, "null") + saysChunk("r1", `{}`, `"stop"`) + saysDone,
	},
	"a filter in the midst": {
		chunk("", `{"text":"a"}`) + strings.ReplaceAll(`data: {"candidates":[{`+geminiEnd[1:]+"}]}\r\n\r\n", "STOP", "SAFETY"),
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{"content":"a"}`, "null") + saysChunk("r1", `{}`, `"content_filter"`) + saysDone,
	},
	"a prompt that is blocked": {
		`data: {"promptFeedback":{"blockReason":"SAFETY"},"responseId":"r1","usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":15,"cachedContentTokenCount":60,"thoughtsTokenCount":5}}` + "\n\n",
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{}`, `"content_filter"`) + saysDone,
	},
	"another candidate that nobody asked for": {
		strings.Replace(chunk("", `{"text":"no"}`), `"index":0`, `"index":1`, 1) + chunk(geminiEnd, `{"text":"a"}`),
		saysChunk("r1", saysRole, "null") + saysChunk("r1", `{"content":"a"}`, "null") + saysChunk("r1", `{}`, `"stop"`) + saysDone,
	},
}

func TestStreamsOfGemini(t *testing.T) {
	t.Parallel()
	for name, test := range geminiStreams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for size := 1; size < 200; size += 13 {
				answers := geminiStream(t)
				got, err := streamed(t, answers, test.stream, size)
				if err != nil || got != test.want || !answers.Done() {
					t.Fatalf("in pieces of %d: %v\ngot  %s\nwant %s", size, err, got, test.want)
				}
				if want := (Usage{Input: 100, CachedInput: 60, Output: 20, Reasoning: 5}); answers.Usage() != want {
					t.Errorf("the usage is %+v", answers.Usage())
				}
			}
			got, err := streamed(t, geminiStream(t), strings.ReplaceAll(test.stream, "\r\n", "\n"), 1000)
			if err != nil || got != test.want {
				t.Errorf("with LF: %v, %s", err, got)
			}
		})
	}
}

func TestStreamsOfGeminiThatBreakOff(t *testing.T) {
	t.Parallel()
	for name, test := range geminiStreams {
		var events []string
		for rest := test.stream; rest != ""; {
			n := sse.End([]byte(rest))
			events = append(events, rest[:n])
			rest = rest[n:]
		}
		for n := range events {
			text := strings.Join(events[:n], "")
			over := strings.Contains(text, "finishReason") || strings.Contains(text, "blockReason")
			answers := geminiStream(t)
			got, err := streamed(t, answers, text, 100)
			if over != (err == nil) || over != answers.Done() || !over && err != io.ErrUnexpectedEOF {
				t.Errorf("%s: after %d events got %v", name, n, err)
			}
			if strings.Contains(got, "[DONE]") != over {
				t.Errorf("%s: after %d events the client gets %s", name, n, got)
			}
		}
	}
}

func TestGeminisStreamEndsOnce(t *testing.T) {
	t.Parallel()
	answers := geminiStream(t)
	if _, err := streamed(t, answers, chunk(geminiEnd, `{"text":"a"}`), 100); err != nil {
		t.Fatal(err)
	}
	out, err := answers.Event(nil, sse.Parse([]byte(chunk("", `{"text":"late"}`))))
	if len(out) > 0 || err != nil {
		t.Errorf("a late event is %s and %v", out, err)
	}
	if out, err = answers.End(nil); len(out) > 0 || err != nil {
		t.Errorf("another end is %s and %v", out, err)
	}
}

func TestEventsOfGeminiAreToldAtOnce(t *testing.T) {
	t.Parallel()
	answers := geminiStream(t)
	for i := range 3 {
		out, err := answers.Event(nil, sse.Parse([]byte(chunk("", fmt.Sprintf(`{"text":"word %d"}`, i)))))
		if err != nil || !strings.Contains(string(out), fmt.Sprintf(`{"content":"word %d"}`, i)) {
			t.Errorf("event %d is %s and %v", i, out, err)
		}
	}
}

func TestErrorsInGeminisStreamKeepTheirStatus(t *testing.T) {
	t.Parallel()
	answers := geminiStream(t)
	got, err := streamed(t, answers, chunk("", `{"text":"a"}`)+"data: [{\"error\":{\"code\":503,\"message\":\"Overloaded.\"}}]\n\n", 100)
	told, ok := errors.AsType[*Error](err)
	if !ok || told.Status != http.StatusServiceUnavailable || !strings.HasSuffix(got, saysChunk("r1", `{"content":"a"}`, "null")) {
		t.Errorf("got %s and %v", got, err)
	}
}
