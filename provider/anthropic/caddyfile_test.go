package anthropic

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":        {`anthropic`, `{}`},
		"an empty block": {"anthropic {\n}", `{}`},
		"everything": {
			"anthropic {\n\tbase_url https://h/anthropic\n\theader x-title \"a b\"\n\tversion 2023-06-01\n\tbeta a b\n\tbeta c\n\tauth bearer\n}",
			`{"base_url":"https://h/anthropic","headers":{"X-Title":"a b"},"version":"2023-06-01","beta":["a","b","c"],"auth":"bearer"}`,
		},
		"placeholders": {
			"anthropic {\n\tbase_url {env.BASE}\n\theader X-A {env.A}\n}",
			`{"base_url":"{env.BASE}","headers":{"X-A":"{env.A}"}}`,
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
		"an unknown option":        {"stream_usage on", "unknown option 'stream_usage' of a provider that speaks Anthropic's API: it knows auth, base_url, beta, header and version"},
		"base_url without a value": {"base_url", "base_url needs one URL such as https://api.anthropic.com"},
		"a bad base_url":           {"base_url localhost:11434", "base_url must be an http:// or https:// URL such as https://api.anthropic.com"},
		"a key in base_url":        {"base_url https://sk-secret@h", "neither credentials nor a fragment: give the key as api_key"},
		"version twice":            {"version 2023-06-01\n\tversion 2023-06-01", "version is given twice: remove one"},
		"an empty version":         {`version ""`, "version has an empty value: write one, or leave the option out"},
		"beta without a name":      {"beta", "beta needs the name of a feature"},
		"a feature twice":          {"beta a b a", "beta a is given twice: remove one"},
		"another auth":             {"auth basic", "auth is x-api-key or bearer, not 'basic'"},
		"auth twice":               {"auth bearer\n\tauth bearer", "auth is given twice: remove one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser("anthropic {\n\t" + test.line + "\n}"))
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range []string{test.want, "at Testfile:"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
