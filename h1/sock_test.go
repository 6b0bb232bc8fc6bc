package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/h1"
)

// tcpPair returns the two ends of a TCP connection.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

func TestChunkWriterWritesWhatNetHTTPReads(t *testing.T) {
	t.Parallel()
	ends := map[string]func(t *testing.T) (net.Conn, net.Conn){
		"TCP":              func(t *testing.T) (net.Conn, net.Conn) { a, b := tcpPair(t); return a, b },
		"another net.Conn": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	}
	for name, pair := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := pair(t)
			var want bytes.Buffer
			go func() {
				w := h1.NewChunkWriter(from)
				for _, size := range sizes {
					if n, err := w.Write(filled(size)); n != size || err != nil {
						t.Errorf("writing %d bytes: got %d, %v", size, n, err)
					}
				}
				_, _ = io.WriteString(from, "0\r\n\r\n")
			}()
			for _, size := range sizes {
				want.Write(filled(size))
			}
			got, err := io.ReadAll(httputil.NewChunkedReader(to))
			if err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("got %d bytes and %v, want %d", len(got), err, want.Len())
			}
		})
	}
}

// Around the size of its buffer, and more than a socket takes at once.
var sizes = []int{1, 0, 15, 16, 4076, 4077, 4096, 4097, 60_000, 8 << 20, 2}

func filled(n int) []byte { return bytes.Repeat([]byte{byte('a' + n%26)}, n) }

func TestChunkWriterTellsWhyItFailed(t *testing.T) {
	t.Parallel()
	untilItFails := func(w io.Writer) error {
		for p := make([]byte, 4000); ; {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
	}
	t.Run("the client does not read", func(t *testing.T) {
		t.Parallel()
		from, _ := tcpPair(t)
		_ = from.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		err := untilItFails(h1.NewChunkWriter(from))
		if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "write tcp ") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the client has gone", func(t *testing.T) {
		t.Parallel()
		from, to := tcpPair(t)
		_ = to.SetLinger(0)
		_ = to.Close()
		err := untilItFails(h1.NewChunkWriter(from))
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || !strings.HasPrefix(err.Error(), "write tcp ") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the connection has been closed", func(t *testing.T) {
		t.Parallel()
		from, _ := tcpPair(t)
		w := h1.NewChunkWriter(from)
		failed := make(chan error)
		go func() { failed <- untilItFails(w) }() // it blocks before long
		_ = from.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestChunksArrivePieceByPiece(t *testing.T) {
	t.Parallel()
	from, to := tcpPair(t)
	r, next := httputil.NewChunkedReader(to), h1.NewChunkWriter(from)
	for i := range 3 {
		want := fmt.Sprint("event ", i)
		if _, err := io.WriteString(next, want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestAnAnswerCutOffSaysSo(t *testing.T) {
	t.Parallel()
	target := raw(t, func(_ int, c net.Conn, br *bufio.Reader) {
		answer(c, br, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		if _, err := br.ReadByte(); err == nil { // the client has read that much
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	})
	var conn net.Conn
	tr := &h1.Transport{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return conn, err
	}}
	req, _ := request(t, t.Context(), "POST", target, "x")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2)
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "ok" {
		t.Fatalf("got %q, %v", got, err)
	}
	_, _ = conn.Write([]byte("!"))
	_, err = resp.Body.Read(got)
	if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), ": read tcp ") {
		t.Errorf("got %v", err)
	}
}
