//go:build unix

package redisserver

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// ask sends one command and returns the first line of the answer.
func ask(s *Server, command string) (string, error) {
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	fmt.Fprintf(c, "%s\r\n", command)
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

func TestServerKeepsWhatItHasOverAKill(t *testing.T) {
	t.Parallel()
	s := Start(t, AppendFsync("always"), MaxMemory("64mb"))
	if got, err := ask(s, "SET a 1"); got != "+OK" {
		t.Fatalf("SET: %q, %v", got, err)
	}
	s.Kill()
	if got, err := ask(s, "PING"); err == nil {
		t.Fatalf("a killed server answers %q", got)
	}
	s.Restart()
	if got, err := ask(s, "EXISTS a"); got != ":1" {
		t.Errorf("after a restart EXISTS says %q, %v", got, err)
	}
	for _, name := range []string{"appendfsync", "maxmemory"} {
		if got, _ := ask(s, "CONFIG GET "+name); got != "*2" {
			t.Errorf("CONFIG GET %s says %q", name, got)
		}
	}
	s.Pause()
	if got, err := ask(s, "PING"); err == nil {
		t.Errorf("a stopped server answers %q", got)
	}
	s.Resume()
	if got, err := ask(s, "PING"); got != "+PONG" {
		t.Errorf("after it was resumed PING says %q, %v", got, err)
	}
	if s.CPUTime() < 0 || s.URL() != "redis://"+s.Addr() {
		t.Errorf("CPUTime %v, URL %s", s.CPUTime(), s.URL())
	}
}
