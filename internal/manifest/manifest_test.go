package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files of a repository in which everything agrees.
var agreeing = map[string]string{
	"xcaddy.json": `{
	"caddy_version": "v2.11.9",
	"plugins": [
		{"module_path": "example.com/limit", "version": "v0.1.0"},
		{"module_path": "example.com/gate", "version": "v0.0.0"}
	],
	"replacements": [{"old": "example.com/gate@v0.0.0", "new": "."}]
}
`,
	"go.mod": `module example.com/gate

go 1.26

require (
	github.com/caddyserver/caddy/v2 v2.11.9
	example.com/limit v0.1.0
)

require example.com/other v1.2.3 // indirect
`,
	"cmd/caddy/main.go": `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "example.com/gate"
	_ "example.com/limit"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
`,
	"Makefile": "XCADDY_VERSION := v0.4.5\n",
}

// repository writes the agreeing files, one of them with from replaced by to.
func repository(t *testing.T, file, from, to string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range agreeing {
		if name == file {
			if !strings.Contains(text, from) {
				t.Fatalf("%s has no %q", file, from)
			}
			text = strings.ReplaceAll(text, from, to)
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// wantError fails the test unless err's text has every part.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q has no %q", err, part)
		}
	}
}

func TestArguments(t *testing.T) {
	root := repository(t, "", "", "")
	for _, test := range []struct {
		name string
		args []string
		gate string
	}{
		{"as in the file", nil, "example.com/gate@v0.0.0=" + root},
		{"with a version", []string{"-as", "v0.3.0-5-gabcdef0-dirty"}, "example.com/gate@v0.3.0-5-gabcdef0-dirty=" + root},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(root, test.args, &out); err != nil {
				t.Fatal(err)
			}
			want := "v2.11.9\n--with\nexample.com/limit@v0.1.0\n--with\n" + test.gate + "\n"
			if out.String() != want {
				t.Errorf("printed %q, want %q", out.String(), want)
			}
		})
	}
}

func TestArgumentsRefused(t *testing.T) {
	root := repository(t, "", "", "")
	wantError(t, run(root, []string{"-as", "main"}, new(bytes.Buffer)), "-as main", "v0.3.0")
	wantError(t, run(root, []string{"check"}, new(bytes.Buffer)), `"check"`, "-help")
	wantError(t, run(t.TempDir(), nil, new(bytes.Buffer)), "xcaddy.json", "root of the repository")
}

func TestFileRefused(t *testing.T) {
	for _, test := range []struct {
		name, from, to string
		want           []string
	}{
		{"unknown field", `"plugins"`, `"plugin"`, []string{`unknown field "plugin"`, "may hold caddy_version"}},
		{"field without effect", `"replacements"`, `"race_detector": true, "replacements"`, []string{"race_detector"}},
		{"not JSON", `"plugins"`, `plugins`, []string{"xcaddy.json"}},
		{"trailing text", "]\n}\n", "]\n}\n{}", []string{"after the closing brace"}},
		{"Caddy unpinned", "v2.11.9", "latest", []string{"caddy_version", `"latest"`, "pin"}},
		{"plugin unpinned", `"v0.1.0"`, `"master"`, []string{"example.com/limit", `"master"`, "pin"}},
		{"plugin without version", `, "version": "v0.1.0"`, ``, []string{"example.com/limit", `""`, "pin"}},
		{"plugin without path", "example.com/limit", "", []string{"plugin 1", "module_path"}},
		{"plugin twice", "example.com/limit", "example.com/gate", []string{"example.com/gate is listed twice"}},
		{"replaces nothing", "gate@v0.0.0", "gate@v1.0.0", []string{"example.com/gate@v1.0.0", "replaces nothing"}},
		{"replaced without version", "gate@v0.0.0", "gate", []string{`"example.com/gate"`, "module_path@version"}},
		{"replaced by nothing", `"new": "."`, `"new": ""`, []string{"relative to this file"}},
		{"one machine's path", `"new": "."`, `"new": "/home/me"`, []string{"/home/me", "relative to this file"}},
		{"replaced twice", `"new": "."}`, `"new": "."}, {"old": "example.com/gate@v0.0.0", "new": "."}`, []string{"replaced twice"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := repository(t, "xcaddy.json", test.from, test.to)
			wantError(t, run(root, nil, new(bytes.Buffer)), append(test.want, "xcaddy.json")...)
		})
	}
}
