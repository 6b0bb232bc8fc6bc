package gemini

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/providertest"
)

const module = "runestone.providers.gemini"

func load(t testing.TB, config string) *Provider {
	t.Helper()
	p, err := providertest.Load(t, module, config)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Provider)
}

const exampleBody = `{"contents":[{"role":"user","parts":[{"text":"hi\u0021"}]}], "generationConfig" : {"temperature":1.0e0}}`

func TestConformance(t *testing.T) {
	t.Parallel()
	calls := []providertest.Call{
		{Name: "a whole answer", API: dialect.Gemini, Body: exampleBody, Model: "gemini-2.5-flash", WantURL: "/v1beta/models/gemini-2.5-flash:generateContent"},
		{Name: "a stream", API: dialect.Gemini, Stream: true, Body: exampleBody, Model: "gemini-3-pro-preview", WantURL: "/v1beta/models/gemini-3-pro-preview:streamGenerateContent?alt=sse"},
		{Name: "embeddings", API: dialect.GeminiEmbed, Body: `{"requests":[]}`, Model: "gemini-embedding-001", WantURL: "/v1beta/models/gemini-embedding-001:batchEmbedContents"},
		{Name: "a model with its kind", API: dialect.Gemini, Body: exampleBody, Model: "tunedModels/mine", WantURL: "/v1beta/tunedModels/mine:generateContent"},
		{Name: "a model with odd letters", API: dialect.Gemini, Body: exampleBody, WantBody: exampleBody, Model: "models/a/b?c:d é", WantURL: "/v1beta/models/a%2Fb%3Fc%3Ad%20%C3%A9:generateContent"},
	}
	for name, config := range map[string]func(server string) string{
		"as it is":                    func(server string) string { return `{"base_url":"` + server + `"}` },
		"with the version in its URL": func(server string) string { return `{"base_url":"` + server + `/v1beta/"}` },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, providertest.Case{
				Module: module, Config: config, Calls: calls,
				Credential: func(secret string) (name, value string) { return "X-Goog-Api-Key", secret },
			})
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"": "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
		"https://generativelanguage.googleapis.com/v1":      "https://generativelanguage.googleapis.com/v1/models/m:streamGenerateContent?alt=sse",
		"https://generativelanguage.googleapis.com/v1alpha": "https://generativelanguage.googleapis.com/v1alpha/models/m:streamGenerateContent?alt=sse",
		"http://h:8080/gemini/":                             "http://h:8080/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
		"http://h/vertex":                                   "http://h/vertex/v1beta/models/m:streamGenerateContent?alt=sse",
		"http://h/a%2Fb?x=y":                                "http://h/a%2Fb/v1beta/models/m:streamGenerateContent?x=y&alt=sse",
		"http://h/a%2Fb/v1":                                 "http://h/a%2Fb/v1/models/m:streamGenerateContent?alt=sse",
	} {
		p := load(t, `{"base_url":"`+base+`"}`)
		r := &provider.Request{API: dialect.Gemini, Method: http.MethodPost, Model: "m", Stream: true, Query: "key=the-client's"}
		req, err := p.NewRequest(t.Context(), r, provider.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got := req.URL.String(); got != want {
			t.Errorf("%s: got %s, want %s", base, got, want)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"base_url":"generativelanguage.googleapis.com"}`:                        "base_url must be an http:// or https:// URL such as https://generativelanguage.googleapis.com",
		`{"base_url":"https://generativelanguage.googleapis.com/v1beta/openai/"}`: "remove /openai at its end, or use the adapter openai with it",
		`{"base_url":"{env.RUNESTONE_NOT_SET}"}`:                                  "base_url",
		`{"api_key":"x"}`:                                                         "unknown field",
	} {
		if _, err := providertest.Load(t, module, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", config, err, want)
		}
	}
}

func TestWhatItServes(t *testing.T) {
	t.Parallel()
	var p Provider
	for api, want := range map[dialect.API]dialect.API{
		dialect.Chat: dialect.Gemini, dialect.Messages: dialect.Gemini, dialect.Responses: dialect.Gemini,
		dialect.Embeddings: dialect.GeminiEmbed, dialect.Completions: "", dialect.CountTokens: "", dialect.Other: "",
	} {
		if got := p.Speaks(api, "gemini-2.5-pro"); got != want {
			t.Errorf("%s is served with %q, want %q", api, got, want)
		}
	}
	for name, r := range map[string]*provider.Request{
		"a call that is not Gemini's": {API: dialect.Other, Model: "m"}, "no model": {API: dialect.Gemini},
	} {
		_, err := p.NewRequest(t.Context(), r, provider.Target{})
		if told, ok := errors.AsType[*dialect.Error](err); !ok || told.Status != http.StatusBadRequest {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEnvKeyIsForGooglesServerOnly(t *testing.T) {
	t.Parallel()
	if got := new(Provider).EnvKey(); got != "GEMINI_API_KEY" {
		t.Errorf("got %q", got)
	}
	p := new(Provider)
	p.BaseURL = "https://h"
	if got := p.EnvKey(); got != "" {
		t.Errorf("another server is given %q", got)
	}
}
