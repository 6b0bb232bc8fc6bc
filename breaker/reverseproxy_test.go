package breaker

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestReverseProxyJudgesByStatusAndLatency(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int
		latency time.Duration
		calls   int
		want    bool
	}{
		{"answers are successes", 200, time.Second, 10, true},
		{"so are redirects", 304, time.Second, 10, true},
		{"the client's errors are nobody's failure", 404, time.Second, 10, true},
		{"nor is a rate limit", 429, time.Second, 10, true},
		{"the server's errors are failures", 500, time.Second, 3, false},
		{"overload too", 529, time.Second, 3, false},
		{"but not two of them", 503, time.Second, 2, true},
		{"slow answers are failures", 200, 6 * time.Second, 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &ReverseProxy{breaker: New(Config{Failures: 3, SlowCall: Duration(5 * time.Second)}, Options{})}
			for range tt.calls {
				r.RecordMetric(tt.status, tt.latency)
			}
			if r.OK() != tt.want {
				t.Errorf("OK is %v", r.OK())
			}
		})
	}
}

func TestReverseProxyProbesWithoutAPermit(t *testing.T) {
	p := newPlayer(t, Config{Failures: 1})
	r := &ReverseProxy{breaker: p.Breaker}
	r.RecordMetric(500, 0)
	r.RecordMetric(200, 0) // late
	p.play("open +29s")
	if r.OK() {
		t.Error("OK before its time")
	}
	p.play("+1s")
	for range 10 {
		if !r.OK() {
			t.Error("asking takes a place")
		}
	}
	p.play("open")
	r.RecordMetric(200, 0)
	p.play("half_open")
	r.RecordMetric(200, 0)
	p.play("closed")
}

// quietly begins a configuration that leaves nothing behind.
const quietly = `"admin": {"disabled": true, "config": {"persist": false}}, "logging": {"logs": {"default": {"level": "ERROR"}}}, `

func TestReverseProxyRefusesABadConfiguration(t *testing.T) {
	for config, want := range map[string]string{
		`{"type": "runestone", "open_for": "1ns"}`:      "open_for must be from 10ms",
		`{"type": "runestone", "half_open": 2000}`:      "half_open must be from 1 to 1000",
		`{"type": "runestone", "open": "1s"}`:           `unknown field "open"`,
		`{"type": "runestone", "window": "a while"}`:    "invalid duration",
		`{"type": "runestone", "failure_ratio": "0.5"}`: "cannot unmarshal",
	} {
		var parsed caddy.Config
		whole := `{` + quietly + `"apps": {"http": {"servers": {"s": {"routes": [{"handle": [
			{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:1"}], "circuit_breaker": ` + config + `}]}]}}}}}`
		if err := json.Unmarshal([]byte(whole), &parsed); err != nil {
			t.Fatal(err)
		}
		err := caddy.Validate(&parsed)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// TestTheExampleRuns loads the example in a real Caddy, with a first upstream that
// always fails and a second one that does not.
func TestTheExampleRuns(t *testing.T) {
	var asked [2]atomic.Int32
	upstream := func(n, status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked[n].Add(1)
			w.WriteHeader(status)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	get := loadExample(t, map[string]string{
		"127.0.0.1:8001": upstream(0, http.StatusInternalServerError),
		"127.0.0.1:8002": upstream(1, http.StatusOK),
	})
	// Five failures pass; then the first upstream is left alone.
	for i := range 20 {
		want := http.StatusOK
		if i < 5 {
			want = http.StatusInternalServerError
		}
		if got := get(); got != want {
			t.Errorf("request %d: %d", i+1, got)
		}
	}
	if first, second := asked[0].Load(), asked[1].Load(); first != 5 || second != 15 {
		t.Errorf("the first was asked %d times, the second %d times", first, second)
	}
}

// loadExample runs the example with other addresses, and returns how to ask it.
func loadExample(t *testing.T, upstreams map[string]string) func() int {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	example, err := os.ReadFile(filepath.Join("..", "examples", "reverse-proxy-breaker.json"))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	config := strings.Replace(string(example), `":4000"`, `"unix/`+socket+`"`, 1)
	for from, to := range upstreams {
		config = strings.Replace(config, from, to, 1)
	}
	config = strings.Replace(config, "{", "{"+quietly, 1)
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	return func() int {
		resp, err := client.Get("http://models.example/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
}
