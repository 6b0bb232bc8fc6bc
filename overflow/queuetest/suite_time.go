package queuetest

import (
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var timeTests = []aTest{
	{"Maintain makes jobs available whose deadline has passed", overdue},
	{"A deadline that was replaced does not count", overdueReplaced},
	{"A job that runs is left alone by its deadline", overdueRunning},
	{"Maintain removes what was kept long enough", removed},
	{"A job that began anew is not removed", removedNotRestarted},
	{"Maintain has nothing to do in a queue that is in order", maintainIdle},
	{"Wake wakes those that wait in a lane, in their order", wakeOrder},
	{"A lane is one of its kind, whatever its name", wakeLanes},
	{"A job waits in the lane that it was last sent to", wakeLatest},
}

func overdue(r *rig) {
	past := time.Now().Add(-time.Second)
	waiting := r.run()
	r.apply(ref(waiting), overflow.Change{To: overflow.Waiting, Lane: "l", Deadline: past})
	scheduled := r.run(deadline(-time.Second))
	r.apply(ref(scheduled), overflow.Change{To: overflow.Scheduled, After: long})
	enqueued := r.enqueue(due(long), deadline(-time.Second))
	soon := r.enqueue(due(long), deadline(2*short))
	call := r.enqueue(callback, due(long), deadline(-time.Second))
	r.enqueue(due(long))
	r.enqueue(due(long), deadline(long))
	lane := r.run(deadline(long))
	r.apply(ref(lane), overflow.Change{To: overflow.Waiting, Lane: "l"})

	up := r.maintain(func(up overflow.Upkeep) bool { return up.Overdue >= 5 })
	if up.Overdue != 5 || len(up.Rescued) != 0 {
		r.Errorf("%d overdue jobs were made available and %d rescued, want 5 and none", up.Overdue, len(up.Rescued))
	}
	for _, job := range []*overflow.Job{waiting, scheduled, enqueued, soon, call} {
		if got := r.in(overflow.Available, job); got.Lane != "" {
			r.Errorf("an overdue job still waits: %s", describe(got))
		}
	}
	r.lanes(overflow.Lane{Kind: overflow.Request, Name: "l", Waiting: 1})
	r.counts(map[overflow.State]int{overflow.Available: 4, overflow.Scheduled: 2, overflow.Waiting: 1}, map[overflow.State]int{overflow.Available: 1})
	if up, err := r.queue.Maintain(r.ctx); err != nil || up.Overdue != 0 {
		r.Errorf("Maintain made %d jobs available that were (error %v)", up.Overdue, err)
	}
	r.wantIDs(r.claim(overflow.Request, 4), []string{waiting.ID, scheduled.ID, enqueued.ID, soon.ID})
	r.none(overflow.Request)
	// It is no less overdue when it is sent to wait again.
	again := r.get(waiting.ID)
	r.apply(ref(again), overflow.Change{To: overflow.Scheduled, After: long})
	r.maintain(func(up overflow.Upkeep) bool { return up.Overdue == 1 })
	r.rerun(again)
}

func overdueReplaced(r *rig) {
	later := r.run(deadline(2 * short))
	r.apply(ref(later), overflow.Change{To: overflow.Waiting, Lane: "l", Deadline: time.Now().Add(long)})
	ended := r.run(deadline(2 * short))
	r.apply(ref(ended), overflow.Change{To: overflow.Waiting, Lane: "l"})
	r.apply(outside(ended), overflow.Change{To: overflow.Cancelled, Keep: long})
	sooner := r.run(deadline(long))
	at := time.Now().Add(3 * short)
	r.apply(ref(sooner), overflow.Change{To: overflow.Waiting, Lane: "l", Deadline: at})
	r.pass(at)
	up := r.maintain(func(up overflow.Upkeep) bool { return up.Overdue > 0 })
	if more, err := r.queue.Maintain(r.ctx); err != nil || up.Overdue+more.Overdue != 1 {
		r.Errorf("%d jobs were overdue (error %v), want one", up.Overdue+more.Overdue, err)
	}
	r.in(overflow.Available, sooner)
	r.in(overflow.Waiting, later)
	r.in(overflow.Cancelled, ended)
}

func overdueRunning(r *rig) {
	job := r.run(deadline(-time.Second))
	if up, err := r.queue.Maintain(r.ctx); err != nil || up.Overdue != 0 || len(up.Rescued) != 0 {
		r.Errorf("Maintain did %+v (error %v), want nothing", up, err)
	}
	r.in(overflow.Executing, job)
	r.put(job, 0, "output")
	r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long})
}

func removed(r *rig) {
	for _, end := range []overflow.State{overflow.Completed, overflow.Discarded, overflow.Cancelled} {
		job := r.run(unique("u"))
		r.put(job, 0, "output")
		got := r.apply(ref(job), overflow.Change{To: end, Keep: short, Head: []byte("head"), Output: [][]byte{[]byte("more")}})
		kept := r.run()
		r.apply(ref(kept), overflow.Change{To: end, Keep: long})
		r.in(end, job) // nobody has looked yet
		r.maintain(func(up overflow.Upkeep) bool { return up.Removed == 1 })
		if early := time.Until(got.KeepUntil); early > time.Millisecond {
			r.Errorf("it was removed %s early", early)
		}
		r.gone(job)
		r.noOutput(job.ID, job.Run)
		r.holder("u", nil)
		r.in(end, kept)
		for _, to := range []overflow.State{overflow.Available, overflow.Cancelled} {
			if _, err := r.queue.Apply(r.ctx, outside(job), overflow.Change{To: to}); !isOneOf(err, []error{overflow.ErrNotFound}) {
				r.Errorf("Apply to %s returned error %v, want ErrNotFound", to, err)
			}
		}
		jobs, err := r.queue.List(r.ctx, overflow.Filter{States: []overflow.State{end}, Limit: 10})
		if err != nil || len(jobs) != 1 || jobs[0].ID != kept.ID {
			r.Errorf("List returned %s and error %v", describeAll(jobs), err)
		}
	}
	r.counts(map[overflow.State]int{overflow.Completed: 1, overflow.Discarded: 1, overflow.Cancelled: 1}, nil)
}

func removedNotRestarted(r *rig) {
	anew, gone := r.enqueue(), r.enqueue()
	r.apply(outside(anew), overflow.Change{To: overflow.Cancelled, Keep: short})
	r.apply(outside(anew), overflow.Change{To: overflow.Available})
	anew = r.claim(overflow.Request, 1)[0]
	r.apply(outside(gone), overflow.Change{To: overflow.Cancelled, Keep: 2 * short})
	r.maintain(func(up overflow.Upkeep) bool { return up.Removed > 0 })
	r.gone(gone)
	r.in(overflow.Executing, anew)
	r.apply(ref(anew), overflow.Change{To: overflow.Cancelled, Keep: long})
	if up, err := r.queue.Maintain(r.ctx); err != nil || up.Removed != 0 {
		r.Errorf("Maintain removed %d (error %v), want none", up.Removed, err)
	}
	r.in(overflow.Cancelled, anew)
}

func maintainIdle(r *rig) {
	for _, to := range overflow.States {
		r.bring(r.run(), to)
		if to == overflow.Available {
			r.claim(overflow.Request, 1)
		}
	}
	r.enqueue()
	want := r.stats()
	for range 3 {
		up, err := r.queue.Maintain(r.ctx)
		if err != nil || len(up.Rescued) > 0 || up.Overdue > 0 || up.Removed > 0 || up.Repaired > 0 {
			r.Errorf("Maintain did %+v (error %v), want nothing", up, err)
		}
	}
	r.sameStats(r.stats(), want)
}

func wakeOrder(r *rig) {
	var ids [overflow.Priorities][]string
	for i := range 12 {
		job := r.run(priority((i * 3) % overflow.Priorities))
		r.apply(ref(job), overflow.Change{To: overflow.Waiting, Lane: "l"})
		ids[job.Priority] = append(ids[job.Priority], job.ID)
	}
	all := append(append(append(ids[0], ids[1]...), ids[2]...), ids[3]...)
	for _, step := range []struct{ n, woken int }{{0, 0}, {1, 1}, {2, 2}, {5, 5}, {100, 4}, {1, 0}} {
		if n, err := r.queue.Wake(r.ctx, overflow.Request, "l", step.n); n != step.woken || err != nil {
			r.Errorf("Wake of %d returned %d and error %v, want %d", step.n, n, err, step.woken)
		}
		if step.woken > 0 {
			r.wantIDs(r.claim(overflow.Request, step.woken), all[:step.woken])
			all = all[step.woken:]
		}
		r.none(overflow.Request)
	}
	r.lanes()
}

func wakeLanes(r *rig) {
	names := []string{"m", "m:free", "vendor/m", "m\x00", "*", "M", "möwe 1", "{m}", "m\n"}
	var want []overflow.Lane
	for i, name := range names {
		for _, kind := range overflow.Kinds {
			for range i + 1 {
				job := r.rerun(r.enqueue(func(job *overflow.Job) { job.Kind = kind }))
				r.apply(ref(job), overflow.Change{To: overflow.Waiting, Lane: name})
			}
			want = append(want, overflow.Lane{Kind: kind, Name: name, Waiting: i + 1})
		}
	}
	r.lanes(want...)
	if n, err := r.queue.Wake(r.ctx, overflow.Request, "nobody's", 10); n != 0 || err != nil {
		r.Errorf("Wake of an empty lane returned %d and error %v", n, err)
	}
	for i, lane := range want {
		if n, err := r.queue.Wake(r.ctx, lane.Kind, lane.Name, 100); n != lane.Waiting || err != nil {
			r.Errorf("Wake in lane %q returned %d and error %v, want %d", lane.Name, n, err, lane.Waiting)
		}
		for _, job := range r.claim(lane.Kind, lane.Waiting) {
			if job.Lane != "" {
				r.Errorf("claimed %s, which still waits", describe(job))
			}
		}
		r.none(lane.Kind)
		r.lanes(want[i+1:]...)
	}
}

func wakeLatest(r *rig) {
	job := r.run()
	for _, name := range []string{"a", "b"} {
		got := r.apply(ref(job), overflow.Change{To: overflow.Waiting, Lane: name})
		if got.Lane != name {
			r.Errorf("got %s, want lane %q", describe(got), name)
		}
		r.apply(outside(job), overflow.Change{To: overflow.Available})
		r.lanes()
		job = r.rerun(job)
	}
	r.apply(ref(job), overflow.Change{To: overflow.Waiting, Lane: "c"})
	r.lanes(overflow.Lane{Kind: overflow.Request, Name: "c", Waiting: 1})
	for name, want := range map[string]int{"a": 0, "b": 0, "": 0, "c": 1} {
		if n, err := r.queue.Wake(r.ctx, overflow.Request, name, 10); n != want || err != nil {
			r.Errorf("Wake in lane %q returned %d and error %v, want %d", name, n, err, want)
		}
	}
	job = r.rerun(job)
	r.apply(ref(job), overflow.Change{To: overflow.Waiting, Lane: "c"})
	r.apply(outside(job), overflow.Change{To: overflow.Cancelled, Keep: long})
	r.lanes()
	if n, err := r.queue.Wake(r.ctx, overflow.Request, "c", 10); n != 0 || err != nil {
		r.Errorf("Wake woke %d jobs that were cancelled (error %v)", n, err)
	}
	r.in(overflow.Cancelled, job)
}
