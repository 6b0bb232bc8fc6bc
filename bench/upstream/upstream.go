// Package upstream is the benchmark's mock provider: an HTTP/1.1 server of OpenAI's shape and
// Anthropic's that answers from ready bytes, so that the CPU it takes from the
// gateway under test is small and the same in every run.
package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/bench/wire"
)

const (
	maxRequest = 16 << 20
	// streamSlack is how long a stream may overrun its schedule before its
	// connection is given up: a reader that stalls would stall the pacer.
	streamSlack = 30 * time.Second
)

// Options are the shape of the streams.
type Options struct {
	Chunks int           // content chunks in a stream
	Every  time.Duration // between two of them
}

// Server answers chat completions on one listener.
type Server struct {
	opts     Options
	ln       net.Listener
	chat     *answers
	messages *answers
	pacer    *pacer
	work     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Serve starts answering on ln, which the server then owns.
func Serve(ln net.Listener, opts Options) (*Server, error) {
	if opts.Chunks < 1 || opts.Chunks > MaxChunks || opts.Every <= 0 {
		return nil, fmt.Errorf("upstream: %d chunks every %v is out of range", opts.Chunks, opts.Every)
	}
	s := &Server{
		opts:     opts,
		ln:       ln,
		chat:     newAnswers(),
		messages: newMessages(),
		pacer:    newPacer(opts.Chunks, opts.Every),
		conns:    make(map[net.Conn]struct{}),
	}
	s.work.Go(s.pacer.run)
	s.work.Go(s.accept)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close ends every connection and waits for all goroutines.
func (s *Server) Close() {
	_ = s.ln.Close()
	s.pacer.close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return // Close was called, or the process is out of descriptors
		}
		if !s.keep(conn) {
			_ = conn.Close()
			return
		}
		s.work.Go(func() {
			defer s.drop(conn)
			// The other end sees a closed connection and reports the failure
			// with more context than there is here.
			_ = s.converse(conn)
		})
	}
}

func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) drop(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// converse answers the requests of one connection until it ends.
func (s *Server) converse(conn net.Conn) error {
	var (
		br     = bufio.NewReaderSize(conn, 16<<10)
		head   wire.Head
		body   wire.Body
		buf    []byte
		stream = stream{conn: conn, done: make(chan error, 1)}
	)
	for {
		if err := head.Read(br); err != nil {
			return err
		}
		body.Reset(br, &head)
		var err error
		if buf, err = body.AppendTo(buf[:0], maxRequest); err != nil {
			return err
		}
		shapes := s.chat
		if bytes.HasPrefix(head.First, []byte("POST "+wire.MessagesPath+" ")) {
			shapes = s.messages
		} else if !bytes.HasPrefix(head.First, []byte("POST "+wire.Path+" ")) {
			err = errors.New("unexpected request line: " + string(head.First))
		}
		promptEnd := bytes.Index(buf, []byte(wire.PromptEnd))
		if promptEnd < 0 {
			err = errors.New("the prompt did not arrive whole")
		}
		switch {
		case err != nil:
			err = refuse(conn, err)
		case !asks(buf, promptEnd, `"stream":true`):
			_, err = conn.Write(shapes.whole)
		default:
			err = s.stream(&stream, shapes, asks(buf, promptEnd, `"include_usage":true`))
		}
		if err != nil || head.Close {
			return err
		}
	}
}

// asks looks for an option where it can be: after the messages, where the
// client puts options, or at the very start, where a gateway may insert one.
// Searching 100 KB of prompt would cost more than all the rest here.
func asks(request []byte, promptEnd int, option string) bool {
	const start = 256
	return bytes.Contains(request[promptEnd:], []byte(option)) ||
		bytes.Contains(request[:min(start, promptEnd)], []byte(option))
}

// refuse makes a faulty request visible to the client, which expects 200.
func refuse(conn net.Conn, why error) error {
	body := fmt.Sprintf(`{"error":{"message":%q,"type":"invalid_request_error","param":null,"code":null}}`, why.Error())
	_, err := fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(body), body)
	return err
}

// stream sends one streamed answer and returns when it is complete.
func (s *Server) stream(st *stream, shapes *answers, withUsage bool) error {
	st.shape = &shapes.plain
	if withUsage {
		st.shape = &shapes.usage
	}
	length := time.Duration(s.opts.Chunks+1) * s.opts.Every
	if err := st.conn.SetWriteDeadline(time.Now().Add(length + streamSlack)); err != nil {
		return err
	}
	if _, err := st.conn.Write(st.shape.opening); err != nil {
		return err
	}
	// A random first delay spreads streams that were opened together.
	s.pacer.add(st, rand.N(s.opts.Every))
	if err := <-st.done; err != nil {
		return err
	}
	return st.conn.SetWriteDeadline(time.Time{})
}
