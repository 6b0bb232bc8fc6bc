//go:build unix

// Package redisserver starts a real Redis or Valkey server for a test, and lets the
// test do to it what happens to servers: kill it, start it again, stop it for a
// while.
package redisserver

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to answer. It reads its file first.
const patience = 15 * time.Second

// Server is a server that runs for one test. Its methods are not safe for
// concurrent use with each other; they end the test if they fail.
type Server struct {
	tb   testing.TB
	path string // of the program
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed once cmd has ended
}

// Option is an option of the server, as in its configuration file.
type Option struct{ name, value string }

// AppendFsync is how soon what is written must be on disk: "always", "everysec",
// which is the default, or "no".
func AppendFsync(policy string) Option { return Option{"appendfsync", policy} }

// MaxMemory bounds the server's memory, such as "8mb". What is too much is refused.
// Default: no bound.
func MaxMemory(size string) Option { return Option{"maxmemory", size} }

// Set is any other option of the server.
func Set(name, value string) Option { return Option{name, value} }

// Start starts redis-server, or valkey-server, with its append-only file in a folder
// of the test's own, and waits until it answers. It is killed at the end of the
// test. The test is skipped if neither program is there.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	path, ok := find()
	if !ok {
		tb.Skip("This test needs a Redis or Valkey server, and none is installed. Install redis-server (apt-get install redis-server) or valkey-server, so that it is in PATH.")
	}
	s := &Server{tb: tb, path: path, dir: tb.TempDir()}
	for _, o := range options {
		s.args = append(s.args, "--"+o.name, o.value)
	}
	tb.Cleanup(s.Kill)
	// A free port may be taken by the time the server listens on it.
	for try := 1; ; try++ {
		s.port = freePort(tb)
		err := s.run()
		if err == nil {
			return s
		}
		if try == 5 {
			tb.Fatalf("the server does not start: %v\n%s", err, s.log())
		}
	}
}

// find returns the path of a server.
func find() (path string, ok bool) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// freePort returns a port below those that the system gives to outgoing connections,
// so that none of these takes it while a server is being started again.
func freePort(tb testing.TB) int {
	for range 100 {
		port := 27000 + rand.IntN(5000)
		l, err := net.Listen("tcp", address(port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("no free port was found")
	return 0
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// run starts the server and waits until it answers.
func (s *Server) run() error {
	args := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
		"--appendonly", "yes", "--save", "", "--logfile", "server.log", "--daemonize", "no",
	}, s.args...)
	cmd := exec.Command(s.path, args...)
	setDeathSignal(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.cmd, s.done = cmd, done
	deadline := time.Now().Add(patience)
	for !s.answers() {
		select {
		case <-done:
			return errors.New("it ended")
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("it has not answered for %v", patience)
		}
	}
	select {
	case <-done: // and what answered was somebody else's
		return errors.New("it ended")
	default:
		return nil
	}
}

// answers reports whether the server has read its file and serves, or wants to know
// who asks, which is as good.
func (s *Server) answers() bool {
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return line == "+PONG\r\n" || strings.HasPrefix(line, "-NOAUTH")
}

// log returns the end of what the server has to tell.
func (s *Server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	return string(text[max(0, len(text)-2000):])
}

// Addr returns the server's address: host and port.
func (s *Server) Addr() string { return address(s.port) }

// URL returns the address as a URL, without a user.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Dir returns the folder in which the server keeps its files.
func (s *Server) Dir() string { return s.dir }

// Kill ends the server at once, as a crash would (SIGKILL), and waits until it has
// ended. It does nothing if the server does not run.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

// Restart starts the server again, on the same port and with the same files, and
// waits until it answers. If it runs, it is killed first.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.tb.Fatalf("the server does not start again: %v\n%s", err, s.log())
	}
}

// Pause stops the server without ending it (SIGSTOP): its connections stay open and
// nobody answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets the server go on (SIGCONT).
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if s.cmd == nil {
		s.tb.Fatalf("the server does not run")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatalf("signal %v: %v", sig, err)
	}
}

// CPUTime returns how much processor time the server has used, which only Linux tells.
func (s *Server) CPUTime() time.Duration {
	s.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		s.tb.Skip("This test needs Linux: it reads the server's processor time from /proc.")
	}
	// The name in parentheses may hold anything; the fields after it are fixed.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] { // utime, stime, in hundredths of a second
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
