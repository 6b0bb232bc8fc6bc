package mock

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func parse(text string) (*Provider, error) {
	p := new(Provider)
	return p, p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
}

func TestACaddyfileSetsEveryOption(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"none", `mock`, `{}`},
		{"an empty block", "mock {\n}", `{}`},
		{"all", `mock {
			words_per_second 12.5
			latency 200ms
			jitter 10m
			error_rate 0.05
			status 529
			truncate 1
			words 100000
			seed -7
		}`, `{"words_per_second":12.5,"latency":200000000,"jitter":600000000000,"error_rate":0.05,"status":529,"truncate":1,"words":100000,"seed":-7}`},
		{"no pauses", "mock {\n words_per_second -1\n}", `{"words_per_second":-1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, tt.want)
			if err := p.Validate(); err != nil {
				t.Errorf("what was parsed is not valid: %v", err)
			}
		})
	}
}

func TestACaddyfileErrorNamesTheRemedy(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"an argument", `mock fast`, `unexpected 'fast': the options of mock go in a block { }`},
		{"an unknown option", "mock {\n speed 3\n}", `unknown option 'speed' of the mock provider: it knows error_rate, jitter, latency, seed, status, truncate, words and words_per_second`},
		{"a repeated option", "mock {\n words 3\n words 3\n}", `words is given twice: remove one`},
		{"no value", "mock {\n words\n}", `words needs one value`},
		{"two values", "mock {\n latency 1s 2s\n}", `latency needs one value`},
		{"a block", "mock {\n words 3 {\n  x\n }\n}", `unknown option`},
		{"zero words per second", "mock {\n words_per_second 0\n}", `words_per_second: 0 is out of range; give 0.01 to 1000000 words per second, or -1 for no pauses`},
		{"negative words per second", "mock {\n words_per_second -2\n}", `words_per_second: -2 is out of range`},
		{"no number at all", "mock {\n words_per_second NaN\n}", `words_per_second: NaN is out of range`},
		{"not a number", "mock {\n words_per_second fast\n}", `words_per_second: "fast" is not a number of words per second; give one such as 50`},
		{"a number for a duration", "mock {\n latency 5\n}", `latency: "5" is not a duration; give one such as 200ms`},
		{"a negative duration", "mock {\n jitter -1s\n}", `jitter: -1s is out of range; give a duration from 0 to 10m, such as 200ms`},
		{"a percentage", "mock {\n error_rate 5%\n}", `error_rate: "5%" is not a number; give a share from 0 to 1, such as 0.05`},
		{"a share above 1", "mock {\n truncate 5\n}", `truncate: 5 is out of range; give a share from 0 to 1, such as 0.05`},
		{"a status that is no error", "mock {\n status 200\n}", `status: 200 is out of range; give a whole number from 400 to 599`},
		{"no words", "mock {\n words 0\n}", `words: 0 is out of range; give a whole number from 1 to 100000`},
		{"half a word", "mock {\n words 0.5\n}", `words: "0.5" is not a whole number; give one from 1 to 100000`},
		{"a word for a seed", "mock {\n seed apple\n}", `seed: "apple" is not a whole number of 64 bits; give one such as 42`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestValuesOutOfRangeAreNotValid(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    *Provider
	}{
		{"words_per_second", &Provider{WordsPerSecond: -5}},
		{"words_per_second", &Provider{WordsPerSecond: 0.001}},
		{"words_per_second", &Provider{WordsPerSecond: math.Inf(1)}},
		{"latency", &Provider{Latency: -1}},
		{"jitter", &Provider{Jitter: toDuration("11m")}},
		{"error_rate", &Provider{ErrorRate: -0.1}},
		{"error_rate", &Provider{ErrorRate: math.NaN()}},
		{"status", &Provider{Status: 302}},
		{"truncate", &Provider{Truncate: 1.1}},
		{"words", &Provider{Words: -1}},
		{"words", &Provider{Words: 100_001}},
	}
	for _, tt := range tests {
		if err := tt.p.Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.name+": ") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestTheModuleIsRegistered(t *testing.T) {
	t.Parallel()
	info, err := caddy.GetModule("runestone.providers.mock")
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := info.New().(*Provider); !ok || p.Validate() != nil {
		t.Errorf("New makes a %T", p)
	}
}
