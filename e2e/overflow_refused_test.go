package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestQueueIsFull: what does not fit into the queue is refused, with a time to come back.
func TestQueueIsFull(t *testing.T) {
	t.Parallel()
	o := occupy(t, newUpstream(t), deferring("max_jobs 1"))
	j := wantJob(t, o.g.post(t, chatPath, chatBody("smart", ""), respondAsync, "Idempotency-Key: k"))
	for _, body := range []string{chatBody("smart", ""), streamBody("smart")} {
		wantRefusal(t, o.g.post(t, chatPath, body, respondAsync), http.StatusServiceUnavailable, "queue_full")
	}
	if again := wantJob(t, o.g.post(t, chatPath, chatBody("smart", ""), respondAsync, "Idempotency-Key: k")); again.ID != j.ID {
		t.Error("a full queue does not know its job")
	}
	wantRefusal(t, o.g.post(t, chatPath, chatBody("smart", ""), "Prefer: wait=0"), http.StatusTooManyRequests, "rate_limit_exceeded")
	o.g.delete(t, j.ID)
	o.g.awaitCancelled(t, j.ID)
	next := wantJob(t, o.g.post(t, chatPath, chatBody("smart", ""), respondAsync))
	o.release()
	o.g.wantServed(t, next.ID, "smart")
}

// rateLimited is a site with caddy-ratelimit in front, which lets one request through for a while, and
// these lines for what it refuses. Zones are the process's.
func rateLimited(s setup, refused string) setup {
	s.Site = `rate_limit {
		zone only {
			key {header.Authorization}
			events 1
			window 2s
			match {
				method POST
			}
		}
	}
	runestone
	handle_errors 429 {
		` + refused + `
	}`
	return s
}

// TestRateLimited: what another module has refused is queued with its body, until the time that it said.
func TestRateLimited(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	route := up.on("gpt-upstream", hello)
	always := start(t, rateLimited(oneProvider(up, deferring()), "runestone {\noverflow\n}"))
	optIn := start(t, rateLimited(oneProvider(up, deferring()), "runestone {\noverflow opt_in\n}"))
	off := start(t, rateLimited(oneProvider(up, "overflow off"), "runestone {\noverflow\n}"))
	body := fmt.Sprintf(oddBody, "smart")
	sent := strings.Replace(body, "smart", "gpt-upstream", 1)

	for _, g := range []*gateway{always, optIn, off} {
		wantHello(t, g.post(t, chatPath, body, bearer("a")), "smart", "up", 1)
		route.next(t)
	}
	began := time.Now()
	a := always.post(t, chatPath, body, bearer("a"))
	j := wantJob(t, a)
	if a.Header.Get("Preference-Applied") != "" || len(a.Header.Values("Retry-After")) != 1 || j.NotBefore == 0 {
		t.Errorf("%v, %+v", a.Header, j)
	}
	wantRefusal(t, optIn.post(t, chatPath, body, bearer("a")), http.StatusTooManyRequests, "rate_limit_exceeded")
	wantRefusal(t, optIn.post(t, chatPath, body, bearer("a"), "Prefer: wait=1"), http.StatusTooManyRequests, "rate_limit_exceeded")
	wantRefusal(t, optIn.do(t, http.MethodPost, "/v1/audio/transcriptions", formOfFile, "Content-Type: multipart/form-data; boundary=b", respondAsync, bearer("a")),
		http.StatusTooManyRequests, "rate_limit_exceeded")
	optIn.post(t, chatPath, "{", bearer("a"), respondAsync).wantError(t, http.StatusBadRequest)
	a = optIn.post(t, chatPath, body, bearer("a"), respondAsync, "Idempotency-Key: k")
	opted := wantJob(t, a)
	if a.Header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("Preference-Applied %q", a.Header.Get("Preference-Applied"))
	}
	wantRefusal(t, off.post(t, chatPath, body, bearer("a"), respondAsync), http.StatusTooManyRequests, "rate_limit_exceeded")
	if len(route.seen) != 0 {
		t.Error("the provider was asked before the time")
	}

	always.wantServed(t, j.ID, "smart", bearer("a"))
	optIn.wantServed(t, opted.ID, "smart", bearer("a"))
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("the jobs were done after %v, before the limit allowed it", took)
	}
	for range 2 {
		if x := route.next(t); string(x.Body) != sent {
			t.Error(difference(string(x.Body), sent))
		}
	}
	// The answer of a job that is done, to a request that is refused: nothing of the refusal is in it.
	eventually(t, patience, "the limit does not refuse", func() bool {
		a = optIn.post(t, chatPath, body, bearer("a"), respondAsync, "Idempotency-Key: other")
		return a.StatusCode == http.StatusAccepted
	})
	a = optIn.post(t, chatPath, body, bearer("a"), respondAsync, "Idempotency-Key: k")
	if a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%v", a.Header)
	}
	if v := a.Header.Get("Retry-After"); v != "" || a.Body != chatJSON("smart", "Hello") {
		t.Errorf("Retry-After %q: %s", v, a.Body)
	}
}

// TestDivertedOthers: a route for what was refused asks no provider, whatever comes.
func TestDivertedOthers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring())))
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/models", ""}, {"GET", "/v1/models/x", ""}, {"GET", "/v1/files", ""}, {"GET", chatPath, ""},
		{"POST", "/v1/files", "raw"}, {"DELETE", "/v1/files/x", ""},
	} {
		wantRefusal(t, g.do(t, c.method, c.path, c.body, divert, "Content-Type: text/plain"), http.StatusTooManyRequests, "rate_limit_exceeded")
	}
	g.do(t, "GET", jobsPath+"job_01a2143cdd1fbe8fee69465443a9be12", "", divert).wantError(t, 404)
	if up.requests() != 0 {
		t.Errorf("the provider was asked %d times", up.requests())
	}
}
