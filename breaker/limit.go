package breaker

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults and bounds of [LimitConfig].
const (
	DefaultFloor   = 1
	DefaultCeiling = 1000
	DefaultInitial = 10

	maxCeiling = 1 << 20
)

// LimitConfig says how many calls a target may have at a time. The zero value
// means any number.
type LimitConfig struct {
	// Adaptive makes the limit follow what the target can take, between Floor
	// and Ceiling. Otherwise the limit is always Ceiling.
	Adaptive bool `json:"adaptive,omitempty"`

	// Floor is what an adaptive limit never falls below: with calls that are
	// refused, there must be some left to learn from. Default 1.
	Floor int `json:"floor,omitempty"`

	// Ceiling is the limit, or what an adaptive one never exceeds. Default 1000
	// when adaptive, else 0, no limit. At most 1048576.
	Ceiling int `json:"ceiling,omitempty"`

	// Initial is where an adaptive limit starts. Default 10, or the bound that
	// is nearest to it.
	Initial int `json:"initial,omitempty"`
}

// Validate returns what is wrong with c, naming the fields as JSON does.
func (c LimitConfig) Validate() error {
	if !c.Adaptive {
		if c.Floor != 0 || c.Initial != 0 {
			return fmt.Errorf("floor and initial are for a limit that is adaptive")
		}
		return check(c.Ceiling >= 0 && c.Ceiling <= maxCeiling, "ceiling must be from 0 to %d, not %d", maxCeiling, c.Ceiling)
	}
	f := c.filled()
	if err := check(f.Floor >= 1 && f.Floor <= maxCeiling, "floor must be from 1 to %d, not %d", maxCeiling, f.Floor); err != nil {
		return err
	}
	if err := check(f.Ceiling >= f.Floor && f.Ceiling <= maxCeiling, "ceiling must be from %d to %d, not %d", f.Floor, maxCeiling, f.Ceiling); err != nil {
		return err
	}
	return check(f.Initial >= f.Floor && f.Initial <= f.Ceiling, "initial must be from %d to %d, not %d", f.Floor, f.Ceiling, f.Initial)
}

func (c LimitConfig) filled() LimitConfig {
	if !c.Adaptive {
		return c
	}
	c.Floor = cmp.Or(c.Floor, DefaultFloor)
	c.Ceiling = cmp.Or(c.Ceiling, max(DefaultCeiling, c.Floor))
	c.Initial = cmp.Or(c.Initial, min(max(DefaultInitial, c.Floor), c.Ceiling))
	return c
}

// Limit bounds the calls that a target has at a time. All methods may be called
// concurrently. Acquire takes no lock; nor does Release unless the limit is adaptive.
type Limit struct {
	onFree func()

	inFlight atomic.Int64
	limit    atomic.Int64
	adaptive atomic.Bool
	// Of the estimate, for the calls that begin: the last limit that the target
	// is known to take, and how often it has been cut.
	known atomic.Int64
	cuts  atomic.Uint32

	mu       sync.Mutex
	config   LimitConfig
	estimate estimate // while adaptive
}

// unlimited is a limit that is never reached.
const unlimited = math.MaxInt64

// NewLimit returns a limit with no calls in flight. The configuration must be valid.
//
// Unless it is nil, onFree is called whenever there may be room for another call:
// after each Release and Update, outside any lock, in their goroutine. A limit that has
// grown has more than one place, so whoever wakes those that wait goes on
// until Acquire refuses. onFree must not block.
func NewLimit(c LimitConfig, onFree func()) *Limit {
	l := &Limit{onFree: onFree}
	l.configure(c)
	return l
}

// Slot is the place of one call under the limit. It is a value and costs no
// allocation. The zero Slot is valid and belongs to no limit.
type Slot struct {
	l     *Limit
	rank  int32 // how many calls were in flight with this one
	cuts  uint32
	probe bool
}

// Acquire takes a place, and reports false if none is free. It does not wait.
// Release must be called exactly once for each place.
func (l *Limit) Acquire() (Slot, bool) {
	for {
		n := l.inFlight.Load()
		if n >= l.limit.Load() {
			return Slot{}, false
		}
		if l.inFlight.CompareAndSwap(n, n+1) {
			return Slot{l: l, rank: int32(n + 1), cuts: l.cuts.Load(), probe: n >= l.known.Load()}, true
		}
	}
}

// Probe reports whether the call goes beyond what the target is known to take, to
// learn whether it takes more by now, or such a call is in flight beside it: calls overtake
// each other on their way, so that the target may have refused one in the place of
// the other. If it is refused with a 429, that is the answer; it says nothing
// about the calls below and is no reason for a pause.
func (s Slot) Probe() bool {
	return s.probe || s.l != nil && s.l.inFlight.Load() > s.l.known.Load()
}

// Release gives the place back, and tells an adaptive limit what came of the call.
// Throttled says that the target refused it for having too much to do: 429,
// 529, 503 with Retry-After; the other arguments are then of no account. Latency is that
// of a success, 0 if unknown; the time to the first token is better than that
// to the last, which depends on the length of the answer.
func (s Slot) Release(o Outcome, latency time.Duration, throttled bool) {
	l := s.l
	if l == nil {
		return
	}
	// Learn first, so that after a refusal nobody takes the place that was too many.
	if l.adaptive.Load() && (throttled || o == Success) {
		l.learn(s, latency, throttled)
	}
	l.inFlight.Add(-1)
	l.freed()
}

func (l *Limit) freed() {
	if l.onFree != nil {
		l.onFree()
	}
}

func (l *Limit) learn(s Slot, latency time.Duration, throttled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.config.Adaptive {
		return
	}
	if throttled {
		l.estimate.throttled(int(s.rank), s.cuts)
	} else {
		l.estimate.succeeded(int(s.rank), l.InFlight(), s.cuts, latency)
	}
	l.publish()
}

// publish shows the estimate to those that take no lock.
func (l *Limit) publish() {
	e := &l.estimate
	l.cuts.Store(e.cuts)
	l.known.Store(unlimited)
	if e.wall > 0 {
		l.known.Store(int64(e.wall))
	}
	l.limit.Store(int64(e.limit))
}

func (l *Limit) configure(c LimitConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.config
	l.config = c.filled()
	l.adaptive.Store(c.Adaptive)
	if !c.Adaptive {
		l.known.Store(unlimited)
		l.limit.Store(cmp.Or(int64(c.Ceiling), unlimited))
		return
	}
	e := &l.estimate
	if !was.Adaptive {
		*e = estimate{limit: l.config.Initial, stride: fastest, cuts: e.cuts}
	}
	e.floor, e.ceiling = l.config.Floor, l.config.Ceiling
	e.limit = min(max(e.limit, e.floor), e.ceiling)
	l.publish()
}

// Update puts another configuration, which must be valid, in the place of the present
// one. The calls in flight keep their places, even where they are then too many. A
// limit that stays adaptive keeps what it has learned.
func (l *Limit) Update(c LimitConfig) {
	l.configure(c)
	l.freed()
}

// Limit returns the present limit, 0 if there is none.
func (l *Limit) Limit() int {
	if n := l.limit.Load(); n != unlimited {
		return int(n)
	}
	return 0
}

// InFlight returns how many places are taken.
func (l *Limit) InFlight() int { return int(l.inFlight.Load()) }
