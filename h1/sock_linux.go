//go:build linux && !race

package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// sock reads and writes a TCP connection as net does, save that it does not tell
// Go's scheduler of the system calls. They do not block, so the scheduler has
// nothing to do meanwhile; but under many streams of small events being told
// wakes its monitor thread each time, which costs more than what the gateway
// itself does with an event.
type sock struct {
	tcp *net.TCPConn
	raw syscall.RawConn

	// The callbacks and what they work on, kept so that a call allocates nothing.
	read, write func(fd uintptr) bool
	in, out     []byte
	nIn, nOut   int
	inErr       syscall.Errno
	outErr      syscall.Errno
}

// direct returns conn to be read and written with cheaper system calls, or conn
// itself where they cannot be had. One goroutine may read while another writes.
func direct(conn net.Conn) io.ReadWriter {
	tcp, ok := conn.(*net.TCPConn) // and nothing that is more than that, such as TLS
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	s := &sock{tcp: tcp, raw: raw}
	s.read, s.write = s.readOnce, s.writeAll
	return s
}

// Read implements io.Reader.
func (s *sock) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in = p
	err := s.raw.Read(s.read)
	s.in = nil
	switch {
	case err != nil:
		return 0, named(err, "read")
	case s.inErr != 0:
		return 0, s.failed("read", s.inErr)
	case s.nIn == 0:
		return 0, io.EOF
	}
	return s.nIn, nil
}

func (s *sock) readOnce(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.in))), uintptr(len(s.in)))
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		s.nIn, s.inErr = int(n), errno
		return true
	}
}

// Write implements io.Writer.
func (s *sock) Write(p []byte) (int, error) {
	s.out, s.nOut, s.outErr = p, 0, 0
	err := s.raw.Write(s.write)
	s.out = nil
	switch {
	case err != nil:
		err = named(err, "write")
	case s.outErr != 0:
		err = s.failed("write", s.outErr)
	}
	return s.nOut, err
}

func (s *sock) writeAll(fd uintptr) bool {
	for s.nOut < len(s.out) {
		rest := s.out[s.nOut:]
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest)))
		switch errno {
		case 0:
			s.nOut += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			s.outErr = errno
			return true
		}
	}
	return true
}

func (s *sock) failed(op string, errno syscall.Errno) error {
	return &net.OpError{
		Op: op, Net: "tcp", Source: s.tcp.LocalAddr(), Addr: s.tcp.RemoteAddr(), Err: os.NewSyscallError(op, errno),
	}
}

// named makes an error of a RawConn read as net's own does.
func named(err error, op string) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		e.Op = op
	}
	return err
}
