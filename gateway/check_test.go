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
				"openai": {"adapter": {"type": "openai"}, "api_keys": ["{env.A}", {"key": "{env.B}", "weight": 1000000}],
					"max_concurrency": {"adaptive": true, "floor": 1, "ceiling": 1048576, "initial": 1}, "passthrough": true, "timeouts": {"total": "1h"}},
				"groq": {"adapter": {"type": "openai"}, "max_concurrency": {"ceiling": 20}}
			},
			"models": {"smart": {"targets": [
					{"provider": "groq", "model": "meta/llama", "weight": 1000000, "price": {"input": 0, "output": 0}, "context": 1},
					{"provider": "openai", "model": "gpt-4o", "price": {"input": 999999.99, "output": 0, "cached_input": 999999.99},
						"capabilities": ["chat", "completions", "embeddings", "tools", "vision", "audio", "json_schema", "streaming"]}],
				"policy": {"type": "failover"}, "hedge_after": "1ms"}},
			"aliases": {"a": "b", "b": "smart", "c": "groq/meta/llama"},
			"strict_models": true, "report_model": "upstream",
			"breaker": {"failures": 1, "failure_ratio": 1, "minimum_calls": 1, "window": "10ms", "open_for": "24h", "max_open_for": "24h", "half_open": 1000, "slow_call": "1ns"},
			"retry": {"attempts": 20, "backoff": "1ms", "max_backoff": "1h", "budget": 1, "hedge_after": "1ms"},
			"line": {"wait": "1h", "length": 1000000},
			"timeouts": {"connect": "1ms", "first_byte": -1, "idle": "-1s"},
			"max_body": 1024, "drain_timeout": "24h"}`,
		"all of it off": `{"breaker": {"failures": -1, "failure_ratio": -1}, "retry": {"attempts": 1, "budget": -1, "hedge_after": -1}, "line": {"wait": -1},
			"models": {"a": {"targets": [{"provider": "openai", "model": "b", "capabilities": ["no_streaming"]}], "hedge_after": -1}}}`,
		"the default by a zero": `{"breaker": {"failures": 0}, "retry": {"attempts": 0, "backoff": 0, "budget": 0, "hedge_after": 0}, "line": {"wait": 0, "length": 0},
			"models": {"a": {"targets": [{"provider": "openai", "model": "b", "weight": 0, "context": 0}], "hedge_after": 0}}}`,
		"a longest backoff that is the first":       `{"retry": {"backoff": "7s", "max_backoff": "7s"}}`,
		"a first backoff over the default longest":  `{"retry": {"backoff": "10s"}}`,
		"a longest backoff under the default first": `{"retry": {"max_backoff": "100ms"}}`,
		"hedge with attempts to spare":              `{"retry": {"attempts": 2, "hedge_after": "2s"}}`,
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
		"weights of keys": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "api_keys": [{"key": "k", "weight": -1}, {"key": "l", "weight": 1000001}]}}}`,
			[]string{"providers.a.api_keys[0].weight: key 1 of provider 'a' has weight -1", "providers.a.api_keys[1].weight: from 1 to 1000000"},
		},
		"the same key twice": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "api_keys": ["k", "l", " k"]}, "b": {"adapter": {"type": "x"}, "api_keys": ["k"]}}}`,
			[]string{"providers.a.api_keys[2]: keys 1 and 3 of provider 'a' are the same"},
		},
		"a fixed limit with a floor": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "max_concurrency": {"ceiling": 5, "floor": 2}}, "b": {"adapter": {"type": "x"}, "max_concurrency": {"ceiling": -5}}}}`,
			[]string{"providers.a.max_concurrency.floor: provider 'a': floor and initial are for", "providers.b.max_concurrency.ceiling: not -5"},
		},
		"an adaptive limit out of range": {
			`{"providers": {"a": {"adapter": {"type": "x"}, "max_concurrency": {"adaptive": true, "floor": -1}},
				"b": {"adapter": {"type": "x"}, "max_concurrency": {"adaptive": true, "floor": 6, "ceiling": 5}},
				"c": {"adapter": {"type": "x"}, "max_concurrency": {"adaptive": true, "initial": 2000}}}}`,
			[]string{
				"providers.a.max_concurrency.floor: not -1", "providers.b.max_concurrency.ceiling: from 6",
				"providers.c.max_concurrency.initial: from 1 to 1000",
			},
		},
		"weight and context of a target": {
			`{"models": {"a": {"targets": [{"provider": "x", "model": "y", "weight": -1, "context": -1}, {"provider": "x", "model": "z", "weight": 1000001}]}}}`,
			[]string{
				"models.a.targets[0].weight: 'x/y' has weight -1", "models.a.targets[0].context: context of -1 tokens",
				"models.a.targets[1].weight: weight 1000001",
			},
		},
		"prices": {
			`{"models": {"a": {"targets": [
				{"provider": "x", "model": "1", "price": {"input": -1, "output": -1}},
				{"provider": "x", "model": "2", "price": {"input": 1, "output": 1000000}},
				{"provider": "x", "model": "3", "price": {"input": 1, "output": 1, "cached_input": -0.1}},
				{"provider": "x", "model": "4", "price": {"input": 1, "output": 5, "cached_input": 2}}]}}}`,
			[]string{
				"models.a.targets[0].price.input: 'x/1' has the price -1", "models.a.targets[1].price.output: less than 1000000",
				"models.a.targets[2].price.cached_input: price -0.1", "models.a.targets[3].price.cached_input: the order is",
			},
		},
		"capabilities": {
			`{"models": {"a": {"targets": [
				{"provider": "x", "model": "1", "capabilities": []},
				{"provider": "x", "model": "2", "capabilities": ["chat", "Tools", "", "no_tools", "chat"]},
				{"provider": "x", "model": "3", "capabilities": ["no_streaming", "chat", "streaming"]}]}}}`,
			[]string{
				"models.a.targets[0].capabilities: empty list",
				"models.a.targets[1].capabilities[1]: \"Tools\", which is unknown; known: chat, ",
				"models.a.targets[1].capabilities[2]: \"\", which is unknown",
				"models.a.targets[1].capabilities[3]: streaming, no_streaming",
				"models.a.targets[1].capabilities[4]: 'chat' twice",
				"models.a.targets[2].capabilities[0]: both streaming and no_streaming",
			},
		},
		"a hedge with nobody to ask": {
			`{"models": {"a": {"targets": [{"provider": "x", "model": "y"}], "hedge_after": "2s"}}}`,
			[]string{"models.a.hedge_after: has one target"},
		},
		"hedges without a unit": {
			`{"models": {"a": {"targets": [{"provider": "x", "model": "y"}, {"provider": "x", "model": "z"}], "hedge_after": 2}}, "retry": {"hedge_after": 3}}`,
			[]string{"models.a.hedge_after: after 2ns", "retry.hedge_after: after 3ns"},
		},
		"hedges with one attempt": {
			`{"models": {"a": {"targets": [{"provider": "x", "model": "y"}, {"provider": "x", "model": "z"}], "hedge_after": "2s"}}, "retry": {"attempts": 1, "hedge_after": "2s"}}`,
			[]string{"models.a.hedge_after: attempts is 1", "retry.hedge_after: attempts is 1"},
		},
		"breaker": {
			`{"breaker": {"failures": -1, "failure_ratio": 1.1, "minimum_calls": -1, "window": 60, "open_for": "1h", "max_open_for": "30m", "half_open": -1, "slow_call": -1}}`,
			[]string{
				"breaker.window: from 10ms", "breaker.max_open_for: from 1h", "breaker.slow_call: not -1ns",
				"breaker.failure_ratio: not 1.1", "breaker.minimum_calls: at least 1", "breaker.half_open: not -1",
			},
		},
		"retry out of range": {
			`{"retry": {"attempts": 21, "backoff": 250, "budget": 1.5}}`,
			[]string{"retry.attempts: from 1 to 20", "retry.backoff: is 250ns", "retry.budget: is 1.5"},
		},
		"negative retry": {
			`{"retry": {"attempts": -1, "backoff": "-1s", "max_backoff": "-2s"}}`,
			[]string{"retry.attempts: is -1", "retry.backoff: is -1s", "retry.max_backoff: is -2s"},
		},
		"a longest backoff under the first": {
			`{"retry": {"backoff": "10s", "max_backoff": "9s"}}`,
			[]string{"retry.max_backoff: is 9s and the first 10s"},
		},
		"backoff too long": {
			`{"retry": {"backoff": "61m", "max_backoff": "2h"}}`,
			[]string{"retry.backoff: is 1h1m0s", "retry.max_backoff: is 2h0m0s"},
		},
		"line too short": {
			`{"line": {"wait": 30, "length": -1}}`,
			[]string{"line.wait: is 30ns", "line.length: is -1"},
		},
		"line too long": {
			`{"line": {"wait": "61m", "length": 1000001}}`,
			[]string{"line.wait: is 1h1m0s", "line.length: is 1000001"},
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

// A message may end up in a log, so none holds a key that is written out.
func TestCheckKeepsKeysToItself(t *testing.T) {
	c := parse(t, `{"providers": {"a": {"adapter": {"type": "x"}, "api_keys": ["sk-secret", {"key": "sk-secret", "weight": -1}]}}}`)
	problems := c.Check()
	if len(problems) != 2 {
		t.Fatalf("Check() = %v, want two problems", problems)
	}
	for _, p := range problems {
		if strings.Contains(p.Error(), "sk-secret") {
			t.Errorf("the key is in: %v", p)
		}
	}
}

// Whatever the JSON holds, Check neither panics nor changes it, and finds the
// same problems in the same order.
func FuzzCheck(f *testing.F) {
	f.Add(`{"providers": {"a": null}, "models": {"m": {"targets": [null, {}]}}, "aliases": {"a": "b", "b": "a"}}`)
	f.Add(`{` + twoProviders + `, "aliases": {"a": "b", "b": "groq/c"}, "timeouts": {"idle": 1}}`)
	f.Add(`{"providers": {"a": {"api_keys": ["k", {"key": "k", "weight": -1}], "max_concurrency": {"floor": 1}}}, "breaker": {"half_open": -1, "open_for": 1}}`)
	f.Add(`{"models": {"m": {"targets": [{"price": {"cached_input": 1}, "capabilities": ["x", "x"]}], "hedge_after": 1}}, "retry": {"attempts": 1}, "line": {"wait": 1}}`)
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
