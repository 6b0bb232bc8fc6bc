package breaker

import (
	"reflect"
	"testing"
	"time"
)

var adaptive = LimitConfig{Adaptive: true}

// TestTheLimitFindsWhatTheTargetTakes: 300 clients want more than the target
// takes, which answers 429 to what is too much.
func TestTheLimitFindsWhatTheTargetTakes(t *testing.T) {
	for name, s := range map[string]simulation{
		"twenty calls of uneven length":         {capacity: 20, service: spread(2 * time.Second)},
		"twenty calls of one length":            {capacity: 20, service: constant(time.Second)},
		"twenty short calls":                    {capacity: 20, service: spread(500 * time.Millisecond)},
		"twenty calls on a slow network":        {capacity: 20, service: spread(5 * time.Second), network: 100 * time.Millisecond},
		"twenty calls and no network at all":    {capacity: 20, service: constant(time.Second), network: -1},
		"twenty calls, and 429s ask for 1s":     {capacity: 20, service: spread(2 * time.Second), pause: time.Second},
		"twenty calls, and 429s ask for 5s":     {capacity: 20, service: spread(2 * time.Second), pause: 5 * time.Second},
		"one call at a time":                    {capacity: 1, service: spread(2 * time.Second)},
		"five calls":                            {capacity: 5, service: spread(2 * time.Second)},
		"a hundred calls":                       {capacity: 100, service: spread(2 * time.Second)},
		"nearly as many calls as there are":     {capacity: 280, service: spread(2 * time.Second)},
		"more calls than there are clients":     {capacity: 400, service: spread(2 * time.Second)},
		"twenty long calls, a few per minute":   {capacity: 20, service: spread(20 * time.Second)},
		"two calls, where every guess is large": {capacity: 2, service: constant(3 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			for s.seed = range seeds(s.capacity) {
				s := s
				s.start(300, adaptive)
				s.run(10 * time.Minute)
				used := s.used(0) * float64(s.capacity) / float64(min(s.capacity, 300))
				t.Logf("served %d, refused %d (%.2f %%), used %.1f %%, limit %d", s.served, s.refused, 100*s.refusedShare(), 100*used, s.limit.Limit())
				if s.refusedShare() >= 0.05 {
					t.Errorf("seed %d: %d of %d calls were refused", s.seed, s.refused, s.refused+s.served)
				}
				if used < 0.9 {
					t.Errorf("seed %d: only %.1f %% of the target's capacity was used", s.seed, 100*used)
				}
			}
		})
	}
}

// seeds returns how many runs there are: fewer of those that take longer.
func seeds(capacity int) uint64 { return uint64(min(max(1, 60/capacity), 3)) }

// TestThreeHundredClientsWithOneCallEach is over before much has been learned. What
// can be had is what a limit that was right from the start has.
func TestThreeHundredClientsWithOneCallEach(t *testing.T) {
	for name, service := range map[string]distribution{
		"of uneven length": spread(2 * time.Second),
		"of one length":    constant(time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			run := func(c LimitConfig) *simulation {
				s := &simulation{capacity: 20, service: service, calls: 300}
				s.start(300, c)
				s.run(time.Hour)
				if s.served != 300 {
					t.Fatalf("%d were served", s.served)
				}
				return s
			}
			s, best := run(adaptive), run(LimitConfig{Ceiling: 20})
			t.Logf("refused %d, took %v, could have taken %v", s.refused, s.now, best.now)
			if s.refusedShare() >= 0.05 || float64(best.now) < 0.9*float64(s.now) {
				t.Errorf("%d refused, took %v and not %v", s.refused, s.now, best.now)
			}
		})
	}
}

func TestTheLimitFollowsTheTarget(t *testing.T) {
	s := &simulation{capacity: 20, service: spread(2 * time.Second)}
	s.start(300, adaptive)
	minute := func(n int) { s.run(s.now + time.Duration(n)*time.Minute) }
	near := func(want int) {
		t.Helper()
		if got := s.limit.Limit(); got < want*9/10 || got > want+2 {
			t.Errorf("the limit is %d, the target takes %d", got, want)
		}
	}
	minute(2)
	near(20)
	s.capacity = 60
	minute(2)
	near(60)
	s.capacity = 5
	minute(2)
	near(5)
	s.capacity = 20
	minute(2)
	near(20)
}

// TestATargetThatQueuesIsNotFlooded: it never refuses, but gets slower.
func TestATargetThatQueuesIsNotFlooded(t *testing.T) {
	for _, capacity := range []int{20, 60} {
		s := &simulation{capacity: capacity, queues: true, service: spread(2 * time.Second)}
		s.start(300, adaptive)
		s.run(10 * time.Minute)
		from, sum := s.now, 0
		s.forget()
		const samples = 60
		for range samples {
			s.run(s.now + 30*time.Second)
			sum += s.limit.Limit()
		}
		mean := sum / samples
		t.Logf("capacity %d: limit %d on average, used %.1f %%", capacity, mean, 100*s.used(from))
		if mean < capacity || mean > 5*capacity/2 {
			t.Errorf("the limit is %d on average, for a target that works on %d", mean, capacity)
		}
		if s.used(from) < 0.97 {
			t.Errorf("only %.1f %% of the target's capacity was used", 100*s.used(from))
		}
	}
}

// TestSlowerAnswersThatAreNotOurDoing: prompts have become five times as long. The
// limit is lowered to see whether that helps, then restored.
func TestSlowerAnswersThatAreNotOurDoing(t *testing.T) {
	s := &simulation{capacity: 1000, service: spread(2 * time.Second)}
	s.start(300, LimitConfig{Adaptive: true, Ceiling: 100})
	s.run(3 * time.Minute)
	if got := s.limit.Limit(); got != 100 {
		t.Fatalf("the limit is %d", got)
	}
	s.service = spread(10 * time.Second)
	lowest := 100
	for range 4 * 60 {
		s.run(s.now + time.Second)
		lowest = min(lowest, s.limit.Limit())
	}
	if got := s.limit.Limit(); got != 100 || lowest < 40 || lowest == 100 {
		t.Errorf("the limit went down to %d and is %d", lowest, got)
	}
}

func TestTheSimulationIsTheSameEachTime(t *testing.T) {
	run := func() []time.Duration {
		s := &simulation{capacity: 20, service: spread(time.Second)}
		s.start(300, adaptive)
		s.run(2 * time.Minute)
		return append(s.work, s.slowest, time.Duration(s.refused))
	}
	if !reflect.DeepEqual(run(), run()) {
		t.Error("two runs differ")
	}
}

// TestAnEstimateKeepsItsBounds: whatever happens, in whatever order.
func TestAnEstimateKeepsItsBounds(t *testing.T) {
	s := simulation{}
	s.start(0, LimitConfig{Adaptive: true, Floor: 3, Ceiling: 30})
	slots := []Slot{}
	for range 100_000 {
		if slot, ok := s.limit.Acquire(); ok && s.rng.IntN(2) == 0 {
			slots = append(slots, slot)
		} else if ok {
			slot.Release(Ignored, 0, false)
		}
		if n := len(slots); n > 0 && s.rng.IntN(2) == 0 {
			i := s.rng.IntN(n)
			slots[i].Release(Outcome(s.rng.IntN(3)), spread(time.Second)(s.rng), s.rng.IntN(10) == 0)
			slots[i] = slots[n-1]
			slots = slots[:n-1]
		}
		if n := s.limit.Limit(); n < 3 || n > 30 || s.limit.InFlight() != len(slots) || s.limit.InFlight() > 30 {
			t.Fatalf("limit %d, in flight %d of %d", n, s.limit.InFlight(), len(slots))
		}
	}
}
