package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// a bound on any call: patience, and some for a busy machine.
const bound = patience + 5*time.Second

func enqueue(t *testing.T, q *queue, changes ...func(*overflow.Job)) *overflow.Job {
	t.Helper()
	job := request(1)
	for _, change := range changes {
		change(job)
	}
	got, err := q.Enqueue(t.Context(), job, 0)
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return got
}

// claim claims exactly n jobs.
func claim(t *testing.T, q *queue, n int, lease time.Duration) []*overflow.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var jobs []*overflow.Job
	for len(jobs) < n {
		some, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: n - len(jobs), Lease: lease})
		if err != nil {
			t.Fatalf("Claim: %v", err)
		}
		jobs = append(jobs, some...)
	}
	return jobs
}

// nothing says that there is nothing to claim.
func nothing(t *testing.T, q *queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	jobs, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 10, Lease: time.Minute})
	if len(jobs) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Claim returned %d jobs and error %v", len(jobs), err)
	}
}

func ref(job *overflow.Job) overflow.Ref { return overflow.Ref{ID: job.ID, Lease: job.Lease} }

func complete(t *testing.T, q *queue, job *overflow.Job) {
	t.Helper()
	got, err := q.Apply(t.Context(), ref(job), overflow.Change{To: overflow.Completed, Keep: time.Hour})
	if err != nil || got.State != overflow.Completed {
		t.Fatalf("Apply: %v, %v", got, err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

// calls are all methods that ask the server, but Claim.
func calls(q *queue) map[string]func(context.Context) error {
	job := request(1)
	job.Kind = overflow.Callback // which the tests leave alone otherwise
	return map[string]func(context.Context) error{
		"Enqueue": func(ctx context.Context) error { _, err := q.Enqueue(ctx, job, 1); return err },
		"Heartbeat": func(ctx context.Context) error {
			_, err := q.Heartbeat(ctx, []overflow.Ref{ref(job)}, time.Minute)
			return err
		},
		"Append": func(ctx context.Context) error { return q.Append(ctx, ref(job), 0, []byte("x")) },
		"Apply": func(ctx context.Context) error {
			_, err := q.Apply(ctx, ref(job), overflow.Change{To: overflow.Available})
			return err
		},
		"Wake":     func(ctx context.Context) error { _, err := q.Wake(ctx, overflow.Request, "a", 1); return err },
		"Maintain": func(ctx context.Context) error { _, err := q.Maintain(ctx); return err },
		"Get":      func(ctx context.Context) error { _, err := q.Get(ctx, job.ID); return err },
		"Find":     func(ctx context.Context) error { _, err := q.Find(ctx, "u"); return err },
		"Ahead": func(ctx context.Context) error {
			_, err := q.Ahead(ctx, &overflow.Job{ID: job.ID, State: overflow.Available})
			return err
		},
		"Output": func(ctx context.Context) error { _, err := q.Output(ctx, job.ID, 1, 0); return err },
		"List":   func(ctx context.Context) error { _, err := q.List(ctx, overflow.Filter{Limit: 1}); return err },
		"Stats":  func(ctx context.Context) error { _, err := q.Stats(ctx); return err },
		"Pause":  func(ctx context.Context) error { return q.Pause(ctx, false) },
		"Turn":   func(ctx context.Context) error { _, err := q.Turn(ctx, "t", time.Minute); return err },
	}
}

// unavailable says that every method fails with ErrUnavailable, all at the same time and soon.
func unavailable(t *testing.T, q *queue) {
	t.Helper()
	all := calls(q)
	all["Claim"] = func(ctx context.Context) error {
		_, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
		return err
	}
	failures := make(chan error, len(all))
	for name, call := range all {
		go func() {
			begun := time.Now()
			err := call(context.Background())
			switch took := time.Since(begun); {
			case !errors.Is(err, overflow.ErrUnavailable):
				err = fmt.Errorf("%s returned error %v, want ErrUnavailable", name, err)
			case took > bound:
				err = fmt.Errorf("%s took %v", name, took)
			default:
				err = nil
			}
			failures <- err
		}()
	}
	for range all {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
}
