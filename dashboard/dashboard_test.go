package dashboard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/telemetry"
)

// newHandler returns a handler on listeners of its own, and what ends its configuration.
func newHandler(t *testing.T) (h *Handler, end func()) {
	t.Helper()
	ended := make(chan struct{})
	return &Handler{logger: zap.NewNop(), collector: newTest(t), own: true, ended: ended}, func() { close(ended) }
}

var notFound = caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusTeapot) // the next handler
	return nil
})

// request returns one as from this machine.
func request(method, path string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost:4001"+path, nil)
	r.RemoteAddr = "127.0.0.1:5000"
	return r
}

func answer(t *testing.T, h *Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r, notFound); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPage(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	w := answer(t, h, request("GET", "/"))
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "<!doctype html>") {
		t.Fatalf("got %d %q", w.Code, w.Body)
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, word := range []string{" style=", "<style", "onclick=", "https://", "http://"} {
		if strings.Contains(w.Body.String(), word) {
			t.Errorf("the page has %s, which its policy forbids", word)
		}
	}
	again := request("GET", "/")
	again.Header.Set("If-None-Match", w.Header().Get("ETag"))
	if w := answer(t, h, again); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("asked again: %d", w.Code)
	}
	for name := range pages {
		if w := answer(t, h, request("GET", "/"+name)); w.Code != 200 || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d, %q", name, w.Code, w.Header().Get("Content-Type"))
		}
	}
	for path, want := range map[string]int{"/v1/models": http.StatusTeapot, "/index.html": http.StatusTeapot, "/data/x": 404, "/data/events/x": 404} {
		if w := answer(t, h, request("GET", path)); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := answer(t, h, request("POST", "/")); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	h.ReadOnly = true
	if w := answer(t, h, request("GET", "/")); !strings.Contains(w.Body.String(), `data-read-only="true"`) {
		t.Error("the page does not know that it is read-only")
	}
}

// Below a path the page finds its files only when the path ends in a slash.
func TestPathWithoutSlash(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	for original, want := range map[string]string{
		"/dash": "./dash/", "/a/dash": "./dash/", "//evil.example": "./evil.example/", "/dash/": "", "/%2f%2fevil": "./%2f%2fevil/",
	} {
		r := request("GET", "/")
		was := request("GET", "/")
		parsed, err := was.URL.Parse("http://localhost" + original)
		if err != nil {
			t.Fatal(err)
		}
		was.URL = parsed
		w := answer(t, h, r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, *was)))
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", original, got, want)
		}
	}
}

func TestWhoIsAdmitted(t *testing.T) {
	t.Parallel()
	type setting struct{ own, private, external bool }
	own := setting{own: true}
	for _, test := range []struct {
		name         string
		setting      setting
		remote, host string
		header, user string
		cert         bool
		want         bool
	}{
		{name: "this machine", setting: own, remote: "127.0.0.1:1", host: "localhost:4001", want: true},
		{name: "this machine, by its address", setting: own, remote: "[::1]:1", host: "[::1]:4001", want: true},
		{name: "this machine, mapped", setting: own, remote: "[::ffff:127.0.0.1]:1", host: "127.0.0.1", want: true},
		{name: "by another name, as after DNS rebinding", setting: own, remote: "127.0.0.1:1", host: "evil.example", want: false},
		{name: "by a name like it", setting: own, remote: "127.0.0.1:1", host: "localhost.evil.example", want: false},
		{name: "without a name", setting: own, remote: "127.0.0.1:1", host: "", want: false},
		{name: "through a proxy", setting: own, remote: "127.0.0.1:1", host: "localhost", header: "X-Forwarded-For", want: false},
		{name: "through another", setting: own, remote: "127.0.0.1:1", host: "localhost", header: "Via", want: false},
		{name: "another machine", setting: own, remote: "192.0.2.1:1", host: "localhost", want: false},
		{name: "a private one", setting: own, remote: "10.0.0.1:1", host: "localhost", want: false},
		{name: "a private one, allowed", setting: setting{own: true, private: true}, remote: "10.0.0.1:1", host: "10.0.0.7:4001", want: true},
		{name: "a private one, allowed, by a name of the network", setting: setting{own: true, private: true}, remote: "[fd00::1]:1", host: "gateway.internal", want: true},
		{name: "a private one, allowed, by a public name", setting: setting{own: true, private: true}, remote: "10.0.0.1:1", host: "dash.example.com", want: false},
		{name: "a public one where private ones are allowed", setting: setting{own: true, private: true}, remote: "192.0.2.1:1", host: "10.0.0.7", want: false},
		{name: "this machine on a public listener, past the password", remote: "127.0.0.1:1", host: "localhost", want: false},
		{name: "with a password", remote: "192.0.2.1:1", host: "dash.example.com", user: "ops", want: true},
		{name: "with a password, through a proxy", setting: own, remote: "127.0.0.1:1", host: "dash.example.com", header: "X-Forwarded-For", user: "ops", want: true},
		{name: "with a certificate", remote: "192.0.2.1:1", host: "dash.example.com", cert: true, want: true},
		{name: "behind what cannot be seen", setting: setting{external: true}, remote: "192.0.2.1:1", host: "dash.example.com", want: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &Handler{own: test.setting.own, AllowPrivate: test.setting.private, ExternalAuth: test.setting.external}
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Host = test.remote, test.host
			if test.header != "" {
				r.Header.Set(test.header, "1")
			}
			if test.cert {
				r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}
			}
			repl := caddy.NewReplacer()
			if test.user != "" {
				repl.Set("http.auth.user.id", test.user)
			}
			r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
			if got := h.admits(r); got != test.want {
				t.Errorf("admitted: %t, want %t", got, test.want)
			}
		})
	}
	h := &Handler{own: true}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.RemoteAddr = "@"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Net: "unix"})))
	if !h.admits(r) {
		t.Error("who comes by a Unix socket is not admitted")
	}
}

func TestWhoIsNotAdmittedGetsNothing(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	for _, path := range []string{"/", "/app.js", "/data/events", "/data/history?span=5m"} {
		r := request("GET", path)
		r.RemoteAddr = "192.0.2.1:1"
		if w := answer(t, h, r); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "<") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestChangesComeFromThePageOnly(t *testing.T) {
	t.Parallel()
	const path = "/data/jobs/job_0123456789abcdef0123456789abcdef/cancel"
	for _, test := range []struct {
		name, path string
		header     map[string]string
		readOnly   bool
		want       int
	}{
		{name: "the page", path: path, header: map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:4001"}, want: http.StatusServiceUnavailable},
		{name: "a browser that says little", path: path, header: map[string]string{"Origin": "http://localhost:4001"}, want: http.StatusServiceUnavailable},
		{name: "without its header", path: path, header: map[string]string{guardHeader: "", "Sec-Fetch-Site": "same-origin"}, want: http.StatusForbidden},
		{name: "another site", path: path, header: map[string]string{"Sec-Fetch-Site": "cross-site"}, want: http.StatusForbidden},
		{name: "another port", path: path, header: map[string]string{"Sec-Fetch-Site": "same-site"}, want: http.StatusForbidden},
		{name: "another origin", path: path, header: map[string]string{"Origin": "http://evil.example"}, want: http.StatusForbidden},
		{name: "no origin", path: path, header: map[string]string{"Origin": "null"}, want: http.StatusForbidden},
		{name: "read-only", path: path, readOnly: true, want: http.StatusForbidden},
		{name: "no job", path: "/data/jobs/job_x/cancel", want: http.StatusNotFound},
		{name: "no such action", path: strings.Replace(path, "cancel", "discard", 1), want: http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHandler(t)
			h.ReadOnly = test.readOnly
			r := request("POST", test.path)
			r.Header.Set(guardHeader, "1")
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			// There is no gateway in this test: a change that gets through finds none.
			if w := answer(t, h, r); w.Code != test.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.want)
			}
		})
	}
	h, _ := newHandler(t)
	if w := answer(t, h, request("GET", path)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestDataAreForThePageOnly(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	r := request("GET", "/data/history?span=5m")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := answer(t, h, r); w.Code != http.StatusForbidden {
		t.Errorf("another site: %d", w.Code)
	}
	if w := answer(t, h, request("GET", "/data/history?span=2y")); w.Code != http.StatusBadRequest {
		t.Errorf("a span that there is not: %d", w.Code)
	}
	if w := answer(t, h, request("GET", "/data/history?kind=provider&name=nobody&span=5m")); w.Code != 200 || !strings.Contains(w.Body.String(), `"points":[]`) {
		t.Errorf("a provider that there is not: %d %s", w.Code, w.Body)
	}
}

// Events are counted while a configuration has a dashboard, and over a reload, but no longer.
func TestCollectorLivesAsLongAsADashboard(t *testing.T) {
	hold := func() *Handler {
		c, err := holdCollector()
		if err != nil {
			t.Fatal(err)
		}
		return &Handler{collector: c, held: true}
	}
	free := func(h *Handler) {
		if err := h.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	first := hold()
	telemetry.RequestStop.Emit(answered("openai", "lifetime"))
	second := hold() // a reload: the new one comes before the old one goes
	free(first)
	free(first) // Caddy may clean up what failed to start
	telemetry.RequestStop.Emit(answered("openai", "lifetime"))
	counted := second.collector.pairs.get(pair{"openai", "lifetime"}, boundedPair)
	if got := counted.requests.Load(); got != 2 {
		t.Errorf("%d requests are counted, want 2", got)
	}
	free(second)
	telemetry.RequestStop.Emit(answered("openai", "lifetime"))
	if got := counted.requests.Load(); got != 2 {
		t.Error("requests are counted when no configuration has a dashboard")
	}
	if err := new(Handler).Cleanup(); err != nil {
		t.Errorf("a handler that was never provisioned: %v", err)
	}
}
