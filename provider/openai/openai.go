// Package openai is the adapter for OpenAI's API and for every server that is
// compatible with it.
package openai

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/runestone-gateway/runestone/provider"
)

func init() { caddy.RegisterModule(new(Provider)) }

// DefaultBaseURL is OpenAI's own.
const DefaultBaseURL = "https://api.openai.com/v1"

// Provider speaks OpenAI's API. What the client sent passes through byte for
// byte, save the model's name and, on a stream, the request for its token usage.
type Provider struct {
	// BaseURL is where the API is, up to and including its version, e.g.
	// http://localhost:11434/v1 for Ollama. Placeholders are resolved when the
	// configuration is loaded. Default: OpenAI's own.
	BaseURL string `json:"base_url,omitempty"`

	// Headers are sent with every request, e.g. OpenAI-Organization. Values
	// may be placeholders, which are resolved when the configuration is loaded.
	Headers map[string]string `json:"headers,omitempty"`

	// StreamUsage is whether a stream is asked to report its token usage when
	// the client did not ask (stream_options.include_usage). The extra event
	// is not shown to the client. Set it to false for a server that refuses
	// stream_options; the tokens of its streams are not counted then. Default true.
	StreamUsage *bool `json:"stream_usage,omitempty"`

	base    *url.URL
	headers http.Header
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.providers.openai",
		New: func() caddy.Module { return new(Provider) },
	}
}

// EnvKey returns the customary environment variable of the API key, which is for
// OpenAI's own server only.
func (p *Provider) EnvKey() string {
	if p.BaseURL != "" {
		return ""
	}
	return "OPENAI_API_KEY"
}

// Provision resolves placeholders and checks the configuration.
func (p *Provider) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	raw := p.BaseURL
	if raw == "" {
		raw = DefaultBaseURL
	}
	raw, err := repl.ReplaceOrErr(raw, true, true)
	if err != nil {
		return fmt.Errorf("base_url: %w", err)
	}
	if p.base, err = parseBase(raw); err != nil {
		return err
	}
	p.headers = make(http.Header, len(p.Headers))
	for name, value := range p.Headers {
		if value, err = repl.ReplaceOrErr(value, true, true); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		if !httpguts.ValidHeaderFieldName(name) || unsettable[http.CanonicalHeaderKey(name)] {
			return fmt.Errorf("header %q cannot be set", name)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("header %s: its value has a line end or another control character in it", name)
		}
		if _, ok := p.headers[http.CanonicalHeaderKey(name)]; ok {
			return fmt.Errorf("header %s is given twice: remove one", http.CanonicalHeaderKey(name))
		}
		p.headers.Set(name, value)
	}
	return nil
}

// unsettable are headers that belong to the connection, or to the URL.
var unsettable = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Upgrade": true, "Trailer": true, "Te": true,
}

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if strings.Contains(raw, "@") || err == nil && u.Fragment != "" { // the error would show the credentials
		return nil, errors.New("base_url must hold neither credentials nor a fragment: give the key as api_key")
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("base_url must be an http:// or https:// URL such as %s, not %q", DefaultBaseURL, raw)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// passed are the client's headers that may travel.
var passed = []string{"Accept", "Content-Type", "Content-Encoding", "Openai-Beta", "Traceparent", "Tracestate"}

var identity = []string{"identity"}
var userAgent = []string{"runestone"}

// NewRequest builds the upstream call.
func (p *Provider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	header := make(http.Header, 8+len(p.headers))
	provider.CopyHeaders(header, r.Header, passed...)
	// Answers are read on their way, so they must not be compressed.
	header["Accept-Encoding"] = identity
	header["User-Agent"] = userAgent
	if t.Credential != "" {
		header["Authorization"] = []string{"Bearer " + t.Credential}
	}
	maps.Copy(header, p.headers)
	u := &url.URL{
		Scheme: p.base.Scheme, Host: p.base.Host,
		Path:     p.base.Path + strings.TrimPrefix(r.Path, "/v1"),
		RawQuery: joinQuery(p.base.RawQuery, r.Query),
	}
	if r.RawPath != "" || p.base.RawPath != "" {
		path := (&url.URL{Path: r.Path, RawPath: r.RawPath}).EscapedPath()
		u.RawPath = p.base.EscapedPath() + strings.TrimPrefix(path, "/v1")
	}
	req := (&http.Request{
		Method: r.Method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	p.setBody(req, r, t)
	return req, nil
}

func joinQuery(base, query string) string {
	if base == "" || query == "" {
		return base + query
	}
	return base + "&" + query
}

func (p *Provider) setBody(req *http.Request, r *provider.Request, t provider.Target) {
	switch {
	case r.Upload != nil:
		req.Body, req.ContentLength = provider.NewUpload(r, t)
	case r.Body != nil:
		body := r.Body.Splice(r.Edits(t, p.AddsUsage(r))...)
		req.Body, req.ContentLength = body, body.Len()
	}
}

// AddsUsage reports whether the upstream call asks for a usage chunk that the
// client did not ask for.
func (p *Provider) AddsUsage(r *provider.Request) bool {
	return r.AskUsage.New != "" && (p.StreamUsage == nil || *p.StreamUsage)
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	openai {
//		base_url     <url>
//		header       <name> <value>
//		stream_usage on|off
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "base_url":
			err = p.parseBaseURL(d)
		case "header":
			err = p.parseHeader(d)
		case "stream_usage":
			err = p.parseStreamUsage(d)
		default:
			err = d.Errf("unknown option '%s' of a provider that speaks OpenAI's API: it knows base_url, header and stream_usage", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) parseBaseURL(d *caddyfile.Dispenser) error {
	if p.BaseURL != "" {
		return d.Err("base_url is given twice: remove one")
	}
	if !d.AllArgs(&p.BaseURL) {
		return d.ArgErr()
	}
	if strings.Contains(p.BaseURL, "{") { // a placeholder is checked when it is resolved
		return nil
	}
	if _, err := parseBase(p.BaseURL); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

func (p *Provider) parseHeader(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.ArgErr()
	}
	name = http.CanonicalHeaderKey(name)
	if _, ok := p.Headers[name]; ok {
		return d.Errf("header %s is given twice: remove one", name)
	}
	if p.Headers == nil {
		p.Headers = make(map[string]string)
	}
	p.Headers[name] = value
	return nil
}

func (p *Provider) parseStreamUsage(d *caddyfile.Dispenser) error {
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	if p.StreamUsage != nil {
		return d.Err("stream_usage is given twice: remove one")
	}
	if word != "on" && word != "off" {
		return d.Errf("stream_usage is on or off, not '%s'", word)
	}
	on := word == "on"
	p.StreamUsage = &on
	return nil
}

// Interface guards
var (
	_ provider.Provider     = (*Provider)(nil)
	_ provider.EnvKeyer     = (*Provider)(nil)
	_ provider.UsageAdder   = (*Provider)(nil)
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
)
