package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// printed is what a command left behind.
type printed struct {
	stdout, stderr string
	code           int
}

// runStatus runs `caddy runestone status` with these options.
func (g *gateway) runStatus(t *testing.T, options ...string) (p printed) {
	t.Helper()
	cmd := g.command(append([]string{"runestone", "status"}, options...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		p.code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.stderr = stdout.String(), stderr.String()
	return p
}

// wantTables fails the test unless the tables have a line for each of these
// patterns, where one space stands for any number of them.
func (p printed) wantTables(t *testing.T, patterns ...string) {
	t.Helper()
	if p.code != 0 {
		t.Fatalf("exit code %d: %s", p.code, p.stderr)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(`(?m)^` + strings.ReplaceAll(pattern, " ", " +") + `$`).MatchString(p.stdout) {
			t.Errorf("no line is like %q:\n%s", pattern, p.stdout)
		}
	}
}

// wantFailure fails the test unless the command printed nothing but an error that
// says this.
func (p printed) wantFailure(t *testing.T, says string) {
	t.Helper()
	if p.code != 1 || p.stdout != "" || !strings.Contains(p.stderr, says) {
		t.Errorf("exit code %d, want 1 and %q\n%s\n%s", p.code, says, p.stdout, p.stderr)
	}
}

// TestStatusCommand shows a gateway with one target that works and one that does not.
func TestStatusCommand(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	first.on("gpt-first", playJSON(500, broken))
	second.on("gpt-second", hello)
	busy := hold(second, "gpt-busy")
	g := start(t, setup{App: fmt.Sprintf(`drain_timeout 2s
		provider first openai {
			base_url %s/v1
			api_key %s
		}
		provider second openai {
			base_url %s/v1
			api_key %[2]s
		}
		model smart {
			target first/gpt-first
			target second/gpt-second
		}
		model busy {
			target second/gpt-busy
		}
		breaker {
			failures 1
			open_for 1m
		}`, first.URL(), upstreamKey, second.URL())})
	for _, stream := range []bool{false, true} {
		if a := g.post(t, chatPath, asking("smart", stream)); a.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
	}
	second.on("gpt-locked", playJSON(401, wrongKey))
	g.post(t, chatPath, chatBody("second/gpt-locked", "")).wantError(t, http.StatusBadGateway)
	waits := g.begin(t, chatBody("busy", ""))
	busy.next(t)

	tables := []string{
		`Open requests 1`,
		`In line 0 of 1000`,
		`Models busy, smart`,
		`PROVIDER CREDENTIAL STATE`,
		`first key 1 ok`,
		`second key 1 refused`,
		`TARGET BREAKER FAILED PAUSED IN FLIGHT WAITING FIRST TOKEN ANSWER`,
		`first/gpt-first open, tried in (1m)?\d+s - - 0 0 - -`,
		`second/gpt-busy closed - - 1 0 - -`,
		`second/gpt-second closed 0 of 2 - 0 0 [\d.]+m?s [\d.]+m?s`,
	}
	p := g.runStatus(t, "--address", g.admin)
	p.wantTables(t, tables...)
	if p.stderr != "" {
		t.Errorf("it also says %s", p.stderr)
	}
	if strings.Contains(p.stdout, "/*") || strings.Contains(p.stdout, upstreamKey) {
		t.Errorf("it shows what it should not:\n%s", p.stdout)
	}
	t.Run("the address may come from the configuration", func(t *testing.T) {
		g.runStatus(t, "--config", filepath.Join(g.dir, "Caddyfile")).wantTables(t, tables...)
		cmd := g.command("adapt", "--config", filepath.Join(g.dir, "Caddyfile"))
		text, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "caddy.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		g.runStatus(t, "--config", file).wantTables(t, tables...)
	})
	t.Run("JSON is what the endpoint answers", func(t *testing.T) {
		p := g.runStatus(t, "--json", "--address", g.admin)
		var got, want map[string]any
		if err := json.Unmarshal([]byte(p.stdout), &got); err != nil || p.code != 0 {
			t.Fatalf("exit code %d, error %v: %s", p.code, err, p.stdout)
		}
		if err := json.Unmarshal([]byte(g.adminGet("/runestone/status")), &want); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("it printed %v, the endpoint answers %v", got, want)
		}
		for name := range want {
			if _, ok := got[name]; !ok {
				t.Errorf("it printed no %s: %s", name, p.stdout)
			}
		}
	})
	close(busy.letGo)
	wantHello(t, waits.wait(), "busy", "second", 1)
}

// TestStatusOverASocket asks an admin endpoint that listens on a file.
func TestStatusOverASocket(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	// Not t.TempDir: the path of a socket may have no more than 104 bytes.
	dir, err := os.MkdirTemp(workDir, "") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	address := "unix/" + filepath.Join(dir, "admin")
	res, err := probe.Post("http://"+g.admin+"/load", "text/caddyfile", strings.NewReader(oneProvider(up).render(address, g.site)))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the reload: %s\n%s", res.Status, g.tail())
	}
	g.runStatus(t, "--address", address).wantTables(t, `Models fast, smart`, `up/gpt-upstream closed - - 0 0 - -`)
}

// TestStatusOfNoGateway says what is wrong, and what to do.
func TestStatusOfNoGateway(t *testing.T) {
	t.Parallel()
	g := prepare(t)
	g.runStatus(t, "--address", g.admin).wantFailure(t, "no answer from the admin endpoint at "+g.admin+"; start Caddy, or give")
	g.runStatus(t, "--config", filepath.Join(g.dir, "none")).wantFailure(t, "finding the admin endpoint's address: reading config")
	g.runStatus(t, "nonsense").wantFailure(t, `unknown command "nonsense"`)

	running := start(t, oneProvider(newUpstream(t)))
	running.runStatus(t, "--address", running.site).wantFailure(t, "what answers at "+running.site+" is not the admin endpoint")
	for name, config := range map[string]string{
		"with another site": "{\nadmin " + running.admin + "\n}\nhttp://" + running.site + " {\nrespond hello\n}\n",
		"with nothing":      "{\nadmin " + running.admin + "\n}\n",
	} {
		res, err := probe.Post("http://"+running.admin+"/load", "text/caddyfile", strings.NewReader(config))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: the reload: %s\n%s", name, res.Status, running.tail())
		}
		running.runStatus(t, "--address", running.admin).wantFailure(t, "what answers at "+running.admin+" runs no gateway")
	}
}
