package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/runestone-gateway/runestone/bench/load"
)

// mode is what stands between the load generator and the upstream.
type mode string

const (
	reverseProxy mode = "reverse_proxy" // what the others are compared with
	runestone    mode = "runestone"
	observed     mode = "observed"   // runestone, with all telemetry on
	translated   mode = "translated" // runestone, asking the upstream through Anthropic's API
	direct       mode = "direct"     // nothing

	// observedProxy is reverse_proxy with as much of that as Caddy itself does: it shows what of the
	// cost is not the gateway's.
	observedProxy mode = "observed_proxy"
)

var allModes = []mode{reverseProxy, runestone, observed, translated, direct, observedProxy}

const (
	// startAttempts: a free port can be taken before the gateway binds it.
	startAttempts = 3
	readyEvery    = 20 * time.Millisecond
	readyAttempts = 750 // 15 s together
)

// gateway is what the load is aimed at.
type gateway struct {
	process *child // nil for direct
	addr    string
	admin   string // "" if off
}

func (g *gateway) pid() int {
	if g.process == nil {
		return 0
	}
	return g.process.pid()
}

func (g *gateway) stop() {
	if g.process != nil {
		g.process.stop()
	}
}

// startGateway starts the binary in a mode and waits until it answers.
func (r *runner) startGateway(ctx context.Context, m mode, upstreamAddr string, withAdmin bool) (*gateway, error) {
	if m == direct {
		return &gateway{addr: upstreamAddr}, nil
	}
	var err error
	for range startAttempts {
		var g *gateway
		if g, err = r.tryGateway(ctx, m, upstreamAddr, withAdmin); err == nil {
			return g, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (r *runner) tryGateway(ctx context.Context, m mode, upstreamAddr string, withAdmin bool) (*gateway, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	g := &gateway{addr: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	admin := "off"
	if withAdmin {
		g.admin = fmt.Sprintf("127.0.0.1:%d", ports[1])
		admin = g.admin
	}
	config := filepath.Join(r.dir, "Caddyfile")
	var p parts
	var env []string
	if m == observed || m == observedProxy {
		p, env = r.observed()
	}
	if err := os.WriteFile(config, []byte(caddyfile(m, ports[0], admin, upstreamAddr, p)), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(r.binary, "run", "--config", config, "--adapter", "caddyfile")
	// The environment is passed on, so that GOGC and the like can be tried
	// out; only Caddy's files are kept out of the user's directories.
	home := filepath.Join(r.dir, "home") // not beside the binary, which has the name of Caddy's data directory
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	cmd.Env = append(cmd.Env, env...)
	cmd.Dir = r.dir
	if g.process, err = start(ctx, string(m), cmd); err != nil {
		return nil, err
	}
	if err := g.awaitReady(ctx); err != nil {
		g.stop()
		return nil, g.process.explain(err)
	}
	return g, nil
}

// awaitReady waits for the gateway to listen and lets it answer once, which
// also shows that the port is its own.
func (g *gateway) awaitReady(ctx context.Context) error {
	for range readyAttempts {
		select {
		case <-g.process.exited:
			return fmt.Errorf("ended at start: %w", g.process.err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(readyEvery):
		}
		conn, err := net.DialTimeout("tcp", g.addr, time.Second)
		if err != nil {
			continue
		}
		_ = conn.Close()
		_, err = load.Run(ctx, load.Plan{
			Kind: load.Requests, Addr: g.addr, Connections: 1, WarmUp: 1, Total: 1,
			PromptBytes: 1 << 10, Timeout: 10 * time.Second,
		}, nil)
		if err != nil {
			return fmt.Errorf("first request: %w", err)
		}
		return nil
	}
	return errors.New("does not listen")
}

// freePorts returns ports that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // only after the loop, so that no port comes twice
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// parts are what a mode puts into the configuration.
type parts struct{ global, app, site, more string }

// caddyfile differs between the modes in nothing but the handler, and what is around it.
func caddyfile(m mode, port int, admin, upstreamAddr string, p parts) string {
	handler := fmt.Sprintf(`
	reverse_proxy %s {
		flush_interval -1
		transport http {
			keepalive_idle_conns_per_host 512
		}
	}`, upstreamAddr)
	if m != reverseProxy && m != observedProxy {
		adapter, version := "openai", "/v1"
		if m == translated {
			adapter, version = "anthropic", ""
		}
		p.global += fmt.Sprintf(`
	runestone {
		provider up %s {
			base_url http://%s%s
			api_key sk-bench
		}%s
	}`, adapter, upstreamAddr, version, p.app)
		handler = `
	runestone`
	}
	return fmt.Sprintf(`{
	admin %s
	auto_https off
	persist_config off
	default_bind 127.0.0.1
	log {
		level ERROR
	}%s
}

:%d {%s%s
}
%s`, admin, p.global, port, p.site, handler, p.more)
}
