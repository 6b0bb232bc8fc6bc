package gateway

import (
	"sync/atomic"
	"time"
)

// budget bounds the calls that are made beyond the first of each request, so that a
// provider in trouble is not asked all the more for it. It is safe for concurrent use.
type budget struct {
	share  int64        // of a call, for each first call; in thousandths. Below 0: no bound.
	saved  atomic.Int64 // thousandths of a call
	filled atomic.Int64 // when it was last filled up
}

const (
	oneCall = 1000
	// reserve is what may be saved up, and what there is at the beginning. It
	// fills by one call a second even when there are none to take a share of.
	reserve = 100 * oneCall
)

func newBudget(share float64) *budget {
	b := &budget{share: int64(share * oneCall)}
	b.saved.Store(reserve)
	b.filled.Store(int64(clock()))
	return b
}

// first notes the first call of a request.
func (b *budget) first() {
	if b.share > 0 && b.saved.Load() < reserve {
		b.saved.Add(b.share)
	}
}

// take takes a further call from the budget, and reports false if there is not enough.
func (b *budget) take() bool {
	if b.share < 0 {
		return true
	}
	now, last := int64(clock()), b.filled.Load()
	if seconds := (now - last) / int64(time.Second); seconds > 0 && b.filled.CompareAndSwap(last, last+seconds*int64(time.Second)) {
		b.saved.Add(min(seconds*oneCall, max(0, reserve-b.saved.Load())))
	}
	if b.saved.Add(-oneCall) >= 0 {
		return true
	}
	b.saved.Add(oneCall)
	return false
}
