package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/runestone-gateway/runestone/bench/load"
	"github.com/runestone-gateway/runestone/bench/proc"
)

// column is one figure of a measurement.
type column struct {
	title  string
	digits int
	value  func(load.Result) float64
}

var requestColumns = []column{
	{"CPU µs/request", 1, func(r load.Result) float64 { return micros(r.CPU.Gateway) / float64(r.Done) }},
	{"requests/s", 0, func(r load.Result) float64 { return float64(r.Done) / r.Elapsed.Seconds() }},
	{"p50 ms", 2, func(r load.Result) float64 { return millis(r.Latency.P50) }},
	{"p99 ms", 2, func(r load.Result) float64 { return millis(r.Latency.P99) }},
	{"harness CPU µs", 1, func(r load.Result) float64 { return micros(r.CPU.Upstream+r.CPU.Load) / float64(r.Done) }},
	foreignColumn,
}

var streamColumns = []column{
	{"CPU µs/chunk", 2, func(r load.Result) float64 { return micros(r.CPU.Gateway) / float64(r.Chunks) }},
	{"CPU µs/stream", 0, func(r load.Result) float64 { return micros(r.CPU.Gateway) / float64(r.Done) }},
	{"chunks/s", 0, func(r load.Result) float64 { return float64(r.Chunks) / r.Elapsed.Seconds() }},
	{"chunk p50 ms", 3, func(r load.Result) float64 { return millis(r.ChunkDelay.P50) }},
	{"chunk p99 ms", 3, func(r load.Result) float64 { return millis(r.ChunkDelay.P99) }},
	{"stream p50 ms", 0, func(r load.Result) float64 { return millis(r.Latency.P50) }},
	{"stream p99 ms", 0, func(r load.Result) float64 { return millis(r.Latency.P99) }},
	{"harness CPU µs", 2, func(r load.Result) float64 { return micros(r.CPU.Upstream+r.CPU.Load) / float64(r.Chunks) }},
	foreignColumn,
}

var openColumns = []column{
	{"KiB/stream", 1, func(r load.Result) float64 {
		return (median(r.OpenKiB) - median(r.IdleKiB)) / float64(max(1, r.Done))
	}},
	{"least KiB/stream", 1, func(r load.Result) float64 {
		if len(r.OpenKiB) == 0 {
			return 0
		}
		return (float64(slices.Min(r.OpenKiB)) - median(r.IdleKiB)) / float64(max(1, r.Done))
	}},
	{"idle MiB", 1, func(r load.Result) float64 { return median(r.IdleKiB) / 1024 }},
	{"open MiB", 1, func(r load.Result) float64 { return median(r.OpenKiB) / 1024 }},
	{"chunk p50 ms", 3, func(r load.Result) float64 { return millis(r.ChunkDelay.P50) }},
	{"chunk p99 ms", 3, func(r load.Result) float64 { return millis(r.ChunkDelay.P99) }},
}

// foreignColumn shows how much of the machine was not the benchmark's: other
// processes, or the host's other guests. When the gateway has to wait for a
// core, it finds more chunks at each wake-up and seems cheaper than it is.
var foreignColumn = column{"others' CPU %", 0, func(r load.Result) float64 {
	whole := r.Elapsed.Seconds() * float64(runtime.NumCPU())
	return 100 * r.CPU.Foreign().Seconds() / whole
}}

// busyPercent of CPU taken by others is what makes figures worth a warning.
const busyPercent = 15

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median[N int64 | float64](values []N) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return float64(sorted[half])
	}
	return (float64(sorted[half-1]) + float64(sorted[half])) / 2
}

// Results is what -json writes.
type Results struct {
	Machine   string     `json:"machine"`
	Started   time.Time  `json:"started"`
	Quick     bool       `json:"quick"`
	Scenarios []*Outcome `json:"scenarios"`
}

// Outcome is what one scenario gave.
type Outcome struct {
	Name  string         `json:"name"`
	Modes []*ModeOutcome `json:"modes"`

	columns []column
}

// ModeOutcome is what one scenario gave in one mode.
type ModeOutcome struct {
	Mode    mode               `json:"mode"`
	Medians map[string]float64 `json:"medians"` // by column
	Cost    []float64          `json:"cost"`    // the first column, by round
	// Ratios compare the cost with reverse_proxy's; 0 and empty without it.
	Ratio       float64       `json:"ratio,omitempty"`        // of the medians
	RoundRatios []float64     `json:"round_ratios,omitempty"` // within each round
	Rounds      []load.Result `json:"rounds"`
}

func newOutcome(s *scenario, modes []mode) *Outcome {
	o := &Outcome{Name: s.name, columns: s.columns}
	for _, m := range modes {
		o.Modes = append(o.Modes, &ModeOutcome{Mode: m, Medians: make(map[string]float64)})
	}
	return o
}

func (o *Outcome) of(m mode) *ModeOutcome {
	i := slices.IndexFunc(o.Modes, func(mo *ModeOutcome) bool { return mo.Mode == m })
	if i < 0 {
		return nil
	}
	return o.Modes[i]
}

func (o *Outcome) add(m mode, r load.Result) {
	mo := o.of(m)
	mo.Rounds = append(mo.Rounds, r)
	mo.Cost = append(mo.Cost, o.columns[0].value(r))
}

func (o *Outcome) last(m mode) load.Result {
	rounds := o.of(m).Rounds
	return rounds[len(rounds)-1]
}

// finish computes what needs all rounds.
func (o *Outcome) finish() {
	base := o.of(reverseProxy)
	for _, mo := range o.Modes {
		for _, c := range o.columns {
			var values []float64
			for _, r := range mo.Rounds {
				values = append(values, c.value(r))
			}
			mo.Medians[c.title] = median(values)
		}
		if base == nil || mo.Mode == reverseProxy || mo.Mode == direct {
			continue
		}
		mo.Ratio = median(mo.Cost) / median(base.Cost)
		for i := range mo.Cost {
			mo.RoundRatios = append(mo.RoundRatios, mo.Cost[i]/base.Cost[i])
		}
	}
}

// print writes the scenario's table: medians over the rounds, and how far the
// rounds are apart.
func (o *Outcome) print(w io.Writer) error {
	cost := o.columns[0]
	fmt.Fprintf(w, "\n%s (median of %d)\n", o.Name, len(o.Modes[0].Rounds))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	titles := []string{"", cost.title, "min..max"}
	for _, c := range o.columns[1:] {
		titles = append(titles, c.title)
	}
	fmt.Fprintln(table, strings.Join(append(titles, "ratio", "ratio by round", ""), "\t"))
	for _, mo := range o.Modes {
		cells := []string{string(mo.Mode), number(mo.Medians[cost.title], cost.digits), between(mo.Cost, cost.digits)}
		for _, c := range o.columns[1:] {
			cells = append(cells, number(mo.Medians[c.title], c.digits))
		}
		switch {
		case len(mo.RoundRatios) > 0:
			cells = append(cells, number(mo.Ratio, 3), between(mo.RoundRatios, 3))
		case mo.Mode == reverseProxy:
			cells = append(cells, "1", "")
		default:
			cells = append(cells, "-", "")
		}
		fmt.Fprintln(table, strings.Join(append(cells, ""), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if verbatim, other := o.of(runestone), o.of(translated); verbatim != nil && other != nil {
		fmt.Fprintf(w, "Translated costs %s of what verbatim does.\n", number(median(other.Cost)/median(verbatim.Cost), 2))
	}
	if off, on := o.of(runestone), o.of(observed); off != nil && on != nil {
		fmt.Fprintf(w, "All telemetry costs %s %%.\n", number(100*(median(on.Cost)/median(off.Cost)-1), 1))
	}
	for _, mo := range o.Modes {
		if others := mo.Medians[foreignColumn.title]; others > busyPercent {
			fmt.Fprintf(w, "Do not trust this: others took %.0f %% of the machine in mode %s.\n", others, mo.Mode)
		}
	}
	return nil
}

func number(v float64, digits int) string { return fmt.Sprintf("%.*f", digits, v) }

func between(values []float64, digits int) string {
	return number(slices.Min(values), digits) + ".." + number(slices.Max(values), digits)
}

func (r *Results) write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// describeMachine is one line to print above figures, which mean nothing
// without it.
func describeMachine(binary string) string {
	parts := []string{
		fmt.Sprintf("%d cores", runtime.NumCPU()),
		runtime.GOOS + "/" + runtime.GOARCH,
	}
	if model := proc.CPUModel(); model != "" {
		parts = append(parts, model)
	}
	if info, err := buildinfo.ReadFile(binary); err == nil {
		parts = append(parts, fmt.Sprintf("%s built with %s", filepath.Base(binary), info.GoVersion))
	}
	return strings.Join(parts, ", ")
}
