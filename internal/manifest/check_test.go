package main

import (
	"bytes"
	"testing"
)

func TestCheckAgrees(t *testing.T) {
	root := repository(t, "", "", "")
	if err := run(root, []string{"-check"}, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
}

// The repository's own files agree.
func TestCheckThisRepository(t *testing.T) {
	if err := run("../..", []string{"-check"}, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, test := range []struct {
		name, file, from, to string
		want                 []string
	}{
		{
			"another Caddy in go.mod", "go.mod", "v2.11.9", "v2.11.8",
			[]string{"xcaddy.json has github.com/caddyserver/caddy/v2 at v2.11.9, go.mod at v2.11.8", "same version"},
		},
		{
			"another plugin version", "xcaddy.json", `"v0.1.0"`, `"v0.2.0"`,
			[]string{"xcaddy.json has example.com/limit at v0.2.0, go.mod at v0.1.0", "same version"},
		},
		{
			"plugin not in go.mod", "go.mod", "\texample.com/limit v0.1.0\n", "",
			[]string{"go.mod does not require example.com/limit", "go get example.com/limit@v0.1.0"},
		},
		{
			"replaced in go.mod", "go.mod", "go 1.26", "go 1.26\nreplace example.com/other => ../other",
			[]string{"go.mod replaces example.com/other", "remove"},
		},
		{
			"go.mod unreadable", "go.mod", "module ", "modul ",
			[]string{"go.mod"},
		},
		{
			"another module", "go.mod", "module example.com/gate", "module example.com/fork",
			[]string{"xcaddy.json has no plugin example.com/fork", "add it"},
		},
		{
			"published, not built here", "xcaddy.json", `[{"old": "example.com/gate@v0.0.0", "new": "."}]`, "[]",
			[]string{"does not build example.com/gate from this directory", `{"old": "example.com/gate@v0.0.0", "new": "."}`},
		},
		{
			"built elsewhere", "xcaddy.json", `"new": "."`, `"new": "../gate"`,
			[]string{"does not build example.com/gate from this directory"},
		},
		{
			"plugin not imported", "cmd/caddy/main.go", "\t_ \"example.com/limit\"\n", "",
			[]string{"cmd/caddy/main.go does not import example.com/limit", "add `_ \"example.com/limit\"`"},
		},
		{
			"imported by name only", "cmd/caddy/main.go", `_ "example.com/limit"`, `limit "example.com/limit"`,
			[]string{"cmd/caddy/main.go does not import example.com/limit"},
		},
		{
			"standard modules not imported", "cmd/caddy/main.go", "modules/standard", "modules/metrics",
			[]string{
				"cmd/caddy/main.go does not import github.com/caddyserver/caddy/v2/modules/standard",
				"cmd/caddy/main.go imports github.com/caddyserver/caddy/v2/modules/metrics, which xcaddy.json does not list",
			},
		},
		{
			"import not listed", "cmd/caddy/main.go", `_ "example.com/limit"`, "_ \"example.com/limit\"\n\t_ \"example.com/more\"",
			[]string{"cmd/caddy/main.go imports example.com/more, which xcaddy.json does not list", "remove the import"},
		},
		{
			"main.go does not parse", "cmd/caddy/main.go", "import (", "import [",
			[]string{"main.go"},
		},
		{
			"xcaddy unpinned", "Makefile", "v0.4.5", "latest",
			[]string{"XCADDY_VERSION in the Makefile", `"latest"`, "pin"},
		},
		{
			"xcaddy empty", "Makefile", "v0.4.5", "",
			[]string{"XCADDY_VERSION in the Makefile", `""`, "pin"},
		},
		{
			"xcaddy missing", "Makefile", "XCADDY_VERSION", "XCADDY",
			[]string{"no XCADDY_VERSION in the Makefile", "add"},
		},
		{
			"another tool unpinned", "Makefile", "XCADDY_VERSION", "LINT_VERSION ?= main\nXCADDY_VERSION",
			[]string{"LINT_VERSION in the Makefile", `"main"`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := repository(t, test.file, test.from, test.to)
			wantError(t, run(root, []string{"-check"}, new(bytes.Buffer)), test.want...)
		})
	}
}

// Everything that differs is told at once.
func TestCheckTellsAll(t *testing.T) {
	root := repository(t, "go.mod", "v2.11.9", "v2.11.8")
	m, err := load(root + "/xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	m.Plugins[0].Version = "v0.9.0"
	wantError(t, checkAll(root, m), "caddy/v2 at v2.11.9", "example.com/limit at v0.9.0")
}
