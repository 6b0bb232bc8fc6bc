package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// upstream is a provider that does exactly what a test scripts, on raw sockets,
// and keeps what it was sent to the byte.
type upstream struct {
	t    testing.TB
	ln   net.Listener
	stop chan struct{} // closed when the test is over
	wg   sync.WaitGroup

	mu     sync.Mutex
	routes map[string]*route
	conns  map[net.Conn]struct{}
	total  int // requests of which anything arrived
}

// route is how requests with one key are answered.
type route struct {
	script func(*exchange)
	early  bool // run the script before the body is read
	seen   chan *exchange
}

// newUpstream starts an upstream that answers 404 to what no test asked it for.
func newUpstream(t testing.TB) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{t: t, ln: ln, stop: make(chan struct{}), routes: map[string]*route{}, conns: map[net.Conn]struct{}{}}
	u.wg.Go(u.accept)
	t.Cleanup(u.close)
	return u
}

// URL is the base without the /v1.
func (u *upstream) URL() string { return "http://" + u.ln.Addr().String() }

// on scripts the answer to requests for the upstream model key or, when the
// request names none, for the path key. It returns where those requests can be received.
func (u *upstream) on(key string, script func(*exchange)) *route {
	return u.route(key, &route{script: script})
}

// onHead is on for a path whose script reads the request body itself.
func (u *upstream) onHead(path string, script func(*exchange)) *route {
	return u.route(path, &route{script: script, early: true})
}

func (u *upstream) route(key string, r *route) *route {
	r.seen = make(chan *exchange, 4096)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.routes[key] = r
	return r
}

// next returns the next request that came to the route.
func (r *route) next(t testing.TB) *exchange {
	t.Helper()
	select {
	case x := <-r.seen:
		return x
	case <-time.After(patience):
		t.Fatal("the request did not reach the upstream")
		return nil
	}
}

// requests returns how many requests, finished or not, ever arrived.
func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

func (u *upstream) close() {
	close(u.stop)
	_ = u.ln.Close()
	u.mu.Lock()
	for c := range u.conns {
		_ = c.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

func (u *upstream) accept() {
	for {
		c, err := u.ln.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns[c] = struct{}{}
		u.mu.Unlock()
		u.wg.Go(func() {
			u.serve(c.(*net.TCPConn))
			_ = c.Close()
			u.mu.Lock()
			delete(u.conns, c)
			u.mu.Unlock()
		})
	}
}

// serve answers the requests of one connection, one after another.
func (u *upstream) serve(c *net.TCPConn) {
	raw := &recorder{from: c}
	br := bufio.NewReader(raw)
	for {
		if _, err := br.Peek(1); err != nil {
			return
		}
		u.mu.Lock()
		u.total++
		u.mu.Unlock()
		raw.keep.Reset()
		start, _ := br.Peek(br.Buffered())
		raw.keep.Write(start)
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		x := &exchange{u: u, conn: c, br: br, Req: req, gone: make(chan struct{})}
		x.Head, _, _ = bytes.Cut(raw.keep.Bytes(), []byte("\r\n\r\n"))
		x.Head = bytes.Clone(x.Head)
		if !u.answer(x) {
			return
		}
	}
}

// answer finds and runs the script and reports whether the connection goes on.
func (u *upstream) answer(x *exchange) bool {
	u.mu.Lock()
	r := u.routes[x.Req.URL.Path]
	u.mu.Unlock()
	if r == nil || !r.early {
		x.readBody()
		if key := modelOf(x.Body); key != "" {
			u.mu.Lock()
			r = u.routes[key]
			u.mu.Unlock()
		}
	}
	if r == nil {
		x.json(http.StatusNotFound, `{"error":{"message":"the test has no such route","type":"invalid_request_error","param":null,"code":"no_route"}}`)
	} else {
		r.seen <- x
		r.script(x)
	}
	if x.done {
		return false
	}
	x.watch()
	// Either the gateway's next request or the end of the connection.
	<-x.gone
	return x.more
}

// modelOf returns the top-level model of a JSON body.
func modelOf(body []byte) string {
	var b struct {
		Model string `json:"model"`
	}
	_ = json.Unmarshal(body, &b)
	return b.Model
}

// recorder keeps what is read through it.
type recorder struct {
	from io.Reader
	keep bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.keep.Write(p[:n])
	return n, err
}
