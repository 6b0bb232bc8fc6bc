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
type streamWriter struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	below *shortcut // nil when there is none
	alone bool      // nothing stands between here and it
}

// connKey is the context key of a request's connection.
type connKey struct{}

// connContext is registered with Caddy's server to tell handlers the connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// newStreamWriter must be called before the head is sent, and end when the answer is over.
func newStreamWriter(w http.ResponseWriter, r *http.Request) *streamWriter {
	s := &streamWriter{w: w, c: http.NewResponseController(w), below: newShortcut(r)}
	s.alone = s.below != nil && w == http.ResponseWriter(s.below.idle)
	return s
}

// send writes p and flushes it.
func (s *streamWriter) send(p []byte) error {
	// What one deadline may not suffice for is left to Caddy to write in pieces.
	if s.alone && s.below.open && len(p) <= caddyhttp.DefaultMaxWriteChunk {
		if err := s.below.SetWriteDeadline(time.Now().Add(s.below.timeout)); err != nil {
			return err
		}
		_, err := s.below.chunks.Write(p)
		return err
	}
	before := s.below.passed()
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	if n := s.below.passed() - before; n > 0 && n == int64(len(p)) {
		return nil // nobody has kept a part of it, and nothing is left to be flushed
	}
	return s.c.Flush()
}

// end has what is still to be written take the usual way.
func (s *streamWriter) end() {
	if s.below != nil {
		s.below.remove()
	}
}

// shortcut takes the place of the response writer below all others, that of net/http, while a stream is answered.
//
// On the way to an HTTP/1 connection, Caddy's server moves a deadline before every write and
// every flush, and net/http's copies an event twice to put it into a chunk. Under many streams of small
// events that costs more than the events do. Once the head and what came with it have passed through it and were flushed, so
// that net/http's buffers are empty, the shortcut is open: it writes chunks to the connection, and moves the same deadline only
// now and then. Response writers of others, such as those of the access log and of tracing, see
// all that is written as ever. net/http sends the last chunk.
type shortcut struct {
	http.ResponseWriter // net/http's

	idle    *caddyhttp.IdleTimeoutWriter
	wrapper *caddyhttp.ResponseWriterWrapper
	ctrl    *http.ResponseController

	conn    net.Conn
	chunks  *h1.ChunkWriter
	timeout time.Duration
	movedTo time.Time // the deadline

	written int64 // past net/http
	chunked bool  // the head has passed, and announces chunks
	open    bool
}

// A stalled write fails after the idle timeout, and up to a part of it later.
const deadlineSlack = 8

// newShortcut returns nil where there is nothing that it could save.
func newShortcut(r *http.Request) *shortcut {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Method == http.MethodHead {
		return nil
	}
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	_, idle := caddyhttp.IdleTimeoutsFromContext(r.Context())
	if !ok || idle == nil || idle.ClearBetweenWrites || idle.Deadline.MinRate != 0 || !idle.Deadline.HardDeadline.IsZero() {
		return nil
	}
	s := &shortcut{
		ResponseWriter: idle.ResponseWriter, idle: idle, wrapper: idle.ResponseWriterWrapper, ctrl: idle.Ctrl,
		conn: conn, timeout: idle.Deadline.Timeout,
	}
	idle.ResponseWriterWrapper, idle.Ctrl = &caddyhttp.ResponseWriterWrapper{ResponseWriter: s}, http.NewResponseController(s)
	return s
}

func (s *shortcut) remove() {
	s.idle.ResponseWriterWrapper, s.idle.Ctrl = s.wrapper, s.ctrl
}

// Unwrap is for http.ResponseController.
func (s *shortcut) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (s *shortcut) WriteHeader(status int) {
	header := s.Header()
	s.chunked = status == http.StatusOK && header["Content-Length"] == nil && header["Transfer-Encoding"] == nil
	s.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (s *shortcut) Write(p []byte) (int, error) {
	if !s.open {
		return s.ResponseWriter.Write(p)
	}
	n, err := s.chunks.Write(p)
	s.written += int64(n)
	return n, err
}

// passed returns how much was written past net/http, in bytes.
func (s *shortcut) passed() int64 {
	if s == nil {
		return 0
	}
	return s.written
}

// FlushError is for http.ResponseController.
func (s *shortcut) FlushError() error {
	if s.open {
		return nil // there is nothing in between
	}
	if err := http.NewResponseController(s.ResponseWriter).Flush(); err != nil {
		return err
	}
	if s.chunked {
		s.chunks, s.open = h1.NewChunkWriter(s.conn), true
	}
	return nil
}

// SetWriteDeadline moves the deadline of the connection, unless it is as good as there.
func (s *shortcut) SetWriteDeadline(deadline time.Time) error {
	slack := s.timeout / deadlineSlack
	if late := s.movedTo.Sub(deadline); late >= 0 && late <= slack {
		return nil
	}
	if !deadline.IsZero() {
		deadline = deadline.Add(slack)
	}
	s.movedTo = deadline
	return s.conn.SetWriteDeadline(deadline)
}
