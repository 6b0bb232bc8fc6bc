package queuetest

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var enqueueTests = []aTest{
	{"Enqueue keeps all that it is given", enqueueKeepsAll},
	{"Enqueue fills in when a job is created", enqueueFillsInCreatedAt},
	{"Enqueuing twice is safe", enqueueTwice},
	{"Enqueuing twice is safe when the job has gone on meanwhile", enqueueTwiceLater},
	{"Enqueue schedules a job whose time lies ahead", enqueueScheduled},
	{"Enqueue returns the job that holds its unique", enqueueUnique},
	{"A unique is held until a job is discarded or cancelled", uniqueIsFreed},
	{"A unique of a completed job is held until that is removed", uniqueOfCompleted},
	{"Of those that race for a unique one gets it", uniqueRace},
	{"Enqueue refuses what is too much", enqueueFull},
	{"Of those that race for the last places as many get one as there are", enqueueFullRace},
	{"What is enqueued and returned is the caller's own", jobsAreOwn},
	{"Contents may be long, empty and anything", contents},
}

func enqueueKeepsAll(r *rig) {
	want := r.job(func(job *overflow.Job) {
		job.Owner, job.Priority, job.Model = "bérta:*{}/\n", 3, "vendor/model:tag *"
		job.Deadline = time.Now().Add(time.Hour)
		job.MaxAttempts, job.Unique, job.Fingerprint, job.Parent = 7, "üni:que\x00{*}", "fp:*", "job_parent"
	})
	got, err := r.queue.Enqueue(r.ctx, want, 0)
	if err != nil {
		r.Fatal(err)
	}
	want.State = overflow.Available
	if d := differences(got, want, "Payload"); d != "" {
		r.Errorf("Enqueue returned another job: %s", d)
	}
	if d := differences(r.get(want.ID), want); d != "" {
		r.Errorf("Get returned another job: %s", d)
	}
	r.holder(want.Unique, want)
}

func enqueueFillsInCreatedAt(r *rig) {
	before := time.Now()
	job := r.enqueue(func(job *overflow.Job) { job.CreatedAt = time.Time{} })
	r.soon("CreatedAt", job.CreatedAt, before)
	if got := r.get(job.ID).CreatedAt; !equal(got, job.CreatedAt) {
		r.Errorf("Get says that it was created %s, Enqueue %s", got, job.CreatedAt)
	}
	past := r.job()
	got, err := r.queue.Enqueue(r.ctx, past, 0)
	if err != nil || !equal(got.CreatedAt, past.CreatedAt) {
		r.Errorf("CreatedAt is %v (error %v), want it left at %s", got, err, past.CreatedAt)
	}
}

func enqueueTwice(r *rig) {
	first := r.enqueue(unique("u"))
	want := r.get(first.ID)
	again := r.job(callback, priority(3), due(long), unique("v"))
	again.ID, again.Payload = first.ID, []byte("other")
	got, err := r.queue.Enqueue(r.ctx, again, 1)
	if err != nil {
		r.Fatal(err)
	}
	if d := differences(got, want, "Payload"); d != "" {
		r.Errorf("Enqueue returned another job: %s", d)
	}
	if d := differences(r.get(first.ID), want); d != "" {
		r.Errorf("enqueuing again has changed the job: %s", d)
	}
	r.holder("v", nil)
	r.counts(map[overflow.State]int{overflow.Available: 1}, nil)
}

func enqueueTwiceLater(r *rig) {
	given := r.job()
	for _, step := range []func(*overflow.Job) *overflow.Job{
		func(job *overflow.Job) *overflow.Job { return job },
		r.rerun,
		func(job *overflow.Job) *overflow.Job {
			return r.apply(ref(r.get(job.ID)), overflow.Change{To: overflow.Waiting, Lane: "l"})
		},
		func(job *overflow.Job) *overflow.Job {
			return r.apply(outside(job), overflow.Change{To: overflow.Discarded, Keep: long})
		},
		func(job *overflow.Job) *overflow.Job {
			r.apply(outside(job), overflow.Change{To: overflow.Available})
			return r.apply(ref(r.rerun(job)), overflow.Change{To: overflow.Completed, Keep: long})
		},
	} {
		job, err := r.queue.Enqueue(r.ctx, given, 0)
		if err != nil {
			r.Fatal(err)
		}
		want := step(job).State
		again := *given
		got, err := r.queue.Enqueue(r.ctx, &again, 0)
		if err != nil || got.State != want {
			r.Fatalf("enqueued again it is %s (error %v), want it %s", describe(got), err, want)
		}
		r.in(want, given)
	}
}

func enqueueScheduled(r *rig) {
	ahead := r.enqueue(due(long))
	if ahead.State != overflow.Scheduled || ahead.RunAt.IsZero() {
		r.Errorf("got %s, want it scheduled", describe(ahead))
	}
	r.in(overflow.Scheduled, ahead)
	r.none(overflow.Request)
	past := r.enqueue(due(-long))
	r.in(overflow.Available, past)
	r.rerun(past)
}

func enqueueUnique(r *rig) {
	first := r.enqueue(unique("u"))
	refused := r.job(unique("u"), callback)
	got, err := r.queue.Enqueue(r.ctx, refused, 0)
	if err != nil || got.ID != first.ID || got.Fingerprint != first.Fingerprint {
		r.Errorf("Enqueue returned %s and error %v, want the holder", describe(got), err)
	}
	r.gone(refused)
	// The holder is found even if there is no room for another.
	if got, err := r.queue.Enqueue(r.ctx, r.job(unique("u")), 1); err != nil || got.ID != first.ID {
		r.Errorf("Enqueue into a full queue returned %s and error %v, want the holder", describe(got), err)
	}
	r.enqueue(unique("u2"))
	r.enqueue()
	r.enqueue() // "" is nobody's
	r.counts(map[overflow.State]int{overflow.Available: 4}, nil)
	r.holder("", nil)
	r.holder("never", nil)
}

func uniqueIsFreed(r *rig) {
	for _, to := range []overflow.State{overflow.Discarded, overflow.Cancelled} {
		job := r.run(unique("u"))
		r.holder("u", job)
		job = r.apply(ref(job), overflow.Change{To: overflow.Scheduled, After: long})
		r.holder("u", job)
		r.apply(outside(job), overflow.Change{To: to, Keep: long})
		r.holder("u", nil)
	}
	job := r.run(unique("u"))
	r.apply(ref(job), overflow.Change{To: overflow.Cancelled, Keep: long})
	r.holder("u", nil)
	r.holder("u", r.enqueue(unique("u")))
}

func uniqueOfCompleted(r *rig) {
	job := r.run(unique("u"))
	r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: short})
	r.holder("u", job)
	if got, err := r.queue.Enqueue(r.ctx, r.job(unique("u")), 0); err != nil || got.ID != job.ID {
		r.Errorf("Enqueue returned %s and error %v, want the completed job", describe(got), err)
	}
	r.maintain(func(up overflow.Upkeep) bool { return up.Removed == 1 })
	r.holder("u", nil)
	r.holder("u", r.enqueue(unique("u")))
}

func uniqueRace(r *rig) {
	handles := r.handles()
	const n = 16
	var all sync.WaitGroup
	ids := make([]string, n)
	for i := range n {
		job := r.job(unique("u"))
		all.Go(func() {
			got, err := handles[i%len(handles)].Enqueue(r.ctx, job, 0)
			if err != nil {
				r.Error(err)
				return
			}
			ids[i] = got.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			r.Errorf("different jobs were returned: %v", ids)
			break
		}
	}
	r.counts(map[overflow.State]int{overflow.Available: 1}, nil)
}

func enqueueFull(r *rig) {
	full := func(limit int) {
		r.Helper()
		job := r.job(unique("refused"))
		if got, err := r.queue.Enqueue(r.ctx, job, limit); !errors.Is(err, overflow.ErrFull) {
			r.Errorf("Enqueue returned %s and error %v, want ErrFull", describe(got), err)
		}
		r.gone(job)
		r.holder("refused", nil)
	}
	running := r.run()
	r.enqueue(due(long))
	r.enqueue(callback) // is no request
	full(1)
	full(2)
	third := r.job()
	if _, err := r.queue.Enqueue(r.ctx, third, 3); err != nil {
		r.Fatalf("the third of three was refused: %v", err)
	}
	full(3)
	if _, err := r.queue.Enqueue(r.ctx, third, 3); err != nil {
		r.Errorf("enqueuing again failed in a full queue: %v", err)
	}
	// Running jobs go on, and bring others, whatever the limit.
	r.apply(ref(running), overflow.Change{To: overflow.Waiting, Lane: "l", Follow: r.job(callback)})
	full(3)
	r.apply(outside(running), overflow.Change{To: overflow.Cancelled, Keep: long})
	if _, err := r.queue.Enqueue(r.ctx, r.job(), 3); err != nil {
		r.Errorf("one was refused although one had ended: %v", err)
	}
	full(3)
}

func enqueueFullRace(r *rig) {
	handles := r.handles()
	const n, limit = 24, 10
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		job := r.job()
		all.Go(func() { _, errs[i] = handles[i%len(handles)].Enqueue(r.ctx, job, limit) })
	}
	all.Wait()
	stored := 0
	for _, err := range errs {
		switch {
		case err == nil:
			stored++
		case !errors.Is(err, overflow.ErrFull):
			r.Error(err)
		}
	}
	if stored != limit {
		r.Errorf("%d jobs were stored, want %d", stored, limit)
	}
	r.counts(map[overflow.State]int{overflow.Available: limit}, nil)
}

func jobsAreOwn(r *rig) {
	given := r.job()
	payload := string(given.Payload)
	scribble := func(job *overflow.Job) {
		clear(job.Payload)
		job.Owner, job.State, job.Priority = "mallory", overflow.Completed, 0
	}
	if _, err := r.queue.Enqueue(r.ctx, given, 0); err != nil {
		r.Fatal(err)
	}
	scribble(given)
	scribble(r.get(given.ID))
	claimed := r.rerun(given)
	scribble(claimed)
	scribble(r.apply(ref(claimed), overflow.Change{To: overflow.Waiting, Lane: "l"}))
	if got := r.in(overflow.Waiting, given); string(got.Payload) != payload || got.Owner != "anna" || got.Priority != 1 {
		r.Errorf("changing a job that was returned has changed the queue's: %s", describe(got))
	}
}

func contents(r *rig) {
	for _, payload := range []string{"", "\x00", strings.Repeat("p\xff", 1<<20)} {
		job := r.run(func(job *overflow.Job) { job.Payload = []byte(payload) })
		if string(job.Payload) != payload {
			r.Fatalf("a payload of %d bytes came back as one of %d, or another", len(payload), len(job.Payload))
		}
		head := payload + "head"
		r.apply(ref(job), overflow.Change{To: overflow.Completed, Head: []byte(head), Keep: long})
		if got := r.get(job.ID); string(got.Payload) != payload || string(got.Head) != head {
			r.Errorf("of %d and %d bytes %d and %d came back, or others", len(payload), len(head), len(got.Payload), len(got.Head))
		}
	}
}
