package keys

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shards is how many maps usage is spread over, a power of two.
	shards = 64
	// sweepEvery is how often a shard looks for entries that are of no use any more, and
	// sweepMax at how many of them. Requests pay for it, so it is little at a time.
	sweepEvery = int64(time.Second)
	sweepMax   = 32
)

// usage is what has been used of every limit lately, in memory. It knows no limits, so that it outlives
// the configurations that set them. Its zero value is ready.
type usage struct {
	shards [shards]shard
}

type shard struct {
	sweep   atomic.Int64 // when next
	mu      sync.RWMutex
	entries map[scopeID]*entry
}

// entry is the usage of one scope.
type entry struct {
	mu       sync.Mutex
	dead     bool // no longer in the map
	inFlight int64
	windows  [Concurrency]*window // by kind; nil while nothing was used
}

// lock returns the entry of a scope, locked. The caller may hold those of lesser
// scopes, but no others.
func (u *usage) lock(set *ruleSet, now int64) *entry {
	s := &u.shards[set.hash%shards]
	for {
		s.mu.RLock()
		e := s.entries[set.id]
		s.mu.RUnlock()
		if e == nil {
			e = s.insert(set.id)
		}
		e.mu.Lock()
		if !e.dead {
			if due := s.sweep.Load(); now >= due && s.sweep.CompareAndSwap(due, now+sweepEvery) {
				s.clean(now)
			}
			return e
		}
		e.mu.Unlock()
	}
}

func (s *shard) insert(id scopeID) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[id]; e != nil {
		return e
	}
	if s.entries == nil {
		s.entries = make(map[scopeID]*entry)
	}
	e := new(entry)
	s.entries[id] = e
	return e
}

// clean removes some entries, of those that it looks at, that are as good as new. It waits for none that is in use.
func (s *shard) clean(now int64) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	looked := 0
	for id, e := range s.entries { // in an order that changes
		if looked++; looked > sweepMax {
			return
		}
		if !e.mu.TryLock() {
			continue
		}
		if e.idle(now) {
			e.dead = true
			delete(s.entries, id)
		}
		e.mu.Unlock()
	}
}

// idle reports whether nothing of the entry counts any more.
func (e *entry) idle(now int64) bool {
	for _, w := range e.windows {
		if w != nil {
			w.advance(now)
			if w.total != 0 {
				return false
			}
		}
	}
	return e.inFlight == 0
}

// window returns what has been used of a limit as of now.
func (e *entry) window(r *rule, now int64) *window {
	part := partTime(r.window)
	w := e.windows[r.kind]
	if w == nil {
		w = &window{part: part, head: now / part}
		e.windows[r.kind] = w
	}
	w.recut(part)
	w.advance(now)
	return w
}

// take admits a lease's request if none of its limits is reached, and counts it then. With
// force it is counted in any case, and what Redis has said about the limits stays.
func (u *usage) take(l *Lease, now int64, force bool) bool {
	for i := range l.sets[:l.nsets] {
		l.sets[i].entry = u.lock(l.sets[i].rules, now)
	}
	ok := true
	if !force {
		for i := range l.checks[:l.nchecks] {
			c := &l.checks[i]
			c.test(l.sets[c.set].entry, now)
			ok = ok && c.wait == 0
		}
	}
	for i := range l.checks[:l.nchecks] {
		c := &l.checks[i]
		e := l.sets[c.set].entry
		if ok {
			c.book(e, now)
		}
		if !force {
			c.look(e, ok, now)
		}
	}
	for i := range l.sets[:l.nsets] {
		e := l.sets[i].entry
		if ok {
			e.inFlight++
			l.sets[i].held = true
		}
		e.mu.Unlock()
	}
	return ok
}

// settle corrects what a lease's request has used, by how much of each kind it truly
// was; -1 is as much as was taken.
func (u *usage) settle(l *Lease, actual *[kinds]int64, now int64) {
	for i := range l.sets[:l.nsets] {
		s := &l.sets[i]
		if !s.held {
			continue
		}
		s.entry.mu.Lock()
		s.entry.inFlight--
		for j := range l.checks[:l.nchecks] {
			c := &l.checks[j]
			if used := actual[c.rule.kind]; int(c.set) == i && c.rule.kind != Concurrency && used >= 0 {
				c.correct(s.entry, used-c.amount, now)
			}
		}
		s.entry.mu.Unlock()
		s.held = false
	}
}

// concurrencyWait is after how long a client may try again that had too many requests under
// way. When one of them ends, nobody knows.
const concurrencyWait = time.Second

// test finds out after how long the limit would admit the request.
func (c *check) test(e *entry, now int64) {
	if c.rule.kind == Concurrency {
		c.wait = 0
		if e.inFlight >= c.rule.limit {
			c.wait = concurrencyWait
		}
		return
	}
	c.wait = e.window(c.rule, now).wait(c.need(), c.rule.limit, now)
}

// need is how much must be left. Without any left, there is none for a request of unknown size either.
func (c *check) need() int64 { return max(c.amount, 1) }

// book counts the request.
func (c *check) book(e *entry, now int64) {
	if c.rule.kind != Concurrency {
		w := e.window(c.rule, now)
		w.add(w.head, c.amount)
		c.part, c.partTime = w.head, w.part
	}
}

// look finds out how much is used, with the request if it was admitted, and until when.
func (c *check) look(e *entry, admitted bool, now int64) {
	if c.rule.kind == Concurrency {
		c.used = e.inFlight
		if admitted {
			c.used++
		}
		return
	}
	w := e.window(c.rule, now)
	c.used, c.reset, c.grow = w.total, w.reset(now), 0
	if c.used >= c.rule.limit {
		c.grow = max(w.wait(1, c.used, now), 0) // when there is any less
	}
}

// correct counts more, as of now, since it could not be counted before; or less, where it was counted.
func (c *check) correct(e *entry, by, now int64) {
	w := e.window(c.rule, now)
	switch {
	case by > 0:
		w.add(w.head, by)
	case by < 0:
		w.add(convert(c.part, c.partTime, w.part), by)
	}
}
