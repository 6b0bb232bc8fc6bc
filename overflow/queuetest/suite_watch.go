package queuetest

import (
	"fmt"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var watchTests = []aTest{
	{"Watch tells of a change of state", watchState},
	{"Watch tells of output", watchOutput},
	{"Watch tells all who watch, until they stop", watchMany},
}

// told says that a channel gets a value soon.
func (r *rig) told(what string, changed <-chan struct{}) {
	r.Helper()
	select {
	case <-changed:
	case <-time.After(patience):
		r.Errorf("nobody was told: %s", what)
	}
}

// drain takes values that may have come without a change, or twice.
func drain(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-time.After(short / 4):
			return
		}
	}
}

func watchState(r *rig) {
	for _, q := range r.handles() {
		job := r.enqueue()
		changed, stop := q.Watch(job.ID, false)
		defer stop()
		step := func(what string, change func()) {
			r.Helper()
			drain(changed)
			change()
			r.told(what, changed)
		}
		apply := func(leased bool, change overflow.Change) func() {
			return func() {
				to := r.get(job.ID)
				if !leased {
					to.Lease = ""
				}
				r.apply(ref(to), change)
			}
		}
		past := time.Now().Add(-time.Second)
		step("claimed", func() { r.rerun(job) })
		step("waits", apply(true, overflow.Change{To: overflow.Waiting, Lane: "l"}))
		step("woken", func() {
			if _, err := r.queue.Wake(r.ctx, overflow.Request, "l", 1); err != nil {
				r.Error(err)
			}
		})
		step("claimed again", func() { r.claimFor(overflow.Request, 1, time.Millisecond) })
		step("rescued", func() { r.rescue(job) })
		step("claimed a third time", func() { r.rerun(job) })
		step("asked to cancel", apply(false, overflow.Change{To: overflow.Cancelled}))
		step("scheduled", apply(true, overflow.Change{To: overflow.Scheduled, After: long, Deadline: past}))
		step("overdue", func() { r.maintain(func(up overflow.Upkeep) bool { return up.Overdue == 1 }) })
		step("discarded", apply(false, overflow.Change{To: overflow.Discarded, Keep: long}))
		step("begun anew", apply(false, overflow.Change{To: overflow.Available}))
		step("claimed a last time", func() { r.rerun(job) })
		step("completed", apply(true, overflow.Change{To: overflow.Completed, Keep: long}))
	}
}

func watchOutput(r *rig) {
	for _, q := range r.handles() {
		job := r.run()
		changed, stop := q.Watch(job.ID, true)
		defer stop()
		for number := range 5 {
			drain(changed)
			r.put(job, number, "chunk")
			r.told("output", changed)
		}
		drain(changed)
		r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long})
		r.told("completed", changed)
	}
}

func watchMany(r *rig) {
	job := r.run()
	var watches []<-chan struct{}
	var stops []func()
	for i := range 8 {
		changed, stop := r.queue.Watch(job.ID, i%2 == 0)
		watches, stops = append(watches, changed), append(stops, stop)
	}
	for i, stop := range stops {
		if i%4 == 0 {
			stop()
		}
	}
	// Whoever watches from now on sees what comes now, at once.
	r.apply(ref(job), overflow.Change{To: overflow.Completed, Keep: long})
	for i, changed := range watches {
		if i%4 != 0 {
			r.told(fmt.Sprint("watch ", i), changed)
			stops[i]()
		}
	}
}
