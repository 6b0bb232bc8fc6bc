package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestIdempotencyKey: a key and a request are one job as long as that lives, whoever else has the same key.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := one(up, "max_concurrency 1", deferring())
	o := &occupied{g: start(t, diverted(s)), held: hold(up, "gpt-upstream")}
	o.call = o.g.begin(t, chatBody("smart", ""))
	o.held.next(t)
	g := o.g
	a, key := []string{bearer("a")}, "Idempotency-Key: "+strings.Repeat("k", 255)
	with := func(owner []string, more ...string) []string { return append(append([]string{key}, owner...), more...) }
	body := chatBody("smart", "")

	j := wantJob(t, g.post(t, chatPath, body, with(a, respondAsync)...))
	// With the preference or without it, with another callback or priority: it is the same request.
	for _, more := range [][]string{{respondAsync}, {respondAsync, "Runestone-Priority: 0"}, {divert}, {"Prefer: respond-async, wait=5"}, nil} {
		answer := g.post(t, chatPath, body, with(a, more...)...)
		if again := wantJob(t, answer); again.ID != j.ID || again.Priority != 1 {
			t.Errorf("%q: the job is %+v, want %s", more, again, j.ID)
		}
		if answer.Header.Get("Idempotent-Replayed") != "" {
			t.Error("a job that has not ended is said to be an answer")
		}
	}
	for what, other := range map[string]answer{
		"another body":  g.post(t, chatPath, body+" ", with(a, respondAsync)...),
		"another path":  g.post(t, completionsPath, `{"model":"smart","prompt":"x"}`, with(a, respondAsync)...),
		"another query": g.post(t, chatPath+"?x=1", body, with(a, respondAsync)...),
		"no preference": g.post(t, chatPath, body+" ", with(a)...),
	} {
		e := other.wantError(t, http.StatusUnprocessableEntity)
		if e.code() != "idempotency_key_reused" || other.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: code %q, %v", what, e.code(), other.Header)
		}
	}
	others := [][]string{{bearer("b")}, {"X-Api-Key: sk-c"}, nil}
	var theirs []jobState
	for _, owner := range others {
		theirs = append(theirs, wantJob(t, g.post(t, chatPath, body, with(owner, respondAsync)...)))
		if theirs[len(theirs)-1].ID == j.ID {
			t.Errorf("%q has the job of another", owner)
		}
	}
	if again := wantJob(t, g.post(t, chatPath, body, with([]string{"X-Api-Key: sk-a"}, respondAsync)...)); again.ID != j.ID {
		t.Error("by another header of the same key it is another job")
	}
	if other := wantJob(t, g.post(t, chatPath, body, bearer("a"), respondAsync, "Idempotency-Key: another")); other.ID == j.ID {
		t.Error("another key has the same job")
	}
	a50 := crowdOf(t, g, 50, with([]string{bearer("crowd")}, respondAsync)...)

	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	g.wantServed(t, j.ID, "smart", a...)
	g.wantServed(t, a50, "smart", bearer("crowd"))
	for i, job := range theirs {
		g.wantServed(t, job.ID, "smart", others[i]...)
	}
	g.awaitRoom(t)
	calls := up.requests()
	for _, more := range [][]string{{respondAsync}, {divert}, nil} {
		answer := g.post(t, chatPath, body, with(a, more...)...)
		if answer.Header.Get("Idempotent-Replayed") != "true" || answer.Header.Get("Location") != "" {
			t.Errorf("a repeat: %v", answer.Header)
		}
		answer.Header.Del("Retry-After")
		wantHello(t, answer, "smart", "up", 1)
	}
	if up.requests() != calls {
		t.Error("a repeat was served anew")
	}
	// A GET has no key.
	up.on(chatPath, playJSON(200, `{"object":"list"}`))
	if answer := g.do(t, http.MethodGet, chatPath, "", with(a)...); answer.Body != `{"object":"list"}` {
		t.Errorf("a GET with the key: %d %s", answer.StatusCode, answer.Body)
	}
}

// crowdOf sends the same request n times at once, and returns the one job that comes of it.
func crowdOf(t *testing.T, g *gateway, n int, headers ...string) string {
	t.Helper()
	var all []*pending
	for range n {
		all = append(all, g.begin(t, chatBody("smart", ""), headers...))
	}
	id := ""
	for _, p := range all {
		j := wantJob(t, p.wait())
		if id == "" {
			id = j.ID
		}
		if j.ID != id {
			t.Errorf("there are the jobs %s and %s", id, j.ID)
		}
	}
	return id
}

// TestIdempotencyKeyIsFreed: a job that has failed or was cancelled is no reason not to try again.
func TestIdempotencyKeyIsFreed(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring("max_attempts 1"))))
	up.on("fails", failing(playJSON(500, broken)))
	stuck := up.on("stuck", failing((*exchange).hang))
	failed := g.divert(t, chatBody("up/fails", ""), "Idempotency-Key: k1")
	if a := g.response(t, failed.ID); a.StatusCode != 500 {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	cancelled := g.divert(t, chatBody("up/stuck", ""), "Idempotency-Key: k2")
	stuck.next(t)
	g.delete(t, cancelled.ID)
	g.awaitCancelled(t, cancelled.ID)
	for model, old := range map[string]jobState{"up/fails": failed, "up/stuck": cancelled} {
		key := map[string]string{"up/fails": "k1", "up/stuck": "k2"}[model]
		again := g.divert(t, chatBody(model, ""), "Idempotency-Key: "+key)
		if again.ID == old.ID {
			t.Errorf("%s: it is the same job", model)
		}
		g.wantServed(t, again.ID, model)
	}
	// A key that no job has, of requests that are served at once.
	up.on("gpt-upstream", hello)
	for range 2 {
		a := g.post(t, chatPath, chatBody("smart", ""), respondAsync, "Idempotency-Key: k3")
		wantHello(t, a, "smart", "up", 1)
		if a.Header.Get("Idempotent-Replayed") != "" {
			t.Error("it is said to be a repeat")
		}
	}
}
