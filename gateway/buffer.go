package gateway

import (
	"io"
	"math/bits"
	"sync"
)

// Buffer is a byte slice from a pool. Sizes are powers of two, so that
// a large prompt does not leave its buffer to a small one.
type Buffer struct{ B []byte }

const (
	minBuffer = 12 // 4 KiB
	maxBuffer = 20 // 1 MiB: a larger one is rare and left to the collector
)

var bufferPools [maxBuffer - minBuffer + 1]sync.Pool

// NewBuffer returns an empty buffer with room for size bytes and the end that
// follows them; a size below 0 means unknown.
func NewBuffer(size int64) *Buffer {
	// One byte more, so that the read that meets the end needs no growth.
	class := max(minBuffer, bits.Len64(uint64(max(size, 0))))
	class = min(class, maxBuffer) // who announces much may still send little
	if b, _ := bufferPools[class-minBuffer].Get().(*Buffer); b != nil {
		return b
	}
	return &Buffer{B: make([]byte, 0, 1<<class)}
}

// ReadOnce reads once from r to the buffer's end, growing it if it is full.
func (b *Buffer) ReadOnce(r io.Reader) (int, error) {
	if len(b.B) == cap(b.B) {
		grown := NewBuffer(int64(2 * cap(b.B)))
		if cap(grown.B) <= cap(b.B) {
			grown = &Buffer{B: make([]byte, 0, 2*cap(b.B))}
		}
		grown.B = append(grown.B[:0], b.B...)
		*b, *grown = *grown, *b
		grown.Free()
	}
	n, err := r.Read(b.B[len(b.B):cap(b.B)])
	b.B = b.B[:len(b.B)+n]
	return n, err
}

// Free gives the buffer back. Nothing may use its bytes afterwards.
func (b *Buffer) Free() {
	class := bits.Len(uint(cap(b.B))) - 1
	if cap(b.B) != 1<<class || class < minBuffer || class > maxBuffer {
		return
	}
	b.B = b.B[:0]
	bufferPools[class-minBuffer].Put(b)
}
