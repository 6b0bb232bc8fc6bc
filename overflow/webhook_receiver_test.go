package overflow

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// testSecret returns a secret; another for another n.
func testSecret(n byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32))
}

// testReceiver is a real HTTPS server, with HTTP/2 unless told otherwise.
func testReceiver(t *testing.T, http2 bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// testCallbacks returns callbacks that trust a receiver. What config leaves out is
// what lets it be called.
func testCallbacks(t *testing.T, receiver *httptest.Server, config CallbackConfig) *callbacks {
	t.Helper()
	if config.Allow == nil {
		config.Allow = []string{"*"}
	}
	if config.AllowPrivate == nil {
		config.AllowPrivate = []string{"127.0.0.0/8"}
	}
	if config.Secrets == nil {
		config.Secrets = []string{testSecret(1), testSecret(2)}
	}
	c, err := newCallbacks(&config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.https.CloseIdleConnections)
	t.Cleanup(c.http.CloseIdleConnections)
	if receiver != nil {
		c.https.TLSClientConfig = receiver.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	return c
}

// rawReceiver answers each connection with text once a request has come, and closes
// it. It returns its address.
func rawReceiver(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// unusedAddress returns an address on which nobody listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// resolve makes c use another resolver.
func resolve(c *callbacks, resolver *net.Resolver) {
	dialer := c.guard.dialer(true)
	dialer.Resolver = resolver
	c.https.DialContext = dialer.DialContext
}

// fakeDNS returns a resolver for which every name has the one IPv4 address that next
// returns, or does not exist if next is nil.
func fakeDNS(t *testing.T, next func() [4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			q := m.Questions[0]
			switch {
			case next == nil:
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: next()},
				}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}
