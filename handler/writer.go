package handler

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// streamWriter sends the events of a stream to the client, each at once.
//
// Caddy's server bounds how long a write may stall by moving a deadline before
// every write and every flush, which under many streams of small events costs
// more than the events do. Where that is all that stands between here and an HTTP/1 connection,
// streamWriter goes past it and moves the same deadline itself, once in a while.
type streamWriter struct {
	w     http.ResponseWriter
	flush interface{ FlushError() error }

	idle    *caddyhttp.IdleTimeoutWriter // nil when it is not passed by
	movedAt time.Time                    // when the deadline was last moved
}

// A stalled write fails after the idle timeout, and up to this much of it later.
const deadlineSlack = 8

func newStreamWriter(w http.ResponseWriter, r *http.Request) *streamWriter {
	s := &streamWriter{w: w}
	if idle, ok := w.(*caddyhttp.IdleTimeoutWriter); ok && r.ProtoMajor == 1 && !idle.ClearBetweenWrites &&
		idle.Deadline.MinRate == 0 && idle.Deadline.HardDeadline.IsZero() {
		s.idle, s.w = idle, idle.ResponseWriterWrapper.ResponseWriter
	}
	for inner := s.w; ; {
		if f, ok := inner.(interface{ FlushError() error }); ok {
			s.flush = f
			break
		}
		wrapper, ok := inner.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		inner = wrapper.Unwrap()
	}
	return s
}

// send writes p and flushes it.
func (s *streamWriter) send(p []byte) error {
	if s.idle != nil && len(p) > caddyhttp.DefaultMaxWriteChunk {
		// What one deadline may not suffice for is written in pieces.
		if _, err := s.idle.Write(p); err != nil {
			return err
		}
		return s.flush.FlushError()
	}
	if s.idle != nil {
		timeout := s.idle.Deadline.Timeout
		if now := time.Now(); now.Sub(s.movedAt) > timeout/deadlineSlack {
			s.movedAt = now
			if err := s.idle.Ctrl.SetWriteDeadline(now.Add(timeout + timeout/deadlineSlack)); err != nil {
				return err
			}
		}
	}
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	if s.flush == nil {
		return nil
	}
	return s.flush.FlushError()
}
