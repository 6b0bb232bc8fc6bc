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
