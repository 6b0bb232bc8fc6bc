package h1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
)

var errChunk = errors.New("malformed chunked encoding")

// maxExcess is how many bytes of an answer may be neither data nor what data needs.
const maxExcess = 16 << 10

// chunkBuffer is the size of a chunked body's buffer: small because thousands of
// streams are open at a time. No line of the encoding may be longer.
const chunkBuffer = 4 << 10

var chunkBuffers = sync.Pool{New: func() any { return new([chunkBuffer]byte) }}

// chunked decodes the chunked transfer coding (RFC 9112, section 7.1) in its own
// buffer: events of a stream are handed out without being copied.
type chunked struct {
	conn io.Reader
	buf  *[chunkBuffer]byte
	r, w int // buf[r:w] has arrived and has not been decoded

	left   uint64 // of the present chunk
	tail   bool   // the line end after a chunk's data is due
	last   bool   // the last chunk has been seen
	excess int64  // bytes that were neither data nor what data needs
	err    error
}

// begin starts a body on conn, of which head has been read already. It is at most chunkBuffer long.
func (d *chunked) begin(conn io.Reader, head []byte) {
	d.conn = conn
	d.buf = chunkBuffers.Get().(*[chunkBuffer]byte)
	d.w = copy(d.buf[:], head)
}

// release gives the buffer back and reports whether all that had arrived was decoded.
func (d *chunked) release() (clean bool) {
	clean = d.r == d.w
	chunkBuffers.Put(d.buf)
	d.buf = nil
	return clean
}

// next returns the data that has arrived, of several chunks if they have. The
// slice may be modified and is valid until the next call.
func (d *chunked) next() ([]byte, error) {
	for {
		if out := d.decode(); out != nil {
			return out, nil
		}
		if d.err != nil {
			return nil, d.err
		}
		switch {
		case d.r == d.w:
			d.r, d.w = 0, 0
		case d.w == len(d.buf):
			if d.r == 0 {
				d.err = errChunk // no line is that long
				return nil, d.err
			}
			d.r, d.w = 0, copy(d.buf[:], d.buf[d.r:])
		}
		n, err := d.conn.Read(d.buf[d.w:])
		d.w += n
		if err != nil && n == 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			d.err = err
		}
	}
}

// decode returns the data in the buffer, nil if there is none.
func (d *chunked) decode() (out []byte) {
	for d.err == nil && d.r < d.w {
		if d.left == 0 {
			if !d.line() {
				break
			}
			continue
		}
		n := int(min(d.left, uint64(d.w-d.r)))
		p := d.buf[d.r : d.r+n]
		d.r += n
		d.left -= uint64(n)
		d.tail = d.left == 0
		// What lies between two chunks in the buffer is done with, so the data of
		// the second can follow that of the first there.
		if out == nil {
			out = p
		} else {
			out = append(out, p...)
		}
	}
	return out
}

// line reads the line that begins a chunk or, after the last one, one of the
// trailer, which is dropped. It reports whether all of it had arrived.
func (d *chunked) line() bool {
	b := d.buf[d.r:d.w]
	n := 0
	if d.tail {
		if b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
			d.err = errChunk
			return false
		}
		n = 2
	}
	if len(b) <= n {
		return false
	}
	end := bytes.IndexByte(b[n:], '\n')
	if end < 0 {
		return false
	}
	line := b[n : n+end]
	d.r += n + end + 1
	d.tail = false
	if d.last {
		if d.excess += int64(len(line) + 1); d.excess > maxExcess {
			d.err = errChunk
		}
		if len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
			d.err = io.EOF
		}
		return true
	}
	d.left, d.err = chunkSize(line)
	// As net/http does: extensions must not be a way to send bytes without end.
	d.excess = max(0, d.excess+int64(len(line)+1)-16-2*int64(min(d.left, chunkBuffer<<10)))
	if d.err == nil && d.excess > maxExcess {
		d.err = errChunk
	}
	d.last = d.left == 0
	return true
}

// chunkSize reads the line that begins a chunk, its CR included; extensions are ignored.
func chunkSize(line []byte) (size uint64, err error) {
	if i := bytes.IndexByte(line, '\r'); i < 0 || i != len(line)-1 {
		return 0, errChunk
	}
	line, _, _ = bytes.Cut(bytes.TrimRight(line[:len(line)-1], " \t"), []byte(";"))
	if len(line) == 0 || len(line) > 16 {
		return 0, errChunk
	}
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errChunk
		}
		size = size<<4 | uint64(c)
	}
	return size, nil
}

// ChunkWriter writes a body in the chunked transfer coding, each Write one chunk
// and, if it is small, one system call. It is not safe for concurrent use.
type ChunkWriter struct {
	conn net.Conn
	io   io.Writer // of conn
}

// NewChunkWriter returns a writer to conn, on which a head that announces chunks
// must have been sent. The last chunk is left to the caller.
func NewChunkWriter(conn net.Conn) *ChunkWriter {
	return &ChunkWriter{conn: conn, io: direct(conn)}
}

var (
	lineEnd      = []byte("\r\n")
	chunkFraming = len("ffffffffffffffff\r\n\r\n")
)

// Write implements io.Writer. Writing nothing does nothing.
func (w *ChunkWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // as a chunk it would be the last
	}
	buf := chunkBuffers.Get().(*[chunkBuffer]byte)
	defer chunkBuffers.Put(buf)
	head := append(strconv.AppendUint(buf[:0], uint64(len(p)), 16), lineEnd...)
	var err error
	if len(p)+chunkFraming <= len(buf) {
		_, err = w.io.Write(append(append(head, p...), lineEnd...))
	} else {
		_, err = (&net.Buffers{head, p, lineEnd}).WriteTo(w.conn)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
