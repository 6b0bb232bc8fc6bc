package boltqueue

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"embedded":        `{}`,
		"embedded {\n\t}": `{}`,
		"embedded {\n\tpath /var/lib/queue.db\n\tmax_size 2GiB\n\t}":    `{"path":"/var/lib/queue.db","max_size":2147483648}`,
		"embedded {\n\tmax_size 500MB\n\tpath {env.DATA}/queue.db\n\t}": `{"path":"{env.DATA}/queue.db","max_size":500000000}`,
		"embedded /var/lib/queue.db":                                    "unexpected argument '/var/lib/queue.db' of the embedded queue; put its options in a block, at Testfile:1",
		"embedded {\n\tpath\n\t}":                                       "path has 0 values; give exactly one, at Testfile:2",
		"embedded {\n\tpath \"\"\n\t}":                                  "path has an empty value; write one such as /var/lib/runestone/overflow.db, at Testfile:2",
		"embedded {\n\tpath a b\n\t}":                                   "path has 2 values; give exactly one, at Testfile:2",
		"embedded {\n\tsize 1GiB\n\t}":                                  "unrecognized option 'size' of the embedded queue; use one of max_size, path, at Testfile:2",
		"embedded {\n\tpath a\n\tpath b\n\t}":                           "path is set twice; remove one of the two, at Testfile:3",
		"embedded {\n\tmax_size much\n\t}":                              "max_size is 'much'; write a size in one word such as 512MiB or 4GiB, at Testfile:2",
		"embedded {\n\tmax_size 0\n\t}":                                 "max_size is '0'; write a size in one word such as 512MiB or 4GiB, at Testfile:2",
		"embedded {\n\tmax_size 12EiB\n\t}":                             "max_size is '12EiB'; write a size in one word such as 512MiB or 4GiB, at Testfile:2",
		"embedded {\n\tpath a {\n\t\tb\n\t}\n\t}":                       "unrecognized option '{' of the embedded queue; use one of max_size, path, at Testfile:2",
	} {
		e := new(Embedded)
		got := ""
		if err := e.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			got = err.Error()
		} else if raw, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		} else {
			got = string(raw)
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int64]bool{0: true, MinSize: true, 1 << 35: true, MaxSize: true, -1: false, 1: false, MinSize - 1: false, MaxSize + 1: false} {
		err := (&Embedded{MaxSize: size}).Validate()
		if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "max_size") {
			t.Errorf("max_size %d: error %v", size, err)
		}
	}
}

func provision(t *testing.T, e *Embedded) *Embedded {
	t.Helper()
	if err := e.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return e
}

// However a path is written, and whether anything of it is there yet, it has one key.
func TestKey(t *testing.T) {
	t.Setenv("QUEUE_DIR", t.TempDir())
	dir, err := filepath.EvalSymlinks(os.Getenv("QUEUE_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for link, to := range map[string]string{"link": ".", "file.db": "deep/queue.db"} {
		if err := os.Symlink(to, link); err != nil {
			t.Skip("symlinks cannot be made here:", err)
		}
	}
	want := provision(t, &Embedded{Path: filepath.Join(dir, "deep", "queue.db")}).Key()
	if !strings.Contains(want, filepath.Join(dir, "deep", "queue.db")) {
		t.Errorf("the key is %s", want)
	}
	paths := []string{"deep/queue.db", "./deep/../deep//queue.db", "link/deep/queue.db", "link/link/deep/queue.db", "file.db", "{env.QUEUE_DIR}/deep/queue.db"}
	check := func() {
		t.Helper()
		for _, path := range paths {
			if got := provision(t, &Embedded{Path: path, MaxSize: MinSize}).Key(); got != want {
				t.Errorf("%s has key %s, want %s", path, got, want)
			}
		}
	}
	check()
	if _, err := os.Stat("deep"); err == nil {
		t.Error("Provision created the directory")
	}
	q, err := provision(t, &Embedded{Path: "file.db"}).Open(zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	check()
	if other := provision(t, &Embedded{Path: "other.db"}).Key(); other == want {
		t.Error("another file has the same key")
	}
}

func TestDefaults(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	e := provision(t, new(Embedded))
	if want := filepath.Join(caddy.AppDataDir(), "runestone", "overflow.db"); !strings.HasSuffix(e.Key(), want) {
		t.Errorf("the key is %s, want it to name %s", e.Key(), want)
	}
	if e.Exists() {
		t.Error("it exists before it was opened")
	}
	var opener overflow.Opener = e
	q, err := opener.Open(zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if stats, err := q.Stats(t.Context()); err != nil || stats.MaxBytes != DefaultMaxSize {
		t.Errorf("MaxBytes is %d (error %v)", stats.MaxBytes, err)
	}
	if !e.Exists() {
		t.Error("it does not exist once it was opened")
	}
}

func TestPathWithAnUnknownPlaceholder(t *testing.T) {
	t.Parallel()
	err := (&Embedded{Path: "/var/{nothing}/queue.db"}).Provision(caddy.Context{})
	if err == nil || !strings.Contains(err.Error(), "path: ") {
		t.Errorf("error %v", err)
	}
}

func TestModule(t *testing.T) {
	t.Parallel()
	info, err := caddy.GetModule("runestone.queues.embedded")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := info.New().(overflow.Opener); !ok {
		t.Error("it opens no queue")
	}
}
