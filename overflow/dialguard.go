package overflow

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// dialGuard decides which addresses callbacks may be sent to: those that are
// public, and the ranges that the operator has opened. It is asked for every address
// right before a connection to it is opened, whatever a name resolved to before.
//
// It knows addresses, not who lives there. A service on a public address that trusts
// its neighbours, and a NAT64 with a prefix of the network's own, are for a firewall.
type dialGuard struct {
	private []netip.Prefix // open by plain HTTP and on any port as well
}

// refusal is why an address may not be called.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// dialer returns a dialer for calls with TLS, or for those by plain HTTP.
func (g *dialGuard) dialer(secure bool) *net.Dialer {
	return &net.Dialer{ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return refusal(fmt.Sprintf("%s %s is not an address to be called", network, address))
		}
		return g.check(to, secure)
	}}
}

// transport returns a transport for calls with TLS, or for those by plain HTTP, which
// keeps up to idle connections to a host. It needs no closing.
func (g *dialGuard) transport(secure bool, timeout time.Duration, idle int) *http.Transport {
	dialer := g.dialer(secure)
	dialer.Timeout = timeout
	return &http.Transport{
		// No Proxy, which would resolve the name itself, out of the guard's sight.
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

// check returns a refusal unless to may be called, with TLS if secure is set.
func (g *dialGuard) check(to netip.AddrPort, secure bool) error {
	addr := to.Addr().Unmap() // an IPv4-mapped address reaches the IPv4 address
	switch {
	case to.Addr().Zone() != "":
		return refusal(fmt.Sprintf("%s is an address of one link", to.Addr()))
	case slices.ContainsFunc(g.private, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return nil
	case !public(addr):
		return refusal(fmt.Sprintf("%s is not a public address", addr))
	case !secure:
		return refusal(fmt.Sprintf("%s may not be called by plain HTTP: use https://", addr))
	case !callbackPort(to.Port()):
		return refusal(fmt.Sprintf("%s may not be called on port %d: use 443 or 8443", addr, to.Port()))
	}
	return nil
}

// callbackPort reports whether HTTPS is customary on a port.
func callbackPort(port uint16) bool { return port == 443 || port == 8443 }

// public reports whether a, which is not an IPv4-mapped address, may be somebody's
// server on the Internet.
func public(a netip.Addr) bool {
	if !a.Is4() && !globalUnicast.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// globalUnicast is all that IANA assigns IPv6 addresses from. Outside are loopback,
// IPv4-mapped and IPv4-compatible addresses, NAT64, discard-only, SRv6, unique local,
// link-local, site-local and multicast addresses (RFC 4291, and the registry "Internet
// Protocol Version 6 Address Space").
var globalUnicast = netip.MustParsePrefix("2000::/3")

// special are the blocks of IANA's registries of special-purpose addresses (RFC 6890,
// as of 2025-10-09), multicast (RFC 5771), and what else no receiver has. That the
// registries call a few of them globally reachable makes no difference.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),         // this network
	netip.MustParsePrefix("10.0.0.0/8"),        // private
	netip.MustParsePrefix("100.64.0.0/10"),     // carrier-grade NAT; also metadata of Alibaba Cloud
	netip.MustParsePrefix("127.0.0.0/8"),       // loopback
	netip.MustParsePrefix("168.63.129.16/32"),  // metadata of Azure, on an address like any other
	netip.MustParsePrefix("169.254.0.0/16"),    // link-local, and the metadata of most clouds
	netip.MustParsePrefix("172.16.0.0/12"),     // private
	netip.MustParsePrefix("192.0.0.0/24"),      // protocol assignments; also metadata of Oracle Cloud
	netip.MustParsePrefix("192.0.2.0/24"),      // documentation
	netip.MustParsePrefix("192.31.196.0/24"),   // AS112
	netip.MustParsePrefix("192.52.193.0/24"),   // AMT
	netip.MustParsePrefix("192.88.99.0/24"),    // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),    // private
	netip.MustParsePrefix("192.175.48.0/24"),   // AS112
	netip.MustParsePrefix("198.18.0.0/15"),     // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"),   // documentation
	netip.MustParsePrefix("203.0.113.0/24"),    // documentation
	netip.MustParsePrefix("224.0.0.0/4"),       // multicast
	netip.MustParsePrefix("240.0.0.0/4"),       // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),         // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),     // documentation
	netip.MustParsePrefix("2002::/16"),         // 6to4
	netip.MustParsePrefix("2620:4f:8000::/48"), // AS112
	netip.MustParsePrefix("3fff::/20"),         // documentation
}

var (
	// hostNames maps names to lower case and ASCII, and leaves the rules for hyphens and
	// underscores, which some names break, to hostName.
	hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false))
	hostName  = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	// hostNumber is what resolvers may take for an IPv4 address in another notation,
	// such as 0x7f.1 (URL Standard, "ends in a number").
	hostNumber = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)
)

// callbackHost returns a host in the one form that hosts are compared in: an address,
// which is returned as such too, as netip writes it, or a name in lower case and ASCII without the
// dot at its end.
func callbackHost(s string) (string, netip.Addr, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return addr.String(), addr, nil
	}
	name, err := hostNames.ToASCII(s)
	name = strings.TrimSuffix(name, ".")
	if err != nil || !utf8.ValidString(s) || len(name) > 253 || !hostName.MatchString(name) || hostNumber.MatchString(name) {
		return "", netip.Addr{}, errBadCallbackURL
	}
	return name, netip.Addr{}, nil
}
