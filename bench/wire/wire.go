// Package wire is the little HTTP/1.1 the benchmark's two ends need: message
// heads and bodies read from a bufio.Reader into buffers the caller reuses.
// net/http would cost more CPU at the ends than the gateway under test uses,
// and on a small machine that is CPU taken from the gateway.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	// Path is the one endpoint that clients ask.
	Path = "/v1/chat/completions"
	// MessagesPath is what the upstream is asked where the gateway translates.
	MessagesPath = "/v1/messages"
	// Model is the model name clients ask for and the upstream answers with.
	Model = "bench"
	// PromptEnd closes every prompt; an upstream that does not find it was
	// given a truncated request. It starts with a byte found nowhere else, so
	// that searching 100 KB for it is cheap.
	PromptEnd = "~end of prompt~"

	maxFields = 100
)

// Head is the part of a message before its body.
type Head struct {
	First       []byte // request or status line, reused by the next Read
	Length      int64  // Content-Length, -1 if absent
	Chunked     bool
	Close       bool // "Connection: close"
	EventStream bool
}

// Read parses the next head. It returns io.EOF only if the connection ended
// before the first byte.
func (h *Head) Read(br *bufio.Reader) error {
	if _, err := br.Peek(1); err != nil {
		return err
	}
	line, err := readLine(br)
	if err != nil {
		return err
	}
	*h = Head{First: append(h.First[:0], line...), Length: -1}
	for range maxFields {
		if line, err = readLine(br); err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if err := h.field(line); err != nil {
			return err
		}
	}
	return errors.New("too many header fields")
}

func (h *Head) field(line []byte) error {
	// Only four fields matter, and none of them starts with another letter.
	switch line[0] {
	case 'C', 'c', 'T', 't':
	default:
		return nil
	}
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		return fmt.Errorf("header field without a colon: %q", line)
	}
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("bad Content-Length %q", value)
		}
		h.Length = n
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.Chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("Connection")):
		h.Close = bytes.EqualFold(value, []byte("close"))
	case bytes.EqualFold(name, []byte("Content-Type")):
		h.EventStream = bytes.HasPrefix(value, []byte("text/event-stream"))
	}
	return nil
}

// Status returns the status code in a response's first line, 0 if none.
func (h *Head) Status() int {
	if len(h.First) < len("HTTP/1.1 200") || !bytes.HasPrefix(h.First, []byte("HTTP/1.1 ")) {
		return 0
	}
	code, err := strconv.Atoi(string(h.First[9:12]))
	if err != nil {
		return 0
	}
	return code
}

// Body reads the body that belongs to a head and stops where it ends, so that
// the next message on the connection can follow.
type Body struct {
	br      *bufio.Reader
	left    int64 // of the body, or of the chunk being read
	chunked bool
	ended   bool
}

// Reset prepares to read the body announced by head. A message that announces
// no length has none here: nothing in the benchmark may end by closing.
func (b *Body) Reset(br *bufio.Reader, head *Head) {
	*b = Body{br: br, chunked: head.Chunked, left: max(0, head.Length)}
	if b.chunked {
		b.left = 0
	}
}

// Read returns what has arrived; it does not wait to fill p.
func (b *Body) Read(p []byte) (int, error) {
	if b.chunked && b.left == 0 && !b.ended {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.br.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil {
		return n, truncated(err)
	}
	if b.chunked && b.left == 0 {
		return n, b.chunkEnd()
	}
	return n, nil
}

// AppendTo appends the rest of the body to dst and fails beyond limit bytes.
func (b *Body) AppendTo(dst []byte, limit int) ([]byte, error) {
	for len(dst) <= limit {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := b.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, fmt.Errorf("body of more than %d bytes", limit)
}

func (b *Body) nextChunk() error {
	line, err := readLine(b.br)
	if err != nil {
		return err
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	b.left, err = strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
	if err != nil || b.left < 0 {
		return fmt.Errorf("bad chunk size %q", line)
	}
	if b.left > 0 {
		return nil
	}
	b.ended = true
	for range maxFields { // trailer fields, then the empty line
		if line, err = readLine(b.br); err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
	}
	return errors.New("too many trailer fields")
}

func (b *Body) chunkEnd() error {
	line, err := readLine(b.br)
	if err != nil {
		return err
	}
	if len(line) != 0 {
		return fmt.Errorf("chunk followed by %q", line)
	}
	return nil
}

// readLine returns the next line without its end; it is valid until the next
// read.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return nil, truncated(err)
	}
	line = line[:len(line)-1]
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// truncated makes the end of a connection inside a message an error that no
// caller can take for the end of a body.
func truncated(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
