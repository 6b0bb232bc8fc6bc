package providertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/provider"
)

// private are headers of the client's that no provider must see.
var private = []string{
	"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie", "Accept-Encoding", "User-Agent",
	"Connection", "Te", "Trailer", "Upgrade", "Expect", "Forwarded", "X-Forwarded-For", "X-Real-Ip", "Origin", "Referer",
	"X-Request-Id", "Idempotency-Key", "X-Stainless-Lang", "Runestone-Anything", "Prefer", "X-Goog-User-Project",
}

const clientSecret = "the client's own secret"

// clientHeader returns the headers of a client that sends everything.
func (c *Case) clientHeader() http.Header {
	header := http.Header{}
	for _, name := range private {
		header[name] = []string{clientSecret}
	}
	for _, name := range slices.Concat(anywhere, c.Travels) {
		header[name] = []string{"the client's " + name}
	}
	header["Content-Type"] = []string{"application/json"}
	delete(header, "Content-Encoding")
	return header
}

// seen is a request as a server got it.
type seen struct {
	method, url, body string
	length            int64
	header            http.Header
}

// server is a provider's server that keeps what it gets.
func server(t testing.TB, got func(*seen)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the request: %v", err)
		}
		got(&seen{method: r.Method, url: r.RequestURI, body: string(body), length: r.ContentLength, header: r.Header})
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// send makes the upstream call for r and has the server answer it.
func send(ctx context.Context, p provider.Provider, r *provider.Request, t provider.Target) error {
	req, err := p.NewRequest(ctx, r, t)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (c *Case) wire(t *testing.T) {
	for _, call := range c.Calls {
		t.Run(call.Name, func(t *testing.T) {
			var got *seen
			p := c.load(t, server(t, func(s *seen) { got = s }))
			header := c.clientHeader()
			before := header.Clone()
			freed := make(chan struct{}, 2)
			r := call.request(t, header, func() { freed <- struct{}{} })
			copied := *r
			if err := send(t.Context(), p, r, provider.Target{Model: call.Model, Credential: "sk-provider"}); err != nil {
				t.Fatal(err)
			}
			c.checkSeen(t, &call, r, got)
			if !maps.EqualFunc(header, before, slices.Equal) || !reflect.DeepEqual(*r, copied) {
				t.Error("the adapter has modified the request")
			}
			if r.Body != nil {
				checkReleased(t, r.Body, call.Body, freed)
			}
			c.checkWithoutCredential(t, p, call)
		})
	}
}

// checkReleased checks that a body is as it was, and that nobody but the caller holds it any more.
func checkReleased(t *testing.T, body *provider.Body, text string, freed <-chan struct{}) {
	t.Helper()
	if string(body.Bytes()) != text {
		t.Error("the adapter has modified the body")
	}
	if len(freed) > 0 {
		t.Error("the body was let go of too often")
	}
	body.Release()
	select {
	case <-freed:
	case <-time.After(patience): // net/http may close a body a little after the answer
		t.Error("the body is still held after the call")
	}
}

// patience is how long something may take that is about to happen.
const patience = 10 * time.Second

// checkSeen checks what the server got.
func (c *Case) checkSeen(t *testing.T, call *Call, r *provider.Request, got *seen) {
	t.Helper()
	if got == nil {
		t.Fatal("the server got nothing")
	}
	if got.method != r.Method || got.url != call.WantURL {
		t.Errorf("the server got %s %s, want %s %s", got.method, got.url, r.Method, call.WantURL)
	}
	if want := call.wantBody(); got.body != want || got.length != int64(len(want)) {
		t.Errorf("the server got %d bytes %s, want %s", got.length, got.body, want)
	}
	for name, values := range got.header {
		if slices.Contains(values, clientSecret) || !c.mayArrive(name) {
			t.Errorf("the server got %s: %q", name, values)
		}
	}
	for _, name := range slices.Concat([]string{"Traceparent"}, c.Travels) {
		if want := "the client's " + name; !bytes.Contains([]byte(got.header.Get(name)), []byte(want)) {
			t.Errorf("the server got %s: %q, want %q in it", name, got.header.Get(name), want)
		}
	}
	if encoding := got.header["Accept-Encoding"]; !slices.Equal(encoding, []string{"identity"}) {
		t.Errorf("the server may answer in the encodings %q: answers are read on their way", encoding)
	}
	if name, want := c.Credential("sk-provider"); got.header.Get(name) != want {
		t.Errorf("the credential is in %s: %q, want %q", name, got.header.Get(name), want)
	}
}

// checkWithoutCredential checks that a target without a credential has none, not even the client's.
func (c *Case) checkWithoutCredential(t *testing.T, p provider.Provider, call Call) {
	t.Helper()
	req, err := p.NewRequest(t.Context(), call.request(t, c.clientHeader(), func() {}), provider.Target{Model: call.Model})
	if err != nil {
		t.Fatal(err)
	}
	if name, _ := c.Credential("x"); len(req.Header[name]) > 0 {
		t.Errorf("without a credential %s is %q", name, req.Header[name])
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// sideBySide makes all calls at once, each under names of models of its own.
func (c *Case) sideBySide(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	p := c.load(t, server(t, func(s *seen) {
		mu.Lock()
		defer mu.Unlock()
		got[s.method+" "+s.url+" "+s.body]++
	}))
	want := map[string]int{}
	var group sync.WaitGroup
	for i := range 4 * len(c.Calls) {
		call := c.Calls[i%len(c.Calls)]
		if call.WantBody == "" && call.Body != "" && call.Model != "" && !bytes.Contains([]byte(call.WantURL), []byte(call.Model)) {
			call.Model += "-" + strconv.Itoa(i)
		}
		r := call.request(t, c.clientHeader(), func() {})
		want[r.Method+" "+call.WantURL+" "+call.wantBody()]++
		group.Go(func() {
			if err := send(t.Context(), p, r, provider.Target{Model: call.Model, Credential: "sk-provider"}); err != nil {
				t.Errorf("%s: %v", call.Name, err)
			}
		})
	}
	group.Wait()
	if !maps.Equal(got, want) {
		t.Errorf("the server got %v, want %v", got, want)
	}
}

type contextKey struct{}

// context checks that the upstream call has the context that it was made with.
func (c *Case) context(t *testing.T) {
	p := c.load(t, server(t, func(*seen) {}))
	call := c.Calls[0]
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
	req, err := p.NewRequest(ctx, call.request(t, c.clientHeader(), func() {}), provider.Target{Model: call.Model})
	if err != nil {
		t.Fatal(err)
	}
	if req.Context().Value(contextKey{}) != "value" {
		t.Error("the upstream call has another context")
	}
	cancel()
	if req.Context().Err() == nil {
		t.Error("the upstream call outlives its context")
	}
	if resp, err := http.DefaultTransport.RoundTrip(req); !errors.Is(err, context.Canceled) {
		if err == nil {
			_ = resp.Body.Close()
		}
		t.Errorf("a call that was given up ended with %v", err)
	}
}
