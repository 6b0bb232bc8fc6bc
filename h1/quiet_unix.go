//go:build unix

package h1

import "syscall"

// quiet reports whether an idle connection has nothing to read, neither the
// server's goodbye nor bytes that nobody asked for.
func quiet(raw syscall.RawConn) bool {
	ok := false
	err := raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ok = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && ok
}
