package e2e

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// The secret that the gateway presents upstream. No client, log or metric may show it.
const upstreamKey = "sk-upstream-secret-2b8e1c"

// setup is what one Caddyfile says.
type setup struct {
	Grace  string // Caddy's grace_period, default 10s, "none" to leave it out
	Global string // further global options
	App    string // the inside of the runestone block
	Site   string // the inside of the site, default "runestone"
	Saved  bool   // Caddy keeps the configuration in a file, as it does by default

	Env []string // for the process that start makes
}

// render writes the Caddyfile for an admin endpoint and a site on these ports.
func (s setup) render(admin, site string) string {
	grace := "grace_period " + cmp.Or(s.Grace, "10s")
	if s.Grace == "none" {
		grace = ""
	}
	persist := "persist_config off"
	if s.Saved {
		persist = ""
	}
	return fmt.Sprintf(`{
	admin %s
	auto_https off
	%s
	%s
	%s
	runestone {
		%s
	}
}
http://%s {
	%s
}
`, admin, persist, grace, s.Global, s.App, site, cmp.Or(s.Site, "runestone"))
}

// oneProvider is the setup that most tests use: one OpenAI-compatible server, a
// model, an alias of it, and whatever else is in more.
func oneProvider(up *upstream, more ...string) setup {
	return setup{App: fmt.Sprintf(`drain_timeout 2s
		provider up openai {
			base_url %s/v1
			api_key %s
		}
		model smart {
			target up/gpt-upstream
		}
		alias fast smart
		%s
		%s`, up.URL(), upstreamKey, steady, strings.Join(more, "\n"))}
}

// steady keeps the gateway from learning: in tests that have a provider fail on
// purpose, one failure should not tell on what comes after it.
const steady = `
	breaker {
		failures off
		failure_ratio off
	}
	line {
		wait off
	}`

// twoTargets is a model named smart that the first upstream serves, and the second
// when the first cannot.
func twoTargets(first, second string, more ...string) setup {
	return setup{App: fmt.Sprintf(`drain_timeout 2s
		provider first openai {
			base_url %s/v1
			api_key %s
			passthrough
		}
		provider second openai {
			base_url %s/v1
			api_key %s
		}
		model smart {
			target first/gpt-first
			target second/gpt-second
		}
		%s
		%s`, first, upstreamKey, second, upstreamKey, steady, strings.Join(more, "\n"))}
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// freePort returns a loopback port that nothing listens on and that no other test
// was given. It stays below the range from which the kernel picks the ports of
// outgoing connections, one of which might otherwise take it before the gateway does.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 200 {
		port := 18000 + rand.IntN(9000) // above are those of Redis servers, which a test may end and start again
		if ports.given[port] {
			continue
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = ln.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port")
	return 0
}
