package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

const manifestFile = "xcaddy.json"

// manifest is the part of xcaddy's Builder that we use. A field that is not here
// is refused when the file is read: it would look as if it had an effect.
type manifest struct {
	CaddyVersion string        `json:"caddy_version"`
	Plugins      []plugin      `json:"plugins"`
	Replacements []replacement `json:"replacements"`
}

// plugin is a module whose root package registers Caddy modules.
type plugin struct {
	ModulePath string `json:"module_path"`
	Version    string `json:"version"`
}

// String returns the module as the go command writes it, path@version.
func (p plugin) String() string { return p.ModulePath + "@" + p.Version }

// replacement builds a plugin from a directory.
type replacement struct {
	// Old is the plugin, path@version.
	Old string `json:"old"`
	// New is the directory, relative to the file.
	New string `json:"new"`
}

// pinned matches one exact version. Branches, "latest" and commit hashes are
// valid for xcaddy, but would make the same commit build differently tomorrow.
var pinned = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+incompatible)?$`)

func load(path string) (*manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: run this in the root of the repository", err)
	}
	defer file.Close()

	dec := json.NewDecoder(file)
	dec.DisallowUnknownFields()
	m := new(manifest)
	if err := dec.Decode(m); err != nil {
		return nil, fmt.Errorf("%s: %w; it may hold caddy_version, plugins and replacements", manifestFile, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: text after the closing brace: remove it", manifestFile)
	}
	return m, m.validate()
}

// validate reports everything that is wrong with the file by itself.
func (m *manifest) validate() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(manifestFile+": "+format, args...))
	}
	if !pinned.MatchString(m.CaddyVersion) {
		wrong("caddy_version is %q: pin one version, such as v2.11.9", m.CaddyVersion)
	}
	named := map[string]bool{}
	known := map[string]bool{}
	for i, p := range m.Plugins {
		switch {
		case p.ModulePath == "":
			wrong("plugin %d has no module_path: name its Go module", i+1)
		case named[p.ModulePath]:
			wrong("%s is listed twice: remove one", p.ModulePath)
		case !pinned.MatchString(p.Version):
			wrong("%s has version %q: pin one version, such as v0.1.0", p.ModulePath, p.Version)
		}
		named[p.ModulePath] = true
		known[p.String()] = true
	}
	replaced := map[string]bool{}
	for _, r := range m.Replacements {
		switch {
		case !known[r.Old]:
			wrong("the replacement of %q replaces nothing: write a plugin's module_path@version", r.Old)
		case replaced[r.Old]:
			wrong("%s is replaced twice: remove one", r.Old)
		case r.New == "" || filepath.IsAbs(r.New):
			wrong("%s is replaced by %q: name a directory relative to this file", r.Old, r.New)
		}
		replaced[r.Old] = true
	}
	return errors.Join(errs...)
}

// directory returns where p is built from, relative to the file, "" for a
// plugin that is downloaded.
func (m *manifest) directory(p plugin) string {
	for _, r := range m.Replacements {
		if r.Old == p.String() {
			return r.New
		}
	}
	return ""
}

// buildArgs returns the arguments for `xcaddy build`. A local module keeps a
// version beside its directory, since without one xcaddy asks the network which
// versions there are; it is the version that `caddy list-modules` shows. as, when
// it is set, takes the place of the version in the file.
func (m *manifest) buildArgs(root, as string) ([]string, error) {
	if as != "" && !pinned.MatchString(as) {
		return nil, fmt.Errorf("-as %s: not a version such as v0.3.0", as)
	}
	args := []string{m.CaddyVersion}
	for _, p := range m.Plugins {
		with := p.String()
		if dir := m.directory(p); dir != "" {
			abs, err := filepath.Abs(filepath.Join(root, dir))
			if err != nil {
				return nil, fmt.Errorf("finding the directory of %s: %w", p, err)
			}
			if as != "" {
				with = plugin{p.ModulePath, as}.String()
			}
			with += "=" + abs
		}
		args = append(args, "--with", with)
	}
	return args, nil
}
