package overflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestGuardRefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refused []string // the first and the last of a range among them
		public  []string // next to it
	}{
		"this network":                 {[]string{"0.0.0.0", "0.0.0.1", "0.255.255.255"}, []string{"1.0.0.0"}},
		"private 10":                   {[]string{"10.0.0.0", "10.255.255.255"}, []string{"9.255.255.255", "11.0.0.0"}},
		"carrier-grade NAT":            {[]string{"100.64.0.0", "100.100.100.200", "100.127.255.255"}, []string{"100.63.255.255", "100.128.0.0"}},
		"loopback":                     {[]string{"127.0.0.0", "127.0.0.1", "127.255.255.255"}, []string{"126.255.255.255", "128.0.0.0"}},
		"Azure's metadata":             {[]string{"168.63.129.16"}, []string{"168.63.129.15", "168.63.129.17"}},
		"link-local":                   {[]string{"169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255"}, []string{"169.253.255.255", "169.255.0.0"}},
		"private 172":                  {[]string{"172.16.0.0", "172.31.255.255"}, []string{"172.15.255.255", "172.32.0.0"}},
		"protocol assignments":         {[]string{"192.0.0.0", "192.0.0.192", "192.0.0.255"}, []string{"191.255.255.255", "192.0.1.0"}},
		"documentation 1":              {[]string{"192.0.2.0", "192.0.2.255"}, []string{"192.0.1.255", "192.0.3.0"}},
		"AS112 by BGP":                 {[]string{"192.31.196.0", "192.31.196.255"}, []string{"192.31.195.255", "192.31.197.0"}},
		"AMT":                          {[]string{"192.52.193.0", "192.52.193.255"}, []string{"192.52.192.255", "192.52.194.0"}},
		"6to4 relays":                  {[]string{"192.88.99.0", "192.88.99.255"}, []string{"192.88.98.255", "192.88.100.0"}},
		"private 192":                  {[]string{"192.168.0.0", "192.168.255.255"}, []string{"192.167.255.255", "192.169.0.0"}},
		"AS112 by delegation":          {[]string{"192.175.48.0", "192.175.48.255"}, []string{"192.175.47.255", "192.175.49.0"}},
		"benchmarking":                 {[]string{"198.18.0.0", "198.19.255.255"}, []string{"198.17.255.255", "198.20.0.0"}},
		"documentation 2":              {[]string{"198.51.100.0", "198.51.100.255"}, []string{"198.51.99.255", "198.51.101.0"}},
		"documentation 3":              {[]string{"203.0.113.0", "203.0.113.255"}, []string{"203.0.112.255", "203.0.114.0"}},
		"multicast":                    {[]string{"224.0.0.0", "239.255.255.255"}, []string{"223.255.255.255"}},
		"reserved":                     {[]string{"240.0.0.0", "255.255.255.254"}, nil},
		"broadcast":                    {[]string{"255.255.255.255"}, nil},
		"unspecified and loopback, v6": {[]string{"::", "::1"}, nil},
		"IPv4-compatible":              {[]string{"::8.8.8.8", "::127.0.0.1", "::ffff:ffff"}, nil},
		"IPv4-mapped, not public":      {[]string{"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "::ffff:0.0.0.0"}, nil},
		"IPv4-mapped, public":          {nil, []string{"::ffff:8.8.8.8", "::ffff:808:808"}},
		"IPv4-translated":              {[]string{"::ffff:0:8.8.8.8", "::ffff:0:127.0.0.1"}, nil},
		"NAT64":                        {[]string{"64:ff9b::", "64:ff9b::8.8.8.8", "64:ff9b::169.254.169.254", "64:ff9b::ffff:ffff"}, nil},
		"NAT64 for local use":          {[]string{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"}, nil},
		"discard-only and dummy":       {[]string{"100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"}, nil},
		"below global unicast":         {[]string{"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"2000::"}},
		"above global unicast":         {[]string{"4000::", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"3ffe::1"}},
		"Teredo":                       {[]string{"2001::", "2001:0:7f00:1::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}},
		"protocol assignments, v6":     {[]string{"2001:2::", "2001:20::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"2001:200::"}},
		"documentation 1, v6":          {[]string{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"}},
		"6to4":                         {[]string{"2002::", "2002:7f00:1::1", "2002:808:808::1", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"}},
		"AS112, v6":                    {[]string{"2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"}, []string{"2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"}},
		"documentation 2, v6":          {[]string{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"}},
		"unique local":                 {[]string{"fc00::", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, nil},
		"link-local, v6":               {[]string{"fe80::", "fe80::a9fe:a9fe", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, nil},
		"site-local":                   {[]string{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, nil},
		"multicast, v6":                {[]string{"ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, nil},
		"with a zone":                  {[]string{"fe80::1%eth0", "2606:4700::1111%eth0", "::ffff:8.8.8.8%eth0"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, address := range test.refused {
				if err := guardAsks(new(dialGuard), address, 443, true); !isRefusal(err) {
					t.Errorf("%s: got %v, want a refusal", address, err)
				}
			}
			for _, address := range test.public {
				if err := guardAsks(new(dialGuard), address, 443, true); err != nil {
					t.Errorf("%s: %v", address, err)
				}
			}
		})
	}
}

func TestGuardOpensRangesToPlainHTTPAndEveryPort(t *testing.T) {
	t.Parallel()
	g := &dialGuard{private: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"),
	}}
	for name, test := range map[string]struct {
		address string
		port    uint16
		secure  bool
		want    string // the refusal, "" for none
	}{
		"an opened address":                   {"127.0.0.1", 443, true, ""},
		"by plain HTTP":                       {"127.0.0.1", 80, false, ""},
		"on any port":                         {"10.1.255.255", 6379, true, ""},
		"IPv4-mapped":                         {"::ffff:10.1.2.3", 80, false, ""},
		"in a range of IPv6":                  {"fd12::1", 80, false, ""},
		"with a zone":                         {"fd12::1%eth0", 443, true, "fd12::1%eth0 is an address of one link"},
		"the next address":                    {"127.0.0.2", 443, true, "127.0.0.2 is not a public address"},
		"the next range":                      {"10.2.0.0", 443, true, "10.2.0.0 is not a public address"},
		"a public address on 443":             {"8.8.8.8", 443, true, ""},
		"a public address on 8443":            {"2606:4700::1111", 8443, true, ""},
		"a public address on another port":    {"8.8.8.8", 444, true, "8.8.8.8 may not be called on port 444: use 443 or 8443"},
		"a public address by plain HTTP":      {"8.8.8.8", 80, false, "8.8.8.8 may not be called by plain HTTP: use https://"},
		"by plain HTTP on the port for HTTPS": {"8.8.8.8", 443, false, "8.8.8.8 may not be called by plain HTTP: use https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := guardAsks(g, test.address, test.port, test.secure); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestGuardRefusesWhatIsNoTCPAddress(t *testing.T) {
	t.Parallel()
	control := new(dialGuard).dialer(true).ControlContext
	for network, address := range map[string]string{
		"unix": "/run/docker.sock",
		"udp4": "8.8.8.8:443",
		"tcp4": "example.com:443",
		"tcp6": "",
	} {
		if err := control(t.Context(), network, address, nil); !isRefusal(err) {
			t.Errorf("%s %s: got %v, want a refusal", network, address, err)
		}
	}
}

// A name that resolves to a public address when it is looked at, and to loopback
// when it is called, gains nothing.
func TestGuardSeesTheAddressThatIsDialled(t *testing.T) {
	t.Parallel()
	var asked, called atomic.Int32
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	t.Cleanup(receiver.Close)
	resolver := fakeDNS(t, func() [4]byte {
		if asked.Add(1) == 1 {
			return [4]byte{8, 8, 8, 8}
		}
		return [4]byte{127, 0, 0, 1}
	})
	_, port, _ := net.SplitHostPort(receiver.Listener.Addr().String())
	w := &webhook{ID: "evt_1", URL: "https://rebind.example.com:" + port + "/", Body: []byte("{}")}

	addresses, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.com")
	if err != nil || len(addresses) != 1 {
		t.Fatalf("got %v and %v", addresses, err)
	}
	// Ports are free since there is a range, though another than the receiver's.
	c := testCallbacks(t, receiver, CallbackConfig{AllowPrivate: []string{"10.0.0.0/8"}})
	resolve(c, resolver)
	if err := c.guard.check(netip.AddrPortFrom(addresses[0], 443), true); err != nil {
		t.Errorf("the address that the name had first: %v", err)
	}
	if host, err := c.check(w.URL); host != "rebind.example.com" || err != nil {
		t.Errorf("at submit: got %q and %v", host, err)
	}
	want := delivery{verdict: retry, blocked: true, err: "127.0.0.1 is not a public address"}
	if got := c.send(t.Context(), w, time.Now()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := called.Load(); n != 0 {
		t.Errorf("the receiver was called %d times", n)
	}

	// That it was the guard, and nothing else: the same with the range opened.
	c = testCallbacks(t, receiver, CallbackConfig{AllowPrivate: []string{"127.0.0.0/8"}})
	resolve(c, resolver)
	if got := c.send(t.Context(), w, time.Now()); got.verdict != delivered || called.Load() != 1 {
		t.Errorf("got %+v after %d calls, want delivered after one", got, called.Load())
	}
}

// Whatever is inside one of these ranges is refused in every notation, at submit and at dial. The
// list is another than the guard's, and read by another package.
func FuzzGuard(f *testing.F) {
	var inside []*net.IPNet
	for cidr := range strings.FieldsSeq(`
		0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
		192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
		255.255.255.255/32 ::/128 ::1/128 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16
		3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8`) {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			f.Fatal(err)
		}
		inside = append(inside, n)
		last := make([]byte, len(n.IP))
		for i := range last {
			last[i] = n.IP[i] | ^n.Mask[i]
		}
		f.Add([]byte(n.IP))
		f.Add(last)
		if len(n.IP) == 4 {
			f.Add([]byte(n.IP.To16()))                                           // IPv4-mapped
			f.Add(append(make([]byte, 12), n.IP...))                             // IPv4-compatible
			f.Add(append([]byte{0, 0x64, 0xff, 0x9b, 11: 0}, n.IP...))           // NAT64
			f.Add(append(append([]byte{0x20, 2}, n.IP...), make([]byte, 10)...)) // 6to4
		}
	}
	c, err := newCallbacks(&CallbackConfig{Allow: []string{"*"}, Secrets: []string{testSecret(1)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		listed := false
		for _, n := range inside {
			listed = listed || n.Contains(net.IP(b))
		}
		for _, text := range notations(addr) {
			if err := guardAsks(&c.guard, text, 443, true); listed && err == nil {
				t.Errorf("%s may be dialled", text)
			}
			host := text
			if strings.Contains(text, ":") {
				host = "[" + strings.Replace(text, "%", "%25", 1) + "]"
			}
			if got, err := c.check("https://" + host + "/"); listed && err == nil {
				t.Errorf("%s may be called, as %s", host, got)
			}
		}
		if !addr.Unmap().Is4() {
			return
		}
		// Resolvers may take these for addresses, so none is, public or not.
		four := addr.Unmap().As4()
		n := binary.BigEndian.Uint32(four[:])
		for _, host := range []string{
			fmt.Sprint(n), fmt.Sprintf("0x%x", n), fmt.Sprintf("0%o", n), fmt.Sprintf("%d.%d", four[0], n&0xffffff),
			fmt.Sprintf("0x%x.0%o.%d", four[0], four[1], n&0xffff), addr.Unmap().String() + ".",
			strings.ReplaceAll(addr.Unmap().String(), ".", "。"), strings.ReplaceAll(addr.Unmap().String(), "1", "１") + "。",
		} {
			if got, err := c.check("https://" + host + "/"); err == nil {
				t.Errorf("%s may be called, as %s", host, got)
			}
		}
	})
}

// notations returns how an address can be written.
func notations(a netip.Addr) []string {
	texts := []string{a.String(), a.StringExpanded(), strings.ToUpper(a.String())}
	if a.Is4() {
		return append(texts, "::ffff:"+a.String(), netip.AddrFrom16(a.As16()).StringExpanded())
	}
	b := a.As16()
	dotted := fmt.Sprintf("%x:%x:%x:%x:%x:%x:%d.%d.%d.%d", binary.BigEndian.Uint16(b[0:]), binary.BigEndian.Uint16(b[2:]),
		binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:]),
		b[12], b[13], b[14], b[15])
	return append(texts, dotted, a.WithZone("eth0").String())
}

// guardAsks is what a dialer does before it connects.
func guardAsks(g *dialGuard, address string, port uint16, secure bool) error {
	network := "tcp4"
	if strings.Contains(address, ":") {
		network = "tcp6"
	}
	return g.dialer(secure).ControlContext(context.Background(), network, net.JoinHostPort(address, fmt.Sprint(port)), nil)
}

func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}
