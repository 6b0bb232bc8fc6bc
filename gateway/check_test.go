package gateway

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// twoProviders is the part of a configuration that most tables below need.
const twoProviders = `"providers": {
	"openai": {"adapter": {"type": "openai"}},
	"groq":   {"adapter": {"type": "openai"}}
}`

func parse(t testing.TB, text string) *Config {
	t.Helper()
	c := new(Config)
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckAccepts(t *testing.T) {
	for name, config := range map[string]string{
		"nothing": `{}`,
		"everything": `{"providers": {
				"openai": {"adapter": {"type": "openai"}, "api_keys": ["{env.A}", "{env.B}"], "passthrough": true, "timeouts": {"total": "1h"}},
				"groq": {"adapter": {"type": "openai"}}
			},
			"models": {"smart": {"targets": [{"provider": "groq", "model": "meta/llama"}, {"provider": "openai", "model": "gpt-4o"}], "policy": {"type": "failover"}}},
			"aliases": {"a": "b", "b": "smart", "c": "groq/meta/llama"},
			"strict_models": true, "report_model": "upstream",
			"timeouts": {"connect": "1ms", "first_byte": -1, "idle": "-1s"},
			"max_body": 1024, "drain_timeout": "24h"}`,
		"targets while the environment brings the providers": `{"models": {"a": {"targets": [{"provider": "openai", "model": "b"}]}},
			"aliases": {"b": "openai/x", "c": "b"}}`,
		"alias to a model with a slash":            `{` + twoProviders + `, "models": {"meta/llama": {"targets": [{"provider": "groq", "model": "x"}]}}, "aliases": {"a": "meta/llama"}}`,
		"aliases that meet":                        `{` + twoProviders + `, "aliases": {"a": "c", "b": "c", "c": "groq/x"}}`,
		"model, alias and provider of one letter":  `{` + twoProviders + `, "models": {"é": {"targets": [{"provider": "groq", "model": "x"}]}}}`,
		"alias to provider/model in strict_models": `{` + twoProviders + `, "strict_models": true, "aliases": {"a": "groq/x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := parse(t, config).Check(); len(got) > 0 {
				t.Errorf("Check() = %v, want none", got)
			}
		})
	}
}

func TestCheckFinds(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		want   []string // path: part of the message
	}{
		"provider names": {
			`{"providers": {"": {"adapter": {"type": "x"}}, "a/b": {"adapter": {"type": "x"}}, "a b": {"adapter": {"type": "x"}}, "a\u0000": {"adapter": {"type": "x"}}}}`,
			[]string{"providers.: empty name", "providers.a\x00: invisible", "providers.a b: space", "providers.a/b: slash"},
		},
		"provider without adapter": {
			`{"providers": {"a": null, "b": {}, "c": {"adapter": {}}, "d": {"adapter": 7}}}`,
			[]string{"providers.a: null", "providers.b.adapter: no adapter", "providers.c.adapter: no adapter", "providers.d.adapter: no adapter"},
		},
		"empty key": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "api_keys": ["k", " "]}}}`,
			[]string{"providers.a.api_keys[1]: is empty"},
		},
		"two passthroughs": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "passthrough": true}, "b": {"adapter": {"type": "x"}, "passthrough": true}}}`,
			[]string{"providers.b.passthrough: providers 'a' and 'b'"},
		},
		"models without targets": {
			`{"models": {"a": null, "b": {}, "c": {"targets": [null]}}}`,
			[]string{"models.a.targets: no targets", "models.b.targets: no targets", "models.c.targets[0]: null"},
		},
		"model names": {
			`{"models": {"": {"targets": [{"provider": "x", "model": "y"}]}, "a\tb": {"targets": [{"provider": "x", "model": "y"}]}}}`,
			[]string{"models.: empty name", "models.a\tb: space"},
		},
		"targets": {
			`{` + twoProviders + `, "models": {"a": {"targets": [
				{"provider": "groq"}, {"model": "x"}, {"provider": "x/y", "model": "z"},
				{"provider": "groq", "model": "x y"}, {"provider": "nobody", "model": "x"},
				{"provider": "groq", "model": "x"}, {"provider": "groq", "model": "x"}]}}}`,
			[]string{
				"models.a.targets[0]: 'groq' names no model",
				"models.a.targets[1]: names no provider",
				"models.a.targets[2]: slash",
				"models.a.targets[3]: space",
				"models.a.targets[4]: configured: groq, openai",
				"models.a.targets[6]: twice",
			},
		},
		"alias that hides a model": {
			`{"models": {"a": {"targets": [{"provider": "x", "model": "y"}]}}, "aliases": {"a": "x/z"}}`,
			[]string{"aliases.a: name of a model"},
		},
		"alias cycles": {
			`{"aliases": {"self": "self", "c": "a", "b": "c", "a": "b", "into": "b"}}`,
			[]string{"aliases.a: a -> b -> c -> a", "aliases.self: self -> self"},
		},
		"alias to nothing": {
			`{` + twoProviders + `, "aliases": {"a": "bare", "b": "nobody/x", "c": "groq/", "d": "", "e": "/x", "f": "x y"}}`,
			[]string{
				"aliases.a: write provider/bare",
				"aliases.b: names provider 'nobody'",
				"aliases.c: 'groq' names no model",
				"aliases.d: is no name",
				"aliases.e: names no provider",
				"aliases.f: is no name",
			},
		},
		"limits too low": {
			`{"report_model": "x", "timeouts": {"connect": 5, "first_byte": 5, "idle": 5, "total": 5}, "max_body": 1023, "drain_timeout": 30}`,
			[]string{
				"report_model: requested or upstream",
				"timeouts.connect: is 5ns", "timeouts.first_byte: is 5ns", "timeouts.idle: is 5ns", "timeouts.total: is 5ns",
				"max_body: 1023 bytes", "drain_timeout: is 30ns",
			},
		},
		"limits too high": {
			`{"max_body": 4294967297, "drain_timeout": "25h"}`,
			[]string{"max_body: 4 GiB", "drain_timeout: is 25h0m0s"},
		},
		"negative limits": {
			`{"max_body": -1, "drain_timeout": "-1s"}`,
			[]string{"max_body: -1 bytes", "drain_timeout: is -1s"},
		},
		"timeouts of a provider": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "timeouts": {"total": 600}}}}`,
			[]string{"providers.a.timeouts.total: is 600ns"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, test.config).Check()
			for i := range max(len(got), len(test.want)) {
				if i >= len(got) {
					t.Errorf("missing: %s", test.want[i])
					continue
				}
				if i >= len(test.want) {
					t.Errorf("too many: %v", got[i])
					continue
				}
				path, part, _ := strings.Cut(test.want[i], ": ")
				if got[i].Path != path || !strings.Contains(got[i].Message, part) {
					t.Errorf("problem %d = %v, want %s", i, got[i], test.want[i])
				}
			}
		})
	}
}

// Whatever the JSON holds, Check neither panics nor changes it, and finds the
// same problems in the same order.
func FuzzCheck(f *testing.F) {
	f.Add(`{"providers": {"a": null}, "models": {"m": {"targets": [null, {}]}}, "aliases": {"a": "b", "b": "a"}}`)
	f.Add(`{` + twoProviders + `, "aliases": {"a": "b", "b": "groq/c"}, "timeouts": {"idle": 1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		c := new(Config)
		if json.Unmarshal([]byte(text), c) != nil {
			return
		}
		first, second := c.Check(), c.Check()
		if !reflect.DeepEqual(first, second) {
			t.Errorf("Check() = %v, then %v", first, second)
		}
		for _, p := range first {
			if p.Path == "" || p.Message == "" {
				t.Errorf("problem without path or message: %+v", p)
			}
		}
	})
}
