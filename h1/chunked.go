package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var errChunk = errors.New("malformed chunked encoding")

// chunked decodes the chunked transfer coding (RFC 9112, section 7.1) within the
// connection's own read buffer: events of a stream are handed out without being copied.
type chunked struct {
	br   *bufio.Reader
	left uint64 // of the present chunk
	tail bool   // the line end after a chunk's data is due
	last bool   // the last chunk has been seen
	err  error
}

// next returns the data that has arrived, of several chunks if they have. The
// slice may be modified and is valid until the next call.
func (d *chunked) next() ([]byte, error) {
	var out []byte
	for d.err == nil {
		b, _ := d.br.Peek(d.br.Buffered())
		if d.left > 0 && len(b) > 0 {
			n := int(min(d.left, uint64(len(b))))
			_, _ = d.br.Discard(n)
			d.left -= uint64(n)
			d.tail = d.left == 0
			// What lies between two chunks in the buffer is done with, so the data
			// of the second can follow that of the first there.
			if out == nil {
				out = b[:n]
			} else {
				out = append(out, b[:n]...)
			}
			continue
		}
		if d.left == 0 && len(b) > 0 {
			if done, err := d.header(b); done || err != nil {
				d.err = err
				continue
			}
		}
		if out != nil {
			return out, nil
		}
		d.fill(len(b))
	}
	if out != nil {
		return out, nil
	}
	return nil, d.err
}

// fill waits for more than the n bytes that are buffered.
func (d *chunked) fill(n int) {
	_, err := d.br.Peek(n + 1)
	switch err {
	case nil:
	case io.EOF:
		d.err = io.ErrUnexpectedEOF
	case bufio.ErrBufferFull:
		d.err = errChunk // no header is that long
	default:
		d.err = err
	}
}

// header reads the line that begins a chunk, or, after the last one, the
// trailer, which is dropped. It reports whether all of it had arrived.
func (d *chunked) header(b []byte) (done bool, err error) {
	n := 0
	if d.tail {
		switch {
		case bytes.HasPrefix(b, []byte("\r\n")):
			n = 2
		case string(b) == "\r":
			return false, nil
		default:
			return false, errChunk
		}
	}
	end := bytes.IndexByte(b[n:], '\n')
	if end < 0 {
		return false, nil
	}
	line := bytes.TrimSuffix(b[n:n+end], []byte("\r"))
	_, _ = d.br.Discard(n + end + 1)
	d.tail = false
	if d.last {
		if len(line) == 0 {
			return true, io.EOF
		}
		return true, nil
	}
	if d.left, err = chunkSize(line); err != nil {
		return false, err
	}
	d.last = d.left == 0
	return true, nil
}

// chunkSize reads the size of a chunk; extensions are ignored.
func chunkSize(line []byte) (size uint64, err error) {
	line, _, _ = bytes.Cut(line, []byte(";"))
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
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
