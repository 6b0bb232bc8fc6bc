// Package azure is the adapter for Azure OpenAI.
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/httpapi"
)

func init() { caddy.RegisterModule(new(Provider)) }

const (
	endpointVariable = "AZURE_OPENAI_ENDPOINT"
	exampleEndpoint  = "https://RESOURCE.openai.azure.com"
)

// The ways to present a credential.
const (
	authKey    = "api-key"
	authBearer = "bearer"
)

// Provider speaks OpenAI's API as Azure serves it: with the version in the URL or, without one, as
// Azure's v1 API. What the client sent passes through byte for byte, save the model's
// name, which becomes that of the deployment, and, on a stream, the request for its token usage.
//
// OpenAI's responses need the v1 API or version 2025-03-01-preview or later, and are served through chat completions
// before that. Anthropic's messages are served through chat completions; for Claude on Azure use the adapter anthropic.
type Provider struct {
	// base_url is the resource's endpoint, e.g. https://RESOURCE.openai.azure.com. Default:
	// {env.AZURE_OPENAI_ENDPOINT}.
	httpapi.Options

	// APIVersion is the dated version of the API, e.g. 2024-10-21. Without it the v1 API is used, which
	// has none; "preview" is the v1 API with what is not yet released.
	APIVersion string `json:"api_version,omitempty"`

	// Auth is how the credential is presented: "api-key", or "bearer" for a token of
	// Microsoft Entra in the header Authorization. Default "api-key".
	Auth string `json:"auth,omitempty"`

	// Deployments are the names of deployments by those of models. A model that is not
	// listed is deployed under its own name.
	Deployments map[string]string `json:"deployments,omitempty"`

	// StreamUsage is whether a stream is asked to report its token usage when
	// the client did not ask (stream_options.include_usage). The extra event
	// is not shown to the client. Default: where the version of the API knows it.
	StreamUsage *bool `json:"stream_usage,omitempty"`

	version string // "" for v1
	dated   bool
	query   string // with the version
	quirks  *dialect.Quirks
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.providers.azure",
		New: func() caddy.Module { return new(Provider) },
	}
}

// EnvKey returns the customary environment variable of the credential, "" if there is no endpoint: neither
// configured nor in AZURE_OPENAI_ENDPOINT.
func (p *Provider) EnvKey() string {
	switch {
	case p.BaseURL == "" && strings.TrimSpace(os.Getenv(endpointVariable)) == "":
		return ""
	case p.Auth == authBearer:
		return "AZURE_OPENAI_AD_TOKEN"
	}
	return "AZURE_OPENAI_API_KEY"
}

// dates are the versions that the API has had before it was v1.
var dates = regexp.MustCompile(`^20\d\d-\d\d-\d\d(-preview)?$`)

// Versions since which the API knows what it is named after. Being dates, they compare as text.
const (
	sinceStreamUsage = "2024-09-01" // stream_options, max_completion_tokens and the role developer
	sinceResponses   = "2025-03-01"
)

// Provision resolves placeholders and checks the configuration.
func (p *Provider) Provision(caddy.Context) error {
	if p.Auth != "" && p.Auth != authKey && p.Auth != authBearer {
		return fmt.Errorf("auth is %s or %s, not %q", authKey, authBearer, p.Auth)
	}
	version, err := caddy.NewReplacer().ReplaceOrErr(p.APIVersion, true, true)
	if err != nil {
		return fmt.Errorf("api_version: %w", err)
	}
	switch {
	case dates.MatchString(version):
		p.dated = true
	case version != "" && version != "preview":
		return fmt.Errorf("api_version must be a date such as 2024-10-21 or 2025-04-01-preview, or preview, not %q; leave it out for the v1 API", version)
	}
	if version != "" {
		p.query = "api-version=" + version
	}
	if p.dated && version < sinceStreamUsage {
		p.quirks = &dialect.Quirks{MaxTokens: true, SystemRole: true, NoStreamOptions: true}
	}
	p.version = version
	for model, deployment := range p.Deployments {
		if err := checkDeployment(deployment); err != nil || model == "" {
			return fmt.Errorf("deployments: %q is deployed as %q; write the model's name and the deployment's, which has letters, digits, -, _ and . only", model, deployment)
		}
	}
	if p.BaseURL == "" && strings.TrimSpace(os.Getenv(endpointVariable)) == "" {
		return errors.New("base_url is missing: give the resource's endpoint, such as " + exampleEndpoint + ", or set " + endpointVariable)
	}
	if err := p.LoadFrom("{env."+endpointVariable+"}", exampleEndpoint); err != nil {
		return err
	}
	// Azure shows its endpoint with and without the path of the API.
	base := p.Base()
	for _, end := range [...]string{"/v1", "/openai"} {
		base.Path, base.RawPath = strings.TrimSuffix(base.Path, end), strings.TrimSuffix(base.RawPath, end)
	}
	return nil
}

// Quirks returns how the version of the API differs from OpenAI's, nil where it does not.
func (p *Provider) Quirks() *dialect.Quirks { return p.quirks }

// Speaks returns the call with which the provider serves one.
func (p *Provider) Speaks(api dialect.API, _ string) dialect.API {
	switch {
	case api == dialect.CountTokens:
		return ""
	case api == dialect.Messages, api == dialect.Responses && p.dated && p.version < sinceResponses:
		return dialect.Chat
	}
	return api
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
	return p.quirks == nil
}

// NewRequest builds the upstream call.
func (p *Provider) NewRequest(ctx context.Context, r *provider.Request, t provider.Target) (*http.Request, error) {
	if t.Model == "" {
		t.Model = r.Model
	}
	if deployment, ok := p.Deployments[t.Model]; ok {
		t.Model = deployment
	}
	u, err := p.url(r, t.Model)
	if err != nil {
		return nil, err
	}
	header := p.Header(r)
	switch {
	case t.Credential == "":
	case p.Auth == authBearer:
		header["Authorization"] = []string{"Bearer " + t.Credential}
	default:
		header["Api-Key"] = []string{t.Credential}
	}
	return p.Request(ctx, r, t, u, header, r.Edits(t, p.AddsUsage(r))), nil
}

// url returns where a call goes.
func (p *Provider) url(r *provider.Request, deployment string) (*url.URL, error) {
	base := *p.Base()
	base.RawQuery = httpapi.JoinQuery(base.RawQuery, p.query)
	path := "/openai/v1"
	if p.dated {
		path = "/openai"
		if ofDeployment(r.Path) {
			if err := checkDeployment(deployment); err != nil {
				return nil, err
			}
			path += "/deployments/" + deployment
		}
	}
	if base.RawPath != "" {
		base.RawPath += path
	}
	base.Path += path
	return httpapi.Join(&base, r), nil
}

// ofDeployment reports whether a call is one that dated versions have below a deployment. The model is
// named by the URL then, and what the body says of it is of no account.
func ofDeployment(path string) bool {
	switch path {
	case "/v1/chat/completions", "/v1/completions", "/v1/embeddings":
		return true
	}
	return strings.HasPrefix(path, "/v1/audio/") || strings.HasPrefix(path, "/v1/images/")
}

// checkDeployment returns the error for what cannot be the name of a deployment, which becomes part of a path.
func checkDeployment(name string) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	switch {
	case name == "":
		return dialect.Invalid("model", "missing_required_parameter", "The request must name its model.")
	case strings.Trim(name, letters) != "", strings.Trim(name, ".") == "":
		return dialect.Invalid("model", "model_not_found", "The model has a name that no deployment can have.")
	}
	return nil
}

// Interface guards
var (
	_ provider.Provider   = (*Provider)(nil)
	_ provider.EnvKeyer   = (*Provider)(nil)
	_ provider.Speaker    = (*Provider)(nil)
	_ provider.Quirker    = (*Provider)(nil)
	_ provider.UsageAdder = (*Provider)(nil)
	_ caddy.Provisioner   = (*Provider)(nil)
)
