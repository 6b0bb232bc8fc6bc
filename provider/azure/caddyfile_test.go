package azure

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing": {`azure`, `{}`},
		"everything": {
			"azure {\n\tbase_url https://r.openai.azure.com\n\tapi_version 2024-10-21\n\tauth bearer\n\tdeployment gpt-4o my-gpt\n\tdeployment gpt-5 gpt\n\theader x-a b\n\tstream_usage off\n}",
			`{"base_url":"https://r.openai.azure.com","headers":{"X-A":"b"},"api_version":"2024-10-21","auth":"bearer","deployments":{"gpt-4o":"my-gpt","gpt-5":"gpt"},"stream_usage":false}`,
		},
		"placeholders": {
			"azure {\n\tbase_url {env.AZURE_OPENAI_ENDPOINT}\n\tapi_version {env.OPENAI_API_VERSION}\n}",
			`{"base_url":"{env.AZURE_OPENAI_ENDPOINT}","api_version":"{env.OPENAI_API_VERSION}"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p Provider
			if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.text)); err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(&p); err != nil || string(got) != test.want {
				t.Errorf("got %s and %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestCaddyfileErrorsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"an unknown option":       {"endpoint https://h", "unknown option 'endpoint' of a provider on Azure OpenAI: it knows api_version, auth, base_url, deployment, header and stream_usage"},
		"a bad base_url":          {"base_url r.openai.azure.com", "base_url must be an http:// or https:// URL such as https://RESOURCE.openai.azure.com"},
		"a version of words":      {"api_version latest", "api_version must be a date such as 2024-10-21 or 2025-04-01-preview, or preview, not 'latest'; leave it out for the v1 API"},
		"a version twice":         {"api_version preview\n\tapi_version preview", "api_version is given twice: remove one"},
		"another auth":            {"auth key", "auth is api-key or bearer, not 'key'"},
		"a deployment alone":      {"deployment gpt", "such as: deployment gpt-4o my-gpt-4o"},
		"a deployment in a path":  {"deployment gpt a/b", "a deployment's name has letters, digits, -, _ and . only"},
		"a model deployed twice":  {"deployment gpt a\n\tdeployment gpt b", "the model gpt is deployed twice: remove one"},
		"stream_usage in a word":  {"stream_usage yes", "stream_usage is on or off, not 'yes'"},
		"stream_usage is no list": {"stream_usage on off", "stream_usage needs on or off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser("azure {\n\t" + test.line + "\n}"))
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range []string{test.want, "at Testfile:"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}
