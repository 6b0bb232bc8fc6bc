package gateway

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCheckAcceptsOverflow(t *testing.T) {
	t.Parallel()
	const secret = `"secrets": ["{env.S}"]`
	for name, config := range map[string]string{
		"off":     `{"off": true}`,
		"nothing": `{}`,
		"the least": `{"queue": {"type": "x"}, "workers": 1, "per_provider": 1, "max_attempts": 1, "backoff": "1ms", "max_backoff": "1ms", "job_timeout": "1ms",
			"lease": "1s", "max_age": "1s", "keep_results": "1m", "keep_discarded": "1m", "max_jobs": 1, "shutdown_grace": "1ms", "default": "reject", "priority": 0,
			"encrypt": ["0123456789abcdef"],
			"callback": {"allow": ["*"], "allow_private": ["0.0.0.0/0"], "workers": 1, "per_host": 1, "timeout": "1ms",
				"secrets": ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"]}}`,
		"the most": `{"workers": 10000, "per_provider": 10000, "max_attempts": 100, "backoff": "1h", "max_backoff": "1h", "job_timeout": "24h",
			"lease": "1h", "max_age": "365d", "keep_results": "365d", "keep_discarded": "365d", "max_jobs": 10000000, "shutdown_grace": "24h", "default": "async", "priority": 3,
			"callback": {"allow": ["*"], "workers": 10000, "per_host": 10000, "timeout": "1m",
				"secrets": ["whsec_` + strings.Repeat("MDEy", 21) + `MA=="]}}`,
		"the default by a zero":                    `{"workers": 0, "lease": 0, "max_jobs": 0, "default": "", "encrypt": [], "callback": {"allow": ["*"], "timeout": 0, ` + secret + `}}`,
		"a first backoff over the default longest": `{"backoff": "10m"}`,
		"placeholders in a text":                   `{"encrypt": ["x{env.A}"], "callback": {"allow": ["*"], "secrets": ["whsec_{env.B}"]}}`,
		"hosts that are neighbours":                `{"callback": {"allow": ["example.com", "*.example.com", "notexample.com", "example.com.example"], ` + secret + `}}`,
		"public addresses":                         `{"callback": {"allow": ["8.8.8.8", "2606:4700::1111", "172.32.0.1"], ` + secret + `}}`,
		"localhost by IPv4":                        `{"callback": {"allow": ["localhost"], "allow_private": ["127.0.0.0/8"], ` + secret + `}}`,
		"ranges of both kinds":                     `{"callback": {"allow": ["*"], "allow_private": ["10.0.0.0/8", "fd00::/8", "11.0.0.0/8"], ` + secret + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, `{"overflow": `+config+`}`).Check(); len(got) > 0 {
				t.Errorf("Check() = %v, want none", got)
			}
		})
	}
}

func TestCheckFindsInOverflow(t *testing.T) {
	t.Parallel()
	const secret = `"secrets": ["{env.S}"]`
	for name, test := range map[string]struct {
		config string
		want   []string // path: part of the message
	}{
		"off and options":        {`{"off": true, "workers": 3, "lease": "1ms"}`, []string{"off: has options; remove either"}},
		"a queue of no type":     {`{"queue": {"url": "x"}}`, []string{"queue: has no type"}},
		"a queue that is a word": {`{"queue": "redis"}`, []string{"queue: has no type"}},
		"numbers below their range": {
			`{"workers": -1, "per_provider": -1, "max_attempts": -1, "max_jobs": -1, "priority": -1}`,
			[]string{"workers: from 1 to 10000", "per_provider: from 1 to 10000", "max_attempts: from 1 to 100", "max_jobs: from 1 to 10000000", "priority: from 0"},
		},
		"numbers above it": {
			`{"workers": 10001, "per_provider": 10001, "max_attempts": 101, "max_jobs": 10000001, "priority": 4}`,
			[]string{"workers: is 10001", "per_provider: is 10001", "max_attempts: is 101", "max_jobs: is 10000001", "priority: is 4"},
		},
		"durations below their range": {
			`{"backoff": 5, "max_backoff": "999us", "job_timeout": 300, "lease": "999ms", "max_age": "999ms", "keep_results": "59s", "keep_discarded": "59s", "shutdown_grace": -1}`,
			[]string{"backoff: 1ms to 1h", "max_backoff: 1ms to 1h", "job_timeout: is 300ns", "lease: 1s to 1h", "max_age: 1s to 365d",
				"keep_results: 1m to 365d", "keep_discarded: 1m to 365d", "shutdown_grace: 1ms to 24h"},
		},
		"durations above it": {
			`{"max_backoff": "61m", "job_timeout": "25h", "lease": "61m", "max_age": "366d", "keep_results": "366d", "keep_discarded": "366d", "shutdown_grace": "25h"}`,
			[]string{"max_backoff: 1h1m0s", "job_timeout: 25h0m0s", "lease: 1h1m0s", "max_age: 8784h", "keep_results: 8784h", "keep_discarded: 8784h", "shutdown_grace: 25h0m0s"},
		},
		"a longest backoff under the first": {`{"backoff": "5s", "max_backoff": "4s"}`, []string{"max_backoff: the longest backoff is 4s and the first 5s"}},
		"another default":                   {`{"default": "Async"}`, []string{`default: write reject or async`}},
		"secrets to encrypt with": {
			`{"encrypt": ["0123456789abcde", " ", "{env.A}", " {env.A} ", " 0123456789abcde"]}`,
			[]string{"encrypt[0]: secret 1 of encrypt is shorter than 16 bytes", "encrypt[1]: secret 2 of encrypt is empty",
				"encrypt[3]: secrets 3 and 4 of encrypt are the same", "encrypt[4]: secrets 1 and 5 of encrypt are the same"},
		},
		"a callback of nothing": {`{"callback": {}}`, []string{"callback.allow: allows no host", "callback.secrets: no secret"}},
		"secrets to sign with": {
			`{"callback": {"allow": ["*"], "secrets": ["whsec_", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY=", "whsec_` + strings.Repeat("MDEy", 22) + `", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3MB=="]}}`,
			[]string{"callback.secrets[0]: not whsec_ and base64 of 24 to 64 bytes", "callback.secrets[1]: not whsec_", "callback.secrets[2]: not whsec_", "callback.secrets[3]: not whsec_"},
		},
		"numbers of the callback": {
			`{"callback": {"allow": ["*"], ` + secret + `, "workers": -1, "per_host": 10001, "timeout": "61s"}}`,
			[]string{"callback.workers: callback workers is -1", "callback.per_host: callback per_host is 10001", "callback.timeout: callback timeout is 1m1s"},
		},
		"addresses and ranges": {
			`{"callback": {"allow": ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "localhost", "192.168.0.1"], "allow_private": ["192.168.0.0/16", "192.168.0.0/16"], ` + secret + `}}`,
			[]string{"callback.allow[0]: add 127.0.0.1/32 to allow_private", "callback.allow[1]: not public", "callback.allow[2]: not public", "callback.allow[3]: not public",
				"callback.allow[4]: add 127.0.0.1/32", "callback.allow_private[1]: allows already"},
		},
		"an address that was meant as a range": {
			`{"callback": {"allow": ["127.0.0.1"], "allow_private": ["127.0.0.1"], ` + secret + `}}`,
			[]string{"callback.allow_private[0]: write it as 127.0.0.1/32"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parse(t, `{"overflow": `+test.config+`}`).Check()
			if len(got) != len(test.want) {
				t.Fatalf("Check() = %v, want %v", got, test.want)
			}
			for i, want := range test.want {
				path, part, _ := strings.Cut(want, ": ")
				if got[i].Path != "overflow."+path || !strings.Contains(got[i].Message, part) {
					t.Errorf("problem %d = %v, want overflow.%s", i, got[i], want)
				}
				if strings.Contains(got[i].Message, "0123") || strings.Contains(got[i].Message, "MDEy") {
					t.Errorf("a secret is in %q", got[i].Message)
				}
			}
		})
	}
}

// Whatever a rule is to be written as instead is a rule.
func FuzzHostRule(f *testing.F) {
	for _, rule := range []string{
		"hooks.example.com", "*.example.com", "*", "https://hooks.example.com:8443/jobs?x=1#y", "*.example.com:443", "me@example.com", "[::1]:443",
		"10.0.0.0/8", "*.8.8.8.8", "::ffff:10.0.0.1", "BÜCHER.example.", "a..b", "0x7f.1", "https://*.example.com", "[[::1]]", "https://*", "a:b:c", "://", "localhost",
	} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, wrong := hostRule(text, nil)
		if host == "" && wrong == "" {
			t.Fatalf("%q is neither a rule nor wrong", text)
		}
		if _, err := netip.ParseAddr(host); err == nil || host == "" {
			_, remedy, found := strings.Cut(wrong, "more than a host; write ")
			if !found {
				return
			}
			if again, _ := hostRule(remedy, nil); again == remedy && remedy == text {
				t.Errorf("%q is to be written as it is", text)
			}
			return
		}
		if again, wrong := hostRule(host, nil); again != host {
			t.Errorf("%q is the rule %q, which is %q, %s", text, host, again, wrong)
		}
	})
}
