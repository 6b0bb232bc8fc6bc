package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fault is one way in which a provider fails its callers, and all that follows.
type fault struct {
	name string
	play func(*exchange)         // what the upstream does, or
	at   func(testing.TB) *knock // where there is no HTTP to speak

	only string // "whole" or "stream" where the fault is one of such answers

	// What the client is told when there is no other target.
	status int
	code   string // of the gateway's own error, or
	body   string // the provider's, which passes as it came,
	header string // with this header of it
	begun  bool   // the stream had begun: it ends with an error event, and nobody else is asked
	fine   bool   // it is no fault after all

	calls  [2]int // upstream calls for one request, from and to
	counts bool   // each call is a failure to the breaker
	pauses bool   // the target is left alone for as long as it asked

	// options are the provider's. A whole answer that does not come is bounded by the total
	// time only: its provider needs less of that than the request has.
	options string
}

// The limits of the fault matrix.
const (
	faultTimeouts = "timeouts {\nconnect 1s\nfirst_byte 1s\nidle 1s\ntotal 3s\n}"
	faultOptions  = quick + "\nbreaker {\nfailures 3\nopen_for 40s\n}\nline {\nwait 2s\n}"
)

var faults = []fault{
	{name: "a refused connection", at: refusing,
		status: 502, code: "unreachable", calls: [2]int{2, 2}, counts: true},
	{name: "a reset before the headers", play: (*exchange).reset,
		status: 502, code: "unreachable", calls: [2]int{2, 2}, counts: true},
	{name: "an end before the headers", play: (*exchange).fin,
		status: 502, code: "unreachable", calls: [2]int{2, 2}, counts: true},
	{name: "a reset in the midst of the body", only: "whole", play: func(x *exchange) { halfBody(x); x.taken(); x.reset() },
		status: 502, code: "interrupted", calls: [2]int{1, 1}, counts: true},
	{name: "a reset in the midst of the stream", only: "stream", play: func(x *exchange) { firstWord(x); x.taken(); x.reset() },
		begun: true, calls: [2]int{1, 1}, counts: true},
	{name: "a reset before the first event", only: "stream", play: func(x *exchange) { x.sse(); x.taken(); x.reset() },
		status: 502, code: "interrupted", calls: [2]int{1, 1}, counts: true},
	{name: "silence instead of a stream's headers", only: "stream", play: (*exchange).hang,
		status: 504, code: "timeout", calls: [2]int{1, 1}, counts: true},
	{name: "silence instead of an answer's headers", only: "whole", play: (*exchange).hang,
		status: 504, code: "timeout", calls: [2]int{1, 1}, counts: true, options: "timeouts {\ntotal 1s\n}"},
	{name: "silence before the first event", only: "stream", play: func(x *exchange) { x.sse(); x.hang() },
		status: 504, code: "timeout", calls: [2]int{1, 1}, counts: true},
	{name: "silence in the midst of the stream", only: "stream", play: func(x *exchange) { firstWord(x); x.hang() },
		begun: true, calls: [2]int{1, 1}, counts: true},
	{name: "silence in the midst of the body", only: "whole", play: func(x *exchange) { halfBody(x); x.hang() },
		status: 504, code: "timeout", calls: [2]int{1, 1}, counts: true},
	{name: "500", play: playJSON(500, broken),
		status: 500, body: broken, calls: [2]int{1, 1}, counts: true},
	{name: "502 with HTML", play: func(x *exchange) { x.answer(502, "text/html", page) },
		status: 502, body: page, calls: [2]int{1, 1}, counts: true},
	{name: "503", play: playJSON(503, broken),
		status: 503, body: broken, calls: [2]int{1, 1}, counts: true},
	{name: "529", play: playJSON(529, broken),
		status: 529, body: broken, calls: [2]int{1, 1}, counts: true},
	{name: "503 with Retry-After", play: playJSON(503, broken, "Retry-After: 30"),
		status: 503, body: broken, header: "Retry-After", calls: [2]int{1, 1}, pauses: true},
	{name: "429 with Retry-After in seconds", play: playJSON(429, tooMany, "Retry-After: 30"),
		status: 429, body: tooMany, header: "Retry-After", calls: [2]int{1, 1}, pauses: true},
	{name: "429 with Retry-After as a date", play: func(x *exchange) {
		x.json(429, tooMany, "Retry-After: "+time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))
	}, status: 429, body: tooMany, header: "Retry-After", calls: [2]int{1, 1}, pauses: true},
	{name: "429 with retry-after-ms", play: playJSON(429, tooMany, "retry-after-ms: 30000"),
		status: 429, body: tooMany, header: "Retry-After-Ms", calls: [2]int{1, 1}, pauses: true},
	{name: "429 with nothing", play: playJSON(429, tooMany),
		status: 429, body: tooMany, calls: [2]int{1, 1}},
	{name: "401 of the only key", play: playJSON(401, errorJSON("Incorrect API key", "invalid_request_error", "invalid_api_key")),
		status: 502, code: "provider_credentials", calls: [2]int{1, 1}},
	{name: "a slow first token", only: "stream", play: func(x *exchange) {
		x.sse()
		<-time.After(250 * time.Millisecond)
		x.chunk(chatEvents(modelOf(x.Body), "Hello") + doneEvent)
		x.end()
	}, fine: true, calls: [2]int{1, 1}},
	{name: "a stream without an end", only: "stream", play: func(x *exchange) { firstWord(x); x.end() },
		begun: true, calls: [2]int{1, 1}, counts: true},
	{name: "a stream without an event", only: "stream", play: playSSE(""),
		status: 502, code: "interrupted", calls: [2]int{1, 1}, counts: true},
	{name: "an untrusted certificate", at: selfSigned,
		status: 502, code: "unreachable", calls: [2]int{1, 2}, counts: true},
	{name: "a broken TLS handshake", at: noHandshake,
		status: 502, code: "unreachable", calls: [2]int{1, 2}, counts: true},
	{name: "a host that does not exist", at: func(testing.TB) *knock { return &knock{url: "http://runestone.invalid"} },
		status: 502, code: "unreachable", calls: [2]int{1, 2}, counts: true},
}

// What providers say of themselves.
var (
	broken  = errorJSON("The server had an error", "server_error", "")
	tooMany = errorJSON("Rate limit reached", "requests", "rate_limit_exceeded")
)

const page = "<html><h1>Bad Gateway</h1></html>"

func halfBody(x *exchange) {
	x.head(200, "Content-Type: application/json", "Content-Length: 1000")
	x.write(`{"id":"chatcmpl-C1","object":"chat.co`)
}

func firstWord(x *exchange) {
	x.sse()
	x.chunk(word(modelOf(x.Body), "Hel"))
}

// faultCase is a fault with a provider, models and a breaker of its own.
type faultCase struct {
	fault
	g       *gateway
	n       int
	stream  bool
	calls   map[string]func() int // of the faulty target: by its model
	healthy *route
}

// asks posts a request for one of the case's models: alone or backed.
func (c *faultCase) asks(t *testing.T, model string) answer {
	t.Helper()
	return c.g.post(t, chatPath, asking(c.model(model), c.stream))
}

func (c *faultCase) model(name string) string { return fmt.Sprintf("%s-%d", name, c.n) }

func (c *faultCase) target(model string) targetStatus {
	return c.g.target(fmt.Sprintf("faulty-%d/%s", c.n, model))
}

// made checks how many upstream calls a request took, where they can be counted.
func (c *faultCase) made(t *testing.T, a answer, model string, before, others int) {
	t.Helper()
	var attempts int
	_, _ = fmt.Sscan(a.Header.Get("Runestone-Attempts"), &attempts)
	attempts -= others
	if attempts < c.fault.calls[0] || attempts > c.fault.calls[1] {
		t.Errorf("Runestone-Attempts %q, want %v and %d to others", a.Header.Get("Runestone-Attempts"), c.fault.calls, others)
	}
	if count := c.calls[model]; count != nil {
		if n := count() - before; n != attempts {
			t.Errorf("the target saw %d calls, and the client is told of %d", n, attempts)
		}
	}
}

func (c *faultCase) count(model string) int {
	if count := c.calls[model]; count != nil {
		return count()
	}
	return 0
}

// TestFaults holds every fault, of whole answers and of streams, to what is said of it
// in faults: with the faulty target alone, and with a healthy one after it.
func TestFaults(t *testing.T) {
	t.Parallel()
	good := newUpstream(t)
	var cases []*faultCase
	app := "drain_timeout 2s\n" + faultTimeouts + "\n" + faultOptions + "\nprovider good openai {\nbase_url " + good.URL() + "/v1\napi_key k\n}\n"
	for _, f := range faults {
		for _, form := range []string{"whole", "stream"} {
			if f.only != "" && f.only != form {
				continue
			}
			c := &faultCase{fault: f, n: len(cases), stream: form == "stream", calls: map[string]func() int{}}
			c.name += ", " + form
			app += c.prepare(t, good)
			cases = append(cases, c)
		}
	}
	g := start(t, setup{App: app, Env: []string{"NO_PROXY=*"}})
	for _, c := range cases {
		c.g = g
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.alone(t)
			c.backed(t)
			c.again(t)
		})
	}
}

// prepare starts the upstream of a case and returns its part of the Caddyfile.
func (c *faultCase) prepare(t *testing.T, good *upstream) string {
	t.Helper()
	var url string
	if c.at != nil {
		k := c.at(t)
		url = k.url
		if k.counted {
			all := func() int { return int(k.n.Load()) }
			c.calls = map[string]func() int{"alone": all, "backed": all}
		}
	} else {
		up := newUpstream(t)
		url = up.URL()
		for _, model := range []string{"alone", "backed"} {
			r := up.on(model, c.play)
			c.calls[model] = func() int { return len(r.seen) }
		}
	}
	c.healthy = good.on(c.model("ok"), hello)
	return fmt.Sprintf(`provider faulty-%[1]d openai {
		base_url %[2]s/v1
		api_key k
		%[3]s
	}
	model alone-%[1]d {
		target faulty-%[1]d/alone
	}
	model backed-%[1]d {
		target faulty-%[1]d/backed
		target good/ok-%[1]d
	}
	`, c.n, url, c.options)
}

// alone is one request with no other target, and what the breaker makes of it.
func (c *faultCase) alone(t *testing.T) {
	began := time.Now()
	a := c.asks(t, "alone")
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	c.told(t, a)
	c.made(t, a, "alone", 0, 0)
	failures := 0
	if c.counts {
		_, _ = fmt.Sscan(a.Header.Get("Runestone-Attempts"), &failures)
	}
	eventuallyOr(t, func() bool {
		b := c.target("alone").Breaker
		return b.State == "closed" && b.Failures == failures && (b.PausedFor > 0) == c.pauses
	}, func() string {
		return fmt.Sprintf("the breaker: %+v, want %d failures, pause %t", c.target("alone").Breaker, failures, c.pauses)
	})
	if p := c.target("alone").Breaker.PausedFor; c.pauses && (p < 20 || p > 30) {
		t.Errorf("the target is paused for %v s, and asked for 30", p)
	}
}

// told checks what the client got from the faulty target.
func (c *faultCase) told(t *testing.T, a answer) {
	t.Helper()
	asked := c.model("alone")
	if a.Header.Get("Runestone-Provider") != fmt.Sprintf("faulty-%d", c.n) {
		t.Errorf("Runestone-Provider %q", a.Header.Get("Runestone-Provider"))
	}
	switch {
	case c.fine:
		wantHello(t, a, asked, fmt.Sprintf("faulty-%d", c.n), 1)
	case c.begun:
		wantCut(t, a, word(asked, "Hel"))
	case c.code != "":
		if e := a.wantError(t, c.status); e.code() != c.code {
			t.Errorf("the code is %q, want %q", e.code(), c.code)
		} else if strings.Contains(e.Message, "127.0.0.1") || strings.Contains(e.Message, ".invalid") {
			t.Errorf("the message tells of the inside: %q", e.Message)
		}
	default:
		c.asItCame(t, a)
	}
}

// asItCame compares an answer with what the upstream sent.
func (c *faultCase) asItCame(t *testing.T, a answer) {
	t.Helper()
	if a.StatusCode != c.status || a.Err != nil || a.Body != c.body {
		t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, c.body))
	}
	if c.header != "" && a.Header.Get(c.header) == "" {
		t.Errorf("the provider's %s did not reach the client", c.header)
	}
}

// backed is the same with a healthy target left.
func (c *faultCase) backed(t *testing.T) {
	const model = "backed"
	before := c.count(model)
	a := c.asks(t, model)
	if c.begun {
		wantCut(t, a, word(c.model(model), "Hel"))
		c.made(t, a, model, before, 0)
		if n := len(c.healthy.seen); n != 0 {
			t.Errorf("the healthy target was asked %d times after the stream had begun", n)
		}
		return
	}
	if c.fine {
		wantHello(t, a, c.model(model), fmt.Sprintf("faulty-%d", c.n), 1)
		return
	}
	want := chatJSON(c.model(model), "Hello")
	if c.stream {
		want = chatEvents(c.model(model), "Hello") + doneEvent
	}
	if a.StatusCode != 200 || a.Err != nil || a.Body != want {
		t.Fatalf("with a healthy target left: status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, want))
	}
	if p := a.Header.Get("Runestone-Provider"); p != "good" {
		t.Errorf("Runestone-Provider %q", p)
	}
	if v := a.Header.Get("Retry-After"); v != "" {
		t.Errorf("the Retry-After %q of the faulty target reached the client", v)
	}
	c.made(t, a, model, before, 1)
	if n := len(c.healthy.seen); n != 1 {
		t.Errorf("the healthy target was asked %d times", n)
	}
}

// again is what the next requests meet: an open breaker, a pause, or the same as before.
func (c *faultCase) again(t *testing.T) {
	switch {
	case c.counts:
		for range 3 {
			if c.target("alone").Breaker.State == "open" {
				break
			}
			c.asks(t, "alone")
		}
		eventuallyOr(t, func() bool {
			b := c.target("alone").Breaker
			return b.State == "open" && b.OpenFor > 0
		}, func() string { return fmt.Sprintf("after three failures: %+v", c.target("alone").Breaker) })
		c.refused(t, http.StatusServiceUnavailable, "no_target_available")
	case c.pauses:
		c.refused(t, http.StatusTooManyRequests, "rate_limit_exceeded")
	default:
		for range 4 {
			c.asks(t, "alone")
		}
		if b := c.target("alone").Breaker; b.State != "closed" || b.Failures != 0 {
			t.Errorf("the breaker: %+v", b)
		}
	}
}

// refused fails the test unless the next request is refused at once, as no wait would do,
// without asking the provider.
func (c *faultCase) refused(t *testing.T, status int, code string) {
	t.Helper()
	before := c.count("alone")
	began := time.Now()
	wantRefusal(t, c.asks(t, "alone"), status, code)
	if took := time.Since(began); took > time.Second {
		t.Errorf("the refusal took %v", took)
	}
	if n := c.count("alone") - before; n != 0 {
		t.Errorf("the target was asked %d times", n)
	}
}
