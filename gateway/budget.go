package gateway

import (
	"sync/atomic"
	"time"
)

// budget bounds the calls that are made beyond the first of each request, so that a
// provider in trouble is not asked all the more for it. What is not used is saved up: a
// reserve, and the share of a minute's requests, so that all requests that a provider drops
// at once can go to another. It is safe for concurrent use.
type budget struct {
	share  int64        // of a call, for each first call; in thousandths. Below 0: no bound.
	saved  atomic.Int64 // thousandths of a call
	filled atomic.Int64 // when it was last filled up

	minute        atomic.Int64 // by clock
	calls, before atomic.Int64 // first calls in this minute, and in the one before
}

const (
	oneCall = 1000
	// reserve is what there is at the beginning. It fills up again by one call a second
	// even when there are none to take a share of.
	reserve = 100 * oneCall
)

func newBudget(share float64) *budget {
	b := &budget{share: int64(share * oneCall)}
	b.saved.Store(reserve)
	b.filled.Store(int64(clock()))
	return b
}

// first notes the first call of a request, which begins now.
func (b *budget) first(now time.Duration) {
	if b.share <= 0 {
		return
	}
	b.turn(now)
	if calls := b.calls.Add(1); b.saved.Load() < reserve+b.share*max(calls, b.before.Load()) {
		b.saved.Add(b.share)
	}
}

// turn sees to it that what was saved up before the minute before is gone.
func (b *budget) turn(now time.Duration) {
	minute, last := int64(now/time.Minute), b.minute.Load()
	if minute <= last || !b.minute.CompareAndSwap(last, minute) {
		return
	}
	calls := b.calls.Swap(0)
	if minute > last+1 {
		calls = 0
	}
	b.before.Store(calls)
	if over := b.saved.Load() - reserve - b.share*calls; over > 0 {
		b.saved.Add(-over)
	}
}

// take takes a further call from the budget, and reports false if there is not enough.
func (b *budget) take() bool {
	if b.share < 0 {
		return true
	}
	now, last := clock(), b.filled.Load()
	b.turn(now)
	if seconds := (int64(now) - last) / int64(time.Second); seconds > 0 && b.filled.CompareAndSwap(last, last+seconds*int64(time.Second)) {
		b.saved.Add(min(seconds*oneCall, max(0, reserve-b.saved.Load())))
	}
	if b.saved.Add(-oneCall) >= 0 {
		return true
	}
	b.saved.Add(oneCall)
	return false
}
