package keys

import "time"

// parts is how many parts a window has, beside the one that has just begun. More would count more
// exactly, and cost 8 bytes each for every limit of every active key.
const parts = 60

// window is what was used in each part of a time. Times are in nanoseconds; a part is known by
// how many came before it.
type window struct {
	part   int64 // its length
	head   int64 // the latest
	total  int64 // of all
	counts [parts + 1]int64
}

// partOf returns how long a window's parts are, in units of which the window has so many.
func partOf(window int64) int64 { return (window + parts - 1) / parts }

// partTime returns the length of a window's parts: whole microseconds, as Redis counts.
func partTime(w time.Duration) int64 {
	return partOf(int64(w/time.Microsecond)) * int64(time.Microsecond)
}

// advance drops what is too old to count. Time that goes back stands still.
func (w *window) advance(now int64) {
	at := now / w.part
	if at-w.head > parts {
		w.head, w.total, w.counts = at, 0, [parts + 1]int64{}
		return
	}
	for w.head < at {
		w.head++
		c := &w.counts[w.head%(parts+1)]
		w.total -= *c
		*c = 0
	}
}

// recut changes the length of the parts. What is in one goes to where its end falls.
func (w *window) recut(part int64) {
	if w.part == part {
		return
	}
	old := *w
	*w = window{part: part, head: convert(old.head, old.part, part)}
	for s := max(old.head-parts, 0); s <= old.head; s++ {
		w.add(convert(s, old.part, part), old.counts[s%(parts+1)])
	}
}

// convert returns in which slice of another length the end of a part falls.
func convert(s, from, to int64) int64 {
	if from == to {
		return s
	}
	return ((s+1)*from - 1) / to
}

// add counts what was used in a part. It may be negative, but no part is ever less than 0. What is
// of a part that counts no longer is forgotten.
func (w *window) add(part, n int64) {
	if part > w.head || part < w.head-parts || part < 0 {
		return
	}
	c := &w.counts[part%(parts+1)]
	n = max(n, -*c)
	*c += n
	w.total += n
}

// until returns how long a part counts from now on.
func (w *window) until(part, now int64) time.Duration {
	return time.Duration((part+parts+1)*w.part - now)
}

// wait returns after how long need more fits into a limit, 0 for now and -1 for never.
func (w *window) wait(need, limit, now int64) time.Duration {
	excess := w.total + need - limit
	if excess <= 0 {
		return 0
	}
	for s := max(w.head-parts, 0); s <= w.head; s++ {
		if excess -= w.counts[s%(parts+1)]; excess <= 0 {
			return w.until(s, now)
		}
	}
	return never
}

// reset returns after how long nothing counts any more that has been used so far.
func (w *window) reset(now int64) time.Duration {
	if w.total == 0 {
		return 0
	}
	for s := w.head; s >= 0; s-- { // total is not 0, so this ends
		if w.counts[s%(parts+1)] != 0 {
			return w.until(s, now)
		}
	}
	return 0
}

// never is the wait for what no time brings.
const never = time.Duration(-1)
