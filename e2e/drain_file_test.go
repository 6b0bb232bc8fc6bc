//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDrainFullFile: a file that has reached its size takes no more jobs, and those in it can end.
func TestDrainFullFile(t *testing.T) {
	t.Parallel()
	b := backend{embedded.name, 1, func(testing.TB) string { return "queue embedded {\nmax_size 16MiB\n}" }}
	newStage(t, b, "workers 4\nlease 3s\nkeep_results 1m").full(t)
}

// TestDrainFullDisk: where the file cannot grow, requests are refused, and nothing is lost. Once
// there is room again, all goes on.
func TestDrainFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("This test bounds the size of a process's files with prlimit, of util-linux, and it is not installed.")
	}
	st := newStage(t, embedded, "workers 4\nlease 3s")
	g := newGate()
	st.l.plays(gated(g))
	st.place(8)
	eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
	limit := func(size string) {
		t.Helper()
		pid := fmt.Sprint(st.n.cmd.Process.Pid)
		if out, err := exec.Command("prlimit", "--pid", pid, "--fsize="+size+":unlimited").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	info, err := os.Stat(filepath.Join(st.n.dir, "data", "caddy", "runestone", "overflow.db"))
	if err != nil {
		t.Fatal(err)
	}
	limit(fmt.Sprint(info.Size() + 1<<20))
	refused := 0
	for tries := 0; refused < 10; tries++ {
		if tries == 1000 {
			t.Fatal("the disk does not get full")
		}
		x := st.order()
		x.body = drainBody(x.marker, false, 200<<10)
		a, err := st.o.post(t.Context(), x)
		switch {
		case err != nil:
			t.Fatal(err)
		case a.StatusCode == http.StatusAccepted:
			st.o.many(1, 1, func(int) *order { return x }) // which finds its job
		case a.StatusCode == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
			refused++
		default:
			t.Fatalf("a full disk: %d %s", a.StatusCode, a.Body)
		}
	}
	g.open() // what ends now may have to wait until that can be recorded
	eventually(t, patience, "the running jobs are not answered", func() bool { return len(st.l.came()) >= 4 && st.l.waiting() == 0 })
	limit("unlimited")
	st.place(4)
	if y := st.end(t); y.completed != y.acknowledged || y.again != 0 {
		t.Error("want all to be completed, each in one run")
	}
}

// TestDrainFileInUse: a second gateway that is given the same file says so and exits.
func TestDrainFileInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	b := backend{embedded.name, 1, func(testing.TB) string { return "queue embedded {\npath " + path + "\n}" }}
	st := newStage(t, b)
	second := newNode(t, "b", st.n.config, st.m)
	began := time.Now()
	second.begin()
	if code := second.awaitExit(patience); code == 0 {
		t.Error("it exits with 0")
	}
	second.alive = false
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v to exit", took)
	}
	if log := second.stderr.String(); !strings.Contains(log, "queue.db is in use by another process") {
		t.Errorf("it does not say why: %s", log)
	}
	st.place(3)
	st.end(t)
}
