package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

func init() { caddy.RegisterModule(new(Exec)) }

// DefaultExecTimeout is how long a command may run.
const DefaultExecTimeout = caddy.Duration(30e9)

// Exec is events.handlers.runestone_exec, which runs a command when an event occurs, such as when a
// breaker opens. One runs at a time, and events wait for it; see [App] for which there are.
type Exec struct {
	// Command is the program and its arguments, run without a shell. In the arguments, placeholders such as
	// {event.name} and {event.data.provider} are resolved for each event.
	Command []string `json:"command"`
	// Timeout is how long it may run before it is killed. Default 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Exec) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.runestone_exec", New: func() caddy.Module { return new(Exec) }}
}

// Provision checks the configuration. It does not look for the program, which may come later.
func (e *Exec) Provision(caddy.Context) error {
	if len(e.Command) == 0 || e.Command[0] == "" {
		return errors.New("there is no command; write one such as /usr/local/bin/notify {event.data.provider}")
	}
	if e.Timeout == 0 {
		e.Timeout = DefaultExecTimeout
	}
	if e.Timeout < 0 {
		return fmt.Errorf("timeout is %s; write one above 0, such as 30s", time.Duration(e.Timeout))
	}
	return nil
}

// maxExecOutput bounds what the log shows of a command that fails, in bytes.
const maxExecOutput = 2 << 10

// Handle implements caddyevents.Handler. It waits for the command. The error says how that has failed.
func (e *Exec) Handle(ctx context.Context, _ caddy.Event) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(e.Timeout))
	defer cancel()
	repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		repl = caddy.NewReplacer()
	}
	args := make([]string, len(e.Command))
	for i, arg := range e.Command {
		args[i] = arg
		if i > 0 {
			args[i] = repl.ReplaceAll(arg, "")
		}
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the configuration says what is run
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = time.Second // for what it has started and left behind
	if err := cmd.Run(); err != nil {
		text := output.Bytes()
		return fmt.Errorf("running %s: %w: %.*s", args[0], err, maxExecOutput, text)
	}
	return nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	runestone_exec <program> [<argument>...] {
//		timeout <duration>
//	}
func (e *Exec) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if e.Command = d.RemainingArgs(); len(e.Command) == 0 {
		return d.Err("runestone_exec needs a command, such as /usr/local/bin/notify {event.data.provider}")
	}
	for d.NextBlock(0) {
		if d.Val() != "timeout" {
			return d.Errf("unknown option '%s' of runestone_exec: it knows timeout", d.Val())
		}
		var text string
		if !d.AllArgs(&text) {
			return d.Err("timeout needs one duration such as 30s")
		}
		timeout, err := caddy.ParseDuration(text)
		if err != nil || timeout <= 0 {
			return d.Errf("timeout is '%s'; write a duration such as 30s", text)
		}
		e.Timeout = caddy.Duration(timeout)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Exec)(nil)
	_ caddyfile.Unmarshaler = (*Exec)(nil)
	_ caddyevents.Handler   = (*Exec)(nil)
)
