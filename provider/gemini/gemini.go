// Package gemini is the adapter for Google's Gemini API.
package gemini

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/httpapi"
)

func init() { caddy.RegisterModule(new(Provider)) }

// DefaultBaseURL is Google's own.
const DefaultBaseURL = "https://generativelanguage.googleapis.com"

// defaultVersion is that of the API: what models can do is in v1beta first, functions and schemas included.
const defaultVersion = "v1beta"

// Provider speaks Google's Gemini API (generativelanguage.googleapis.com). OpenAI's chat completions and responses and
// Anthropic's messages are served through generateContent and streamGenerateContent, OpenAI's embeddings
// through batchEmbedContents. Nothing passes through as it is, so that other calls are not served.
//
// A model is named as Google does it, with or without "models/": gemini-2.5-flash, tunedModels/mine.
type Provider struct {
	// base_url is where the API is, with or without its version: v1beta, unless it ends with another
	// one, such as v1alpha. Default: Google's own.
	httpapi.Options
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.providers.gemini",
		New: func() caddy.Module { return new(Provider) },
	}
}

// EnvKey returns GEMINI_API_KEY, which is for Google's own server only. Google's SDKs read GOOGLE_API_KEY as well: a
// provider that is to use it names it, as api_key {env.GOOGLE_API_KEY}.
func (p *Provider) EnvKey() string {
	if p.BaseURL != "" {
		return ""
	}
	return "GEMINI_API_KEY"
}

// Provision resolves placeholders and checks the configuration.
func (p *Provider) Provision(caddy.Context) error {
	if err := p.Load(DefaultBaseURL); err != nil {
		return err
	}
	base := p.Base()
	last := base.Path[strings.LastIndexByte(base.Path, '/')+1:]
	switch {
	case last == "openai":
		return errors.New("base_url is that of the Gemini API for OpenAI's clients: remove /openai at its end, or use the adapter openai with it")
	case !isVersion(last):
		base.Path += "/" + defaultVersion
		if base.RawPath != "" {
			base.RawPath += "/" + defaultVersion
		}
	}
	return nil
}

// isVersion reports whether a part of a path is a version of an API: v1, v1beta, v1alpha.
func isVersion(s string) bool {
	rest, ok := strings.CutPrefix(s, "v")
	digits := strings.TrimLeft(rest, "0123456789")
	return ok && len(digits) < len(rest) && strings.Trim(digits, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// Speaks returns the call with which the provider serves one.
func (p *Provider) Speaks(api dialect.API, _ string) dialect.API {
	switch api {
	case dialect.Chat, dialect.Messages, dialect.Responses, dialect.Gemini:
		return dialect.Gemini
	case dialect.Embeddings, dialect.GeminiEmbed:
		return dialect.GeminiEmbed
	default:
		return ""
	}
}

// NewRequest builds the upstream call. The model is named by its URL.
func (p *Provider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	model := t.Model
	if model == "" {
		model = r.Model
	}
	if model == "" {
		return nil, dialect.Invalid("model", "missing_required_parameter", "The request must name its model.")
	}
	method, query := "generateContent", ""
	switch {
	case r.API == dialect.GeminiEmbed:
		method = "batchEmbedContents"
	case r.API != dialect.Gemini:
		return nil, dialect.Invalid("", "unsupported_endpoint", "The Gemini API does not serve this call.")
	case r.Stream:
		method, query = "streamGenerateContent", "alt=sse"
	}
	header := p.Header(r)
	if t.Credential != "" { // never as Authorization, which Google takes for another kind of credential
		header["X-Goog-Api-Key"] = []string{t.Credential}
	}
	return p.Request(ctx, r, t, p.url(model, method, query), header, nil), nil
}

// url returns where a method of a model is.
func (p *Provider) url(model, method, query string) *url.URL {
	base := p.Base()
	kind, name, _ := strings.Cut(dialect.GeminiResource(model), "/")
	escaped := strings.ReplaceAll(url.PathEscape(name), ":", "%3A") // the method begins with the colon
	return &url.URL{
		Scheme: base.Scheme, Host: base.Host,
		Path:     base.Path + "/" + kind + "/" + name + ":" + method,
		RawPath:  base.EscapedPath() + "/" + kind + "/" + escaped + ":" + method,
		RawQuery: httpapi.JoinQuery(base.RawQuery, query),
	}
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	gemini {
//		base_url <url>
//		header   <name> <value>
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.Unmarshal(d, "a provider that speaks the Gemini API", DefaultBaseURL, nil)
}

// Interface guards
var (
	_ provider.Provider     = (*Provider)(nil)
	_ provider.EnvKeyer     = (*Provider)(nil)
	_ provider.Speaker      = (*Provider)(nil)
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
)
