package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// Match says which jobs are meant: those that are as its fields say. Zero fields match
// all; the zero Match is any job that is kept, of either kind and in whichever state.
type Match struct {
	ID     string
	Kind   overflow.Kind
	States []overflow.State // one of them
	Owner  string
	Model  string
	Lane   string
	Parent string
	Unique string
	Reason string
	// Where, unless nil, says whether a job is meant that is as the other fields say. The
	// job is as List returns it, without its contents.
	Where func(*overflow.Job) bool
}

// match reports whether a job is meant.
func (m *Match) match(job *overflow.Job) bool {
	for _, f := range m.fields() {
		if f.want != "" && f.want != f.of(job) {
			return false
		}
	}
	return (len(m.States) == 0 || slices.Contains(m.States, job.State)) && (m.Where == nil || m.Where(job))
}

type matchField struct {
	name, want string
	of         func(*overflow.Job) string
}

// fields are those of a match that a field of a job is equal to.
func (m *Match) fields() []matchField {
	return []matchField{
		{"ID", m.ID, func(job *overflow.Job) string { return job.ID }},
		{"kind", string(m.Kind), func(job *overflow.Job) string { return string(job.Kind) }},
		{"owner", m.Owner, func(job *overflow.Job) string { return job.Owner }},
		{"model", m.Model, func(job *overflow.Job) string { return job.Model }},
		{"lane", m.Lane, func(job *overflow.Job) string { return job.Lane }},
		{"parent", m.Parent, func(job *overflow.Job) string { return job.Parent }},
		{"unique", m.Unique, func(job *overflow.Job) string { return job.Unique }},
		{"reason", m.Reason, func(job *overflow.Job) string { return job.Reason }},
	}
}

// String says which jobs are meant, as the end of a sentence.
func (m *Match) String() string {
	var parts []string
	for _, f := range m.fields() {
		if f.want != "" {
			parts = append(parts, fmt.Sprintf("%s %q", f.name, f.want))
		}
	}
	if len(m.States) > 0 {
		parts = append(parts, fmt.Sprintf("state among %v", m.States))
	}
	if m.Where != nil {
		parts = append(parts, "Where true")
	}
	if len(parts) == 0 {
		return "at all"
	}
	return "with " + strings.Join(parts, ", ")
}

const (
	// queryTimeout bounds one question to a queue.
	queryTimeout = 10 * time.Second
	// pollEvery is the time between two looks into a queue.
	pollEvery = 5 * time.Millisecond
	// shownJobs is how many jobs a failure tells of.
	shownJobs = 50
)

// Jobs returns the jobs in a queue that match, the newest first, without their contents. It
// ends the test if the queue cannot be read.
func Jobs(t testing.TB, q overflow.Reader, m Match) []*overflow.Job {
	t.Helper()
	return slices.DeleteFunc(allJobs(t, q), func(job *overflow.Job) bool { return !m.match(job) })
}

func allJobs(t testing.TB, q overflow.Reader) []*overflow.Job {
	t.Helper()
	// Not the test's own context, which is over by the time its cleanups run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), queryTimeout)
	defer cancel()
	filter := overflow.Filter{Limit: 1000}
	var all []*overflow.Job
	for {
		page, err := q.List(ctx, filter)
		if err != nil {
			t.Fatalf("the queue cannot be read: %v", err)
		}
		all = append(all, page...)
		if len(page) < filter.Limit {
			return all
		}
		filter.Before = page[len(page)-1].ID
	}
}

// AssertEnqueued returns the newest job that matches, and ends the test if there is none.
func AssertEnqueued(t testing.TB, q overflow.Reader, m Match) *overflow.Job {
	t.Helper()
	return AssertEnqueuedWithin(t, q, m, 0)
}

// AssertEnqueuedWithin is [AssertEnqueued] that waits for up to limit until there is one.
func AssertEnqueuedWithin(t testing.TB, q overflow.Reader, m Match, limit time.Duration) *overflow.Job {
	t.Helper()
	found := lookFor(t, q, m, limit)
	if len(found) == 0 {
		within := ""
		if limit > 0 {
			within = fmt.Sprintf(" within %s", limit)
		}
		t.Fatalf("there was no job %s%s. %s", m.String(), within, inventory(allJobs(t, q)))
	}
	return found[0]
}

// RefuteEnqueued reports a failure of the test if there is a job that matches.
func RefuteEnqueued(t testing.TB, q overflow.Reader, m Match) {
	t.Helper()
	RefuteEnqueuedWithin(t, q, m, 0)
}

// RefuteEnqueuedWithin is [RefuteEnqueued] that goes on looking until limit is over.
func RefuteEnqueuedWithin(t testing.TB, q overflow.Reader, m Match, limit time.Duration) {
	t.Helper()
	if found := lookFor(t, q, m, limit); len(found) > 0 {
		t.Errorf("there was to be no job %s. %s", m.String(), inventory(found))
	}
}

// lookFor returns the jobs that match, as soon as there are any.
func lookFor(t testing.TB, q overflow.Reader, m Match, limit time.Duration) []*overflow.Job {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		found, left := Jobs(t, q, m), time.Until(end)
		if len(found) > 0 || left <= 0 {
			return found
		}
		time.Sleep(min(left, pollEvery))
	}
}

// inventory says what is there.
func inventory(jobs []*overflow.Job) string {
	switch n := len(jobs); {
	case n == 0:
		return "The queue is empty."
	case n > shownJobs:
		return fmt.Sprintf("There are %d, of which the newest %d are:%s", n, shownJobs, describeAll(jobs[:shownJobs]))
	default:
		return fmt.Sprintf("There are %d:%s", n, describeAll(jobs))
	}
}
