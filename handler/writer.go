package handler

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/runestone-gateway/runestone/h1"
)

// streamWriter sends the events of a stream to the client, each at once.
//
// Between here and an HTTP/1 connection, Caddy's server moves a deadline before
// every write and every flush, and net/http's copies an event twice to put it into a
// chunk. Under many streams of small events that costs more than the events do.
// Where nothing else stands between, so that nobody misses the bytes, streamWriter
// goes past both once the head is sent: it writes chunks to the
// connection and moves the same deadline itself, now and then. net/http, whose
// buffers are empty by then, sends the last chunk.
type streamWriter struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	begun bool // the head is sent

	chunks  *h1.ChunkWriter // nil when the server is not passed by
	conn    net.Conn
	timeout time.Duration
	movedAt time.Time // when the deadline was last moved
}

// A stalled write fails after the idle timeout, and up to a part of it later.
const deadlineSlack = 8

// connKey is the context key of a request's connection.
type connKey struct{}

// connContext is registered with Caddy's server to tell handlers the connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func newStreamWriter(w http.ResponseWriter, r *http.Request) *streamWriter {
	s := &streamWriter{w: w, c: http.NewResponseController(w)}
	idle, ok := w.(*caddyhttp.IdleTimeoutWriter)
	if !ok || idle.ClearBetweenWrites || idle.Deadline.MinRate != 0 || !idle.Deadline.HardDeadline.IsZero() {
		return s
	}
	header := w.Header()
	chunked := r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.Method != http.MethodHead &&
		header["Content-Length"] == nil && header["Transfer-Encoding"] == nil
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok && chunked {
		s.chunks, s.conn, s.timeout = h1.NewChunkWriter(conn), conn, idle.Deadline.Timeout
	}
	return s
}

// send writes p and flushes it.
func (s *streamWriter) send(p []byte) error {
	// The head goes with the first event. What one deadline may not suffice for is
	// left to Caddy to write in pieces.
	if s.chunks == nil || !s.begun || len(p) > caddyhttp.DefaultMaxWriteChunk {
		if _, err := s.w.Write(p); err != nil {
			return err
		}
		s.begun = true
		return s.c.Flush()
	}
	if now := time.Now(); now.Sub(s.movedAt) > s.timeout/deadlineSlack {
		s.movedAt = now
		if err := s.conn.SetWriteDeadline(now.Add(s.timeout + s.timeout/deadlineSlack)); err != nil {
			return err
		}
	}
	_, err := s.chunks.Write(p)
	return err
}
