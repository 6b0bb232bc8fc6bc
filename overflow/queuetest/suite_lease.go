package queuetest

import (
	"errors"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var leaseTests = []aTest{
	{"Heartbeat extends leases", heartbeatExtends},
	{"Heartbeat says what became of each job", heartbeatPulses},
	{"A lease that has run out is lost", leaseRunsOut},
	{"A job whose lease has run out is available again", rescue},
	{"A job that crashes again and again is counted", rescueCounts},
	{"A rescue is reported once", rescueOnce},
	{"A job that is over is not rescued", rescueOnlyRunning},
	{"Whoever is asked to cancel a job learns of it", cancelAsked},
	{"To be cancelled outlives a run", cancelAskedStays},
}

func heartbeatExtends(r *rig) {
	const lease = 500 * time.Millisecond
	var kept, dropped *overflow.Job
	for { // a machine may be too slow to beat in time; not for ever
		r.enqueue()
		r.enqueue()
		jobs := r.claimFor(overflow.Request, 2, lease)
		kept, dropped = jobs[0], jobs[1]
		pulses, err := r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(kept)}, long)
		if err != nil || len(pulses) != 1 {
			r.Fatalf("Heartbeat returned %v and error %v", pulses, err)
		}
		if pulses[0] == overflow.Alive {
			break
		}
		if time.Now().Before(kept.LeaseUntil) {
			r.Fatalf("the pulse is %d, want Alive", pulses[0])
		}
		r.maintain(func(up overflow.Upkeep) bool { return len(up.Rescued) == 2 })
		for _, job := range jobs {
			r.apply(outside(job), overflow.Change{To: overflow.Cancelled, Keep: long})
		}
	}
	r.soon("LeaseUntil", r.get(kept.ID).LeaseUntil, time.Now().Add(long))
	r.pass(dropped.LeaseUntil)
	r.rescue(dropped)
	if got := r.in(overflow.Executing, kept); got.Lease != kept.Lease {
		r.Error("Heartbeat has changed the lease")
	}
	r.apply(ref(kept), overflow.Change{To: overflow.Completed, Keep: long})
}

func heartbeatPulses(r *rig) {
	alive, asked, ended, back := r.run(), r.run(), r.run(), r.run()
	r.apply(outside(asked), overflow.Change{To: overflow.Cancelled})
	r.apply(ref(ended), overflow.Change{To: overflow.Completed, Keep: long})
	r.apply(ref(back), overflow.Change{To: overflow.Waiting, Lane: "l"})
	old := r.run()
	r.apply(ref(old), overflow.Change{To: overflow.Available})
	again := r.rerun(old)
	refs := []overflow.Ref{
		ref(alive), ref(old), ref(asked), ref(ended), ref(again), ref(back),
		{ID: alive.ID, Lease: "nobody's"}, {ID: alive.ID}, {ID: r.job().ID, Lease: "nobody's"}, {ID: back.ID}, {ID: ended.ID},
	}
	want := []overflow.Pulse{
		overflow.Alive, overflow.Lost, overflow.CancelAsked, overflow.Lost, overflow.Alive, overflow.Lost,
		overflow.Lost, overflow.Lost, overflow.Lost, overflow.Lost, overflow.Lost,
	}
	got, err := r.queue.Heartbeat(r.ctx, refs, long)
	if err != nil || len(got) != len(want) {
		r.Fatalf("Heartbeat returned %v and error %v, want %v", got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			r.Errorf("pulse %d is %d, want %d", i, got[i], want[i])
		}
	}
	if got, err := r.queue.Heartbeat(r.ctx, nil, long); err != nil || len(got) != 0 {
		r.Errorf("Heartbeat of no jobs returned %v and error %v", got, err)
	}
}

func leaseRunsOut(r *rig) {
	r.enqueue(unique("u"))
	job := r.claimFor(overflow.Request, 1, short)[0]
	r.pass(job.LeaseUntil)
	r.loses(job)
	r.rescue(job)
	r.loses(job)
	again := r.rerun(job)
	r.loses(job)
	r.apply(ref(again), overflow.Change{To: overflow.Completed, Keep: long})
	r.loses(job)
	r.loses(again)
}

// loses says that a job's lease is lost, whatever is tried with it.
func (r *rig) loses(job *overflow.Job) {
	r.Helper()
	if pulses, err := r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(job)}, long); err != nil || len(pulses) != 1 || pulses[0] != overflow.Lost {
		r.Errorf("Heartbeat returned %v and error %v, want Lost", pulses, err)
	}
	if err := r.queue.Append(r.ctx, ref(job), 0, []byte("late")); !errors.Is(err, overflow.ErrLost) {
		r.Errorf("Append returned error %v, want ErrLost", err)
	}
	for _, to := range overflow.States {
		if to == overflow.Executing {
			continue
		}
		follow := r.job()
		r.refuse(ref(job), overflow.Change{To: to, Lane: "l", After: long, Keep: long, Follow: follow, Output: [][]byte{[]byte("late")}},
			overflow.ErrLost)
		r.gone(follow)
	}
}

func rescue(r *rig) {
	given := r.enqueue(unique("u"))
	ran := r.claimFor(overflow.Request, 1, 10*short)[0]
	if err := r.queue.Append(r.ctx, ref(ran), 0, []byte("half")); err != nil && time.Now().Before(ran.LeaseUntil) {
		r.Error(err)
	}
	r.none(overflow.Request) // before the lease is over, or anybody has looked
	job := r.rescue(ran)
	if job.State != overflow.Available || job.Crashes != 1 || job.Attempt != 0 || job.Run != 1 {
		r.Errorf("Maintain reported %s with %d crashes", describe(job), job.Crashes)
	}
	if d := differences(r.get(given.ID), job, "Payload", "Head"); d != "" {
		r.Errorf("Get returns another job than was reported: %s", d)
	}
	r.holder("u", job)
	got := r.rerun(given)
	if got.Attempt != 1 || got.Run != 2 || got.Crashes != 1 || got.OutputSize != 0 || got.Lease == ran.Lease {
		r.Errorf("after the rescue %s was claimed with %d crashes and %d bytes", describe(got), got.Crashes, got.OutputSize)
	}
	r.outputs(got, 2, 0)
}

func rescueCounts(r *rig) {
	job := r.run()
	r.apply(ref(job), overflow.Change{To: overflow.Available, Error: "failed"}) // an attempt that was used up
	r.apply(ref(r.rerun(job)), overflow.Change{To: overflow.Scheduled, After: time.Millisecond, Refund: true})
	for crashes := 1; crashes <= overflow.MaxCrashes+1; crashes++ {
		got := r.rescue(r.claimFor(overflow.Request, 1, time.Millisecond)[0])
		if got.Crashes != crashes || got.Attempt != 1 || got.Run != 2+crashes || got.Snoozes != 0 {
			r.Errorf("after crash %d Maintain reported %s with %d crashes and %d snoozes", crashes, describe(got), got.Crashes, got.Snoozes)
		}
	}
	got := r.rerun(job)
	if got.Crashes != overflow.MaxCrashes+1 || got.Attempt != 2 {
		r.Errorf("claimed %s with %d crashes", describe(got), got.Crashes)
	}
	got = r.apply(ref(got), overflow.Change{To: overflow.Discarded, Reason: overflow.ReasonCrashes, Keep: long})
	if got.Crashes != overflow.MaxCrashes+1 || got.Reason != overflow.ReasonCrashes {
		r.Errorf("discarded %s with %d crashes", describe(got), got.Crashes)
	}
}

func rescueOnce(r *rig) {
	const jobs = 40
	handles := r.handles()
	for range jobs {
		r.enqueue()
	}
	r.claimFor(overflow.Request, jobs, time.Millisecond)
	var mu sync.Mutex
	rescued := make(map[string]int)
	end := time.Now().Add(patience)
	var all sync.WaitGroup
	for i := range 2 * len(handles) {
		all.Go(func() {
			for done := false; !done && time.Now().Before(end); time.Sleep(time.Millisecond) {
				up, err := handles[i%len(handles)].Maintain(r.ctx)
				if err != nil {
					r.Error(err)
					return
				}
				mu.Lock()
				for _, job := range up.Rescued {
					rescued[job.ID]++
				}
				done = len(rescued) == jobs
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, n := range rescued {
		if n != 1 {
			r.Errorf("the rescue of %s was reported %d times", id, n)
		}
	}
	r.counts(map[overflow.State]int{overflow.Available: jobs}, nil)
	for _, job := range r.claim(overflow.Request, jobs) {
		if job.Crashes != 1 || job.Attempt != 1 {
			r.Errorf("after one rescue it is %s with %d crashes", describe(job), job.Crashes)
		}
	}
}

func rescueOnlyRunning(r *rig) {
	const lease = 300 * time.Millisecond
	over := []overflow.Change{
		{To: overflow.Available}, {To: overflow.Waiting, Lane: "l"}, {To: overflow.Scheduled, After: long},
		{To: overflow.Completed, Keep: long}, {To: overflow.Discarded, Keep: long}, {To: overflow.Cancelled, Keep: long},
	}
	for range over {
		r.enqueue()
	}
	jobs := r.claimFor(overflow.Request, len(over), lease)
	left := 0
	for i, job := range jobs {
		if _, err := r.queue.Apply(r.ctx, ref(job), over[i]); err != nil {
			if time.Now().Before(job.LeaseUntil) || !errors.Is(err, overflow.ErrLost) {
				r.Fatalf("Apply to %s: %v", over[i].To, err)
			}
			left++ // the machine was too slow, and this one is to be rescued
		}
	}
	r.pass(jobs[0].LeaseUntil)
	up := r.maintain(func(up overflow.Upkeep) bool { return len(up.Rescued) >= left })
	more, err := r.queue.Maintain(r.ctx)
	if n := len(up.Rescued) + len(more.Rescued); n != left || err != nil {
		r.Errorf("%d jobs were rescued (error %v), of which %d ran: %s", n, err, left, describeAll(append(up.Rescued, more.Rescued...)))
	}
}

func cancelAsked(r *rig) {
	job := r.run(unique("u"))
	want := *job
	want.CancelAsked = true
	for range 2 {
		follow := r.job()
		got := r.apply(outside(job), overflow.Change{
			To: overflow.Cancelled, Keep: time.Nanosecond, Deadline: time.Now(), Follow: follow, Error: "no", Reason: "no", Refund: true,
		})
		if d := differences(got, &want, "Payload", "Head"); d != "" {
			r.Errorf("asking to cancel did more than to ask: %s", d)
		}
		r.gone(follow)
	}
	if d := differences(r.get(job.ID), &want); d != "" {
		r.Errorf("asking to cancel did more than to ask: %s", d)
	}
	r.holder("u", job)
	for range 2 {
		if pulses, err := r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(job)}, long); err != nil || len(pulses) != 1 || pulses[0] != overflow.CancelAsked {
			r.Errorf("Heartbeat returned %v and error %v, want CancelAsked", pulses, err)
		}
	}
	r.put(job, 0, "the run goes on until it ends")
	r.apply(ref(job), overflow.Change{To: overflow.Cancelled, Keep: long})
	r.refuse(ref(job), overflow.Change{To: overflow.Completed, Keep: long}, overflow.ErrLost)
	r.refuse(outside(job), overflow.Change{To: overflow.Completed, Keep: long}, overflow.ErrState)
}

func cancelAskedStays(r *rig) {
	job := r.enqueue()
	r.claimFor(overflow.Request, 1, 10*short)
	r.apply(outside(job), overflow.Change{To: overflow.Cancelled})
	r.rescue(job)
	for _, change := range []overflow.Change{
		{To: overflow.Available}, {To: overflow.Waiting, Lane: "l"}, {To: overflow.Scheduled, After: time.Millisecond},
	} {
		got := r.rerun(job)
		if !got.CancelAsked {
			r.Error("the job does not know any more that it is to be cancelled")
		}
		if pulses, err := r.queue.Heartbeat(r.ctx, []overflow.Ref{ref(got)}, long); err != nil || len(pulses) != 1 || pulses[0] != overflow.CancelAsked {
			r.Errorf("Heartbeat returned %v and error %v, want CancelAsked", pulses, err)
		}
		r.apply(ref(got), change)
		if change.To == overflow.Waiting {
			r.apply(outside(got), overflow.Change{To: overflow.Available})
		}
	}
}
