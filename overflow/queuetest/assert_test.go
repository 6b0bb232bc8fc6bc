package queuetest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// witness is a test that fails without consequences.
type witness struct {
	testing.TB
	said string
}

func (w *witness) Helper() {}

func (w *witness) Errorf(format string, args ...any) { w.said += fmt.Sprintf(format, args...) }

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	panic(w)
}

// says returns what a test says that fails.
func says(t *testing.T, test func(t testing.TB)) (said string) {
	w := &witness{TB: t}
	defer func() {
		if v := recover(); v != nil && v != w {
			panic(v)
		}
		said = w.said
	}()
	test(w)
	return ""
}

func stock(t *testing.T) (overflow.Queue, []*overflow.Job) {
	q := NewQueue()
	t.Cleanup(func() { q.Close() })
	r := &rig{T: t, queue: q, ctx: t.Context(), born: time.Now()}
	jobs := []*overflow.Job{
		r.enqueue(unique("u")),
		r.enqueue(callback, func(job *overflow.Job) { job.Parent, job.Model = "job_1", "hooks.example.com" }),
		r.enqueue(due(long), func(job *overflow.Job) { job.Owner = "bert" }),
	}
	waiting := r.rerun(jobs[0])
	r.apply(ref(waiting), overflow.Change{To: overflow.Waiting, Lane: "small"})
	return q, jobs
}

func TestJobsAreMatched(t *testing.T) {
	t.Parallel()
	q, jobs := stock(t)
	for name, test := range map[string]struct {
		match Match
		want  []int // the newest first
	}{
		"all":       {Match{}, []int{2, 1, 0}},
		"by ID":     {Match{ID: jobs[1].ID}, []int{1}},
		"by kind":   {Match{Kind: overflow.Request}, []int{2, 0}},
		"by states": {Match{States: []overflow.State{overflow.Waiting, overflow.Available}}, []int{1, 0}},
		"by owner":  {Match{Owner: "anna"}, []int{1, 0}},
		"by model":  {Match{Model: "hooks.example.com"}, []int{1}},
		"by lane":   {Match{Lane: "small"}, []int{0}},
		"by parent": {Match{Parent: "job_1"}, []int{1}},
		"by unique": {Match{Unique: "u"}, []int{0}},
		"by reason": {Match{Reason: overflow.ReasonExpired}, nil},
		"by more":   {Match{Owner: "anna", Kind: overflow.Request}, []int{0}},
		"by what a function says": {
			Match{Owner: "anna", Where: func(job *overflow.Job) bool { return job.Attempt == 0 }}, []int{1},
		},
	} {
		got := Jobs(t, q, test.match)
		same := len(got) == len(test.want)
		for i := 0; same && i < len(got); i++ {
			same = got[i].ID == jobs[test.want[i]].ID && got[i].Payload == nil
		}
		if !same {
			t.Errorf("%s: got %s, want %v", name, describeAll(got), test.want)
		}
		if len(test.want) > 0 {
			if job := AssertEnqueued(t, q, test.match); job.ID != got[0].ID {
				t.Errorf("%s: AssertEnqueued returned %s", name, describe(job))
			}
			if said := says(t, func(t testing.TB) { RefuteEnqueued(t, q, test.match) }); !strings.Contains(said, got[0].ID) {
				t.Errorf("%s: RefuteEnqueued says %q", name, said)
			}
			continue
		}
		RefuteEnqueued(t, q, test.match)
		if said := says(t, func(t testing.TB) { AssertEnqueued(t, q, test.match) }); said == "" {
			t.Errorf("%s: AssertEnqueued says nothing", name)
		}
	}
}

func TestFailuresSayWhatIsThere(t *testing.T) {
	t.Parallel()
	q, jobs := stock(t)
	said := says(t, func(t testing.TB) {
		AssertEnqueued(t, q, Match{Owner: "carl", Where: func(*overflow.Job) bool { return true }})
	})
	for _, want := range []string{
		`no job with owner "carl", Where true.`, "There are 3:", jobs[0].ID, jobs[1].ID, jobs[2].ID, "waiting", `lane "small"`, `parent "job_1"`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q does not say %q", said, want)
		}
	}
	if strings.Contains(said, "payload") {
		t.Errorf("%q tells a content", said)
	}
	said = says(t, func(t testing.TB) { AssertEnqueued(t, NewQueue(), Match{}) })
	if want := "there was no job at all. The queue is empty."; said != want {
		t.Errorf("got %q, want %q", said, want)
	}
	for range 60 {
		if _, err := q.Enqueue(t.Context(), &overflow.Job{ID: overflow.NewID(time.Now())}, 0); err != nil {
			t.Fatal(err)
		}
	}
	said = says(t, func(t testing.TB) { RefuteEnqueued(t, q, Match{}) })
	if !strings.Contains(said, "There are 63, of which the newest 50 are:") || strings.Count(said, "\n") != 50 {
		t.Errorf("got %q", said)
	}
	q.Close()
	if said := says(t, func(t testing.TB) { Jobs(t, q, Match{}) }); !strings.Contains(said, overflow.ErrClosed.Error()) {
		t.Errorf("of a closed queue it says %q", said)
	}
}

func TestManyJobsAreListedInPages(t *testing.T) {
	t.Parallel()
	q := NewQueue()
	for range 2000 {
		if _, err := q.Enqueue(t.Context(), &overflow.Job{ID: overflow.NewID(time.Now())}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(Jobs(t, q, Match{})); n != 2000 {
		t.Errorf("got %d jobs, want 2000", n)
	}
}

func TestDeadlinesAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue()
		t.Cleanup(func() { q.Close() })
		began := time.Now()
		RefuteEnqueuedWithin(t, q, Match{}, time.Minute)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("RefuteEnqueuedWithin took %s, want a minute", took)
		}
		said := says(t, func(t testing.TB) { AssertEnqueuedWithin(t, q, Match{}, time.Minute) })
		if took := time.Since(began); took != 2*time.Minute || !strings.Contains(said, "no job at all within 1m0s") {
			t.Errorf("AssertEnqueuedWithin says %q after %s", said, took-time.Minute)
		}
		timer := time.AfterFunc(30*time.Second, func() {
			if _, err := q.Enqueue(t.Context(), &overflow.Job{ID: overflow.NewID(time.Now())}, 0); err != nil {
				t.Error(err)
			}
		})
		defer timer.Stop()
		AssertEnqueuedWithin(t, q, Match{}, time.Minute)
		if took := time.Since(began) - 2*time.Minute; took < 30*time.Second || took > 31*time.Second {
			t.Errorf("AssertEnqueuedWithin took %s, want little more than 30s", took)
		}
	})
}

// Claim waits by the clock of a bubble.
func TestTheReferenceLivesInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue()
		at := time.Now().Add(24 * time.Hour)
		if _, err := q.Enqueue(t.Context(), &overflow.Job{ID: overflow.NewID(at), Kind: overflow.Request, RunAt: at}, 0); err != nil {
			t.Fatal(err)
		}
		jobs, err := q.Claim(t.Context(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
		if err != nil || len(jobs) != 1 || !time.Now().Equal(at) {
			t.Errorf("got %d jobs and error %v at %s, want one at %s", len(jobs), err, time.Now(), at)
		}
		time.Sleep(time.Minute)
		if up, err := q.Maintain(t.Context()); err != nil || len(up.Rescued) != 1 {
			t.Errorf("Maintain rescued %d jobs (error %v), want one", len(up.Rescued), err)
		}
	})
}
