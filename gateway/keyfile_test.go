package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestNewCredentialsRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + path + "}"
	}
	t.Setenv("RUNESTONE_KEY", "sk-sesame")
	t.Setenv("RUNESTONE_KEY_LINES", "sk-sesame\nsk-second")
	t.Setenv("RUNESTONE_KEY_BLANK", " \t")
	for name, test := range map[string]struct {
		key  string
		want []string
	}{
		"a variable that is not set":    {"{env.RUNESTONE_KEY_UNSET}", []string{"api_key {env.RUNESTONE_KEY_UNSET} is empty", "set the variable"}},
		"a variable that is blank":      {"{env.RUNESTONE_KEY_BLANK}", []string{"{env.RUNESTONE_KEY_BLANK} is empty"}},
		"a variable of two lines":       {"{env.RUNESTONE_KEY_LINES}", []string{"{env.RUNESTONE_KEY_LINES} has more than one line"}},
		"an unknown placeholder":        {"{evn.RUNESTONE_KEY}", []string{"{evn.RUNESTONE_KEY} is not a placeholder that is known"}},
		"one of two placeholders":       {"{env.RUNESTONE_KEY}{env.RUNESTONE_KEY_UNSET}", []string{"{env.RUNESTONE_KEY_UNSET} is empty"}},
		"a file that is not there":      {"{file." + dir + "/gone}", []string{dir + "/gone} cannot be read", "no such file"}},
		"a directory":                   {"{file." + dir + "}", []string{"cannot be read", "is a directory"}},
		"an empty file":                 {write("empty", "\n"), []string{"/empty} is empty"}},
		"a file of two lines":           {write("lines", "sk-sesame\nsk-second\n"), []string{"/lines} has more than one line"}},
		"a long file":                   {write("long", strings.Repeat("sk-sesame", 8000)), []string{"/long} cannot be read", "more than 65536 bytes"}},
		"two lines written in the open": {"sk-sesame\nsk-second", []string{"api_key 2 has more than one line"}},
		"a blank":                       {" ", []string{"api_key 2 is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := t.Name()
			_, err := newCredentials(id, []APIKey{{Key: "sk-sesame-first"}, {Key: test.key}}, zap.NewNop())
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q, want %q in it", err, part)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %q shows a secret", err)
			}
			wantUses(t, id, "sk-sesame-first", 0)
		})
	}
}

// Whatever is written around it, a secret is shown by no error and by no name.
func FuzzNewCredentials(f *testing.F) {
	f.Setenv("RUNESTONE_KEY", "sk-sesame")
	f.Add("", "")
	f.Add("{", "}")
	f.Add(`\{`, `\}{env.RUNESTONE_KEY}{`)
	f.Add("{file.", "\n")
	f.Add("\x00", strings.Repeat("{", 101))
	f.Fuzz(func(t *testing.T, before, after string) {
		c, err := newCredentials("fuzz", []APIKey{{Key: before + "{env.RUNESTONE_KEY}" + after}}, zap.NewNop())
		defer c.release()
		if err != nil {
			if strings.Contains(err.Error(), "sesame") && !strings.Contains(before+after, "sesame") {
				t.Errorf("error %q shows a secret", err)
			}
			return
		}
		k := c.keys[0].now.Load()
		if text := k.secret(); text == "" || text != strings.TrimSpace(text) || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("secret %q", text)
		}
		if strings.Contains(k.String(), "sesame") && !strings.Contains(before+after, "sesame") {
			t.Errorf("name %q shows the secret", k)
		}
	})
}

func TestKeysAreTrimmedAndNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, "sk-file\r\n")
	t.Setenv("RUNESTONE_KEY", "\tsk-env ")
	r := newKeyring(t,
		APIKey{Key: "{env.RUNESTONE_KEY}"}, APIKey{Key: " sk-open\n"}, APIKey{Key: "{file." + path + "}"},
		APIKey{Key: "id-{file." + path + "}:{env.RUNESTONE_KEY}"}, APIKey{Key: `sk\{env.RUNESTONE_KEY}`})
	for i, want := range [][2]string{
		{"sk-env", "{env.RUNESTONE_KEY}"}, {"sk-open", "key 2"}, {"sk-file", "{file." + path + "}"},
		{"id-sk-file:\tsk-env", "{file." + path + "}{env.RUNESTONE_KEY}"}, {"sk{env.RUNESTONE_KEY}", "key 5"},
	} {
		if k := r.keys[i].now.Load(); k.secret() != want[0] || k.String() != want[1] {
			t.Errorf("key %d is %q by name of %q, want %q", i+1, k.secret(), k, want)
		}
	}
}

// rewrite replaces a file by rename.
func rewrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func fileKey(path string) APIKey { return APIKey{Key: "{file." + path + "}"} }

func (r *keyring) wantTaken(t testing.TB, want string) *credential {
	t.Helper()
	k, _, ok := r.take("m")
	if !ok || k.secret() != want {
		t.Fatalf("take() = %q, %v; want %q", k.secret(), ok, want)
	}
	return k
}

func TestFileIsReadAgain(t *testing.T) {
	t.Parallel()
	modified := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	for name, change := range map[string]struct {
		begin, replace func(t *testing.T, dir string)
	}{
		"replaced by rename": {
			func(t *testing.T, dir string) { rewrite(t, dir+"/key", "old") },
			func(t *testing.T, dir string) { rewrite(t, dir+"/key", "new\n") },
		},
		"a symlink of Kubernetes'": {
			func(t *testing.T, dir string) {
				secretVersion(t, dir, "1", "old")
				symlink(t, "..data/key", dir+"/key")
			},
			func(t *testing.T, dir string) { secretVersion(t, dir, "2", "new") },
		},
		"rewritten in place, of one length and one time": {
			func(t *testing.T, dir string) { overwrite(t, dir+"/key", "old", modified) },
			func(t *testing.T, dir string) { overwrite(t, dir+"/key", "new", modified) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			change.begin(t, dir)
			r := newKeyring(t, fileKey(dir+"/key"))
			old := r.wantTaken(t, "old")
			r.pass(lookEvery - 1)
			change.replace(t, dir)
			r.wantTaken(t, "old")
			r.pass(1)
			r.wantTaken(t, "new")
			if old.secret() != "old" {
				t.Errorf("a call that is under way now has the secret %q", old.secret())
			}
			wantUses(t, t.Name(), "old", 0)
			wantUses(t, t.Name(), "new", 1)
		})
	}
}

func secretVersion(t *testing.T, dir, version, text string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(dir, version, "key"), text)
	symlink(t, version, dir+"/..data")
}

// symlink makes link point to target at a stroke.
func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path, text string, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func TestUselessFileKeepsTheKey(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, path string){
		"empty":        func(t *testing.T, path string) { rewrite(t, path, "") },
		"blank":        func(t *testing.T, path string) { rewrite(t, path, " \n") },
		"of two lines": func(t *testing.T, path string) { rewrite(t, path, "sk-new\nsk-second") },
		"too long":     func(t *testing.T, path string) { rewrite(t, path, strings.Repeat("x", maxKeyFile+1)) },
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"a pipe that nobody writes to": func(t *testing.T, path string) {
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = in.Close(), out.Close() })
			symlink(t, fmt.Sprintf("/dev/fd/%d", in.Fd()), path)
		},
		"a directory": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			rewrite(t, path, "sk-old")
			r := newKeyring(t, fileKey(path))
			spoil(t, path)
			for range 3 {
				r.wantTaken(t, "sk-old")
				r.pass(lookEvery)
			}
			if r.wantTaken(t, "sk-old").refused(401) {
				t.Error("refused() reports another secret")
			}
			if n := r.logs.FilterMessageSnippet("of no use").Len(); n != 1 {
				t.Errorf("logged %d times, want once", n)
			}
			_ = os.Remove(path)
			rewrite(t, path, "sk-new")
			r.pass(lookEvery)
			r.wantTaken(t, "sk-new")
			if r.status()[0].State != "ok" {
				t.Errorf("status() = %v, want a new key to be ok", r.status())
			}
			spoil(t, path)
			r.pass(lookEvery)
			r.wantTaken(t, "sk-new")
			if n := r.logs.FilterMessageSnippet("of no use").Len(); n != 2 {
				t.Errorf("the second time is not logged")
			}
		})
	}
}

// Whoever finds the file being read, by a hand that may never come back from a dead
// file system, goes on with what there is.
func TestNobodyWaitsForTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, "old")
	r := newKeyring(t, fileKey(path))
	r.keys[0].mu.Lock()
	rewrite(t, path, "new")
	r.wantTaken(t, "old")
	r.keys[0].mu.Unlock()
	r.wantTaken(t, "new")
}

func TestPipeIsReadOnce(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.WriteString("sk-piped"); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/fd/%d", in.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip("no file stands for a pipe here")
	}
	_ = out.Close()
	r := newKeyring(t, fileKey(path))
	for range 2 {
		r.wantTaken(t, "sk-piped")
		r.pass(lookEvery)
	}
	if r.logs.Len() > 0 {
		t.Errorf("logged: %v", r.logs.All())
	}
}
