package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":        {`openai`, `{}`},
		"an empty block": {"openai {\n}", `{}`},
		"everything": {
			"openai {\n\tbase_url http://localhost:11434/v1\n\theader OpenAI-Project p\n\theader x-title \"a b\"\n\tstream_usage off\n}",
			`{"base_url":"http://localhost:11434/v1","headers":{"Openai-Project":"p","X-Title":"a b"},"stream_usage":false}`,
		},
		"stream_usage on": {"openai {\n\tstream_usage on\n}", `{"stream_usage":true}`},
		"placeholders": {
			"openai {\n\tbase_url {env.BASE}\n\theader X-A {env.A}\n}",
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

func TestCaddyfileErrorsSayWhatAndWhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line string // the second of the block
		want string
	}{
		"an argument":              {"", "unexpected 'extra': the options of openai go in a block { }"},
		"an unknown option":        {"model gpt", "unknown option 'model'"},
		"base_url without a value": {"base_url", "base_url needs one URL such as https://api.openai.com/v1"},
		"base_url with two":        {"base_url http://a http://b", "base_url needs one URL"},
		"a bad base_url":           {"base_url localhost:11434", "base_url must be an http:// or https:// URL"},
		"a key in base_url":        {"base_url https://sk-secret@h/v1", "neither credentials nor a fragment"},
		"base_url twice":           {"base_url http://a\n\tbase_url http://a", "base_url is given twice"},
		"header with a colon":      {"header X-A: b", `header "X-A:" cannot be set: leave the colon out`},
		"header without a value":   {"header X-A", "header needs a name and a value, such as: header X-Team platform"},
		"header with three words":  {"header X-A a b", "header needs a name and a value"},
		"a header twice":           {"header X-A a\n\theader x-a b", "header X-A is given twice"},
		"stream_usage bare":        {"stream_usage", "stream_usage needs on or off"},
		"stream_usage true":        {"stream_usage true", "stream_usage is on or off, not 'true'"},
		"stream_usage twice":       {"stream_usage on\n\tstream_usage on", "stream_usage is given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "openai {\n\theader X-First 1\n\t" + test.line + "\n}"
			where := "at Testfile:3"
			switch {
			case test.line == "":
				text, where = "openai extra", "at Testfile:1"
			case strings.Contains(test.line, "\n"):
				where = "at Testfile:4"
			}
			err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range []string{test.want, where} {
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
