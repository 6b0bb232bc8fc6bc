package queuetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var loadTests = []aTest{
	{"Nothing is lost and no end recorded twice, whatever workers do", stress},
	{"It does what the reference does", model},
}

const (
	stressJobs  = 240
	stressLease = 150 * time.Millisecond
)

// books is what those who work with a queue were told by it.
type books struct {
	*rig
	handles []overflow.Queue

	mu           sync.Mutex
	acknowledged map[string]bool
	ended        map[string][]overflow.State // what was recorded, by whoever was told so
	rescued      int
	crashed      int
}

// stress has producers, workers that crash, those who cancel, and upkeep at work at the same time.
func stress(r *rig) {
	b := &books{rig: r, handles: r.handles(), acknowledged: make(map[string]bool), ended: make(map[string][]overflow.State)}
	ctx, cancel := context.WithTimeout(r.ctx, 3*patience)
	defer cancel()
	var producers, others sync.WaitGroup
	for i := range 4 {
		producers.Go(func() { b.produce(i) })
	}
	for i := range 8 {
		others.Go(func() { b.work(ctx, i) })
	}
	for i := range 2 {
		others.Go(func() { b.cancelSome(ctx, i) })
		others.Go(func() { b.upkeep(ctx, i) })
	}
	producers.Wait()
	for !b.settled() && ctx.Err() == nil {
		r.pass(time.Now().Add(short / 4))
	}
	cancel()
	others.Wait()
	b.check()
}

func (b *books) handle(i int) overflow.Queue { return b.handles[i%len(b.handles)] }

// failed reports an error that nothing explains.
func (b *books) failed(what string, err error) bool {
	if err != nil {
		b.Errorf("%s: %v", what, err)
	}
	return err != nil
}

func (b *books) produce(i int) {
	for n := range stressJobs / 4 {
		job := b.job(priority(n%overflow.Priorities), func(job *overflow.Job) {
			job.Kind = overflow.Kinds[n%3/2]
			if n%5 == 0 {
				job.Unique = fmt.Sprint("u", n) // which every producer wants
			}
		})
		for range 1 + n%2 {
			got, err := b.handle(i).Enqueue(b.ctx, job, 0)
			if b.failed("Enqueue", err) {
				continue
			}
			b.mu.Lock()
			b.acknowledged[got.ID] = true
			b.mu.Unlock()
		}
	}
}

// record keeps what was told to have been recorded.
func (b *books) record(id string, state overflow.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended[id] = append(b.ended[id], state)
}

func (b *books) work(ctx context.Context, i int) {
	q := b.handle(i)
	order := overflow.Order{Kind: overflow.Kinds[i%4/3], Max: 1 + i%3, Lease: stressLease}
	for n := i; ctx.Err() == nil; n++ {
		// Some give up waiting, which is to lose no job.
		wait, cancel := context.WithTimeout(ctx, time.Duration(1+rand.N(50))*time.Millisecond)
		jobs, err := q.Claim(wait, order)
		if err != nil && wait.Err() == nil {
			b.Errorf("Claim: %v", err)
		}
		cancel()
		for _, job := range jobs {
			b.end(q, job, n)
		}
	}
}

// end ends a run in one of the ways in which runs end.
func (b *books) end(q overflow.Queue, job *overflow.Job, n int) {
	err := q.Append(b.ctx, ref(job), 0, []byte(job.ID))
	change := overflow.Change{To: overflow.Completed, Keep: long, Output: [][]byte{[]byte("end")}}
	switch rand.N(12) {
	case 0:
		b.mu.Lock()
		b.crashed++
		b.mu.Unlock()
		return
	case 1:
		change = overflow.Change{To: overflow.Available, Error: "again"}
	case 2:
		change = overflow.Change{To: overflow.Scheduled, After: time.Duration(rand.N(30)) * time.Millisecond}
	case 3:
		change = overflow.Change{To: overflow.Waiting, Lane: fmt.Sprint("lane ", n%3), Refund: true}
	case 4:
		change.To, change.Reason = overflow.Discarded, overflow.ReasonRefused
	case 5:
		change.Follow = b.job(callback, func(next *overflow.Job) { next.Parent = job.ID })
	case 6: // not to be done in this life
		change = overflow.Change{To: overflow.Scheduled, After: long, Refund: true}
	}
	if err == nil {
		_, err = q.Apply(b.ctx, ref(job), change)
	}
	if errors.Is(err, overflow.ErrLost) || b.failed("ending a run", err) {
		return
	}
	if change.To.Final() {
		b.record(job.ID, change.To)
	}
	if change.Follow != nil {
		b.mu.Lock()
		b.acknowledged[change.Follow.ID] = true
		b.mu.Unlock()
	}
}

func (b *books) cancelSome(ctx context.Context, i int) {
	q := b.handle(i)
	for ctx.Err() == nil {
		jobs, err := q.List(b.ctx, overflow.Filter{Limit: 20, States: []overflow.State{
			overflow.Available, overflow.Waiting, overflow.Executing,
		}})
		if b.failed("List", err) {
			continue
		}
		if len(jobs) > 0 {
			job := jobs[rand.N(len(jobs))]
			got, err := q.Apply(b.ctx, outside(job), overflow.Change{To: overflow.Cancelled, Keep: long})
			if !errors.Is(err, overflow.ErrState) && !b.failed("cancelling", err) && got.State == overflow.Cancelled {
				b.record(job.ID, overflow.Cancelled)
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (b *books) upkeep(ctx context.Context, i int) {
	q := b.handle(i)
	for n := i; ctx.Err() == nil; n++ {
		up, err := q.Maintain(b.ctx)
		if !b.failed("Maintain", err) {
			b.mu.Lock()
			b.rescued += len(up.Rescued)
			b.mu.Unlock()
		}
		_, err = q.Wake(b.ctx, overflow.Kinds[n%2], fmt.Sprint("lane ", n%3), 2)
		b.failed("Wake", err)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// settled reports whether all that goes on by itself is over.
func (b *books) settled() bool {
	jobs := b.list(overflow.Filter{Limit: 1000})
	for _, job := range jobs {
		if !job.State.Final() && (job.State != overflow.Scheduled || time.Until(job.RunAt) < long/2) {
			return false
		}
	}
	return true
}

// check closes the books: acknowledged = completed + discarded + cancelled + live, each end recorded once.
func (b *books) check() {
	jobs := b.list(overflow.Filter{Limit: 1000})
	states := make(map[overflow.Kind]map[overflow.State]int)
	for _, kind := range overflow.Kinds {
		states[kind] = make(map[overflow.State]int)
	}
	crashes := 0
	for _, job := range jobs {
		states[job.Kind][job.State]++
		crashes += job.Crashes
		if !b.acknowledged[job.ID] {
			b.Errorf("there is a job that nobody was told of: %s", describe(job))
		}
		delete(b.acknowledged, job.ID)
		ends := b.ended[job.ID]
		switch {
		case !job.State.Final() && (job.State != overflow.Scheduled || time.Until(job.RunAt) < long/2):
			b.Errorf("it did not come to an end: %s", describe(job))
		case !job.State.Final() && len(ends) > 0, job.State.Final() && (len(ends) != 1 || ends[0] != job.State):
			b.Errorf("%s has been recorded as %v", describe(job), ends)
		}
		if job.State == overflow.Completed {
			b.outputs(job, job.Run, 0, job.ID, "end")
		}
	}
	for id := range b.acknowledged {
		b.Errorf("%s was acknowledged and is lost", id)
	}
	b.counts(states[overflow.Request], states[overflow.Callback])
	if crashes != b.rescued {
		b.Errorf("jobs count %d crashes, but %d rescues were reported", crashes, b.rescued)
	}
	if crashes < b.crashed {
		b.Errorf("%d runs crashed, but jobs count %d", b.crashed, crashes)
	}
}
