package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// knock is an address whose connections come to nothing.
type knock struct {
	url     string
	counted bool
	n       atomic.Int64 // connections
}

func refusing(t testing.TB) *knock {
	return &knock{url: fmt.Sprintf("http://127.0.0.1:%d", freePort(t))}
}

// selfSigned has a certificate that nobody vouches for.
func selfSigned(t testing.TB) *knock {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	config := &tls.Config{Certificates: server.TLS.Certificates}
	server.Close()
	return listen(t, func(c net.Conn) { _ = tls.Server(c, config).Handshake() })
}

// noHandshake closes the connection on being greeted.
func noHandshake(t testing.TB) *knock {
	t.Helper()
	return listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
}

func listen(t testing.TB, greet func(net.Conn)) *knock {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	k := &knock{url: "https://" + ln.Addr().String(), counted: true}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			k.n.Add(1)
			go func() {
				_ = c.SetDeadline(time.Now().Add(patience))
				greet(c)
				_ = c.Close()
			}()
		}
	}()
	return k
}
