package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// occupied is a gateway whose one target takes one call at a time, and has one.
type occupied struct {
	g    *gateway
	held *held
	call *pending // the one that it has
}

func occupy(t *testing.T, up *upstream, more ...string) *occupied {
	t.Helper()
	o := &occupied{held: hold(up, "gpt-upstream")}
	o.g = start(t, one(up, "max_concurrency 1", more...))
	o.call = o.g.begin(t, chatBody("smart", ""))
	o.held.next(t)
	return o
}

// release lets all calls go.
func (o *occupied) release() { close(o.held.letGo) }

// TestLineIsFairBetweenKeys: thirty requests of one key wait when two others come with three each.
// They take turns, and within a key it is first come, first served.
func TestLineIsFairBetweenKeys(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up)
	var waiting []*pending
	enter := func(key string, n int) {
		for i := range n {
			waiting = append(waiting, o.g.begin(t, numbered("smart", fmt.Sprint(key, i)), "Authorization: Bearer sk-"+key))
			o.g.awaitLine(t, len(waiting))
		}
	}
	enter("a", 30)
	enter("b", 3)
	enter("c", 3)
	wantMetric(t, o.g, 36, "runestone_line_waiting")
	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	for _, p := range waiting {
		wantHello(t, p.wait(), "smart", "up", 1)
	}
	var order []string
	for range waiting {
		order = append(order, nameOf(o.held.next(t)))
	}
	for key, n := range map[string]int{"a": 30, "b": 3, "c": 3} {
		for i := range n {
			name := fmt.Sprint(key, i)
			at := slices.Index(order, name)
			if i > 0 && at < slices.Index(order, fmt.Sprint(key, i-1)) {
				t.Errorf("%s was served before its predecessor: %v", name, order)
			}
			// In turn: three keys, so by the i-th round three times i have been served.
			if key != "a" && at > 3*(i+1) {
				t.Errorf("%s was the %d. to be served: %v", name, at+1, order)
			}
		}
	}
	wantMetric(t, o.g, 0, "runestone_line_waiting")
}

// TestPreferWait: a client says how long it waits, within what the configuration allows.
func TestPreferWait(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, "line {\nwait 1100ms\n}")
	// One after the other, or the first call might be given up before the last is made.
	for name, c := range map[string]struct {
		prefer  string
		from    time.Duration
		applied bool
	}{
		"no wait at all":               {"wait=0", 0, true},
		"no wait, among other words":   {"respond-sync, wait=0, handling=lenient", 0, true},
		"a second":                     {"wait=1", time.Second, true},
		"no longer than is configured": {"wait=100", 1100 * time.Millisecond, false},
		"as configured":                {"", 1100 * time.Millisecond, false},
		"what is no number":            {"wait=soon", 1100 * time.Millisecond, false},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %t", name, stream), func(t *testing.T) {
				headers := []string{"Authorization: Bearer sk-" + strings.ReplaceAll(name, " ", "-")}
				if c.prefer != "" {
					headers = append(headers, "Prefer: "+c.prefer)
				}
				a, took := o.g.timed(t, asking("smart", stream), headers...)
				wantRefusal(t, a, http.StatusTooManyRequests, "rate_limit_exceeded")
				if took < c.from || took > c.from+700*time.Millisecond {
					t.Errorf("it took %v, want %v", took, c.from)
				}
				if v := a.Header.Get("Preference-Applied"); strings.HasPrefix(v, "wait=") != c.applied {
					t.Errorf("Preference-Applied %q", v)
				}
				if up.requests() != 1 {
					t.Error("the target was asked although it was full")
				}
			})
		}
	}
}

// TestPreferWaitIsServed: a wait that is not in vain.
func TestPreferWaitIsServed(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, "line {\nwait 10s\n}")
	p := o.g.begin(t, chatBody("smart", ""), "Prefer: wait=8")
	o.g.awaitLine(t, 1)
	o.release()
	a := p.wait()
	wantHello(t, a, "smart", "up", 1)
	if v := a.Header.Get("Preference-Applied"); v != "wait=8" {
		t.Errorf("Preference-Applied %q", v)
	}
}

// TestHeartbeats: a stream that waits gets comments once it has waited for five seconds, so
// that an official client sees a slow stream. Those whose wait is in vain get an error event.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, "line {\nwait 20s\n}")
	vain := o.g.begin(t, streamBody("smart"), "Prefer: wait=6", "Authorization: Bearer sk-vain")
	whole := o.g.begin(t, chatBody("smart", ""), "Authorization: Bearer sk-whole")
	sdk := make(chan error, 1)
	var said string
	go func() {
		// An SDK that tried again would hide an error.
		stream := o.g.sdk(option.WithMaxRetries(0)).Chat.Completions.NewStreaming(t.Context(), ask("smart"))
		var acc openai.ChatCompletionAccumulator
		for stream.Next() {
			acc.AddChunk(stream.Current())
		}
		if len(acc.Choices) > 0 {
			said = acc.Choices[0].Message.Content
		}
		sdk <- stream.Err()
	}()
	o.g.awaitLine(t, 3)

	s := o.g.open(t, chatPath, streamBody("smart"), "Authorization: Bearer sk-raw")
	if took := time.Since(s.began); took < 4500*time.Millisecond || took > 6*time.Second {
		t.Errorf("the headers came after %v", took)
	}
	if s.res.StatusCode != 200 || !strings.HasPrefix(s.res.Header.Get("Content-Type"), "text/event-stream") || s.res.Header.Get("X-Request-Id") == "" {
		t.Errorf("status %d, headers %v", s.res.StatusCode, s.res.Header)
	}
	beat, err := s.br.ReadString('\n')
	if err != nil || !strings.HasPrefix(beat, ":") {
		t.Fatalf("the first line is %q, error %v", beat, err)
	}

	a := vain.wait()
	if i := strings.Index(a.Body, "data: "); a.StatusCode != 200 || a.Err != nil || i < 0 {
		t.Errorf("in vain: status %d, error %v: %q", a.StatusCode, a.Err, a.Body)
	} else if e := wantErrorEvent(t, a.Body[i:]); e.code() != "rate_limit_exceeded" {
		t.Errorf("in vain: the code is %q", e.code())
	} else {
		wantComments(t, a.Body[:i])
	}
	if vain.took < 5800*time.Millisecond || vain.took > 7*time.Second {
		t.Errorf("in vain: it took %v, want 6s", vain.took)
	}

	o.release()
	rest, err := s.rest()
	i := strings.Index(rest, "data: ")
	if want := chatEvents("smart", "Hello") + doneEvent; err != nil || i < 0 || rest[i:] != want {
		t.Errorf("after the heartbeats: error %v: %s", err, difference(rest[max(i, 0):], want))
	} else {
		wantComments(t, beat+rest[:i])
	}
	wantHello(t, whole.wait(), "smart", "up", 1)
	if err := <-sdk; err != nil || said != "Hello" {
		t.Errorf("the SDK got %q, error %v", said, err)
	}
}

// wantComments fails the test unless text is comments and blank lines only.
func wantComments(t *testing.T, text string) {
	t.Helper()
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, ":") {
			n++
		} else if line != "" {
			t.Errorf("among the heartbeats there is %q", line)
		}
	}
	if n == 0 {
		t.Error("there was no heartbeat")
	}
}

// TestLineIsLeft: who leaves frees its place, and is never sent to the provider.
func TestLineIsLeft(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, "line {\nlength 2\n}")
	var waiting []*pending
	for i := range 2 {
		waiting = append(waiting, o.g.begin(t, numbered("smart", fmt.Sprint("leaves ", i))))
		o.g.awaitLine(t, i+1)
	}
	a, took := o.g.timed(t, chatBody("smart", ""))
	wantRefusal(t, a, http.StatusTooManyRequests, "rate_limit_exceeded")
	if took > time.Second {
		t.Errorf("a full line refused after %v", took)
	}
	for i, p := range waiting {
		p.cancel()
		o.g.awaitLine(t, 1-i)
	}
	stays := o.g.begin(t, numbered("smart", "stays"))
	o.g.awaitLine(t, 1)
	o.release()
	wantHello(t, stays.wait(), "smart", "up", 1)
	if name := nameOf(o.held.next(t)); name != "stays" || up.requests() != 2 {
		t.Errorf("the upstream got %d requests, %q after the first", up.requests(), name)
	}
}

// TestLineAtExit: those who wait are told at once that the gateway shuts down; the call
// that is under way is finished.
func TestLineAtExit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, "line {\nwait 20s\n}")
	beating := o.g.open(t, chatPath, streamBody("smart")) // which takes five seconds
	waiting := []*pending{o.g.begin(t, chatBody("smart", "")), o.g.begin(t, streamBody("smart"))}
	o.g.awaitLine(t, 3)
	began := time.Now()
	o.g.terminate()
	for _, p := range waiting {
		a := p.wait()
		wantRefusal(t, a, http.StatusServiceUnavailable, "shutting_down")
	}
	rest, err := beating.rest()
	if i := strings.Index(rest, "data: "); err != nil || i < 0 {
		t.Errorf("the stream with heartbeats: error %v: %q", err, rest)
	} else if e := wantErrorEvent(t, rest[i:]); e.code() != "shutting_down" {
		t.Errorf("the stream with heartbeats is told %q", e.code())
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v to tell them", took)
	}
	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	if up.requests() != 1 {
		t.Errorf("the upstream got %d requests", up.requests())
	}
}

// TestLineOutlivesReloads: who waits keeps its place, and is served by what is there then.
func TestLineOutlivesReloads(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up)
	p := o.g.begin(t, chatBody("smart", ""))
	o.g.awaitLine(t, 1)
	o.g.reload(one(up, "max_concurrency 1", "alias another smart"))
	o.g.awaitLine(t, 1)
	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	wantHello(t, p.wait(), "smart", "up", 1)
}

// TestWaitForAPause: with no other target, a pause that fits the wait is waited for.
func TestWaitForAPause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   int
		header   func() string
		from, to time.Duration
	}{
		"429, seconds":      {429, func() string { return "Retry-After: 1" }, 900 * time.Millisecond, 2 * time.Second},
		"503, seconds":      {503, func() string { return "Retry-After: 1" }, 900 * time.Millisecond, 2 * time.Second},
		"429, milliseconds": {429, func() string { return "Retry-After-Ms: 400" }, 350 * time.Millisecond, 1500 * time.Millisecond},
		"429, a date": {429, func() string {
			return "Retry-After: " + time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat)
		}, 900 * time.Millisecond, 3 * time.Second},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %t", name, stream), func(t *testing.T) {
				t.Parallel()
				up := newUpstream(t)
				n := 0
				up.on("gpt-upstream", func(x *exchange) {
					if n++; n == 1 {
						x.json(c.status, tooMany, c.header())
						return
					}
					hello(x)
				})
				g := start(t, serving(up, "line {\nwait 5s\n}"))
				a, took := g.timed(t, asking("smart", stream))
				wantHello(t, a, "smart", "up", 2)
				if took < c.from || took > c.to {
					t.Errorf("it took %v, want %v to %v", took, c.from, c.to)
				}
			})
		}
	}
}

// TestWaitForAProbe: with no other target, the time until an open breaker lets a probe
// through is waited for, and those behind the probe go on when it closes the breaker.
func TestWaitForAProbe(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, serving(up, quick, "breaker {\nfailures 2\nopen_for 1s\nhalf_open 1\n}", "line {\nwait 5s\n}"))
	up.on("gpt-upstream", playJSON(500, broken))
	for range 2 {
		g.post(t, chatPath, chatBody("smart", ""))
	}
	wantRefusal(t, g.post(t, chatPath, chatBody("smart", ""), "Prefer: wait=0"), http.StatusServiceUnavailable, "no_target_available")
	up.on("gpt-upstream", hello)
	var waiting []*pending
	for i := range 10 {
		waiting = append(waiting, g.begin(t, chatBody("smart", ""), "Authorization: Bearer sk-"+strconv.Itoa(i)))
	}
	for _, p := range waiting {
		wantHello(t, p.wait(), "smart", "up", 1)
		if p.took > 2500*time.Millisecond {
			t.Errorf("it took %v", p.took)
		}
	}
	if s := g.target("up/gpt-upstream").Breaker.State; s != "closed" {
		t.Errorf("the breaker is %s", s)
	}
}

// TestAttemptsBound: a target that asks for pause after pause is asked three times by one
// request, and the client gets its last answer.
func TestAttemptsBound(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(429, tooMany, "Retry-After-Ms: 50"))
	g := start(t, serving(up))
	a := g.post(t, chatPath, chatBody("smart", ""))
	if a.StatusCode != 429 || a.Body != tooMany {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	wantCalls(t, a, "up", 3)
	if up.requests() != 3 {
		t.Errorf("the target was asked %d times", up.requests())
	}
}

// TestSDKInAFullLine: the refusal is one that the official client understands.
func TestSDKInAFullLine(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, "line {\nwait 100ms\n}")
	_, err := o.g.sdk(option.WithMaxRetries(0)).Chat.Completions.New(t.Context(), ask("smart"))
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != 429 || e.Code != "rate_limit_exceeded" {
		t.Errorf("error %v", err)
	}
}
