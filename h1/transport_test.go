package h1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/h1"
)

// memory is a request body in memory.
type memory struct {
	parts  net.Buffers
	closed atomic.Int32
}

func (m *memory) Read([]byte) (int, error) { panic("a buffered body is not read") }
func (m *memory) Close() error             { m.closed.Add(1); return nil }
func (m *memory) Buffers() net.Buffers     { return m.parts }

func request(t *testing.T, ctx context.Context, method, target string, parts ...string) (*http.Request, *memory) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	body := &memory{}
	for _, p := range parts {
		body.parts = append(body.parts, []byte(p))
	}
	req := (&http.Request{Method: method, URL: u, Header: http.Header{"X-Test": {"a"}}, Body: body}).WithContext(ctx)
	return req, body
}

func roundTrip(t *testing.T, tr *h1.Transport, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// raw serves each connection with serve, which gets its number, from 1.
func raw(t *testing.T, serve func(n int, c net.Conn, br *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	var conns sync.Map
	t.Cleanup(func() {
		_ = ln.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		open.Wait()
	})
	open.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			open.Go(func() {
				defer func() { _ = c.Close() }()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	return "http://" + ln.Addr().String()
}

// answer reads a request and answers it with text.
func answer(c net.Conn, br *bufio.Reader, text string) bool {
	req, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, req.Body)
	_, err = io.WriteString(c, text)
	return err == nil
}

func TestRequestArrivesAsItWasGiven(t *testing.T) {
	t.Parallel()
	type arrived struct {
		*http.Request
		body []byte
	}
	requests := make(chan arrived, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- arrived{r, body}
		w.Header().Set("X-Answer", "b")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}))
	defer srv.Close()
	for name, parts := range map[string][]string{
		"small":        {"{", `"a":1`, "}"},
		"large":        {strings.Repeat("x", 100_000), strings.Repeat("y", 50_000)},
		"nothing":      nil,
		"empty pieces": {"", "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &h1.Transport{}
			defer tr.CloseIdleConnections()
			req, body := request(t, t.Context(), "POST", srv.URL+"/a%2Fb?q=1", parts...)
			req.Header["X-Lines"] = []string{"a\r\nX-Evil: 1"}
			resp, text := roundTrip(t, tr, req)
			if resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Answer") != "b" || text != "short and stout" {
				t.Errorf("got %d %v %q", resp.StatusCode, resp.Header, text)
			}
			got := <-requests
			if want := strings.Join(parts, ""); string(got.body) != want || got.ContentLength != int64(len(want)) {
				t.Errorf("the server got %d bytes (length %d), want %d", len(got.body), got.ContentLength, len(want))
			}
			if got.RequestURI != "/a%2Fb?q=1" || got.Header.Get("X-Test") != "a" || got.Header.Get("X-Evil") != "" {
				t.Errorf("the server got %s %v", got.RequestURI, got.Header)
			}
			if body.closed.Load() != 1 {
				t.Errorf("the body was closed %d times", body.closed.Load())
			}
		})
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for _, text := range []string{
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nok\r\n0\r\nTrailer: x\r\n\r\n",
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 204 No Content\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		} {
			if !answer(c, br, text) {
				return
			}
		}
	})
	tr := &h1.Transport{}
	defer tr.CloseIdleConnections()
	for i := range 6 {
		req, _ := request(t, t.Context(), "POST", target, "x")
		resp, text := roundTrip(t, tr, req)
		if want := map[bool]string{true: "", false: "ok"}[resp.StatusCode == 204]; text != want {
			t.Errorf("answer %d: %q", i, text)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections were opened, want 1", conns.Load())
	}
}

func TestConnectionIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"when the server says close":       "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"when more arrived than was asked": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
		"over HTTP/1.0":                    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int32
			target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
				conns.Add(1)
				for answer(c, br, text) {
				}
			})
			tr := &h1.Transport{}
			defer tr.CloseIdleConnections()
			for range 2 {
				req, _ := request(t, t.Context(), "POST", target, "x")
				if _, text := roundTrip(t, tr, req); text != "ok" {
					t.Errorf("got %q", text)
				}
			}
			if conns.Load() != 2 {
				t.Errorf("%d connections were opened, want 2", conns.Load())
			}
		})
	}
}

func TestIdleConnectionThatTheServerHasClosedIsNotUsed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	target := raw(t, func(n int, c net.Conn, br *bufio.Reader) {
		answer(c, br, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if n == 1 {
			_ = c.Close()
			close(closed)
			return
		}
		answer(c, br, "")
	})
	tr := &h1.Transport{}
	defer tr.CloseIdleConnections()
	for range 2 {
		req, _ := request(t, t.Context(), "POST", target, "body")
		if _, text := roundTrip(t, tr, req); text != "ok" {
			t.Errorf("got %q", text)
		}
		<-closed
	}
}

func TestRequestIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, served := range map[string]int32{"on a fresh connection": 0, "on one that was used before": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
				for range served {
					requests.Add(1)
					answer(c, br, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
				requests.Add(1)
				answer(c, br, "") // takes the request, and hangs up
			})
			tr := &h1.Transport{}
			for range served {
				req, _ := request(t, t.Context(), "POST", target, "body")
				roundTrip(t, tr, req)
			}
			req, body := request(t, t.Context(), "POST", target, "body")
			if _, err := tr.RoundTrip(req); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				t.Errorf("got %v", err)
			}
			if n := requests.Load(); n != served+1 || body.closed.Load() != 1 {
				t.Errorf("%d requests, body closed %d times", n, body.closed.Load())
			}
		})
	}
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	t.Parallel()
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, text := range map[string]string{
		"no chunk size":               chunked + "\r\n",
		"not a number":                chunked + "zz\r\n",
		"a negative size":             chunked + "-1\r\n",
		"a size beyond bounds":        chunked + "ffffffffffffffff\r\n",
		"data longer than its chunk":  chunked + "2\r\nokay\r\n0\r\n\r\n",
		"a chunk cut off":             chunked + "5\r\nok",
		"cut off between chunks":      chunked + "2\r\nok\r\n",
		"cut off before the last CR":  chunked + "2\r\nok\r\n0\r\n",
		"an endless size":             chunked + strings.Repeat("1", 5000),
		"shorter than its length":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"a switch that nobody wanted": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"not HTTP":                    "<html>\r\n\r\n",
		"an endless head":             "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 1100) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) { answer(c, br, text) })
			req, _ := request(t, t.Context(), "POST", target, "x")
			resp, err := new(h1.Transport).RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestCancellingEndsTheRequestWithItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("enough")
	for name, text := range map[string]string{
		"before the answer":  "",
		"within a body":      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"between two chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan error, 1)
			asked := make(chan struct{})
			target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
				answer(c, br, text)
				close(asked)
				_, err := br.ReadByte()
				gone <- err
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			req, _ := request(t, ctx, "POST", target, "x")
			go func() { <-asked; cancel(cause) }()
			resp, err := new(h1.Transport).RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			if !errors.Is(err, cause) {
				t.Errorf("got %v", err)
			}
			if err := <-gone; err == nil {
				t.Error("the server was not told")
			}
		})
	}
}

func TestClosingABodyEarlyClosesTheConnection(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
		answer(c, br, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		_, err := br.ReadByte()
		gone <- err
	})
	req, _ := request(t, t.Context(), "POST", target, "x")
	resp, err := new(h1.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := <-gone; err == nil {
		t.Error("the connection is still open")
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
		t.Error("a closed body can be read")
	}
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
		answer(c, br, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = br.ReadByte()
		close(gone)
	})
	tr := &h1.Transport{IdleTimeout: 10 * time.Millisecond}
	req, _ := request(t, t.Context(), "POST", target, "x")
	roundTrip(t, tr, req)
	<-gone
}

func TestManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	tr := &h1.Transport{MaxIdle: 4}
	defer tr.CloseIdleConnections()
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("%d/%d.", i, j)
				req, _ := request(t, t.Context(), "POST", srv.URL, want)
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(got) != want+want {
					t.Errorf("got %q %v, want %q twice", got, err, want)
				}
			}
		})
	}
	wait.Wait()
}
