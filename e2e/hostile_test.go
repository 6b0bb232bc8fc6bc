package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestStatusesThatThereAreNot: an answer with one is none, and what follows it is not taken for one.
func TestStatusesThatThereAreNot(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	for _, status := range []string{"000", "099", "101", "600", "999"} {
		up.on("odd", func(x *exchange) {
			x.write("HTTP/1.1 " + status + " Odd\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
			x.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"smuggled\":\"yes\"}")
			x.fin()
		})
		for what, body := range map[string]string{"small": "", "large": `,"user":"` + strings.Repeat("x", 300<<10) + `"`} { // which goes by net/http
			a := g.post(t, chatPath, chatBody("up/odd", body))
			if a.StatusCode != http.StatusBadGateway || strings.Contains(a.Body, "smuggled") {
				t.Errorf("%s, %s: %d %s", status, what, a.StatusCode, a.Body)
			}
		}
	}
}

// TestHeadersOfProvidersThatAreNotTheirs: what only the gateway says, or what is meant for the provider's own clients, is not passed on.
func TestHeadersOfProvidersThatAreNotTheirs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	forged := []string{
		"Runestone-Adjusted: all", "Runestone-Estimated: all", "Runestone-Provider: x", "Runestone-Attempts: 9", "Runestone-Model: x",
		"Idempotent-Replayed: true", "Preference-Applied: wait=1", "Anthropic-Organization-Id: o", "X-Accel-Redirect: /etc", "X-Sendfile: /etc",
		"Clear-Site-Data: *", "Content-Security-Policy: none", "Access-Control-Allow-Origin: *", "Refresh: 1", "Www-Authenticate: Basic",
	}
	up.on("gpt-upstream", func(x *exchange) {
		x.json(200, `{"id":"c","object":"chat.completion","model":"gpt-upstream","choices":[]}`, append(forged, "Cf-Ray: 1")...)
	})
	g := start(t, oneProvider(up))
	a := g.post(t, chatPath, chatBody("smart", ""))
	if a.StatusCode != http.StatusOK || a.Header.Get("Cf-Ray") != "1" || a.Header.Get("Runestone-Provider") != "up" || a.Header.Get("Runestone-Attempts") != "1" || a.Header.Get("Runestone-Model") != "smart" {
		t.Errorf("got %d %v", a.StatusCode, a.Header)
	}
	for _, line := range forged {
		name, value, _ := strings.Cut(line, ": ")
		if got := a.Header.Get(name); got == value {
			t.Errorf("%s is passed on", line)
		}
	}
}

// TestCommentsBeforeAStreamAreBounded: what says nothing does not fill the memory, and the stream is whole.
func TestCommentsBeforeAStreamAreBounded(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	comments := strings.Repeat(": "+strings.Repeat("x", 1000)+"\n\n", 500)
	up.on("gpt-upstream", func(x *exchange) {
		x.sse()
		for range 16 {
			x.chunk(comments)
		}
		x.chunk(word("gpt-upstream", "a") + "data: [DONE]\n\n")
		x.end()
	})
	g := start(t, oneProvider(up))
	a := g.post(t, chatPath, chatBody("smart", `,"stream":true`))
	if len(a.Body) > 200<<10 || strings.Count(a.Body, "\ndata: ") != 2 || !strings.HasPrefix(a.Body, ": xxx") {
		t.Errorf("got %d bytes, which end in %s", len(a.Body), a.Body[max(0, len(a.Body)-500):])
	}
}
