// Package anthropic is the adapter for Anthropic's API.
package anthropic

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/httpapi"
)

func init() { caddy.RegisterModule(new(Provider)) }

const (
	// DefaultBaseURL is Anthropic's own.
	DefaultBaseURL = "https://api.anthropic.com"
	// DefaultVersion is that of the API, which requests name in the header anthropic-version.
	DefaultVersion = "2023-06-01"
)

// The ways to present a credential.
const (
	authKey    = "x-api-key"
	authBearer = "bearer"
)

// Provider speaks Anthropic's API. Messages and the counting of their tokens pass through byte for
// byte, save the model's name, and thinking of other providers' models, which Anthropic refuses. OpenAI's chat
// completions and responses are served through messages. What else the API has under /v1, such as
// /v1/messages/batches, /v1/models and /v1/files, passes through as well.
//
// It serves neither OpenAI's completions nor embeddings, which the API does not have.
type Provider struct {
	// base_url is where the API is, with or without its version, e.g. https://api.deepseek.com/anthropic.
	// Default: Anthropic's own.
	httpapi.Options

	// Version is the version of the API for requests that do not name one
	// (anthropic-version). Default 2023-06-01.
	Version string `json:"version,omitempty"`

	// Beta are features that every request asks for, besides those that the client asks for
	// (anthropic-beta).
	Beta []string `json:"beta,omitempty"`

	// Auth is how the credential is presented: "x-api-key", or "bearer" for a token in
	// the header Authorization. Default "x-api-key".
	Auth string `json:"auth,omitempty"`

	version []string // the value of the header
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.providers.anthropic",
		New: func() caddy.Module { return new(Provider) },
	}
}

// EnvKey returns the customary environment variable of the credential, which is for
// Anthropic's own server only.
func (p *Provider) EnvKey() string {
	switch {
	case p.BaseURL != "":
		return ""
	case p.Auth == authBearer:
		return "ANTHROPIC_AUTH_TOKEN"
	}
	return "ANTHROPIC_API_KEY"
}

// Provision resolves placeholders and checks the configuration.
func (p *Provider) Provision(caddy.Context) error {
	if p.Auth != "" && p.Auth != authKey && p.Auth != authBearer {
		return fmt.Errorf("auth is %s or %s, not %q", authKey, authBearer, p.Auth)
	}
	version := p.Version
	if version == "" {
		version = DefaultVersion
	}
	if !isToken(version) {
		return fmt.Errorf("version must be a date such as %s, not %q", DefaultVersion, version)
	}
	p.version = []string{version}
	for _, name := range p.Beta {
		if !isToken(name) {
			return fmt.Errorf("beta must be a name such as context-1m-2025-08-07, not %q", name)
		}
	}
	if err := p.Load(DefaultBaseURL); err != nil {
		return err
	}
	// Anthropic's clients want the URL without the version, others with it: both are right.
	base := p.Base()
	base.Path, base.RawPath = strings.TrimSuffix(base.Path, "/v1"), strings.TrimSuffix(base.RawPath, "/v1")
	base.Path += "/v1"
	if base.RawPath != "" {
		base.RawPath += "/v1"
	}
	return nil
}

// isToken reports whether a value may stand in a list in a header.
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// Speaks returns the call with which the provider serves one.
func (p *Provider) Speaks(api dialect.API, _ string) dialect.API {
	switch api {
	case dialect.Chat, dialect.Responses:
		return dialect.Messages
	case dialect.Completions, dialect.Embeddings:
		return ""
	default:
		return api
	}
}

// NewRequest builds the upstream call.
func (p *Provider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	header := p.Header(r, "Anthropic-Beta", "Anthropic-Version")
	if len(header["Anthropic-Version"]) == 0 {
		header["Anthropic-Version"] = p.version
	}
	if len(p.Beta) > 0 {
		header["Anthropic-Beta"] = p.betas(header["Anthropic-Beta"])
	}
	switch {
	case t.Credential == "":
	case p.Auth == authBearer:
		header["Authorization"] = []string{"Bearer " + t.Credential}
	default:
		header["X-Api-Key"] = []string{t.Credential}
	}
	edits := r.Edits(t, false)
	if r.Thought && r.API.Anthropic() && r.Body != nil {
		edits = withoutForeign(r.Body.Bytes(), edits)
	}
	return p.Request(ctx, r, t, httpapi.Join(p.Base(), r), header, edits), nil
}

// withoutForeign adds to edits those that leave out what other providers' models have thought.
func withoutForeign(body []byte, edits []provider.Edit) []provider.Edit {
	foreign := dialect.ForeignThinking(body)
	if len(foreign) == 0 {
		return edits
	}
	for _, at := range foreign {
		edits = append(edits, provider.Edit{Span: at})
	}
	slices.SortFunc(edits, func(a, b provider.Edit) int { return a.Start - b.Start })
	return edits
}

// betas returns the client's features and, of the configured ones, those that the client has not named.
func (p *Provider) betas(client []string) []string {
	all := strings.Join(client, ",")
	for _, name := range p.Beta {
		if slices.ContainsFunc(strings.Split(all, ","), func(s string) bool { return strings.TrimSpace(s) == name }) {
			continue
		}
		if all != "" {
			all += ","
		}
		all += name
	}
	return []string{all}
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	anthropic {
//		base_url <url>
//		header   <name> <value>
//		version  <date>
//		beta     <name>...
//		auth     x-api-key|bearer
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.Unmarshal(d, "a provider that speaks Anthropic's API", DefaultBaseURL, map[string]httpapi.Option{
		"version": httpapi.Text(&p.Version, "a date such as "+DefaultVersion),
		"beta":    p.unmarshalBeta,
		"auth":    httpapi.OneOf(&p.Auth, authKey, authBearer),
	})
}

func (p *Provider) unmarshalBeta(d *caddyfile.Dispenser) error {
	names := d.RemainingArgs()
	if len(names) == 0 {
		return d.Err("beta needs the name of a feature, such as context-1m-2025-08-07")
	}
	for _, name := range names {
		if slices.Contains(p.Beta, name) {
			return d.Errf("beta %s is given twice: remove one", name)
		}
		p.Beta = append(p.Beta, name)
	}
	return nil
}

// Interface guards
var (
	_ provider.Provider     = (*Provider)(nil)
	_ provider.EnvKeyer     = (*Provider)(nil)
	_ provider.Speaker      = (*Provider)(nil)
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
)
