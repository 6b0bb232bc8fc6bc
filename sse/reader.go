package sse

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// MaxBlock is the longest block in bytes that a Reader takes: an event may
// carry an image.
const MaxBlock = 32 << 20

// ErrTooLong is returned for a block longer than MaxBlock.
var ErrTooLong = errors.New("an event is longer than 32 MiB")

// pieceSize is small because thousands of streams are open at a time and most
// events fit it.
const pieceSize = 4 << 10

var pieces = sync.Pool{New: func() any { b := make([]byte, pieceSize); return &b }}

var bom = []byte("\xef\xbb\xbf")

// Source is a stream that hands out its own buffer.
type Source interface {
	// Next returns what has arrived, at least a byte, waiting if need be. The slice may
	// be modified and is valid until the next call.
	Next() ([]byte, error)
}

// Reader reads whole blocks from a stream. It is not safe for concurrent use.
type Reader struct {
	src     Source
	own     *readerSource // src, if it is ours to release
	pending []byte        // a block whose end has not arrived
	out     []byte        // a pending block that was completed and returned
	scanned int           // the start of a line of pending before which no block ends
	started bool
	err     error
}

// NewReader returns a Reader over src, using its own buffer where src is a
// Source. A byte order mark that opens the stream is dropped: some clients lose the
// first event to it.
func NewReader(src io.Reader) *Reader {
	if s, ok := src.(Source); ok {
		return &Reader{src: s}
	}
	own := &readerSource{r: src}
	return &Reader{src: own, own: own}
}

// Next returns the whole blocks that have arrived, at least one, waiting for
// it if need be. The slice is valid until the next call. At the end of the
// stream the error is the source's, after any remainder that no blank line ended
// has been returned with a nil error.
func (r *Reader) Next() ([]byte, error) {
	for r.err == nil {
		p, err := r.src.Next()
		if err != nil {
			r.Release()
			r.err = err
			break
		}
		if p = r.start(p); p == nil {
			continue
		}
		if len(r.pending) == 0 {
			// Most reads bring whole events, which need not be copied.
			if n := complete(p, 0); n > 0 {
				r.keep(p[n:])
				return p[:n], nil
			}
			r.keep(p)
			continue
		}
		if out, ok := r.add(p); ok {
			return out, nil
		}
		if len(r.pending) > MaxBlock {
			r.Release()
			r.err = ErrTooLong
		}
	}
	if len(r.pending) > 0 && r.err != ErrTooLong {
		rest := r.pending
		r.pending = nil
		return rest, nil
	}
	return nil, r.err
}

// complete returns the length of the whole blocks at the beginning of b, of which the
// first does not end before at.
func complete(b []byte, at int) (total int) {
	for {
		n := End(b[at:])
		if n == 0 {
			return total
		}
		at += n
		total = at
	}
}

// start drops a byte order mark. It returns nil while more is needed to tell.
func (r *Reader) start(p []byte) []byte {
	if r.started {
		return p
	}
	if len(r.pending) > 0 {
		p = append(r.pending, p...)
		r.pending = nil
	}
	if len(p) < len(bom) && bytes.HasPrefix(bom, p) {
		r.pending = bytes.Clone(p)
		return nil
	}
	r.started = true
	if p = bytes.TrimPrefix(p, bom); len(p) == 0 {
		return nil
	}
	return p
}

// keep stores the beginning of a block.
func (r *Reader) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	if r.out != nil {
		r.pending, r.out = r.out[:0], nil
	}
	r.pending = append(r.pending, p...)
	r.scanned = lineStart(r.pending)
}

// lineStart returns where the last line begins, which may turn out to be
// blank. A CR at the end may yet be followed by its LF, so that it ends no line here.
func lineStart(b []byte) int {
	b = bytes.TrimSuffix(b, []byte{'\r'})
	for i := len(b); i > 0; i-- {
		if b[i-1] == '\n' || b[i-1] == '\r' {
			return i
		}
	}
	return 0
}

// add adds to the pending block and returns the whole blocks if p ended it.
func (r *Reader) add(p []byte) ([]byte, bool) {
	// A long event arrives in many pieces: only what is new can end it.
	ends := bytes.IndexByte(p, '\n') >= 0 || bytes.IndexByte(p, '\r') >= 0
	r.pending = append(r.pending, p...)
	if !ends {
		return nil, false
	}
	n := complete(r.pending, r.scanned)
	if n == 0 {
		r.scanned = lineStart(r.pending)
		return nil, false
	}
	out := r.pending[:n]
	rest := r.pending[n:]
	r.pending, r.out = nil, nil
	if len(rest) > 0 {
		r.pending = bytes.Clone(rest)
		r.scanned = lineStart(rest)
	}
	if cap(out) <= 4*pieceSize {
		r.out = out // to be used again after the next call
	}
	return out, true
}

// Release gives back what the Reader holds. What Next returned is invalid from then on.
func (r *Reader) Release() {
	if r.own != nil {
		r.own.release()
		r.own = nil
	}
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
}

// readerSource makes a Source of a reader.
type readerSource struct {
	r   io.Reader
	buf *[]byte
	err error
}

func (s *readerSource) Next() ([]byte, error) {
	if s.buf == nil {
		s.buf = pieces.Get().(*[]byte)
	}
	for s.err == nil {
		var n int
		if n, s.err = s.r.Read(*s.buf); n > 0 {
			return (*s.buf)[:n], nil
		}
	}
	return nil, s.err
}

func (s *readerSource) release() {
	if s.buf != nil {
		pieces.Put(s.buf)
		s.buf = nil
	}
}
