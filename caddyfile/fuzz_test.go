package caddyfile

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/runestone-gateway/runestone/gateway"
)

// Whatever stands in a Caddyfile, the parser does not panic, and what it accepts
// is JSON that the app reads whole and finds no fault with.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.caddytest")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := bytes.Cut(text, []byte(separator))
		if at := bytes.Index(input, []byte("runestone")); at > 0 {
			input = input[at:]
		}
		f.Add(string(input))
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		_, _ = parseHandler(httpcaddyfile.Helper{Dispenser: caddyfile.NewDispenser(tokens)})

		app, err := parseApp(caddyfile.NewDispenser(tokens), nil)
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(app.(httpcaddyfile.App).Value))
		d.DisallowUnknownFields()
		config := new(gateway.Config)
		if err := d.Decode(config); err != nil {
			t.Fatalf("the app cannot read %s: %v", app, err)
		}
		if problems := config.Check(); len(problems) > 0 {
			t.Errorf("accepted in spite of %v", problems)
		}
	})
}
