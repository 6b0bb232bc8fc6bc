package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// doorkeeper is an upstream model that treats each key in its own way.
type doorkeeper struct {
	mu   sync.Mutex
	play map[string]func(*exchange) // by key; hello for any that is not here
	seen map[string]int
}

func (d *doorkeeper) answer(x *exchange) {
	key := strings.TrimPrefix(x.Req.Header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	d.seen[key]++
	play := d.play[key]
	d.mu.Unlock()
	if play == nil {
		play = hello
	}
	play(x)
}

// set changes how a key is treated.
func (d *doorkeeper) set(key string, play func(*exchange)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.play[key] = play
}

func (d *doorkeeper) count(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen[key]
}

// watch puts a doorkeeper before the upstream.
func watch(up *upstream) *doorkeeper {
	d := &doorkeeper{play: map[string]func(*exchange){}, seen: map[string]int{}}
	up.on("gpt-upstream", d.answer)
	return d
}

// keyed is oneProvider with these keys, each with the rest of its line.
func keyed(up *upstream, keys ...string) setup {
	s := serving(up, quick)
	s.App = strings.Replace(s.App, "api_key "+upstreamKey, "api_key "+strings.Join(keys, "\napi_key "), 1)
	return s
}

var wrongKey = errorJSON("Incorrect API key provided", "invalid_request_error", "invalid_api_key")

// states returns the states of the provider's credentials, in the order of the configuration.
func (g *gateway) states() (states []string) {
	g.t.Helper()
	for _, p := range g.status().Providers {
		for _, c := range p.Credentials {
			states = append(states, c.State)
		}
	}
	return states
}

// TestRefusedKey: of two keys one is refused. No client notices, and that key is left alone:
// at once after a 401, and after a few times of a 403, which might be about the request.
func TestRefusedKey(t *testing.T) {
	t.Parallel()
	for status, most := range map[int]int{401: 1, 403: 3} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			d := watch(up)
			g := start(t, keyed(up, "sk-secret-good", "sk-secret-bad"))
			d.set("sk-secret-bad", playJSON(status, wrongKey))
			for i := range 40 {
				a := g.post(t, chatPath, asking("smart", i%2 == 0))
				if a.StatusCode != 200 || a.Err != nil {
					t.Fatalf("request %d: status %d, error %v: %s", i, a.StatusCode, a.Err, a.Body)
				}
			}
			if bad, good := d.count("sk-secret-bad"), d.count("sk-secret-good"); bad < 1 || bad > most || good != 40 {
				t.Errorf("the refused key was presented %d times, the other %d times", bad, good)
			}
			if b := g.target("up/gpt-upstream").Breaker; b.State != "closed" || b.Failures != 0 {
				t.Errorf("the breaker: %+v", b)
			}
			states := g.states()
			if len(states) != 2 || states[0] == states[1] {
				t.Errorf("the states of the credentials are %v", states)
			}
			for where, text := range map[string]string{"the status": g.adminGet("/runestone/status"), "the log": g.stderr.String(), "the metrics": g.adminGet("/metrics")} {
				if strings.Contains(text, "sk-secret") {
					t.Errorf("%s shows a key: %s", where, text)
				}
			}
		})
	}
}

// TestThrottledKey: a key that is throttled pauses and the other one is used; when both
// are, the target pauses.
func TestThrottledKey(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	d := watch(up)
	g := start(t, keyed(up, "sk-one", "sk-two"))
	d.set("sk-one", playJSON(429, tooMany, "Retry-After: 45"))
	for i := range 20 {
		if a := g.post(t, chatPath, asking("smart", i%2 == 0)); a.StatusCode != 200 || a.Err != nil {
			t.Fatalf("request %d: status %d, error %v: %s", i, a.StatusCode, a.Err, a.Body)
		}
	}
	if one, two := d.count("sk-one"), d.count("sk-two"); one != 1 || two != 20 {
		t.Errorf("the throttled key was presented %d times, the other %d times", one, two)
	}
	if states := g.states(); len(states) != 2 || states[0] == states[1] {
		t.Errorf("the states of the credentials are %v", states)
	}
	d.set("sk-two", playJSON(429, tooMany, "Retry-After: 45"))
	if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 429 || a.Body != tooMany {
		t.Errorf("with both keys throttled: status %d: %s", a.StatusCode, a.Body)
	}
	before := up.requests()
	wantRefusal(t, g.post(t, chatPath, chatBody("smart", "")), 429, "rate_limit_exceeded")
	if n := up.requests() - before; n != 0 {
		t.Errorf("with both keys paused the provider was asked %d times", n)
	}
}

// TestKeyWeights: keys are used in proportion to their weights.
func TestKeyWeights(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	d := watch(up)
	g := start(t, keyed(up, "sk-three weight 3", "sk-one"))
	for range 200 {
		if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 200 {
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
	}
	// Random choice would be within this 99.99 times of 100.
	if n := d.count("sk-three"); n < 125 || n > 175 {
		t.Errorf("the key of weight 3 was presented %d times out of 200", n)
	}
}

// TestKeyFile: a key that is replaced in its file is picked up, and no request fails: neither
// while the provider takes both keys, nor when the old one is void from one moment to the next.
func TestKeyFile(t *testing.T) {
	t.Parallel()
	for name, overlap := range map[string]bool{"with both valid for a while": true, "with the old one void at once": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			d := watch(up)
			file := filepath.Join(t.TempDir(), "key")
			// As secret stores do it: the new file takes the old one's place.
			write := func(key string) {
				if err := os.WriteFile(file+".new", []byte(key+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(file+".new", file); err != nil {
					t.Fatal(err)
				}
			}
			write("sk-old")
			g := start(t, keyed(up, "{file."+file+"}"))
			served := func() {
				t.Helper()
				if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 200 || a.Err != nil {
					t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
				}
			}
			served()
			if d.count("sk-old") != 1 {
				t.Fatalf("the keys presented are %v", d.seen)
			}
			if !overlap {
				d.set("sk-old", playJSON(401, wrongKey))
			}
			write("sk-new")
			eventually(t, patience, "the new key is not presented", func() bool {
				served()
				return d.count("sk-new") > 0
			})
			before := d.count("sk-old")
			for range 20 {
				served()
			}
			if n := d.count("sk-old") - before; n != 0 {
				t.Errorf("the old key was presented %d times after the new one", n)
			}
		})
	}
}

// TestKeysChangeByReload: requests go on while a reload replaces the keys.
func TestKeysChangeByReload(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	d := watch(up)
	g := start(t, keyed(up, "sk-0"))
	client := crowd(t, 4)
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	for range 4 {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := postWith(t.Context(), client, g, chatBody("smart", ""))
				if err != nil {
					continue // Caddy's reload resets what waits in the old socket; no handler has seen it
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 200 || err != nil {
					t.Errorf("status %d, error %v: %s", res.StatusCode, err, body)
					return
				}
			}
		})
	}
	for i := 1; i <= 5; i++ {
		key := fmt.Sprint("sk-", i)
		g.reload(keyed(up, key))
		eventuallyOr(t, func() bool { return d.count(key) > 0 }, func() string { return "the key of the reload is not presented" })
	}
	close(stop)
	traffic.Wait()
}
