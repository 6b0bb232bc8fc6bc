//go:build unix

package e2e

import (
	"net"
	"sync"
	"testing"
)

// link is the network between a gateway and a server, which a test can cut: what is on its way
// then arrives when it is mended, or never.
type link struct {
	url    string // redis://
	target string
	ln     net.Listener
	wg     sync.WaitGroup

	mu     sync.Mutex
	mended *sync.Cond
	cut    bool
	over   bool
	conns  []net.Conn
}

// newLink returns a link to the server at an address.
func newLink(t testing.TB, target string) *link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{url: "redis://" + ln.Addr().String(), target: target, ln: ln}
	l.mended = sync.NewCond(&l.mu)
	l.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.join(c) })
		}
	})
	t.Cleanup(l.close)
	return l
}

// set cuts the link, or mends it.
func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	l.mended.Broadcast()
}

func (l *link) close() {
	_ = l.ln.Close()
	l.mu.Lock()
	l.over, l.cut = true, false
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.mended.Broadcast()
	l.mu.Unlock()
	l.wg.Wait()
}

// whole waits until the link is whole, and has the connections closed at the end.
func (l *link) whole(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conns...)
	for l.cut {
		l.mended.Wait()
	}
	return !l.over
}

func (l *link) join(near net.Conn) {
	defer near.Close()
	if !l.whole(near) {
		return
	}
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.whole(far) {
		return
	}
	l.wg.Go(func() { l.carry(far, near) })
	l.carry(near, far)
}

// carry passes on what comes, when it may.
func (l *link) carry(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !l.whole() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
