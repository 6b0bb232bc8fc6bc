package provider

import (
	"encoding/json"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Body is a request body held whole and shared by the attempts made with it.
// Its bytes are returned to their owner once every holder has let go.
type Body struct {
	bytes []byte
	refs  atomic.Int32
	free  func([]byte)
}

// NewBody returns a Body over b held once. free, unless nil, is called with b
// after the last Release.
func NewBody(b []byte, free func([]byte)) *Body {
	body := &Body{bytes: b, free: free}
	body.refs.Store(1)
	return body
}

// Bytes returns the body. It must not be modified, nor read after Release.
func (b *Body) Bytes() []byte { return b.bytes }

// Hold makes the caller a further holder.
func (b *Body) Hold() { b.refs.Add(1) }

// Release lets go of the body. Each holder calls it once.
func (b *Body) Release() {
	if b.refs.Add(-1) == 0 && b.free != nil {
		b.free(b.bytes)
	}
}

// Edit replaces the bytes of Span by New. An empty Span inserts at Start.
type Edit struct {
	Span
	New string
}

// Edits returns what an adapter that speaks the client's own dialect changes in
// Body, in its order: the model's name, where t has one, and, if usage is set, AskUsage.
func (r *Request) Edits(t Target, usage bool) []Edit {
	edits := make([]Edit, 0, 2)
	if t.Model != "" && t.Model != r.Model && !r.ModelSpan.IsZero() {
		name, _ := json.Marshal(t.Model) // a string cannot fail
		edits = append(edits, Edit{Span: r.ModelSpan, New: string(name)})
	}
	if usage {
		edits = append(edits, r.AskUsage)
	}
	if len(edits) == 2 && edits[1].Start < edits[0].Start {
		edits[0], edits[1] = edits[1], edits[0]
	}
	return edits
}

// Splice is a reader over a Body with edits applied and nothing copied. It
// holds the Body until it is closed, which net/http may do while it still reads.
type Splice struct {
	parts [5][]byte // enough for two edits, which is what most have

	mu     sync.Mutex
	body   *Body // nil once closed
	rest   net.Buffers
	length int64
}

// Splice returns the body with the edits made, which must be in order and not overlap. Up to
// two cost no more than the Splice.
func (b *Body) Splice(edits ...Edit) *Splice {
	b.refs.Add(1)
	s := &Splice{body: b}
	s.rest = s.parts[:0]
	at := 0
	for _, e := range edits {
		s.add(b.bytes[at:e.Start])
		s.add([]byte(e.New))
		at = e.End
	}
	s.add(b.bytes[at:])
	return s
}

func (s *Splice) add(p []byte) {
	if len(p) > 0 {
		s.rest = append(s.rest, p)
		s.length += int64(len(p))
	}
}

// Len returns the length in bytes of what has not been read.
func (s *Splice) Len() int64 { return s.length }

// Buffers returns what has not been read as slices of the Body. They must not
// be modified, nor used after Close.
func (s *Splice) Buffers() net.Buffers { return s.rest }

// Read implements [io.Reader].
func (s *Splice) Read(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, io.ErrClosedPipe
	}
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n, _ = s.rest.Read(p)
	s.length -= int64(n)
	return n, nil // the end is told apart, for what may follow
}

// Close lets go of the Body. It may be called more than once.
func (s *Splice) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body != nil {
		s.body.Release()
		s.body, s.rest, s.length = nil, nil, 0
	}
	return nil
}

var _ io.ReadCloser = (*Splice)(nil)
