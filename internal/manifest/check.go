package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	mainFile = "cmd/caddy/main.go"

	caddyModule   = "github.com/caddyserver/caddy/v2"
	caddyStandard = caddyModule + "/modules/standard"
)

// checkAll reports every difference between what xcaddy builds and what
// `go build ./cmd/caddy` builds.
func checkAll(root string, m *manifest) error {
	mod, err := readGoMod(root)
	if err != nil {
		return err
	}
	imports, err := blankImports(filepath.Join(root, mainFile))
	if err != nil {
		return err
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return err
	}
	return errors.Join(
		checkVersions(m, mod),
		checkLocal(m, mod),
		checkImports(m, imports),
		checkPins(string(makefile)),
	)
}

// goMod is the part of go.mod that decides what a build contains.
type goMod struct {
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
	Replace []struct{ Old struct{ Path string } }
}

func (g *goMod) version(path string) string {
	for _, r := range g.Require {
		if r.Path == path {
			return r.Version
		}
	}
	return ""
}

// readGoMod asks the go command, which reads go.mod without the network and
// spares us a dependency for it.
func readGoMod(root string) (*goMod, error) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go.mod: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	mod := new(goMod)
	if err := json.Unmarshal(out, mod); err != nil {
		return nil, fmt.Errorf("go.mod: %w", err)
	}
	return mod, nil
}

// blankImports returns what a Go file imports for its side effects alone, which
// is how a main package takes Caddy modules in.
func blankImports(path string) (map[string]bool, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	imports := map[string]bool{}
	for _, spec := range file.Imports {
		if spec.Name == nil || spec.Name.Name != "_" {
			continue
		}
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mainFile, err)
		}
		imports[name] = true
	}
	return imports, nil
}

// checkVersions compares the versions with go.mod's.
func checkVersions(m *manifest, mod *goMod) error {
	var errs []error
	compare := func(path, version string) {
		switch got := mod.version(path); got {
		case version:
		case "":
			errs = append(errs, fmt.Errorf("go.mod does not require %s, which %s lists: run `go get %s`, or remove it there",
				path, manifestFile, plugin{path, version}))
		default:
			errs = append(errs, fmt.Errorf("%s has %s at %s, go.mod at %s: give both the same version", manifestFile, path, version, got))
		}
	}
	compare(caddyModule, m.CaddyVersion)
	for _, p := range m.Plugins {
		if p.ModulePath != mod.Module.Path {
			compare(p.ModulePath, p.Version)
		}
	}
	for _, r := range mod.Replace {
		errs = append(errs, fmt.Errorf("go.mod replaces %s, which no xcaddy build would do: remove the replace line", r.Old.Path))
	}
	return errors.Join(errs...)
}

// checkLocal makes sure that xcaddy builds this working tree and no published
// version of it.
func checkLocal(m *manifest, mod *goMod) error {
	for _, p := range m.Plugins {
		if p.ModulePath != mod.Module.Path {
			continue
		}
		if dir := m.directory(p); filepath.Clean(dir) != "." || dir == "" {
			return fmt.Errorf(`%s does not build %s from this directory: add the replacement {"old": %q, "new": "."}`,
				manifestFile, p.ModulePath, p.String())
		}
		return nil
	}
	return fmt.Errorf(`%s has no plugin %s, the module of go.mod: add it with version v0.0.0`, manifestFile, mod.Module.Path)
}

// checkImports compares the plugins with the imports of cmd/caddy/main.go.
func checkImports(m *manifest, imports map[string]bool) error {
	want := map[string]bool{caddyStandard: true} // xcaddy always adds it
	for _, p := range m.Plugins {
		want[p.ModulePath] = true
	}
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if !imports[path] {
			errs = append(errs, fmt.Errorf("%s does not import %s, which every xcaddy build has: add `_ %q`", mainFile, path, path))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		if !want[path] {
			errs = append(errs, fmt.Errorf("%s imports %s, which %s does not list: add it to plugins, or remove the import",
				mainFile, path, manifestFile))
		}
	}
	return errors.Join(errs...)
}

// toolVersion matches the variables of the Makefile that say which version of a
// tool to run, such as XCADDY_VERSION := v0.4.5.
var toolVersion = regexp.MustCompile(`(?m)^([A-Z_]+_VERSION)[ \t]*[:?]*=[ \t]*(.*)$`)

// checkPins makes sure that the tools are as fixed as what they build.
func checkPins(makefile string) error {
	var errs []error
	found := false
	for _, match := range toolVersion.FindAllStringSubmatch(makefile, -1) {
		name, version := match[1], strings.TrimSpace(match[2])
		found = found || name == "XCADDY_VERSION"
		if !pinned.MatchString(version) {
			errs = append(errs, fmt.Errorf("%s in the Makefile is %q: pin one version, such as v0.4.5", name, version))
		}
	}
	if !found {
		errs = append(errs, errors.New("no XCADDY_VERSION in the Makefile: add `XCADDY_VERSION := v0.4.5`, or the version that you mean"))
	}
	return errors.Join(errs...)
}
