// Package openai is the adapter for OpenAI's API and for every server that is
// compatible with it. The well-known ones have a module of their own, made from one table: a
// base URL, an environment variable, and how they differ.
package openai

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/httpapi"
)

func init() {
	for i := range presets {
		caddy.RegisterModule(&Provider{preset: &presets[i]})
	}
}

// DefaultBaseURL is OpenAI's own.
const DefaultBaseURL = "https://api.openai.com/v1"

// Provider speaks OpenAI's API. What the client sent passes through byte for
// byte, save the model's name and, on a stream, the request for its token usage.
//
// The modules named after other services change two more things in a chat completion, and only where the
// server would refuse, or overlook, what a client of OpenAI sends as a matter of course: the role
// developer becomes system, and max_completion_tokens max_tokens. For Mistral, IDs of tool calls that are not nine letters and
// digits become so, and tool_choice "required" becomes "any".
//
// Of Anthropic's calls it serves what the server speaks itself, and messages through chat
// completions otherwise. So it does OpenAI's responses.
type Provider struct {
	// base_url is where the API is, up to and including its version, e.g.
	// http://localhost:11434/v1. Default: the service that the module is named after.
	httpapi.Options

	// StreamUsage is whether a stream is asked to report its token usage when
	// the client did not ask (stream_options.include_usage). The extra event
	// is not shown to the client. Set it to false for a server that refuses
	// stream_options; the tokens of its streams are not counted then. Default true.
	StreamUsage *bool `json:"stream_usage,omitempty"`

	// Calls are those that the server knows, of chat, completions, embeddings, responses, messages and
	// count_tokens. The others are translated to one that it knows, or not served. Default: what the
	// service knows; of the module openai all of OpenAI's.
	Calls []dialect.API `json:"speaks,omitempty"`

	preset *preset // nil for OpenAI's own
	quirks *dialect.Quirks
}

func (p *Provider) known() *preset {
	if p.preset == nil {
		return &presets[0]
	}
	return p.preset
}

// CaddyModule returns the Caddy module information.
func (p *Provider) CaddyModule() caddy.ModuleInfo {
	known := p.known()
	return caddy.ModuleInfo{
		ID:  caddy.ModuleID("runestone.providers." + known.name),
		New: func() caddy.Module { return &Provider{preset: known} },
	}
}

// EnvKey returns the customary environment variable of the API key, which is for the
// service's own server only. Servers that one runs oneself have none.
func (p *Provider) EnvKey() string {
	if p.BaseURL != "" {
		return ""
	}
	return p.known().env
}

// Provision resolves placeholders and checks the configuration.
func (p *Provider) Provision(caddy.Context) error {
	for _, call := range p.Calls {
		if err := checkCall(call); err != nil {
			return err
		}
	}
	if err := p.Load(p.known().base); err != nil {
		return err
	}
	p.quirks = p.known().quirks
	if host := p.Base().Hostname(); p.quirks == nil && !strings.HasSuffix(host, ".openai.com") { // it has regions
		p.quirks = &unknownServer
	}
	return nil
}

// Quirks returns how the server differs from OpenAI's. Of one that is unknown, a translated request asks
// as little as it can.
func (p *Provider) Quirks() *dialect.Quirks { return p.quirks }

// Speaks returns the call with which the provider serves one.
func (p *Provider) Speaks(api dialect.API, _ string) dialect.API {
	switch {
	case p.speaks(api):
		return api
	case api == dialect.Chat, api == dialect.Responses, api == dialect.Messages:
		for _, other := range [...]dialect.API{dialect.Chat, dialect.Messages} {
			if p.speaks(other) {
				return other
			}
		}
	}
	return ""
}

// speaks reports whether the server knows a call, which it may of any that is not listed.
func (p *Provider) speaks(api dialect.API) bool {
	known := p.Calls
	if known == nil {
		known = p.known().speaks
	}
	return slices.Contains(known, api) || checkCall(api) != nil
}

var anthropicVersion = []string{"2023-06-01"}

// NewRequest builds the upstream call.
func (p *Provider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	header := p.Header(r, "Openai-Beta")
	if r.API.Anthropic() {
		provider.CopyHeaders(header, r.Header, "Anthropic-Beta", "Anthropic-Version")
		if len(header["Anthropic-Version"]) == 0 {
			header["Anthropic-Version"] = anthropicVersion
		}
	}
	if t.Credential != "" {
		header["Authorization"] = []string{"Bearer " + t.Credential}
	}
	edits := r.Edits(t, p.AddsUsage(r))
	if r.API == dialect.Chat && r.Body != nil && p.known().quirks != nil {
		edits = adapt(r.Body.Bytes(), p.quirks, edits)
	}
	return p.Request(ctx, r, t, httpapi.Join(p.Base(), r), header, edits), nil
}

// AddsUsage reports whether the upstream call asks for a usage chunk that the
// client did not ask for.
func (p *Provider) AddsUsage(r *provider.Request) bool {
	if r.AskUsage.New == "" {
		return false
	}
	if p.StreamUsage != nil {
		return *p.StreamUsage
	}
	return p.quirks == nil || !p.quirks.NoStreamOptions
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax, also of the modules named
// after other services:
//
//	openai {
//		base_url     <url>
//		header       <name> <value>
//		stream_usage on|off
//		speaks       <call>...
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.Unmarshal(d, "a provider that speaks OpenAI's API", p.known().base, map[string]httpapi.Option{
		"stream_usage": httpapi.Switch(&p.StreamUsage),
		"speaks":       p.unmarshalSpeaks,
	})
}

func (p *Provider) unmarshalSpeaks(d *caddyfile.Dispenser) error {
	if p.Calls != nil {
		return d.Err("speaks is given twice: list all calls on one line")
	}
	for d.NextArg() {
		call := dialect.API(d.Val())
		if err := checkCall(call); err != nil {
			return d.Err(err.Error())
		}
		p.Calls = append(p.Calls, call)
	}
	if p.Calls == nil {
		return d.Errf("speaks needs the calls that the server knows, of %s", callNames)
	}
	return nil
}

// Interface guards
var (
	_ provider.Provider     = (*Provider)(nil)
	_ provider.EnvKeyer     = (*Provider)(nil)
	_ provider.UsageAdder   = (*Provider)(nil)
	_ provider.Speaker      = (*Provider)(nil)
	_ provider.Quirker      = (*Provider)(nil)
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
)
