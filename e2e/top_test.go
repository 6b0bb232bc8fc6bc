//go:build unix

package e2e

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// console is a process at a pseudo-terminal, and all that it has written there.
type console struct {
	*exec.Cmd
	out    transcript
	tty    interface{ io.ReadWriteCloser }
	resize func(columns, rows uint16) error
	over   sync.WaitGroup
}

// top runs caddy runestone top at a terminal of 80 columns and 24 rows.
func (g *gateway) top(t *testing.T, env ...string) *console {
	t.Helper()
	c := &console{Cmd: g.command("runestone", "top", "--address", g.admin)}
	c.Env = append(append(c.Env, "TERM=xterm-256color", "NO_COLOR="), env...)
	tty, err := pty.StartWithSize(c.Cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	c.tty = tty
	c.resize = func(columns, rows uint16) error { return pty.Setsize(tty, &pty.Winsize{Cols: columns, Rows: rows}) }
	c.over.Go(func() { _, _ = io.Copy(&c.out, tty) })
	t.Cleanup(func() { _ = c.Process.Kill(); _ = tty.Close(); c.over.Wait() })
	return c
}

// await waits until the process has written something.
func (c *console) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(c.out.String(), text); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not write %q:\n%s", text, c.out.String())
		}
	}
}

// end waits for the process to exit, and wants it to have put the terminal back as it was.
func (c *console) end(t *testing.T) {
	t.Helper()
	exited := make(chan error, 1)
	go func() { exited <- c.Wait() }()
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("it goes on:\n%s", c.out.String())
	}
	// The other screen is left, and the cursor seen.
	c.await(t, "\x1b[?1049l")
	c.await(t, "\x1b[?25h")
}

// TestTop runs the live view of a gateway at a terminal.
func TestTop(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	g := start(t, oneProvider(up))
	t.Run("keys, another size, and q", func(t *testing.T) {
		c := g.top(t)
		c.await(t, "Keys of up: ")
		c.await(t, "\x1b[32") // green
		g.post(t, chatPath, chatBody("smart", ""))
		c.await(t, "0 of 1") // in the window of the breaker
		if err := c.resize(60, 20); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c.tty, "p")
		c.await(t, "paused since")
		_, _ = io.WriteString(c.tty, "\tq")
		c.end(t)
	})
	t.Run("no colours, and SIGTERM", func(t *testing.T) {
		c := g.top(t, "NO_COLOR=1")
		c.await(t, "Keys of up: ")
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		c.end(t)
		if text := c.out.String(); strings.Contains(text, "\x1b[32") || strings.Contains(text, "\x1b[31") {
			t.Errorf("there are colours in %q", text)
		}
		if strings.Contains(c.out.String(), upstreamKey) {
			t.Error("the provider's key is shown")
		}
	})
	t.Run("no terminal", func(t *testing.T) {
		out, err := g.command("runestone", "top", "--address", g.admin).Output()
		if err != nil {
			t.Fatal(err)
		}
		if text := string(out); strings.Contains(text, "\x1b") || !strings.Contains(text, "\nup/gpt-upstream  closed ") {
			t.Errorf("it prints %q", text)
		}
	})
	t.Run("no gateway", func(t *testing.T) {
		out, err := g.command("runestone", "top", "--address", g.site).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "is not the admin endpoint") {
			t.Errorf("%v: %s", err, out)
		}
	})
}
