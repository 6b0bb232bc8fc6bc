package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait for what has to happen; reaching it fails the test.
const patience = 15 * time.Second

// answer is what a client got, the body read to its end.
type answer struct {
	*http.Response
	Body string
	Err  error // of reading the body: nil exactly when it was ended properly
}

// client pools connections per gateway, and neither adds an Accept-Encoding nor follows redirects.
func (g *gateway) client() *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// post sends a JSON body; headers are "Name: value".
func (g *gateway) post(t testing.TB, path, body string, headers ...string) answer {
	t.Helper()
	return g.do(t, http.MethodPost, path, body, append([]string{"Content-Type: application/json"}, headers...)...)
}

// do calls the gateway and reads the whole answer.
func (g *gateway) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	res, err := g.send(t, t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, g.tail())
	}
	return answerOf(res)
}

// answerOf reads the body of an answer.
func answerOf(res *http.Response) answer {
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{Response: res, Body: string(b), Err: err}
}

// send calls the gateway and returns with the headers.
func (g *gateway) send(t testing.TB, ctx context.Context, method, path, body string, headers ...string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.site+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	return g.shared().Do(req)
}

// shared is the gateway's one client.
func (g *gateway) shared() *http.Client {
	g.once.Do(func() { g.http = g.client() })
	return g.http
}

// stream is an open event stream, read event by event.
type stream struct {
	t      testing.TB
	res    *http.Response
	br     *bufio.Reader
	cancel context.CancelFunc
	began  time.Time
}

// open posts a streaming request and returns once the headers are there.
func (g *gateway) open(t testing.TB, path, body string, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	s := &stream{t: t, cancel: cancel, began: time.Now()}
	res, err := g.send(t, ctx, http.MethodPost, path, body, append([]string{"Content-Type: application/json"}, headers...)...)
	if err != nil {
		t.Fatalf("opening the stream: %v\n%s", err, g.tail())
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	s.res, s.br = res, bufio.NewReaderSize(res.Body, 1<<20)
	return s
}

// next returns the bytes of the next event, its blank line included. At the end
// of the stream it returns what is left and the error, io.EOF for a proper end.
func (s *stream) next() (string, error) {
	var event strings.Builder
	for {
		line, err := s.br.ReadString('\n')
		event.WriteString(line)
		if err != nil {
			return event.String(), err
		}
		if strings.TrimRight(line, "\r\n") == "" {
			return event.String(), nil
		}
	}
}

// want reads the next event and fails the test unless it is this.
func (s *stream) want(event string) {
	s.t.Helper()
	got, err := s.next()
	if got != event {
		s.t.Fatalf("event\n got: %q (%v)\nwant: %q", got, err, event)
	}
}

// rest reads to the end. The error is nil exactly when the stream was ended properly.
func (s *stream) rest() (string, error) {
	b, err := io.ReadAll(s.br)
	return string(b), err
}

// apiError is the error object of the OpenAI dialect.
type apiError struct {
	Message, Type string
	Param, Code   *string
}

func (e apiError) code() string { return deref(e.Code) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// parseError reads {"error":{...}} and insists on all four keys, as OpenAI's
// description of its API does.
func parseError(body []byte) (e apiError, err error) {
	var outer struct {
		Error map[string]json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(body), &outer); err != nil {
		return e, fmt.Errorf("not JSON: %w", err)
	}
	for _, key := range []string{"message", "type", "param", "code"} {
		if _, ok := outer.Error[key]; !ok {
			return e, fmt.Errorf("the error object has no %q", key)
		}
	}
	raw, _ := json.Marshal(outer.Error)
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, err
	}
	if e.Message == "" || e.Type == "" {
		return e, fmt.Errorf("an empty message or type")
	}
	return e, nil
}

// wantError fails the test unless a is an OpenAI-shaped error with the status.
func (a answer) wantError(t testing.TB, status int) apiError {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, status, a.Body)
	}
	if ct := a.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
		t.Errorf("Content-Type %q of an error", ct)
	}
	if a.Header.Get("X-Request-Id") == "" {
		t.Error("the error has no X-Request-Id")
	}
	e, err := parseError([]byte(a.Body))
	if err != nil {
		t.Fatalf("the error is not OpenAI-shaped: %v: %s", err, a.Body)
	}
	return e
}

// wantErrorEvent fails the test unless text is exactly one error event.
func wantErrorEvent(t testing.TB, text string) apiError {
	t.Helper()
	data, found := strings.CutPrefix(text, "data: ")
	if !found || !strings.HasSuffix(data, "\n\n") || strings.Count(text, "data:") != 1 {
		t.Fatalf("not one error event: %q", text)
	}
	e, err := parseError([]byte(data))
	if err != nil {
		t.Fatalf("the error event is not OpenAI-shaped: %v: %q", err, text)
	}
	return e
}

// eventually polls until cond holds.
func eventually(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", limit, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// eventuallyOr is eventually for what ought to hold within moments, and tells what
// is the case when it does not.
func eventuallyOr(t testing.TB, cond func() bool, what func() string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Error(what())
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}
