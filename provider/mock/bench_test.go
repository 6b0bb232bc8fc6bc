package mock

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkAnswer measures what a load test pays for its upstream.
func BenchmarkAnswer(b *testing.B) {
	for _, bench := range []struct{ name, path, body string }{
		{"whole", "chat/completions", askFor("mock:words=200 hello", ``)},
		{"stream", "chat/completions", askFor("mock:words=200 hello", `,"stream":true`)},
		{"response", "responses", `{"model":"m","input":"mock:words=200 hello","stream":true}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p := quick()
			buffer := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequest(http.MethodPost, "http://mock.invalid/v1/"+bench.path, strings.NewReader(bench.body))
				if err != nil {
					b.Fatal(err)
				}
				resp, err := p.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buffer)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}
