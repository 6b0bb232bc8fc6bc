package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

// TestRedisAway: while the server is dead, or deaf, each node keeps to the limits by itself, or what has limits is refused; who has none notices nothing;
// and when the server is back, the nodes count together again.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	for away, mishap := range map[string]string{"open": "killed", "closed": "paused"} {
		t.Run(away, func(t *testing.T) {
			t.Parallel()
			up, server := newUpstream(t), redisserver.Start(t)
			up.on("gpt-upstream", hello)
			s := withKeys(up, keyLine("a", "limits {\nrequests 10 1h\n}"), keyLine("free"), "keys {\nredis {env.LIMITS_REDIS} {\nname test\naway "+away+"\n}\n}")
			s.Env = append(keyEnv("a", "free"), "LIMITS_REDIS="+server.URL())
			first, second := start(t, s), start(t, s)
			ask := func(g *gateway, key string) answer { return g.post(t, chatPath, chatBody("smart", ""), auth(key)) }
			for i := range 4 {
				if left := ask([]*gateway{first, second}[i%2], "a").remaining(t, "Requests"); left != int64(9-i) {
					t.Fatalf("after %d requests to both %d are left", i+1, left)
				}
			}
			if mishap == "killed" {
				server.Kill()
			} else {
				server.Pause()
			}
			for _, g := range []*gateway{first, second} {
				began := time.Now()
				wantHello(t, ask(g, "free"), "smart", "up", 1)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("who has no limits has waited %v", took)
				}
			}
			if away == "closed" {
				for range 5 {
					began := time.Now()
					a := ask(first, "a")
					if e := a.wantError(t, http.StatusServiceUnavailable); e.code() != "limits_unavailable" || time.Since(began) > 2*time.Second {
						t.Errorf("%s after %v", a.Body, time.Since(began))
					}
					if n, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || n < 1 {
						t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
					}
				}
				server.Resume()
			} else {
				admitted := 0
				for range 15 {
					if ask(first, "a").StatusCode == http.StatusOK {
						admitted++
					}
				}
				if admitted != 8 { // it has itself let in two
					t.Errorf("by itself a node has let in %d", admitted)
				}
				if a := ask(second, "a"); a.StatusCode != http.StatusOK {
					t.Errorf("the other node refuses by what the first has let in: %s", a.Body)
				}
				server.Restart()
			}
			eventually(t, patience, "they do not count together again", func() bool {
				before, after := ask(first, "a"), ask(second, "a")
				return before.StatusCode == http.StatusTooManyRequests && after.StatusCode == http.StatusTooManyRequests
			})
			log := first.stderr.String()
			if !strings.Contains(log, `"logger":"runestone.keys"`) || strings.Count(log, "edis") > 30 {
				t.Errorf("the log tells too little of it, or too much:\n%s", first.tail())
			}
		})
	}
}
