package queuetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// patience is how long a test waits for what ought to come soon. A machine that is
	// busy with other tests is slow, not wrong.
	patience = 10 * time.Second
	// long is a lease, or a time to keep something, that no test outlives.
	long = time.Hour
	// short is one that tests wait for.
	short = 40 * time.Millisecond
)

// rig is a queue under test, and what tests do with it.
type rig struct {
	*testing.T
	backend Backend
	queue   overflow.Queue
	ctx     context.Context
	born    time.Time    // of the first job
	jobs    atomic.Int64 // how many were made
}

func newRig(t *testing.T, b Backend) *rig {
	t.Helper()
	// The suite as a whole is bound by go test's timeout; this is for calls that hang.
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	t.Cleanup(cancel)
	return &rig{
		T: t, backend: b, queue: b.Open(t), ctx: ctx,
		born: time.Now().Add(-2 * time.Hour).Truncate(time.Millisecond),
	}
}

// second returns another process's handle of the queue, or skips the test.
func (r *rig) second() overflow.Queue {
	r.Helper()
	if r.backend.Second == nil {
		r.Skip("this queue is one process's")
	}
	return r.backend.Second(r.T, r.queue)
}

// handles returns one or two handles of the queue.
func (r *rig) handles() []overflow.Queue {
	r.Helper()
	if r.backend.Second == nil {
		return []overflow.Queue{r.queue}
	}
	return []overflow.Queue{r.queue, r.backend.Second(r.T, r.queue)}
}

// reopen has the process that holds the queue die, and another open it.
func (r *rig) reopen() {
	r.Helper()
	r.queue = r.backend.Reopen(r.T, r.queue)
}

// job returns a job a millisecond younger than the one before, with changes.
func (r *rig) job(changes ...func(*overflow.Job)) *overflow.Job {
	n := r.jobs.Add(1)
	at := r.born.Add(time.Duration(n) * time.Millisecond)
	job := &overflow.Job{
		ID: overflow.NewID(at), Kind: overflow.Request, Owner: "anna", Priority: 1, Model: "small", CreatedAt: at,
		MaxAttempts: 5, Fingerprint: fmt.Sprintf("print %d", n), Payload: fmt.Appendf(nil, "payload %d\x00\xff", n),
	}
	for _, change := range changes {
		change(job)
	}
	return job
}

// What a job may be made with.
func callback(job *overflow.Job)             { job.Kind = overflow.Callback }
func priority(n int) func(*overflow.Job)     { return func(job *overflow.Job) { job.Priority = n } }
func unique(name string) func(*overflow.Job) { return func(job *overflow.Job) { job.Unique = name } }
func due(d time.Duration) func(*overflow.Job) {
	return func(job *overflow.Job) { job.RunAt = time.Now().Add(d) }
}
func deadline(d time.Duration) func(*overflow.Job) {
	return func(job *overflow.Job) { job.Deadline = time.Now().Add(d) }
}

// enqueue stores a job that was not there.
func (r *rig) enqueue(changes ...func(*overflow.Job)) *overflow.Job {
	r.Helper()
	want := r.job(changes...)
	got, err := r.queue.Enqueue(r.ctx, want, 0)
	if err != nil {
		r.Fatalf("Enqueue: %v", err)
	}
	if got.ID != want.ID {
		r.Fatalf("Enqueue returned %s, not the job it was given", describe(got))
	}
	return got
}

// claim claims n jobs that are there, with long leases.
func (r *rig) claim(kind overflow.Kind, n int) []*overflow.Job {
	r.Helper()
	return r.claimFor(kind, n, long)
}

func (r *rig) claimFor(kind overflow.Kind, n int, lease time.Duration) []*overflow.Job {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	var jobs []*overflow.Job
	for len(jobs) < n {
		more, err := r.queue.Claim(ctx, overflow.Order{Kind: kind, Max: n - len(jobs), Lease: lease})
		if err != nil {
			r.Fatalf("Claim after %d of %d jobs: %v", len(jobs), n, err)
		}
		if len(more) == 0 || len(more) > n-len(jobs) {
			r.Fatalf("Claim returned %d jobs, of at most %d", len(more), n-len(jobs))
		}
		jobs = append(jobs, more...)
	}
	return jobs
}

// run enqueues a request and claims it. It must be the only one that is available.
func (r *rig) run(changes ...func(*overflow.Job)) *overflow.Job {
	r.Helper()
	return r.rerun(r.enqueue(changes...))
}

// rerun claims a job, which must be the only one of its kind that is available.
func (r *rig) rerun(job *overflow.Job) *overflow.Job {
	r.Helper()
	got := r.claim(job.Kind, 1)[0]
	if got.ID != job.ID {
		r.Fatalf("claimed %s, not %s", describe(got), describe(job))
	}
	return got
}

// none says that there is nothing to be claimed.
func (r *rig) none(kind overflow.Kind) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, short)
	defer cancel()
	jobs, err := r.queue.Claim(ctx, overflow.Order{Kind: kind, Max: 10, Lease: long})
	if len(jobs) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		r.Fatalf("Claim returned %s and error %v where there was nothing to claim", describeAll(jobs), err)
	}
}

func ref(job *overflow.Job) overflow.Ref { return overflow.Ref{ID: job.ID, Lease: job.Lease} }

// outside is a change of a job without its lease.
func outside(job *overflow.Job) overflow.Ref { return overflow.Ref{ID: job.ID} }

// apply makes a change that is allowed.
func (r *rig) apply(to overflow.Ref, change overflow.Change) *overflow.Job {
	r.Helper()
	job, err := r.queue.Apply(r.ctx, to, change)
	if err != nil {
		r.Fatalf("Apply to %s: %v", change.To, err)
	}
	want := change.To
	if to.Lease == "" && change.To == overflow.Cancelled && job.CancelAsked && job.State == overflow.Executing {
		want = overflow.Executing
	}
	if job.ID != to.ID || job.State != want {
		r.Fatalf("Apply to %s returned %s", change.To, describe(job))
	}
	return job
}

// refuse makes a change that fails with one of the errors, and changes nothing.
func (r *rig) refuse(to overflow.Ref, change overflow.Change, wants ...error) {
	r.Helper()
	before := r.get(to.ID)
	job, err := r.queue.Apply(r.ctx, to, change)
	if !isOneOf(err, wants) {
		r.Errorf("Apply to %s of %s returned error %v, want %v", change.To, describe(before), err, wants)
	}
	if err != nil && job != nil {
		r.Errorf("Apply to %s of %s returned a job with an error", change.To, describe(before))
	}
	if d := differences(r.get(to.ID), before); d != "" {
		r.Errorf("Apply to %s of %s changed, although it failed: %s", change.To, describe(before), d)
	}
}

func isOneOf(err error, wants []error) bool {
	for _, want := range wants {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func (r *rig) get(id string) *overflow.Job {
	r.Helper()
	job, err := r.queue.Get(r.ctx, id)
	if err != nil {
		r.Fatalf("Get: %v", err)
	}
	return job
}

// in says which state a job is in, and returns it.
func (r *rig) in(state overflow.State, job *overflow.Job) *overflow.Job {
	r.Helper()
	got := r.get(job.ID)
	if got.State != state {
		r.Fatalf("got %s, want it %s", describe(got), state)
	}
	return got
}

// gone says that there is no such job any more.
func (r *rig) gone(job *overflow.Job) {
	r.Helper()
	if got, err := r.queue.Get(r.ctx, job.ID); !errors.Is(err, overflow.ErrNotFound) {
		r.Errorf("Get returned %s and error %v, want ErrNotFound", describe(got), err)
	}
}

// holder says which job holds a unique, nil for none.
func (r *rig) holder(name string, want *overflow.Job) {
	r.Helper()
	got, err := r.queue.Find(r.ctx, name)
	switch {
	case want == nil && !errors.Is(err, overflow.ErrNotFound):
		r.Errorf("Find returned %s and error %v, want ErrNotFound", describe(got), err)
	case want != nil && (err != nil || got.ID != want.ID):
		r.Errorf("Find returned %s and error %v, want %s", describe(got), err, describe(want))
	}
}

// maintain has the queue do what is due until done says that this is all.
func (r *rig) maintain(done func(overflow.Upkeep) bool) overflow.Upkeep {
	r.Helper()
	var sum overflow.Upkeep
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		up, err := r.queue.Maintain(r.ctx)
		if err != nil {
			r.Fatalf("Maintain: %v", err)
		}
		sum.Rescued = append(sum.Rescued, up.Rescued...)
		sum.Overdue += up.Overdue
		sum.Removed += up.Removed
		sum.Repaired += up.Repaired
		if done(sum) {
			return sum
		}
		if time.Now().After(end) {
			r.Fatalf("Maintain rescued %s, made %d overdue jobs available and removed %d within %s: that is not all",
				describeAll(sum.Rescued), sum.Overdue, sum.Removed, patience)
		}
	}
}

// rescue has the queue rescue a job, and returns it.
func (r *rig) rescue(job *overflow.Job) *overflow.Job {
	r.Helper()
	up := r.maintain(func(up overflow.Upkeep) bool { return len(up.Rescued) > 0 })
	if len(up.Rescued) != 1 || up.Rescued[0].ID != job.ID {
		r.Fatalf("Maintain rescued %s, want %s", describeAll(up.Rescued), describe(job))
	}
	return up.Rescued[0]
}

// pass waits until a time is over.
func (r *rig) pass(until time.Time) {
	r.Helper()
	select {
	case <-time.After(time.Until(until) + 5*time.Millisecond):
	case <-r.ctx.Done():
		r.Fatal(r.ctx.Err())
	}
}

// soon says that a time is about now, which was some steps of a test ago.
func (r *rig) soon(what string, got, want time.Time) {
	r.Helper()
	if d := got.Sub(want); d < -time.Second || d > patience {
		r.Errorf("%s is %s, want about %s", what, got, want)
	}
}

// describe says in a few words what a job is, without its content.
func describe(job *overflow.Job) string {
	if job == nil {
		return "no job"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s, %s, priority %d, attempt %d of %d, run %d", job.ID, job.Kind, job.State, job.Priority,
		job.Attempt, job.MaxAttempts, job.Run)
	for _, field := range []struct{ name, value string }{
		{"owner", job.Owner}, {"model", job.Model}, {"lane", job.Lane}, {"parent", job.Parent}, {"reason", job.Reason},
	} {
		if field.value != "" {
			fmt.Fprintf(&b, ", %s %q", field.name, field.value)
		}
	}
	b.WriteByte(')')
	return b.String()
}

func describeAll(jobs []*overflow.Job) string {
	if len(jobs) == 0 {
		return "no jobs"
	}
	var b strings.Builder
	for _, job := range jobs {
		b.WriteString("\n\t")
		b.WriteString(describe(job))
	}
	return b.String()
}

// differences says how two jobs differ, but for fields that are named. Times may differ by
// what is lost when they are stored as milliseconds.
func differences(got, want *overflow.Job, but ...string) string {
	var b strings.Builder
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		if strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") || equal(g.Field(i).Interface(), w.Field(i).Interface()) {
			continue
		}
		fmt.Fprintf(&b, "\n\t%s is %v, want %v", name, g.Field(i), w.Field(i))
	}
	return b.String()
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case time.Time:
		return a.Sub(b.(time.Time)).Abs() <= time.Millisecond
	case []byte:
		return string(a) == string(b.([]byte))
	}
	return a == b
}
