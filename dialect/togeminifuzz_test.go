package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

func FuzzChatToGemini(f *testing.F) {
	for _, seed := range []string{
		`{` + hi + `}`, string(conversation()),
		`{"messages":[{"role":"user","content":"hi"},` + callOf + `,` + resultOf + `],"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"type":["string","null"]},{"const":1}]}}}}}],"tool_choice":"required"}`,
		`{` + hi + `,"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"array","prefixItems":[true]}}},"stop":["a"],"seed":1,"reasoning_effort":"low","thinking":{"type":"enabled","budget_tokens":1}}`,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},{"type":"input_audio","input_audio":{"data":"a","format":"wav"}},{"type":"file","file":{"file_id":"gs://a"}}]}]}`,
		`{"messages":[{"role":"assistant","thinking_blocks":[{"signature":"gemini:x"}],"tool_calls":[{"id":"a","function":{"name":"f","arguments":""},"extra_content":{"google":{"thought_signature":"x"}}}]}]}`,
	} {
		for _, model := range []string{oldModel, model3, "gemma-3"} {
			f.Add(model, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, model string, body []byte) {
		if _, err := ScanOpenAI(body); err != nil {
			return // nobody has it translated
		}
		got, err := Translate(Chat, Gemini, body, &Target{Model: model})
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("an error that is none of ours: %v", err)
			}
			return
		}
		if !json.Valid(got.Body) {
			t.Fatalf("%s became %s", body, got.Body)
		}
		var request struct {
			Contents []struct {
				Role  string
				Parts []map[string]json.RawMessage // what is in them may be more than Go's numbers hold
			}
		}
		if err := json.Unmarshal(got.Body, &request); err != nil {
			t.Fatal(err)
		}
		for i, c := range request.Contents {
			if len(c.Parts) == 0 || i > 0 && c.Role == request.Contents[i-1].Role {
				t.Fatalf("%s became %s", body, got.Body)
			}
		}
	})
}

func FuzzEmbeddingsToGemini(f *testing.F) {
	f.Add([]byte(`{"input":["a"],"dimensions":5,"encoding_format":"base64"}`), []byte(`{"embeddings":[{"values":[1,2e400,-0.5]}],"usageMetadata":{"promptTokenCount":1}}`))
	f.Add([]byte(`{"input":"a"}`), []byte(`[{"error":{"code":400}}]`))
	f.Fuzz(func(t *testing.T, request, answer []byte) {
		if _, err := ScanOpenAI(request); err != nil {
			return // nobody has it translated
		}
		got, err := Translate(Embeddings, GeminiEmbed, request, &Target{Model: "m", Shown: "m"})
		if err != nil {
			return
		}
		if !json.Valid(got.Body) {
			t.Fatalf("%s became %s", request, got.Body)
		}
		if out, err := got.Answers.Whole(nil, answer); err == nil && !json.Valid(out) {
			t.Fatalf("%s became %s", answer, out)
		}
	})
}

func FuzzGeminiAnswersToChat(f *testing.F) {
	for _, s := range geminiStreams {
		f.Add([]byte(s.stream))
	}
	f.Add([]byte("data: [{\"error\":{\"code\":503,\"details\":[{}]}}]\n\ndata: null\n\n"))
	f.Add([]byte(`{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"a"}}]},"index":"7"}],"promptFeedback":{"blockReason":"x"}}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole := bytes.TrimPrefix(stream, []byte("data: "))
		if out, err := geminiWhole(t).Whole(nil, whole); err == nil && !json.Valid(out) {
			t.Fatalf("%s became %s", whole, out)
		}
		answers := geminiStream(t)
		var out []byte
		var err error
		for rest := stream; len(rest) > 0 && err == nil; {
			n := sse.End(rest)
			if n == 0 {
				n = len(rest)
			}
			out, err = answers.Event(out, sse.Parse(rest[:n]))
			rest = rest[n:]
		}
		if err == nil {
			out, _ = answers.End(out)
		}
		for event := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\n"), "\n\n") {
			data, ok := strings.CutPrefix(event, "data: ")
			if len(out) > 0 && (!ok || data != "[DONE]" && !json.Valid([]byte(data))) {
				t.Fatalf("%q became %q", stream, event)
			}
		}
	})
}

func BenchmarkChatToGemini(b *testing.B) {
	for name, body := range map[string][]byte{"1KB": prompt(1 << 10), "100KB": prompt(100 << 10), "conversation": conversation()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Translate(Chat, Gemini, body, &Target{Model: model3, Shown: "gpt-4o"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGeminiEvent(b *testing.B) {
	for name, text := range map[string]string{
		"text": chunk("", `{"text":" fox jumps over the lazy dog"}`), "call": chunk("", `{"functionCall":{"name":"f","args":{"a":"b"}}}`),
	} {
		b.Run(name, func(b *testing.B) {
			answers := geminiStream(b)
			event := sse.Parse([]byte(text))
			var out []byte
			b.SetBytes(int64(len(event.Data)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if out, err = answers.Event(out[:0], event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGeminiWhole(b *testing.B) {
	body := []byte(`{"candidates":[{"content":{"parts":[{"text":"` + strings.Repeat(`The quick brown fox\n`, 200) + `"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":100},"responseId":"r1"}`)
	answers := geminiWhole(b)
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
