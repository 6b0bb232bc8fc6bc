package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

func FuzzResponsesToChat(f *testing.F) {
	for _, body := range []string{
		`"input":"x","tools":[{"type":"function","name":"f","parameters":{}}],"tool_choice":{"type":"allowed_tools","tools":[{"name":"f"}]},"text":{"format":{"type":"json_schema","schema":{}}},"reasoning":{"effort":"low"}`,
		`"input":[` + goes + `,` + thoughtItem(signedThought) + `,` + callA + `,` + callB + `,` + outputB + `,{"type":"function_call_output","call_id":"a","output":[{"type":"input_image","image_url":"data:image/png;base64,aGk="}]}]`,
		`"stream":true,"instructions":"i","input":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"input_text","text":"\ud83c"},{"type":"input_file","file_url":"a.pdf"}]},{"role":"assistant","content":[{"type":"refusal","refusal":"n"}]}],"metadata":{"a":` + "\n" + `"b"},"max_output_tokens":5`,
		`"input":[[],{},null,{"role":null,"content":[null,{"type":null}]},{"type":"reasoning","summary":[1]}]`,
	} {
		f.Add([]byte(`{"model":"m",` + body + "}"))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ScanOpenAI(body); err != nil {
			return // nobody has it translated
		}
		for to, model := range map[API]string{Chat: "m", Messages: "claude-sonnet-4-5", Gemini: "gemini-3-pro"} {
			tr, err := Translate(Responses, to, body, &Target{Model: model, Shown: "m"})
			if err != nil {
				if told, ok := errors.AsType[*Error](err); !ok || told.Status != 400 {
					t.Fatalf("%s: an error that is none of ours: %v", body, err)
				}
				continue
			}
			if !json.Valid(tr.Body) {
				t.Fatalf("%s became %s", body, tr.Body)
			}
			if to == Chat {
				checkConversation(t, body, tr.Body)
			}
			out, err := tr.Answers.Whole(nil, []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`))
			if to == Chat && (err != nil || !json.Valid(out) || bytes.ContainsAny(out, "\r\n")) {
				t.Fatalf("%s is answered with %s (%v)", body, out, err)
			}
		}
	})
}

// checkConversation fails the test unless each call has one result, which follows it directly.
func checkConversation(t *testing.T, body, chat []byte) {
	t.Helper()
	r, err := readChatRequest(chat)
	if err != nil {
		t.Fatalf("%s became %s: %v", body, chat, err)
	}
	open := map[string]bool{}
	for _, m := range r.Messages {
		if m.Role == "tool" {
			if !open[m.ToolCallID] {
				t.Fatalf("%s became %s", body, chat)
			}
			delete(open, m.ToolCallID)
			continue
		}
		if len(open) > 0 {
			t.Fatalf("%s became %s", body, chat)
		}
		for _, call := range m.ToolCalls {
			open[call.ID] = true
		}
	}
	if len(open) > 0 {
		t.Fatalf("%s became %s", body, chat)
	}
}

// unframedResponses translates events without what [chatFrame] has learned.
type unframedResponses struct{ *responsesAnswers }

func (u unframedResponses) Event(dst []byte, e sse.Event) ([]byte, error) {
	u.frame.head = nil
	return u.responsesAnswers.Event(dst, e)
}

func FuzzChatAnswersToResponses(f *testing.F) {
	// Small ones: go test would spend the time it is given on making a large one smaller.
	for _, deltas := range [][]string{
		{`"content":"a"`, `"content":"b"`, `"refusal":"c"`, `},"finish_reason":"stop","a":{`},
		{`"reasoning":"a"`, `"thinking_blocks":[{"type":"thinking","signature":"s"},{"type":"redacted_thinking"}]`, `},"finish_reason":"length","a":{`},
		{`"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{"}},{"index":1,"function":{"name":"g"}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"}"}}]`, `},"finish_reason":"stop","a":{`},
		{`"content":[{"type":"thinking","thinking":[{"text":"h"}]},{"text":"a"}]`, `},"finish_reason":"error","a":{`},
	} {
		var b []byte
		for _, d := range deltas {
			b = sse.AppendData(b, []byte(`{"choices":[{"delta":{`+d+`}}]}`))
		}
		f.Add(b)
	}
	f.Add([]byte(`{"choices":[],"usage":{"prompt_tokens":1}}`))
	f.Add([]byte("data: [DONE]\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		answers := newResponsesAnswers("smart", &responsesEcho{}, nil)
		out, err := pump(answers, bytes.NewReader(data))
		plain, plainErr := pump(unframedResponses{newResponsesAnswers("smart", &responsesEcho{}, nil)}, bytes.NewReader(data))
		if (err == nil) != (plainErr == nil) || err == nil && anonymousCalls(out) != anonymousCalls(plain) {
			t.Fatalf("%v, and without a frame %v: %s, and %s", err, plainErr, out, plain)
		}
		followed, bad := trace(bytes.ToValidUTF8(out, []byte("?")))
		if err != nil {
			_, told := errors.AsType[*Error](err)
			if !told && !errors.Is(err, ErrNotJSON) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%T: %v", err, err)
			}
			if followed.ended {
				t.Fatalf("it ended, and then: %v", err)
			}
		} else if bad == nil {
			bad = followed.whole()
		}
		if bad != nil || err == nil && !answers.Done() {
			t.Fatalf("%v, done is %t: %s became %s", bad, answers.Done(), data, out)
		}
		whole, err := newResponsesAnswers("smart", &responsesEcho{}, nil).Whole(nil, data)
		if err == nil && !json.Valid(whole) {
			t.Fatalf("%s became %s", data, whole)
		}
	})
}

// anonymousCalls is a stream without what is made up in it.
func anonymousCalls(out []byte) string {
	text := anonymous(out)
	for {
		_, rest, ok := strings.Cut(text, `"call_id":"call_`)
		id, _, closed := strings.Cut(rest, `"`)
		if !ok || !closed || id == "" {
			return text
		}
		text = strings.ReplaceAll(text, `"call_id":"call_`+id+`"`, `"call_id":"call"`)
	}
}

func BenchmarkResponsesToChat(b *testing.B) {
	agent := `{"model":"m","stream":true,"instructions":` + Quote(strings.Repeat("Be careful. ", 1000)) + `,"input":[` +
		strings.Repeat(goes+`,`+callA+`,`+outputA+`,`, 30) + goes + `],"tools":[{"type":"function","name":"f","parameters":` + schemaAB + `,"strict":true}` +
		strings.Repeat(`,{"type":"function","name":"g","description":"It does things.","parameters":`+schemaAB+`,"strict":true}`, 30) + `]}`
	for name, body := range map[string]string{"1KB": `{"model":"m","stream":true,"temperature":0.2,"input":"` + strings.Repeat("a b ", 250) + `"}`, "agent": agent} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				tr, err := Translate(Responses, Chat, []byte(body), &Target{Model: "theirs", Shown: "smart"})
				if err != nil {
					b.Fatal(err)
				}
				Recycle(tr.Body)
			}
		})
	}
}

func BenchmarkChatAnswersToResponses(b *testing.B) {
	for name, chunk := range map[string]string{
		"text": deltaChunk(`{"content":" fox"}`), "reasoning": deltaChunk(`{"reasoning_content":" fox"}`), "arguments": toolChunk("0", "", "", `{"a":`),
	} {
		b.Run(name, func(b *testing.B) {
			var a *responsesAnswers
			var out []byte
			event := sse.Event{Data: []byte(chunk), HasData: true}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%10000 == 0 { // an answer is kept until it ends
					a = newResponsesAnswers("smart", &responsesEcho{}, nil)
					if _, err := a.Event(nil, sse.Event{Data: []byte(toolChunk("0", "call_1", "f", "{")), HasData: true}); err != nil {
						b.Fatal(err)
					}
				}
				var err error
				if out, err = a.Event(out[:0], event); err != nil || len(out) == 0 {
					b.Fatal(err, len(out))
				}
			}
		})
	}
}
