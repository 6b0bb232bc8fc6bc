package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gateway is a running process of the binary.
type gateway struct {
	t      testing.TB
	cmd    *exec.Cmd
	dir    string // its home: data, configuration and access logs
	admin  string // host:port
	site   string // host:port
	stdout transcript
	stderr transcript

	once sync.Once
	http *http.Client // see shared

	exited   chan struct{} // closed once exitCode is set
	exitCode int
}

// transcript is the output of a process, readable while it grows.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.Write(p)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.String()
}

// start runs the gateway on s and returns once it serves. When the test ends it
// is told to stop, has to exit with 0, and must have logged neither a race nor a panic.
func start(t testing.TB, s setup) *gateway {
	t.Helper()
	g := prepare(t)
	g.launch(s)
	t.Cleanup(g.finish)
	return g
}

// prepare gives a gateway its home and its ports.
func prepare(t testing.TB) *gateway {
	t.Helper()
	return &gateway{
		t:      t,
		dir:    t.TempDir(),
		admin:  fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		site:   fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		exited: make(chan struct{}),
	}
}

// command is the binary called with args in the gateway's own home, and without
// the API keys that whoever runs the tests may have in the environment.
func (g *gateway) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary(g.t), args...)
	cmd.Dir = g.dir
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasSuffix(name, "_API_KEY") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+g.dir, "XDG_DATA_HOME="+g.dir+"/data",
		"XDG_CONFIG_HOME="+g.dir+"/config")
	return cmd
}

func (g *gateway) launch(s setup) {
	g.t.Helper()
	g.spawn(s)
	if err := g.awaitServing(30 * time.Second); err != nil {
		_ = g.cmd.Process.Kill()
		g.t.Fatalf("the gateway does not serve: %v\n%s", err, g.stderr.String())
	}
}

// spawn starts the process and does not wait until it serves.
func (g *gateway) spawn(s setup) {
	g.t.Helper()
	file := filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(s.render(g.admin, g.site)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.cmd = g.command("run", "--config", file, "--adapter", "caddyfile")
	g.cmd.Env = append(g.cmd.Env, s.Env...)
	g.cmd.Stdout, g.cmd.Stderr = &g.stdout, &g.stderr
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	go func() {
		_ = g.cmd.Wait()
		g.exitCode = g.cmd.ProcessState.ExitCode()
		close(g.exited)
	}()
}

// awaitServing polls until the site and the admin endpoint answer.
func (g *gateway) awaitServing(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, url := range []string{"http://" + g.site + "/", "http://" + g.admin + "/config/"} {
		for {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			res, err := probe.Do(req)
			if err == nil {
				_ = res.Body.Close()
				break
			}
			select {
			case <-g.exited:
				return fmt.Errorf("it exited with %d", g.exitCode)
			case <-ctx.Done():
				return err
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

// probe makes each call on a connection of its own, so that none is left open.
var probe = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// URL is the base that an OpenAI client is given.
func (g *gateway) URL() string { return "http://" + g.site + "/v1" }

// load posts a configuration to the admin endpoint, to be loaded even if it is the one in force, and
// returns its status and body. Caddy's reload drops what waits in the admin endpoint's old socket to be accepted, so that
// what comes soon after another is sent again.
func (g *gateway) load(s setup) (status int, body string, err error) {
	for range 3 {
		if status, body, err = g.loadOnce(s); err == nil {
			break
		}
	}
	return status, body, err
}

func (g *gateway) loadOnce(s setup) (int, string, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+g.admin+"/load", strings.NewReader(s.render(g.admin, g.site)))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate")
	res, err := probe.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// reload loads s and fails the test when the gateway refuses it.
func (g *gateway) reload(s setup) {
	g.t.Helper()
	status, body, err := g.load(s)
	if err != nil || status != http.StatusOK {
		g.t.Fatalf("reload: status %d, error %v: %s\n%s", status, err, body, g.stderr.String())
	}
	// Caddy closes idle connections about now, and its old sockets, dropping what waits there to be accepted. A POST that
	// meets either fails, and Go does not send it again.
	eventually(g.t, patience, "the old sockets are open still", func() bool { return sockets(g.site) <= 1 && sockets(g.admin) <= 1 })
	g.shared().CloseIdleConnections()
}

// sockets returns how many listen on the port of an address, 0 where nothing tells.
func sockets(address string) (n int) {
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	listens := regexp.MustCompile(fmt.Sprintf(`(?m)^ *\d+: [0-9A-F]+:%04X [0-9A-F]+:0000 0A `, number))
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(file) // Linux has it
		n += len(listens.FindAll(text, -1))
	}
	return n
}

// adminGet returns what the admin endpoint answers.
func (g *gateway) adminGet(path string) string {
	g.t.Helper()
	res, err := probe.Get("http://" + g.admin + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		g.t.Fatalf("GET %s: status %d, error %v: %s", path, res.StatusCode, err, body)
	}
	return string(body)
}

// terminate sends SIGTERM.
func (g *gateway) terminate() {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.t.Fatal(err)
	}
}

// awaitExit returns the exit code, or fails the test when there is none in time.
func (g *gateway) awaitExit(limit time.Duration) int {
	g.t.Helper()
	select {
	case <-g.exited:
	case <-time.After(limit):
		_ = g.cmd.Process.Kill()
		g.t.Fatalf("the gateway has not exited %v after it was told to\n%s", limit, g.tail())
	}
	return g.exitCode
}

var alarm = regexp.MustCompile(`WARNING: DATA RACE|(?m)^panic: |fatal error: |panic serving|runtime error: `)

// wantNoAlarm fails the test if the process has reported a race or a panic.
func (g *gateway) wantNoAlarm() {
	g.t.Helper()
	if log := g.stderr.String() + g.stdout.String(); alarm.MatchString(log) {
		at := alarm.FindStringIndex(log)[0]
		g.t.Errorf("the gateway's log reports:\n%s", log[max(0, at-200):min(len(log), at+6000)])
	}
}

// finish is the end of every test's gateway.
func (g *gateway) finish() {
	g.terminate()
	if code := g.awaitExit(20 * time.Second); code != 0 {
		g.t.Errorf("the gateway exited with %d", code)
	}
	g.wantNoAlarm()
	if g.t.Failed() {
		g.t.Logf("the end of the gateway's log:\n%s", g.tail())
	}
}

func (g *gateway) tail() string {
	log := g.stderr.String()
	return log[max(0, len(log)-4000):]
}
