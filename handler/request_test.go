package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/provider"
	_ "github.com/runestone-gateway/runestone/provider/openai"
	"github.com/runestone-gateway/runestone/telemetry"
)

func TestRequestIDIsTheClientsWhenItIsWellFormed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header []string
		keep   bool
	}{
		"none":              {nil, false},
		"empty":             {[]string{""}, false},
		"a UUID":            {[]string{"0191e0f8-8c2b-7a5e-9d53-1b0e7a2c4f10"}, true},
		"every kind":        {[]string{"aZ09-_.:"}, true},
		"the longest":       {[]string{strings.Repeat("x", 128)}, true},
		"too long":          {[]string{strings.Repeat("x", 129)}, false},
		"two of them":       {[]string{"a", "b"}, false},
		"a line end":        {[]string{"a\r\nSet-Cookie: b"}, false},
		"a space":           {[]string{"a b"}, false},
		"a quote":           {[]string{`a"b`}, false},
		"markup":            {[]string{"<script>"}, false},
		"above ASCII":       {[]string{"é"}, false},
		"a slash":           {[]string{"a/b"}, false},
		"a control":         {[]string{"a\x00"}, false},
		"just past letters": {[]string{"a@b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{Header: http.Header{"X-Request-Id": test.header}}
			got := requestID(r)
			if test.keep != (len(test.header) == 1 && got == test.header[0]) {
				t.Errorf("got %q of %q", got, test.header)
			}
			if !test.keep && (len(got) != 36 || !strings.HasPrefix(got, "req_") || !wellFormed(got)) {
				t.Errorf("the new one is %q", got)
			}
		})
	}
}

func TestNewRequestIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := requestID(&http.Request{})
		if seen[id] || strings.Trim(id[4:], "0123456789abcdef") != "" {
			t.Fatalf("got %q", id)
		}
		seen[id] = true
	}
}

func TestAppendHexWritesSixteenDigits(t *testing.T) {
	t.Parallel()
	for _, v := range []uint64{0, 1, 0xfedcba9876543210, math.MaxUint64} {
		if got, want := string(appendHex(nil, v)), fmt.Sprintf("%016x", v); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRetryAfterIsRoundedUpAndBounded(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{
		0:                       "0",
		1:                       "1",
		time.Second - 1:         "1",
		time.Second:             "1",
		time.Second + 1:         "2",
		1500 * time.Millisecond: "2",
		59*time.Second + 1:      "60",
		time.Minute:             "60",
		time.Minute + 1:         "60",
		24 * time.Hour:          "60",
		math.MaxInt64:           "60",
	} {
		if got := retryAfter(&dialect.Error{RetryAfter: after}); got != want {
			t.Errorf("%v: got %s, want %s", after, got, want)
		}
	}
}

func TestErrorsAreWrittenInOpenAIsShape(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		told              dialect.Error
		retryAfter, retry string // headers
	}{
		"one that is final":       {dialect.Error{Status: 400, Type: "invalid_request_error", Param: "model", Code: "c", Message: "No \"model\".", Final: true}, "", "false"},
		"one worth another try":   {dialect.Error{Status: 503, Type: "server_error", Message: "Later.", RetryAfter: 1500 * time.Millisecond}, "2", ""},
		"one that says no more":   {dialect.Error{Status: 502, Type: "server_error"}, "", ""},
		"one with a time to wait": {dialect.Error{Status: 429, Type: "requests", RetryAfter: time.Hour, Final: true}, "60", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			writeError(w, &test.told, dialect.Chat, "req_1")
			got := w.Result()
			if got.StatusCode != test.told.Status || got.Header.Get("Content-Type") != "application/json" || got.ContentLength != int64(w.Body.Len()) {
				t.Errorf("got %d of %d bytes with %v", got.StatusCode, w.Body.Len(), got.Header)
			}
			if got.Header.Get("Retry-After") != test.retryAfter || got.Header.Get("X-Should-Retry") != test.retry {
				t.Errorf("got %v", got.Header)
			}
			var body struct {
				Error struct{ Message, Type, Param, Code *string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || *body.Error.Message != test.told.Message {
				t.Errorf("got %s: %v", w.Body, err)
			}
		})
	}
}

func TestUnreadableSaysWhyABodyEnded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
		final  bool
	}{
		"the connection broke":      {io.ErrUnexpectedEOF, 400, "incomplete_body", true},
		"it took too long":          {fmt.Errorf("read: %w", os.ErrDeadlineExceeded), 408, "incomplete_body", false},
		"Caddy found it too large":  {fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 5}), 413, "request_too_large", true},
		"something else went wrong": {errors.New("something"), 400, "incomplete_body", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := unreadable(test.err)
			if got.Status != test.status || got.Code != test.code || got.Final != test.final {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// newApp returns a gateway that takes bodies of up to 1 KiB.
func newApp(t *testing.T) *gateway.App {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}}}},
		AppsRaw: caddy.ModuleMap{"runestone": json.RawMessage(`{
			"max_body": 1024,
			"providers": {"local": {"adapter": {"type": "openai", "base_url": "http://127.0.0.1:9/v1"}, "passthrough": true}},
			"models": {"smart": {"targets": [{"provider": "local", "model": "m"}]}}
		}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("runestone")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*gateway.App)
}

// chatOf returns a chat of so many bytes.
func chatOf(size int) string {
	const begin, end = `{"model":"smart","x":"`, `"}`
	return begin + strings.Repeat("x", size-len(begin)-len(end)) + end
}

// call is a request as it arrives, and what is expected of reading it.
type call struct {
	method, path, contentType string // default POST, chat's, application/json
	encoding                  string
	body                      io.Reader
	length                    int64 // 0 to take it from the body

	status int // of the refusal, 0 for none
	code   string
	want   provider.Request // Model, Stream, and whether there are Body, Upload, AskUsage
	usage  string           // AskUsage's text
	held   string           // the body that is held
	close  bool             // the connection, for what is still to come of the body
}

func (c call) request() *http.Request {
	method, target := c.method, c.path
	if method == "" {
		method = http.MethodPost
	}
	if target == "" {
		target = "/v1/chat/completions"
	}
	r := httptest.NewRequest(method, target, c.body)
	if c.length != 0 {
		r.ContentLength = c.length
	}
	r.Header.Set("Content-Type", "application/json")
	switch c.contentType {
	case "":
	case "none":
		r.Header.Del("Content-Type")
	default:
		r.Header.Set("Content-Type", c.contentType)
	}
	if c.encoding != "" {
		r.Header.Set("Content-Encoding", c.encoding)
	}
	return r
}

func TestRead(t *testing.T) {
	app := newApp(t)
	text := func(s string) io.Reader { return strings.NewReader(s) }
	const chat = `{"model":"smart","messages":[]}`
	const stream = `{"model":"smart","stream":true}`
	const askUsage = `,"stream_options":{"include_usage":true}`
	for name, test := range map[string]call{
		"chat":                        {body: text(chat), want: provider.Request{Model: "smart"}, held: chat},
		"chat byte by byte":           {body: iotest.OneByteReader(text(chat)), want: provider.Request{Model: "smart"}, held: chat},
		"chat of unknown length":      {body: text(chat), length: -1, want: provider.Request{Model: "smart"}, held: chat},
		"chat with parameters":        {body: text(chat), contentType: "Application/JSON; charset=utf-8", want: provider.Request{Model: "smart"}, held: chat},
		"chat in another JSON":        {body: text(chat), contentType: "application/vnd.api+json", want: provider.Request{Model: "smart"}, held: chat},
		"chat without a type":         {body: text(chat), contentType: "none", want: provider.Request{Model: "smart"}, held: chat},
		"a stream":                    {body: text(stream), want: provider.Request{Model: "smart", Stream: true}, usage: askUsage, held: stream},
		"a stream of completions":     {path: "/v1/completions", body: text(stream), want: provider.Request{Model: "smart", Stream: true}, usage: askUsage, held: stream},
		"a stream of a response":      {path: "/v1/responses", body: text(stream), want: provider.Request{Model: "smart", Stream: true}, held: stream},
		"a stream that asks itself":   {body: text(`{"model":"smart","stream":true,"stream_options":{"include_usage":true}}`), want: provider.Request{Model: "smart", Stream: true}, held: `{"model":"smart","stream":true,"stream_options":{"include_usage":true}}`},
		"no stream":                   {body: text(`{"model":"smart","stream":false}`), want: provider.Request{Model: "smart"}, held: `{"model":"smart","stream":false}`},
		"a response without a model":  {path: "/v1/responses", body: text(`{}`), held: `{}`},
		"a call that has no body":     {method: http.MethodGet, path: "/v1/chat/completions"},
		"another call without a body": {path: "/v1/responses/r/cancel", contentType: "none"},
		"another call":                {path: "/v1/images/generations", body: text(chat), want: provider.Request{Model: "smart"}, held: chat},
		"another call, not JSON":      {path: "/v1/x", body: text(`{"model":`), held: `{"model":`},
		"another call, encoded":       {path: "/v1/x", body: text("zz"), encoding: "gzip", want: provider.Request{Upload: text("")}},
		"an upload":                   {path: "/v1/files", body: text("data"), contentType: "application/octet-stream", want: provider.Request{Upload: text("")}},
		"a form":                      {path: "/v1/audio/transcriptions", body: text(form("b", modelPart)), contentType: "multipart/form-data; boundary=b", want: provider.Request{Model: "whisper-1", Upload: text("")}, held: form("b", modelPart)},
		"a form without a boundary":   {path: "/v1/files", body: text("data"), contentType: "multipart/form-data", want: provider.Request{Upload: text("")}},
		"a body as large as may be":   {body: text(chatOf(1024)), want: provider.Request{Model: "smart"}, held: chatOf(1024)},

		"no body":                 {status: 400, code: "invalid_json"},
		"an empty body":           {body: text(""), length: -1, status: 400, code: "invalid_json"},
		"not JSON":                {body: text(`{"model":`), status: 400, code: "invalid_json"},
		"no model":                {body: text(`{}`), status: 400, code: "missing_required_parameter"},
		"no model to embed":       {path: "/v1/embeddings", body: text(`{}`), status: 400, code: "missing_required_parameter"},
		"two models":              {body: text(`{"model":"a","model":"b"}`), status: 400, code: "duplicate_parameter"},
		"two models elsewhere":    {path: "/v1/x", body: text(`{"model":"a","model":"b"}`), status: 400, code: "duplicate_parameter"},
		"plain text":              {body: text(chat), contentType: "text/plain", status: 415, code: "unsupported_media_type", close: true},
		"a form for chat":         {body: text(chat), contentType: "multipart/form-data; boundary=b", status: 415, code: "unsupported_media_type", close: true},
		"a type that is none":     {body: text(chat), contentType: "a/b/c;;", status: 415, code: "unsupported_media_type", close: true},
		"an encoding":             {body: text(chat), encoding: "gzip", status: 415, code: "unsupported_media_type", close: true},
		"a body too large":        {body: text(chat), length: 1025, status: 413, code: "request_too_large", close: true},
		"one that did not say so": {body: text(`{"x":"` + strings.Repeat("x", 5000)), length: -1, status: 413, code: "request_too_large", close: true},
		"one larger by a byte":    {body: text(chatOf(1025)), length: -1, status: 413, code: "request_too_large", close: true},
		"a body that breaks off":  {body: io.MultiReader(text(`{"mo`), iotest.ErrReader(io.ErrUnexpectedEOF)), length: 50, status: 400, code: "incomplete_body", close: true},
		"a body that is late":     {body: iotest.ErrReader(os.ErrDeadlineExceeded), length: 50, status: 408, code: "incomplete_body", close: true},
		"a form that breaks off":  {path: "/v1/x", body: iotest.ErrReader(io.ErrUnexpectedEOF), length: 50, contentType: "multipart/form-data; boundary=b", status: 400, code: "incomplete_body", close: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			x := &exchange{app: app, w: w, r: test.request()}
			x.api = gateway.APIOf(x.r.URL.Path)
			told := x.read()
			if x.req.Body != nil {
				defer x.req.Body.Release()
			}
			if told != nil || test.status != 0 {
				if told == nil || told.Status != test.status || told.Code != test.code {
					t.Fatalf("got %+v, want %d %s", told, test.status, test.code)
				}
				x.refuse(told, telemetry.OutcomeInvalid)
				if closes := w.Header().Get("Connection") == "close"; closes != test.close || w.Code != test.status {
					t.Errorf("answered %d, and the connection closes: %t", w.Code, closes)
				}
				return
			}
			if x.req.Model != test.want.Model || x.req.Stream != test.want.Stream || (x.req.Upload != nil) != (test.want.Upload != nil) {
				t.Errorf("got %+v", x.req)
			}
			held := ""
			if x.req.Body != nil {
				held = string(x.req.Body.Bytes())
			}
			if held != test.held || x.req.AskUsage.New != test.usage {
				t.Errorf("holds %q with %q, want %q with %q", held, x.req.AskUsage.New, test.held, test.usage)
			}
		})
	}
}
