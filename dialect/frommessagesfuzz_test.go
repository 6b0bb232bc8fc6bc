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

func FuzzMessagesToChat(f *testing.F) {
	for _, body := range []string{
		says(`"a"`), says(`[` + pngBlock + `,{"type":"document",` + pdfSource + `,"title":"t"},{"type":"text","text":"\ud83c"}]`),
		`"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"a"},` + usesF + `,{"role":"system","content":"s"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":[` + pngBlock + `]}]}]`,
		says(`"a"`) + `,"tools":[` + toolF + `,{"name":"` + longName + `","input_schema":{}}],"tool_choice":{"type":"tool","name":"` + longName + `"},"thinking":{"type":"enabled","budget_tokens":2000}`,
		says(`"a"`) + `,"stream":true,"output_config":{"effort":"low","format":{"type":"json_schema","schema":` + schemaAB + `}},"metadata":{"user_id":"u"},"top_k":1,"stop_sequences":["a"]`,
		`"messages":[{"role":"assistant","content":[` + thoughtSent + `,{"type":"tool_use","id":"call_1__sig_c2ln","name":"f","input":{"a":1.10}}]}]`,
		`"messages":[[],{},null,{"role":null,"content":[null,{"type":null}]}]`,
	} {
		f.Add([]byte(`{"model":"m","max_tokens":10,` + body + "}"))
	}
	targets := []*Target{
		{Model: "m"}, {Model: "m", Between: true},
		{Model: "m", MaxOutput: 5, Quirks: &Quirks{MaxTokens: true, SystemRole: true, OneSystem: true, ToolIDs9: true, RequiredIsAny: true, ReasoningBack: true, NoUserAfterTool: true, NoStreamOptions: true, Extensions: []string{"top_k"}, Refused: []string{"user"}}},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, invalid := ScanOpenAI(body)
		for _, target := range targets {
			got, err := messagesToChat(body, target)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			if invalid != nil {
				continue // it is refused before
			}
			if !json.Valid(got.Body) || string(got.Body[got.ModelSpan.Start:got.ModelSpan.End]) != `"m"` {
				t.Fatalf("%s became %s", body, got.Body)
			}
			if _, err := readChatRequest(got.Body); err != nil {
				t.Fatalf("%s became %s: %v", body, got.Body, err)
			}
		}
	})
}

// unframed translates events without what [chatFrame] has learned.
type unframed struct{ *chatAnswers }

func (u unframed) Event(dst []byte, e sse.Event) ([]byte, error) {
	u.frame.head = nil
	return u.chatAnswers.Event(dst, e)
}

func FuzzChatAnswersToMessages(f *testing.F) {
	f.Add(recordedChat)
	for _, chunks := range [][]string{
		{deltaChunk(`{"content":"a"}`), deltaChunk(`{"content":"b"}`), deltaChunk(`{"content":"","refusal":"no"}`), finishChunk("stop"), chatUsageChunk, "[DONE]"},
		{toolChunk("0", "call_1", "f", `{`), toolChunk("1", "call_2", "g", `{}`), deltaChunk(`{"content":"b"}`), toolChunk("0", "", "", `}`), finishChunk("length")},
		{toolChunk("", "", "f", `{}`), toolChunk("0", "", "", `{}`), toolChunk("0", "x", "g", ``), finishChunk("error")},
		{deltaChunk(`{"thinking_blocks":[{"type":"thinking","thinking":"h","signature":"s"},{"type":"redacted_thinking","data":"d"}],"reasoning":"x"}`), "[DONE]"},
		{deltaChunk(`{"content":[{"type":"thinking","thinking":[{"text":"h"}]},{"text":"a"}]}`), `{"error":{"message":"x","code":429}}`},
		{`{"x_groq":{"usage":{"prompt_tokens":1}},"choices":[{"message":{"content":"a","function_call":{"name":"f","arguments":{}}}}]}`},
	} {
		var b []byte
		for _, c := range chunks {
			b = sse.AppendData(b, []byte(c))
		}
		f.Add(b)
		f.Add([]byte(chunks[0]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := pump(newChatAnswers("smart", nil), bytes.NewReader(data))
		plain, plainErr := pump(unframed{newChatAnswers("smart", nil)}, bytes.NewReader(data))
		if (err == nil) != (plainErr == nil) {
			t.Fatalf("%v, and without a frame %v", err, plainErr)
		}
		if err != nil {
			_, told := errors.AsType[*Error](err)
			if !told && !errors.Is(err, ErrNotJSON) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%T: %v", err, err)
			}
			if bytes.Contains(out, []byte("event: message_stop")) {
				t.Fatalf("it ended, and then: %v", err)
			}
		} else {
			got, err := summary(out)
			if err != nil || !strings.HasSuffix(got, " stop") {
				t.Fatalf("%v: %s", err, out)
			}
			if same, _ := summary(plain); same != got {
				t.Fatalf("%s, and without a frame %s", got, same)
			}
		}
		whole, err := newChatAnswers("smart", nil).Whole(nil, data)
		if err == nil && !json.Valid(whole) {
			t.Fatalf("%s became %s", data, whole)
		}
	})
}

func BenchmarkMessagesToChat(b *testing.B) {
	agent := `{"model":"m","max_tokens":32000,"stream":true,"system":[{"type":"text","text":` + Quote(strings.Repeat("Be careful. ", 1000)) + `}],"messages":[` +
		strings.Repeat(`{"role":"user","content":[{"type":"text","text":"What is on it?"}]},`+usesF+`,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"A dog."}]}]},`, 30) +
		`{"role":"user","content":"so?"}],"tools":[` + toolF + strings.Repeat(`,{"name":"g","description":"It does things.","input_schema":`+schemaAB+`}`, 30) + `]}`
	for name, body := range map[string]string{
		"1KB":   `{"model":"m","max_tokens":100,"stream":true,"temperature":0.2,` + says(`"`+strings.Repeat("a b ", 250)+`"`) + `}`,
		"agent": agent,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := messagesToChat([]byte(body), &Target{Model: "theirs", Shown: "smart"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChatAnswersToMessages(b *testing.B) {
	text := []string{deltaChunk(`{"content":" fox"}`), deltaChunk(`{"content":" dog"}`)}
	for name, chunks := range map[string][]string{
		"text":       text,
		"obfuscated": {strings.TrimSuffix(text[0], "}") + `,"obfuscation":"x"}`, strings.TrimSuffix(text[1], "}") + `,"obfuscation":"yz"}`},
		"reasoning":  {deltaChunk(`{"reasoning_content":" fox"}`)},
		"arguments":  {toolChunk("0", "", "", `{"a":`)},
	} {
		b.Run(name, func(b *testing.B) {
			a := newChatAnswers("smart", nil)
			out, err := a.Event(nil, sse.Event{Data: []byte(toolChunk("0", "call_1", "f", "{}")), HasData: true})
			if err != nil {
				b.Fatal(err)
			}
			var events []sse.Event
			for _, c := range chunks {
				events = append(events, sse.Event{Data: []byte(c), HasData: true})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if out, err = a.Event(out[:0], events[i%len(events)]); err != nil || len(out) == 0 {
					b.Fatal(err, len(out))
				}
			}
		})
	}
}
