package mock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// endpoint is one decoded call of an endpoint.
type endpoint interface {
	// prompt returns what the call asks for, or a failure if it makes no sense.
	prompt() (*prompt, error)
	// whole returns the answer that is not streamed, to be written as JSON.
	whole(q *prompt, replies []reply) any
}

// streamer is an endpoint that can stream its answer.
type streamer interface {
	endpoint
	script(q *prompt, replies []reply) script
	// errorEvent is the event that reports f within a stream.
	errorEvent(f *failure) []byte
}

// RoundTrip implements [http.RoundTripper]: it makes the answer up.
func (p *Provider) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.answer(req)
	if f, ok := errors.AsType[*failure](err); ok {
		resp, err = f.response(), nil
	}
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

func (p *Provider) answer(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	e, err := open(req)
	if err != nil {
		return nil, err
	}
	q, err := e.prompt()
	if err != nil {
		return nil, err
	}
	q.hash = hash(q.hash, strconv.FormatInt(p.Seed, 10))
	b, err := p.behave(q)
	if err != nil {
		return nil, err
	}
	replies, err := q.replies(b.words)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, b.latency); err != nil {
		return nil, err
	}
	if b.fails() {
		return nil, simulated(b)
	}
	if s, ok := e.(streamer); ok && q.stream {
		if b.errorFirst {
			b.status, b.breakAfter = p.failureStatus(), -1
			return streamResponse(newStream(ctx, onlyEvent(s.errorEvent(simulated(b))), b)), nil
		}
		return streamResponse(newStream(ctx, s.script(q, replies), b)), nil
	}
	_, longest := totalTokens(replies)
	if err := pause(ctx, b.spoken(longest)); err != nil {
		return nil, err
	}
	return wholeResponse(http.StatusOK, marshal(e.whole(q, replies))), nil
}

// open reads the call from req and closes its body.
func open(req *http.Request) (endpoint, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	path := strings.TrimPrefix(req.URL.Path, "/v1/")
	switch req.Method + " " + path {
	case "POST chat/completions":
		return read(req, new(chat))
	case "POST completions":
		return read(req, new(completion))
	case "POST responses":
		return read(req, new(response))
	case "POST embeddings":
		return read(req, new(embedding))
	case "POST moderations":
		return read(req, new(moderation))
	case "POST audio/transcriptions":
		return hearUpload(req)
	case "GET models":
		return modelList{}, nil
	}
	if id, ok := strings.CutPrefix(path, "models/"); ok && id != "" && req.Method == http.MethodGet {
		return modelCard(id), nil
	}
	f := refuse("", "Unknown request URL: %s %s. The mock provider does not serve it.", req.Method, req.URL.Path)
	f.status, f.code = http.StatusNotFound, "unknown_url"
	return nil, f
}

func read(req *http.Request, e endpoint) (endpoint, error) {
	var body bytes.Buffer
	if req.Body != nil {
		const most = 1 << 20 // of a length that is only claimed
		body.Grow(int(max(0, min(req.ContentLength, most))) + bytes.MinRead)
		if _, err := body.ReadFrom(req.Body); err != nil {
			return nil, fmt.Errorf("reading the request: %w", err)
		}
	}
	return e, decode(body.Bytes(), e)
}

// pause waits for d, or for the end of ctx, whose cause it returns.
func pause(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newResponse(status int, contentType string, body io.ReadCloser) *http.Response {
	return &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {contentType}},
		Body:          body,
		ContentLength: -1,
	}
}

func wholeResponse(status int, body []byte) *http.Response {
	resp := newResponse(status, "application/json", io.NopCloser(bytes.NewReader(body)))
	resp.ContentLength = int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return resp
}

func streamResponse(s *stream) *http.Response {
	return newResponse(http.StatusOK, "text/event-stream; charset=utf-8", s)
}

var _ http.RoundTripper = (*Provider)(nil)
