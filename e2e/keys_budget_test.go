package e2e

import (
	"net/http"
	"strconv"
	"testing"
)

// TestBudgets: requests are let in until a budget is spent, to the cent; then they are told that it is, and a restart gives no new one.
func TestBudgets(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello) // 12 tokens
	up.on("failing", playJSON(500, broken))
	s := withKeys(up, keyLine("a", "limits {\nbudget 3 1d\n}"), keyLine("b", "limits {\nbudget 2 1d\n}"),
		"model dear {\ntarget up/gpt-upstream {\nprice 100000 100000\n}\n}", "model vain {\ntarget up/failing {\nprice 100000 100000\n}\n}", "alias costly dear")
	s.Env = keyEnv("a", "b")
	g := start(t, s) // each answer costs 1.20 USD
	for range 3 {
		g.post(t, chatPath, chatBody("vain", ""), auth("a")).wantError(t, http.StatusInternalServerError)
		wantHello(t, g.post(t, chatPath, chatBody("dear", ""), auth("a")), "dear", "up", 1)
	}
	for _, model := range []string{"dear", "costly", "smart"} {
		a := g.post(t, chatPath, chatBody(model, ""), auth("a"))
		wantLimited(t, a, "key_budget", "insufficient_quota")
		if after, _ := strconv.Atoi(a.Header.Get("Retry-After")); after < 86000 || after > 90000 {
			t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		wantLimited(t, g.post(t, messagesPath, chatBody(model, `,"max_tokens":5`), auth("a")), "key_budget", "")
	}
	wantHello(t, g.post(t, chatPath, chatBody("dear", ""), auth("b")), "dear", "up", 1)
	g.reload(s)
	wantHello(t, g.post(t, chatPath, chatBody("dear", ""), auth("b")), "dear", "up", 1)
	wantLimited(t, g.post(t, chatPath, chatBody("dear", ""), auth("b")), "key_budget", "insufficient_quota")
	g.terminate()
	g.awaitExit(patience)
	g = g.again(t, s)
	wantLimited(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "key_budget", "insufficient_quota")
}

// TestNoWayAroundABudget: nor is another spelling of the path, a call whose answer comes later, or a provider that does not count.
func TestNoWayAroundABudget(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", func(x *exchange) { t.Errorf("the provider was asked for %s", x.Req.URL); hello(x) })
	up.on("late", playJSON(200, `{"id":"resp_1","object":"response","status":"queued","model":"late","output":[]}`))
	up.on("silent", playJSON(200, `{"id":"c","object":"chat.completion","created":1,"model":"silent","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}`))
	s := withKeys(up, keyLine("a", "limits {\nbudget 1 1d\n}"), keyLine("b", "limits {\nrequests 100 1m\n}"), keyLine("c", "limits {\nbudget 2 1d\n}"),
		"model dear {\ntarget up/gpt-upstream {\nprice 100000 100000\n}\n}", "model silent {\ntarget up/silent {\nprice 0 100000\n}\n}")
	s.Env = keyEnv("a", "b", "c")
	g := start(t, s)
	for _, path := range []string{"/v1/chat/completions/", "/v1/Chat/completions", "/v1/chat/Completions/", "/v1/chat/completions;a=b", "/v1/chat/completions%00", "/v1/chat%5Ccompletions", "/v1/chat/%2563ompletions"} {
		if a := g.post(t, path, chatBody("dear", ""), auth("a")); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Body)
		}
	}
	for _, path := range []string{"/v1/organization/admin_api_keys", "/v1/organizations/x"} {
		if a := g.do(t, http.MethodGet, path, "", auth("b")); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Body)
		}
	}
	for _, method := range []string{"TRACE", "OPTIONS", "BREW"} {
		if a := g.do(t, method, "/v1/files", "", auth("b")); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %d %s", method, a.StatusCode, a.Body)
		}
	}
	const later = `{"model":"up/late","input":"hi","background":true}`
	if a := g.post(t, "/v1/responses", later, auth("a")); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a call whose answer comes later: %d %s", a.StatusCode, a.Body)
	}
	if a := g.post(t, "/v1/responses", later, auth("b")); a.StatusCode != http.StatusOK {
		t.Errorf("without a budget: %d %s", a.StatusCode, a.Body)
	}
	if a := g.post(t, chatPath, chatBody("silent", `,"max_tokens":30`), auth("c")); a.StatusCode != http.StatusOK { // 3 USD at most
		t.Errorf("a provider that does not count: %d %s", a.StatusCode, a.Body)
	}
	wantLimited(t, g.post(t, chatPath, chatBody("silent", `,"max_tokens":30`), auth("c")), "key_budget", "insufficient_quota")
}

// TestLeavingEarlyIsNoWayAroundABudget: what a client has been sent counts, even if it leaves before the provider says what that was.
func TestLeavingEarlyIsNoWayAroundABudget(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	long := up.on("gpt-upstream", func(x *exchange) {
		x.sse()
		for range 30 {
			x.chunk(word("gpt-upstream", "a"))
		}
		x.hang()
	})
	s := withKeys(up, keyLine("a", "limits {\nbudget 2 1d\n}"), "model dear {\ntarget up/gpt-upstream {\nprice 0 100000\n}\n}")
	s.Env = keyEnv("a")
	g := start(t, s)
	s1 := g.open(t, chatPath, chatBody("dear", `,"stream":true`), auth("a"))
	for range 30 { // of 0.10 USD each
		if _, err := s1.next(); err != nil {
			t.Fatal(err)
		}
	}
	s1.cancel()
	if _, left := long.next(t).leftAt(patience); !left {
		t.Error("the provider's call goes on")
	}
	eventually(t, patience, "the request is still under way", func() bool { return g.openRequests() == 0 })
	wantLimited(t, g.post(t, chatPath, chatBody("dear", ""), auth("a")), "key_budget", "insufficient_quota")
}
