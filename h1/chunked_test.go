package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/h1"
)

// FuzzChunked compares what is read of a chunked body, at any split, with net/http.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("2\r\nok\r\n0\r\n\r\n"), uint8(3))
	f.Add([]byte("a;x=y\r\n0123456789\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n"), uint8(7))
	f.Add([]byte("5\r\nok"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, split uint8) {
		head := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		want, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(stream))), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantBody, wantErr := io.ReadAll(want.Body)
		client, server := net.Pipe()
		tr := &h1.Transport{Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
		go func() {
			defer func() { _ = server.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
				return
			}
			i := min(int(split), len(stream))
			for _, p := range [][]byte{[]byte(head), stream[:i], stream[i:]} {
				if _, err := server.Write(p); err != nil {
					return
				}
			}
		}()
		req, _ := request(t, context.Background(), "GET", "http://a")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		tr.CloseIdleConnections()
		if wantErr == nil && (err != nil || !bytes.Equal(got, wantBody)) {
			t.Fatalf("%q: got %q %v, want %q", stream, got, err, wantBody)
		}
		if err == nil && wantErr != nil && !strings.Contains(wantErr.Error(), "trailer") && !strings.Contains(wantErr.Error(), "MIME") {
			t.Fatalf("%q: got no error, want %v", stream, wantErr)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	defer srv.Close()
	for name, tr := range map[string]http.RoundTripper{"h1": &h1.Transport{}, "net_http": &http.Transport{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				u, _ := url.Parse(srv.URL)
				body := &readable{memory{parts: net.Buffers{[]byte("x")}}, 0}
				resp, err := tr.RoundTrip((&http.Request{Method: "POST", URL: u, Header: http.Header{}, Body: body, ContentLength: 1}))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

type readable struct {
	memory
	at int
}

func (r *readable) Read(p []byte) (int, error) {
	if r.at > 0 {
		return 0, io.EOF
	}
	r.at++
	return copy(p, r.parts[0]), nil
}
