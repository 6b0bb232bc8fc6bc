package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// version is a version of HTTP, with a client that speaks it.
type version struct {
	name, proto string
	url         string // of the gateway
	client      *http.Client
}

// speakingAll starts a gateway that serves every version of HTTP, and returns those that other tests do not speak.
func speakingAll(t *testing.T, up *upstream) (*gateway, setup, []version) {
	t.Helper()
	g := prepare(t)
	port := freePort(t)
	pool := x509.NewCertPool()
	crt, key := writeCertificate(t, g.dir, pool)
	s := oneProvider(up)
	s.Global = "servers {\nprotocols h1 h2 h2c h3\n}"
	s.Site = fmt.Sprintf("runestone\n}\nhttps://127.0.0.1:%d {\ntls %s %s\nrunestone", port, crt, key)
	g.launch(s)
	t.Cleanup(g.finish)

	trusting := &tls.Config{RootCAs: pool, ServerName: "example.com"}
	h2 := &http.Transport{TLSClientConfig: trusting.Clone(), ForceAttemptHTTP2: true}
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	h3 := &http3.Transport{TLSClientConfig: trusting.Clone()}
	t.Cleanup(func() {
		h2.CloseIdleConnections()
		h2c.CloseIdleConnections()
		_ = h3.Close()
	})
	secure := fmt.Sprintf("https://127.0.0.1:%d", port)
	return g, s, []version{
		{"h2", "HTTP/2.0", secure, &http.Client{Transport: h2}},
		{"h2c", "HTTP/2.0", "http://" + g.site, &http.Client{Transport: h2c}},
		{"h3", "HTTP/3.0", secure, &http.Client{Transport: h3}},
	}
}

// writeCertificate writes the certificate of net/http's tests and its key, and adds it to the pool.
func writeCertificate(t *testing.T, dir string, pool *x509.CertPool) (crt, key string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	pool.AddCert(server.Certificate())
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	crt, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		crt: {Type: "CERTIFICATE", Bytes: server.Certificate().Raw}, key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return crt, key
}

// ask posts a chat completion and returns with the head of the answer.
func (v *version) ask(t *testing.T, ctx context.Context, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+chatPath, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.Proto != v.proto {
		t.Errorf("the answer is in %s", res.Proto)
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Transfer-Encoding"} {
		if v := res.Header.Get(name); v != "" {
			t.Errorf("the answer has %s: %s", name, v)
		}
	}
	return res
}

// steps is a stream whose events are sent one by one.
type steps struct {
	t      *testing.T
	model  string
	events chan string
	route  *route
	body   *bufio.Reader
}

// inSteps opens such a stream.
func (v *version) inSteps(t *testing.T, ctx context.Context, up *upstream, model string) *steps {
	t.Helper()
	s := &steps{t: t, model: model, events: make(chan string, 1)}
	s.route = up.on(model, func(x *exchange) {
		x.sse("Connection: keep-alive", "Keep-Alive: timeout=5")
		for {
			select {
			case event, more := <-s.events:
				if !more {
					x.end()
					return
				}
				x.chunk(event)
			case <-x.gone:
				return
			case <-x.u.stop:
				return
			}
		}
	})
	s.events <- word(model, "a")
	s.body = bufio.NewReader(v.ask(t, ctx, chatBody("up/"+model, `,"stream":true`)).Body)
	s.read("a")
	return s
}

// read reads the next event.
func (s *steps) read(text string) {
	s.t.Helper()
	got := ""
	for !strings.HasSuffix(got, "\n\n") {
		line, err := s.body.ReadString('\n')
		if got += line; err != nil {
			s.t.Fatalf("%q and %v", got, err)
		}
	}
	if !strings.HasPrefix(got, "data: ") || !strings.Contains(got, text) {
		s.t.Errorf("got %q", got)
	}
}

// TestVersionsOfHTTP: whatever version a client speaks, events come as they are sent, a reload ends no stream, its leaving ends the
// provider's call, an answer may come before the body has, and a body that breaks off reaches no provider.
func TestVersionsOfHTTP(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	g, s, versions := speakingAll(t, up)
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			wantHello(t, answerOf(v.ask(t, t.Context(), chatBody("smart", ""))), "smart", "up", 1)

			stream := v.inSteps(t, t.Context(), up, v.name+"-steps")
			g.reload(s)
			for _, text := range []string{"b", "c"} {
				stream.events <- word(stream.model, text)
				stream.read(text)
			}
			stream.events <- doneEvent
			stream.read("[DONE]")
			close(stream.events)
			if rest, err := io.ReadAll(stream.body); err != nil || len(rest) > 0 {
				t.Errorf("the stream ends with %q and %v", rest, err)
			}

			ctx, leave := context.WithCancel(t.Context())
			stream = v.inSteps(t, ctx, up, v.name+"-left")
			leave()
			if _, left := stream.route.next(t).leftAt(patience); !left {
				t.Error("the provider's call goes on when the client has left")
			}

			before := up.requests()
			for path, text := range map[string]string{"/v1/nothing/../here": "", chatPath: `{"model":"smart",`} {
				ctx, leave := context.WithTimeout(t.Context(), patience)
				defer leave()
				r, w := io.Pipe()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+path, r)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				if text != "" {
					go func() {
						_, _ = io.WriteString(w, text)
						_ = w.CloseWithError(errors.New("broken"))
					}()
				}
				res, err := v.client.Do(req)
				if text == "" && (err != nil || res.StatusCode != http.StatusBadRequest) {
					t.Errorf("an answer before the body: %v, %v", res, err)
				}
				if err == nil {
					_ = res.Body.Close()
				}
				_ = w.Close()
			}
			eventually(t, patience, "a request is still open", func() bool { return g.openRequests() == 0 })
			if n := up.requests(); n != before {
				t.Error("a body that broke off has reached the provider")
			}
		})
	}
}
