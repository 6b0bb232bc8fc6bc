package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

// healthOf asks how a gateway is, under a path, and returns the status of the answer and the document.
func healthOf(t testing.TB, g *gateway, path string) (int, string, string) {
	t.Helper()
	a := g.do(t, http.MethodGet, path, "")
	var document struct{ Status string }
	if err := json.Unmarshal([]byte(a.Body), &document); err != nil || a.Header.Get("Content-Type") != "application/health+json" {
		t.Fatalf("%s: %d %v: %s", path, a.StatusCode, a.Header, a.Body)
	}
	return a.StatusCode, document.Status, a.Body
}

// wantHealth waits until the gateway says that it is as wanted, and all in has is part of the document.
func wantHealth(t testing.TB, g *gateway, code int, status string, has ...string) {
	t.Helper()
	is := func() bool {
		c, s, document := healthOf(t, g, "/health")
		ok := c == code && s == status
		for _, part := range has {
			ok = ok && strings.Contains(document, part)
		}
		return ok
	}
	for deadline := time.Now().Add(patience); !is(); { // a queue must have been silent for a while
		if time.Now().After(deadline) {
			_, _, got := healthOf(t, g, "/health")
			t.Fatalf("the health is %s", got)
		}
		<-time.After(20 * time.Millisecond)
	}
	if c, s, _ := healthOf(t, g, "/health/ready"); c != code || s != status {
		t.Errorf("/health/ready: %d %s, want %d %s", c, s, code, status)
	}
	if c, s, _ := healthOf(t, g, "/health/live"); c != http.StatusOK || s != "pass" {
		t.Errorf("/health/live: %d %s", c, s)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	first, second, server := newUpstream(t), newUpstream(t), redisserver.Start(t)
	s := twoTargets(first.URL(), second.URL(), "overflow {\nqueue redis "+server.URL()+"\n}")
	s.App = strings.Replace(s.App, steady, "breaker {\nfailures 1\nopen_for 1h\nmax_open_for 1h\n}\nline {\nwait off\n}", 1)
	g := start(t, s)
	wantHealth(t, g, http.StatusOK, "pass", `"provider:breaker":[{"status":"pass","componentId":"first"}`, `"queue":[{"status":"pass"}]`, `"drain":[{"status":"pass"}]`)

	second.on("gpt-second", hello)
	first.on("gpt-first", playJSON(401, errorJSON("no", "invalid_request_error", "invalid_api_key")))
	g.post(t, chatPath, chatBody("smart", ""))
	wantHealth(t, g, http.StatusOK, "warn", `{"status":"warn","componentId":"first","output":"it refuses the API keys"}`)
	first.on("gpt-first", playJSON(500, broken))
	g.post(t, chatPath, chatBody("smart", ""))
	wantHealth(t, g, http.StatusOK, "warn", `{"status":"fail","componentId":"first","output":"it is not working"}`)

	server.Kill()
	wantHealth(t, g, http.StatusServiceUnavailable, "fail", `"queue":[{"status":"fail","output":"the queue does not answer"}]`)
	server.Restart()
	wantHealth(t, g, http.StatusOK, "warn", `"queue":[{"status":"pass"}]`)

	second.on("gpt-second", playJSON(500, broken))
	g.post(t, chatPath, chatBody("smart", ""))
	wantHealth(t, g, http.StatusServiceUnavailable, "fail", `"componentId":"second"`)

	if a := g.do(t, http.MethodPost, "/health", ""); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", a.StatusCode, a.Header)
	}
	if a := g.do(t, http.MethodHead, "/health", ""); a.StatusCode != http.StatusServiceUnavailable || a.Body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.Body)
	}
	if a := g.do(t, http.MethodGet, "/healthy", ""); a.Header.Get("Content-Type") == "application/health+json" {
		t.Error("another path is answered")
	}
}
