// Package dashboard is http.handlers.runestone_dashboard: one page that shows, live, what the
// gateway is doing, and the data that the page is made of. It counts in memory, by attaching to
// the events of package telemetry, and only while some configuration has a dashboard.
package dashboard

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(new(Handler)) }

// Handler serves the dashboard at the root of what it is given; below a path, strip that first,
// as handle_path does. What is not part of it goes to the next handler.
//
// Who can see it sees names of providers and models, what they cost, and errors, and can
// cancel queued requests. So it is served only where listeners are this machine's own (a loopback address
// or a Unix socket), or where Caddy has asked for credentials before: by http.handlers.authentication
// (basic_auth) or with client certificates. Any other configuration is refused.
type Handler struct {
	// AllowPrivate counts private addresses (RFC 1918, RFC 4193, link-local, and 100.64.0.0/10) as
	// this machine's own: who is in that network needs no credentials. Default false.
	AllowPrivate bool `json:"allow_private,omitempty"`
	// ExternalAuth says that something asks for credentials which the handler cannot
	// see, such as forward_auth or a proxy in front, so that it must not. Default false.
	ExternalAuth bool `json:"external_auth,omitempty"`
	// ReadOnly leaves out what changes anything: jobs can be seen, but not be retried
	// or cancelled. Default false.
	ReadOnly bool `json:"read_only,omitempty"`

	logger    *zap.Logger
	collector *collector
	held      bool            // collector is to be let go of
	own       bool            // every listener is this machine's own, or a private one that counts as such
	ended     <-chan struct{} // closed when the configuration is no longer in force
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.runestone_dashboard",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision begins to count, and refuses where everybody could see the dashboard.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.ended = ctx.Done()
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if err := h.checkServer(server); err != nil {
		return err
	}
	if _, err := ctx.App("runestone"); err != nil { // so that there is something to show
		return err
	}
	var err error
	if h.collector, err = holdCollector(); err != nil {
		return err
	}
	h.held = true
	return nil
}

// Cleanup lets go of what has been counted, which another configuration may go on with.
func (h *Handler) Cleanup() error {
	if !h.held {
		return nil
	}
	h.held = false
	_, err := pool.Delete(poolKey)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path := strings.TrimPrefix(r.URL.Path, "/")
	page, isPage := pages[path]
	if !isPage && !strings.HasPrefix(path, "data/") {
		return next.ServeHTTP(w, r)
	}
	setHeaders(w.Header())
	if !h.admits(r) {
		refuse(w, http.StatusForbidden, "The dashboard is not shown without credentials here: open it from the machine that it runs on, "+
			"by its address or as localhost, or have basic_auth ask for a password before it.")
		return nil
	}
	if isPage {
		if path == "" && h.ReadOnly {
			page = readOnlyPage
		}
		h.servePage(w, r, page)
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		refuse(w, http.StatusForbidden, "This is for the dashboard's own page.")
		return nil
	}
	what, rest, _ := strings.Cut(strings.TrimPrefix(path, "data/"), "/")
	switch {
	case what == "events" && rest == "":
		only(http.MethodGet, h.serveEvents)(w, r)
	case what == "history" && rest == "":
		only(http.MethodGet, h.serveHistory)(w, r)
	case what == "jobs":
		id, action, _ := strings.Cut(rest, "/")
		only(http.MethodPost, func(w http.ResponseWriter, r *http.Request) { h.serveJob(w, r, id, action) })(w, r)
	default:
		refuse(w, http.StatusNotFound, "There is no such thing.")
	}
	return nil
}

// only lets one method pass.
func only(method string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			refuse(w, http.StatusMethodNotAllowed, "Use "+method+".")
			return
		}
		serve(w, r)
	}
}

// refuse answers with a sentence.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// setHeaders has browsers run and show nothing but the dashboard's own, and show it nowhere else.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
