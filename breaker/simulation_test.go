package breaker

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"time"
)

// simulation is a target, a limit before it, and clients that wait in line, in
// virtual time: one event after the other, and the same ones each time.
type simulation struct {
	limit    *Limit
	capacity int
	queues   bool          // what is too much waits at the target; otherwise a 429
	service  distribution  // how long the target works on a call
	network  time.Duration // one way, on average; 0 for 20ms, negative for none
	pause    time.Duration // Retry-After of the 429s
	calls    int           // to serve; 0 for no end

	seed   uint64
	rng    *rand.Rand
	now    time.Duration
	events events
	order  int

	waiting     int // clients in the line
	pausedUntil time.Duration
	busy        int             // at the target
	backlog     []arrived       // at the target
	served      int             // calls
	refused     int             // 429s
	slowest     time.Duration   // latency since the last reset
	work        []time.Duration // service times of the calls served
}

type arrived struct {
	slot Slot
	sent time.Duration
}

type distribution func(*rand.Rand) time.Duration

// constant times make calls that begin together end together.
func constant(d time.Duration) distribution { return func(*rand.Rand) time.Duration { return d } }

// spread is log-normal, as latencies of models are; few are four times the median.
func spread(median time.Duration) distribution {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(median) * math.Exp(0.6*r.NormFloat64()))
	}
}

func (s *simulation) start(clients int, c LimitConfig) {
	s.rng = rand.New(rand.NewPCG(s.seed, 0))
	s.network = max(0, cmp.Or(s.network, 20*time.Millisecond))
	s.limit = NewLimit(c, s.serve)
	s.waiting = clients
	s.serve()
}

// run makes what happens until then happen, or until the calls are served.
func (s *simulation) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until && (s.calls == 0 || s.served < s.calls) {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.do()
	}
	if s.calls == 0 {
		s.now = until
	}
}

func (s *simulation) after(d time.Duration, do func()) {
	s.order++
	heap.Push(&s.events, event{s.now + d, s.order, do})
}

func (s *simulation) hop() time.Duration {
	return time.Duration(float64(s.network) * (0.5 + s.rng.Float64()))
}

// serve is the line: it lets clients go until the limit refuses.
func (s *simulation) serve() {
	for s.waiting > 0 && s.now >= s.pausedUntil {
		slot, ok := s.limit.Acquire()
		if !ok {
			return
		}
		s.waiting--
		sent := s.now
		s.after(s.hop(), func() { s.arrive(arrived{slot, sent}) })
	}
}

func (s *simulation) arrive(a arrived) {
	switch {
	case s.busy < s.capacity:
		s.begin(a)
	case s.queues:
		s.backlog = append(s.backlog, a)
	default:
		s.after(s.hop(), func() { s.refuse(a) })
	}
}

func (s *simulation) begin(a arrived) {
	s.busy++
	d := s.service(s.rng)
	s.after(d, func() {
		s.busy--
		if len(s.backlog) > 0 && s.busy < s.capacity {
			next := s.backlog[0]
			s.backlog = s.backlog[1:]
			s.begin(next)
		}
		s.after(s.hop(), func() { s.answer(a, d) })
	})
}

func (s *simulation) answer(a arrived, work time.Duration) {
	s.served++
	s.work = append(s.work, work)
	s.slowest = max(s.slowest, s.now-a.sent)
	if s.calls == 0 { // the client has another one
		s.waiting++
	}
	a.slot.Release(Success, s.now-a.sent, false)
}

func (s *simulation) refuse(a arrived) {
	s.refused++
	s.waiting++
	if s.pause > 0 && !a.slot.Probe() {
		s.pausedUntil = s.now + s.pause
		s.after(s.pause, s.serve)
	}
	a.slot.Release(Ignored, 0, true)
}

// refusedShare returns which part of the calls was refused.
func (s *simulation) refusedShare() float64 {
	return float64(s.refused) / float64(max(s.refused+s.served, 1))
}

// used returns which part of the target's time for work was used since then.
func (s *simulation) used(since time.Duration) float64 {
	var sum time.Duration
	for _, d := range s.work {
		sum += d
	}
	return float64(sum) / (float64(s.now-since) * float64(s.capacity))
}

// forget starts the counts over.
func (s *simulation) forget() {
	s.served, s.refused, s.slowest, s.work = 0, 0, 0, nil
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
