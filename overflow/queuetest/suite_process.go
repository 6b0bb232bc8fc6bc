package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var processTests = []aTest{
	{"A call whose context is over fails with that, if it fails", contextOver},
	{"Close ends every call", closeEnds},
	{"A job that was claimed is still claimed after Close", closeKeepsClaimed},
	{"All is kept when the process dies", keptOverDeath},
	{"What ran when the process died is rescued", rescuedOverDeath},
	{"What is due comes due after the process died", dueOverDeath},
	{"What one process does, another sees", seenByAnother},
	{"A task's turn comes once in each period", turnOnce},
	{"A task's turn comes again", turnAgain},
}

func contextOver(r *rig) {
	job := r.run(unique("u"))
	r.enqueue()
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	alive := r.ctx
	r.ctx = ctx
	for name, err := range r.callAll(job) {
		if err != nil && !errors.Is(err, context.Canceled) {
			r.Errorf("%s returned error %v, want the context's", name, err)
		}
	}
	r.ctx = alive
	if err := r.queue.Pause(r.ctx, false); err != nil {
		r.Error(err)
	}
	r.enqueue()
	r.claim(overflow.Request, 1)
}

// callAll calls everything that can fail.
func (r *rig) callAll(job *overflow.Job) map[string]error {
	errs := make(map[string]error)
	_, errs["Enqueue"] = r.queue.Enqueue(r.ctx, r.job(), 0)
	_, errs["Claim"] = r.queue.Claim(r.ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: long})
	_, errs["Heartbeat"] = r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(job)}, long)
	errs["Append"] = r.queue.Append(r.ctx, ref(job), 0, []byte("chunk"))
	_, errs["Apply"] = r.queue.Apply(r.ctx, ref(job), overflow.Change{To: overflow.Completed})
	_, errs["Wake"] = r.queue.Wake(r.ctx, overflow.Request, "l", 1)
	_, errs["Maintain"] = r.queue.Maintain(r.ctx)
	_, errs["Get"] = r.queue.Get(r.ctx, job.ID)
	_, errs["Find"] = r.queue.Find(r.ctx, "u")
	_, errs["Ahead"] = r.queue.Ahead(r.ctx, job)
	_, errs["Output"] = r.queue.Output(r.ctx, job.ID, job.Run, 0)
	_, errs["List"] = r.queue.List(r.ctx, overflow.Filter{Limit: 1})
	_, errs["Stats"] = r.queue.Stats(r.ctx)
	errs["Pause"] = r.queue.Pause(r.ctx, true)
	_, errs["Turn"] = r.queue.Turn(r.ctx, "task", long)
	return errs
}

func closeKeepsClaimed(r *rig) {
	other := r.second()
	job := r.run()
	if err := r.queue.Close(); err != nil {
		r.Fatal(err)
	}
	r.queue = other
	r.in(overflow.Executing, job)
	r.none(overflow.Request)
	r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long}) // the lease is the job's, not the handle's
}

func keptOverDeath(r *rig) {
	jobs := make(map[string]*overflow.Job)
	for _, kind := range overflow.Kinds {
		for _, to := range overflow.States {
			if to == overflow.Executing || to == overflow.Available {
				continue
			}
			job := r.rerun(r.enqueue(deadline(long), unique(fmt.Sprint(kind, to)), func(job *overflow.Job) { job.Kind = kind }))
			r.put(job, 0, "output")
			job = r.apply(ref(job), overflow.Change{
				To: to, Lane: "lane", After: long, Keep: long, Error: "error", Reason: overflow.ReasonRefused, Head: []byte("head"),
			})
			jobs[job.ID] = r.get(job.ID)
		}
		job := r.enqueue(unique(fmt.Sprint(kind, overflow.Available)), func(job *overflow.Job) { job.Kind = kind })
		jobs[job.ID] = r.get(job.ID)
	}
	if err := r.queue.Pause(r.ctx, true); err != nil {
		r.Fatal(err)
	}
	listed := r.list(overflow.Filter{Limit: 1000})
	stats := r.stats()
	for range 2 {
		r.reopen()
		r.sameStats(r.stats(), stats)
		for id, want := range jobs {
			if d := differences(r.get(id), want); d != "" {
				r.Errorf("%s is another job: %s", describe(want), d)
			}
			if want.Run == 1 {
				r.outputs(want, 1, 0, "output")
			}
			if want.State == overflow.Discarded || want.State == overflow.Cancelled {
				r.holder(want.Unique, nil)
			} else {
				r.holder(want.Unique, want)
			}
		}
		var ids []string
		for _, job := range listed {
			ids = append(ids, job.ID)
		}
		r.wantIDs(r.list(overflow.Filter{Limit: 1000}), ids)
		if up, err := r.queue.Maintain(r.ctx); err != nil || len(up.Rescued) > 0 || up.Overdue > 0 || up.Removed > 0 || up.Repaired > 0 {
			r.Errorf("Maintain did %+v (error %v), want nothing", up, err)
		}
		r.none(overflow.Request) // it is still paused
	}
	if err := r.queue.Pause(r.ctx, false); err != nil {
		r.Fatal(err)
	}
	r.claim(overflow.Request, 1)
	if n, err := r.queue.Wake(r.ctx, overflow.Request, "lane", 10); n != 1 || err != nil {
		r.Errorf("Wake returned %d and error %v", n, err)
	}
	r.claim(overflow.Request, 1)
}

func rescuedOverDeath(r *rig) {
	job := r.enqueue(unique("u"))
	ran := r.claimFor(overflow.Request, 1, 5*short)[0]
	if err := r.queue.Append(r.ctx, ref(ran), 0, []byte("output")); err != nil && time.Now().Before(ran.LeaseUntil) {
		r.Error(err)
	}
	r.reopen()
	r.holder("u", job)
	got := r.rescue(job)
	if got.State != overflow.Available || got.Crashes != 1 || got.Attempt != 0 {
		r.Errorf("Maintain reported %s with %d crashes", describe(got), got.Crashes)
	}
	r.loses(ran)
	again := r.rerun(job)
	if again.Run != 2 || again.Attempt != 1 || again.Crashes != 1 || again.Lease == ran.Lease {
		r.Errorf("claimed %s with %d crashes", describe(again), again.Crashes)
	}
	r.outputs(again, 2, 0)
	if up, err := r.queue.Maintain(r.ctx); err != nil || len(up.Rescued) > 0 {
		r.Errorf("Maintain rescued %s (error %v) a second time", describeAll(up.Rescued), err)
	}
	r.put(again, 0, "output")
	r.apply(ref(again), overflow.Change{To: overflow.Completed, Keep: long})
}

func dueOverDeath(r *rig) {
	done := r.run(unique("u"))
	r.put(done, 0, "output")
	r.apply(ref(done), overflow.Change{To: overflow.Completed, Keep: 2 * short})
	late := r.run(deadline(2 * short))
	r.apply(ref(late), overflow.Change{To: overflow.Waiting, Lane: "l"})
	due := r.enqueue(callback, due(4*short))
	r.reopen()
	r.rerun(due)
	r.maintain(func(up overflow.Upkeep) bool { return up.Removed == 1 && up.Overdue == 1 })
	r.rerun(late)
	r.gone(done)
	r.holder("u", nil)
}

func seenByAnother(r *rig) {
	first, second := r.queue, r.second()
	turn := 0
	other := func() { // whoever has not just done something goes on
		turn++
		r.queue = []overflow.Queue{first, second}[turn%2]
	}
	job := r.enqueue(unique("u"))
	other()
	r.holder("u", job)
	ran := r.rerun(job)
	other()
	r.in(overflow.Executing, job)
	r.put(ran, 0, "zero")
	other()
	r.put(ran, 1, "one")
	r.outputs(ran, 1, 0, "zero", "one")
	r.apply(outside(ran), overflow.Change{To: overflow.Cancelled})
	other()
	if pulses, err := r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(ran)}, long); err != nil || pulses[0] != overflow.CancelAsked {
		r.Errorf("Heartbeat returned %v and error %v, want CancelAsked", pulses, err)
	}
	r.apply(ref(ran), overflow.Change{To: overflow.Waiting, Lane: "l"})
	other()
	r.lanes(overflow.Lane{Kind: overflow.Request, Name: "l", Waiting: 1})
	if n, err := r.queue.Wake(r.ctx, overflow.Request, "l", 1); n != 1 || err != nil {
		r.Errorf("Wake returned %d and error %v", n, err)
	}
	other()
	if err := r.queue.Pause(r.ctx, true); err != nil {
		r.Fatal(err)
	}
	other()
	r.none(overflow.Request)
	if err := r.queue.Pause(r.ctx, false); err != nil {
		r.Fatal(err)
	}
	other()
	ran = r.rerun(job)
	other()
	r.apply(ref(ran), overflow.Change{To: overflow.Completed, Keep: short, Head: []byte("head")})
	other()
	r.counts(map[overflow.State]int{overflow.Completed: 1}, nil)
	r.maintain(func(up overflow.Upkeep) bool { return up.Removed == 1 })
	other()
	r.gone(job)
	r.counts(nil, nil)
}

// turns asks for a turn.
func (r *rig) turn(q overflow.Queue, task string, every time.Duration) bool {
	r.Helper()
	got, err := q.Turn(r.ctx, task, every)
	if err != nil {
		r.Fatalf("Turn: %v", err)
	}
	return got
}

func turnOnce(r *rig) {
	handles := r.handles()
	const callers = 8
	var mu sync.Mutex
	turns := 0
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for range 5 {
				got, err := handles[i%len(handles)].Turn(r.ctx, "task", long)
				if err != nil {
					r.Error(err)
				}
				mu.Lock()
				if got {
					turns++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if turns != 1 {
		r.Errorf("there were %d turns in a period, want one", turns)
	}
	for _, task := range []string{"other", "task:*", "Task"} {
		if !r.turn(r.queue, task, long) || r.turn(r.queue, task, long) {
			r.Errorf("task %q has no turn of its own, or two", task)
		}
	}
	r.reopen()
	if r.turn(r.queue, "task", long) {
		r.Error("after the process died there was a second turn in a period")
	}
}

func turnAgain(r *rig) {
	handles := r.handles()
	const every = 2 * short
	began := time.Now()
	turns := 0
	for i := 0; turns < 4; i++ {
		if r.turn(handles[i%len(handles)], "task", every) {
			turns++
		}
		if time.Since(began) > patience {
			r.Fatalf("there were %d turns in %s, want one every %s", turns, patience, every)
		}
		r.pass(time.Now())
	}
	// The first may come at the end of its period, and the last at the beginning.
	if took := time.Since(began); took < 2*every {
		r.Errorf("there were %d turns in %s, want one every %s", turns, took, every)
	}
}
