package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gatewayStatus is what the tests read of /runestone/status.
type gatewayStatus struct {
	Providers []struct {
		Name        string
		Credentials []struct{ Name, State string }
	}
	Targets []targetStatus
	Line    struct{ Waiting, Length int }
}

type targetStatus struct {
	Provider, Model string
	Breaker         struct {
		State     string
		OpenFor   float64 `json:"open_for_seconds"`
		PausedFor float64 `json:"paused_for_seconds"`
		Failures  int
	}
	InFlight int `json:"in_flight"`
	Limit    int
}

func (g *gateway) status() (s gatewayStatus) {
	g.t.Helper()
	text := g.adminGet("/runestone/status")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		g.t.Fatalf("the status: %v: %s", err, text)
	}
	return s
}

// target returns the status of one target, given as provider/model.
func (g *gateway) target(name string) targetStatus {
	g.t.Helper()
	s := g.status()
	for _, target := range s.Targets {
		if target.Provider+"/"+target.Model == name {
			return target
		}
	}
	g.t.Fatalf("the status has no target %s: %+v", name, s.Targets)
	return targetStatus{}
}

// awaitLine returns once n requests wait in the line.
func (g *gateway) awaitLine(t testing.TB, n int) {
	t.Helper()
	var waiting int
	for deadline := time.Now().Add(patience); ; {
		if waiting = g.status().Line.Waiting; waiting == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests wait in the line, want %d\n%s", waiting, n, g.tail())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// pending is a request whose answer is yet to come.
type pending struct {
	t      testing.TB
	g      *gateway
	cancel context.CancelFunc
	done   chan struct{} // closed when what follows is set
	answer answer        // its Err may also be that of the request
	took   time.Duration
}

// begin posts a request and does not wait for its answer.
func (g *gateway) begin(t testing.TB, body string, headers ...string) *pending {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	p := &pending{t: t, g: g, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		began := time.Now()
		defer func() { p.took = time.Since(began) }()
		res, err := g.send(t, ctx, http.MethodPost, chatPath, body, append([]string{"Content-Type: application/json"}, headers...)...)
		if err != nil {
			p.answer.Err = err
			return
		}
		p.answer = answerOf(res)
	}()
	return p
}

// wait returns the answer.
func (p *pending) wait() answer {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * patience):
		p.t.Fatalf("the request was not answered\n%s", p.g.tail())
	}
	if p.answer.Response == nil {
		p.t.Fatalf("the request failed: %v\n%s", p.answer.Err, p.g.tail())
	}
	return p.answer
}

// timed is post, and how long it took.
func (g *gateway) timed(t testing.TB, body string, headers ...string) (answer, time.Duration) {
	t.Helper()
	began := time.Now()
	a := g.post(t, chatPath, body, headers...)
	return a, time.Since(began)
}

// wantHello fails the test unless a is the whole of what hello answers, from this
// provider and after that many upstream calls.
func wantHello(t testing.TB, a answer, asked, provider string, calls int) {
	t.Helper()
	want := chatJSON(asked, "Hello")
	if a.Response != nil && strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream") {
		want = chatEvents(asked, "Hello") + doneEvent
	}
	if a.StatusCode != http.StatusOK || a.Err != nil || a.Body != want {
		t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, want))
	}
	wantCalls(t, a, provider, calls)
	if v := a.Header.Get("Retry-After"); v != "" {
		t.Errorf("the answer has the Retry-After %q of a target that was passed over", v)
	}
}

// wantCalls checks who answered, and after how many upstream calls.
func wantCalls(t testing.TB, a answer, provider string, calls int) {
	t.Helper()
	if got := a.Header.Get("Runestone-Provider"); got != provider {
		t.Errorf("Runestone-Provider %q, want %q", got, provider)
	}
	if got := a.Header.Get("Runestone-Attempts"); got != strconv.Itoa(calls) {
		t.Errorf("Runestone-Attempts %q, want %d", got, calls)
	}
}

// hello answers whole or streaming, as it is asked.
func hello(x *exchange) {
	model := modelOf(x.Body)
	if streams(x) {
		playSSE(chatEvents(model, "Hello"), doneEvent)(x)
		return
	}
	x.json(http.StatusOK, chatJSON(model, "Hello"))
}

// streams reports whether the request is for a stream.
func streams(x *exchange) bool { return strings.Contains(string(x.Body), `"stream":true`) }

// asking is the body of a request for model, whole or streamed.
func asking(model string, stream bool) string {
	if stream {
		return streamBody(model)
	}
	return chatBody(model, "")
}

// wantRefusal fails the test unless a is the gateway's own refusal for want of a target,
// which tells the client a time to come back.
func wantRefusal(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if e := a.wantError(t, status); e.code() != code {
		t.Errorf("the code is %q, want %q: %s", e.code(), code, a.Body)
	}
	if n, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After %q, want 1 to 60", a.Header.Get("Retry-After"))
	}
	if v := a.Header.Get("X-Should-Retry"); v == "false" {
		t.Error("the client is told not to come back")
	}
}

// held is an upstream model that keeps each call until it is let go.
type held struct {
	*route
	letGo chan struct{} // one for each call, or closed for all
}

// hold has the upstream keep its calls for key.
func hold(up *upstream, key string) *held {
	h := &held{letGo: make(chan struct{})}
	h.route = up.on(key, func(x *exchange) {
		select {
		case <-h.letGo:
			hello(x)
		case <-x.gone:
			x.done = true
		case <-x.u.stop:
			x.done = true
		}
	})
	return h
}

// one is the setup of a model named smart with one target, up/gpt-upstream, whose
// provider has these options, and of what else the app has.
func one(up *upstream, options string, more ...string) setup {
	s := serving(up, more...)
	s.App = strings.Replace(s.App, "api_key "+upstreamKey, "api_key "+upstreamKey+"\n"+options, 1)
	return s
}

// serving is oneProvider with the breakers and the line that steady turns off.
func serving(up *upstream, more ...string) setup { return learning(oneProvider(up, more...)) }

// learning is s with the breakers and the line that steady turns off.
func learning(s setup) setup {
	s.App = strings.Replace(s.App, steady, "", 1)
	return s
}

// quick keeps backoffs out of the tests' way.
const quick = "retry {\nbackoff 1ms 2ms\n}"

// numbered names the requests of one test by their user message.
func numbered(model, name string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, name)
}

// nameOf returns the name that numbered gave.
func nameOf(x *exchange) string {
	var b struct{ Messages []struct{ Content string } }
	if json.Unmarshal(x.Body, &b) != nil || len(b.Messages) == 0 {
		return ""
	}
	return b.Messages[0].Content
}
