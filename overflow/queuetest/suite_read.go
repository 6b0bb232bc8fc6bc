package queuetest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

var readTests = []aTest{
	{"What is not there is not found", notFound},
	{"Ahead counts what will be claimed before", ahead},
	{"List lists the newest first", listOrder},
	{"List filters", listFilters},
	{"List pages, whatever happens to the page before", listPages},
	{"List leaves out contents", listWithoutContents},
	{"Stats counts jobs by kind and state", statsCount},
	{"Stats says when the oldest job was created that has not ended", statsOldest},
}

// stats returns what the queue counts.
func (r *rig) stats() overflow.Stats {
	r.Helper()
	stats, err := r.queue.Stats(r.ctx)
	if err != nil {
		r.Fatalf("Stats: %v", err)
	}
	return stats
}

// counts says how many jobs are in which state. States that are not named have none.
func (r *rig) counts(requests, callbacks map[overflow.State]int) {
	r.Helper()
	stats := r.stats()
	for kind, want := range map[overflow.Kind]map[overflow.State]int{overflow.Request: requests, overflow.Callback: callbacks} {
		for _, state := range overflow.States {
			if got := stats.Jobs[kind][state]; got != want[state] {
				r.Errorf("Stats counts %d jobs of kind %s that are %s, want %d", got, kind, state, want[state])
			}
		}
	}
}

// lanes says where jobs wait, in any order.
func (r *rig) lanes(want ...overflow.Lane) {
	r.Helper()
	if got, want := sorted(r.stats().Lanes), sorted(want); !slices.Equal(got, want) {
		r.Errorf("the lanes are %+v, want %+v", got, want)
	}
}

func sorted(lanes []overflow.Lane) []overflow.Lane {
	lanes = slices.Clone(lanes)
	slices.SortFunc(lanes, func(a, b overflow.Lane) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return lanes
}

// sameStats says that two counts are the same.
func (r *rig) sameStats(got, want overflow.Stats) {
	r.Helper()
	if d := statsDiffer(got, want); d != "" {
		r.Errorf("Stats differs: %s", d)
	}
}

func statsDiffer(got, want overflow.Stats) string {
	for _, kind := range overflow.Kinds {
		for _, state := range overflow.States {
			if g, w := got.Jobs[kind][state], want.Jobs[kind][state]; g != w {
				return fmt.Sprintf("%d jobs of kind %s are %s, want %d", g, kind, state, w)
			}
		}
		if g, w := got.Oldest[kind], want.Oldest[kind]; !equal(g, w) {
			return fmt.Sprintf("the oldest of kind %s was created %s, want %s", kind, g, w)
		}
	}
	if g, w := sorted(got.Lanes), sorted(want.Lanes); !slices.Equal(g, w) {
		return fmt.Sprintf("the lanes are %+v, want %+v", g, w)
	}
	if got.Paused != want.Paused {
		return fmt.Sprintf("paused is %t, want %t", got.Paused, want.Paused)
	}
	return ""
}

func notFound(r *rig) {
	id := r.job().ID
	r.gone(&overflow.Job{ID: id})
	r.gone(&overflow.Job{ID: "anything: *"})
	r.gone(&overflow.Job{})
	r.holder("nobody's", nil)
	r.holder("", nil)
	r.noOutput(id, 1)
	if jobs, err := r.queue.List(r.ctx, overflow.Filter{Limit: 1000}); err != nil || len(jobs) != 0 {
		r.Errorf("List of an empty queue returned %s and error %v", describeAll(jobs), err)
	}
	r.counts(nil, nil)
	r.lanes()
	stats := r.stats()
	for _, kind := range overflow.Kinds {
		if !stats.Oldest[kind].IsZero() {
			r.Errorf("the oldest of none was created %s", stats.Oldest[kind])
		}
	}
	if stats.Paused || stats.Bytes < 0 || stats.MaxBytes < 0 {
		r.Errorf("an empty queue says that paused is %t, with %d of %d bytes", stats.Paused, stats.Bytes, stats.MaxBytes)
	}
	for _, kind := range overflow.Kinds {
		r.none(kind)
	}
}

func ahead(r *rig) {
	check := func(job *overflow.Job, want int) {
		r.Helper()
		if n, err := r.queue.Ahead(r.ctx, r.get(job.ID)); n != want || err != nil {
			r.Errorf("Ahead of %s returned %d and error %v, want %d", describe(job), n, err, want)
		}
	}
	running := r.run()
	first, low, second := r.enqueue(), r.enqueue(priority(2)), r.enqueue()
	call := r.enqueue(callback, priority(3))
	urgent := r.enqueue(priority(0))
	scheduled := r.enqueue(priority(0), due(long))
	waiting := r.rerun(urgent)
	r.apply(ref(waiting), overflow.Change{To: overflow.Waiting, Lane: "l"})
	urgent = r.enqueue(priority(0))
	for job, want := range map[*overflow.Job]int{
		urgent: 0, first: 1, second: 2, low: 3, call: 0, running: 0, scheduled: 0, waiting: 0,
	} {
		check(job, want)
	}
	r.rerun(urgent)
	check(first, 0)
	check(low, 2)
	r.apply(outside(first), overflow.Change{To: overflow.Cancelled, Keep: long})
	check(first, 0)
	check(low, 1)
}

func (r *rig) list(filter overflow.Filter) []*overflow.Job {
	r.Helper()
	jobs, err := r.queue.List(r.ctx, filter)
	if err != nil {
		r.Fatalf("List: %v", err)
	}
	return jobs
}

func listOrder(r *rig) {
	jobs := make([]*overflow.Job, 12)
	for i := range jobs {
		jobs[i] = r.job(priority(i % 4))
	}
	for i := range jobs { // not in the order in which they were created
		if _, err := r.queue.Enqueue(r.ctx, jobs[i*5%len(jobs)], 0); err != nil {
			r.Fatal(err)
		}
	}
	var ids []string
	for _, job := range slices.Backward(jobs) {
		ids = append(ids, job.ID)
	}
	r.wantIDs(r.list(overflow.Filter{Limit: 1000}), ids)
	r.wantIDs(r.list(overflow.Filter{Limit: 5}), ids[:5])
	r.claim(overflow.Request, 7)
	r.wantIDs(r.list(overflow.Filter{Limit: 1000}), ids)
}

func listFilters(r *rig) {
	var all []*overflow.Job
	for i := range 48 {
		all = append(all, r.enqueue(func(job *overflow.Job) {
			job.Kind = overflow.Kinds[i%2]
			job.Owner = []string{"anna", "bert", "an"}[i/2%3]
			job.Model = []string{"small", "large:*"}[i/6%2]
			job.RunAt = []time.Time{{}, time.Now().Add(long)}[i/12%2]
		}))
	}
	for _, job := range all[:6] {
		r.apply(outside(job), overflow.Change{To: overflow.Cancelled, Keep: long})
	}
	for i := range all {
		all[i] = r.get(all[i].ID)
	}
	for _, filter := range []overflow.Filter{
		{},
		{Kind: overflow.Callback},
		{States: []overflow.State{overflow.Scheduled}},
		{States: []overflow.State{overflow.Available, overflow.Cancelled}},
		{States: []overflow.State{overflow.Completed}},
		{Owner: "an"},
		{Owner: "nobody"},
		{Model: "large:*"},
		{Kind: overflow.Request, States: []overflow.State{overflow.Scheduled, overflow.Cancelled}, Owner: "anna", Model: "small"},
		{Owner: "bert", Before: all[30].ID},
		{Kind: overflow.Callback, Model: "small", Before: all[11].ID},
		{Before: all[0].ID},
	} {
		var want []string
		for _, job := range slices.Backward(all) {
			if (filter.Kind == "" || job.Kind == filter.Kind) && (filter.Owner == "" || job.Owner == filter.Owner) &&
				(filter.Model == "" || job.Model == filter.Model) && (filter.Before == "" || job.ID < filter.Before) &&
				(filter.States == nil || slices.Contains(filter.States, job.State)) {
				want = append(want, job.ID)
			}
		}
		for _, limit := range []int{1000, len(want), 3} {
			if limit == 0 {
				continue
			}
			filter.Limit = limit
			r.wantIDs(r.list(filter), want[:min(limit, len(want))])
		}
		if r.Failed() {
			r.Fatalf("that was with the filter %+v", filter)
		}
	}
}

func listPages(r *rig) {
	var ids []string
	for range 20 {
		ids = append(ids, r.enqueue().ID)
	}
	slices.Reverse(ids)
	filter := overflow.Filter{States: []overflow.State{overflow.Available}, Limit: 6}
	var got []*overflow.Job
	for {
		page := r.list(filter)
		got = append(got, page...)
		if len(page) < filter.Limit {
			break
		}
		last := page[len(page)-1]
		filter.Before = last.ID
		// The job after which to go on is of another state by then, or gone, and there are newer ones.
		r.apply(outside(last), overflow.Change{To: overflow.Cancelled, Keep: time.Millisecond})
		if len(got) > 6 {
			r.maintain(func(up overflow.Upkeep) bool { return up.Removed > 0 })
		}
		r.enqueue()
	}
	r.wantIDs(got, ids)
}

func listWithoutContents(r *rig) {
	job := r.run(unique("u"))
	r.put(job, 0, "output")
	r.apply(ref(job), overflow.Change{To: overflow.Completed, Head: []byte("head"), Keep: long, Error: "error"})
	got := r.list(overflow.Filter{Limit: 10})
	if len(got) != 1 {
		r.Fatalf("List returned %s, want one job", describeAll(got))
	}
	if len(got[0].Payload) > 0 || len(got[0].Head) > 0 {
		r.Errorf("List returned %d bytes of payload and %d of head", len(got[0].Payload), len(got[0].Head))
	}
	if d := differences(got[0], r.get(job.ID), "Payload", "Head"); d != "" {
		r.Errorf("List returned another job than Get: %s", d)
	}
}

func statsCount(r *rig) {
	r.counts(nil, nil)
	want := map[overflow.Kind]map[overflow.State]int{overflow.Request: {}, overflow.Callback: {}}
	for i, to := range overflow.States {
		for _, kind := range overflow.Kinds {
			for range i + 1 {
				job := r.rerun(r.enqueue(func(job *overflow.Job) { job.Kind = kind; job.Priority = 0 }))
				if to != overflow.Available {
					r.bring(job, to)
					want[kind][to]++
					continue
				}
				want[kind][overflow.Executing]++
			}
		}
	}
	for _, kind := range overflow.Kinds {
		r.enqueue(func(job *overflow.Job) { job.Kind = kind })
		want[kind][overflow.Available]++
	}
	r.counts(want[overflow.Request], want[overflow.Callback])
	if !reflect.DeepEqual(sorted(r.stats().Lanes), []overflow.Lane{
		{Kind: overflow.Callback, Name: "lane", Waiting: 2}, {Kind: overflow.Request, Name: "lane", Waiting: 2},
	}) {
		r.Errorf("the lanes are %+v", r.stats().Lanes)
	}
}

func statsOldest(r *rig) {
	oldest := func(kind overflow.Kind, want time.Time) {
		r.Helper()
		if got := r.stats().Oldest[kind]; !equal(got, want) {
			r.Errorf("the oldest of kind %s was created %s, want %s", kind, got, want)
		}
	}
	first := r.run()
	second := r.enqueue(due(long))
	third := r.job()
	call := r.enqueue(callback)
	oldest(overflow.Request, first.CreatedAt)
	oldest(overflow.Callback, call.CreatedAt)
	r.apply(ref(first), overflow.Change{To: overflow.Discarded, Keep: long})
	oldest(overflow.Request, second.CreatedAt)
	if _, err := r.queue.Enqueue(r.ctx, third, 0); err != nil {
		r.Fatal(err)
	}
	oldest(overflow.Request, second.CreatedAt)
	r.apply(outside(first), overflow.Change{To: overflow.Available})
	oldest(overflow.Request, first.CreatedAt)
	for _, job := range []*overflow.Job{first, second} {
		r.apply(outside(job), overflow.Change{To: overflow.Cancelled, Keep: long})
	}
	oldest(overflow.Request, third.CreatedAt)
	r.apply(outside(third), overflow.Change{To: overflow.Cancelled, Keep: long})
	oldest(overflow.Request, time.Time{})
	oldest(overflow.Callback, call.CreatedAt)
}
