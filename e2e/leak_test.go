package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

// goroutines returns how many the gateway has.
func (g *gateway) goroutines() int {
	g.t.Helper()
	m := goroutineTotal.FindStringSubmatch(g.adminGet("/debug/pprof/goroutine?debug=1"))
	if m == nil {
		g.t.Fatal("the profile does not tell its total")
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// files returns how many files and sockets the gateway has open, 0 where /proc does not tell.
func (g *gateway) files() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
	return len(entries)
}

// lowest returns the least goroutines and files seen over a second, by the end of
// which what only has to end has ended.
func (g *gateway) lowest() (goroutines, files int) {
	goroutines, files = g.goroutines(), g.files()
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		goroutines, files = min(goroutines, g.goroutines()), min(files, g.files())
	}
	return goroutines, files
}

// settled polls until count has come down to limit.
func settled(t *testing.T, what string, limit int, count func() int) {
	t.Helper()
	var n int
	eventually(t, patience, fmt.Sprintf("more %s than the %d from before", what, limit), func() bool {
		n = count()
		return n <= limit
	})
	t.Logf("%s: %d, at most %d", what, n, limit)
}

// TestReloadsLeaveNothingBehind: after fifty reloads under traffic of all kinds the
// process is as small as it was.
func TestReloadsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi")))
	up.on("stream", playSSE(chatEvents("stream", "a", "b"), doneEvent))
	up.on("cut", func(x *exchange) { x.sse(); x.chunk(word("cut", "a")); x.taken(); x.reset() })
	up.on("endless", func(x *exchange) { x.sse(); x.chunk(word("endless", "a")); x.hang() })
	s := oneProvider(up)
	g := start(t, s)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	round := func() { // one request of each kind, one of them left by its client
		for _, body := range []string{chatBody("smart", ""), streamBody("up/stream"), streamBody("up/cut"), chatBody("", ""), streamBody("up/endless")} {
			ctx, cancel := context.WithCancel(t.Context())
			res, err := postWith(ctx, client, g, body)
			// Caddy's reload resets what waits in the old socket to be accepted, and net/http
			// drops a request that it reads while it shuts down; no handler has seen such a one.
			for tries := 0; err != nil && tries < 20; tries++ {
				res, err = postWith(ctx, client, g, body)
			}
			if err != nil {
				t.Error(err)
			} else {
				_, _ = res.Body.Read(make([]byte, 10))
				_ = res.Body.Close()
			}
			cancel()
		}
	}
	reload := func(i int) {
		next := s
		next.App += fmt.Sprintf("\nalias generation-%d smart", i)
		g.reload(next)
	}
	for i := range 3 { // so that what is made once is there
		round()
		reload(i)
	}
	before, beforeFiles := g.lowest()

	stop := make(chan struct{})
	var traffic sync.WaitGroup
	for range 2 {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					round()
				}
			}
		})
	}
	for i := range 50 {
		reload(100 + i)
	}
	close(stop)
	traffic.Wait()
	// Idle upstream connections may come and go by one or two; fifty of anything may not.
	settled(t, "goroutines", before+8, g.goroutines)
	settled(t, "open files", beforeFiles+8, g.files)
}

func postWith(ctx context.Context, client *http.Client, g *gateway, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.site+chatPath, reader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return client.Do(req)
}
