// Package h1 is an HTTP/1.1 client transport for plaintext connections that
// starts no goroutine: a request is written, and its answer read, by the
// goroutine that asks for it. Under many small answers or open streams that
// saves most of what net/http's Transport costs, which keeps two goroutines and
// their stacks, buffers and hand-overs for each connection.
//
// It serves requests whose body is in memory and no larger than 256 KiB. Proxies, TLS, HTTP/2, upgrades and
// uploads are net/http's.
//
// Of the server's side it has what a stream needs: [ChunkWriter].
package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Transport is an [http.RoundTripper] with a pool of idle connections. Its
// fields must not change once it is used; it is safe for concurrent use.
type Transport struct {
	// Dial opens a connection. It should bound its own time. Default: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxIdle is how many idle connections are kept for each address. Default 512.
	MaxIdle int
	// IdleTimeout is how long an idle connection is kept. Default 50s, which is
	// shorter than servers commonly keep theirs.
	IdleTimeout time.Duration

	mu     sync.Mutex
	idle   map[string][]*conn // by address, the longest idle first
	reaper *time.Timer        // runs while there are idle connections
}

const (
	defaultMaxIdle     = 512
	defaultIdleTimeout = 50 * time.Second
)

// maxBody bounds a body in bytes: it is sent whole before the answer is looked at, so that it has to
// fit into what the sockets hold of a server that answers without reading it.
const maxBody = 256 << 10

// Buffered is a request body in memory.
type Buffered interface {
	io.ReadCloser
	// Buffers returns the whole body.
	Buffers() net.Buffers
}

// Serves reports whether RoundTrip can send req.
func Serves(req *http.Request) bool {
	if req.URL.Scheme != "http" || req.ContentLength > maxBody {
		return false
	}
	_, buffered := req.Body.(Buffered)
	return buffered || req.Body == nil || req.Body == http.NoBody
}

// RoundTrip sends req and returns the answer once its head has arrived. Cancelling
// the request's context ends it, the reading of the answer's body included, with the context's cause.
// No request is sent twice: nobody but the caller knows whether it may be (RFC 9110, section 9.2.2). An
// idle connection that the server has closed is not used.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	addr := address(req)
	if c := t.takeIdle(addr); c != nil {
		return c.roundTrip(req)
	}
	c, err := t.dial(req.Context(), addr)
	if err != nil {
		return nil, err
	}
	return c.roundTrip(req)
}

func address(req *http.Request) string {
	if req.URL.Port() == "" {
		return net.JoinHostPort(req.URL.Hostname(), "80")
	}
	return req.URL.Host
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (t *Transport) dial(ctx context.Context, addr string) (*conn, error) {
	dial := t.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return newConn(t, addr, nc), nil
}

// takeIdle returns the connection that was last in use, nil when there is none.
func (t *Transport) takeIdle(addr string) *conn {
	for {
		t.mu.Lock()
		list := t.idle[addr]
		if len(list) == 0 {
			t.mu.Unlock()
			return nil
		}
		c := list[len(list)-1]
		list[len(list)-1] = nil
		t.idle[addr] = list[:len(list)-1]
		t.mu.Unlock()
		if c.usable() {
			return c
		}
		_ = c.Close()
	}
}

func (t *Transport) putIdle(c *conn) {
	maxIdle, timeout := t.MaxIdle, t.IdleTimeout
	if maxIdle == 0 {
		maxIdle = defaultMaxIdle
	}
	if timeout == 0 {
		timeout = defaultIdleTimeout
	}
	c.idleSince = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.idle[c.addr]
	if len(list) >= maxIdle {
		_ = c.Close()
		return
	}
	if t.idle == nil {
		t.idle = make(map[string][]*conn)
	}
	t.idle[c.addr] = append(list, c)
	if t.reaper == nil {
		t.reaper = time.AfterFunc(timeout, func() { t.reap(timeout) })
	}
}

// reap closes the connections that have been idle for too long.
func (t *Transport) reap(timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := time.Now().Add(-timeout)
	left := false
	for addr, list := range t.idle {
		expired := 0
		for expired < len(list) && !list[expired].idleSince.After(oldest) {
			_ = list[expired].Close()
			expired++
		}
		if list = append(list[:0:0], list[expired:]...); len(list) == 0 {
			delete(t.idle, addr)
			continue
		}
		t.idle[addr] = list
		left = true
	}
	if t.reaper == nil {
		return // closed meanwhile
	}
	t.reaper = nil
	if left {
		t.reaper = time.AfterFunc(timeout, func() { t.reap(timeout) })
	}
}

// CloseIdleConnections closes the connections that are not in use. The
// Transport stays usable.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.idle {
		for _, c := range list {
			_ = c.Close()
		}
	}
	t.idle = nil
	if t.reaper != nil {
		t.reaper.Stop()
		t.reaper = nil
	}
}
