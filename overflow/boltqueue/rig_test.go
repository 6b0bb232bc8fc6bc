package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// patience is how long a test waits for what ought to come soon.
const patience = 10 * time.Second

func TestConformance(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Backend{
		Open: func(t testing.TB) overflow.Queue { return openAt(t, filepath.Join(t.TempDir(), "queue.db")) },
		Reopen: func(t testing.TB, q overflow.Queue) overflow.Queue {
			q.Close()
			return openAt(t, q.(*Queue).path)
		},
	})
}

func openAt(t testing.TB, path string) *Queue {
	t.Helper()
	q, err := Open(path, MinSize, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// reopen closes the queue and opens its file again.
func reopen(t testing.TB, q *Queue) *Queue {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return openAt(t, q.path)
}

// openWith opens a queue on a new file with another clock, or something between it and bbolt.
func openWith(t testing.TB, clock clock, wrap func(updater) updater) *Queue {
	t.Helper()
	q, err := open(filepath.Join(t.TempDir(), "queue.db"), MinSize, zap.NewNop(), clock, wrap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func newJob(changes ...func(*overflow.Job)) *overflow.Job {
	now := time.Now()
	job := &overflow.Job{
		ID: overflow.NewID(now), Kind: overflow.Request, Owner: "anna", Priority: 1, Model: "small",
		CreatedAt: now, MaxAttempts: 5, Payload: []byte("hello"),
	}
	for _, change := range changes {
		change(job)
	}
	return job
}

// sized gives a job a payload that tells where it is from.
func sized(size int) func(*overflow.Job) {
	return func(job *overflow.Job) { job.Payload = content(job.ID, size) }
}

// content returns bytes that are different for each name.
func content(name string, size int) []byte {
	return bytes.Repeat([]byte(name+"\x00"), size/len(name)+1)[:size]
}

func enqueue(t testing.TB, q *Queue, changes ...func(*overflow.Job)) *overflow.Job {
	t.Helper()
	job, err := q.Enqueue(t.Context(), newJob(changes...), 0)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func claim(t testing.TB, q *Queue, n int, lease time.Duration) []*overflow.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var jobs []*overflow.Job
	for len(jobs) < n {
		more, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: n - len(jobs), Lease: lease})
		if err != nil {
			t.Fatalf("claiming after %d of %d: %v", len(jobs), n, err)
		}
		jobs = append(jobs, more...)
	}
	return jobs
}

func apply(t testing.TB, q *Queue, job *overflow.Job, change overflow.Change) *overflow.Job {
	t.Helper()
	after, err := q.Apply(t.Context(), overflow.Ref{ID: job.ID, Lease: job.Lease}, change)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

func get(t testing.TB, q *Queue, id string) *overflow.Job {
	t.Helper()
	job, err := q.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func maintain(t testing.TB, q *Queue) overflow.Upkeep {
	t.Helper()
	done, err := q.Maintain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// none says that there is nothing to claim.
func none(t testing.TB, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if jobs, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Claim returned %d jobs and error %v where there was nothing to claim", len(jobs), err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// handClock is a clock of which each hand is moved by the test.
type handClock struct{ wall, mono atomic.Int64 }

func newHandClock() *handClock {
	c := new(handClock)
	c.wall.Store(time.Now().UnixNano())
	return c
}

func (c *handClock) clock() clock {
	return func() (time.Time, time.Duration) {
		return time.Unix(0, c.wall.Load()), time.Duration(c.mono.Load())
	}
}

// pass lets time pass, as it does.
func (c *handClock) pass(d time.Duration) { c.wall.Add(int64(d)); c.mono.Add(int64(d)) }

// set sets the wall clock only.
func (c *handClock) set(by time.Duration) { c.wall.Add(int64(by)) }

func number(i int) string { return fmt.Sprintf("job_%032x", i) }
