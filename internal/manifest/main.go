// Command manifest reads xcaddy.json, which says what a release build of the
// gateway is made of. The file has the shape of xcaddy's own Builder, but xcaddy
// reads no file, so this program hands it over:
//
//	go run ./internal/manifest              print the arguments of `xcaddy build`, one a line
//	go run ./internal/manifest -as v0.3.0   the same, giving the local modules that version
//	go run ./internal/manifest -check       fail if the development build is made of anything else
//
// It runs in the root of the repository.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(".", os.Args[1:], os.Stdout); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "manifest:", strings.TrimSpace(line))
		}
		os.Exit(1)
	}
}

func run(root string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("manifest", flag.ContinueOnError)
	var (
		check = flags.Bool("check", false, "compare xcaddy.json with go.mod, cmd/caddy/main.go and the Makefile")
		as    = flags.String("as", "", "the `version` of the modules that are built from a local directory")
	)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: see -help", flags.Arg(0))
	}

	m, err := load(filepath.Join(root, manifestFile))
	if err != nil {
		return err
	}
	if *check {
		return checkAll(root, m)
	}
	lines, err := m.buildArgs(root, *as)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
