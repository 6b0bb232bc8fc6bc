package azure

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/providertest"
)

const module = "runestone.providers.azure"

func load(t testing.TB, config string) *Provider {
	t.Helper()
	p, err := providertest.Load(t, module, config)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Provider)
}

func apiKey(secret string) (name, value string) { return "Api-Key", secret }

const (
	exampleChat = `{"messages":[{"role":"user","content":"smart\u0021"}],"seed":12345678901234567890, "model" : "smart","x":{"model":"smart"}}`
	otherBody   = `{"input":[1.0,2e3],"model":"smart"}`
)

func TestConformanceOfV1(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"as it is":                  `{"base_url":"SERVER"}`,
		"with the path of the API":  `{"base_url":"SERVER/openai/v1/"}`,
		"with a part of that":       `{"base_url":"SERVER/openai"}`,
		"with a bearer's token":     `{"base_url":"SERVER","auth":"bearer"}`,
		"with the deployments' map": `{"base_url":"SERVER","deployments":{"other":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			credential := apiKey
			if strings.Contains(config, "bearer") {
				credential = func(secret string) (name, value string) { return "Authorization", "Bearer " + secret }
			}
			providertest.Run(t, providertest.Case{
				Module:     module,
				Config:     func(server string) string { return strings.Replace(config, "SERVER", server, 1) },
				Credential: credential,
				Calls: []providertest.Call{
					{Name: "chat", Path: "/v1/chat/completions", Body: exampleChat, WantURL: "/openai/v1/chat/completions"},
					{Name: "chat with another model", Path: "/v1/chat/completions", Body: exampleChat, Model: "gpt", WantURL: "/openai/v1/chat/completions"},
					{Name: "embeddings", Path: "/v1/embeddings", Body: otherBody, Model: "ada", WantURL: "/openai/v1/embeddings"},
					{Name: "a response", Path: "/v1/responses", Body: otherBody, Model: "gpt", WantURL: "/openai/v1/responses"},
					{Name: "a stored response", Path: "/v1/responses/resp_1", Query: "a=b", WantURL: "/openai/v1/responses/resp_1?a=b"},
					{Name: "the models", Path: "/v1/models", WantURL: "/openai/v1/models"},
				},
			})
		})
	}
}

func TestConformanceOfDatedVersions(t *testing.T) {
	t.Parallel()
	const version = "?api-version=2025-04-01-preview"
	providertest.Run(t, providertest.Case{
		Module: module,
		Config: func(server string) string {
			return `{"base_url":"` + server + `","api_version":"2025-04-01-preview","deployments":{"gpt-4o":"my-gpt"}}`
		},
		Credential: apiKey,
		Calls: []providertest.Call{
			{Name: "a deployment named as the model", Path: "/v1/chat/completions", Body: exampleChat, WantURL: "/openai/deployments/smart/chat/completions" + version},
			{Name: "the target's model", Path: "/v1/chat/completions", Body: exampleChat, Model: "gpt-5", WantURL: "/openai/deployments/gpt-5/chat/completions" + version},
			{
				Name: "a model with a deployment of its own", Path: "/v1/chat/completions", Body: exampleChat, Model: "gpt-4o",
				WantURL: "/openai/deployments/my-gpt/chat/completions" + version, WantBody: strings.Replace(exampleChat, ` "smart"`, ` "my-gpt"`, 1),
			},
			{Name: "embeddings", Path: "/v1/embeddings", Body: otherBody, Model: "ada", WantURL: "/openai/deployments/ada/embeddings" + version},
			{Name: "completions with a query", Path: "/v1/completions", Query: "a=b", Body: otherBody, Model: "ada", WantURL: "/openai/deployments/ada/completions" + version + "&a=b"},
			{Name: "an image", Path: "/v1/images/generations", Body: otherBody, Model: "img", WantURL: "/openai/deployments/img/images/generations" + version},
			{Name: "a response", Path: "/v1/responses", Body: otherBody, Model: "gpt", WantURL: "/openai/responses" + version},
			{Name: "the models", Path: "/v1/models", WantURL: "/openai/models" + version},
		},
	})
}

func TestUploadsGoToTheirDeployment(t *testing.T) {
	t.Parallel()
	p := load(t, `{"base_url":"https://r.openai.azure.com","api_version":"2024-10-21","deployments":{"whisper-1":"whisper"}}`)
	r := &provider.Request{
		API: dialect.Other, Method: http.MethodPost, Path: "/v1/audio/transcriptions", Model: "whisper-1",
		ModelSpan: provider.Span{Start: 2, End: 11}, Body: provider.NewBody([]byte("--whisper-1--"), nil),
		Upload: strings.NewReader("file"), UploadLength: 4,
	}
	req, err := p.NewRequest(t.Context(), r, provider.Target{})
	if err != nil {
		t.Fatal(err)
	}
	defer req.Body.Close()
	got, err := io.ReadAll(req.Body)
	if err != nil || string(got) != "--whisper--file" || req.ContentLength != int64(len(got)) {
		t.Errorf("got %q of %d bytes and %v", got, req.ContentLength, err)
	}
	if want := "https://r.openai.azure.com/openai/deployments/whisper/audio/transcriptions?api-version=2024-10-21"; req.URL.String() != want {
		t.Errorf("got %s, want %s", req.URL, want)
	}
}

// A model's name becomes part of a path, so a client must not choose another path with it.
func TestNamesThatAreNoDeployments(t *testing.T) {
	t.Parallel()
	p := load(t, `{"base_url":"https://h","api_version":"2024-10-21"}`)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a%2Fb", "a?b", "a#b", "a b", "ä", "a\r\nb"} {
		r := &provider.Request{API: dialect.Chat, Method: http.MethodPost, Path: "/v1/chat/completions", Model: name}
		_, err := p.NewRequest(t.Context(), r, provider.Target{})
		told, ok := errors.AsType[*dialect.Error](err)
		if !ok || told.Param != "model" || told.Status != http.StatusBadRequest {
			t.Errorf("%q: got %v, want an error that names the model", name, err)
		}
	}
	if _, err := load(t, `{"base_url":"https://h"}`).NewRequest(t.Context(), &provider.Request{Path: "/v1/chat/completions", Model: "a/b"}, provider.Target{}); err != nil {
		t.Errorf("the v1 API has the name in the body only, and yet: %v", err)
	}
}

func TestSpeaks(t *testing.T) {
	t.Parallel()
	const v1, young, old = `{"base_url":"https://h"}`, `{"base_url":"https://h","api_version":"2025-03-01-preview"}`, `{"base_url":"https://h","api_version":"2024-10-21"}`
	for _, test := range []struct {
		config    string
		api, want dialect.API
	}{
		{v1, dialect.Chat, dialect.Chat},
		{v1, dialect.Completions, dialect.Completions},
		{v1, dialect.Embeddings, dialect.Embeddings},
		{v1, dialect.Responses, dialect.Responses},
		{v1, dialect.Messages, dialect.Chat},
		{v1, dialect.CountTokens, ""},
		{v1, dialect.Other, dialect.Other},
		{young, dialect.Responses, dialect.Responses},
		{old, dialect.Responses, dialect.Chat},
		{old, dialect.Chat, dialect.Chat},
	} {
		if got := load(t, test.config).Speaks(test.api, "gpt"); got != test.want {
			t.Errorf("%s: %s is served by %q, want %q", test.config, test.api, got, test.want)
		}
	}
}

func TestUsageIsAskedWhereTheVersionKnowsIt(t *testing.T) {
	t.Parallel()
	asks := &provider.Request{AskUsage: provider.Edit{New: "x"}}
	for config, want := range map[string]bool{
		`{"base_url":"https://h"}`:                                                     true,
		`{"base_url":"https://h","api_version":"preview"}`:                             true,
		`{"base_url":"https://h","api_version":"2024-10-21"}`:                          true,
		`{"base_url":"https://h","api_version":"2024-09-01-preview"}`:                  true,
		`{"base_url":"https://h","api_version":"2024-06-01"}`:                          false,
		`{"base_url":"https://h","api_version":"2024-06-01","stream_usage":true}`:      true,
		`{"base_url":"https://h","api_version":"2024-10-21","stream_usage":false}`:     false,
		`{"base_url":"https://h","stream_usage":false,"headers":{"X-Anything":"all"}}`: false,
	} {
		p := load(t, config)
		if got := p.AddsUsage(asks); got != want {
			t.Errorf("%s: %t", config, got)
		}
		if p.AddsUsage(&provider.Request{}) {
			t.Errorf("%s: asks for what the client asks for itself", config)
		}
		if quirks := p.Quirks(); strings.Contains(config, "2024-06-01") != (quirks != nil && quirks.MaxTokens && quirks.NoStreamOptions) {
			t.Errorf("%s: got %+v", config, quirks)
		}
	}
}

// Without an endpoint there is nothing to use a key with.
func TestEnvironment(t *testing.T) {
	t.Setenv("AZURE_OPENAI_ENDPOINT", "")
	if got := new(Provider).EnvKey(); got != "" {
		t.Errorf("without an endpoint the key is in %q", got)
	}
	if _, err := providertest.Load(t, module, `{}`); err == nil || !strings.Contains(err.Error(), "give the resource's endpoint") {
		t.Errorf("without an endpoint: %v", err)
	}
	if got := (&Provider{Auth: authBearer}).EnvKey(); got != "" {
		t.Errorf("without an endpoint the token is in %q", got)
	}
	t.Setenv("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/")
	if got := new(Provider).EnvKey(); got != "AZURE_OPENAI_API_KEY" {
		t.Errorf("got %q", got)
	}
	if got := (&Provider{Auth: authBearer}).EnvKey(); got != "AZURE_OPENAI_AD_TOKEN" {
		t.Errorf("got %q", got)
	}
	req, err := load(t, `{}`).NewRequest(t.Context(), &provider.Request{Path: "/v1/models"}, provider.Target{})
	if err != nil || req.URL.String() != "https://r.openai.azure.com/openai/v1/models" {
		t.Errorf("got %v and %v", req, err)
	}
	t.Setenv("AZURE_OPENAI_ENDPOINT", "r.openai.azure.com")
	if _, err := providertest.Load(t, module, `{}`); err == nil || !strings.Contains(err.Error(), "base_url must be an http:// or https:// URL such as https://RESOURCE.openai.azure.com") {
		t.Errorf("an endpoint without a scheme: %v", err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ config, want string }{
		"a version that is no date": {`{"base_url":"https://h","api_version":"v2"}`, "api_version must be a date such as 2024-10-21"},
		"a version with more":       {`{"base_url":"https://h","api_version":"2024-10-21&a=b"}`, "api_version must be a date"},
		"a version without a value": {`{"base_url":"https://h","api_version":"{env.RUNESTONE_TEST_NOT_SET}"}`, "api_version: "},
		"another auth":              {`{"base_url":"https://h","auth":"x-api-key"}`, `auth is api-key or bearer, not "x-api-key"`},
		"a path as a deployment":    {`{"base_url":"https://h","deployments":{"gpt":"../x"}}`, `"gpt" is deployed as "../x"`},
		"no deployment":             {`{"base_url":"https://h","deployments":{"gpt":""}}`, `"gpt" is deployed as ""`},
		"a deployment of nothing":   {`{"base_url":"https://h","deployments":{"":"gpt"}}`, `"" is deployed as "gpt"`},
		"a key in the URL":          {`{"base_url":"https://sk-secret@h"}`, "give the key as api_key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := providertest.Load(t, module, test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
