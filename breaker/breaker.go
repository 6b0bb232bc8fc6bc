// Package breaker keeps calls away from a target that cannot take them. A
// [Breaker] learns from the outcomes of calls that a target is down, or is told by
// the target to wait; a [Limit] learns how many calls at a time it can take. Both are
// plain state machines, safe for concurrent use, with no goroutine or timer.
//
// The caller asks both before a call and tells both what came of it:
//
//	permit, err := b.Allow()    // a *Refusal: take another target
//	slot, ok := l.Acquire()     // not ok: take another target, permit.Done(Ignored)
//	...                         // the call
//	permit.DoneAfter(firstToken, outcome)
//	slot.Release(outcome, firstToken, throttled)
//
// The breaker with its two-step permit and its generations is after
// github.com/sony/gobreaker, the time left until the next probe after
// github.com/failsafe-go/failsafe-go; limit.go has its own sources.
package breaker

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// jitter is by which part an open time is longer or shorter than it would be.
const jitter = 0.1

// MaxPause is the longest pause: a target that wants to be left alone for longer
// is asked again once an hour.
const MaxPause = time.Hour

// Options are what a [Breaker] needs beside its configuration. The zero value is
// for use, the fields Clock and Rand are for tests.
type Options struct {
	// OnChange is told of every change of state: outside any lock, one at a time
	// and in order, in the goroutine of a call that is under way in the breaker,
	// which may be another than the one that made the change and return
	// before it is told. It may use the breaker. It should not block.
	OnChange func(from, to State)

	// Clock returns the time that has passed since a fixed point, and never goes
	// back nor below zero. Default: since New, monotonic.
	Clock func() time.Duration

	// Rand returns numbers from 0 up to but not including 1. It is called under
	// a lock. Default rand.Float64.
	Rand func() float64
}

// Breaker decides whether a target may be called. It is closed as long as calls
// succeed; after too many failures it is open and refuses all calls; then it is
// half-open and lets a few probes through, which close or open it again. Beside that, it
// may be paused, whatever its state.
//
// All methods may be called concurrently. While it is closed and not paused they take no
// lock, except for a failure, and for the first success in a tenth of the window.
type Breaker struct {
	clock    func() time.Duration
	rand     func() float64
	onChange func(from, to State)

	// now is what the breaker is in, and the generation of the permits: a
	// result whose permit is of another period came too late to matter.
	now    atomic.Pointer[period]
	config atomic.Pointer[Config]
	pause  atomic.Int64 // the clock's time when it ends, 0 for none

	mu         sync.Mutex // held for every change of what follows, and of now and config
	openings   int        // since the breaker was last stable
	closed     int64      // when it was last closed
	changes    []change   // that OnChange has not been told of
	delivering bool
}

// period is the time from one change of state to the next.
type period struct {
	state  State
	window atomic.Pointer[window] // while closed
	until  int64                  // while open: when to probe

	// While half-open; written under the breaker's lock.
	probes    atomic.Int32 // under way
	successes int
}

type change struct{ from, to State }

// New returns a closed breaker. The configuration must be valid.
func New(c Config, o Options) *Breaker {
	b := &Breaker{clock: o.Clock, rand: o.Rand, onChange: o.OnChange}
	if b.clock == nil {
		began := time.Now() // not of the process: in a synctest bubble that is in the future
		b.clock = func() time.Duration { return time.Since(began) }
	}
	if b.rand == nil {
		b.rand = rand.Float64
	}
	c = c.filled()
	b.config.Store(&c)
	p := &period{state: Closed}
	p.window.Store(newWindow(c.Window))
	b.now.Store(p)
	return b
}

// Permit is the leave to make one call. It is a value and costs no allocation. The
// zero Permit is valid and tells nobody.
type Permit struct {
	b *Breaker
	p *period
}

// Allow asks whether a call may start. If the error is nil, the permit's Done or
// DoneAfter must be called exactly once, as soon as the outcome is known. Otherwise
// the error is a *[Refusal].
func (b *Breaker) Allow() (Permit, error) {
	p := b.now.Load()
	if p.state == Closed && b.pause.Load() == 0 {
		return Permit{b, p}, nil
	}
	now := int64(b.clock())
	if left, reason := b.refuses(p, now); reason != nil {
		return Permit{}, &Refusal{Reason: reason, RetryAfter: left}
	}
	return b.admit(now)
}

// admit is Allow under the lock.
func (b *Breaker) admit(now int64) (Permit, error) {
	b.mu.Lock()
	defer b.unlock()
	p := b.now.Load()
	if left, reason := b.refuses(p, now); reason != nil {
		return Permit{}, &Refusal{Reason: reason, RetryAfter: left}
	}
	if until := b.pause.Load(); until != 0 && until <= now {
		b.pause.CompareAndSwap(until, 0) // lost to a new pause: so be it
	}
	if p.state == Open {
		p = b.enter(&period{state: HalfOpen})
	}
	if p.state == HalfOpen {
		p.probes.Add(1)
	}
	return Permit{b, p}, nil
}

// refuses returns why no call may start now and for how long, a nil reason if one may.
func (b *Breaker) refuses(p *period, now int64) (left time.Duration, reason error) {
	if left = time.Duration(b.pause.Load() - now); left > 0 {
		reason = ErrPaused
	} else {
		left = 0
	}
	switch {
	case p.state == Open && p.until > now:
		return max(left, time.Duration(p.until-now)), ErrOpen
	case p.state == HalfOpen && reason == nil && int(p.probes.Load()) >= b.config.Load().HalfOpen:
		return 0, ErrProbing
	}
	return left, reason
}

// Probe reports whether the call is one of the few that decide whether the
// breaker closes. As those that wait for the target wait for it, a caller may
// report its success when the answer has begun, and not only when it has ended.
func (p Permit) Probe() bool { return p.b != nil && p.p.state == HalfOpen }

// Done reports what came of the call.
func (p Permit) Done(o Outcome) {
	if p.b == nil {
		return
	}
	if p.p.state == Closed {
		switch o {
		case Ignored:
			return
		case Success:
			// A late one is counted in a window that nobody looks at any more.
			if p.p.window.Load().success(int64(p.b.clock())) {
				return
			}
		}
	}
	p.b.settle(p.p, o)
}

// DoneAfter is Done for a call whose first token came after this time, counted
// from when it was sent; zero if that is not known. A success that was slower than
// [Config] allows is a failure.
func (p Permit) DoneAfter(firstToken time.Duration, o Outcome) {
	if p.b != nil && o == Success {
		if slow := p.b.config.Load().SlowCall; slow > 0 && firstToken > time.Duration(slow) {
			o = Failure
		}
	}
	p.Done(o)
}

// settle counts an outcome under the lock.
func (b *Breaker) settle(p *period, o Outcome) {
	now := int64(b.clock())
	b.mu.Lock()
	defer b.unlock()
	if b.now.Load() != p {
		return
	}
	c := b.config.Load()
	if p.state == HalfOpen {
		p.probes.Add(-1)
		switch o {
		case Failure:
			b.open(now)
		case Success:
			if p.successes++; p.successes >= c.HalfOpen {
				b.close(now)
			}
		}
		return
	}
	w := p.window.Load()
	if o == Success {
		w.turn(now)
		w.success(now)
		return
	}
	w.failure(now)
	calls, failures, row := w.sums(now)
	inRow := c.Failures > 0 && row >= int64(c.Failures)
	inAll := c.FailureRatio > 0 && calls >= int64(c.MinimumCalls) && float64(failures) >= c.FailureRatio*float64(calls)
	if inRow || inAll {
		b.open(now)
	}
}

func (b *Breaker) open(now int64) {
	c := b.config.Load()
	if b.now.Load().state == Closed && now-b.closed >= int64(c.Window) {
		b.openings = 0
	}
	b.openings++
	d, most := c.OpenFor, c.MaxOpenFor
	for i := 1; i < b.openings && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	d += Duration(float64(d) * jitter * (2*b.rand() - 1))
	b.enter(&period{state: Open, until: now + int64(min(d, most))})
}

func (b *Breaker) close(now int64) {
	b.closed = now
	p := &period{state: Closed}
	p.window.Store(newWindow(b.config.Load().Window))
	b.enter(p)
}

func (b *Breaker) enter(p *period) *period {
	if b.onChange != nil {
		b.changes = append(b.changes, change{b.now.Load().state, p.state})
	}
	b.now.Store(p)
	return p
}

// unlock gives up the lock and tells OnChange what has changed, unless another
// goroutine is doing so: then that one goes on with these changes, which keeps
// them in order.
func (b *Breaker) unlock() {
	defer b.mu.Unlock()
	for len(b.changes) > 0 && !b.delivering {
		next := b.changes[0]
		b.changes = b.changes[1:]
		b.deliver(next)
	}
}

func (b *Breaker) deliver(c change) {
	b.delivering = true
	b.mu.Unlock()
	defer func() { // even when OnChange panics
		b.mu.Lock()
		b.delivering = false
	}()
	b.onChange(c.from, c.to)
}

// Pause makes Allow refuse for as long as the target has asked for, whatever the
// state, which it does not change: a target that says when to come back has not failed. A
// pause never shortens the one that is under way, and is at most [MaxPause].
func (b *Breaker) Pause(d time.Duration) {
	if d <= 0 {
		return
	}
	until := int64(b.clock() + min(d, MaxPause))
	for {
		old := b.pause.Load()
		if old >= until || b.pause.CompareAndSwap(old, until) {
			return
		}
	}
}

// Ready reports whether Allow would let a call start now. It has no effect, and
// makes no promise.
func (b *Breaker) Ready() bool {
	p := b.now.Load()
	if p.state == Closed && b.pause.Load() == 0 {
		return true
	}
	_, reason := b.refuses(p, int64(b.clock()))
	return reason == nil
}

// RetryAfter returns how long Allow is sure to refuse: the rest of the open time or
// of the pause, whichever ends later. Zero means now, or, half-open, when a probe ends.
func (b *Breaker) RetryAfter() time.Duration {
	left, _ := b.refuses(b.now.Load(), int64(b.clock()))
	return left
}

// State returns the state. An open breaker is open until the first probe, however
// long ago its time has passed.
func (b *Breaker) State() State { return b.now.Load().state }

// Status returns what a status page shows.
func (b *Breaker) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, p := int64(b.clock()), b.now.Load()
	s := Status{State: p.state, PausedFor: Duration(max(0, b.pause.Load()-now))}
	switch p.state {
	case Open:
		s.OpenFor = Duration(max(0, p.until-now))
	case Closed:
		calls, failures, _ := p.window.Load().sums(now)
		s.Calls, s.Failures = int(calls), int(failures)
	}
	return s
}

// Update puts another configuration, which must be valid, in the place of the
// present one. State, pause and permits stay as they are. What has been counted is
// kept unless Window changes. An open time that is under way ends no later than the
// new MaxOpenFor from now; other settings matter at the next outcome.
func (b *Breaker) Update(c Config) {
	c = c.filled()
	now := int64(b.clock())
	b.mu.Lock()
	defer b.unlock()
	old := b.config.Swap(&c)
	switch p := b.now.Load(); p.state {
	case Closed:
		if c.Window != old.Window {
			p.window.Store(newWindow(c.Window))
		}
	case Open:
		// Not a change of state, and there are no permits of this one.
		b.now.Store(&period{state: Open, until: min(p.until, now+int64(c.MaxOpenFor))})
	}
}
