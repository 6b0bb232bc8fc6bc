package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestUpstreamErrorsPassThrough: with one target, the provider's refusal is the
// client's to read, status, body, Retry-After and rate-limit headers.
func TestUpstreamErrorsPassThrough(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	for _, status := range []int{400, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504, 529} {
		for _, kind := range []struct{ contentType, body string }{
			{"application/json", errorJSON("of the provider", "server_error", "x")},
			{"text/html; charset=utf-8", "<h1>Bad Gateway</h1>"},
			{"application/json", ""},
		} {
			for _, ask := range []string{chatBody("up/e", ""), streamBody("up/e")} {
				up.on("e", func(x *exchange) {
					x.answer(status, kind.contentType, kind.body, "Retry-After: 0", "X-Ratelimit-Reset-Requests: 1s", "X-Should-Retry: false")
				})
				a := g.post(t, chatPath, ask)
				if a.StatusCode != status || a.Body != kind.body || a.Header.Get("Content-Type") != kind.contentType || a.Err != nil {
					t.Errorf("%d became %d, %q became %q (%v)", status, a.StatusCode, kind.body, a.Body, a.Err)
				}
				if a.Header.Get("Retry-After") != "0" || a.Header.Get("X-Ratelimit-Reset-Requests") != "1s" || a.Header.Get("X-Should-Retry") != "false" {
					t.Errorf("%d: headers %v", status, a.Header)
				}
				if a.Header.Get("X-Request-Id") == "" || a.Header.Get("Runestone-Provider") != "up" {
					t.Errorf("%d: headers %v", status, a.Header)
				}
			}
		}
	}
}

// TestNoAnswerAtAll: what is not even a refusal becomes the gateway's own error.
func TestNoAnswerAtAll(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up, "provider gone openai {\nbase_url "+refusedURL(t)+"/v1\n}", "timeouts {\ntotal 5s\n}"))
	for name, script := range map[string]func(*exchange){
		"a connection that ends":       (*exchange).fin,
		"a connection that is reset":   (*exchange).reset,
		"something other than HTTP":    func(x *exchange) { x.write("SSH-2.0-OpenSSH_9.9\r\n"); x.fin() },
		"half a header":                func(x *exchange) { x.write("HTTP/1.1 200 OK\r\nContent-Ty"); x.fin() },
		"headers without end":          func(x *exchange) { endlessHeaders(x) },
		"two lengths":                  func(x *exchange) { x.head(200, "Content-Length: 3", "Content-Length: 5"); x.write("abcde"); x.fin() },
		"a switch of protocols":        func(x *exchange) { x.head(101, "Upgrade: websocket", "Connection: Upgrade"); x.hang() },
		"a stream that ends at once":   func(x *exchange) { x.sse(); x.end() },
		"a stream of one comment":      func(x *exchange) { x.sse(); x.chunk(": PROCESSING\n\n"); x.end() },
		"a stream reset at once":       func(x *exchange) { x.sse(); x.taken(); x.reset() },
		"a stream of bytes of no form": func(x *exchange) { x.sse(); x.chunk("<html>busy</html>"); x.end() },
	} {
		t.Run(name, func(t *testing.T) {
			up.on("none", script)
			a := g.post(t, chatPath, streamBody("up/none"))
			if a.StatusCode == 200 && strings.HasPrefix(a.Body, ": PROCESSING") { // sent as a sign of life
				wantCut(t, a, ": PROCESSING\n\n")
				return
			}
			if e := a.wantError(t, http.StatusBadGateway); strings.Contains(e.Message, "127.0.0.1") {
				t.Errorf("the message tells of the inside: %q", e.Message)
			}
		})
	}
	for name, body := range map[string]string{"an answer": chatBody("gone/x", ""), "a stream": streamBody("gone/x")} {
		t.Run("a refused connection for "+name, func(t *testing.T) {
			a := g.post(t, chatPath, body)
			if a.StatusCode != 503 {
				a.wantError(t, http.StatusBadGateway)
			} else {
				a.wantError(t, http.StatusServiceUnavailable)
			}
		})
	}
}

// endlessHeaders sends header after header until the gateway has had enough.
func endlessHeaders(x *exchange) {
	x.write("HTTP/1.1 200 OK\r\n")
	for i := 0; !x.done && i < 2_000_000; i++ {
		x.write(fmt.Sprintf("X-%d: %s\r\n", i, strings.Repeat("y", 4000)))
	}
	x.fin()
}

// TestStaleConnection: a provider closes idle connections when it likes, and a client
// must not notice.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	up.on("stale", func(x *exchange) {
		x.json(200, chatJSON("stale", "hi"))
		x.done = true // the connection is closed although nobody said so
	})
	for i := range 30 {
		if a := g.post(t, chatPath, chatBody("up/stale", "")); a.StatusCode != 200 {
			t.Fatalf("request %d: status %d: %s", i, a.StatusCode, a.Body)
		}
	}
}

// TestInterimAnswers: 1xx answers may precede the real one.
func TestInterimAnswers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	up.on("interim", func(x *exchange) {
		x.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
		x.taken()
		x.json(200, chatJSON("interim", "hi"))
	})
	for range 3 {
		if a := g.post(t, chatPath, chatBody("up/interim", "")); a.StatusCode != 200 || a.Body != chatJSON("up/interim", "hi") {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	}
}

// TestRedirectsAreNotFollowed: the provider's key goes to the provider only.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	up, thief := newUpstream(t), newUpstream(t)
	g := start(t, oneProvider(up))
	for _, status := range []int{301, 302, 303, 307, 308} {
		up.on("moved", playJSON(status, `{}`, "Location: "+thief.URL()+"/v1/chat/completions"))
		g.post(t, chatPath, chatBody("up/moved", ""))
		g.post(t, chatPath, streamBody("up/moved"))
	}
	if thief.requests() != 0 {
		t.Error("a redirect was followed, with the request and perhaps the key")
	}
}

// failures are what must make the gateway go on to the next target.
var failures = map[string]func(*exchange){
	"500":                          playJSON(500, errorJSON("down", "server_error", "")),
	"502":                          playJSON(502, "<html>"),
	"503 with Retry-After":         playJSON(503, errorJSON("down", "server_error", ""), "Retry-After: 0"), // a longer one would keep the target for the next test
	"504":                          playJSON(504, ""),
	"529":                          playJSON(529, errorJSON("overloaded", "overloaded_error", "")),
	"429":                          playJSON(429, errorJSON("slow down", "requests", "rate_limit_exceeded"), "Retry-After: 0"),
	"a reset":                      (*exchange).reset,
	"a FIN":                        (*exchange).fin,
	"silence":                      (*exchange).hang,
	"something other than HTTP":    func(x *exchange) { x.write("nonsense\r\n\r\n"); x.fin() },
	"headers and then a reset":     func(x *exchange) { x.sse(); x.taken(); x.reset() },
	"headers and then silence":     func(x *exchange) { x.sse(); x.hang() },
	"an empty stream":              playSSE(""),
	"half an event":                func(x *exchange) { x.sse(); x.chunk("data: {\"cho"); x.taken(); x.fin() },
	"an error for the first event": playSSE("data: " + errorJSON("Overloaded", "server_error", "") + "\n\n"),
}

// streamOnly are the failures that are failures of a stream.
var streamOnly = map[string]bool{"headers and then a reset": true, "headers and then silence": true, "an empty stream": true,
	"half an event": true, "an error for the first event": true}

// TestFailover is that a failure before the first byte is not the client's to see
// while another target can serve.
func TestFailover(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	g := start(t, twoTargets(first.URL(), second.URL(), "timeouts {\nfirst_byte 400ms\ntotal 1500ms\n}"))
	route := second.on("gpt-second", func(x *exchange) {
		if strings.Contains(string(x.Body), `"stream":true`) {
			playSSE(chatEvents("gpt-second", "Hello"), doneEvent)(x)
			return
		}
		x.json(200, chatJSON("gpt-second", "Hello"))
	})
	served := func(t *testing.T, ask, want string) {
		t.Helper()
		a := g.post(t, chatPath, ask)
		if a.StatusCode != 200 || a.Err != nil || a.Body != want {
			t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, want))
		}
		if p, n := a.Header.Get("Runestone-Provider"), a.Header.Get("Runestone-Attempts"); p != "second" || n < "2" {
			t.Errorf("Runestone-Provider %q, Runestone-Attempts %q", p, n)
		}
		if a.Header.Get("Retry-After") != "" {
			t.Error("the first target's Retry-After reached the client")
		}
		if got := modelOf(route.next(t).Body); got != "gpt-second" {
			t.Errorf("the second target was asked for %q", got)
		}
	}
	for name, script := range failures {
		t.Run(name, func(t *testing.T) {
			first.on("gpt-first", script)
			served(t, streamBody("smart"), chatEvents("smart", "Hello")+doneEvent)
			if !streamOnly[name] && name != "silence" { // Total leaves no time for a second target
				served(t, chatBody("smart", ""), chatJSON("smart", "Hello"))
			}
		})
	}
}

// TestFailoverFromARefusedConnection has no first upstream to script.
func TestFailoverFromARefusedConnection(t *testing.T) {
	t.Parallel()
	second := newUpstream(t)
	second.on("gpt-second", playJSON(200, chatJSON("gpt-second", "Hello")))
	for name, first := range map[string]string{"refused": refusedURL(t), "deaf": "http://" + deafAddress(t)} {
		t.Run(name, func(t *testing.T) {
			g := start(t, twoTargets(first, second.URL(), "timeouts {\nconnect 300ms\n}"))
			for range 3 {
				began := time.Now()
				if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 200 || a.Body != chatJSON("smart", "Hello") {
					t.Errorf("status %d: %s", a.StatusCode, a.Body)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
			}
		})
	}
}

// TestNoFailover is what must stay with the first target.
func TestNoFailover(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	g := start(t, twoTargets(first.URL(), second.URL()))
	for _, status := range []int{400, 404, 413, 422} {
		t.Run(fmt.Sprint("a refusal with ", status), func(t *testing.T) {
			body := errorJSON("not like this", "invalid_request_error", "")
			first.on("gpt-first", playJSON(status, body))
			if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != status || a.Body != body {
				t.Errorf("status %d: %s", a.StatusCode, a.Body)
			}
		})
	}
	t.Run("a stream that has begun", func(t *testing.T) {
		first.on("gpt-first", func(x *exchange) {
			x.sse()
			x.chunk(word("gpt-first", "Hello"))
			x.taken()
			x.reset()
		})
		wantCut(t, g.post(t, chatPath, streamBody("smart")), word("smart", "Hello"))
	})
	t.Run("a request that names its provider", func(t *testing.T) {
		body := errorJSON("down", "server_error", "")
		first.on("other", playJSON(500, body))
		if a := g.post(t, chatPath, chatBody("first/other", "")); a.StatusCode != 500 || a.Body != body {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	})
	t.Run("an upload", func(t *testing.T) {
		first.on("/v1/files", playJSON(503, `{}`))
		if a := g.do(t, "POST", "/v1/files", "bytes", "Content-Type: application/octet-stream"); a.StatusCode != 503 {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	})
	if second.requests() != 0 {
		t.Errorf("the second target got %d requests", second.requests())
	}
}

// TestEveryTargetFails: the client gets some target's own words, or the gateway's.
func TestEveryTargetFails(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	g := start(t, twoTargets(first.URL(), second.URL()))
	first.on("gpt-first", playJSON(500, errorJSON("first is down", "server_error", "")))
	for name, script := range map[string]func(*exchange){
		"with an error": playJSON(503, errorJSON("second is down", "server_error", ""), "Retry-After: 3"),
		"with a reset":  (*exchange).reset,
	} {
		for kind, body := range map[string]string{"an answer": chatBody("smart", ""), "a stream": streamBody("smart")} {
			t.Run(name+" for "+kind, func(t *testing.T) {
				second.on("gpt-second", script)
				a := g.post(t, chatPath, body)
				if a.StatusCode < 500 {
					t.Errorf("status %d", a.StatusCode)
				}
				if _, err := parseError([]byte(a.Body)); err != nil {
					t.Errorf("%v: %s", err, a.Body)
				}
			})
		}
	}
}
