package h1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// maxHead bounds the head of an answer in bytes, 1xx answers included.
	maxHead = 1 << 20
	// maxJoined is the size in bytes up to which head and body are copied
	// together to be sent by one plain write.
	maxJoined = 8 << 10
)

var errHeadTooLong = errors.New("the head of the provider's answer is too long")

// conn is one connection, used by one request at a time.
type conn struct {
	net.Conn
	io        io.ReadWriter // of Conn
	t         *Transport
	addr      string
	br        *bufio.Reader // while an answer's head, or body, is read with it
	raw       syscall.RawConn
	idleSince time.Time

	headLeft int  // bytes that the head of the answer may still have
	answered bool // a byte of the answer has arrived
}

func newConn(t *Transport, addr string, nc net.Conn) *conn {
	c := &conn{Conn: nc, io: direct(nc), t: t, addr: addr}
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	return c
}

// Idle connections, and streams, need no reader.
var readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

func (c *conn) releaseReader() {
	if c.br != nil {
		c.br.Reset(nil)
		readers.Put(c.br)
		c.br = nil
	}
}

// Read reads for br, counting the head.
func (c *conn) Read(p []byte) (int, error) {
	if c.headLeft <= 0 {
		return 0, errHeadTooLong
	}
	n, err := c.io.Read(p)
	if n > 0 {
		c.answered = true
		c.headLeft -= n
	}
	return n, err
}

// usable reports whether an idle connection can take a request.
func (c *conn) usable() bool {
	return c.raw == nil || quiet(c.raw)
}

// abort makes a pending read or write fail.
func (c *conn) abort() { _ = c.SetDeadline(time.Unix(1, 0)) }

func (c *conn) roundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	c.answered, c.headLeft = false, maxHead
	c.br = readers.Get().(*bufio.Reader)
	c.br.Reset(c)
	stop := context.AfterFunc(ctx, c.abort)
	resp, err := c.exchange(req)
	if err != nil {
		stop()
		_ = c.Close()
		c.releaseReader()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	c.headLeft = int(^uint(0) >> 1) // a body may be as long as it likes
	b := body{c: c, src: resp.Body, ctx: ctx, stop: stop, keep: !resp.Close && !req.Close}
	switch {
	case resp.ContentLength == 0 || resp.Body == http.NoBody:
		b.finish()
		resp.Body = &b
	case len(resp.TransferEncoding) == 1 && resp.TransferEncoding[0] == "chunked":
		// Of the body, br has no more than what is buffered.
		stream := &chunkedBody{body: b}
		head, _ := c.br.Peek(c.br.Buffered())
		stream.chunks.begin(c.io, head)
		c.releaseReader()
		resp.Body = stream
	default:
		resp.Body = &b
	}
	return resp, nil
}

func (c *conn) exchange(req *http.Request) (*http.Response, error) {
	// An error while writing is kept: the server may have answered before it
	// hung up, and what it said is worth more.
	writeErr := c.send(req)
	if writeErr != nil && !closedByPeer(writeErr) {
		return nil, writeErr
	}
	for {
		resp, err := http.ReadResponse(c.br, req)
		switch {
		case err != nil && writeErr != nil && !c.answered:
			return nil, writeErr
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the provider switched protocols without being asked")
		case resp.StatusCode < 100:
			return nil, fmt.Errorf("the provider answered with the status %03d, which there is none", resp.StatusCode)
		case resp.StatusCode >= 200:
			resp.Close = resp.Close || writeErr != nil
			return resp, nil
		}
	}
}

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func (c *conn) send(req *http.Request) error {
	head := heads.Get().(*[]byte)
	defer func() {
		if cap(*head) <= 2*maxJoined {
			heads.Put(head)
		}
	}()
	var parts net.Buffers
	length := 0
	if body, ok := req.Body.(Buffered); ok {
		for _, p := range body.Buffers() {
			parts = append(parts, p)
			length += len(p)
		}
	}
	*head = appendHead((*head)[:0], req, length)
	if len(*head)+length <= maxJoined {
		for _, p := range parts {
			*head = append(*head, p...)
		}
		_, err := c.io.Write(*head)
		return err
	}
	all := append(net.Buffers{*head}, parts...)
	_, err := all.WriteTo(c.Conn)
	return err
}

func appendHead(dst []byte, req *http.Request, length int) []byte {
	dst = append(dst, req.Method...)
	dst = append(dst, ' ')
	dst = append(dst, req.URL.RequestURI()...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	dst = append(dst, host...)
	dst = append(dst, "\r\n"...)
	for name, values := range req.Header {
		if name == "Content-Length" || name == "Host" || name == "Transfer-Encoding" || name == "Connection" {
			continue
		}
		for _, v := range values {
			dst = append(dst, name...)
			dst = append(dst, ": "...)
			dst = appendValue(dst, v)
			dst = append(dst, "\r\n"...)
		}
	}
	if length > 0 || req.Method != http.MethodGet && req.Method != http.MethodHead {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(length), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendValue appends a header's value; a line end in it becomes a space, so
// that it cannot begin another header.
func appendValue(dst []byte, v string) []byte {
	if !strings.ContainsAny(v, "\r\n\x00") {
		return append(dst, v...)
	}
	for i := range len(v) {
		if c := v[i]; c == '\r' || c == '\n' || c == 0 {
			dst = append(dst, ' ')
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// body is an answer's body. Reading it to its end gives the connection back;
// closing it before that closes the connection.
type body struct {
	c    *conn
	src  io.ReadCloser
	ctx  context.Context
	stop func() bool
	keep bool
	err  error
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	switch {
	case err == io.EOF:
		b.finish()
	case err != nil:
		err = b.fail(err)
	}
	return n, err
}

// finish ends a body that was read whole.
func (b *body) finish() {
	clean := b.c.br == nil || b.c.br.Buffered() == 0
	b.done(io.EOF, clean)
}

// fail ends a body for an error and returns what to say of it.
func (b *body) fail(err error) error {
	if b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	} else {
		err = fmt.Errorf("reading the provider's answer: %w", err)
	}
	b.done(err, false)
	return err
}

// done ends the request, once, and keeps the connection for another if it may.
func (b *body) done(err error, reusable bool) {
	c := b.c
	if c == nil {
		return
	}
	b.c, b.err = nil, err
	aborted := !b.stop()
	c.releaseReader()
	if aborted || !b.keep || !reusable {
		_ = c.Close()
		return
	}
	c.t.putIdle(c)
}

// Close ends the request. It must not be called while a Read is running.
func (b *body) Close() error {
	b.done(http.ErrBodyReadAfterClose, false)
	return nil
}

// chunkedBody is a body whose length the server did not know.
type chunkedBody struct {
	body
	chunks chunked
	left   []byte // of what Next returned, not yet read
}

// Next returns what has arrived, waiting if nothing has. The slice may be
// modified and is valid until the next call.
func (b *chunkedBody) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	p, err := b.chunks.next()
	if err == nil {
		return p, nil
	}
	clean := b.chunks.release()
	if err == io.EOF {
		b.done(err, clean)
		return nil, err
	}
	return nil, b.fail(err)
}

// Read implements io.Reader.
func (b *chunkedBody) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		var err error
		if b.left, err = b.Next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// Close implements io.Closer as body's does.
func (b *chunkedBody) Close() error {
	if b.c != nil {
		b.chunks.release()
		b.left = nil
	}
	return b.body.Close()
}
