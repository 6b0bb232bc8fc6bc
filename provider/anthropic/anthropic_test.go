package anthropic

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/providertest"
)

const module = "runestone.providers.anthropic"

func load(t testing.TB, config string) *Provider {
	t.Helper()
	p, err := providertest.Load(t, module, config)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Provider)
}

const exampleMessages = `{"max_tokens":1e3,"messages":[{"role":"user","content":"smart\u0021"}],"metadata":{"model":"smart"}, "model" : "smart","thinking":{"budget_tokens":12345678901234567890}}`

func TestConformance(t *testing.T) {
	t.Parallel()
	calls := []providertest.Call{
		{Name: "messages", Path: "/v1/messages", Body: exampleMessages, WantURL: "/v1/messages"},
		{Name: "messages with a query", Path: "/v1/messages", Query: "beta=true", Body: exampleMessages, Model: "claude-sonnet-4-5", WantURL: "/v1/messages?beta=true"},
		{Name: "the counting of tokens", Path: "/v1/messages/count_tokens", Body: `{"model":"smart","messages":[]}`, Model: "claude", WantURL: "/v1/messages/count_tokens"},
		{Name: "a batch, whose models are its own", Path: "/v1/messages/batches", Body: `{"requests":[{"custom_id":"1","params":{"model":"smart"}}]}`, Model: "claude", WantURL: "/v1/messages/batches"},
		{Name: "a file", Path: "/v1/files/file_1/content", WantURL: "/v1/files/file_1/content"},
		{Name: "the models", Path: "/v1/models", Query: "limit=5", WantURL: "/v1/models?limit=5"},
	}
	plain := func(server string) string { return `{"base_url":"` + server + `"}` }
	key := func(secret string) (name, value string) { return "X-Api-Key", secret }
	for name, c := range map[string]providertest.Case{
		"as it is": {Config: plain, Credential: key},
		"with the version in its URL": {
			Config: func(server string) string { return plain(server + "/v1/") }, Credential: key,
		},
		"with a bearer's token and features": {
			Config: func(server string) string {
				return `{"base_url":"` + server + `","auth":"bearer","beta":["one","two"]}`
			},
			Credential: func(secret string) (name, value string) { return "Authorization", "Bearer " + secret },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Module, c.Calls = module, calls
			c.Travels = []string{"Anthropic-Beta", "Anthropic-Version"}
			providertest.Run(t, c)
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"":                                "https://api.anthropic.com/v1/messages",
		"https://api.anthropic.com/":      "https://api.anthropic.com/v1/messages",
		"https://api.anthropic.com/v1":    "https://api.anthropic.com/v1/messages",
		"http://localhost:11434":          "http://localhost:11434/v1/messages",
		"https://h/anthropic":             "https://h/anthropic/v1/messages",
		"https://h/anthropic/v1/":         "https://h/anthropic/v1/messages",
		"https://h/a%2Fb":                 "https://h/a%2Fb/v1/messages",
		"https://h/a%2Fb/v1":              "https://h/a%2Fb/v1/messages",
		"https://h/anthropic?region=euro": "https://h/anthropic/v1/messages?region=euro",
	} {
		p := load(t, `{"base_url":"`+base+`"}`)
		req, err := p.NewRequest(t.Context(), &provider.Request{Method: http.MethodPost, Path: "/v1/messages"}, provider.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got := req.URL.String(); got != want {
			t.Errorf("%s: got %s, want %s", base, got, want)
		}
	}
}

func TestVersionAndFeatures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config, version, beta string // the latter two the client's
		wantVersion, wantBeta string
	}{
		"nothing said":                      {`{}`, "", "", "2023-06-01", ""},
		"a configured version":              {`{"version":"2024-01-01"}`, "", "", "2024-01-01", ""},
		"the client's version goes first":   {`{"version":"2024-01-01"}`, "2023-01-01", "", "2023-01-01", ""},
		"the client's features":             {`{}`, "", "a-1,b-2", "2023-06-01", "a-1,b-2"},
		"configured features":               {`{"beta":["a-1","b-2"]}`, "", "", "2023-06-01", "a-1,b-2"},
		"both":                              {`{"beta":["a-1","b-2"]}`, "", "c-3", "2023-06-01", "c-3,a-1,b-2"},
		"both with one in common":           {`{"beta":["a-1","b-2"]}`, "", "b-2, c-3", "2023-06-01", "b-2, c-3,a-1"},
		"a header goes before all the rest": {`{"beta":["a-1"],"headers":{"anthropic-beta":"x"}}`, "", "c-3", "2023-06-01", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if test.version != "" {
				header.Set("anthropic-version", test.version)
			}
			if test.beta != "" {
				header.Set("anthropic-beta", test.beta)
			}
			before := header.Clone()
			r := &provider.Request{API: dialect.Messages, Method: http.MethodPost, Path: "/v1/messages", Header: header}
			req, err := load(t, test.config).NewRequest(t.Context(), r, provider.Target{})
			if err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get("anthropic-version"); got != test.wantVersion {
				t.Errorf("the version is %q, want %q", got, test.wantVersion)
			}
			if got := req.Header.Get("anthropic-beta"); got != test.wantBeta {
				t.Errorf("the features are %q, want %q", got, test.wantBeta)
			}
			if !slices.Equal(header["Anthropic-Beta"], before["Anthropic-Beta"]) {
				t.Error("the client's headers have changed")
			}
		})
	}
}

func TestSpeaks(t *testing.T) {
	t.Parallel()
	for api, want := range map[dialect.API]dialect.API{
		dialect.Messages: dialect.Messages, dialect.CountTokens: dialect.CountTokens, dialect.Other: dialect.Other,
		dialect.Chat: dialect.Messages, dialect.Responses: dialect.Messages,
		dialect.Completions: "", dialect.Embeddings: "",
	} {
		if got := new(Provider).Speaks(api, "any"); got != want {
			t.Errorf("%s is served by %q, want %q", api, got, want)
		}
	}
}

func TestEnvKey(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{}`:                      "ANTHROPIC_API_KEY",
		`{"auth":"x-api-key"}`:    "ANTHROPIC_API_KEY",
		`{"auth":"bearer"}`:       "ANTHROPIC_AUTH_TOKEN",
		`{"base_url":"http://h"}`: "",
	} {
		if got := load(t, config).EnvKey(); got != want {
			t.Errorf("%s: got %q, want %q", config, got, want)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ config, want string }{
		"another scheme":       {`{"base_url":"ftp://h"}`, "base_url must be an http:// or https:// URL such as https://api.anthropic.com"},
		"a key in the URL":     {`{"base_url":"https://sk-secret@h"}`, "give the key as api_key"},
		"a word for auth":      {`{"auth":"basic"}`, `auth is x-api-key or bearer, not "basic"`},
		"a version with a gap": {`{"version":"2023 06 01"}`, "version must be a date such as 2023-06-01"},
		"a list for a feature": {`{"beta":["a,b"]}`, `beta must be a name such as context-1m-2025-08-07, not "a,b"`},
		"a feature without":    {`{"beta":[""]}`, "beta must be a name"},
		"an unknown member":    {`{"base":"http://h"}`, `unknown field "base"`},
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
