package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func sha256Of(secret string) string {
	d := digestOf(secret)
	return hex.EncodeToString(d[:])
}

func secretOf(text string) Secret { return Secret{SHA256: sha256Of(text)} }

func newTestDirectory(t testing.TB, c *Config, o DirectoryOptions) *Directory {
	t.Helper()
	d, err := NewDirectory(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhatIsNotAcceptedIsAllTheSame(t *testing.T) {
	t.Parallel()
	c := newClock()
	ended := secretOf("the secret that has ended")
	ended.Ends = c.t
	config := &Config{Keys: []*Key{
		{Name: "live", Secrets: []Secret{secretOf("the secret that is good"), ended}, Metadata: map[string]string{"team": "a"}},
		{Name: "over", Secrets: []Secret{secretOf("the secret of a key that has ended")}, Ends: c.t},
		{Name: "off", Secrets: []Secret{secretOf("the secret of a key that is off")}, Disabled: true},
	}}
	d := newTestDirectory(t, config, DirectoryOptions{Now: c.now})
	caller, err := d.Lookup("the secret that is good")
	if err != nil || caller.Name != "live" || caller.Metadata["team"] != "a" {
		t.Errorf("%+v, %v", caller, err)
	}
	for _, secret := range []string{
		"the secret that has ended", "the secret of a key that has ended", "the secret of a key that is off", "unknown", "", strings.Repeat("x", 5000),
		sha256Of("the secret that is good"), "the secret that is goo", "the secret that is good ",
	} {
		if caller, err := d.Lookup(secret); caller != nil || err != ErrRefused {
			t.Errorf("%.40q: %v, %v", secret, caller, err)
		}
	}
	if caller, err := d.Named("live"); err != nil || caller.Name != "live" {
		t.Errorf("%v, %v", caller, err)
	}
	for _, name := range []string{"over", "off", "unknown", ""} {
		if caller, err := d.Named(name); caller != nil || err != ErrRefused {
			t.Errorf("%q: %v, %v", name, caller, err)
		}
	}
}

func TestALookupAllocatesNothingWhateverItFinds(t *testing.T) {
	good := NewSecret().Reveal()
	d := newTestDirectory(t, &Config{Keys: []*Key{{Name: "k", Secrets: []Secret{secretOf(good)}}}}, DirectoryOptions{})
	for _, secret := range []string{good, "unknown", NewSecret().Reveal()} {
		if n := testing.AllocsPerRun(100, func() { _, _ = d.Lookup(secret) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func TestADirectoryWithoutSourcesIsOpen(t *testing.T) {
	t.Parallel()
	if d := newTestDirectory(t, new(Config), DirectoryOptions{}); !d.Open() {
		t.Error("it is not open")
	}
	d := newTestDirectory(t, &Config{Stored: true}, DirectoryOptions{Storage: newMemoryStorage()})
	if d.Open() {
		t.Error("one that waits for its first key is open")
	}
}

func TestACallerMayUseWhatItsKeySays(t *testing.T) {
	t.Parallel()
	c := newCaller(&Key{Models: []string{"smart", "openai/*"}, Routes: []string{"chat"}, Priority: 2}, nil)
	for name, want := range map[string]bool{"smart": true, "smarter": false, "openai/gpt": true, "groq/x": false, "": false} {
		if c.MayUse(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
	if !c.MayUse("fast", "openai/gpt-4o") || c.MayUse() || c.MayCall("embeddings") || !c.MayCall("chat") {
		t.Error("an alias, or a route")
	}
	if c.BestPriority(0) != 2 || c.BestPriority(3) != 3 {
		t.Error("priority")
	}
	var nobody *Caller
	if !nobody.MayUse("x") || !nobody.MayCall("chat") || nobody.BestPriority(1) != 1 {
		t.Error("nobody may not do all")
	}
}

func TestSecretsAreWellFormedAndFound(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 200 {
		s := NewSecret().Reveal()
		if !IsSecret(s) || len(s) != 52 || seen[s] {
			t.Fatalf("%q", s)
		}
		seen[s] = true
		for i := range s {
			other := s[:i] + "-" + s[i+1:]
			if s[i] != 'a' {
				other = s[:i] + "a" + s[i+1:]
			}
			if IsSecret(other) {
				t.Fatalf("with another character at %d it is a secret as well", i)
			}
		}
	}
}

func TestASecretIsReadFromWhereClientsPutIt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		h    http.Header
		want string
	}{
		{http.Header{}, ""},
		{http.Header{"Authorization": {"Bearer  abc "}}, "abc"},
		{http.Header{"Authorization": {"bearer abc"}}, "abc"},
		{http.Header{"Authorization": {"Basic abc"}}, ""},
		{http.Header{"Authorization": {"Basic abc"}, "X-Api-Key": {"def"}}, "def"},
		{http.Header{"Authorization": {"Bearer abc"}, "X-Api-Key": {"def"}}, "abc"},
		{http.Header{"Authorization": {"Bearer abc", "Bearer def"}}, ""},
		{http.Header{"X-Api-Key": {"abc", "abc"}}, ""},
		{http.Header{"X-Api-Key": {strings.Repeat("x", maxPresented+1)}}, ""},
	} {
		if got := Presented(test.h); got != test.want {
			t.Errorf("%q: %q", test.h, got)
		}
	}
}

func TestTheConfigurationIsCheckedAndShowsNoSecret(t *testing.T) {
	const marked = "hunter2-hunter2-hunter2"
	t.Setenv("KEYS_TEST_SHORT", "hunter2")
	good := []Secret{secretOf("x")}
	for want, keys := range map[string][]*Key{
		"name is missing":             {{Secrets: good}},
		"other characters":            {{Name: "a b", Secrets: good}},
		"stands where the name":       {{Name: NewSecret().Reveal(), Secrets: good}},
		"it has no secret":            {{Name: "a"}},
		"stands there in the open":    {{Name: "a", Secrets: []Secret{{Secret: marked}}}},
		"64 hexadecimal digits":       {{Name: "a", Secrets: []Secret{{SHA256: marked}}}},
		"both sha256 and secret":      {{Name: "a", Secrets: []Secret{{SHA256: sha256Of("x"), Secret: marked}}}},
		"neither":                     {{Name: "a", Secrets: []Secret{{}}}},
		"{env.KEYS_TEST_NONE} is":     {{Name: "a", Secrets: []Secret{{Secret: "{env.KEYS_TEST_NONE}"}}}},
		"fewer than 16":               {{Name: "a", Secrets: []Secret{{Secret: "{env.KEYS_TEST_SHORT}"}}}},
		"the name is there twice":     {{Name: "a", Secrets: good}, {Name: "a", Secrets: good}},
		"also one of key a":           {{Name: "a", Secrets: good}, {Name: "b", Secrets: good}},
		"priority is 4":               {{Name: "a", Secrets: good, Priority: 4}},
		"models has one":              {{Name: "a", Secrets: good, Models: []string{"a*b"}}},
		"routes has one":              {{Name: "a", Secrets: good, Routes: []string{""}}},
		"routes has 'chats'":          {{Name: "a", Secrets: good, Routes: []string{"chats"}}},
		"metadata has more":           {{Name: "a", Secrets: good, Metadata: map[string]string{"a": strings.Repeat("x", 5000)}}},
		"requests: n is 0":            {{Name: "a", Secrets: good, Limits: &Limits{Requests: rate(0, "1m")}}},
		"tokens: window is 1ms":       {{Name: "a", Secrets: good, Limits: &Limits{Tokens: rate(5, "1ms")}}},
		"concurrency is -1":           {{Name: "a", Secrets: good, Limits: &Limits{Concurrency: -1}}},
		"usd is 0":                    {{Name: "a", Secrets: good, Limits: &Limits{Budget: budget(0, "1d")}}},
		"period is 8808h0m0s":         {{Name: "a", Secrets: good, Limits: &Limits{Budget: budget(1, "367d")}}},
		`model_limits: "m": requests`: {{Name: "a", Secrets: good, ModelLimits: map[string]*Limits{"m": {Requests: rate(0, "1m")}}}},
		"it is null":                  {nil},
	} {
		_, err := NewDirectory(&Config{Keys: keys}, DirectoryOptions{})
		if err == nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", want, err)
		}
	}
	t.Setenv("KEYS_TEST_SECRET", marked)
	d := newTestDirectory(t, &Config{Keys: []*Key{{Name: "a", Secrets: []Secret{{Secret: "{env.KEYS_TEST_SECRET}"}}}}}, DirectoryOptions{})
	if _, err := d.Lookup(marked); err != nil {
		t.Error(err)
	}
}

// writeFile replaces a file at once.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func line(name string, secrets ...string) string {
	k := Key{Name: name}
	for _, s := range secrets {
		k.Secrets = append(k.Secrets, secretOf(s))
	}
	text, _ := json.Marshal(k)
	return string(text)
}

func TestAKeyFileIsFollowedAndABadOneChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	if _, err := NewDirectory(&Config{File: path}, DirectoryOptions{}); err == nil {
		t.Error("a file that is not there is no error at the start")
	}
	writeFile(t, path, line("a", "old")+"\n"+line("b", "other")+"\n")
	core, logs := observer.New(zap.InfoLevel)
	d := newTestDirectory(t, &Config{File: path, Keys: []*Key{{Name: "b", Secrets: []Secret{secretOf("config")}}}}, DirectoryOptions{Logger: zap.New(core)})
	is := func(secret, want string) {
		t.Helper()
		if err := d.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		name := ""
		if c, err := d.Lookup(secret); err == nil {
			name = c.Name
		}
		if name != want {
			t.Errorf("%s is %q, want %q", secret, name, want)
		}
	}
	is("old", "a")
	is("config", "b")
	is("other", "") // the configuration's key has the name
	writeFile(t, path, line("a", "old", "new"))
	is("new", "a")
	is("old", "a")
	for _, bad := range []string{"", "{", line("a") + "x", `{"name":"a","secret":"hunter2"}`} {
		writeFile(t, path, bad)
		is("new", "a")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	is("new", "a")
	n := logs.FilterMessageSnippet("cannot be used").Len()
	if is("new", "a"); n != 5 || logs.FilterMessageSnippet("cannot be used").Len() != n {
		t.Errorf("%d lines say that the file cannot be used", n)
	}
	writeFile(t, path, "["+line("a", "new")+"]")
	is("old", "")
	is("new", "a")
	writeFile(t, path, "[]")
	is("new", "")
}

func TestASecretInAFileIsReadAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	secret, keys := filepath.Join(folder, "secret"), filepath.Join(folder, "keys")
	writeFile(t, secret, "the first of the secrets\n")
	text := fmt.Sprintf(`{"name":"a","secrets":[{"secret":"{file.%s}"}]}`, secret)
	writeFile(t, keys, strings.Replace(text, `"a"`, `"b"`, 1))
	var fromConfig Key
	if err := json.Unmarshal([]byte(text), &fromConfig); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Config{"a": {Keys: []*Key{&fromConfig}}, "b": {File: keys}} {
		writeFile(t, secret, "the first of the secrets\n")
		d := newTestDirectory(t, c, DirectoryOptions{Poll: time.Millisecond})
		if c, err := d.Lookup("the first of the secrets"); err != nil || c.Name != name {
			t.Errorf("%v, %v", c, err)
		}
		d.Watch()
		writeFile(t, secret, "the second, also a secret")
		eventually(t, "the new secret is accepted, and the old one is not", func() bool {
			_, err := d.Lookup("the second, also a secret")
			_, old := d.Lookup("the first of the secrets")
			return err == nil && old == ErrRefused
		})
		writeFile(t, secret, "")
		_ = d.Load(t.Context())
		if _, err := d.Lookup("the second, also a secret"); err != nil {
			t.Error("a file that is empty ends the secret")
		}
		d.Close()
	}
}

func TestAKeyFilesErrorsNameTheLineAndNoSecret(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "it is empty", " \n ": "it is empty",
		line("a", "x") + "\n\n" + line("a", "x"):                              "line 3:",
		line("a", "x") + "\n{\"name\":\"b\",\"hunter2\":1}":                   "line 2 has an option hunter2",
		line("a", "x") + "\n{\"name\":\"b\",\"hunter2-hunter2\":1}":           "line 2 is no JSON",
		"[" + line("a", "x") + ",\n" + line("b", "x"):                         "does not end with ]",
		"[" + line("a", "x") + ",\n" + line("b", "x") + "]\n7":                "something follows",
		"\n\n{\"name\":\"a\",\n\"priority\":\"hunter2-hunter2\"}":             "line 3 has another type of value for priority than int",
		`{"name":"a","secrets":[{"secret":"hunter2-hunter2"}]}`:               "line 1:",
		`{"name":"a","secrets":[{"sha256":"hunter2-hunter2","ends":"soon"}]}`: "line 1 is no JSON",
		"hunter2-hunter2": "line 1 is no JSON",
		"null":            "line 1:",
		"[null]":          "line 1:",
		"[7]":             "line 1",
	} {
		_, err := ParseFile([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2-") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte(line("a", "x") + "\n" + line("b", "y", "z")))
	f.Add([]byte("[" + line("a", "x") + "," + line("b", "y") + "]"))
	f.Add([]byte(`{"name":"a","secrets":[{"secret":"{env.X}","ends":"2030-01-01T00:00:00Z"}],"limits":{"requests":{"n":1,"window":"1m"}}}`))
	f.Add([]byte(`[{"name":"a"`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := ParseFile(raw)
		if err != nil {
			// What is quoted is ours, save a short name of an option; no text of any length gets out.
			for _, word := range bytes.FieldsFunc(raw, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"{}[]:,", r) }) {
				if len(word) > 64 && strings.Contains(err.Error(), string(word)) {
					t.Fatalf("the error shows %q", word)
				}
			}
			return
		}
		for _, k := range keys {
			if err := k.Validate(); err != nil {
				t.Fatal(err)
			}
			newCaller(k, nil)
		}
		text, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			return
		}
		again, err := ParseFile(text)
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%d keys became %d: %v", len(keys), len(again), err)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	config := new(Config)
	var secrets []string
	for i := range 10_000 {
		s := NewSecret().Reveal()
		secrets = append(secrets, s)
		config.Keys = append(config.Keys, &Key{Name: fmt.Sprint("key-", i), Secrets: []Secret{secretOf(s)}})
	}
	d := newTestDirectory(b, config, DirectoryOptions{})
	b.Run("sha256", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			digestOf(secrets[i%len(secrets)])
		}
	})
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := d.Lookup(secrets[i%len(secrets)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	unknown := NewSecret().Reveal()
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Lookup(unknown); err == nil {
				b.Fatal("found")
			}
		}
	})
}
