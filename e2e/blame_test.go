package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

const formHead = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nsmart\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"

// upload begins one that is sent in chunks, and sends the first.
func (c rawConn) upload() {
	c.t.Helper()
	c.send("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n")
	c.send("%x\r\n%s\r\n", len(formHead), formHead)
}

// reply reads an answer.
func (c rawConn) reply() answer {
	c.t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return answerOf(res)
}

// TestClientsUploadsDoNotOpenBreakers: an upload that goes wrong is its client's, who is told so.
func TestClientsUploadsDoNotOpenBreakers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		site   string
		send   func(rawConn)
		status int
		code   string
	}{
		"it is broken":    {"", func(c rawConn) { c.send("zz\r\n") }, http.StatusBadRequest, "incomplete_body"},
		"it stalls":       {"", func(rawConn) {}, http.StatusRequestTimeout, "incomplete_body"},
		"it is too large": {"request_body {\nmax_size 1KB\n}\n", func(c rawConn) { c.send("1000\r\n%s\r\n0\r\n\r\n", strings.Repeat("x", 0x1000)) }, http.StatusRequestEntityTooLarge, "request_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			s := learning(oneProvider(up, "breaker {\nfailures 1\n}", "provider other openai {\nbase_url http://127.0.0.1:1\napi_key k\n}"))
			s.Global = "servers {\n\t\ttimeouts {\n\t\t\tread_body 1s\n\t\t}\n\t}"
			s.Site = c.site + "runestone"
			g := start(t, s)
			conn := dialRaw(t, g)
			conn.upload()
			c.send(conn)
			if e := conn.reply().wantError(t, c.status); e.Code == nil || *e.Code != c.code {
				t.Errorf("the error is %+v, want the code %s", e, c.code)
			}
			if b := g.target("up/gpt-upstream").Breaker; b.Failures != 0 || b.State != "closed" {
				t.Errorf("the provider's breaker: %+v", b)
			}
		})
	}
}

// TestTotalEndsAStalledUpload although net/http waits for the rest of it.
func TestTotalEndsAStalledUpload(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, learning(oneProvider(up, "timeouts {\ntotal 1s\n}", "breaker {\nfailures 1\n}", "provider other openai {\nbase_url http://127.0.0.1:1\napi_key k\n}")))
	conn := dialRaw(t, g)
	began := time.Now()
	conn.upload()
	a := conn.reply()
	if took := time.Since(began); a.StatusCode != http.StatusGatewayTimeout || took > 10*time.Second {
		t.Errorf("after %v: status %d: %s", took, a.StatusCode, a.Body)
	}
	if b := g.target("up/gpt-upstream").Breaker; b.State != "closed" {
		t.Errorf("the provider's breaker: %+v", b)
	}
}

// TestSlowReadersAreNotTheProvidersSilence: a client that pauses for longer than idle gets its answer, and the breaker
// stays closed.
func TestSlowReadersAreNotTheProvidersSilence(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, learning(oneProvider(up, "timeouts {\nidle 500ms\n}", "breaker {\nfailures 1\n}")))
	// More than the sockets on the way hold.
	const events, size = 400, 64 << 10
	big := word("m", strings.Repeat("x", size))
	up.on("gpt-upstream", func(x *exchange) {
		x.sse()
		for range events {
			x.chunk(big)
		}
		x.chunk(chunk("m", `{}`, "stop") + doneEvent)
		x.end()
	})
	conn := dialRaw(t, g)
	_ = conn.SetDeadline(time.Now().Add(4 * patience))
	body := streamBody("smart")
	conn.send("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(body), body)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second) // the pause is what is tested
	a := answerOf(res)
	if a.Err != nil || strings.Count(a.Body, "\n\n") != events+2 || !strings.HasSuffix(a.Body, doneEvent) {
		t.Errorf("error %v, %d events: %.300s", a.Err, strings.Count(a.Body, "\n\n"), a.Body[max(0, len(a.Body)-300):])
	}
	if b := g.target("up/gpt-upstream").Breaker; b.Failures != 0 || b.State != "closed" {
		t.Errorf("the breaker: %+v", b)
	}
}

// TestHeadersAreNotShared: what Caddy's directive header does to one answer is nothing to the next.
func TestHeadersAreNotShared(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := oneProvider(up)
	s.Site = ""
	for _, field := range []string{"Runestone-Provider", "Runestone-Model", "Runestone-Attempts", "Cache-Control", "X-Accel-Buffering", "Content-Type", "X-Request-Id"} {
		s.Site += fmt.Sprintf("header >%s (.+) \"x$1\"\n", field)
	}
	s.Site += "runestone"
	g := start(t, s)
	for range 2 {
		a := g.post(t, chatPath, streamBody("smart"))
		for field, want := range map[string]string{
			"Runestone-Provider": "xup", "Runestone-Model": "xsmart", "Runestone-Attempts": "x1",
			"Cache-Control": "xno-cache, no-transform", "X-Accel-Buffering": "xno", "Content-Type": "xtext/event-stream; charset=utf-8",
		} {
			if got := a.Header.Get(field); got != want {
				t.Errorf("%s: got %q, want %q", field, got, want)
			}
		}
	}
}

// TestHeadersBetweenTwoHops stay there: those that Connection names.
func TestHeadersBetweenTwoHops(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi"), "Connection: keep-alive, X-Hop", "X-Hop: 1", "X-End: 2"))
	a := start(t, oneProvider(up)).post(t, chatPath, chatBody("smart", ""))
	if a.Header.Get("X-Hop") != "" || a.Header.Get("X-End") != "2" {
		t.Errorf("got %v", a.Header)
	}
}

// TestHeadIsAnsweredAsGetIs: by the gateway where it knows the models.
func TestHeadIsAnsweredAsGetIs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up, "strict_models"))
	for _, path := range []string{"/v1/models", "/v1/models/smart"} {
		get, head := g.do(t, http.MethodGet, path, ""), g.do(t, http.MethodHead, path, "")
		if get.StatusCode != 200 || head.StatusCode != 200 || head.Body != "" || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: GET %d, HEAD %d %v", path, get.StatusCode, head.StatusCode, head.Header)
		}
	}
	if up.requests() != 0 {
		t.Error("the provider was asked")
	}
}

// TestEarlyRefusalOfALargeBody does not wait for all of it to be sent.
func TestEarlyRefusalOfALargeBody(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := errorJSON("too large", "invalid_request_error", "too_large")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		<-over // as a server that reads nothing of what it has refused
	}))
	t.Cleanup(refusing.Close)
	defer close(over)
	g := start(t, setup{App: "provider up openai {\nbase_url " + refusing.URL + "/v1\napi_key k\n}"})
	began := time.Now()
	a := g.post(t, chatPath, chatBody("m", `,"x":"`+strings.Repeat("x", 12<<20)+`"`))
	if took := time.Since(began); a.StatusCode != http.StatusRequestEntityTooLarge || took > patience {
		t.Errorf("after %v: status %d: %.300s", took, a.StatusCode, a.Body)
	}
}

// TestAnswersOfCallsWithoutAModelNameNone, whatever the provider says.
func TestAnswersOfCallsWithoutAModelNameNone(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("/v1/files", playJSON(200, `{}`, "Runestone-Model: forged"))
	a := start(t, oneProvider(up)).do(t, http.MethodGet, "/v1/files", "")
	if _, named := a.Header["Runestone-Model"]; named || a.StatusCode != 200 {
		t.Errorf("status %d: %v", a.StatusCode, a.Header)
	}
}
