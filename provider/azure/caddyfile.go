package azure

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider/httpapi"
)

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	azure {
//		base_url     <url>
//		api_version  <date>|preview
//		auth         api-key|bearer
//		deployment   <model> <deployment>
//		header       <name> <value>
//		stream_usage on|off
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.Unmarshal(d, "a provider on Azure OpenAI", exampleEndpoint, map[string]httpapi.Option{
		"api_version":  p.unmarshalVersion,
		"auth":         httpapi.OneOf(&p.Auth, authKey, authBearer),
		"deployment":   p.unmarshalDeployment,
		"stream_usage": httpapi.Switch(&p.StreamUsage),
	})
}

func (p *Provider) unmarshalVersion(d *caddyfile.Dispenser) error {
	if err := httpapi.Text(&p.APIVersion, "a date such as 2024-10-21, or preview")(d); err != nil {
		return err
	}
	if v := p.APIVersion; v != "preview" && !dates.MatchString(v) && !strings.Contains(v, "{") {
		return d.Errf("api_version must be a date such as 2024-10-21 or 2025-04-01-preview, or preview, not '%s'; leave it out for the v1 API", v)
	}
	return nil
}

func (p *Provider) unmarshalDeployment(d *caddyfile.Dispenser) error {
	var model, deployment string
	if !d.AllArgs(&model, &deployment) {
		return d.Err("deployment needs the model's name and the deployment's, such as: deployment gpt-4o my-gpt-4o")
	}
	if _, ok := p.Deployments[model]; ok {
		return d.Errf("the model %s is deployed twice: remove one", model)
	}
	if err := checkDeployment(deployment); err != nil || model == "" {
		return d.Errf("deployment %s of the model %s: a deployment's name has letters, digits, -, _ and . only", deployment, model)
	}
	if p.Deployments == nil {
		p.Deployments = make(map[string]string)
	}
	p.Deployments[model] = deployment
	return nil
}
