package breaker

import "sync/atomic"

// tenths is how many buckets a window has.
const tenths = 10

// window counts the outcomes of a while. Its memory is constant. A success is
// counted without a lock; everything else is guarded by the breaker's.
type window struct {
	width   int64 // of a bucket, in nanoseconds
	buckets [tenths]bucket

	// streak is false when there are no failures in a row. A success writes it
	// only when it ends a row, so that successes share the line in the cache.
	streak atomic.Bool
}

// bucket counts what happened in one tick: a width of time, numbered from the
// clock's zero.
type bucket struct {
	tick      atomic.Int64
	successes atomic.Int64
	failures  int64
	row       int64 // failures after the last success
}

func newWindow(of Duration) *window {
	w := &window{width: int64(of) / tenths}
	for i := range w.buckets {
		w.buckets[i].tick.Store(-1)
	}
	return w
}

// success counts one, and reports false if that needs turn first.
func (w *window) success(now int64) bool {
	if w.streak.Load() {
		w.streak.Store(false)
	}
	tick := now / w.width
	b := &w.buckets[tick%tenths]
	if b.tick.Load() != tick {
		return false
	}
	// Who is held up here for a whole window counts for the bucket's next
	// tick: not worth a lock.
	b.successes.Add(1)
	return true
}

// turn returns the bucket of now, emptied if its last tick was another, or nil
// if another goroutine's clock is a window ahead.
func (w *window) turn(now int64) *bucket {
	tick := now / w.width
	b := &w.buckets[tick%tenths]
	switch last := b.tick.Load(); {
	case last > tick:
		return nil
	case last < tick:
		b.successes.Store(0)
		b.failures, b.row = 0, 0
		b.tick.Store(tick) // last: from now on success counts here
	}
	return b
}

// failure counts one.
func (w *window) failure(now int64) {
	if !w.streak.Swap(true) {
		for i := range w.buckets {
			w.buckets[i].row = 0
		}
	}
	if b := w.turn(now); b != nil {
		b.failures++
		b.row++
	}
}

// sums returns what happened in the tick of now and those before it that the
// window holds.
func (w *window) sums(now int64) (calls, failures, row int64) {
	oldest := now/w.width - tenths + 1
	for i := range w.buckets {
		b := &w.buckets[i]
		if b.tick.Load() < max(oldest, 0) {
			continue
		}
		calls += b.successes.Load() + b.failures
		failures += b.failures
		row += b.row
	}
	if !w.streak.Load() {
		row = 0
	}
	return calls, failures, row
}
