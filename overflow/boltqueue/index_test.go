package boltqueue

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// An ordered list does what a sorted slice would.
func TestOrdered(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	o := &ordered{before: byTurn}
	var want []*entry
	compare := func(a, b *entry) int { return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.id, b.id)) }
	for step := range 20_000 {
		e := &entry{id: fmt.Sprintf("%05d", random.IntN(100_000)), priority: uint8(random.IntN(4))}
		i, found := slices.BinarySearchFunc(want, e, compare)
		switch grow := step < 10_000; {
		case found:
		case random.IntN(3) > 0 == grow || len(want) == 0:
			o.insert(e)
			want = slices.Insert(want, i, e)
		default:
			i = min(i, len(want)-1)
			if e = want[i]; step%2 == 0 {
				i, e = 0, o.first()
			}
			o.remove(e)
			o.remove(e) // which is not there any more
			want = slices.Delete(want, i, i+1)
		}
		if step%500 != 0 {
			continue
		}
		if got := slices.Collect(o.all); o.n != len(want) || !slices.Equal(got, want) {
			t.Fatalf("step %d: %d entries, want %d", step, o.n, len(want))
		}
		if i < len(want) {
			if got := o.rank(want[i]); got != i {
				t.Errorf("step %d: rank %d, want %d", step, got, i)
			}
			n := min(i, 700)
			got := o.backward(want[i], n)
			if slices.Reverse(got); !slices.Equal(got, want[i-n:i]) {
				t.Errorf("step %d: the %d entries before number %d are others", step, n, i)
			}
		}
	}
	if all := o.backward(nil, 1<<20); len(all) != len(want) || o.chunks[0][0] != all[len(all)-1] {
		t.Errorf("backward yields %d entries, want %d", len(all), len(want))
	}
}

// What is in memory is the same after a restart as it was before, whatever was done to
// the jobs.
func TestIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	var running []*overflow.Job
	for i := range 300 {
		enqueue(t, q, func(job *overflow.Job) {
			job.Priority = i % 4
			job.Deadline = time.Now().Add(time.Duration(i%3+1) * time.Hour)
		})
		running = claim(t, q, 1, time.Hour)
		changes := []overflow.Change{
			{To: overflow.Available, Refund: true},
			{To: overflow.Waiting, Lane: fmt.Sprint("lane ", i/6%2)},
			{To: overflow.Scheduled, After: time.Duration(i) * time.Hour},
			{To: overflow.Completed, Keep: time.Hour},
			{To: overflow.Discarded, Keep: 2 * time.Hour},
			{To: overflow.Cancelled},
		}
		if i < 290 { // the others go on
			apply(t, q, running[0], changes[i%len(changes)])
		}
	}
	apply(t, q, &overflow.Job{ID: running[0].ID}, overflow.Change{To: overflow.Cancelled})
	if _, err := q.Wake(t.Context(), overflow.Request, "lane 1", 5); err != nil {
		t.Fatal(err)
	}
	maintain(t, q)
	before := q.index
	if n := len(before.running); n != 10 {
		t.Fatalf("%d jobs run, want 10", n)
	}
	q = reopen(t, q)
	for id, e := range before.running { // as the start does
		delete(before.running, id)
		before.count[e.kind][executing]--
		before.count[e.kind][available]++
		before.ready[e.kind].insert(e)
	}
	after := q.index
	for what, lists := range map[string][2]*ordered{
		"all":       {&before.all, &after.all},
		"live":      {&before.live[0], &after.live[0]},
		"ready":     {&before.ready[0], &after.ready[0]},
		"scheduled": {&before.scheduled, &after.scheduled},
		"overdue":   {&before.overdue, &after.overdue},
		"ended":     {&before.ended, &after.ended},
		"lane 0":    {before.lane(overflow.Request, "lane 0"), after.lane(overflow.Request, "lane 0")},
		"lane 1":    {before.lane(overflow.Request, "lane 1"), after.lane(overflow.Request, "lane 1")},
	} {
		if got, want := ids(lists[1]), ids(lists[0]); !slices.Equal(got, want) {
			t.Errorf("%s: %d entries, want these %d in their order", what, len(got), len(want))
		}
	}
	if after.count != before.count {
		t.Errorf("counts are %v, want %v", after.count, before.count)
	}
}

func ids(o *ordered) (ids []string) {
	for e := range o.all {
		ids = append(ids, e.id)
	}
	return ids
}

// List looks at some thousands of jobs at a time, and finds all.
func TestListOfMany(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	const jobs = 3*listStep + 100
	for from := 0; from < jobs; from += 500 {
		err := q.do(t.Context(), 0, func(b *batch) error {
			for i := from; i < min(from+500, jobs); i++ {
				job := newJob(func(job *overflow.Job) { job.ID = number(i) })
				if i%1000 == 7 {
					job.Owner = "berta"
				}
				if _, _, err := b.enqueue(job, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	filter, n := overflow.Filter{Limit: 1000}, 0
	for {
		page, err := q.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range page {
			if n++; job.ID != number(jobs-n) {
				t.Fatalf("number %d from the end is %s", n, job.ID)
			}
			filter.Before = job.ID
		}
		if len(page) < filter.Limit {
			break
		}
	}
	if n != jobs {
		t.Errorf("there are %d jobs, want %d", n, jobs)
	}
	few, err := q.List(t.Context(), overflow.Filter{Owner: "berta", Limit: 10})
	if err != nil || len(few) != 10 || few[9].ID != number((jobs/1000-9)*1000+7) {
		t.Errorf("%d jobs are berta's (error %v)", len(few), err)
	}
	stats, err := q.Stats(t.Context())
	if err != nil || stats.Jobs[overflow.Request][overflow.Available] != jobs {
		t.Errorf("there are %v (error %v)", stats.Jobs, err)
	}
	if ahead, err := q.Ahead(t.Context(), &overflow.Job{ID: number(5000)}); err != nil || ahead != 5000 {
		t.Errorf("%d are ahead of number 5000 (error %v)", ahead, err)
	}
}
