package runestone_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/runestone-gateway/runestone"
)

const module = "github.com/runestone-gateway/runestone"

// Importing the root package is all that a build does to have every module.
func TestModulesRegistered(t *testing.T) {
	want := []string{
		"admin.api.runestone",
		"events.handlers.runestone_exec",
		"http.handlers.runestone",
		"http.handlers.runestone_dashboard",
		"http.reverse_proxy.circuit_breakers.runestone",
		"runestone",
		"runestone.policies.cost",
		"runestone.policies.failover",
		"runestone.policies.latency",
		"runestone.policies.least_busy",
		"runestone.policies.round_robin",
		"runestone.policies.weighted",
		"runestone.providers.anthropic",
		"runestone.providers.azure",
		"runestone.providers.cerebras",
		"runestone.providers.cohere",
		"runestone.providers.deepseek",
		"runestone.providers.fireworks",
		"runestone.providers.gemini",
		"runestone.providers.groq",
		"runestone.providers.huggingface",
		"runestone.providers.llamacpp",
		"runestone.providers.mistral",
		"runestone.providers.mock",
		"runestone.providers.ollama",
		"runestone.providers.openai",
		"runestone.providers.openrouter",
		"runestone.providers.perplexity",
		"runestone.providers.together",
		"runestone.providers.vllm",
		"runestone.providers.xai",
		"runestone.queues.embedded",
		"runestone.queues.redis",
	}
	var got []string
	for _, id := range caddy.Modules() {
		if slices.ContainsFunc(strings.Split(id, "."), func(label string) bool { return strings.HasPrefix(label, "runestone") }) {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	for _, id := range want {
		if !slices.Contains(got, id) {
			t.Errorf("no module %s: import its package in module.go", id)
		}
	}
	for _, id := range got {
		if !slices.Contains(want, id) {
			t.Errorf("module %s is new: add it to this test and to the documentation", id)
		}
	}
}

// mayImport is the plan of the house: which packages of ours a package imports.
// Imports point downward only, so each entry names entries above it. Tests are
// free, since what they build is not part of the house.
//
// "x/*" stands for every package in the folder x that has no entry of its own.
var mayImport = []struct {
	pkg     string
	imports []string
}{
	{"sse", nil},
	{"h1", nil},
	{"breaker", nil},
	{"telemetry", nil},
	{"dialect", []string{"sse"}},
	{"provider", []string{"dialect"}},
	{"provider/httpapi", []string{"provider"}},
	{"provider/providertest", []string{"provider", "dialect", "sse"}},
	{"provider/*", []string{"provider", "provider/httpapi", "dialect", "sse"}},
	{"catalog", []string{"provider"}},
	{"policy", []string{"provider"}},
	{"overflow", []string{"provider", "telemetry"}},
	{"overflow/*", []string{"overflow"}},
	{"keys", []string{"telemetry"}},
	{"gateway", []string{
		"policy", "provider", "catalog", "dialect", "sse", "telemetry", "h1", "breaker", "overflow", "keys",
	}},
	{"gateway/admintest", []string{"overflow", "overflow/queuetest"}},
	{"command", []string{"gateway", "keys", "overflow", "breaker", "telemetry"}},
	{"handler", []string{"gateway", "provider", "dialect", "sse", "telemetry", "h1", "overflow", "keys"}},
	{"dashboard", []string{"gateway", "overflow", "telemetry"}},
	{"caddyfile", []string{"gateway", "handler", "dashboard", "policy", "provider", "breaker", "overflow", "keys"}},
	{"", []string{"*"}},
	{"cmd/caddy", []string{""}},

	// Tools. They meet the gateway as a program, through its front door.
	{"bench", []string{"bench/*"}},
	{"bench/*", []string{"bench/*"}},
	{"e2e", nil},
	{"internal/*", nil},
}

// standardOnly imports nothing but the standard library and each other, so that an adapter in
// another repository depends on little.
var standardOnly = []string{"provider", "dialect", "sse"}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		allowed, ok := rule(p.name())
		if !ok {
			t.Errorf("package %s has no rule: say in mayImport what it may import", p.name())
			continue
		}
		for _, path := range p.Imports {
			name, ok := ours(path)
			if slices.Contains(standardOnly, p.name()) && !ok && strings.Contains(strings.Split(path, "/")[0], ".") {
				t.Errorf("%s imports %s: it may import the standard library only", p.name(), path)
			}
			if ok && !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, name) }) {
				t.Errorf("%s imports %s: it may import %q of ours", p.name(), cmp.Or(name, "the root package"), allowed)
			}
		}
	}
}

// rule returns what the package may import.
func rule(name string) (allowed []string, ok bool) {
	for _, r := range mayImport {
		if r.pkg == name {
			return r.imports, true
		}
	}
	for _, r := range mayImport {
		if covers(r.pkg, name) {
			return r.imports, true
		}
	}
	return nil, false
}

// covers reports whether pattern, a package or a folder with "/*", has the
// package in it. "*" is every package.
func covers(pattern, name string) bool {
	if folder, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, folder)
	}
	return pattern == name
}

// ours returns a path within the module, "" for the root package.
func ours(path string) (name string, ok bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func (p listedPackage) name() string {
	name, _ := ours(p.ImportPath)
	return name
}

// packages lists every package of the module, also when one does not build: that
// is another test's to tell.
func packages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []listedPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// The rules say what they are meant to say.
func TestImportRules(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"gateway", "provider", true},
		{"gateway", "provider/openai", false},
		{"gateway", "handler", false},
		{"gateway", "", false},
		{"gateway", "command", false},
		{"provider/openai", "dialect", true},
		{"provider/openai", "provider/mock", false},
		{"cmd/caddy", "", true},
		{"cmd/caddy", "gateway", false},
		{"", "overflow/redisqueue", true},
		{"bench/load", "bench/wire", true},
		{"bench/load", "sse", false},
	} {
		allowed, ok := rule(test.from)
		if !ok {
			t.Errorf("no rule for %q", test.from)
		}
		if got := slices.ContainsFunc(allowed, func(a string) bool { return covers(a, test.to) }); got != test.want {
			t.Errorf("%q may import %q: %t, want %t", test.from, test.to, got, test.want)
		}
	}
	if _, ok := rule("newroom"); ok {
		t.Error("a new room needs no rule")
	}
}

// Where packages come from is the machine's business: a build that names a
// registry goes past the mirror that the machine was given.
func TestNoRegistryNamed(t *testing.T) {
	hosts := [][]byte{
		[]byte("proxy." + "golang.org"),
		[]byte("registry." + "npmjs.org"),
		[]byte("pypi." + "org"),
		[]byte("deb." + "debian.org"),
	}
	skip := []string{".git", "bin", "node_modules", ".venv", "go.sum"}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(skip, entry.Name()) && entry.IsDir():
			return filepath.SkipDir
		case slices.Contains(skip, entry.Name()) || !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading the repository: %w", err)
		}
		for _, host := range hosts {
			if bytes.Contains(text, host) {
				t.Errorf("%s names %s: leave the registry to the package client", path, host)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
