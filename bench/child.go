package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"

	"github.com/runestone-gateway/runestone/bench/load"
	"github.com/runestone-gateway/runestone/bench/proc"
	"github.com/runestone-gateway/runestone/bench/upstream"
)

// The runner starts itself with one of these as the first argument.
const (
	upstreamCommand = "upstream"
	loadCommand     = "load"
)

// child is a process the runner has started. Whoever starts one must stop it.
type child struct {
	name   string
	cmd    *exec.Cmd
	output tail
	exited chan struct{}
	err    error // why it exited; read after exited is closed
}

// start runs a prepared command until it ends, ctx ends or stop is called.
func start(ctx context.Context, name string, cmd *exec.Cmd) (*child, error) {
	c := &child{name: name, cmd: cmd, exited: make(chan struct{})}
	cmd.SysProcAttr = proc.ChildAttributes()
	cmd.Stderr = &c.output
	if cmd.Stdout == nil {
		cmd.Stdout = &c.output
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	release := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	go func() {
		c.err = cmd.Wait()
		release()
		close(c.exited)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop kills the process and waits for its end. None of them has anything to
// save, so there is no reason to ask politely first.
func (c *child) stop() {
	_ = c.cmd.Process.Kill() // fails only if it has ended
	<-c.exited
}

// explain adds what the process printed last to an error.
func (c *child) explain(err error) error {
	printed := c.output.String()
	if printed == "" {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return fmt.Errorf("%s: %w; it printed:\n%s", c.name, err, printed)
}

// tail keeps the end of what a process prints.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// startUpstream starts the mock provider. It is given a listening socket, so
// it can be used at once and no other process can take its port.
func startUpstream(ctx context.Context, self string, shape upstream.Options) (*child, string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	cmd := exec.Command(self, upstreamCommand,
		"-chunks", fmt.Sprint(shape.Chunks), "-every", shape.Every.String())
	cmd.ExtraFiles = []*os.File{file}
	c, err := start(ctx, "upstream", cmd)
	return c, ln.Addr().String(), err
}

// serveUpstream is the upstream's process.
func serveUpstream(ctx context.Context, args []string) error {
	const firstExtraFile = 3
	var (
		shape upstream.Options
		flags = flag.NewFlagSet(upstreamCommand, flag.ContinueOnError)
	)
	flags.IntVar(&shape.Chunks, "chunks", 1, "content chunks in a stream")
	flags.DurationVar(&shape.Every, "every", 0, "between two chunks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	file := os.NewFile(firstExtraFile, "listener")
	ln, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("this command is started by the runner: %w", err)
	}
	_ = file.Close() // ln has its own copy
	server, err := upstream.Serve(ln, shape)
	if err != nil {
		return err
	}
	defer server.Close()
	<-ctx.Done()
	return nil
}

// report is one line of the load generator's output: the first says that the
// measured part has begun, the second has the result.
type report struct {
	Measuring bool
	Result    *load.Result
}

// runLoad is the load generator's process.
func runLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	var plan load.Plan
	if err := json.NewDecoder(in).Decode(&plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	var (
		lines   = json.NewEncoder(out)
		sendErr error
	)
	result, err := load.Run(ctx, plan, func() { sendErr = lines.Encode(report{Measuring: true}) })
	if err != nil {
		return err
	}
	if sendErr != nil {
		return sendErr
	}
	return lines.Encode(report{Result: &result})
}
