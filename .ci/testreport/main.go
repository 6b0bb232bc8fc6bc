// Command testreport runs `go test` with the arguments that it is given, and says
// at the end which tests were skipped and why, which go test tells only with -v.
//
// It fails when go test does, and also when a test was skipped without a reason,
// or for the wrong one: Caddy's test helper finds its certificates by the source
// path in the binary, so under -trimpath each of its tests is skipped in silence.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if err := refuseTrimpath(args); err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := newReport(out)
	if err := r.read(stdout); err != nil {
		return errors.Join(err, cmd.Wait())
	}
	failed := cmd.Wait()
	r.summary()
	switch {
	case failed != nil:
		return fmt.Errorf("go test: %w", failed)
	case r.passed == 0:
		return errors.New("no test ran")
	}
	return r.skipError()
}

func refuseTrimpath(args []string) error {
	flags, err := exec.Command("go", "env", "GOFLAGS").Output()
	if err != nil {
		return fmt.Errorf("go env GOFLAGS: %w", err)
	}
	for _, arg := range append(strings.Fields(string(flags)), args...) {
		if strings.TrimLeft(arg, "-") == "trimpath" {
			return errors.New("-trimpath is set, and with it Caddy's test helper skips its tests: remove it (see `go env GOFLAGS`)")
		}
	}
	return nil
}

// read reads what `go test -json` prints.
func (r *report) read(in io.Reader) error {
	dec := json.NewDecoder(in)
	for {
		var e event
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			rest, _ := io.ReadAll(io.MultiReader(dec.Buffered(), in))
			return fmt.Errorf("reading go test's report: %w: %s", err, bytes.TrimSpace(rest))
		}
		r.add(e)
	}
}
