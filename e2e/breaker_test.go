package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// wantState fails the test unless status and metrics agree on the breaker's state.
func wantState(t *testing.T, g *gateway, target, state string) {
	t.Helper()
	eventuallyOr(t, func() bool { return g.target(target).Breaker.State == state }, func() string {
		return fmt.Sprintf("the breaker of %s: %+v, want %s", target, g.target(target).Breaker, state)
	})
	wantMetric(t, g, map[string]float64{"closed": 0, "half_open": 1, "open": 2}[state], "runestone_breaker_state", "provider=up")
}

// TestBreaker follows one through its states, and a reload on the way.
func TestBreaker(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	with := func(more string) setup {
		return serving(up, quick, "breaker {\nfailures 3\nopen_for 6s\nhalf_open 1\n}", "line {\nwait 500ms\n}", more)
	}
	g := start(t, with(""))
	const target = "up/gpt-upstream"
	transitions := func(opened, probed, closed float64) {
		t.Helper()
		for state, n := range map[string]float64{"open": opened, "half_open": probed, "closed": closed} {
			wantMetric(t, g, n, "runestone_breaker_transitions_total", "provider=up", "state="+state)
		}
	}
	up.on("gpt-upstream", hello)
	wantHello(t, g.post(t, chatPath, chatBody("smart", "")), "smart", "up", 1)
	wantState(t, g, target, "closed")

	up.on("gpt-upstream", playJSON(500, broken))
	for range 3 {
		if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 500 {
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
	}
	wantState(t, g, target, "open")
	transitions(1, 0, 0)
	before := up.requests()
	refused := func(when string) {
		t.Helper()
		for _, stream := range []bool{false, true} {
			wantRefusal(t, g.post(t, chatPath, asking("smart", stream), "Prefer: wait=0"), http.StatusServiceUnavailable, "no_target_available")
		}
		if n := up.requests() - before; n != 0 {
			t.Errorf("%s: the target was asked %d times although its breaker is open", when, n)
		}
	}
	refused("before the reload")
	g.reload(with("alias another smart"))
	wantState(t, g, target, "open")
	refused("after the reload")
	transitions(1, 0, 0)

	h := hold(up, "gpt-upstream")
	var probe *pending
	eventually(t, patience, "no probe is let through", func() bool {
		probe = g.begin(t, chatBody("smart", ""))
		select {
		case <-h.seen:
			return true
		case <-probe.done:
			wantRefusal(t, probe.answer, http.StatusServiceUnavailable, "no_target_available")
			return false
		}
	})
	wantState(t, g, target, "half_open")
	wantRefusal(t, g.post(t, chatPath, chatBody("smart", ""), "Prefer: wait=0"), http.StatusServiceUnavailable, "no_target_available")
	close(h.letGo)
	wantHello(t, probe.wait(), "smart", "up", 1)
	wantState(t, g, target, "closed")
	transitions(1, 1, 1)
}

// TestFailedProbe opens the breaker again, for longer.
func TestFailedProbe(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, serving(up, quick, "breaker {\nfailures 1\nopen_for 2s\n}", "line {\nwait 10s\n}"))
	var asked atomic.Pointer[time.Time]
	up.on("gpt-upstream", func(x *exchange) {
		now := time.Now()
		asked.Store(&now)
		x.json(http.StatusInternalServerError, broken)
	})
	g.post(t, chatPath, chatBody("smart", ""))
	opened := *asked.Load()
	wantState(t, g, "up/gpt-upstream", "open")
	a := g.post(t, chatPath, chatBody("smart", ""))
	if took := asked.Load().Sub(opened); a.StatusCode != 500 || a.Body != broken || took < 1600*time.Millisecond { // two seconds less the jitter
		t.Errorf("after %v: status %d: %s", took, a.StatusCode, a.Body)
	}
	b := g.target("up/gpt-upstream").Breaker // for four seconds less the jitter
	if since := time.Since(*asked.Load()).Seconds(); b.State != "open" || b.OpenFor+since < 3 {
		t.Errorf("%v s after the failed probe: %+v", since, b)
	}
	wantMetric(t, g, 2, "runestone_breaker_transitions_total", "provider=up", "state=open")
}

// TestClientsDoNotOpenBreakers: what is the client's doing is nothing to the breaker.
func TestClientsDoNotOpenBreakers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, serving(up, "breaker {\nfailures 1\n}"))
	for _, status := range []int{400, 404, 413, 422} {
		up.on("gpt-upstream", playJSON(status, errorJSON("not like this", "invalid_request_error", "")))
		if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != status {
			t.Errorf("status %d, want %d: %s", a.StatusCode, status, a.Body)
		}
	}
	for name, script := range map[string]func(*exchange){
		"before the headers": (*exchange).hang,
		"in mid-stream":      func(x *exchange) { firstWord(x); x.hang() },
	} {
		route := up.on("gpt-upstream", script)
		ctx, cancel := context.WithCancel(t.Context())
		arrived := make(chan struct{})
		go func() {
			defer close(arrived)
			if res, err := g.send(t, ctx, http.MethodPost, chatPath, streamBody("smart"), "Content-Type: application/json"); err == nil {
				_, _ = res.Body.Read(make([]byte, 10))
				<-ctx.Done()
				_ = res.Body.Close()
			}
		}()
		x := route.next(t)
		cancel()
		<-arrived
		wantLeft(t, x, time.Now())
		if b := g.target("up/gpt-upstream").Breaker; b.State != "closed" || b.Failures != 0 {
			t.Errorf("a client left %s: %+v", name, b)
		}
	}
	wantMetric(t, g, 0, "runestone_breaker_transitions_total")
}

// hedged is twoTargets of which the second is asked when the first is silent.
func hedged(first, second *upstream, after string) setup {
	s := learning(twoTargets(first.URL(), second.URL()))
	s.App += "\nmodel hedged {\ntarget first/gpt-first\ntarget second/gpt-second\nhedge after " + after + "\n}"
	return s
}

// TestHedge: of a stream, the first to answer is taken, and the other is cancelled.
func TestHedge(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	g := start(t, hedged(first, second, "300ms"))
	slowly := func(x *exchange) {
		<-time.After(600 * time.Millisecond)
		hello(x)
	}
	t.Run("the second wins", func(t *testing.T) {
		loser := first.on("gpt-first", (*exchange).hang)
		second.on("gpt-second", hello)
		a, took := g.timed(t, streamBody("hedged"))
		wantHello(t, a, "hedged", "second", 2)
		if took < 300*time.Millisecond || took > 1300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		wantLeft(t, loser.next(t), time.Now())
		if b := g.target("first/gpt-first").Breaker; b.Failures != 0 || b.State != "closed" {
			t.Errorf("the loser's breaker: %+v", b)
		}
	})
	t.Run("the first wins after all", func(t *testing.T) {
		first.on("gpt-first", slowly)
		loser := second.on("gpt-second", (*exchange).hang)
		wantHello(t, g.post(t, chatPath, streamBody("hedged")), "hedged", "first", 2)
		wantLeft(t, loser.next(t), time.Now())
	})
	t.Run("the second fails and the first is waited for", func(t *testing.T) {
		first.on("gpt-first", slowly)
		second.on("gpt-second", playJSON(500, broken))
		wantHello(t, g.post(t, chatPath, streamBody("hedged")), "hedged", "first", 2)
	})
	t.Run("a client that leaves cancels both", func(t *testing.T) {
		one, two := first.on("gpt-first", (*exchange).hang), second.on("gpt-second", (*exchange).hang)
		p := g.begin(t, streamBody("hedged"))
		x, y := one.next(t), two.next(t)
		left := time.Now()
		p.cancel()
		wantLeft(t, x, left)
		wantLeft(t, y, left)
	})
	for name, c := range map[string]struct {
		play func(*exchange)
		body string
	}{
		"the first is quick enough":                 {hello, streamBody("hedged")},
		"an answer that does not stream is awaited": {slowly, chatBody("hedged", "")},
	} {
		t.Run(name, func(t *testing.T) {
			first.on("gpt-first", c.play)
			before := second.requests()
			wantHello(t, g.post(t, chatPath, c.body), "hedged", "first", 1)
			if n := second.requests() - before; n != 0 {
				t.Errorf("the second target was asked %d times", n)
			}
		})
	}
}
