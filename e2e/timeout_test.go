package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within reports whether a timeout of limit was kept, with room for a busy machine.
func within(t *testing.T, began time.Time, limit time.Duration) {
	t.Helper()
	if took := time.Since(began); took < limit || took > limit+2*time.Second {
		t.Errorf("it took %v, and the timeout is %v", took, limit)
	}
}

// limited is oneProvider with these timeouts.
func limited(up *upstream, timeouts string) setup {
	return oneProvider(up, "timeouts {\n"+timeouts+"\n}")
}

// deafAddress is a loopback address on which connecting neither succeeds nor fails:
// its backlog is full and nobody accepts.
func deafAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("this system takes any number of connections into a backlog")
	return ""
}

// refusedURL is the base of a server that is not there.
func refusedURL(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := limited(up, "connect 400ms")
	s.App = strings.Replace(s.App, up.URL(), "http://"+deafAddress(t), 1)
	g := start(t, s)
	for name, body := range map[string]string{"an answer": chatBody("smart", ""), "a stream": streamBody("smart")} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			g.post(t, chatPath, body).wantError(t, http.StatusGatewayTimeout)
			// The same target may be tried once more after a failure to connect.
			if took := time.Since(began); took < 400*time.Millisecond || took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestFirstByteTimeout(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, limited(up, "first_byte 500ms"))
	for name, script := range map[string]func(*exchange){
		"no headers":            (*exchange).hang,
		"headers and no event":  func(x *exchange) { x.sse(); x.hang() },
		"headers and a comment": func(x *exchange) { x.sse(); x.chunk(": PROCESSING\n\n"); x.hang() },
		"half an event":         func(x *exchange) { x.sse(); x.chunk("data: {\"choices\""); x.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := strings.ReplaceAll(name, " ", "-")
			route := up.on(key, script)
			began := time.Now()
			a := g.post(t, chatPath, streamBody("up/"+key))
			within(t, began, 500*time.Millisecond)
			// The comment may have gone out as a sign of life, and then there is no status left.
			if a.StatusCode == 200 && name == "headers and a comment" {
				wantCut(t, a, ": PROCESSING\n\n")
			} else {
				a.wantError(t, http.StatusGatewayTimeout)
			}
			if _, ok := route.next(t).leftAt(leaveLimit); !ok {
				t.Error("the upstream connection stayed open")
			}
		})
	}
	t.Run("it is not for answers that do not stream", func(t *testing.T) {
		t.Parallel()
		up.on("slow", func(x *exchange) {
			<-time.After(1200 * time.Millisecond)
			x.json(200, chatJSON("slow", "hi"))
		})
		if a := g.post(t, chatPath, chatBody("up/slow", "")); a.StatusCode != 200 {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, limited(up, "idle 500ms"))
	t.Run("a stream that falls silent ends with an error event", func(t *testing.T) {
		t.Parallel()
		route := up.on("silent", func(x *exchange) {
			x.sse()
			x.chunk(word("silent", "Hello"))
			x.hang()
		})
		s := g.open(t, chatPath, streamBody("up/silent"))
		s.want(word("up/silent", "Hello"))
		began := time.Now()
		rest, err := s.rest()
		within(t, began.Add(-50*time.Millisecond), 500*time.Millisecond)
		if wantErrorEvent(t, rest); err != nil {
			t.Errorf("the stream was not ended properly: %v", err)
		}
		if _, ok := route.next(t).leftAt(leaveLimit); !ok {
			t.Error("the upstream connection stayed open")
		}
	})
	t.Run("comments are signs of life", func(t *testing.T) {
		t.Parallel()
		up.on("alive", func(x *exchange) {
			x.sse()
			x.chunk(word("alive", "Hello"))
			for range 8 {
				<-time.After(200 * time.Millisecond)
				x.chunk(": keep-alive\n\n")
			}
			x.chunk(chunk("alive", `{}`, "stop") + doneEvent)
			x.end()
		})
		a := g.post(t, chatPath, streamBody("up/alive"))
		if want := word("up/alive", "Hello") + strings.Repeat(": keep-alive\n\n", 8) + chunk("up/alive", `{}`, "stop") + doneEvent; a.Err != nil || a.Body != want {
			t.Errorf("error %v: %s", a.Err, difference(a.Body, want))
		}
	})
	t.Run("an answer whose head comes long before it is waited for", func(t *testing.T) {
		t.Parallel()
		up.on("early", func(x *exchange) {
			text := chatJSON("early", "hi")
			x.head(200, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(text)))
			<-time.After(1500 * time.Millisecond)
			x.write(text)
		})
		if a := g.post(t, chatPath, chatBody("up/early", "")); a.StatusCode != 200 || a.Body != chatJSON("up/early", "hi") {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	})
	t.Run("an answer that falls silent breaks off", func(t *testing.T) {
		t.Parallel()
		up.on("half", func(x *exchange) {
			x.head(200, "Content-Type: application/json", "Content-Length: 1000000")
			x.write(`{"model":"x","d":"` + strings.Repeat("x", 200_000))
			x.hang()
		})
		began := time.Now()
		a := g.post(t, chatPath, chatBody("up/half", ""))
		within(t, began, 500*time.Millisecond)
		if a.StatusCode == 200 && a.Err == nil {
			t.Error("the client took half an answer for a whole one")
		}
	})
}

func TestTotalTimeout(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, limited(up, "total 900ms"))
	t.Run("of an answer", func(t *testing.T) {
		t.Parallel()
		route := up.on("never", (*exchange).hang)
		began := time.Now()
		g.post(t, chatPath, chatBody("up/never", "")).wantError(t, http.StatusGatewayTimeout)
		within(t, began, 900*time.Millisecond)
		if _, ok := route.next(t).leftAt(leaveLimit); !ok {
			t.Error("the upstream connection stayed open")
		}
	})
	t.Run("of a stream that never falls silent", func(t *testing.T) {
		t.Parallel()
		up.on("endless", func(x *exchange) {
			x.sse()
			for !x.done {
				x.chunk(word("endless", "x"))
				select {
				case <-time.After(30 * time.Millisecond):
				case <-x.gone:
					x.done = true
				}
			}
		})
		began := time.Now()
		a := g.post(t, chatPath, streamBody("up/endless"))
		within(t, began, 900*time.Millisecond)
		n := strings.Count(a.Body, word("up/endless", "x"))
		if n == 0 {
			t.Fatalf("no event came: %s", a.Body)
		}
		wantCut(t, a, strings.Repeat(word("up/endless", "x"), n))
	})
}

func TestTimeoutsOfOneProvider(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := limited(up, "first_byte 20s")
	s.App = strings.Replace(s.App, "api_key", "timeouts {\n first_byte 300ms\n}\n api_key", 1)
	g := start(t, s)
	up.on("gpt-upstream", (*exchange).hang)
	began := time.Now()
	g.post(t, chatPath, streamBody("smart")).wantError(t, http.StatusGatewayTimeout)
	within(t, began, 300*time.Millisecond)
}
