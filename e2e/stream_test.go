package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEventsAreNotHeldBack is that each event reaches the client before the
// upstream sends the next.
func TestEventsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	go1 := make(chan struct{})
	up.on("steps", func(x *exchange) {
		x.sse()
		for i := range 50 {
			x.chunk(word("steps", fmt.Sprint(i)))
			select {
			case <-go1:
			case <-x.gone:
				return
			}
		}
		x.chunk(chunk("steps", `{}`, "stop") + doneEvent)
		x.end()
	})
	s := g.open(t, chatPath, streamBody("up/steps"))
	for i := range 50 {
		s.want(word("up/steps", fmt.Sprint(i)))
		go1 <- struct{}{}
	}
	if rest, err := s.rest(); err != nil || rest != chunk("up/steps", `{}`, "stop")+doneEvent {
		t.Errorf("the end is %q, error %v", rest, err)
	}
}

// TestDisconnect is that the upstream connection is closed soon after the client's,
// whatever the request was waiting for.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	for name, c := range map[string]struct {
		body   string
		script func(*exchange)
		reads  int // bytes of the answer that the client reads before it leaves
	}{
		"before the headers of a stream":  {streamBody("up/KEY"), (*exchange).hang, -1},
		"before the headers of an answer": {chatBody("up/KEY", ""), (*exchange).hang, -1},
		"between headers and first event": {streamBody("up/KEY"), func(x *exchange) {
			x.sse()
			x.hang()
		}, -1},
		"in the midst of a stream": {streamBody("up/KEY"), func(x *exchange) {
			x.sse()
			x.chunk(word("m", "Hello"))
			x.hang()
		}, 100},
		"in the midst of an event": {streamBody("up/KEY"), func(x *exchange) {
			x.sse()
			x.chunk(word("m", "Hello"))
			x.chunk("data: {")
			x.hang()
		}, 100},
		"in the midst of an answer": {chatBody("up/KEY", ""), func(x *exchange) {
			x.head(200, "Content-Type: application/json", "Content-Length: 1000000")
			x.write(`{"id":"c","model":"m","data":"` + strings.Repeat("x", 100_000))
			x.hang()
		}, 1000},
		"while events come fast": {streamBody("up/KEY"), func(x *exchange) {
			x.sse()
			for !x.done {
				x.chunk(word("m", "Hello"))
			}
			x.hang()
		}, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "leave-" + strings.ReplaceAll(name, " ", "-")
			route := up.on(key, c.script)
			ctx, cancel := context.WithCancel(t.Context())
			arrived := make(chan struct{})
			go func() {
				defer close(arrived)
				res, err := g.send(t, ctx, http.MethodPost, chatPath, strings.ReplaceAll(c.body, "KEY", key), "Content-Type: application/json")
				if err == nil {
					defer res.Body.Close()
					_, _ = io.CopyN(io.Discard, res.Body, int64(c.reads))
				}
			}()
			x := route.next(t)
			if c.reads > 0 {
				<-arrived
			}
			left := time.Now()
			cancel()
			wantLeft(t, x, left)
			<-arrived
		})
	}
}

// TestDisconnectDuringUpload is the same for a body that is relayed as it comes.
func TestDisconnectDuringUpload(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	broke := make(chan error, 1)
	route := up.onHead("/v1/files", func(x *exchange) {
		x.readBody()
		broke <- x.BodyErr
		x.hang()
	})
	c := dialRaw(t, g)
	c.send("POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 40_000))
	x := route.next(t)
	left := time.Now()
	_ = c.Close()
	wantLeft(t, x, left)
	if err := <-broke; err == nil {
		t.Error("the upstream took half an upload for a whole one")
	}
}

// deathKey names the upstream model of the death tests.
const deathKey = "dying"

// wantCut fails the test unless the stream was: these whole events, then one error
// event, then a proper end without [DONE].
func wantCut(t *testing.T, a answer, events string) {
	t.Helper()
	if a.StatusCode != 200 || a.Err != nil {
		t.Fatalf("status %d, error %v: the stream was not ended properly: %q", a.StatusCode, a.Err, a.Body)
	}
	last, found := strings.CutPrefix(a.Body, events)
	if !found {
		t.Fatal(difference(a.Body, events))
	}
	e := wantErrorEvent(t, last)
	if strings.Contains(e.Message, upstreamKey) || strings.Contains(e.Message, "127.0.0.1") {
		t.Errorf("the message tells of the inside: %q", e.Message)
	}
}

// TestUpstreamDeath is that a stream which its provider does not end is ended by an
// error event, since SDKs take a silent end for success.
func TestUpstreamDeath(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	said := chunk("up/"+deathKey, `{"role":"assistant","content":""}`, "") + word("up/"+deathKey, "Hello")
	begin := func(x *exchange) {
		x.sse()
		x.chunk(chunk(deathKey, `{"role":"assistant","content":""}`, "") + word(deathKey, "Hello"))
		x.taken() // else a reset may overtake what was written
	}
	for name, die := range map[string]func(*exchange){
		"FIN in the midst of the chunks":    (*exchange).fin,
		"a proper end without a finish":     (*exchange).end,
		"a reset":                           (*exchange).reset,
		"a chunk length that is no number":  func(x *exchange) { x.write("zz\r\nnonsense"); x.hang() },
		"a chunk longer than it said":       func(x *exchange) { x.write("2\r\nabcdef\r\n"); x.hang() },
		"FIN in the midst of an event":      func(x *exchange) { x.chunk("data: {\"choices\":[{\"del"); x.taken(); x.fin() },
		"an end in the midst of an event":   func(x *exchange) { x.chunk("data: {\"choices\":[{\"del"); x.end() },
		"a reset in the midst of an event":  func(x *exchange) { x.chunk("data: {\"choi"); x.taken(); x.reset() },
		"an event that is no JSON, and FIN": func(x *exchange) { x.chunk("data: {\"choices\":[{\"del\n\n"); x.taken(); x.fin() },
		"FIN in the midst of a chunk":       func(x *exchange) { x.write("400\r\ndata: {"); x.taken(); x.fin() },
	} {
		t.Run(name, func(t *testing.T) {
			up.on(deathKey, func(x *exchange) {
				begin(x)
				die(x)
			})
			events := said
			if strings.Contains(name, "no JSON") {
				events += "data: {\"choices\":[{\"del\n\n"
			}
			wantCut(t, g.post(t, chatPath, streamBody("up/"+deathKey)), events)
		})
	}
	t.Run("an end by the connection's end", func(t *testing.T) {
		up.on(deathKey, func(x *exchange) {
			x.head(200, "Content-Type: text/event-stream", "Connection: close")
			x.write(chunk(deathKey, `{"role":"assistant","content":""}`, "") + word(deathKey, "Hello"))
			x.fin()
		})
		wantCut(t, g.post(t, chatPath, streamBody("up/"+deathKey)), said)
	})
	t.Run("a broken legacy completion", func(t *testing.T) {
		up.on(deathKey, playSSE("data: "+completionJSON(deathKey, "once", "null")+"\n\n"))
		wantCut(t, g.post(t, completionsPath, streamBody("up/"+deathKey)), "data: "+completionJSON("up/"+deathKey, "once", "null")+"\n\n")
	})
	t.Run("a broken answer that does not stream breaks the connection", func(t *testing.T) {
		up.on(deathKey, func(x *exchange) {
			x.head(200, "Content-Type: application/json", "Content-Length: 200000")
			x.write(`{"model":"x","d":"` + strings.Repeat("x", 100_000))
			x.taken()
			x.reset()
		})
		if a := g.post(t, chatPath, chatBody("up/"+deathKey, "")); a.StatusCode == 200 && a.Err == nil {
			t.Error("the client took half an answer for a whole one")
		}
	})
}

// TestBrokenResponseStream asks the SDK, which knows the dialect of the Responses API.
func TestBrokenResponseStream(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	events := responseEvents("broken", "Hel", "lo")
	up.on("broken", playSSE(events[:5]...))
	a := g.post(t, responsesPath, `{"model":"up/broken","input":"hi","stream":true}`)
	said := strings.ReplaceAll(strings.Join(events[:5], ""), `"model":"broken"`, `"model":"up/broken"`)
	last, found := strings.CutPrefix(a.Body, said)
	if a.Err != nil || !found {
		t.Fatalf("error %v: %s", a.Err, difference(a.Body, said))
	}
	if !strings.Contains(last, `"error"`) || !strings.HasSuffix(last, "\n\n") || strings.Contains(last, "[DONE]") || strings.Count(last, "data:") != 1 {
		t.Errorf("the end is not one error event: %q", last)
	}
}

// TestStreamEnds is about ends that are good enough.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	full := func(m string) string { return chatEvents(m, "Hello") }
	for name, c := range map[string]struct {
		script func(*exchange)
		want   string
	}{
		"a finish without DONE gets one":          {playSSE(full("e")), full("up/e") + doneEvent},
		"a finish and usage without DONE get one": {playSSE(full("e") + usageChunk("e", 1, 2)), full("up/e") + doneEvent},
		"so does one that is ended by the connection": {func(x *exchange) {
			x.head(200, "Content-Type: text/event-stream", "Connection: close")
			x.write(full("e"))
			x.fin()
		}, full("up/e") + doneEvent},
		"a finish without its blank line is completed": {playSSE(strings.TrimSuffix(full("e"), "\n")), full("up/e") + doneEvent},
		"DONE without a finish is the provider's word": {playSSE(word("e", "Hello") + doneEvent), word("up/e", "Hello") + doneEvent},
		"nothing but DONE is an empty answer":          {playSSE(doneEvent), doneEvent},
		"length is a finish as well":                   {playSSE(chunk("e", `{"content":"x"}`, "length")), chunk("up/e", `{"content":"x"}`, "length") + doneEvent},
		"the provider's own error event ends it": {playSSE(word("e", "x") + "data: " + errorJSON("Overloaded", "server_error", "overloaded") + "\n\n"),
			word("up/e", "x") + "data: " + errorJSON("Overloaded", "server_error", "overloaded") + "\n\n"},
		"and so does one with an event name": {playSSE(word("e", "x") + "event: error\ndata: {\"error\":{\"message\":\"Overloaded\"}}\n\n"),
			word("up/e", "x") + "event: error\ndata: {\"error\":{\"message\":\"Overloaded\"}}\n\n"},
		"an answer that is no stream after all": {playJSON(200, chatJSON("e", "hi")), chatJSON("up/e", "hi")},
	} {
		t.Run(name, func(t *testing.T) {
			up.on("e", c.script)
			a := g.post(t, chatPath, streamBody("up/e"))
			if a.StatusCode != 200 || a.Err != nil || a.Body != c.want {
				t.Errorf("status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, c.want))
			}
		})
	}
}

// TestErrorAsFirstEvent is that a 200 which turns out to be an error becomes one.
func TestErrorAsFirstEvent(t *testing.T) {
	t.Parallel()
	up, second := newUpstream(t), newUpstream(t)
	one := start(t, oneProvider(up))
	two := start(t, twoTargets(up.URL(), second.URL()))
	second.on("gpt-second", playSSE(chatEvents("gpt-second", "Hello"), doneEvent))
	for name, text := range map[string]string{
		"an error object":           "data: " + errorJSON("Overloaded just now", "server_error", "overloaded") + "\n\n",
		"one with a numeric code":   "data: {\"error\":{\"code\":502,\"message\":\"Overloaded just now\",\"metadata\":{}}}\n\n",
		"one with an event name":    "event: error\ndata: " + errorJSON("Overloaded just now", "server_error", "overloaded") + "\n\n",
		"one after comments":        ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {\"error\":{\"message\":\"Overloaded just now\",\"type\":\"server_error\"}}\n\n",
		"vLLM's form":               "data: {\"object\":\"error\",\"message\":\"Overloaded just now\",\"type\":\"server_error\",\"param\":null,\"code\":503}\n\ndata: [DONE]\n\n",
		"a chunk with an error too": "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":\"server_error\",\"message\":\"Overloaded just now\"}}\n\n",
	} {
		for _, cut := range []int{0, 1, len(text) / 2, len(text) - 1} {
			script := func(x *exchange) { delivery{cuts: []int{cut}}.send(x, "text/event-stream", text) }
			t.Run(fmt.Sprintf("%s, cut at %d", name, cut), func(t *testing.T) {
				up.on("first", script)
				up.on("gpt-first", script)
				a := one.post(t, chatPath, streamBody("up/first"))
				if a.StatusCode < 500 && a.StatusCode != 429 || !strings.Contains(a.Body, "Overloaded just now") {
					t.Errorf("one target: status %d: %s", a.StatusCode, a.Body)
				}
				if _, err := parseError([]byte(a.Body)); err != nil {
					t.Errorf("one target: %v: %s", err, a.Body)
				}
				a = two.post(t, chatPath, streamBody("smart"))
				if want := chatEvents("smart", "Hello") + doneEvent; a.StatusCode != 200 || a.Err != nil || a.Body != want {
					t.Errorf("two targets: status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, want))
				}
			})
		}
	}
}
