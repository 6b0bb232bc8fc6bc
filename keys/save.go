package keys

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"maps"
	"math"
	"time"
)

// savedWindow is the shortest window that is worth keeping over a restart of the process.
const savedWindow = 10 * time.Minute

// ErrUsage is what Restore returns for what Save has not written.
var ErrUsage = errors.New("what was saved of the usage cannot be read")

// savedUsage is what was used of one limit, as JSON. Times are in nanoseconds since 1970.
type savedUsage struct {
	Caller string  `json:"caller,omitempty"`
	Model  string  `json:"model,omitempty"`
	Kind   Kind    `json:"kind"`
	Part   int64   `json:"part"`   // the length of a part
	Head   int64   `json:"head"`   // the latest part
	Counts []int64 `json:"counts"` // of it and those before it, backwards
}

// Save returns what has been used in windows of 10 minutes and more, above all of budgets, as
// JSON for [Limiter.Restore] after a restart of the process. It holds names of keys and models and no
// secret. With Redis there is no need for it.
func (l *Limiter) Save() []byte {
	saved := []savedUsage{}
	now := l.time()
	for i := range l.usage.shards {
		s := &l.usage.shards[i]
		s.mu.RLock()
		entries := maps.Clone(s.entries)
		s.mu.RUnlock()
		for id, e := range entries {
			e.mu.Lock()
			for kind, w := range e.windows {
				if w == nil || w.part < partTime(savedWindow) {
					continue
				}
				w.advance(now)
				if w.total == 0 {
					continue
				}
				u := savedUsage{Caller: id.caller, Model: id.model, Kind: Kind(kind), Part: w.part, Head: w.head}
				for p := w.head; p >= 0 && p >= w.head-parts; p-- {
					u.Counts = append(u.Counts, w.counts[p%(parts+1)])
				}
				saved = append(saved, u)
			}
			e.mu.Unlock()
		}
	}
	text, _ := json.Marshal(saved) // numbers and names: it never fails
	return text
}

// Restore counts what [Limiter.Save] has written. What has been counted in this process already stays as it is. The
// error is ErrUsage, and nothing is counted then.
func (l *Limiter) Restore(text []byte) error {
	var saved []savedUsage
	if json.Unmarshal(text, &saved) != nil {
		return ErrUsage
	}
	for i := range saved {
		if !saved[i].valid() {
			return ErrUsage
		}
	}
	now := l.time()
	for i := range saved {
		u := &saved[i]
		if u.Head > now/u.Part {
			continue // the clock was ahead when it was saved, and it would count for too long
		}
		id := scopeID{caller: u.Caller, model: u.Model}
		e := l.usage.lock(&ruleSet{id: id, hash: maphash.Comparable(hashSeed, id)}, now)
		if e.windows[u.Kind] == nil {
			w := &window{part: u.Part, head: u.Head}
			for j, n := range u.Counts {
				w.add(u.Head-int64(j), n)
			}
			w.advance(now)
			e.windows[u.Kind] = w
		}
		e.mu.Unlock()
	}
	return nil
}

func (u *savedUsage) valid() bool {
	ok := u.Kind < Concurrency && u.Part >= partTime(savedWindow) && u.Part <= partTime(maxWindow) && u.Head >= 0 &&
		u.Head < (math.MaxInt64/u.Part)-2*parts && len(u.Counts) <= parts+1
	for _, n := range u.Counts {
		ok = ok && n >= 0 && n <= math.MaxInt64/1024 // so that the sum is none too large
	}
	return ok
}
