package caddyfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what the golden files get instead of comparing")

const separator = "----------\n"

// Every file of testdata is a Caddyfile, a line of dashes, and the JSON that it
// adapts to or the error, in full.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddytest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddytest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(text), separator)
			if !ok {
				t.Fatal("no line of dashes")
			}
			got := adapt(t, input)
			if isError := strings.HasPrefix(filepath.Base(file), "error_"); isError == strings.HasPrefix(got, "{") {
				t.Errorf("the file's name says otherwise:\n%s", got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// adapt returns the indented JSON of a Caddyfile, or the error.
func adapt(t *testing.T, text string) string {
	t.Helper()
	out, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	for _, w := range warnings {
		t.Errorf("warning: %v", w)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, out, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String() + "\n"
}

func TestClosest(t *testing.T) {
	known := []string{"alias", "api_key", "idle", "model", "timeouts"}
	for word, want := range map[string]string{
		"modle":     "model",
		"model":     "model",
		"api_kyes":  "api_key",
		"timeout":   "timeouts",
		"idel":      "idle",
		"mdole":     "model",
		"mode":      "model",
		"kin":       "",
		"idl":       "idle",
		"":          "",
		"aliases":   "alias",
		"breaker":   "",
		"timeoutss": "timeouts",
	} {
		if got := closest(word, known); got != want {
			t.Errorf("closest(%q) = %q, want %q", word, got, want)
		}
	}
}
