package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// test names a test, or its package when Name is "".
type test struct{ Package, Name string }

// report collects the outcome of a test run and prints it as go test would
// without -v.
type report struct {
	out io.Writer

	output  map[test][]string
	skipped map[string][]test // by reason

	passed, failed int
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[test][]string{}, skipped: map[string][]test{}}
}

func (r *report) add(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[t] = append(r.output[t], e.Output)
	case "pass", "fail", "skip":
		if t.Name == "" {
			r.endPackage(t, e.Action)
		} else {
			r.endTest(t, e.Action)
		}
	}
}

func (r *report) endTest(t test, outcome string) {
	switch outcome {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.print(t)
	case "skip":
		why := reason(r.output[t])
		r.skipped[why] = append(r.skipped[why], t)
	}
	delete(r.output, t)
}

func (r *report) endPackage(pkg test, outcome string) {
	if outcome == "fail" {
		// What is left belongs to tests that a panic or the time limit cut off.
		for _, t := range slices.SortedFunc(maps.Keys(r.output), func(a, b test) int { return strings.Compare(a.Name, b.Name) }) {
			if t.Package == pkg.Package && t != pkg {
				r.print(t)
			}
		}
		r.print(pkg)
	}
	for _, line := range r.output[pkg] {
		if outcome == "pass" && strings.HasPrefix(line, "ok ") {
			fmt.Fprint(r.out, line)
		}
	}
	maps.DeleteFunc(r.output, func(t test, _ []string) bool { return t.Package == pkg.Package })
}

func (r *report) print(t test) {
	for _, line := range r.output[t] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

var position = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason returns what a test said when it skipped itself, "" if it said nothing.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(trimmed, "--- SKIP: ") || trimmed == "" {
			continue
		}
		said = append(said, strings.TrimSpace(position.ReplaceAllString(line, "")))
	}
	return strings.Join(said, " ")
}

// summary prints what was skipped and why, and the counts.
func (r *report) summary() {
	skips := 0
	for _, why := range slices.Sorted(maps.Keys(r.skipped)) {
		if skips == 0 {
			fmt.Fprintln(r.out, "\nSkipped, and why:")
		}
		fmt.Fprintf(r.out, "  %s\n", cmp.Or(why, "no reason given"))
		for _, t := range r.skipped[why] {
			fmt.Fprintf(r.out, "    %s %s\n", t.Package, t.Name)
			skips++
		}
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, skips)
}

// skipError is about the skips that nobody meant.
func (r *report) skipError() error {
	for _, why := range slices.Sorted(maps.Keys(r.skipped)) {
		first := r.skipped[why][0]
		switch {
		case why == "":
			return fmt.Errorf("%s %s is skipped without a reason: give one to t.Skip", first.Package, first.Name)
		case strings.Contains(why, "failed integration prerequisites"):
			return fmt.Errorf("%s %s is skipped by Caddy's test helper, as under -trimpath: %s", first.Package, first.Name, why)
		}
	}
	return nil
}
