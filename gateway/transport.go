package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/h1"
)

// transportPool keeps connections over reloads. A transport serves every host,
// so they differ only in what they are set to.
var transportPool = caddy.NewUsagePool()

// maxIdlePerHost is how many idle connections a host keeps: as many as may
// be wanted again at once.
const maxIdlePerHost = 512

// transports are the two ways to a provider: net/http's for TLS, HTTP/2, proxies
// and uploads, and our own, leaner one for plaintext HTTP/1.1.
type transports struct {
	key  string
	full *http.Transport
	lean *h1.Transport // nil when a proxy is to be used
}

func (a *App) holdTransports(up *upstream) error {
	if _, ok := up.provider.(http.RoundTripper); ok {
		return nil
	}
	connect := up.limits.connect
	key := fmt.Sprintf("connect=%s", connect)
	value, _, err := transportPool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return newTransports(key, connect), nil
	})
	if err != nil {
		return fmt.Errorf("opening transports: %w", err)
	}
	up.shared = value.(*transports)
	a.transports = append(a.transports, up.shared)
	return nil
}

func newTransports(key string, connect time.Duration) *transports {
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	t := &transports{key: key, full: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: connect,
		TLSClientConfig:     &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(256)},
		MaxIdleConnsPerHost: maxIdlePerHost,
		IdleConnTimeout:     50 * time.Second,
		ForceAttemptHTTP2:   true,
		// Compressed tokens would wait in the decompressor.
		DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			// A client that reads slowly must hold back its provider, not fill our memory.
			MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout:           15 * time.Second,
			PingTimeout:               10 * time.Second,
		},
	}}
	if os.Getenv("HTTP_PROXY") == "" && os.Getenv("http_proxy") == "" {
		t.lean = &h1.Transport{Dial: dialer.DialContext, MaxIdle: maxIdlePerHost}
	}
	return t
}

// Destruct closes what is idle. Answers that are still open keep their connection.
func (t *transports) Destruct() error {
	t.full.CloseIdleConnections()
	if t.lean != nil {
		t.lean.CloseIdleConnections()
	}
	return nil
}

func (u *upstream) roundTrip(req *http.Request) (*http.Response, error) {
	if own, ok := u.provider.(http.RoundTripper); ok {
		return own.RoundTrip(req)
	}
	if u.shared.lean != nil && h1.Serves(req) {
		return u.shared.lean.RoundTrip(req)
	}
	resp, err := u.shared.full.RoundTrip(req)
	if ctx := req.Context(); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return resp, err
}
