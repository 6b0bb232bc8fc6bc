package mock

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// script writes the server-sent events of one answer, each method appending to
// dst. begin and end are called once.
type script interface {
	begin(dst []byte) []byte
	// word adds the events of the next word, and nothing when all is said.
	word(dst []byte) []byte
	end(dst []byte) []byte
}

// stream is the body of a streamed answer. Each Read waits until a word is due
// and writes its events: there is no goroutine, and nothing is made ahead of
// the reader. A reader that falls behind catches up without waiting.
type stream struct {
	ctx       context.Context
	script    script
	behaviour behaviour
	start     time.Time // when the first word is due
	timer     *time.Timer

	begun  bool
	words  int
	events []byte // the last events written
	unread []byte // the part of them that has not been read
	err    error  // what comes after unread, nil while there is more to say

	closed    chan struct{}
	closeOnce sync.Once
}

func newStream(ctx context.Context, s script, b behaviour) *stream {
	return &stream{ctx: ctx, script: s, behaviour: b, start: time.Now(), closed: make(chan struct{})}
}

// Read implements [io.Reader].
func (s *stream) Read(p []byte) (int, error) {
	select {
	case <-s.closed:
		return 0, http.ErrBodyReadAfterClose
	default:
	}
	if len(s.unread) == 0 && s.err != nil {
		return 0, s.err
	}
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	if len(s.unread) == 0 {
		s.speak()
		if err := s.wait(); err != nil {
			return 0, err
		}
	}
	if len(s.unread) == 0 {
		return 0, s.err
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// speak writes the next events.
func (s *stream) speak() {
	s.events = s.events[:0]
	if !s.begun {
		s.begun = true
		s.events = s.script.begin(s.events)
	}
	if len(s.events) == 0 {
		s.speakWord()
	}
	s.unread = s.events
}

// speakWord writes the next word, or the end.
func (s *stream) speakWord() {
	if s.words != s.behaviour.breakAfter {
		s.events = s.script.word(s.events)
	}
	switch {
	case len(s.events) > 0:
		s.words++
	case s.behaviour.breakAfter >= 0: // at the latest, it breaks at the end
		s.err = io.ErrUnexpectedEOF
	default:
		s.events = s.script.end(s.events)
		s.err = io.EOF
	}
}

// wait returns when the words written are due.
func (s *stream) wait() error {
	if s.err != nil {
		return nil
	}
	d := time.Until(s.start.Add(s.behaviour.spoken(s.words)))
	if d <= 0 {
		return nil
	}
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	select {
	case <-s.timer.C:
		return nil
	case <-s.ctx.Done():
		s.timer.Stop()
		return context.Cause(s.ctx)
	case <-s.closed:
		s.timer.Stop()
		return http.ErrBodyReadAfterClose
	}
}

// Close implements [io.Closer]. It also ends a Read that waits.
func (s *stream) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return nil
}

// onlyEvent is a script of one event, after which the stream ends.
type onlyEvent []byte

func (e onlyEvent) begin(dst []byte) []byte { return append(dst, e...) }
func (onlyEvent) word(dst []byte) []byte    { return dst }
func (onlyEvent) end(dst []byte) []byte     { return dst }

var (
	_ io.ReadCloser = (*stream)(nil)
	_ script        = onlyEvent(nil)
)
