package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/runestone-gateway/runestone/overflow"
)

// gate stands between a queue and bbolt. It can hold back transactions, and fail them.
type gate struct {
	mu      sync.Mutex // held while transactions are to wait
	waiting atomic.Int64
	commits atomic.Int64
	broken  atomic.Pointer[error] // what every commit is to fail with
	late    atomic.Pointer[error] // the same, but only after it is done
}

func (g *gate) wrap(update updater) updater {
	return func(f func(*bbolt.Tx) error) error {
		g.waiting.Add(1)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting.Add(-1)
		err := update(func(tx *bbolt.Tx) error {
			if err := f(tx); err != nil {
				return err
			}
			if broken := g.broken.Load(); broken != nil {
				return *broken
			}
			return nil
		})
		if err == nil {
			g.commits.Add(1)
			if late := g.late.Load(); late != nil {
				return *late
			}
		}
		return err
	}
}

// hold keeps the writer busy until it is called again, or the test ends.
func (g *gate) hold(t *testing.T, q *Queue) (release func()) {
	t.Helper()
	g.mu.Lock()
	release = sync.OnceFunc(g.mu.Unlock)
	t.Cleanup(release)
	go func() { _ = q.Pause(context.Background(), false) }()
	eventually(t, "the writer is busy", func() bool { return g.waiting.Load() > 0 })
	return release
}

// together calls functions, of which each does one operation, so that all are committed in one batch.
func together(t *testing.T, g *gate, q *Queue, calls ...func()) {
	t.Helper()
	release := g.hold(t, q)
	var all sync.WaitGroup
	for _, call := range calls {
		all.Go(call)
	}
	eventually(t, "all wait", func() bool { return len(q.ops) >= len(calls) })
	release()
	all.Wait()
}

func TestOperationsShareACommit(t *testing.T) {
	t.Parallel()
	g := new(gate)
	q := openWith(t, newClock(), g.wrap)
	before := g.commits.Load()
	var calls []func()
	for range 100 {
		calls = append(calls, func() {
			if _, err := q.Enqueue(context.Background(), newJob(), 0); err != nil {
				t.Error(err)
			}
		})
	}
	together(t, g, q, calls...)
	if n := g.commits.Load() - before; n > 10 {
		t.Errorf("100 jobs that were enqueued at once took %d commits", n)
	}
}

// Whoever asks for what is not allowed, or for what bbolt refuses, is told so; the
// others of the batch do not notice.
func TestFailuresOfABatchAreIsolated(t *testing.T) {
	t.Parallel()
	g := new(gate)
	q := openWith(t, newClock(), g.wrap)
	there := enqueue(t, q)
	var calls []func()
	var ids sync.Map
	for i := range 60 {
		calls = append(calls, func() {
			switch {
			case i%20 == 7: // bbolt itself fails
				err := q.do(context.Background(), 0, func(b *batch) error {
					b.put(b.meta, nil, nil)
					return nil
				})
				wantErr(t, "an empty key", err, overflow.ErrUnavailable)
			case i%20 == 8: // and so it does when it panics
				err := q.do(context.Background(), 0, func(*batch) error { panic("page 7 already freed") })
				wantErr(t, "a panic", err, overflow.ErrUnavailable)
			case i%20 == 9:
				_, err := q.Apply(context.Background(), overflow.Ref{ID: there.ID}, overflow.Change{To: overflow.Completed})
				wantErr(t, "a change that is not allowed", err, overflow.ErrState)
			default:
				job, err := q.Enqueue(context.Background(), newJob(), 0)
				if err != nil {
					t.Errorf("enqueuing beside failures: %v", err)
					return
				}
				ids.Store(job.ID, true)
			}
		})
	}
	together(t, g, q, calls...)
	q = reopen(t, q)
	n := 0
	ids.Range(func(id, _ any) bool {
		n++
		get(t, q, id.(string))
		return true
	})
	if stats, err := q.Stats(t.Context()); err != nil || stats.Jobs[overflow.Request][overflow.Available] != n+1 || n != 51 {
		t.Errorf("%d jobs were enqueued beside failures and one before, but there are %v (error %v)", n, stats.Jobs, err)
	}
}

// One that could not be written down would fail the batch that it is in.
func TestJobsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	for name, change := range map[string]func(*overflow.Job){
		"no ID":                    func(job *overflow.Job) { job.ID = "" },
		"a long ID":                func(job *overflow.Job) { job.ID = strings.Repeat("a", maxID+1) },
		"an unknown kind":          func(job *overflow.Job) { job.Kind = "dream" },
		"an unknown priority":      func(job *overflow.Job) { job.Priority = overflow.Priorities },
		"a time beyond year 9999":  func(job *overflow.Job) { job.CreatedAt = time.Unix(1<<40, 0) },
		"an end beyond year 9999":  func(job *overflow.Job) { job.Deadline = time.Unix(1<<40, 0) },
		"a start before the first": func(job *overflow.Job) { job.RunAt = time.Unix(-1<<40, 0) },
	} {
		if kept, err := q.Enqueue(t.Context(), newJob(change), 0); err == nil {
			t.Errorf("%s: %+v is kept", name, kept)
		}
	}
	enqueue(t, q)
}

// A disk that cannot be written to costs nothing that was acknowledged, and once it
// can again all goes on.
func TestDiskFailsForAWhile(t *testing.T) {
	t.Parallel()
	hands, g := newHandClock(), new(gate)
	q := openWith(t, hands.clock(), g.wrap)
	hands.pass(time.Second)
	enqueue(t, q)
	running := claim(t, q, 1, time.Hour)[0]
	broken := errors.New("no space left on device")
	g.broken.Store(&broken)

	_, err := q.Enqueue(t.Context(), newJob(), 0)
	wantErr(t, "Enqueue", err, overflow.ErrUnavailable)
	wantErr(t, "Enqueue", err, broken)
	_, err = q.Apply(t.Context(), overflow.Ref{ID: running.ID, Lease: running.Lease}, overflow.Change{To: overflow.Completed})
	wantErr(t, "Apply", err, overflow.ErrUnavailable)
	if got := get(t, q, running.ID); got.State != overflow.Executing {
		t.Errorf("the job is %s after a change that failed", got.State)
	}

	_, err = q.Enqueue(t.Context(), newJob(), 0)
	wantErr(t, "Enqueue soon after", err, overflow.ErrUnavailable)
	if errors.Is(err, broken) {
		t.Error("a new job was tried to store right after that had failed")
	}

	g.broken.Store(nil)
	apply(t, q, running, overflow.Change{To: overflow.Completed, Keep: time.Hour}) // what runs is not held back
	hands.pass(breather)
	enqueue(t, q)
}

// If the very last sync of a commit fails, bbolt reports an error although the file shows
// what was written. What is kept in memory must agree with the file then.
func TestCommitThatFailsButIsThere(t *testing.T) {
	t.Parallel()
	g := new(gate)
	q := openWith(t, newClock(), g.wrap)
	broken := errors.New("input/output error")
	g.late.Store(&broken)
	job := newJob()
	_, err := q.Enqueue(t.Context(), job, 0)
	wantErr(t, "Enqueue", err, overflow.ErrUnavailable)
	g.late.Store(nil)
	if got := claim(t, q, 1, time.Hour)[0]; got.ID != job.ID {
		t.Errorf("claimed %s, want %s", got.ID, job.ID)
	}
}

// Whoever gives up waiting for the writer has changed nothing.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	g := new(gate)
	q := openWith(t, newClock(), g.wrap)
	release := g.hold(t, q)
	ctx, cancel := context.WithCancel(t.Context())
	given := newJob()
	ended := make(chan error)
	go func() {
		_, err := q.Enqueue(ctx, given, 0)
		ended <- err
	}()
	eventually(t, "it waits", func() bool { return len(q.ops) == 1 })
	cancel()
	wantErr(t, "Enqueue", <-ended, context.Canceled)
	release()
	enqueue(t, q) // after which the other one would have been stored
	_, err := q.Get(t.Context(), given.ID)
	wantErr(t, "Get", err, overflow.ErrNotFound)
}

// A call of Claim that ends while the writer serves it does not take jobs away.
func TestClaimEndsWhileItIsServed(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	const jobs = 200
	for range jobs {
		enqueue(t, q)
	}
	got := make(map[string]bool)
	for end := time.Now().Add(patience); len(got) < jobs; {
		if time.Now().After(end) {
			t.Fatalf("only %d of %d jobs were claimed: the others were lost to calls that ended", len(got), jobs)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(len(got)%7+1)*100*time.Microsecond)
		claimed, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Hour})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		for _, job := range claimed {
			if got[job.ID] {
				t.Fatalf("%s was claimed twice", job.ID)
			}
			got[job.ID] = true
		}
	}
}

// The writer sleeps when there is nothing to do.
func TestIdleQueueDoesNothing(t *testing.T) {
	t.Parallel()
	var looked atomic.Int64
	c := newClock()
	q := openWith(t, func() (time.Time, time.Duration) { looked.Add(1); return c() }, nil)
	for _, runAt := range []time.Duration{0, time.Hour} {
		enqueue(t, q, func(job *overflow.Job) { job.RunAt = time.Now().Add(runAt) })
	}
	claim(t, q, 1, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	before := looked.Load()
	if _, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if n := looked.Load() - before; n > 5 {
		t.Errorf("the writer looked at the clock %d times while there was nothing to do", n)
	}
}

func TestClaimedAtOnce(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	var claimants sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[string]int)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 8 {
		claimants.Go(func() {
			for {
				jobs, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 3, Lease: time.Hour})
				if err != nil {
					return
				}
				mu.Lock()
				for _, job := range jobs {
					if seen[job.ID]++; string(job.Payload) != job.ID {
						t.Errorf("%s came with the payload of %s", job.ID, job.Payload)
					}
				}
				mu.Unlock()
			}
		})
	}
	const jobs = 300
	for i := range jobs {
		enqueue(t, q, func(job *overflow.Job) { job.ID = number(i); job.Payload = []byte(job.ID) })
	}
	eventually(t, "all are claimed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == jobs
	})
	cancel()
	claimants.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Error(fmt.Sprint(id, " was claimed ", n, " times"))
		}
	}
}
