package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Names of handlers, as in Caddy's JSON.
const (
	ownHandler  = "runestone_dashboard"
	authHandler = "authentication"
)

// ErrExposed is why a dashboard is refused that everybody could see.
var ErrExposed = errors.New("everybody could see the dashboard")

// checkServer returns an ErrExposed if the server is one that others reach and nothing asks for
// credentials before the dashboard. That each request has shown them is checked as well; see admits.
func (h *Handler) checkServer(server *caddyhttp.Server) error {
	if server == nil {
		if h.ExternalAuth {
			return nil
		}
		return fmt.Errorf("%w: it is not known which server it is in", ErrExposed)
	}
	var public []string
	for _, address := range server.Listen {
		if !h.ownAddress(address) {
			public = append(public, address)
		}
	}
	h.own = len(public) == 0
	if h.own || h.ExternalAuth || asksForCertificates(server) || guarded(server) {
		return nil
	}
	return fmt.Errorf("%w at %s: listen on this machine only, with \"bind 127.0.0.1\" in its site; or write basic_auth in the site, "+
		"or tls with client_auth, so that it is shown with credentials only; or, if something that cannot be seen from here asks for "+
		"them, such as forward_auth, write external_auth in the block of runestone_dashboard", ErrExposed, strings.Join(public, ", "))
}

// ownAddress reports whether nobody but this machine can reach a listener, or a private network
// which counts as such.
func (h *Handler) ownAddress(address string) bool {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return false
	}
	if parsed.IsUnixNetwork() {
		return true
	}
	if parsed.Host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(parsed.Host, "[]"))
	return err == nil && h.ownIP(ip)
}

// shared is the address space of carriers and of networks such as Tailscale's (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func (h *Handler) ownIP(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return ip.IsLoopback() || h.AllowPrivate && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || shared.Contains(ip))
}

// asksForCertificates reports whether clients of the server need a certificate.
func asksForCertificates(server *caddyhttp.Server) bool {
	for _, policy := range server.TLSConnPolicies {
		if policy.ClientAuthentication == nil || !policy.ClientAuthentication.Active() {
			return false // what comes in by this one needs none
		}
	}
	return len(server.TLSConnPolicies) > 0
}

// guarded reports whether a handler that asks for credentials stands before the dashboard. It looks at
// the route that is being set up, which is the first of the server's that has its text still.
func guarded(server *caddyhttp.Server) bool {
	before := false
	for i := range server.Routes {
		route := &server.Routes[i]
		if len(route.HandlersRaw) > 0 {
			found, all := search([]routeText{{Handle: route.HandlersRaw}}, before)
			return found && all
		}
		for _, handler := range route.Handlers {
			if module, ok := handler.(caddy.Module); ok && module.CaddyModule().ID.Name() == authHandler {
				before = true
			}
		}
	}
	return false
}

// routeText is a route in JSON.
type routeText struct {
	Handle []json.RawMessage `json:"handle"`
}

// search reports whether there is a dashboard in routes, and whether credentials are asked for
// before all there are.
func search(routes []routeText, before bool) (found, all bool) {
	all = true
	for _, route := range routes {
		for _, text := range route.Handle {
			var handler struct {
				Handler string      `json:"handler"`
				Routes  []routeText `json:"routes"`
			}
			if json.Unmarshal(text, &handler) != nil {
				continue
			}
			switch handler.Handler {
			case authHandler:
				before = true
			case ownHandler:
				found, all = true, all && before
			default:
				deep, fine := search(handler.Routes, before)
				found, all = found || deep, all && fine
			}
		}
	}
	return found, all
}

// admits reports whether a request may see the dashboard: it has shown credentials, or comes from
// this machine, without a proxy between and by a name that no other site can have, lest a page from
// elsewhere, whose name was made to lead here, could read it.
func (h *Handler) admits(r *http.Request) bool {
	if h.ExternalAuth || userOf(r) != "" || r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if !h.own {
		return false
	}
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return h.fromOwn(r) && h.ownName(r.Host)
}

// fromOwn reports whether a request comes from this machine, or a private network that counts as such.
func (h *Handler) fromOwn(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && strings.HasPrefix(local.Network(), "unix") {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && h.ownIP(ip)
}

// ownName reports whether a Host is one that the domain name system has for nobody: an address, localhost,
// and in private networks names that are theirs alone.
func (h *Handler) ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if !h.AllowPrivate {
		return false
	}
	for _, suffix := range [...]string{".internal", ".local", ".lan", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return host != "" && !strings.Contains(host, ".")
}

// userOf returns who the request has shown to be, "" if nobody asked.
func userOf(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	user, _ := repl.GetString("http.auth.user.id")
	return user
}
