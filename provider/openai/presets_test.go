package openai

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/provider/providertest"
)

func loadPreset(t testing.TB, name, config string) *Provider {
	t.Helper()
	p, err := providertest.Load(t, "runestone.providers."+name, config)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Provider)
}

func TestEveryPresetIsAModule(t *testing.T) {
	t.Parallel()
	variables := map[string]string{}
	for _, known := range presets {
		p := loadPreset(t, known.name, `{}`)
		if got := p.CaddyModule().ID; got != caddy.ModuleID("runestone.providers."+known.name) {
			t.Errorf("%s is the module %s", known.name, got)
		}
		if p.Quirks() != known.quirks || p.EnvKey() != known.env {
			t.Errorf("%s has the quirks %+v and the variable %q", known.name, p.Quirks(), p.EnvKey())
		}
		req := ask(t, p, &provider.Request{Path: "/v1/models"}, provider.Target{})
		if got := req.URL.String(); got != known.base+"/models" {
			t.Errorf("%s has its models at %s", known.name, got)
		}
		u, err := url.Parse(known.base)
		if local := u.Hostname() == "localhost"; err != nil || local != (known.env == "") || !local && u.Scheme != "https" {
			t.Errorf("%s is at %s and has the variable %q", known.name, known.base, known.env)
		}
		if before := variables[known.env]; known.env != "" && before != "" {
			t.Errorf("%s and %s have the same variable", before, known.name)
		}
		variables[known.env] = known.name
		if !slices.Contains(known.speaks, chat) {
			t.Errorf("%s does not know chat", known.name)
		}
		for _, call := range known.speaks {
			if err := checkCall(call); err != nil {
				t.Errorf("%s: %v", known.name, err)
			}
		}
	}
}

// With a URL of one's own the key must not be that of the service.
func TestEnvKeyIsForTheServiceOnly(t *testing.T) {
	t.Parallel()
	if got := loadPreset(t, "groq", `{"base_url":"http://h/v1"}`).EnvKey(); got != "" {
		t.Errorf("got %q", got)
	}
	if got := loadPreset(t, "groq", `{"base_url":"http://h/v1"}`).Quirks(); got == nil || len(got.Refused) == 0 {
		t.Errorf("the server is none of Groq's any more: %+v", got)
	}
}

func TestQuirksOfAnUnknownServer(t *testing.T) {
	t.Parallel()
	for _, config := range []string{`{}`, `{"base_url":"https://api.openai.com/v1"}`, `{"base_url":"https://eu.api.openai.com/v1"}`} {
		if got := mustLoad(t, config).Quirks(); got != nil {
			t.Errorf("%s: OpenAI has the quirks %+v", config, got)
		}
	}
	if got := mustLoad(t, `{"base_url":"http://h/v1"}`).Quirks(); got == nil || !got.MaxTokens || !got.SystemRole {
		t.Errorf("got %+v", got)
	}
}

func TestSpeaks(t *testing.T) {
	t.Parallel()
	const own = `{"base_url":"http://h/v1","speaks":["messages"]}`
	for _, test := range []struct {
		module, config string
		api, want      dialect.API
	}{
		{"openai", `{}`, chat, chat},
		{"openai", `{}`, completions, completions},
		{"openai", `{}`, embeddings, embeddings},
		{"openai", `{}`, responses, responses},
		{"openai", `{}`, messages, chat},
		{"openai", `{}`, countTokens, ""},
		{"openai", `{}`, dialect.Other, dialect.Other},
		{"openai", `{}`, "", ""}, // what has no call, such as the list of models
		{"groq", `{}`, responses, responses},
		{"groq", `{}`, embeddings, ""},
		{"mistral", `{}`, responses, chat},
		{"mistral", `{}`, completions, ""},
		{"deepseek", `{}`, messages, chat},
		{"ollama", `{}`, messages, messages},
		{"ollama", `{}`, countTokens, ""},
		{"llamacpp", `{}`, countTokens, countTokens},
		{"ollama", `{"speaks":["chat"]}`, messages, chat},
		{"ollama", `{"speaks":["chat"]}`, embeddings, ""},
		{"ollama", `{"speaks":["chat"]}`, dialect.Other, dialect.Other},
		{"openai", own, messages, messages},
		{"openai", own, chat, messages},
		{"openai", own, responses, messages},
		{"openai", `{"speaks":["embeddings"]}`, chat, ""},
		{"openai", `{"speaks":["embeddings"]}`, messages, ""},
	} {
		if got := loadPreset(t, test.module, test.config).Speaks(test.api, "any"); got != test.want {
			t.Errorf("%s %s: %q is served by %q, want %q", test.module, test.config, test.api, got, test.want)
		}
	}
}

func TestAnthropicsHeadersGoWithItsCallsOnly(t *testing.T) {
	t.Parallel()
	p := loadPreset(t, "ollama", `{}`)
	header := map[string][]string{"Anthropic-Beta": {"a"}, "Anthropic-Version": {"2024-01-01"}}
	for _, test := range []struct {
		api           dialect.API
		header        map[string][]string
		version, beta string
	}{
		{messages, header, "2024-01-01", "a"},
		{messages, nil, "2023-06-01", ""},
		{countTokens, header, "2024-01-01", "a"},
		{chat, header, "", ""},
		{responses, nil, "", ""},
	} {
		req := ask(t, p, &provider.Request{API: test.api, Path: test.api.Path(), Header: test.header}, provider.Target{})
		if version, beta := req.Header.Get("Anthropic-Version"), req.Header.Get("Anthropic-Beta"); version != test.version || beta != test.beta {
			t.Errorf("%s: got version %q and features %q", test.api, version, beta)
		}
	}
}

func TestSpeaksInACaddyfile(t *testing.T) {
	t.Parallel()
	var p Provider
	if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("openai {\n\tspeaks chat embeddings messages\n}")); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(&p); err != nil || string(got) != `{"speaks":["chat","embeddings","messages"]}` {
		t.Errorf("got %s and %v", got, err)
	}
	for line, want := range map[string]string{
		"speaks":                      "speaks needs the calls that the server knows, of chat, completions, embeddings",
		"speaks chat models":          `speaks has "models", which is no call that it may list: those are chat, completions`,
		"speaks other":                `speaks has "other"`,
		"speaks chat\n\tspeaks other": "speaks is given twice: list all calls on one line",
	} {
		err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser("openai {\n\t" + line + "\n}"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at Testfile:") {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
	if _, err := load(t, `{"speaks":["gemini"]}`); err == nil || !strings.Contains(err.Error(), `speaks has "gemini"`) {
		t.Errorf("got %v", err)
	}
}
