package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusal is a request that must get no further than the gateway.
type refusal struct {
	method, path, contentType string // default POST, chatPath, application/json
	body                      string
	status                    int    // default 400
	param, code               string // as the error has to carry them, "" to leave it open
	allow                     string
}

var refusals = map[string]refusal{
	"no body at all":                     {body: ""},
	"only spaces":                        {body: " \n\t"},
	"not JSON":                           {body: "model=gpt&messages=hi"},
	"JSON that breaks off":               {body: `{"model":"smart","messages":[{"role":"user"`},
	"JSON that breaks off in a string":   {body: `{"model":"smart","messages":"hi`},
	"a trailing comma":                   {body: `{"model":"smart","messages":[],}`},
	"single quotes":                      {body: `{'model':'smart'}`},
	"a comment":                          {body: `{"model":"smart"/* no */,"messages":[]}`},
	"garbage after the object":           {body: `{"model":"smart","messages":[]} x`},
	"two objects":                        {body: `{"model":"smart","messages":[]}{"model":"smart"}`},
	"an array":                           {body: `[{"model":"smart"}]`},
	"a bare string":                      {body: `"smart"`},
	"a raw line end in a string":         {body: "{\"model\":\"smart\",\"messages\":\"a\nb\"}"},
	"a number with a leading zero":       {body: `{"model":"smart","n":01}`},
	"a bad escape":                       {body: `{"model":"smart","x":"\q"}`},
	"a short unicode escape":             {body: `{"model":"smart","x":"\u12"}`},
	"no model":                           {body: `{"messages":[]}`, param: "model"},
	"the model in another case":          {body: `{"Model":"smart","messages":[]}`, param: "model"},
	"only a nested model":                {body: `{"metadata":{"model":"smart"},"messages":[]}`, param: "model"},
	"an empty model":                     {body: `{"model":"","messages":[]}`, param: "model"},
	"a model that is a number":           {body: `{"model":4,"messages":[]}`, param: "model"},
	"a model that is null":               {body: `{"model":null,"messages":[]}`, param: "model"},
	"a model that is an object":          {body: `{"model":{"name":"smart"},"messages":[]}`, param: "model"},
	"a model that is an array":           {body: `{"model":["smart"],"messages":[]}`, param: "model"},
	"two models":                         {body: `{"model":"smart","messages":[],"model":"other"}`, param: "model"},
	"a second model in another case":     {body: `{"model":"smart","messages":[],"MODEL":"other"}`, param: "model"}, // Go servers do not mind the case
	"two equal models":                   {body: `{"model":"smart","model":"smart","messages":[]}`, param: "model"},
	"a second model in escapes":          {body: `{"model":"smart","messages":[],"mod\u0065l":"other"}`, param: "model"},
	"two streams":                        {body: `{"model":"smart","stream":true,"messages":[],"stream":false}`, param: "stream"},
	"a second stream in escapes":         {body: `{"model":"smart","\u0073tream":true,"stream":false,"messages":[]}`, param: "stream"},
	"a stream that is a string":          {body: `{"model":"smart","stream":"true","messages":[]}`, param: "stream"},
	"a stream that is a number":          {body: `{"model":"smart","stream":1,"messages":[]}`, param: "stream"},
	"a model in bytes that are no UTF-8": {body: "{\"model\":\"sm\xff\xfeart\",\"messages\":[]}", param: "model"},
	"a lone surrogate as the model":      {body: `{"model":"\ud800","messages":[]}`, param: "model"},
	"nesting thirty thousand deep":       {body: `{"model":"smart","x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`},
	"nesting that never closes":          {body: `{"model":"smart","x":` + strings.Repeat(`{"a":`, 12_000)},
	"a form":                             {contentType: "application/x-www-form-urlencoded", body: `{"model":"smart","messages":[]}`, status: 415},
	"plain text":                         {contentType: "text/plain", body: `{"model":"smart","messages":[]}`, status: 415},
	"a multipart chat":                   {contentType: "multipart/form-data; boundary=x", body: "--x--\r\n", status: 415},
	"a body that is too large":           {body: `{"model":"smart","messages":"` + strings.Repeat("x", 70_000) + `"}`, status: 413},
	"the wrong method for a chat":        {method: "PUT", body: `{"model":"smart"}`, status: 405, allow: "POST"},
	"the deletion of all chats":          {method: "DELETE", status: 405, allow: "POST"},
	"the wrong method for embeddings":    {method: "GET", path: embeddingsPath, status: 405, allow: "POST"},
	"the wrong method for completions":   {method: "GET", path: completionsPath, status: 405, allow: "POST"},
	"the wrong method for the models":    {method: "POST", path: "/v1/models", body: `{}`, status: 405, allow: "GET, HEAD"},
	"an embedding without a model":       {path: embeddingsPath, body: `{"input":"hi"}`, param: "model"},
	"a completion without a model":       {path: completionsPath, body: `{"prompt":"hi"}`, param: "model"},
	"a response with two models":         {path: responsesPath, body: `{"model":"a","input":"hi","model":"b"}`, param: "model"},
	"a model of an unknown provider":     {body: `{"model":"nobody/gpt","messages":[]}`, status: 404, param: "model", code: "model_not_found"},
	"an unknown model":                   {body: `{"model":"gpt-unknown","messages":[]}`, status: 404, param: "model", code: "model_not_found"},
	"an unknown model to stream":         {body: `{"model":"gpt-unknown","stream":true,"messages":[]}`, status: 404, param: "model", code: "model_not_found"},
	"an unknown model to embed":          {path: embeddingsPath, body: `{"model":"gpt-unknown","input":"x"}`, status: 404, param: "model", code: "model_not_found"},
	"a target without its provider":      {body: `{"model":"gpt-upstream","messages":[]}`, status: 404, param: "model", code: "model_not_found"},
	"a model that looks like HTML":       {body: `{"model":"<script>\u0000\n\r\n","messages":[]}`, status: 404, param: "model", code: "model_not_found"},
}

// TestBadInput is that a request the gateway cannot stand behind gets an error that an
// OpenAI client understands, and that the upstream never hears of it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up, "strict_models", "max_body 64KiB"))
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			c.run(t, g, "X-Request-Id: bad-"+fmt.Sprint(len(name)))
		})
	}
	if n := up.requests(); n != 0 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func (c refusal) run(t *testing.T, g *gateway, headers ...string) {
	if c.contentType == "" {
		c.contentType = "application/json"
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.path == "" {
		c.path = chatPath
	}
	if c.status == 0 {
		c.status = http.StatusBadRequest
	}
	a := g.do(t, c.method, c.path, c.body, append(headers, "Content-Type: "+c.contentType)...)
	e := a.wantError(t, c.status)
	if e.Type != "invalid_request_error" {
		t.Errorf("type %q", e.Type)
	}
	if c.param != "" && deref(e.Param) != c.param {
		t.Errorf("param %q, want %q", deref(e.Param), c.param)
	}
	if c.code != "" && e.code() != c.code {
		t.Errorf("code %q, want %q", e.code(), c.code)
	}
	if c.allow != "" && !strings.Contains(a.Header.Get("Allow"), c.allow) {
		t.Errorf("Allow is %q", a.Header.Get("Allow"))
	}
}

// TestOversizeBody sends more than max_body without saying so beforehand, and says
// so without sending it.
func TestOversizeBody(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up, "max_body 64KiB"))
	t.Run("in chunks of unknown length", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader(`{"model":"smart","messages":"`), strings.NewReader(strings.Repeat("x", 80_000)), strings.NewReader(`"}`))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.site+chatPath, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := g.shared().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer{Response: res, Body: string(b)}.wantError(t, http.StatusRequestEntityTooLarge)
	})
	t.Run("announced and never sent", func(t *testing.T) {
		c := dialRaw(t, g)
		c.send("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{", chatPath)
		if status := c.status(); status != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", status)
		}
	})
	t.Run("just fitting", func(t *testing.T) {
		up.on("fit", playJSON(200, `{}`))
		frame := `{"model":"up/fit","messages":""}`
		body := strings.Replace(frame, `""`, `"`+strings.Repeat("x", 64<<10-len(frame))+`"`, 1)
		if a := g.post(t, chatPath, body); a.StatusCode != 200 {
			t.Errorf("a body of %d bytes: status %d: %s", len(body), a.StatusCode, a.Body)
		}
		g.post(t, chatPath, body+" ").wantError(t, http.StatusRequestEntityTooLarge)
	})
	t.Run("an upload is not bounded", func(t *testing.T) {
		up.on("/v1/files", playJSON(200, `{}`))
		if a := g.do(t, "POST", "/v1/files", string(noise(200_000)), "Content-Type: application/octet-stream"); a.StatusCode != 200 {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	})
}

// TestHalfSentBody: the client stops in the middle of its JSON.
func TestHalfSentBody(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	// Caddy ends a body that stalls; its default of a minute is too long for a test.
	s := oneProvider(up)
	s.Global = "servers {\n\t\ttimeouts {\n\t\t\tread_body 1s\n\t\t}\n\t}"
	g := start(t, s)
	half := "POST " + chatPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s\r\n%s"
	for name, c := range map[string]struct{ header, body string }{
		"with a length":        {"Content-Length: 500\r\n", `{"model":"smart","messages":[{"role"`},
		"in chunks":            {"Transfer-Encoding: chunked\r\n", "10\r\n{\"model\":\"smart\""},
		"whole JSON too early": {"Content-Length: 500\r\n", `{"model":"smart","messages":[]}`},
	} {
		t.Run(name+" and leaves", func(t *testing.T) {
			c2 := dialRaw(t, g)
			c2.send(half, c.header, c.body)
			_ = c2.Close()
		})
		t.Run(name+" and half-closes", func(t *testing.T) {
			c2 := dialRaw(t, g)
			c2.send(half, c.header, c.body)
			_ = c2.Conn.(*net.TCPConn).CloseWrite()
			if status := c2.status(); status != 0 && status != http.StatusBadRequest {
				t.Errorf("status %d", status)
			}
		})
		t.Run(name+" and stalls", func(t *testing.T) {
			c2 := dialRaw(t, g)
			c2.send(half, c.header, c.body)
			if status := c2.status(); status != 0 && status != http.StatusBadRequest && status != http.StatusRequestTimeout {
				t.Errorf("status %d", status)
			}
		})
	}
	// A request that follows is served: nothing of the halves is left in the way.
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi")))
	if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 200 {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	if n := up.requests(); n != 1 {
		t.Errorf("the upstream got %d requests, and one was whole", n)
	}
}

// rawConn is a client that need not speak HTTP properly.
type rawConn struct {
	net.Conn
	t testing.TB
}

func dialRaw(t testing.TB, g *gateway) rawConn {
	t.Helper()
	c, err := net.Dial("tcp", g.site)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return rawConn{c, t}
}

func (c rawConn) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// status reads a status line; 0 when the connection ended without one.
func (c rawConn) status() (status int) {
	c.t.Helper()
	b, err := io.ReadAll(io.LimitReader(c, int64(len("HTTP/1.1 200"))))
	if len(b) == 0 && (err == nil || !strings.Contains(err.Error(), "timeout")) {
		return 0
	}
	if _, err := fmt.Sscanf(string(b), "HTTP/1.1 %d", &status); err != nil {
		c.t.Fatalf("no status line: %q", b)
	}
	return status
}
