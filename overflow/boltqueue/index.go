package boltqueue

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	kinds  = len(overflow.Kinds)
	states = len(overflow.States)
)

var (
	available = uint8(stateNumber(overflow.Available))
	waiting   = uint8(stateNumber(overflow.Waiting))
	scheduled = uint8(stateNumber(overflow.Scheduled))
	executing = uint8(stateNumber(overflow.Executing))
	discarded = uint8(stateNumber(overflow.Discarded))
	request   = uint8(kindNumber(overflow.Request))
)

// live reports whether the job has not ended.
func (e *entry) live() bool { return !overflow.States[e.state].Final() }

// name is a string of which many are equal.
type name = unique.Handle[string]

// entry is what is kept in memory of a job: what is needed to find it.
type entry struct {
	id           string
	kind, state  uint8
	priority     uint8
	owner, model name
	lane         name
	created      int64  // like the others in nanoseconds of wall time
	deadline     int64  // 0 for never
	due          int64  // when a Scheduled job becomes available, or a final one is removed
	lease        *lease // of an Executing job
	// record is what is stored of an Executing job and of some that are Available, and not to be
	// changed; nil of others.
	record *record
}

// lease is what is known of a running job. It is not written to the file: that a job
// runs is, and that is enough for whoever opens the file next, since whoever ran it is gone then.
type lease struct {
	// until is when it is over, by the clock that nobody sets.
	until atomic.Int64
}

// over reports whether the lease has run out.
func (l *lease) over(now time.Duration) bool { return l.until.Load() <= int64(now) }

// laneKey names a lane.
type laneKey struct {
	kind uint8
	name name
}

// index finds jobs. It mirrors what has been committed. Who uses it holds Queue.mu.
type index struct {
	byID      map[string]*entry
	all       ordered              // by ID
	live      [kinds]ordered       // that have not ended, by creation
	ready     [kinds]ordered       // Available, in the order in which they are claimed
	lanes     map[laneKey]*ordered // Waiting, in the same order
	scheduled ordered              // by due
	overdue   ordered              // Waiting or Scheduled with a deadline, by that
	ended     ordered              // by due
	running   map[string]*entry
	count     [kinds][states]int
	kept      int // records of Available jobs
}

// The orders. Each ends with the ID, so that no two entries are the same.

func byID(a, b *entry) bool { return a.id < b.id }

func byAge(a, b *entry) bool {
	if a.created != b.created {
		return a.created < b.created
	}
	return a.id < b.id
}

func byTurn(a, b *entry) bool {
	if a.priority != b.priority {
		return a.priority < b.priority
	}
	return byAge(a, b)
}

func byDue(a, b *entry) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	return a.id < b.id
}

func byDeadline(a, b *entry) bool {
	if a.deadline != b.deadline {
		return a.deadline < b.deadline
	}
	return a.id < b.id
}

func newIndex() *index {
	x := &index{
		byID:      make(map[string]*entry),
		all:       ordered{before: byID},
		lanes:     make(map[laneKey]*ordered),
		scheduled: ordered{before: byDue},
		overdue:   ordered{before: byDeadline},
		ended:     ordered{before: byDue},
		running:   make(map[string]*entry),
	}
	for kind := range kinds {
		x.live[kind].before = byAge
		x.ready[kind].before = byTurn
	}
	return x
}

// put takes over what a job is now. until is when the lease is over that a job gets
// with this change; otherwise it keeps its own.
func (x *index) put(r *record, until time.Duration) {
	e := x.byID[r.ID]
	wasLive := false
	if e == nil {
		e = &entry{
			id: r.ID, kind: uint8(kindNumber(r.Kind)), priority: uint8(r.Priority),
			owner: unique.Make(r.Owner), model: unique.Make(r.Model), created: nanos(r.CreatedAt),
		}
		x.byID[e.id] = e
		x.all.insert(e)
	} else {
		wasLive = e.live()
		x.unfile(e)
	}
	e.state = uint8(stateNumber(r.State))
	e.lane = unique.Make(r.Lane)
	e.deadline = nanos(r.Deadline)
	e.due = nanos(r.RunAt)
	if live := e.live(); live != wasLive {
		if live {
			x.live[e.kind].insert(e)
		} else {
			x.live[e.kind].remove(e)
		}
	}
	switch {
	case e.state != executing:
		e.lease = nil
	case e.lease == nil || e.record.Lease != r.Lease:
		e.lease = new(lease)
		e.lease.until.Store(int64(until))
	}
	if !e.live() {
		e.due = nanos(r.KeepUntil)
	}
	x.keep(e, r)
	x.file(e)
}

// maxKept is how many records of Available jobs are kept in memory, of about 1 KiB each. It
// spares those that are soon claimed from being read again.
const maxKept = 4096

// keep keeps a job's record, if it is of use.
func (x *index) keep(e *entry, r *record) {
	x.letGo(e)
	switch {
	case e.state == executing:
		e.record = r
	case e.state == available && x.kept < maxKept:
		x.kept++
		e.record = r
	}
}

// letGo undoes keep. The entry's state is the new one already.
func (x *index) letGo(e *entry) {
	if e.record != nil && e.record.State == overflow.Available {
		x.kept--
	}
	e.record = nil
}

// lane returns the jobs that wait in a lane, or nil.
func (x *index) lane(kind overflow.Kind, lane string) *ordered {
	k := kindNumber(kind)
	if k < 0 {
		return nil
	}
	return x.lanes[laneKey{uint8(k), unique.Make(lane)}]
}

// drop forgets a job.
func (x *index) drop(id string) {
	e := x.byID[id]
	if e == nil {
		return
	}
	x.unfile(e)
	if e.live() {
		x.live[e.kind].remove(e)
	}
	x.letGo(e)
	x.all.remove(e)
	delete(x.byID, id)
}

// file adds an entry to where its state belongs.
func (x *index) file(e *entry) {
	x.count[e.kind][e.state]++
	switch e.state {
	case available:
		x.ready[e.kind].insert(e)
	case waiting:
		key := laneKey{e.kind, e.lane}
		if x.lanes[key] == nil {
			x.lanes[key] = &ordered{before: byTurn}
		}
		x.lanes[key].insert(e)
	case scheduled:
		x.scheduled.insert(e)
	case executing:
		x.running[e.id] = e
	default:
		x.ended.insert(e)
	}
	if e.mayBeOverdue() {
		x.overdue.insert(e)
	}
}

// unfile undoes file.
func (x *index) unfile(e *entry) {
	x.count[e.kind][e.state]--
	switch e.state {
	case available:
		x.ready[e.kind].remove(e)
	case waiting:
		key := laneKey{e.kind, e.lane}
		if x.lanes[key].remove(e); x.lanes[key].n == 0 {
			delete(x.lanes, key)
		}
	case scheduled:
		x.scheduled.remove(e)
	case executing:
		delete(x.running, e.id)
	default:
		x.ended.remove(e)
	}
	if e.mayBeOverdue() {
		x.overdue.remove(e)
	}
}

func (e *entry) mayBeOverdue() bool {
	return e.deadline != 0 && (e.state == waiting || e.state == scheduled)
}

// dueBy returns the IDs of up to n entries of a list whose time, which at returns, has come.
func dueBy(o *ordered, at func(*entry) int64, now int64, n int) []string {
	var ids []string
	for e := range o.all {
		if len(ids) == n || at(e) > now {
			break
		}
		ids = append(ids, e.id)
	}
	return ids
}

func due(e *entry) int64      { return e.due }
func deadline(e *entry) int64 { return e.deadline }

// expired returns the IDs of up to n running jobs whose lease is over, the oldest first.
func (x *index) expired(now time.Duration, n int) []string {
	var ids []string
	for id, e := range x.running {
		if e.lease.over(now) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(n, len(ids))]
}

// stats counts.
func (x *index) stats() overflow.Stats {
	s := overflow.Stats{Jobs: make(map[overflow.Kind]map[overflow.State]int), Oldest: make(map[overflow.Kind]time.Time)}
	for k, kind := range overflow.Kinds {
		s.Jobs[kind] = make(map[overflow.State]int)
		for i, state := range overflow.States {
			s.Jobs[kind][state] = x.count[k][i]
		}
		if oldest := x.live[k].first(); oldest != nil {
			s.Oldest[kind] = time.Unix(0, oldest.created).UTC()
		}
	}
	for key, jobs := range x.lanes {
		s.Lanes = append(s.Lanes, overflow.Lane{Kind: overflow.Kinds[key.kind], Name: key.name.Value(), Waiting: jobs.n})
	}
	slices.SortFunc(s.Lanes, func(a, b overflow.Lane) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return s
}
