package handler

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/provider"
)

// requestID returns the client's X-Request-Id when it is well formed, else a new one.
func requestID(r *http.Request) string {
	if id := r.Header["X-Request-Id"]; len(id) == 1 && wellFormed(id[0]) {
		return id[0]
	}
	b := make([]byte, 0, 36)
	b = append(b, "req_"...)
	b = appendHex(b, rand.Uint64())
	return string(appendHex(b, rand.Uint64()))
}

func appendHex(b []byte, v uint64) []byte {
	for range 16 {
		b = append(b, "0123456789abcdef"[v>>60])
		v <<= 4
	}
	return b
}

func wellFormed(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// read reads what routing needs of the request.
func (x *exchange) read() *dialect.Error {
	r := x.r
	x.req = provider.Request{
		API: x.api, Method: r.Method, Path: r.URL.Path, RawPath: r.URL.RawPath, Query: r.URL.RawQuery, Header: r.Header,
	}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		if x.api != dialect.Other && r.Method == http.MethodPost {
			return dialect.Invalid("", "invalid_json", "The request has no body.")
		}
		return nil
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	switch {
	case x.api != dialect.Other && r.Method == http.MethodPost:
		if told := x.onlyJSON(isJSON, media, err); told != nil {
			return told
		}
		return x.readJSON()
	case isJSON && r.Header.Get("Content-Encoding") == "":
		return x.readJSON()
	}
	x.req.Upload, x.req.UploadLength = &upload{body: r.Body, conn: http.NewResponseController(x.w)}, r.ContentLength
	if media == "multipart/form-data" && params["boundary"] != "" && (x.app.NeedsModel() || x.caller.Restricted()) {
		return x.peekForm(params["boundary"], x.app.MaxBodyBytes())
	}
	return nil
}

// onlyJSON refuses a body that cannot be read for its model.
func (x *exchange) onlyJSON(isJSON bool, media string, err error) *dialect.Error {
	encoding := x.r.Header.Get("Content-Encoding")
	missing := len(x.r.Header["Content-Type"]) == 0
	if (isJSON || missing) && encoding == "" {
		return nil
	}
	told := dialect.Invalid("", "unsupported_media_type", "")
	told.Status = http.StatusUnsupportedMediaType
	switch {
	case encoding != "":
		told.Message = fmt.Sprintf("The request body is encoded as %q: send it plain.", encoding)
	case err != nil:
		told.Message = "The Content-Type header cannot be read: send application/json."
	default:
		told.Message = fmt.Sprintf("The Content-Type %q is not supported here: send application/json.", media)
	}
	return told
}

// readJSON reads the body whole and scans it.
func (x *exchange) readJSON() *dialect.Error {
	buf, told := x.readBody()
	if told != nil {
		return told
	}
	x.req.Body = provider.NewBody(buf.B, func([]byte) { buf.Free() })
	return gateway.Scan(x.api, &x.req)
}

// readBody reads the body, bounded.
func (x *exchange) readBody() (*gateway.Buffer, *dialect.Error) {
	limit := x.app.MaxBodyBytes()
	if x.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	buf := gateway.NewBuffer(x.r.ContentLength)
	for {
		_, err := buf.ReadOnce(x.r.Body)
		switch {
		case int64(len(buf.B)) > limit:
			buf.Free()
			return nil, tooLarge(limit)
		case err == io.EOF:
			return buf, nil
		case err != nil:
			buf.Free()
			return nil, unreadable(err)
		}
	}
}

func tooLarge(limit int64) *dialect.Error {
	told := dialect.Invalid("", "request_too_large", fmt.Sprintf("The request body is larger than the %d bytes that are accepted.", limit))
	told.Status = http.StatusRequestEntityTooLarge
	return told
}

// unreadable says why a body could not be read to its end.
func unreadable(err error) *dialect.Error {
	// Caddy's request_body directive may bound it more tightly.
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(tooBig.Limit)
	}
	told := dialect.Invalid("", "incomplete_body", "The request body ended before its end.")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		told.Status, told.Final = http.StatusRequestTimeout, false
		told.Message = "The request body did not arrive in time."
	}
	return told
}

// retryAfter writes a Retry-After: whole seconds, rounded up, at most 60, because
// SDKs ignore or give up on a longer one.
func retryAfter(told *dialect.Error) string {
	s := (min(told.RetryAfter, time.Minute) + time.Second - 1) / time.Second
	return strconv.FormatInt(int64(s), 10)
}

// writeError answers with an error in the dialect of a call.
func writeError(w http.ResponseWriter, told *dialect.Error, api dialect.API, id string) {
	body := told.Append(make([]byte, 0, 256), api, id)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if told.RetryAfter > 0 {
		h.Set("Retry-After", retryAfter(told))
	}
	if told.Final {
		h.Set("X-Should-Retry", "false")
	}
	w.WriteHeader(told.Status)
	_, _ = w.Write(body)
}
