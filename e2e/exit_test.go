package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// generations is a gateway with one stream open from before a reload and one from after.
type generations struct {
	g      *gateway
	models [2]*stepped
	open   [2]*stream
}

// twoGenerations opens them. s is changed a little for the reload, which would do
// nothing otherwise.
func twoGenerations(t *testing.T, up *upstream, s setup) *generations {
	t.Helper()
	gen := &generations{g: start(t, s)}
	for i := range 2 {
		key := fmt.Sprintf("gen-%d", i)
		gen.models[i] = newStepped(up, key)
		gen.open[i] = gen.models[i].begin(t, gen.g, "up/"+key)
		if i == 0 {
			s.App += "\nalias another smart"
			gen.g.reload(s)
		}
	}
	return gen
}

// terminate sends SIGTERM and returns when the gateway has begun to shut down.
func (gen *generations) terminate(t *testing.T) time.Time {
	t.Helper()
	began := time.Now()
	gen.g.terminate()
	eventually(t, patience, "the log does not tell of the shutdown", func() bool {
		_, exit, _ := strings.Cut(gen.g.stderr.String(), "shutting down apps") // a reload has shut servers down as well
		return strings.Contains(exit, "servers shutting down")
	})
	return began
}

func draining(up *upstream, drain, grace string) setup {
	s := oneProvider(up)
	s.App = strings.Replace(s.App, "drain_timeout 2s", "drain_timeout "+drain, 1)
	s.Grace = grace
	return s
}

// TestExitLetsStreamsFinish: streams of both generations that end by themselves
// within the drain deadline are complete, and the process waits no longer than that.
func TestExitLetsStreamsFinish(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	gen := twoGenerations(t, up, draining(up, "20s", "30s"))
	began := gen.terminate(t)
	for i, m := range gen.models {
		as := fmt.Sprint("up/", m.key)
		m.say(t, gen.open[i], as, "while it shuts down")
		m.finish(t, gen.open[i], as)
	}
	if code := gen.g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the exit took %v after the last stream had ended", took)
	}
}

// TestExitEndsStreams: streams that go on beyond the deadline get an error event and
// a proper end, whichever of the two deadlines is the shorter, and even when one
// of them is in the midst of an event.
func TestExitEndsStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drain, grace string
		from, to     time.Duration
	}{
		"at the drain deadline":                     {"800ms", "20s", 800 * time.Millisecond, 4 * time.Second},
		"before a shorter grace_period":             {"30s", "1500ms", 0, 1500 * time.Millisecond},
		"before a much shorter grace_period":        {"30s", "300ms", 0, 1500 * time.Millisecond},
		"at the drain deadline without any grace":   {"800ms", "none", 800 * time.Millisecond, 4 * time.Second},
		"at once when there is no time for a drain": {"1ms", "20s", 0, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			gen := twoGenerations(t, up, draining(up, c.drain, c.grace))
			gen.models[1].send(t, "data: {\"half of an ev") // must not reach the client
			began := gen.terminate(t)
			for i, s := range gen.open {
				rest, err := s.rest()
				took := time.Since(began)
				wantErrorEvent(t, rest)
				if err != nil {
					t.Errorf("generation %d was cut: %v", i, err)
				}
				if took < c.from || took > c.to {
					t.Errorf("generation %d ended after %v", i, took)
				}
				if _, ok := gen.models[i].route.next(t).leftAt(patience); !ok {
					t.Errorf("generation %d: the upstream connection stayed open", i)
				}
			}
			if code := gen.g.awaitExit(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestExitAfterADelay: while Caddy's shutdown_delay lasts, load balancers are told and requests are served.
func TestExitAfterADelay(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := oneProvider(up)
	s.Global = "shutdown_delay 6s"
	g := start(t, s)
	stepped := newStepped(up, "gpt-stepped")
	open := stepped.begin(t, g, "up/gpt-stepped")
	up.on("gpt-upstream", hello)
	began := time.Now()
	g.terminate()
	eventually(t, patience, "the gateway is ready as ever", func() bool {
		code, _, _ := healthOf(t, g, "/health/ready")
		return code == http.StatusServiceUnavailable
	})
	a := g.post(t, chatPath, chatBody("smart", ""))
	wantHello(t, a, "smart", "up", 1)
	stepped.say(t, open, "up/gpt-stepped", "while load balancers look elsewhere")
	stepped.finish(t, open, "up/gpt-stepped")
	if code := g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took < 6*time.Second {
		t.Errorf("the exit took %v", took)
	}
}

// TestExitAfterGraceOfAnOldGeneration: Caddy counts the grace of an old
// configuration from its reload, so that by the exit it may have run out.
func TestExitAfterGraceOfAnOldGeneration(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	gen := twoGenerations(t, up, draining(up, "5s", "700ms"))
	eventually(t, patience, "the old configuration's grace does not run out", func() bool {
		return strings.Contains(gen.g.stderr.String(), "server shutdown")
	})
	for i, m := range gen.models {
		m.say(t, gen.open[i], "up/"+m.key, "the streams go on nevertheless")
	}
	gen.terminate(t)
	for i, s := range gen.open {
		rest, err := s.rest()
		wantErrorEvent(t, rest)
		if err != nil {
			t.Errorf("generation %d was cut: %v", i, err)
		}
	}
	if code := gen.g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestExitWithFastStreams: no event is cut in two although events come without pause.
func TestExitWithFastStreams(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := draining(up, "300ms", "10s")
	g := start(t, s)
	event := word("fast-stream", strings.Repeat("é🌍", 200))
	up.on("fast-stream", func(x *exchange) {
		x.sse()
		for !x.done {
			x.chunk(event)
		}
	})
	done := make(chan answer, 8)
	for range 8 {
		st := g.open(t, chatPath, streamBody("up/fast-stream"))
		go func() {
			body, err := st.rest()
			done <- answer{Response: st.res, Body: body, Err: err}
		}()
	}
	g.terminate()
	as := word("up/fast-stream", strings.Repeat("é🌍", 200))
	for range 8 {
		a := <-done
		whole := strings.TrimSuffix(a.Body, last(a.Body, "data: "))
		if a.Err != nil || strings.ReplaceAll(whole, as, "") != "" {
			t.Errorf("error %v; the stream is not made of whole events", a.Err)
		}
		wantErrorEvent(t, last(a.Body, "data: "))
	}
}

// last is the part of s from the last sep on.
func last(s, sep string) string { return s[max(0, strings.LastIndex(s, sep)):] }

// TestExitWithOtherRequests: what is no stream is finished or refused, and what
// comes during the drain is turned away.
func TestExitWithOtherRequests(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	gen := twoGenerations(t, up, draining(up, "3s", "20s"))
	release := make(chan struct{})
	route := up.on("late", func(x *exchange) {
		<-release
		x.json(200, chatJSON("late", "hi"))
	})
	stuck := up.on("stuck", (*exchange).hang)
	answers := make(chan answer, 2)
	for _, model := range []string{"up/late", "up/stuck"} {
		go func() {
			res, err := gen.g.send(t, t.Context(), http.MethodPost, chatPath, chatBody(model, ""), "Content-Type: application/json")
			a := answer{Response: res, Err: err}
			if err == nil {
				_ = res.Body.Close()
			}
			answers <- a
		}()
	}
	route.next(t)
	stuck.next(t)
	idle := dialRaw(t, gen.g)
	gen.terminate(t)
	close(release)
	if a := <-answers; a.Err != nil || a.StatusCode != 200 {
		t.Errorf("the answer that came in time: %+v", a)
	}
	wantTurnedAway(t, gen.g, idle)
	if a := <-answers; a.Err == nil && a.StatusCode < 500 {
		t.Errorf("the answer that never came has the status %d", a.StatusCode)
	}
	for _, s := range gen.open {
		rest, err := s.rest()
		if wantErrorEvent(t, rest); err != nil {
			t.Errorf("a stream was cut: %v", err)
		}
	}
	if code := gen.g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// wantTurnedAway tries the gateway while it shuts down, on a new connection and on
// an idle one. No connection, or an error that says to try elsewhere, is as good;
// half an answer, or silence, is not.
func wantTurnedAway(t *testing.T, g *gateway, idle rawConn) {
	t.Helper()
	if c, err := net.DialTimeout("tcp", g.site, patience); err == nil {
		fresh := rawConn{c, t}
		fresh.send("GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if status := fresh.status(); status != 0 && status != 503 {
			t.Errorf("a new connection is served with the status %d", status)
		}
		_ = c.Close()
	}
	body := chatBody("up/late", "")
	if _, err := fmt.Fprintf(idle, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body); err == nil {
		if status := idle.status(); status != 0 && status != 503 {
			t.Errorf("an idle connection is served with the status %d", status)
		}
	}
}

// TestExitWithAStuckReader: a client that does not read must not hold up the exit.
func TestExitWithAStuckReader(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, draining(up, "300ms", "3s"))
	route := up.on("flood", func(x *exchange) {
		x.sse()
		for !x.done {
			x.chunk(word("flood", strings.Repeat("x", 10_000)))
		}
	})
	c := dialRaw(t, g)
	body := streamBody("up/flood")
	c.send("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body)
	route.next(t)
	began := time.Now()
	g.terminate()
	if code := g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the exit took %v", took)
	}
}
