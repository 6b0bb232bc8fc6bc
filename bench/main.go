// Command bench measures the gateway against Caddy's own reverse_proxy, both
// from the same binary, as whole processes: a mock provider (bench/upstream)
// and a load generator (bench/load) run beside it, each in a process of its
// own. The main figure is the CPU time the gateway's process takes.
//
//	go run ./bench                          everything, three rounds
//	go run ./bench -run '1 KB' -rounds 5    one scenario
//	go run ./bench -quick                   a smoke check
//	go run ./bench -cpuprofile /tmp/prof    profiles as well
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the runner's flags.
type options struct {
	binary         string
	rounds         int
	repeats        int
	run            *regexp.Regexp
	modes          []mode
	telemetry      []string // of the mode observed
	quick          bool
	includeUsage   bool
	jsonFile       string
	profileDir     string
	profileSeconds int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch tells the runner from the processes it makes of this same program.
func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case upstreamCommand:
			return serveUpstream(ctx, args[1:])
		case loadCommand:
			return runLoad(ctx, os.Stdin, os.Stdout)
		}
	}
	opts, err := parseOptions(args)
	if err != nil {
		return err
	}
	return run(ctx, opts)
}

func parseOptions(args []string) (options, error) {
	var (
		opts  options
		flags = flag.NewFlagSet("bench", flag.ContinueOnError)
		run   = flags.String("run", "", "run only the scenarios whose name matches this `regexp`")
		modes = flags.String("modes", "reverse_proxy,runestone,observed,translated",
			"what to measure, comma-separated; also: direct, which has no gateway and shows what the harness can do, "+
				"and observed_proxy, reverse_proxy with access log and tracing")
	)
	telemetry := flags.String("telemetry", strings.Join(allTelemetry, ","), "what the mode observed has on, comma-separated")
	flags.StringVar(&opts.binary, "binary", "", "gateway binary to measure (default: build ./cmd/caddy)")
	flags.IntVar(&opts.rounds, "rounds", 0, "measurements of each mode (default 3, with -quick 1)")
	flags.IntVar(&opts.repeats, "repeats", 2,
		"how often to repeat a measurement disturbed by other processes (with -quick never)")
	flags.BoolVar(&opts.quick, "quick", false, "a short run, to see that everything works; its figures are poor")
	flags.BoolVar(&opts.includeUsage, "include-usage", true, "streams ask for the usage chunk")
	flags.StringVar(&opts.jsonFile, "json", "", "write the results to this `file`")
	flags.StringVar(&opts.profileDir, "cpuprofile", "",
		"after measuring a scenario, run it again to write the gateway's profiles to this `directory`")
	flags.IntVar(&opts.profileSeconds, "profile-seconds", 10, "length of a CPU profile")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.rounds == 0 {
		opts.rounds = 3
		if opts.quick {
			opts.rounds = 1
		}
	}
	if opts.quick {
		opts.repeats = 0
	}
	if opts.rounds < 0 || opts.profileSeconds < 1 {
		return opts, errors.New("-rounds and -profile-seconds must be positive")
	}
	var err error
	if opts.run, err = regexp.Compile(*run); err != nil {
		return opts, fmt.Errorf("-run: %w", err)
	}
	if opts.telemetry, err = parseTelemetry(*telemetry); err != nil {
		return opts, err
	}
	opts.modes, err = parseModes(*modes)
	return opts, err
}

func parseModes(list string) ([]mode, error) {
	var modes []mode
	for name := range strings.SplitSeq(list, ",") {
		m := mode(name)
		if !slices.Contains(allModes, m) {
			return nil, fmt.Errorf("-modes: %q is none of %v", name, allModes)
		}
		if slices.Contains(modes, m) {
			return nil, fmt.Errorf("-modes: %q is given twice", name)
		}
		modes = append(modes, m)
	}
	return modes, nil
}

// run measures the chosen scenarios, one after the other.
func run(ctx context.Context, opts options) (err error) {
	var chosen []scenario
	for _, s := range scenarios(opts.quick, opts.includeUsage) {
		if opts.run.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-run: no scenario matches %q", opts.run)
	}
	dir, err := os.MkdirTemp("", "runestone-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := newRunner(ctx, opts, dir)
	if err != nil {
		return err
	}
	stop, err := r.startCollector(ctx)
	if err != nil {
		return err
	}
	defer stop()
	results := Results{Machine: describeMachine(r.binary), Started: time.Now().UTC(), Quick: opts.quick}
	fmt.Println(results.Machine)
	for i := range chosen {
		outcome, err := r.scenario(ctx, &chosen[i])
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return err
		}
		results.Scenarios = append(results.Scenarios, outcome)
		if err := outcome.print(os.Stdout); err != nil {
			return err
		}
	}
	if opts.jsonFile == "" {
		return nil
	}
	return results.write(opts.jsonFile)
}
