package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runestone-gateway/runestone/bench/load"
	"github.com/runestone-gateway/runestone/bench/proc"
)

// neededFiles is for a gateway with 2,000 streams: two connections each.
const neededFiles = 5_000

// runner measures scenarios.
type runner struct {
	opts   options
	dir    string // for the gateway's files
	self   string // this program
	binary string // the gateway

	collector string // the address of what takes spans
}

func newRunner(ctx context.Context, opts options, dir string) (*runner, error) {
	files, err := proc.RaiseFileLimit()
	if err != nil {
		return nil, err
	}
	if files < neededFiles {
		return nil, fmt.Errorf("the limit of open files is %d, it must be at least %d", files, neededFiles)
	}
	r := &runner{opts: opts, dir: dir}
	if r.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if opts.profileDir != "" {
		if err := os.MkdirAll(opts.profileDir, 0o755); err != nil {
			return nil, err
		}
	}
	if opts.binary == "" {
		r.binary, err = build(ctx, dir)
		return r, err
	}
	// Absolute, for the gateway is run in another directory.
	if r.binary, err = filepath.Abs(opts.binary); err != nil {
		return nil, err
	}
	_, err = os.Stat(r.binary)
	return r, err
}

// build makes the binary the way releases are made.
func build(ctx context.Context, dir string) (string, error) {
	const module = "github.com/runestone-gateway/runestone"
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("finding the module (run this inside it, or use -binary): %w", err)
	}
	binary := filepath.Join(dir, "caddy")
	fmt.Fprintln(os.Stderr, "building ./cmd/caddy")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/caddy")
	cmd.Dir = strings.TrimSpace(string(root))
	if printed, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building ./cmd/caddy: %w\n%s", err, printed)
	}
	return binary, nil
}

// scenario measures all modes in every round. Each measurement has processes
// of its own, and the order changes from round to round, so that neither a warm
// machine nor a busy neighbour always meets the same mode.
func (r *runner) scenario(ctx context.Context, s *scenario) (*Outcome, error) {
	outcome := newOutcome(s, r.opts.modes)
	for round := range r.opts.rounds {
		order := slices.Clone(r.opts.modes)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, m := range order {
			result, err := r.measureUndisturbed(ctx, s, m)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, round %d: %w", s.name, m, round+1, err)
			}
			outcome.add(m, result)
			cost := s.columns[0]
			fmt.Fprintf(os.Stderr, "%s, round %d/%d, %s: %.*f %s\n",
				s.name, round+1, r.opts.rounds, m, cost.digits, cost.value(result), cost.title)
		}
	}
	outcome.finish()
	if r.opts.profileDir == "" {
		return outcome, nil
	}
	for _, m := range r.opts.modes {
		if m == direct {
			continue
		}
		if err := r.profile(ctx, s, m, outcome.last(m)); err != nil {
			return nil, fmt.Errorf("%s, %s, profile: %w", s.name, m, err)
		}
	}
	return outcome, nil
}

// measureUndisturbed measures again while others use the machine, and takes the
// least disturbed result. It chooses by the disturbance and never by the cost,
// so this favours no mode.
func (r *runner) measureUndisturbed(ctx context.Context, s *scenario, m mode) (load.Result, error) {
	best, err := r.measure(ctx, s, m)
	for range r.opts.repeats {
		if err != nil || s.disturbance(best) <= busyPercent {
			break
		}
		var again load.Result
		if again, err = r.measure(ctx, s, m); err == nil && s.disturbance(again) < s.disturbance(best) {
			best = again
		}
	}
	return best, err
}

func (r *runner) measure(ctx context.Context, s *scenario, m mode) (load.Result, error) {
	var result load.Result
	err := r.surrounded(ctx, s, m, false, func(plan load.Plan, _ *gateway) error {
		var err error
		result, err = r.load(ctx, plan, nil)
		return err
	})
	return result, err
}

// surrounded runs do with an upstream and a gateway of its own.
func (r *runner) surrounded(ctx context.Context, s *scenario, m mode, withAdmin bool,
	do func(load.Plan, *gateway) error) error {
	up, upstreamAddr, err := startUpstream(ctx, r.self, s.streams)
	if err != nil {
		return err
	}
	defer up.stop()
	g, err := r.startGateway(ctx, m, upstreamAddr, withAdmin)
	if err != nil {
		return err
	}
	defer g.stop()
	plan := s.plan
	plan.Addr, plan.GatewayPID, plan.UpstreamPID = g.addr, g.pid(), up.pid()
	err = do(plan, g)
	if err != nil && g.process != nil {
		return g.process.explain(err)
	}
	return err
}

// load runs the load generator and calls measuring, if not nil, when the
// measured part of the plan begins.
func (r *runner) load(ctx context.Context, plan load.Plan, measuring func()) (load.Result, error) {
	input, err := json.Marshal(plan)
	if err != nil {
		return load.Result{}, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return load.Result{}, err
	}
	defer out.Close()
	cmd := exec.Command(r.self, loadCommand)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(input), in
	// One thread is enough to read with, and a second would spend the CPU the
	// gateway needs on looking for work.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	c, err := start(ctx, "load generator", cmd)
	_ = in.Close() // the child has it; the pipe must end when the child does
	if err != nil {
		return load.Result{}, err
	}
	defer c.stop()
	var result *load.Result
	for lines := json.NewDecoder(out); ; {
		var line report
		if err := lines.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			return load.Result{}, c.explain(err)
		}
		if line.Measuring && measuring != nil {
			measuring()
		}
		if line.Result != nil {
			result = line.Result
		}
	}
	<-c.exited
	if c.err == nil && result == nil {
		c.err = errors.New("it gave no result")
	}
	if c.err != nil {
		return load.Result{}, c.explain(c.err)
	}
	return *result, nil
}
