package breaker

import (
	"math"
	"time"
)

// The simulations in estimate_test.go are what these were chosen for.
const (
	cutBy   = 0.8 // what is left of the limit after a refusal, at the least
	easeBy  = 0.8 // and after a window of slow answers
	fastest = 2   // successes per step while no wall is known: half as many again each round

	// A refusal is the price of trying one call more. Where the target has refused
	// before, that is tried after so many successes; after each further refusal there
	// after twice as many, twice over: it costs from 2 % of the calls down to 0.5 %.
	patienceCalls = 50
	mostPatience  = 2

	firstCalls = 20   // successes that tell the latency of the target at ease at first
	trendCalls = 100  // successes in a window of latencies, or one limit's worth
	tolerance  = 2.0  // times the latency of the target at ease: a queue as long as the work
	trial      = 0.65 // of the limit, to see whether the answers get faster,
	fruit      = 0.8  // which they do when they take so much of the time
)

// estimate is an adaptive limit's idea of what its target can take. It is guarded
// by the limit's lock. It grows while calls succeed that needed the room, and is cut on
// two signals:
//
//   - A refusal (429). It tells where the wall is: when the 21st call is refused
//     the target takes 20. But it may also refuse for another reason, such as its
//     tokens per minute: so one refusal takes no more than a fifth, and those of calls
//     that began before the cut take no more than their number.
//   - Rising latency, when the target queues instead of refusing. It is the weaker
//     signal, as latency also rises with longer prompts. So a cut must bear fruit: when
//     the calls are a third fewer and no faster, the number of calls was
//     not the reason, and is restored.
//
// The shape is TCP's: additive increase, multiplicative decrease, one decrease per
// round trip, slow start. The growth by successes that used at least half of the limit is
// after AIMDLimit of github.com/Netflix/concurrency-limits, the comparison of a recent
// with a lasting latency after its Gradient2Limit and after adaptivelimiter of
// github.com/failsafe-go/failsafe-go. The wall and its patience are after CUBIC (RFC 9438),
// which remembers where the last loss was and is slow around there.
type estimate struct {
	floor, ceiling int

	limit  int
	credit int // successes since the last step
	stride int // successes per step, where no wall is known

	// wall is the limit after the last cut, 0 when it was passed since.
	wall     int
	patience int
	cuts     uint32

	// The last cut: the limit before it, how many calls from before it were
	// refused, and what a refusal of theirs may take the limit to.
	before, refused, least int

	trend trend
}

// throttled counts a refusal of a call that was the rank-th and began when there had
// been that many cuts.
func (e *estimate) throttled(rank int, cuts uint32) {
	switch cuts {
	case e.cuts: // the first one of its round
		least := int(float64(e.limit) * cutBy)
		if e.probing() {
			e.patience = min(e.patience+1, mostPatience)
			least = e.wall
		}
		e.cut(least)
	case e.cuts - 1:
	default:
		return // of a round that is long past
	}
	// Two clues: which call was too many, and how many were. The first is off where
	// calls overtake each other on the way.
	e.refused++
	took := e.before - e.refused
	e.settle(min(e.limit, max(min(rank-1, took), min(e.least, took))))
}

// cut begins a new round: calls that began before it are told from those after.
func (e *estimate) cut(least int) {
	e.before, e.refused, e.least = e.limit, 0, least
	e.cuts++
}

func (e *estimate) probing() bool { return e.wall > 0 && e.limit > e.wall }

// settle cuts the limit, to stay for a while.
func (e *estimate) settle(limit int) {
	e.limit = max(limit, e.floor)
	e.wall = e.limit
	e.credit = 0
}

// succeeded counts a success of a call that was the rank-th and began when there had
// been that many cuts, and of which there were as many as busy at its end.
func (e *estimate) succeeded(rank, busy int, cuts uint32, latency time.Duration) {
	// Calls of before the last cut do not tell what it was good for.
	if latency > 0 && cuts == e.cuts {
		e.watch(rank, latency)
	}
	probing := e.probing()
	switch {
	case probing && rank <= e.wall:
		return // says nothing about what is above the wall
	case 2*max(rank, busy) <= e.limit:
		return // nobody needs more
	}
	if e.credit++; e.credit < e.needed() {
		return
	}
	e.credit = 0
	switch {
	case probing: // for a whole round: the wall is not there any more
		e.wall, e.patience = 0, 0
		e.stride = e.limit
	case e.wall == 0: // the farther from the last wall, the faster
		e.stride = max(fastest, e.stride/2)
	}
	e.limit = min(e.limit+1, e.ceiling)
}

// needed returns how many successes make a step.
func (e *estimate) needed() int {
	switch {
	case e.wall == 0:
		return e.stride
	case e.limit == e.wall:
		return max(e.limit, patienceCalls) << e.patience
	}
	return e.limit
}

// trend compares the latency of one window of successes after the other with that
// of the target at ease. Latencies are logarithms of nanoseconds: their mean is
// the geometric one, which a few very slow answers do not sway.
type trend struct {
	sum     float64
	n       int
	busiest int // rank

	base  float64 // of the target at ease, 0 when not known
	limit int     // before the cuts that are on trial, 0 when none are
	from  int     // the limit that the trial is measured from, 0 when there was no measure yet
	slow  float64 // the latency at that limit
}

// watch counts the latency of a success, and eases the limit at the end of a window
// that was too slow.
func (e *estimate) watch(rank int, latency time.Duration) {
	t := &e.trend
	t.sum += math.Log(float64(latency))
	t.n++
	t.busiest = max(t.busiest, rank)
	if t.n < max(trendCalls, e.limit) && (t.base > 0 || t.n < firstCalls) {
		return
	}
	recent, busiest := t.sum/float64(t.n), t.busiest
	t.sum, t.n, t.busiest = 0, 0, 0
	switch {
	case t.base == 0:
		t.base = recent
	case recent < t.base, 4*busiest <= e.limit: // slower when idle is not because of us
		t.base += 0.1 * (recent - t.base)
	case recent > t.base+math.Log(tolerance):
		e.ease(recent, busiest)
		return
	}
	t.limit = 0
}

// ease cuts the limit after a slow window, or gives up doing so.
func (e *estimate) ease(recent float64, busiest int) {
	t := &e.trend
	switch {
	case t.limit == 0: // a growing limit had a part in this window: no measure yet
		e.limit = min(e.limit, max(busiest, e.floor)) // more would not be felt
		t.limit, t.from = e.limit, 0
	case t.from == 0:
		t.from, t.slow = e.limit, recent
	case e.limit > e.floor && float64(e.limit) > trial*float64(t.from):
	case recent < t.slow+math.Log(fruit): // it bears fruit: go on
		t.limit, t.from, t.slow = e.limit, e.limit, recent
	default:
		e.limit = min(t.limit, e.ceiling)
		e.wall, e.credit, e.stride = 0, 0, e.limit
		t.base, t.limit = recent, 0
		return
	}
	e.cut(int(float64(e.limit) * easeBy))
	e.settle(e.least)
}
