package e2e

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// calls makes requests as fast as the answers come: n clients, until done is closed. It
// returns how many there were and how many upstream calls they tell of.
type calls struct {
	requests, attempts, failed atomic.Int64
}

// crowd returns a client with a connection for each of n callers.
func crowd(t testing.TB, n int) *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConns: n, MaxIdleConnsPerHost: n}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// one makes a request and fails the test unless the answer is want.
func (c *calls) one(t *testing.T, client *http.Client, g *gateway, body, want string) {
	c.requests.Add(1)
	res, err := postWith(t.Context(), client, g, body)
	if err != nil {
		c.fail(t, "error %v", err)
		return
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	var attempts int64
	_, _ = fmt.Sscan(res.Header.Get("Runestone-Attempts"), &attempts)
	c.attempts.Add(attempts)
	if res.StatusCode != http.StatusOK || err != nil || string(got) != want {
		c.fail(t, "status %d, error %v: %s", res.StatusCode, err, difference(string(got), want))
	}
}

// fail reports the first few failures, of which one is enough.
func (c *calls) fail(t *testing.T, format string, args ...any) {
	if c.failed.Add(1) <= 3 {
		t.Errorf("request %d: "+format, append([]any{c.requests.Load()}, args...)...)
	} else {
		t.Fail()
	}
}

// flap makes up turn away new requests every second second, once with a 503 and once by a
// reset, while streams that have begun go on.
func flap(t *testing.T, up *upstream, key string, play func(*exchange)) {
	began := time.Now()
	up.on(key, func(x *exchange) {
		switch second := int(time.Since(began) / time.Second); second % 4 {
		case 1:
			x.json(503, broken)
		case 3:
			x.reset()
		default:
			play(x)
		}
	})
}

// TestFlappingProvider: 200 clients with one stream after the other, and three
// providers, of which one is down every second second. No client notices, and what
// is asked again stays within the retry budget.
func TestFlappingProvider(t *testing.T) {
	t.Parallel()
	const lasts = 4500 * time.Millisecond
	clients := 200
	if raceBuild() { // it is slow, so that all of them are failed at once; that may be as many as the budget's reserve
		clients = 90
	}
	words := []string{"a", "b", "c", "d"}
	stream := func(x *exchange) {
		x.sse()
		for _, w := range words {
			x.chunk(word("m", w))
			select {
			case <-time.After(200 * time.Millisecond):
			case <-x.gone:
				x.done = true
				return
			}
		}
		x.chunk(chunk("m", `{}`, "stop") + doneEvent)
		x.end()
	}
	want := ""
	for _, w := range words {
		want += word("smart", w)
	}
	want += chunk("smart", `{}`, "stop") + doneEvent
	for name, policy := range map[string]string{"first in line": "policy failover", "one of three": "policy round_robin"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ups [3]*upstream
			app := "drain_timeout 2s\nbreaker {\nopen_for 300ms\n}\n"
			targets := ""
			for i := range ups {
				ups[i] = newUpstream(t)
				ups[i].on("m", stream)
				app += fmt.Sprintf("provider p%d openai {\nbase_url %s/v1\napi_key k\n}\n", i, ups[i].URL())
				targets += fmt.Sprintf("target p%d/m\n", i)
			}
			g := start(t, setup{App: app + "model smart {\n" + targets + policy + "\n}"})
			flap(t, ups[0], "m", stream)
			client := crowd(t, clients)
			var c calls
			var all sync.WaitGroup
			began := time.Now()
			for range clients {
				all.Go(func() {
					for time.Since(began) < lasts {
						c.one(t, client, g, streamBody("smart"), want)
					}
				})
			}
			all.Wait()
			upstreams := 0
			for _, up := range ups {
				upstreams += up.requests()
			}
			t.Logf("%d requests, %d failed, %d upstream calls, %d of them to the flapping provider",
				c.requests.Load(), c.failed.Load(), upstreams, ups[0].requests())
			wantBudget(t, &c, upstreams, time.Since(began))
			if told := int(c.attempts.Load()); upstreams > told {
				t.Errorf("the upstreams saw %d calls, and the clients were told of %d", upstreams, told)
			}
			if extra := upstreams - int(c.requests.Load()); extra == 0 {
				t.Error("nothing was asked again: the provider did not flap")
			}
		})
	}
}

// TestProviderThatDropsAllItHas: of all requests that wait for its answers, none is lost when there
// is another provider and there was some traffic before, whose share was saved up.
func TestProviderThatDropsAllItHas(t *testing.T) {
	t.Parallel()
	const before, waiting = 1000, 250
	first, second := newUpstream(t), newUpstream(t)
	g := start(t, learning(twoTargets(first.URL(), second.URL())))
	first.on("gpt-first", hello)
	client, want := crowd(t, 16), chatJSON("smart", "Hello")
	var c calls
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range before / 16 {
				c.one(t, client, g, chatBody("smart", ""), want)
			}
		})
	}
	all.Wait()

	down := make(chan struct{})
	route := first.on("gpt-first", func(x *exchange) {
		<-down
		x.reset()
	})
	second.on("gpt-second", hello)
	var dropped [waiting]*pending
	for i := range dropped {
		dropped[i] = g.begin(t, chatBody("smart", ""))
	}
	for range dropped {
		route.next(t)
	}
	close(down)
	for _, p := range dropped {
		if a := p.wait(); a.StatusCode != http.StatusOK || a.Body != want {
			t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
		}
	}
}

// wantBudget fails the test when more was asked again than the default budget allows: a
// fifth of the requests, and a reserve of 100 that refills by one a second.
func wantBudget(t *testing.T, c *calls, upstreams int, took time.Duration) {
	t.Helper()
	requests := int(c.requests.Load())
	if extra, most := upstreams-requests, requests/5+100+int(took/time.Second)+1; extra > most {
		t.Errorf("%d further upstream calls for %d requests, and the budget allows %d", extra, requests, most)
	}
}

// TestRetryBudget: while every call to the first target fails, and no breaker steps in (see steady),
// the budget is used up and then keeps the gateway from doubling the load.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	g := start(t, twoTargets(first.URL(), second.URL()))
	first.on("gpt-first", playJSON(500, broken))
	second.on("gpt-second", hello)
	began, served := time.Now(), 0
	var c calls
	for range 500 {
		a := g.post(t, chatPath, chatBody("smart", ""))
		c.requests.Add(1)
		var attempts int64
		_, _ = fmt.Sscan(a.Header.Get("Runestone-Attempts"), &attempts)
		c.attempts.Add(attempts)
		switch {
		case a.StatusCode == 200:
			served++
		case a.StatusCode != 500 || a.Body != broken:
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
	}
	wantBudget(t, &c, first.requests()+second.requests(), time.Since(began))
	if told, saw := int(c.attempts.Load()), first.requests()+second.requests(); told != saw {
		t.Errorf("the upstreams saw %d calls, and the clients were told of %d", saw, told)
	}
	if first.requests() != 500 || second.requests() != served {
		t.Errorf("the first target was asked %d times, the second %d times, for 500 requests of which %d were served", first.requests(), second.requests(), served)
	}
	// The reserve, and a fifth.
	if served < 190 {
		t.Errorf("%d requests were served: the budget was not used", served)
	}
}
