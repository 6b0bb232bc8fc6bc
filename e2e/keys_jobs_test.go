package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestJobsAreTheirKeys: a job is its key's, with whichever of the key's secrets it is asked for, and nobody else's.
func TestJobsAreTheirKeys(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	held := hold(up, "gpt-upstream")
	s := diverted(withKeys(up, keyLine("other"), keyLine("models", "models nothing"), "keys {\nstored\n}", deferring()))
	s.Env = keyEnv("other", "models")
	g := start(t, s)
	bearerOf := func(secret string) string { return "Authorization: Bearer " + secret }
	first := g.manage(t, http.MethodPost, "", `{"name":"owner"}`)
	waiting := g.divert(t, chatBody("smart", ""), bearerOf(first), "Idempotency-Key: k")
	held.next(t)
	g.post(t, chatPath, chatBody("nothing", ""), auth("other"), divert, "Idempotency-Key: k") // another's key, and another job
	second := g.manage(t, http.MethodPost, "/owner/rotate?grace=1h", "")
	for _, secret := range []string{first, second} {
		if again := g.divert(t, chatBody("smart", ""), bearerOf(secret), "Idempotency-Key: k"); again.ID != waiting.ID {
			t.Error("with another secret of its key, a request is another job")
		}
		if again := wantJob(t, g.post(t, chatPath, chatBody("smart", ""), "X-Api-Key: "+secret, divert, "Idempotency-Key: k")); again.ID != waiting.ID {
			t.Error("with the secret in another header, a request is another job")
		}
		g.job(t, waiting.ID, bearerOf(secret))
	}
	for what, header := range map[string]string{"another key": auth("other"), "no key": "X-Nothing: x", "an unknown key": "Authorization: Bearer sk-unknown-0123456789"} {
		status := http.StatusNotFound
		if what != "another key" {
			status = http.StatusUnauthorized
		}
		for _, path := range []string{waiting.ID, waiting.ID + "/response", waiting.ID + "/events"} {
			g.do(t, http.MethodGet, jobsPath+path, "", header).wantError(t, status)
		}
		g.do(t, http.MethodDelete, jobsPath+waiting.ID, "", header).wantError(t, status)
	}
	g.reload(s)
	third := g.manage(t, http.MethodPost, "/owner/rotate", "")
	g.do(t, http.MethodGet, jobsPath+waiting.ID, "", bearerOf(first)).wantError(t, http.StatusUnauthorized)
	close(held.letGo)
	g.wantServed(t, waiting.ID, "smart", bearerOf(third))

	// What was accepted is done, although its key is revoked; nobody is shown it.
	last := g.divert(t, chatBody("smart", ""), bearerOf(third))
	g.manage(t, http.MethodPost, "/owner/revoke", "")
	g.do(t, http.MethodGet, jobsPath+last.ID, "", bearerOf(third)).wantError(t, http.StatusUnauthorized)
	held.next(t)
	if a := g.post(t, chatPath, chatBody("smart", ""), auth("models"), divert); a.StatusCode != http.StatusNotFound {
		t.Errorf("a model that the key may not ask for is queued: %d", a.StatusCode)
	}
}

// TestPriorityIsBounded: a key gets no better place in the queue than it may have.
func TestPriorityIsBounded(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	held := hold(up, "gpt-upstream")
	defer close(held.letGo)
	s := diverted(withKeys(up, keyLine("first"), keyLine("second", "priority 2"), keyLine("last", "priority 3"), deferring("priority 1")))
	s.Env = keyEnv("first", "second", "last")
	g := start(t, s)
	for _, c := range []struct {
		key, asks string
		gets      int
	}{
		{"first", "", 1}, {"first", "0", 0}, {"first", "3", 3},
		{"second", "", 2}, {"second", "0", 2}, {"second", "2", 2}, {"second", "3", 3},
		{"last", "", 3}, {"last", "0", 3},
	} {
		headers := []string{auth(c.key)}
		if c.asks != "" {
			headers = append(headers, "Runestone-Priority: "+c.asks)
		}
		if j := g.divert(t, chatBody("smart", ""), headers...); j.Priority != c.gets {
			t.Errorf("%s asks for %q and gets %d, want %d", c.key, c.asks, j.Priority, c.gets)
		}
	}
}

// TestJobsCount: a job counts when it is run, against its key's limits, and waits for these beside the jobs of others.
func TestJobsCount(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := diverted(withKeys(up, keyLine("a", "limits {\nrequests 2 4s\n}"), keyLine("b", "limits {\nrequests 3 1h\ntokens 1000 1h\n}"), keyLine("c"), deferring()))
	s.Env = keyEnv("a", "b", "c")
	g := start(t, s)

	// Those of one key take turns with its limit; another key's do not wait for them.
	var jobs []jobState
	for range 4 {
		jobs = append(jobs, g.divert(t, chatBody("smart", ""), auth("a")))
	}
	began := time.Now()
	other := g.divert(t, chatBody("smart", ""), auth("c"))
	g.wantServed(t, other.ID, "smart", auth("c"))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a job of a key without limits has waited %v", took)
	}
	for _, j := range jobs {
		g.wantServed(t, j.ID, "smart", auth("a"))
	}
	if took := time.Since(began); took < 3500*time.Millisecond {
		t.Errorf("four jobs with two in 4s took %v", took)
	}

	// What is queued counts for nothing until it is run, and then like any other.
	a := g.post(t, chatPath, chatBody("smart", ""), auth("b"))
	wantHello(t, a, "smart", "up", 1)
	g.wantServed(t, g.divert(t, chatBody("smart", ""), auth("b")).ID, "smart", auth("b"))
	a = g.post(t, chatPath, chatBody("smart", ""), auth("b"))
	if left := a.remaining(t, "Requests"); left != 0 || a.remaining(t, "Tokens") > 1000-24 {
		t.Errorf("after two requests and a job %d requests and %d tokens are left", left, a.remaining(t, "Tokens"))
	}
	wantLimited(t, g.post(t, chatPath, chatBody("smart", ""), auth("b")), "key_requests", "rate_limit_exceeded")

	// What would never fit is refused, whether as a job or at once.
	wantLimited(t, g.post(t, chatPath, chatBody("smart", `,"max_tokens":2000`), auth("b"), respondAsync), "key_tokens", "request_too_large")
	j := g.divert(t, chatBody("smart", `,"max_tokens":2000`), auth("b"))
	if j = g.awaitJob(t, j.ID, "failed", auth("b")); j.Error == nil || !strings.Contains(j.Error.Message, "key_tokens") {
		t.Errorf("a job that is larger than its limit: %+v", j.Error)
	}
	if a := g.response(t, j.ID, auth("b")); a.StatusCode != http.StatusTooManyRequests || !strings.Contains(a.Body, "request_too_large") {
		t.Errorf("its answer is %d %s", a.StatusCode, a.Body)
	}
}

// TestCancelledJobsCount: whoever cancels a job at which a provider works has used what was estimated.
func TestCancelledJobsCount(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := diverted(withKeys(up, keyLine("a", "limits {\ntokens 100000 1h\n}"), deferring()))
	s.Env = keyEnv("a")
	g := start(t, s)
	left := func() int64 {
		up.on("gpt-upstream", hello)
		return g.post(t, chatPath, chatBody("smart", ""), auth("a")).remaining(t, "Tokens")
	}
	before := left()
	held := hold(up, "gpt-upstream")
	j := g.divert(t, chatBody("smart", `,"max_tokens":5000`), auth("a"))
	held.next(t)
	g.delete(t, j.ID, auth("a"))
	g.awaitJob(t, j.ID, "cancelled", auth("a"))
	close(held.letGo)
	if used := before - left(); used < 5000 {
		t.Errorf("%d tokens were used", used)
	}
}

// TestJobsHaveNoLimitsOfProviders: what a provider has said of its own limits is not for a client that has others.
func TestJobsHaveNoLimitsOfProviders(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "Hello"), "X-Ratelimit-Limit-Requests: 77"))
	s := diverted(withKeys(up, keyLine("a", "limits {\nrequests 1000 1h\n}"), deferring()))
	s.Env = keyEnv("a")
	g := start(t, s)
	j := g.divert(t, chatBody("smart", ""), auth("a"))
	if a := g.response(t, j.ID, auth("a")); a.StatusCode != 200 || a.Header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("status %d, headers %v", a.StatusCode, a.Header)
	}
}

// TestNoJobsForWhoMayNotSeeThem: a key that may not use jobs is answered as if it had not asked for one.
func TestNoJobsForWhoMayNotSeeThem(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(429, broken, "Retry-After: 1"))
	s := learning(withKeys(up, keyLine("a", "routes chat"), "line {\nwait off\n}", deferring("default async")))
	s.Env = keyEnv("a")
	g := start(t, s)
	if a := g.post(t, chatPath, chatBody("smart", ""), auth("a"), respondAsync); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
}

// TestOverTheLimitIsQueued: who takes a job gets one instead of a 429, which says when it will be tried.
func TestOverTheLimitIsQueued(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("a", "limits {\nrequests 1 3s\n}"), keyLine("long", "limits {\nrequests 1 1h\n}"), deferring())
	s.Env = keyEnv("a", "long")
	g := start(t, s)
	for _, key := range []string{"a", "long"} {
		wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth(key), respondAsync), "smart", "up", 1)
	}
	began := time.Now()
	a := g.post(t, chatPath, chatBody("smart", ""), auth("a"), respondAsync)
	j := wantJob(t, a)
	if a.remaining(t, "Requests") != 0 || a.Header.Get("X-Should-Retry") != "" || j.NotBefore == 0 {
		t.Errorf("the job is %+v, with %v", j, a.Header)
	}
	m := wantJob(t, g.post(t, messagesPath, chatBody("smart", `,"max_tokens":5`), auth("long"), respondAsync))
	if until := time.Until(time.Unix(m.NotBefore, 0)); until < 59*time.Minute || until > 62*time.Minute {
		t.Errorf("a job for an hour later is tried in %v", until)
	}
	g.wantServed(t, j.ID, "smart", auth("a"))
	if took := time.Since(began); took < 2*time.Second || took > 8*time.Second {
		t.Errorf("with one request in 3s it took %v", took)
	}

	// So it is for everybody if the configuration says that.
	queued := s
	queued.App = strings.Replace(s.App, "backoff 20ms 40ms", "backoff 20ms 40ms\ndefault async", 1)
	if queued.App == s.App {
		t.Fatal("the configuration is not what it was")
	}
	g.reload(queued)
	wantJob(t, g.post(t, chatPath, chatBody("smart", ""), auth("long")))
}
