package queuetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var claimTests = []aTest{
	{"Claim takes the best priority first, and the oldest of that", claimOrder},
	{"Claim takes a job in its place that has come back", claimOrderOfReturned},
	{"Claim takes no more than it is asked for", claimMax},
	{"Claim takes jobs of one kind", claimKind},
	{"Claim begins a run", claimBegins},
	{"Claim waits until there is a job", claimWaits},
	{"Claim takes scheduled jobs once it is time", claimScheduled},
	{"Claim takes scheduled jobs that were due long ago in their order", claimScheduledOrder},
	{"Claim takes no requests while the queue is paused", claimPaused},
	{"Claim ends with its context", claimContext},
	{"No two claimants get the same job", claimants},
}

func claimOrder(r *rig) {
	var want [overflow.Priorities][]string
	for i := range 20 {
		p := (i*7 + 3) % overflow.Priorities
		want[p] = append(want[p], r.enqueue(priority(p)).ID)
	}
	r.wantIDs(r.claim(overflow.Request, 20), append(append(append(want[0], want[1]...), want[2]...), want[3]...))
}

// wantIDs says which jobs these are, in this order.
func (r *rig) wantIDs(jobs []*overflow.Job, ids []string) {
	r.Helper()
	same := len(jobs) == len(ids)
	for i := 0; same && i < len(ids); i++ {
		same = jobs[i].ID == ids[i]
	}
	if !same {
		r.Errorf("got %s,\nwant %q", describeAll(jobs), ids)
	}
}

func claimOrderOfReturned(r *rig) {
	first, second, third := r.run(), r.run(), r.run()
	young := r.enqueue()
	urgent := r.enqueue(priority(0))
	r.apply(ref(third), overflow.Change{To: overflow.Available})
	r.apply(ref(second), overflow.Change{To: overflow.Waiting, Lane: "l"})
	if n, err := r.queue.Wake(r.ctx, overflow.Request, "l", 1); n != 1 || err != nil {
		r.Errorf("Wake returned %d and error %v", n, err)
	}
	r.apply(ref(first), overflow.Change{To: overflow.Cancelled, Keep: long})
	r.apply(outside(first), overflow.Change{To: overflow.Available})
	for _, want := range []*overflow.Job{urgent, first, second, third, young} {
		r.rerun(want)
	}
}

func claimMax(r *rig) {
	for range 5 {
		r.enqueue()
	}
	jobs, err := r.queue.Claim(r.ctx, overflow.Order{Kind: overflow.Request, Max: 2, Lease: long})
	if err != nil || len(jobs) < 1 || len(jobs) > 2 {
		r.Fatalf("got %d jobs and error %v, want one or two", len(jobs), err)
	}
	r.counts(map[overflow.State]int{overflow.Available: 5 - len(jobs), overflow.Executing: len(jobs)}, nil)
}

func claimKind(r *rig) {
	request := r.enqueue(priority(3))
	r.none(overflow.Callback)
	call := r.enqueue(callback, priority(0))
	r.rerun(request)
	r.none(overflow.Request)
	r.rerun(call)
	r.none(overflow.Callback)
}

func claimBegins(r *rig) {
	given := r.enqueue(unique("u"), deadline(long))
	leases := map[string]bool{}
	for run := 1; run <= 3; run++ {
		before := time.Now()
		got := r.rerun(given)
		if got.State != overflow.Executing || got.Attempt != run || got.Run != run || got.OutputSize != 0 {
			r.Errorf("claim %d gives %s, which has put out %d bytes", run, describe(got), got.OutputSize)
		}
		if got.Lease == "" || leases[got.Lease] {
			r.Errorf("claim %d gives lease %q, which is not new", run, got.Lease)
		}
		leases[got.Lease] = true
		r.soon("StartedAt", got.StartedAt, before)
		r.soon("LeaseUntil", got.LeaseUntil, before.Add(long))
		if d := differences(got, given, "State", "Attempt", "Run", "Lease", "StartedAt", "LeaseUntil", "Payload", "Error"); d != "" {
			r.Errorf("claim %d has changed the job: %s", run, d)
		}
		if string(got.Payload) != string(r.get(given.ID).Payload) || len(got.Payload) == 0 {
			r.Errorf("claim %d gives %d bytes of payload", run, len(got.Payload))
		}
		if d := differences(r.get(given.ID), got); d != "" {
			r.Errorf("Get returns another job than claim %d: %s", run, d)
		}
		r.put(got, 0, "chunk")
		r.apply(ref(got), overflow.Change{To: overflow.Available, Error: "again"})
	}
}

// claiming claims a job in a goroutine of its own, and has begun to. What it gets comes out
// of the channel.
func (r *rig) claiming(q overflow.Queue, kind overflow.Kind) <-chan *overflow.Job {
	r.Helper()
	got := make(chan *overflow.Job, 1)
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	done := make(chan struct{})
	r.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		defer close(got)
		jobs, err := q.Claim(ctx, overflow.Order{Kind: kind, Max: 1, Lease: long})
		if err != nil {
			r.Errorf("Claim: %v", err)
			return
		}
		got <- jobs[0]
	}()
	select {
	case job := <-got:
		r.Errorf("Claim returned %s instead of waiting", describe(job))
	case <-time.After(short / 2): // by now it waits, most likely
	}
	return got
}

func claimWaits(r *rig) {
	change := func(from overflow.Change, then func(*overflow.Job)) func() func() *overflow.Job {
		return func() func() *overflow.Job {
			job := r.run()
			r.apply(ref(job), from)
			return func() *overflow.Job { then(job); return job }
		}
	}
	release := func(job *overflow.Job) { r.apply(outside(job), overflow.Change{To: overflow.Available}) }
	upkeep := func(*overflow.Job) { r.maintain(func(up overflow.Upkeep) bool { return up.Overdue == 1 }) }
	past := time.Now().Add(-time.Minute)
	for name, prepare := range map[string]func() func() *overflow.Job{
		"Enqueue":                func() func() *overflow.Job { return func() *overflow.Job { return r.enqueue() } },
		"its time":               func() func() *overflow.Job { return func() *overflow.Job { return r.enqueue(due(short)) } },
		"an operator, scheduled": change(overflow.Change{To: overflow.Scheduled, After: long}, release),
		"an operator, waiting":   change(overflow.Change{To: overflow.Waiting, Lane: "l"}, release),
		"an operator, cancelled": change(overflow.Change{To: overflow.Cancelled, Keep: long}, release),
		"its deadline, scheduled": change(
			overflow.Change{To: overflow.Scheduled, After: long, Deadline: past}, upkeep),
		"its deadline, waiting": change(overflow.Change{To: overflow.Waiting, Lane: "l", Deadline: past}, upkeep),
		"Wake": change(overflow.Change{To: overflow.Waiting, Lane: "w"}, func(*overflow.Job) {
			if _, err := r.queue.Wake(r.ctx, overflow.Request, "w", 1); err != nil {
				r.Error(err)
			}
		}),
		"a release": func() func() *overflow.Job {
			job := r.run()
			return func() *overflow.Job { return r.apply(ref(job), overflow.Change{To: overflow.Available}) }
		},
		"a job that follows": func() func() *overflow.Job {
			job, next := r.run(), r.job()
			return func() *overflow.Job {
				r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long, Follow: next})
				return next
			}
		},
		"a rescue": func() func() *overflow.Job {
			r.enqueue()
			job := r.claimFor(overflow.Request, 1, short)[0]
			return func() *overflow.Job { return r.rescue(job) }
		},
	} {
		for _, q := range r.handles() {
			then := prepare()
			got := r.claiming(q, overflow.Request)
			want, began := then(), time.Now()
			if job := <-got; job == nil || job.ID != want.ID {
				r.Errorf("%s: Claim returned %s, want %s", name, describe(job), describe(want))
			} else if took := time.Since(began); took > patience/2 {
				r.Errorf("%s: Claim returned only after %s", name, took)
			}
		}
	}
}

func claimScheduled(r *rig) {
	job := r.enqueue(due(5 * short))
	got := r.rerun(job)
	if early := job.RunAt.Sub(got.StartedAt); early > time.Millisecond {
		r.Errorf("it was claimed %s before its time", early)
	}
	before := time.Now()
	r.apply(ref(got), overflow.Change{To: overflow.Scheduled, After: 3 * short})
	if got = r.rerun(job); time.Since(before) < 3*short-time.Millisecond {
		r.Errorf("it was claimed %s after it was put off for %s", time.Since(before), 3*short)
	}
	// What was due is forgotten once the job is due at another time.
	r.apply(ref(got), overflow.Change{To: overflow.Scheduled, After: short})
	r.apply(outside(job), overflow.Change{To: overflow.Available})
	got = r.rerun(job)
	got = r.apply(ref(got), overflow.Change{To: overflow.Scheduled, After: long})
	r.soon("RunAt", got.RunAt, time.Now().Add(long))
	r.pass(time.Now().Add(short))
	r.none(overflow.Request)
	r.in(overflow.Scheduled, job)
}

func claimScheduledOrder(r *rig) {
	runAt := time.Now().Add(short)
	var ids []string
	for i := range 4 {
		ids = append(ids, r.enqueue(func(job *overflow.Job) { job.RunAt = runAt.Add(-time.Duration(i) * time.Millisecond) }).ID)
	}
	urgent := r.enqueue(priority(0), func(job *overflow.Job) { job.RunAt = runAt }).ID
	r.pass(runAt)
	r.wantIDs(r.claim(overflow.Request, 5), append([]string{urgent}, ids...))
}

func claimPaused(r *rig) {
	pause := func(paused bool) {
		r.Helper()
		if err := r.queue.Pause(r.ctx, paused); err != nil {
			r.Fatal(err)
		}
		if stats := r.stats(); stats.Paused != paused {
			r.Errorf("Stats says that Paused is %t, want %t", stats.Paused, paused)
		}
	}
	for _, q := range r.handles() {
		pause(true)
		pause(true)
		job, call := r.enqueue(), r.enqueue(callback)
		r.none(overflow.Request)
		r.rerun(call)
		got := r.claiming(q, overflow.Request)
		pause(false)
		if claimed := <-got; claimed == nil || claimed.ID != job.ID {
			r.Errorf("Claim returned %s after the pause", describe(claimed))
		}
		waiting := r.claiming(q, overflow.Request)
		pause(true)
		job = r.enqueue()
		select {
		case claimed := <-waiting:
			r.Errorf("Claim returned %s during the pause", describe(claimed))
		case <-time.After(short):
		}
		pause(false)
		if claimed := <-waiting; claimed == nil || claimed.ID != job.ID {
			r.Errorf("Claim returned %s after the second pause", describe(claimed))
		}
	}
}

func claimContext(r *rig) {
	ctx, cancel := context.WithCancel(r.ctx)
	failed := make(chan error, 1)
	go func() {
		_, err := r.queue.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: long})
		failed <- err
	}()
	r.pass(time.Now().Add(short / 2)) // by now it waits, most likely
	cancel()
	select {
	case err := <-failed:
		if !errors.Is(err, context.Canceled) {
			r.Errorf("Claim returned error %v, want the context's", err)
		}
	case <-time.After(patience):
		r.Fatal("Claim does not end with its context")
	}
	job := r.enqueue()
	r.rerun(job) // nobody has it
}

func closeEnds(r *rig) {
	job := r.run()
	failed := make(chan error, 4)
	for i := range cap(failed) {
		go func() {
			_, err := r.queue.Claim(r.ctx, overflow.Order{Kind: overflow.Kinds[i%2], Max: 1, Lease: long})
			failed <- err
		}()
	}
	r.pass(time.Now().Add(short / 2)) // by now they wait, most likely
	if err := r.queue.Close(); err != nil {
		r.Errorf("Close: %v", err)
	}
	for range cap(failed) {
		select {
		case err := <-failed:
			if !errors.Is(err, overflow.ErrClosed) {
				r.Errorf("a Claim that waited returned error %v, want ErrClosed", err)
			}
		case <-time.After(patience):
			r.Fatal("Close does not end Claim")
		}
	}
	for name, err := range r.callAll(job) {
		if !errors.Is(err, overflow.ErrClosed) {
			r.Errorf("%s returned error %v after Close, want ErrClosed", name, err)
		}
	}
	_, stop := r.queue.Watch(job.ID, true)
	stop()
}

func claimants(r *rig) {
	handles := r.handles()
	const jobs, claimants = 120, 8
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	var mu sync.Mutex
	taken := make(map[string]int)
	var all sync.WaitGroup
	for i := range claimants {
		all.Go(func() {
			for {
				got, err := handles[i%len(handles)].Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1 + i%3, Lease: long})
				if err != nil {
					if ctx.Err() == nil {
						r.Errorf("Claim: %v", err)
					}
					return
				}
				mu.Lock()
				for _, job := range got {
					taken[job.ID]++
				}
				if len(taken) == jobs {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for i := range jobs {
		r.enqueue(priority(i % overflow.Priorities))
	}
	all.Wait()
	for id, n := range taken {
		if n != 1 {
			r.Errorf("%s was claimed %d times", id, n)
		}
	}
	r.counts(map[overflow.State]int{overflow.Executing: jobs}, nil)
}
