package dialect

import (
	"fmt"
	"strings"
	"testing"
)

// prompt is a request of about size bytes, in the prose of which a line ends now and then.
func prompt(size int) []byte {
	const line = `The quick brown fox jumps over the lazy dog, and the dog \"sleeps\" on.\n`
	text := strings.Repeat(line, size/len(line)+1)
	return fmt.Appendf(nil, `{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},`+
		`{"role":"user","content":"%s"}],"temperature":0.2,"stream":true,"max_tokens":256}`, text)
}

// conversation is a request of many short messages, with tools and an image.
func conversation() []byte {
	turn := `{"role":"user","content":[{"type":"text","text":"What is on it?"}]},{"role":"assistant","content":null,"tool_calls":` +
		`[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"at\":\"it\"}"}}]},` +
		`{"role":"tool","tool_call_id":"call_1","content":"A dog."},`
	return fmt.Appendf(nil, `{"model":"gpt-4o","messages":[%s{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}],`+
		`"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"at":{"type":"string"}}}}}],"stream":true}`,
		strings.Repeat(turn, 50), strings.Repeat("iVBORw0K", 100))
}

func BenchmarkScanOpenAI(b *testing.B) {
	for name, body := range map[string][]byte{
		"1KB": prompt(1 << 10), "100KB": prompt(100 << 10), "conversation": conversation(),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if r, err := ScanOpenAI(body); err != nil || r.Model != "gpt-4o" {
					b.Fatal(r, err)
				}
			}
		})
	}
}

func BenchmarkReadAnswer(b *testing.B) {
	for _, bench := range []struct{ name, chunk string }{
		{"token", `{"id":"chatcmpl-9x2","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4o-2024-08-06",` +
			`"system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" fox"},"logprobs":null,"finish_reason":null}],"usage":null}`},
		{"usage", `{"id":"chatcmpl-9x2","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4o-2024-08-06",` +
			`"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":4}}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			data := []byte(bench.chunk)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if a, err := ReadAnswer(data); err != nil || len(a.Models) != 1 {
					b.Fatal(a, err)
				}
			}
		})
	}
}

func BenchmarkMayHaveUsage(b *testing.B) {
	data := []byte(`{"id":"chatcmpl-9x2","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":" fox"}}],"usage":null}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if MayHaveUsage(data) {
			b.Fatal("usage is null")
		}
	}
}
