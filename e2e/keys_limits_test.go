package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const noWait = "Prefer: wait=0"

// wantLimited fails the test unless a is a refusal by the limit of this name, in the dialect of its route.
func wantLimited(t testing.TB, a answer, limit, code string) {
	t.Helper()
	if a.StatusCode != http.StatusTooManyRequests || !strings.Contains(a.Body, " "+limit+" ") {
		t.Fatalf("status %d: %s, want the limit %s", a.StatusCode, a.Body, limit)
	}
	if strings.HasPrefix(a.Request.URL.Path, messagesPath) {
		if !strings.HasPrefix(a.Body, `{"type":"error","error":{"type":"rate_limit_error"`) {
			t.Errorf("not Anthropic's: %s", a.Body)
		}
	} else if e := a.wantError(t, http.StatusTooManyRequests); e.code() != code || deref(e.Param) != limit {
		t.Errorf("the error is %s, want %s", a.Body, code)
	}
	after, never := a.Header.Get("Retry-After"), code == "request_too_large"
	if n, err := strconv.Atoi(after); (err != nil || n < 1) != never || (n > 60 || never) != (a.Header.Get("X-Should-Retry") == "false") {
		t.Errorf("Retry-After %q, X-Should-Retry %q", after, a.Header.Get("X-Should-Retry"))
	}
}

// remaining returns how much of a kind is left, as OpenAI's clients are told.
func (a answer) remaining(t testing.TB, kind string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(a.Header.Get("X-Ratelimit-Remaining-"+kind), 10, 64)
	if err != nil {
		t.Fatalf("status %d: how many %s are left: %v: %v", a.StatusCode, kind, err, a.Header)
	}
	return n
}

// TestLimitsOfKeysAndModels: of a key, of a model for all keys, and of a key with a model; with the defaults, and lifted.
func TestLimitsOfKeysAndModels(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	const twice = "{\nrequests 2 1h\n}"
	s := withKeys(up, "model shared {\ntarget up/gpt-upstream\n}", "model both {\ntarget up/gpt-upstream\n}",
		keyLine("plain"), keyLine("more", "limits {\nrequests 100 1h\n}"), keyLine("free", "limits {\n}"),
		keyLine("model", "limits {\n}", "model_limits smart "+twice, "model_limits both {\nrequests 1 1h\n}"),
		"keys {\nlimits {\nrequests 4 1h\n}\nmodel_limits shared {\nrequests 3 1h\n}\nmodel_limits both {\nrequests 50 1h\n}\n}")
	s.Env = keyEnv("plain", "more", "free", "model")
	g := start(t, s)
	ok := func(key, model string, n int) {
		t.Helper()
		for range n {
			wantHello(t, g.post(t, chatPath, chatBody(model, ""), auth(key)), model, "up", 1)
		}
	}
	refused := func(key, model, limit string) {
		t.Helper()
		wantLimited(t, g.post(t, chatPath, chatBody(model, ""), auth(key)), limit, "rate_limit_exceeded")
		wantLimited(t, g.post(t, messagesPath, chatBody(model, `,"max_tokens":5`), "X-Api-Key: "+secretOf(key)), limit, "")
	}
	ok("plain", "smart", 3)
	ok("plain", "shared", 1)
	refused("plain", "smart", "key_requests") // by the default
	ok("more", "smart", 20)
	ok("free", "smart", 20)
	ok("model", "smart", 1)
	ok("model", "fast", 1) // the alias counts as what it stands for
	refused("model", "smart", "key_model_requests")
	refused("model", "fast", "key_model_requests")
	ok("model", "up/gpt-upstream", 3)
	ok("more", "shared", 1)
	ok("free", "shared", 1) // the third of all
	for _, key := range []string{"more", "free", "model"} {
		refused(key, "shared", "model_requests")
	}
	ok("model", "both", 1)
	refused("model", "both", "key_model_requests")
	ok("free", "both", 1)
	a := g.post(t, chatPath, chatBody("both", ""), auth("more"))
	if got := a.Header.Get("Ratelimit-Policy"); got != `"key_requests";q=100;w=3600, "model_requests";q=50;w=3600` || a.remaining(t, "Requests") != 47 {
		t.Errorf("of two limits the client is told %q, and that %d are left", got, a.remaining(t, "Requests"))
	}
}

// TestTokensAreSettled: what a request may use counts while it is under way, then what it has used, and of one that
// has failed nothing.
func TestTokensAreSettled(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello) // 12 tokens
	up.on("failing", playJSON(500, broken))
	up.on("refusing", playJSON(400, errorJSON("no", "invalid_request_error", "")))
	up.on("counting", playSSE(chatEvents("counting", "a"), usageChunk("counting", 100, 23), doneEvent))
	up.on("silent", playSSE(chatEvents("silent", "a"), doneEvent))
	up.on("cut", func(x *exchange) { x.sse(); x.chunk(word("cut", "a")); x.taken(); x.reset() })
	slow := newStepped(up, "slow")
	s := withKeys(up, keyLine("a", "limits {\ntokens 10000 1h\n}"))
	s.Env = keyEnv("a")
	g := start(t, s)
	const input = 8 // of "Say hello", as it is estimated, with what frames it
	used := int64(0)
	check := func(what, body string, uses int64) {
		t.Helper()
		g.post(t, chatPath, body, auth("a"))
		used += uses
		eventually(t, patience, what+" is not settled", func() bool { return g.openRequests() == 0 })
		a := g.post(t, chatPath, chatBody("smart", `,"max_tokens":100`), auth("a"))
		if estimate := 10000 - used - a.remaining(t, "Tokens"); estimate < 101 || estimate > 100+2*input {
			t.Errorf("after %s %d are left, with %d used and 100 for this one's answer", what, a.remaining(t, "Tokens"), used)
		}
		used += 12
	}
	check("an answer", chatBody("smart", `,"max_tokens":5000`), 12)
	check("an answer of which the longest is not known", chatBody("smart", ""), 12)
	check("a failure", chatBody("up/failing", `,"max_tokens":5000`), 0)
	check("a refusal", chatBody("up/refusing", `,"max_tokens":5000`), 0)
	check("a stream", chatBody("up/counting", `,"stream":true,"max_tokens":5000`), 123)
	check("a stream that broke off", chatBody("up/cut", `,"stream":true,"max_tokens":5000`), 0)
	check("what no provider has seen", chatBody("nobody", `,"max_tokens":5000`), 0)
	g.post(t, chatPath, chatBody("up/silent", `,"stream":true,"max_tokens":500`), auth("a"))
	used += 500 // and its input: it is told by nobody, and so as it was estimated
	if left := g.post(t, chatPath, chatBody("smart", ""), auth("a")).remaining(t, "Tokens"); 10000-used-left < 1 || 10000-used-left > 3*input {
		t.Errorf("after a stream without usage %d are left, with %d used", left, used)
	}
	used += 12 + input

	// Under way, and left.
	go func() { slow.steps <- word("slow", "a") }() // the headers come with the first event
	stream := g.open(t, chatPath, chatBody("up/slow", `,"stream":true,"max_tokens":9000`), auth("a"))
	stream.want(word("up/slow", "a"))
	wantLimited(t, g.post(t, chatPath, chatBody("smart", `,"max_tokens":1000`), auth("a")), "key_tokens", "rate_limit_exceeded")
	wantLimited(t, g.post(t, chatPath, chatBody("smart", `,"max_tokens":10001`), auth("a")), "key_tokens", "request_too_large")
	stream.cancel()
	eventually(t, patience, "a stream whose client has left goes on", func() bool { return g.openRequests() == 0 })
	if a := g.post(t, chatPath, chatBody("smart", `,"max_tokens":1000`), auth("a")); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("whoever leaves before the end has used nothing: %d", a.StatusCode)
	}
}

// TestConcurrencyIsBounded: a stream is under way until its end, and so is what waits for its provider; what ended in whichever way is not.
func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	up.on("failing", playJSON(500, broken))
	s := withKeys(up, keyLine("a", "limits {\nconcurrency 2\n}"), keyLine("b"), "keys {\nmodel_limits up/shared {\nconcurrency 1\n}\n}")
	s.Env = keyEnv("a", "b")
	g := start(t, s)
	held := hold(up, "held")
	calls := []*pending{g.begin(t, chatBody("up/held", ""), auth("a")), g.begin(t, streamBody("up/held"), auth("a"))}
	held.next(t)
	held.next(t)
	for _, path := range []string{chatPath, messagesPath} {
		wantLimited(t, g.post(t, path, chatBody("smart", `,"max_tokens":5`), auth("a"), noWait), "key_concurrency", "rate_limit_exceeded")
	}
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("b")), "smart", "up", 1)
	calls[0].cancel()
	eventually(t, patience, "who has left is under way", func() bool { return g.openRequests() == 1 })
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "smart", "up", 1)
	g.reload(s) // what is under way is still
	calls = append(calls, g.begin(t, streamBody("up/held"), auth("a")))
	held.next(t)
	a := g.post(t, chatPath, chatBody("smart", ""), auth("a"), noWait)
	wantLimited(t, a, "key_concurrency", "rate_limit_exceeded")
	if v := a.Header.Get("Ratelimit-Policy"); v != `"key_concurrency";q=2;qu="concurrent-requests"` || a.Header.Get("Retry-After") != "1" || a.Header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("the headers are %v", a.Header)
	}
	close(held.letGo)
	calls[1].wait()
	calls[2].wait()
	for range 5 {
		g.post(t, chatPath, chatBody("up/failing", ""), auth("a"), noWait).wantError(t, http.StatusInternalServerError)
	}
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("a"), noWait), "smart", "up", 1)

	shared := hold(up, "shared")
	call := g.begin(t, chatBody("up/shared", ""), auth("a"))
	shared.next(t)
	wantLimited(t, g.post(t, chatPath, chatBody("up/shared", ""), auth("b"), noWait), "model_concurrency", "rate_limit_exceeded")
	close(shared.letGo)
	call.wait()
	wantHello(t, g.post(t, chatPath, chatBody("up/shared", ""), auth("b"), noWait), "up/shared", "up", 1)
}

// TestRetryAfterIsExact: after that time the request is let in, a second before it is not.
func TestRetryAfterIsExact(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("a", "limits {\nrequests 2 3s\n}"))
	s.Env = keyEnv("a")
	g := start(t, s)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "smart", "up", 1)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "smart", "up", 1)
	a := g.post(t, chatPath, chatBody("smart", ""), auth("a"))
	told := time.Now()
	wantLimited(t, a, "key_requests", "rate_limit_exceeded")
	after, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || after < 2 || after > 4 {
		t.Fatalf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	<-time.After(time.Until(told.Add(time.Duration(after-1)*time.Second - 100*time.Millisecond)))
	wantLimited(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "key_requests", "rate_limit_exceeded")
	<-time.After(time.Until(told.Add(time.Duration(after) * time.Second)))
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "smart", "up", 1)
}

// TestProvidersLimitsAreNotTheClients: what a provider says of its limits is passed on where the client has none, and else left out.
func TestProvidersLimitsAreNotTheClients(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	theirs := []string{
		"X-Ratelimit-Limit-Requests: 9", "X-Ratelimit-Remaining-Requests: 8", "X-Ratelimit-Limit-Tokens: 7", "X-Ratelimit-Reset-Tokens: 6ms", "X-Ratelimit-Limit-Project-Tokens: 5",
		"Anthropic-Ratelimit-Input-Tokens-Remaining: 4", "Ratelimit: theirs", "Ratelimit-Policy: theirs",
	}
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi"), theirs...))
	up.on("busy", playJSON(429, errorJSON("slow down", "requests", "rate_limit_exceeded"), append(theirs, "Retry-After: 17")...))
	s := withKeys(up, keyLine("a", "limits {\nrequests 3 1h\n}"), keyLine("b"))
	s.Env = keyEnv("a", "b")
	g := start(t, s)
	free := g.post(t, chatPath, chatBody("smart", ""), auth("b"))
	for _, model := range []string{"smart", "up/busy"} {
		limited := g.post(t, chatPath, chatBody(model, ""), auth("a"))
		for _, line := range theirs {
			name, value, _ := strings.Cut(line, ": ")
			if limited.Header.Get(name) == value || strings.Contains(name, "Tokens") && limited.Header.Get(name) != "" {
				t.Errorf("%s: %s %q of a client with limits of its own", model, name, limited.Header.Get(name))
			}
			if free.Header.Get(name) != value {
				t.Errorf("%s: %s %q of a client without limits", model, name, free.Header.Get(name))
			}
		}
		if busy := model != "smart"; busy != (limited.StatusCode == http.StatusTooManyRequests) || busy != (limited.Header.Get("Retry-After") == "17") {
			t.Errorf("%s: %d, Retry-After %q", model, limited.StatusCode, limited.Header.Get("Retry-After"))
		}
	}
}

// TestWaitingForALimit: in line like the others, within the client's patience and the line's, told every five seconds, and no
// longer than the gateway lives.
func TestWaitingForALimit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	lined := func(wait, length string) setup {
		s := withKeys(up, keyLine("a", "limits {\nrequests 1 6s\n}"), keyLine("b", "limits {\nrequests 1 20s\n}"), keyLine("c", "limits {\nrequests 1 1h\n}"))
		s.App = strings.Replace(s.App, "wait off", "wait "+wait+"\nlength "+length, 1)
		s.Env = keyEnv("a", "b", "c")
		return s
	}
	s := lined("60s", "3")
	g := start(t, s)
	for _, key := range []string{"a", "b", "c"} {
		wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth(key)), "smart", "up", 1)
	}
	wantLimited(t, g.post(t, chatPath, chatBody("smart", ""), auth("c")), "key_requests", "rate_limit_exceeded") // in vain for an hour
	wantLimited(t, g.post(t, chatPath, chatBody("smart", ""), auth("a"), "Prefer: wait=2"), "key_requests", "rate_limit_exceeded")
	whole := g.begin(t, chatBody("smart", ""), auth("a"), "Prefer: wait=30")
	gone := g.begin(t, chatBody("smart", ""), auth("b"))
	g.awaitLine(t, 2)
	stays := g.begin(t, chatBody("smart", ""), auth("b"))
	g.awaitLine(t, 3)
	wantMetric(t, g, 3, "runestone_line_waiting")
	wantLimited(t, g.post(t, chatPath, chatBody("smart", ""), auth("b"), "Prefer: wait=40"), "key_requests", "rate_limit_exceeded") // the line is full
	gone.cancel()
	g.awaitLine(t, 2)
	a := whole.wait()
	wantHello(t, a, "smart", "up", 1)
	if whole.took < 3*time.Second || whole.took > 8*time.Second || a.Header.Get("Preference-Applied") != "wait=30" || a.Header.Get("X-Should-Retry") != "" {
		t.Errorf("it was served after %v, %v", whole.took, a.Header)
	}
	stream := g.open(t, chatPath, streamBody("smart"), auth("a"))
	text, err := stream.rest()
	if head, events, _ := strings.Cut(text, "\n\n"); err != nil || head != ": waiting" || !strings.HasPrefix(events, "data: ") || !strings.HasSuffix(events, doneEvent) {
		t.Errorf("the stream is %q (%v)", text, err)
	}
	began := time.Now()
	g.terminate()
	if e := stays.wait().wantError(t, http.StatusServiceUnavailable); e.code() != "shutting_down" {
		t.Errorf("at the end of the gateway: %s", e.code())
	}
	g.awaitExit(patience)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it has waited %v for who waits for a limit", took)
	}
	wantHello(t, g.again(t, s).post(t, chatPath, chatBody("smart", ""), auth("b")), "smart", "up", 1)
}

// TestLimitsAnswer: every answer of a call that counts says how the limits stand, and only of those.
func TestLimitsAnswer(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	up.on("/v1/files", playJSON(200, `{"id":"file-1"}`))
	s := withKeys(up, keyLine("a", "limits {\nrequests 100 1h\ntokens 1000 1h\n}"))
	s.Env = keyEnv("a")
	g := start(t, s)
	for i, c := range []struct {
		path, body string
		status     int
		told       bool
	}{
		{chatPath, chatBody("smart", ""), 200, true},
		{chatPath, streamBody("smart"), 200, true},
		{chatPath, chatBody("nobody", ""), 404, true},
		{messagesPath, chatBody("smart", `,"max_tokens":9`), 200, true},
		{messagesPath, chatBody("smart", `,"max_tokens":5000`), 429, true},
		{chatPath, "{", 400, false},
		{"/v1/files", "{}", 200, true},
		{"/v1/models", "", 200, false},
		{"/health/live", "", 200, false},
	} {
		method := http.MethodPost
		if c.body == "" {
			method = http.MethodGet
		}
		a := g.do(t, method, c.path, c.body, "Content-Type: application/json", auth("a"))
		names := []string{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"}
		if c.path == messagesPath {
			names = []string{"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset", "Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"}
		}
		told := 0
		for name := range a.Header {
			if strings.Contains(name, "Ratelimit-") {
				told++
			}
		}
		all := a.Header.Get("Ratelimit") != ""
		for _, name := range names {
			all = all && a.Header.Get(name) != ""
		}
		if a.StatusCode != c.status || all != c.told || (told == len(names)+1) != c.told {
			t.Errorf("%d: %s: %d %v\n%s", i, c.path, a.StatusCode, a.Header, a.Body)
		}
	}
	res, err := g.send(t, t.Context(), http.MethodPost, chatPath, chatBody("smart", ""), "Content-Type: application/json", auth("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	policy := fmt.Sprint(res.Header.Values("Ratelimit-Policy"), res.Header.Values("Ratelimit"))
	if !strings.Contains(policy, `"key_requests";q=100;w=3600, "key_tokens";q=1000;qu="tokens";w=3600`) || !strings.Contains(policy, `"key_requests";r=94;t=36`) {
		t.Errorf("the IETF's fields are %s", policy)
	}
}
