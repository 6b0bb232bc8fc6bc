package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

func FuzzChatToMessages(f *testing.F) {
	for _, seed := range []string{
		// Small ones: go test would spend the time it is given on making a large one smaller.
		`{` + askedTool + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"function":{"name":"f"}}]}}}`,
		`{"messages":[{"role":"system","content":"a"},` + calledF + `,{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":""}]},{"role":"user","content":" "}],` + schemaF + `,"reasoning_effort":"high"}`,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},{"type":"file","file":{"file_data":"data:application/pdf;base64,aGk="}}],"cache_control":{}}],"web_search_options":{"user_location":{"approximate":{"city":"a"}}},"stop":["a"," "],"user":"u","temperature":2,"top_p":0.1}`,
		`{"messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""},"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"b"}]},{"role":"function","name":"f","content":"1"}],"functions":[{"name":"f","parameters":{"type":null}}],"thinking":{"type":"enabled","budget_tokens":1}}`,
	} {
		for _, model := range []string{"claude-3-5-haiku", "claude-sonnet-4-6", "claude-opus-5-5", "x"} {
			f.Add(model, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, model string, body []byte) {
		if _, err := ScanOpenAI(body); err != nil {
			return // nobody has it translated
		}
		got, err := Translate(Chat, Messages, body, &Target{Model: model})
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Status != 400 {
				t.Fatalf("an error that is none of ours: %v", err)
			}
			return
		}
		if !json.Valid(got.Body) {
			t.Fatalf("%s became %s", body, got.Body)
		}
		var request struct {
			Messages []struct {
				Role    string
				Content []struct{ Type string }
			}
			MaxTokens *int64 `json:"max_tokens"`
		}
		if err := json.Unmarshal(got.Body, &request); err != nil || request.MaxTokens == nil || len(request.Messages) == 0 {
			t.Fatalf("%s became %s (%v)", body, got.Body, err)
		}
		for i, m := range request.Messages {
			if len(m.Content) == 0 || i > 0 && m.Role == request.Messages[i-1].Role {
				t.Fatalf("%s became %s", body, got.Body)
			}
			results := true
			for _, c := range m.Content {
				if c.Type == "tool_result" && !results {
					t.Fatalf("results are not first: %s", got.Body)
				}
				results = results && c.Type == "tool_result"
			}
		}
	})
}

func FuzzMessagesAnswersToChat(f *testing.F) {
	for _, s := range messagesStreams {
		f.Add([]byte(s.stream), strings.Contains(s.request, "json_schema"))
	}
	for _, w := range wholeMessages {
		f.Add([]byte(`{"id":"msg_1","type":"message",`+w.answer+`}`), false)
	}
	f.Add([]byte(event("error", `,"error":{"type":"overloaded_error","message":"M"}`)), false)
	f.Fuzz(func(t *testing.T, stream []byte, schema bool) {
		request := `,"stream":true,"stream_options":{"include_usage":true}`
		if schema {
			request += `,` + schemaF
		}
		if out, err := newMessagesAnswers(t, request).Whole(nil, stream); err == nil && !json.Valid(out) {
			t.Fatalf("%s became %s", stream, out)
		}
		answers := newMessagesAnswers(t, request)
		out, err := translateStream(answers, string(stream))
		if answers.Done() != (err == nil) {
			t.Fatalf("%q ends with %v, done is %t", stream, err, answers.Done())
		}
		if err == nil && !bytes.HasSuffix(out, []byte("\n\ndata: [DONE]\n\n")) {
			t.Fatalf("%q became %q", stream, out)
		}
		if err != nil && bytes.Contains(out, []byte("\n\ndata: [DONE]")) {
			t.Fatalf("%q became %q with the error %v", stream, out, err)
		}
		checkChunks(t, stream, out)
	})
}

// checkChunks fails the test unless each event has a chunk, and there is a role in the first.
func checkChunks(t *testing.T, stream, out []byte) {
	t.Helper()
	for rest, i := out, 0; len(rest) > 0; i++ {
		n := sse.End(rest)
		data, ok := bytes.CutPrefix(rest[:n], []byte("data: "))
		data = bytes.TrimSuffix(data, []byte("\n\n"))
		if !ok || bytes.ContainsAny(data, "\r\n") || string(data) != "[DONE]" && !json.Valid(data) || i == 0 && !bytes.Contains(data, []byte(roleChunk)) {
			t.Fatalf("%q became %q", stream, rest)
		}
		rest = rest[n:]
	}
}

func BenchmarkChatToMessages(b *testing.B) {
	for name, body := range map[string][]byte{"1KB": prompt(1 << 10), "100KB": prompt(100 << 10), "conversation": conversation()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Translate(Chat, Messages, body, &Target{Model: "claude-sonnet-4-5", Shown: "gpt-4o"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMessagesEvent(b *testing.B) {
	for name, text := range map[string]string{
		"text": adds(0, "text_delta", "text", " fox jumps over"), "arguments": adds(1, "input_json_delta", "partial_json", `{"city": "Os`), "ping": event("ping", ""),
		"not as Anthropic writes it": strings.ReplaceAll(adds(0, "text_delta", "text", " fox jumps over"), `":`, `": `),
	} {
		b.Run(name, func(b *testing.B) {
			answers := newMessagesAnswers(b, "")
			var out []byte
			var err error
			for _, before := range []string{started(`{}`), blockBegins(1, `"type":"tool_use","id":"c1","name":"f","input":{}`)} {
				if out, err = answers.Event(out[:0], sse.Parse([]byte(before))); err != nil {
					b.Fatal(err)
				}
			}
			e := sse.Parse([]byte(text))
			if out, err = answers.Event(out[:0], e); err != nil || (len(out) == 0) != (name == "ping") {
				b.Fatalf("it becomes %q (%v)", out, err)
			}
			b.SetBytes(int64(len(e.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if out, err = answers.Event(out[:0], e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMessagesWhole(b *testing.B) {
	body := []byte(`{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"` + strings.Repeat(`The quick brown fox\n`, 200) + `"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":900}}`)
	answers := newMessagesAnswers(b, "")
	var out []byte
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = answers.Whole(out[:0], body); err != nil {
			b.Fatal(err)
		}
	}
}
