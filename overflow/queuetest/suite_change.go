package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var changeTests = []aTest{
	{"A job goes where its state allows, and nowhere else", transitions},
	{"A change of no job is refused", changeOfNone},
	{"A run that has ended leaves its error", errorOfRun},
	{"An end is recorded", endIsRecorded},
	{"A refund gives the attempt back, and counts snoozes in a row", refunds},
	{"A deadline can be replaced", deadlineReplaced},
	{"A job that follows is enqueued in the same step", follows},
	{"A job that follows is subject to its ID and its unique", followsAreJobs},
	{"A job begins anew when an operator says so", restart},
	{"A job that begins anew holds its unique if that is free", restartUnique},
	{"Of those that end a job one does", endRace},
}

// legal is where a job may go without its lease. With it, it may go anywhere from
// Executing but there.
var legal = map[overflow.State][]overflow.State{
	overflow.Available: {overflow.Cancelled, overflow.Discarded},
	overflow.Waiting:   {overflow.Cancelled, overflow.Discarded, overflow.Available},
	overflow.Scheduled: {overflow.Cancelled, overflow.Discarded, overflow.Available},
	overflow.Executing: {overflow.Cancelled},
	overflow.Discarded: {overflow.Available},
	overflow.Cancelled: {overflow.Available},
}

func transitions(r *rig) {
	targets := append(slices.Clone(overflow.States[:]), "", "retryable")
	for _, from := range overflow.States {
		for _, to := range targets {
			for _, lease := range []string{"none", "present", "old", "nobody's"} {
				if lease == "present" && from != overflow.Executing {
					continue // of a job that does not run every lease is an old one
				}
				r.transition(from, to, lease)
			}
		}
	}
}

// transition makes one change of a job that has run before.
func (r *rig) transition(from, to overflow.State, lease string) {
	r.Helper()
	old := r.run()
	r.put(old, 0, "output")
	job := r.bring(old, from)
	change := overflow.Change{To: to, Lane: "other", After: long, Keep: long, Error: "error", Follow: r.job(callback, priority(3))}
	tried := overflow.Ref{ID: job.ID}
	switch lease {
	case "present":
		tried.Lease = job.Lease
	case "old":
		tried.Lease = old.Lease
	case "nobody's":
		tried.Lease = lease
	}
	switch {
	case lease == "none" && slices.Contains(legal[from], to),
		lease == "present" && slices.Contains(overflow.States[:], to) && to != overflow.Executing:
		r.apply(tried, change)
		if from != overflow.Executing || lease != "none" {
			r.in(to, job)
			r.in(overflow.Available, change.Follow)
		}
	case lease == "none" || lease == "present":
		r.refuse(tried, change, overflow.ErrState)
		r.gone(change.Follow)
	case slices.Contains(overflow.States[:], to) && to != overflow.Executing:
		r.refuse(tried, change, overflow.ErrLost)
		r.gone(change.Follow)
	default: // wrong in both respects
		r.refuse(tried, change, overflow.ErrLost, overflow.ErrState)
		r.gone(change.Follow)
	}
	if r.Failed() {
		r.Fatalf("that was from %s to %q with lease: %s", from, to, lease)
	}
	r.putAway(job.ID)
}

// bring has a job that runs go to a state.
func (r *rig) bring(job *overflow.Job, to overflow.State) *overflow.Job {
	r.Helper()
	if to == overflow.Executing {
		r.apply(ref(job), overflow.Change{To: overflow.Available})
		return r.rerun(job)
	}
	return r.apply(ref(job), overflow.Change{To: to, Lane: "lane", After: long, Keep: long})
}

// putAway ends a job, so that it is not claimed in place of another.
func (r *rig) putAway(id string) {
	r.Helper()
	if job := r.get(id); !job.State.Final() {
		r.apply(ref(job), overflow.Change{To: overflow.Cancelled, Keep: long})
	}
}

func changeOfNone(r *rig) {
	for _, to := range overflow.States {
		for _, lease := range []string{"", "nobody's"} {
			follow := r.job()
			job, err := r.queue.Apply(r.ctx, overflow.Ref{ID: r.job().ID, Lease: lease}, overflow.Change{To: to, Follow: follow})
			if job != nil || !errors.Is(err, overflow.ErrNotFound) && (lease == "" || !errors.Is(err, overflow.ErrLost)) {
				r.Errorf("Apply to %s of no job returned %s and error %v, want ErrNotFound", to, describe(job), err)
			}
			r.gone(follow)
		}
	}
	r.counts(nil, nil)
}

func errorOfRun(r *rig) {
	job := r.enqueue()
	for i, change := range []overflow.Change{
		{To: overflow.Available}, {To: overflow.Waiting, Lane: "l"}, {To: overflow.Scheduled, After: long}, {To: overflow.Cancelled, Keep: long},
		{To: overflow.Completed, Keep: long},
	} {
		job = r.rerun(job)
		change.Error = fmt.Sprintf("of run %d: \"é\x00*{}\"", i+1)
		if got := r.apply(ref(job), change); got.Error != change.Error {
			r.Errorf("the error is %q, want %q", got.Error, change.Error)
		}
		got := r.get(job.ID)
		if got.Error != change.Error || got.Lease != "" && got.State != overflow.Executing {
			r.Errorf("the error is %q and the lease %q, want %q and none", got.Error, got.Lease, change.Error)
		}
		if got.State != overflow.Available && got.State != overflow.Completed {
			r.apply(outside(job), overflow.Change{To: overflow.Available})
		}
	}
}

func endIsRecorded(r *rig) {
	for _, to := range []overflow.State{overflow.Completed, overflow.Discarded, overflow.Cancelled} {
		for _, leased := range []bool{true, false} {
			job, why := r.run(), ""
			if to == overflow.Discarded {
				why = overflow.ReasonRefused
			}
			at := ref(job)
			if !leased {
				if to == overflow.Completed {
					continue
				}
				job = r.apply(at, overflow.Change{To: overflow.Waiting, Lane: "l", Error: "before"})
				at.Lease = ""
			}
			before := time.Now()
			got := r.apply(at, overflow.Change{To: to, Keep: long, Reason: why, Error: "at the end", Lane: "no"})
			r.soon("EndedAt", got.EndedAt, before)
			if !equal(got.KeepUntil, got.EndedAt.Add(long)) {
				r.Errorf("KeepUntil is %s, want an hour after %s", got.KeepUntil, got.EndedAt)
			}
			if got.Reason != why || got.Error != "at the end" || got.Lane != "" || got.Attempt != 1 || got.Run != 1 {
				r.Errorf("got %s with error %q, want reason %q", describe(got), got.Error, why)
			}
			if d := differences(r.get(job.ID), got, "Payload", "Head"); d != "" {
				r.Errorf("Get returns another job than Apply: %s", d)
			}
		}
	}
}

func refunds(r *rig) {
	job := r.enqueue()
	for i, step := range []struct {
		overflow.Change
		attempt, snoozes int
	}{
		{overflow.Change{To: overflow.Waiting, Refund: true}, 0, 1},
		{overflow.Change{To: overflow.Scheduled, Refund: true}, 0, 2},
		{overflow.Change{To: overflow.Available, Refund: true}, 0, 2}, // such as by a shutdown
		{overflow.Change{To: overflow.Waiting, Refund: true}, 0, 3},
		{overflow.Change{To: overflow.Scheduled}, 1, 0},
		{overflow.Change{To: overflow.Scheduled, Refund: true}, 1, 1},
		{overflow.Change{To: overflow.Available}, 2, 0},
		{overflow.Change{To: overflow.Scheduled, Refund: true}, 2, 1},
		{overflow.Change{To: overflow.Waiting}, 3, 0},
		{overflow.Change{To: overflow.Cancelled, Refund: true}, 3, 0},
	} {
		ran := r.rerun(job)
		step.Lane, step.After, step.Keep = "l", long, long
		got := r.apply(ref(ran), step.Change)
		if got.Attempt != step.attempt || got.Snoozes != step.snoozes || got.Run != i+1 {
			r.Errorf("step %d gives %s with %d snoozes, want attempt %d and %d snoozes", i, describe(got), got.Snoozes, step.attempt, step.snoozes)
		}
		if got.State == overflow.Waiting || got.State == overflow.Scheduled {
			got = r.apply(outside(job), overflow.Change{To: overflow.Available})
			if got.Attempt != step.attempt || got.Snoozes != step.snoozes {
				r.Errorf("step %d: an operator's release gives %s with %d snoozes", i, describe(got), got.Snoozes)
			}
		}
	}
}

func deadlineReplaced(r *rig) {
	old := time.Now().Add(long).Truncate(time.Millisecond)
	newer := old.Add(time.Minute)
	for _, want := range []time.Time{old, newer} {
		var replace time.Time
		if want != old {
			replace = want
		}
		job := r.run(func(job *overflow.Job) { job.Deadline = old })
		for _, change := range []overflow.Change{
			{To: overflow.Waiting, Lane: "l", Deadline: replace}, {To: overflow.Available, Deadline: replace},
		} {
			got := r.apply(ref(job), change)
			if !equal(got.Deadline, want) || !equal(r.get(job.ID).Deadline, want) {
				r.Errorf("the deadline is %s, want %s", got.Deadline, want)
			}
			job.Lease = "" // the next change is from outside
		}
		job = r.rerun(job)
		r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long})
	}
	job := r.run()
	if got := r.apply(ref(job), overflow.Change{To: overflow.Waiting, Lane: "l", Deadline: old}); !equal(got.Deadline, old) {
		r.Errorf("the deadline is %s, want %s", got.Deadline, old)
	}
	r.apply(outside(job), overflow.Change{To: overflow.Discarded, Keep: long})
	r.apply(outside(job), overflow.Change{To: overflow.Available, Deadline: newer})
	if got := r.get(job.ID).Deadline; !equal(got, newer) {
		r.Errorf("the deadline is %s after a new beginning, want %s", got, newer)
	}
}

func follows(r *rig) {
	for _, to := range []overflow.State{
		overflow.Completed, overflow.Discarded, overflow.Cancelled, overflow.Waiting, overflow.Scheduled, overflow.Available,
	} {
		job := r.run()
		next := r.job(callback, func(next *overflow.Job) { next.Parent, next.Unique = job.ID, "follows "+job.ID })
		r.apply(ref(job), overflow.Change{To: to, Lane: "l", After: long, Keep: long, Follow: next})
		next.State = overflow.Available
		if d := differences(r.get(next.ID), next); d != "" {
			r.Errorf("what follows is another job: %s", d)
		}
		r.holder(next.Unique, next)
		r.putAway(job.ID)
	}
	job := r.enqueue()
	later := r.job(due(long))
	r.apply(outside(job), overflow.Change{To: overflow.Discarded, Keep: long, Follow: later})
	r.in(overflow.Scheduled, later)
}

func followsAreJobs(r *rig) {
	holder := r.enqueue(callback, unique("u"))
	for _, follow := range []*overflow.Job{holder, r.job(callback, unique("u"))} {
		before := r.get(holder.ID)
		job := r.run()
		r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long, Follow: follow})
		if d := differences(r.get(holder.ID), before); d != "" {
			r.Errorf("what follows has changed a job that was there: %s", d)
		}
		r.holder("u", holder)
	}
	r.counts(map[overflow.State]int{overflow.Completed: 2}, map[overflow.State]int{overflow.Available: 1})
}

func restart(r *rig) {
	for _, end := range []overflow.State{overflow.Discarded, overflow.Cancelled} {
		job := r.enqueue(unique("u"))
		r.rescue(r.claimFor(overflow.Request, 1, time.Millisecond)[0])
		ran := r.rerun(job)
		r.apply(outside(ran), overflow.Change{To: overflow.Cancelled})
		r.put(ran, 0, "output")
		r.apply(ref(ran), overflow.Change{
			To: end, Keep: long, Reason: overflow.ReasonAttempts, Error: "error", Head: []byte("head"), Output: [][]byte{[]byte("more")},
		})
		r.holder("u", nil)
		r.apply(outside(job), overflow.Change{To: overflow.Available})
		got := r.get(job.ID)
		if d := differences(got, job, "Payload", "Run", "StartedAt"); d != "" {
			r.Errorf("after it was %s it does not begin anew: %s", end, d)
		}
		if got.Run != 2 {
			r.Errorf("it has been run %d times, want 2", got.Run)
		}
		if chunks, err := r.queue.Output(r.ctx, job.ID, 2, 0); len(chunks) > 0 || err != nil && !errors.Is(err, overflow.ErrNotFound) {
			r.Errorf("its output is %s (error %v), want none", sizes(chunks), err)
		}
		r.holder("u", job)
		got = r.rerun(job)
		if got.Run != 3 || got.Attempt != 1 || len(got.Head) > 0 {
			r.Errorf("claimed anew: %s with a head of %d bytes", describe(got), len(got.Head))
		}
		if pulses, err := r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(got)}, long); err != nil || pulses[0] != overflow.Alive {
			r.Errorf("Heartbeat returned %v and error %v, want Alive", pulses, err)
		}
		r.outputs(got, 3, 0)
		r.apply(ref(got), overflow.Change{To: overflow.Completed, Keep: time.Millisecond})
		r.maintain(func(up overflow.Upkeep) bool { return up.Removed == 1 })
	}
}

func restartUnique(r *rig) {
	first := r.enqueue(unique("u"))
	r.apply(outside(first), overflow.Change{To: overflow.Cancelled, Keep: long})
	second := r.run(unique("u"))
	r.apply(outside(first), overflow.Change{To: overflow.Available})
	r.in(overflow.Available, first)
	r.holder("u", second)
	// What it does not hold, it does not free.
	r.apply(outside(first), overflow.Change{To: overflow.Discarded, Keep: time.Millisecond})
	r.holder("u", second)
	r.maintain(func(up overflow.Upkeep) bool { return up.Removed == 1 })
	r.holder("u", second)
	r.apply(ref(second), overflow.Change{To: overflow.Discarded, Keep: long})
	r.holder("u", nil)
	r.apply(outside(second), overflow.Change{To: overflow.Available})
	r.holder("u", second)
}

func endRace(r *rig) {
	handles := r.handles()
	ends := []overflow.State{overflow.Completed, overflow.Discarded, overflow.Cancelled}
	for range 10 {
		job := r.run()
		won := make(chan overflow.State, 6)
		for i := range cap(won) {
			change := overflow.Change{To: ends[i%len(ends)], Keep: long, Follow: r.job(callback)}
			go func() {
				got, err := handles[i%len(handles)].Apply(r.ctx, ref(job), change)
				switch {
				case err == nil:
					won <- got.State
				case errors.Is(err, overflow.ErrLost):
					won <- ""
				default:
					r.Error(err)
					won <- ""
				}
			}()
		}
		var winners []overflow.State
		for range cap(won) {
			if state := <-won; state != "" {
				winners = append(winners, state)
			}
		}
		if len(winners) != 1 {
			r.Fatalf("a job was ended as %v, want one end", winners)
		}
		r.in(winners[0], job)
	}
	if got := r.stats().Jobs[overflow.Callback][overflow.Available]; got != 10 {
		r.Errorf("10 jobs were ended, and %d follow", got)
	}
}
