package boltqueue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// The variables that have this test's binary be another process with a queue: which
// of the children it is, and the path.
const (
	envChild = "BOLTQUEUE_CHILD"
	envPath  = "BOLTQUEUE_PATH"
)

// children are what another process can do with a queue. They write a line for each
// thing that was acknowledged, and go on until they are killed.
var children = map[string]func(q *Queue, say func(string)){
	"hold": func(_ *Queue, say func(string)) {
		say("open")
		select {}
	},
	"enqueue": func(q *Queue, say func(string)) {
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for {
					job, err := q.Enqueue(ctxChild, newJob(sized(3000)), 0)
					if err != nil {
						panic(err)
					}
					say(job.ID)
				}
			})
		}
		all.Wait()
	},
	// Runs jobs that are enqueued, and says which have ended.
	"run": func(q *Queue, say func(string)) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					job, err := runOne(q)
					if err != nil {
						panic(err)
					}
					ref := overflow.Ref{ID: job.ID, Lease: job.Lease}
					if err := q.Append(ctxChild, ref, 0, content(ref.ID, 100)); err != nil {
						panic(err)
					}
					_, err = q.Apply(ctxChild, ref, overflow.Change{
						To: overflow.Completed, Keep: time.Hour, Head: []byte("head"), Output: [][]byte{content(ref.ID, 5000)},
					})
					if err != nil {
						panic(err)
					}
					say(ref.ID)
				}
			})
		}
		all.Wait()
	},
}

// ctxChild is what children call queues with: they go on until they are killed.
var ctxChild = context.Background()

// runOne enqueues a job if none is there, and claims one.
func runOne(q *Queue) (*overflow.Job, error) {
	if stats, err := q.Stats(ctxChild); err != nil {
		return nil, err
	} else if stats.Jobs[overflow.Request][overflow.Available] == 0 {
		if _, err := q.Enqueue(ctxChild, newJob(sized(500)), 0); err != nil {
			return nil, err
		}
	}
	jobs, err := q.Claim(ctxChild, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Hour})
	if err != nil {
		return nil, err
	}
	return jobs[0], nil
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(envChild)]; child != nil {
		q, err := Open(os.Getenv(envPath), 256<<20, zap.NewNop())
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		var mu sync.Mutex
		child(q, func(line string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Println(line)
		})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts another process. It returns its lines, and how to kill it.
func start(t *testing.T, child, path string) (lines *bufio.Scanner, kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), envChild+"="+child, envPath+"="+path)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() { _ = c.Process.Kill() })
	t.Cleanup(func() {
		kill()
		_, _ = io.Copy(io.Discard, out)
		_ = c.Wait()
	})
	return bufio.NewScanner(out), kill
}

// Whatever a process that is killed has acknowledged is there.
func TestKilledWhileItEnqueues(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	acknowledged := make(map[string]bool)
	for round := range 3 {
		lines, kill := start(t, "enqueue", path)
		for n := 0; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n == 100+50*round {
				kill() // and read on: what it said before it died counts
			}
		}
	}
	q, err := Open(path, 256<<20, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if len(acknowledged) < 450 {
		t.Fatalf("only %d jobs were acknowledged", len(acknowledged))
	}
	for id := range acknowledged {
		if job := get(t, q, id); job.State != overflow.Available || string(job.Payload) != string(content(id, 3000)) {
			t.Errorf("%s is %s with a payload of %d bytes", id, job.State, len(job.Payload))
		}
	}
}

// What was running is available at once, with one more crash; what had ended has.
func TestKilledWhileItRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	lines, kill := start(t, "run", path)
	ended := make(map[string]bool)
	for lines.Scan() {
		if ended[lines.Text()] = true; len(ended) == 100 {
			kill()
		}
	}
	q, err := Open(path, 256<<20, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for id := range ended {
		job := get(t, q, id)
		chunks, err := q.Output(t.Context(), id, job.Run, 0)
		if job.State != overflow.Completed || string(job.Head) != "head" || job.OutputSize != 5100 || err != nil || len(chunks) != 2 ||
			string(chunks[0]) != string(content(id, 100)) || string(chunks[1]) != string(content(id, 5000)) {
			t.Errorf("%s had ended, and is %s with %d chunks (error %v)", id, job.State, len(chunks), err)
		}
	}
	stats, err := q.Stats(t.Context())
	if err != nil || stats.Jobs[overflow.Request][overflow.Executing] != 0 {
		t.Errorf("there are %v after the start (error %v)", stats.Jobs, err)
	}
	rescued := maintain(t, q).Rescued
	if len(rescued) > 8 {
		t.Errorf("%d jobs were rescued, but 8 ran at most", len(rescued))
	}
	for _, job := range rescued {
		if job.State != overflow.Available || job.Crashes != 1 || job.Attempt != 0 || job.Run != 1 || job.Lease != "" {
			t.Errorf("rescued %s: %s, %d crashes, attempt %d, run %d", job.ID, job.State, job.Crashes, job.Attempt, job.Run)
		}
	}
	if again := maintain(t, q).Rescued; len(again) > 0 {
		t.Errorf("%d jobs were rescued twice", len(again))
	}
}

func TestFileIsInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	lines, kill := start(t, "hold", path)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the other process says %q", lines.Text())
	}
	began := time.Now()
	_, err := Open(path, MinSize, zap.NewNop())
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opening what another process holds: %v", err)
	}
	if took := time.Since(began); took > lockTimeout+patience/2 {
		t.Errorf("that took %s", took)
	}
	kill()
	eventually(t, "it can be opened", func() bool {
		q, err := Open(path, MinSize, zap.NewNop())
		if err == nil {
			q.Close()
		}
		return err == nil
	})
}

func TestFilesThatAreNoQueues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is no queue.\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer")
	q := openAt(t, newer)
	err := q.do(t.Context(), 0, func(b *batch) error {
		b.put(b.meta, keySchema, []byte("2"))
		return nil
	})
	if err := errors.Join(err, q.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		text:                         "invalid database",
		newer:                        `its layout is version "2", and this build knows version 1 only`,
		dir:                          "is a directory",
		filepath.Join(text, "under"): "not a directory",
	} {
		_, err := Open(path, MinSize, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("opening %s: %v, want its path and %q", path, err, want)
		}
	}
}

func TestFileIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "some", "where")
	q := openAt(t, filepath.Join(dir, "queue.db"))
	for path, want := range map[string]os.FileMode{dir: 0o700, q.path: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}
