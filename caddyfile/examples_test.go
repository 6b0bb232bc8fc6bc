package caddyfile

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/mholt/caddy-ratelimit"

	"github.com/runestone-gateway/runestone/gateway"
	_ "github.com/runestone-gateway/runestone/overflow/boltqueue"
	_ "github.com/runestone-gateway/runestone/overflow/redisqueue"
	_ "github.com/runestone-gateway/runestone/provider/anthropic"
	_ "github.com/runestone-gateway/runestone/provider/azure"
	_ "github.com/runestone-gateway/runestone/provider/gemini"
	_ "github.com/runestone-gateway/runestone/provider/mock"
	_ "github.com/runestone-gateway/runestone/provider/openai"
)

var variable = regexp.MustCompile(`\{env\.(\w+)\}`)

// validate loads a configuration as `caddy validate` does, with a made-up value for
// each variable that it names.
func validate(t *testing.T, text []byte) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for _, match := range variable.FindAllSubmatch(text, -1) {
		value := "made-up-value-of-" + string(match[1])
		switch string(match[1]) {
		case "CALLBACK_SECRET":
			value = "whsec_" + base64.StdEncoding.EncodeToString([]byte(value))
		case "REDIS_URL":
			value = "redis://127.0.0.1:6379/0"
		case "KEYS_FILE":
			value = filepath.Join(t.TempDir(), "keys.json")
			if err := os.WriteFile(value, []byte("[]"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(string(match[1]), value)
	}
	config := new(caddy.Config)
	if err := json.Unmarshal(text, config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(config); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every example is accepted, formatted and begins by saying what it shows.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.Caddyfile")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := read(t, file)
			if !strings.HasPrefix(text, "# ") {
				t.Error("no comment at the top")
			}
			validate(t, []byte(adapt(t, text)))
		})
	}
}

// config.json says what it is said to say.
func TestExampleJSON(t *testing.T) {
	byHand := read(t, "../examples/config.json")
	validate(t, []byte(byHand))
	adapted := adapt(t, read(t, "../examples/openai-compatible.Caddyfile"))
	if got, want := appOf(t, byHand), appOf(t, adapted); got != want {
		t.Errorf("config.json is\n%s\nopenai-compatible.Caddyfile is\n%s", got, want)
	}
}

// appOf returns the app's part of a whole configuration, in one way of writing.
func appOf(t *testing.T, text string) string {
	t.Helper()
	var config struct {
		Apps struct {
			Runestone gateway.Config `json:"runestone"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	// Once more, since an adapter's options are still as they were written.
	var app any
	if err := json.Unmarshal(caddyconfig.JSON(config.Apps.Runestone, nil), &app); err != nil {
		t.Fatal(err)
	}
	return string(caddyconfig.JSON(app, nil))
}

var fence = regexp.MustCompile("(?s)\n```(caddyfile|json)\n(.*?)```")

// Whatever configuration the documentation shows is accepted.
func TestDocs(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documentation: %v", err)
	}
	for _, file := range files {
		text := read(t, file)
		for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
			language, code := text[at[2]:at[3]], text[at[4]:at[5]]
			line := 2 + strings.Count(text[:at[2]], "\n")
			switch {
			case !strings.Contains(code, "runestone"): // of something else
			case language == "json":
				if !json.Valid([]byte(code)) {
					t.Errorf("%s:%d: not JSON", file, line)
				}
			default:
				if got := adapt(t, code); !strings.HasPrefix(got, "{") {
					t.Errorf("%s:%d: %s", file, line, got)
				}
			}
		}
	}
}

// The documentation and the full example know every option of the app and the
// adapters that come with it.
func TestEveryOptionIsDocumented(t *testing.T) {
	full, docs := read(t, "../examples/full.Caddyfile"), read(t, "../docs/configuration.md")
	p := parser{places: map[string]place{}}
	for _, name := range append(p.app().names(),
		"api_key", "max_concurrency", "adaptive", "floor", "ceiling", "initial", "passthrough", "connect", "first_byte", "idle", "total",
		"target", "price", "capabilities", "weight", "context", "policy", "hedge",
		"failures", "failure_ratio", "window", "open_for", "max_open_for", "half_open", "slow_call", "attempts", "backoff", "budget", "wait", "length") {
		if !strings.Contains(full, name+" ") && !strings.Contains(full, name+"\n") {
			t.Errorf("full.Caddyfile does not show %s", name)
		}
	}
	for _, name := range jsonNames(reflect.TypeFor[gateway.Config]()) {
		if !strings.Contains(docs, "`"+name) && !strings.Contains(docs, "."+name+"`") {
			t.Errorf("configuration.md does not mention the JSON name %s", name)
		}
	}
}

// jsonNames returns the names of t's fields in JSON, and of theirs.
func jsonNames(t reflect.Type) []string {
	var names []string
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		return jsonNames(t.Elem())
	case reflect.Struct:
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			names = append(append(names, name), jsonNames(field.Type)...)
		}
	}
	return names
}
