// Package httpapi holds what adapters for APIs over HTTP have in common: the options base_url and
// header, and the upstream call that is built from them and from a client's request.
//
// An adapter embeds [Options] in its configuration, calls [Options.Load] when it is
// provisioned and [Options.Unmarshal] for its block in a Caddyfile.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/runestone-gateway/runestone/provider"
)

// Options are those of every adapter for an API over HTTP.
type Options struct {
	// BaseURL is where the API is. Placeholders are resolved when the configuration is loaded.
	// Default: the service that the adapter is named after, if it is one.
	BaseURL string `json:"base_url,omitempty"`

	// Headers are sent with every request, and go before the client's and the adapter's own. Values
	// may be placeholders, which are resolved when the configuration is loaded.
	Headers map[string]string `json:"headers,omitempty"`

	base    *url.URL
	headers http.Header
}

// Load resolves placeholders and checks the options. fallback is the base URL where none is
// configured, and the example in errors.
func (o *Options) Load(fallback string) error { return o.LoadFrom(fallback, fallback) }

// LoadFrom is Load for a fallback that is no example, such as a placeholder.
func (o *Options) LoadFrom(fallback, example string) error {
	raw := o.BaseURL
	if raw == "" {
		raw = fallback
	}
	raw, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return fmt.Errorf("base_url: %w", err)
	}
	if o.base, err = ParseURL("base_url", raw, example); err != nil {
		return err
	}
	return o.loadHeaders()
}

func (o *Options) loadHeaders() error {
	repl := caddy.NewReplacer()
	o.headers = make(http.Header, len(o.Headers))
	for name, value := range o.Headers {
		value, err := repl.ReplaceOrErr(value, true, true)
		if err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		if err := checkHeader(name); err != nil {
			return err
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("header %s: its value has a line end or another control character in it", name)
		}
		if _, ok := o.headers[http.CanonicalHeaderKey(name)]; ok {
			return fmt.Errorf("header %s is given twice: remove one", http.CanonicalHeaderKey(name))
		}
		o.headers.Set(name, value)
	}
	return nil
}

// checkHeader returns an error unless a header of that name can be sent.
func checkHeader(name string) error {
	if plain := strings.TrimSuffix(name, ":"); plain != name && httpguts.ValidHeaderFieldName(plain) {
		return fmt.Errorf("header %q cannot be set: leave the colon out", name)
	}
	if !httpguts.ValidHeaderFieldName(name) || unsettable[http.CanonicalHeaderKey(name)] {
		return fmt.Errorf("header %q cannot be set", name)
	}
	return nil
}

// unsettable are headers that belong to the connection, or to the URL.
var unsettable = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Upgrade": true, "Trailer": true, "Te": true,
}

// ParseURL parses the URL of an API: http or https, without credentials and without a
// fragment. A slash at its end is removed. Errors name the option and show the example, "" for none; they
// never show credentials.
func ParseURL(option, raw, example string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if strings.Contains(raw, "@") || err == nil && u.Fragment != "" { // the error would show the credentials
		return nil, errors.New(option + " must hold neither credentials nor a fragment: give the key as api_key")
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		if example != "" {
			example = " such as " + example
		}
		return nil, fmt.Errorf("%s must be an http:// or https:// URL%s, not %q", option, example, raw)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Base returns the base URL as it was loaded. It must not be modified.
func (o *Options) Base() *url.URL { return o.base }

// passed are headers of the client's that may travel to any provider.
var passed = [...]string{"Accept", "Content-Type", "Content-Encoding", "Traceparent", "Tracestate"}

var (
	identity  = []string{"identity"}
	userAgent = []string{"runestone"}
	inJSON    = []string{"application/json"}
)

// Header returns the headers of an upstream call: those of the client's that may travel anywhere, those
// that are named, in canonical form, and the gateway's own. An adapter adds its
// credential and calls [Options.Request]. The values are shared: they must be replaced, not modified.
func (o *Options) Header(r *provider.Request, names ...string) http.Header {
	header := make(http.Header, 8+len(names)+len(o.headers))
	provider.CopyHeaders(header, r.Header, passed[:]...)
	provider.CopyHeaders(header, r.Header, names...)
	// Answers are read on their way, so they must not be compressed.
	header["Accept-Encoding"] = identity
	header["User-Agent"] = userAgent
	if r.Body != nil && r.Upload == nil && len(header["Content-Type"]) == 0 {
		header["Content-Type"] = inJSON
	}
	return header
}

// Request returns the upstream call to u, with the configured headers added to header. The body is the
// request's own with the edits made, or its upload.
func (o *Options) Request(ctx context.Context, r *provider.Request, t provider.Target, u *url.URL, header http.Header, edits []provider.Edit) *http.Request {
	maps.Copy(header, o.headers)
	req := (&http.Request{
		Method: r.Method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	switch {
	case r.Upload != nil:
		req.Body, req.ContentLength = provider.NewUpload(r, t)
	case r.Body != nil:
		body := r.Body.Splice(edits...)
		req.Body, req.ContentLength = body, body.Len()
	}
	return req
}

// Join returns the URL of a path of a client under a base. The path is the client's after
// "/v1"; what the client's path encodes in an unusual way stays encoded that way. The queries are joined, the base's first.
func Join(base *url.URL, r *provider.Request) *url.URL {
	u := &url.URL{
		Scheme: base.Scheme, Host: base.Host,
		Path:     base.Path + strings.TrimPrefix(r.Path, "/v1"),
		RawQuery: JoinQuery(base.RawQuery, r.Query),
	}
	if r.RawPath != "" || base.RawPath != "" {
		path := (&url.URL{Path: r.Path, RawPath: r.RawPath}).EscapedPath()
		u.RawPath = base.EscapedPath() + strings.TrimPrefix(path, "/v1")
	}
	return u
}

// JoinQuery returns two raw queries as one.
func JoinQuery(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "&" + second
}
