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

// startBuffer is small because thousands of streams are open at a time and
// most events fit it.
const startBuffer = 4 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, startBuffer); return &b }}

var bom = []byte("\xef\xbb\xbf")

// Reader reads whole blocks from a stream. It is not safe for concurrent use.
type Reader struct {
	src     io.Reader
	buf     *[]byte
	r, w    int // what is unread of buf
	scanned int // the start of a line, past r, before which no block ends
	seen    int // how far past r has been scanned
	started bool
	err     error
}

// NewReader returns a Reader over src. A byte order mark that opens the stream
// is dropped: some clients lose the first event to it.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Next returns the whole blocks that have arrived, at least one, waiting for
// it if need be. The slice is valid until the next call. At the end of the
// stream the error is src's, after any remainder that no blank line ended
// has been returned with a nil error.
func (r *Reader) Next() ([]byte, error) {
	if r.buf == nil {
		if r.err != nil {
			return nil, r.err
		}
		r.buf = buffers.Get().(*[]byte)
	}
	for {
		if n := r.complete(); n > 0 {
			block := (*r.buf)[r.r : r.r+n]
			r.r += n
			r.scanned, r.seen = 0, 0
			return block, nil
		}
		if r.err != nil {
			return r.remainder()
		}
		if r.w-r.r >= MaxBlock {
			r.Release()
			r.err = ErrTooLong
			return nil, r.err
		}
		r.fill()
	}
}

// complete returns the length of the whole blocks that are buffered.
func (r *Reader) complete() int {
	if !r.started && !r.start() {
		return 0
	}
	unread := (*r.buf)[r.r:r.w]
	// A long event arrives in many reads: only what is new can end it.
	if bytes.IndexByte(unread[r.seen:], '\n') < 0 && bytes.IndexByte(unread[r.seen:], '\r') < 0 {
		r.seen = len(unread)
		return 0
	}
	total := 0
	at := r.scanned
	for {
		n := End(unread[at:])
		if n == 0 {
			break
		}
		at += n
		total = at
	}
	// The next scan starts with the last line, which may turn out to be blank.
	// A CR may yet be followed by its LF, so only an LF ends a line here.
	r.scanned = max(total, bytes.LastIndexByte(unread, '\n')+1)
	r.seen = len(unread)
	return total
}

// start drops a byte order mark and reports whether enough has arrived to tell.
func (r *Reader) start() bool {
	unread := (*r.buf)[r.r:r.w]
	if len(unread) < len(bom) && r.err == nil && bytes.HasPrefix(bom, unread) {
		return false
	}
	if bytes.HasPrefix(unread, bom) {
		r.r += len(bom)
		r.seen = 0
	}
	r.started = true
	return true
}

// fill reads once more from the stream, making room first.
func (r *Reader) fill() {
	buf := *r.buf
	if r.r > 0 {
		copy(buf, buf[r.r:r.w])
		r.w -= r.r
		r.r = 0
	}
	if r.w == len(buf) {
		grown := make([]byte, 2*len(buf))
		copy(grown, buf)
		buf = grown
		*r.buf = grown
	}
	n, err := r.src.Read(buf[r.w:])
	r.w += n
	r.err = err
}

// remainder returns what is left at the end of the stream, then its error.
func (r *Reader) remainder() ([]byte, error) {
	if r.w > r.r {
		rest := (*r.buf)[r.r:r.w]
		r.r, r.scanned, r.seen = r.w, 0, 0
		return rest, nil
	}
	r.Release()
	return nil, r.err
}

// Release gives the buffer back. What Next returned is invalid from then on.
func (r *Reader) Release() {
	if r.buf == nil {
		return
	}
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
	if len(*r.buf) == startBuffer {
		buffers.Put(r.buf)
	}
	r.buf = nil
}
