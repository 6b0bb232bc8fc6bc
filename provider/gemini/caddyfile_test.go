package gemini

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"gemini": `{}`,
		"gemini {\n\tbase_url https://h/v1alpha\n\theader x-goog-user-project p\n}": `{"base_url":"https://h/v1alpha","headers":{"X-Goog-User-Project":"p"}}`,
		"gemini {\n\tbase_url {env.GEMINI_URL}\n}":                                  `{"base_url":"{env.GEMINI_URL}"}`,
	} {
		var p Provider
		if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(&p); err != nil || string(got) != want {
			t.Errorf("%s: got %s and %v, want %s", text, got, err, want)
		}
	}
}

func TestCaddyfileErrorsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"version v1":                          "unknown option 'version' of a provider that speaks the Gemini API: it knows base_url and header",
		"base_url h":                          "base_url must be an http:// or https:// URL such as https://generativelanguage.googleapis.com",
		"base_url https://h\n\tbase_url http": "base_url is given twice: remove one",
		"header x":                            "header needs a name and a value",
	} {
		err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser("gemini {\n\t" + line + "\n}"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at Testfile:") {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}
