package policy

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatsCountCallsUnderWay(t *testing.T) {
	t.Parallel()
	var s Stats
	s.Begin()
	s.Begin()
	s.End()
	if got := s.InFlight(); got != 1 {
		t.Errorf("%d calls are under way, want 1", got)
	}
}

func TestStatsThatAreNilHaveSeenNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*Stats{"nil": nil, "new": new(Stats)} {
		for _, stream := range []bool{false, true} {
			if d, ok := s.Latency(stream); d != 0 || ok {
				t.Errorf("%s: latency %v, %t", name, d, ok)
			}
		}
		if s.InFlight() != 0 || s.FailureRatio() != 0 {
			t.Errorf("%s: %d calls under way, failure ratio %v", name, s.InFlight(), s.FailureRatio())
		}
	}
}

func TestStatsKeepStreamsAndWholeAnswersApart(t *testing.T) {
	t.Parallel()
	var s Stats
	s.Observe(true, time.Second)
	if d, ok := s.Latency(false); ok {
		t.Errorf("whole answers take %v", d)
	}
	s.Observe(false, time.Minute)
	if d, ok := s.Latency(true); d != time.Second || !ok {
		t.Errorf("streams take %v, %t", d, ok)
	}
}

func TestStatsKnowATargetThatTakesNoTime(t *testing.T) {
	t.Parallel()
	var s Stats
	s.Observe(true, 0)
	if d, ok := s.Latency(true); !ok || d > 1 {
		t.Errorf("latency %v, %t", d, ok)
	}
}

// plainStats reckons with all that ever happened.
type plainStats struct {
	answers [2][]event // of whole answers, and of streams
	failed  []event
}

type event struct {
	at    time.Time
	value time.Duration
}

// sums returns the weight of the events, and their values by weight.
func sums(events []event) (weight, value float64) {
	for _, e := range events {
		w := math.Exp(-time.Since(e.at).Seconds() / memory.Seconds())
		weight += w
		value += w * float64(e.value)
	}
	return weight, value
}

func TestStatsAgreeWithAPlainReckoning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(5, 6))
		var s Stats
		var plain plainStats
		for range 2000 {
			time.Sleep(time.Duration(random.ExpFloat64() * float64(memory) / 10))
			if kind := random.IntN(3); kind == 2 {
				s.Failed()
				plain.failed = append(plain.failed, event{at: time.Now()})
			} else {
				d := time.Duration(random.ExpFloat64() * 1e9)
				s.Observe(kind == 1, d)
				plain.answers[kind] = append(plain.answers[kind], event{time.Now(), d})
			}
			all, _ := sums(plain.failed)
			failed := all
			for kind, answers := range plain.answers {
				weight, value := sums(answers)
				all += weight
				got, ok := s.Latency(kind == 1)
				// The average stands when nothing of it is left to reckon with.
				if weight > 1e-6 && math.Abs(float64(got)-value/weight) > 1e3 {
					t.Fatalf("latency %v, want %v", got, time.Duration(value/weight))
				}
				if ok != (answers != nil) {
					t.Fatalf("latency known: %t", ok)
				}
			}
			if got := s.FailureRatio(); math.Abs(got-failed/(all+1)) > forgotten {
				t.Fatalf("failure ratio %v, want %v", got, failed/(all+1))
			}
		}
	})
}

func TestStatsForgetFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Stats
		ratio := func(after time.Duration, low, high float64) {
			t.Helper()
			time.Sleep(after)
			if got := s.FailureRatio(); got < low || got > high {
				t.Errorf("failure ratio %v, want %v to %v", got, low, high)
			}
		}
		s.Failed()
		ratio(0, 0.5, 0.5)
		ratio(2*time.Minute, 0, fewFailures)
		ratio(2*time.Minute, 0, 0)

		for range 1000 {
			s.Failed()
		}
		ratio(0, 0.99, 1)
		ratio(2*time.Minute, 0.9, 1)
		ratio(5*time.Minute, 0, 0)
	})
}

func TestStatsKeepTheLastLatencyHoweverOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Stats
		for range 100 {
			s.Observe(true, time.Second)
		}
		time.Sleep(24 * time.Hour)
		if d, ok := s.Latency(true); d != time.Second || !ok {
			t.Errorf("latency %v, %t", d, ok)
		}
		s.Observe(true, time.Millisecond) // but it weighs nothing
		if d, _ := s.Latency(true); d != time.Millisecond {
			t.Errorf("latency %v", d)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	var s Stats
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Observe(true, time.Second)
		}
	})
}

func BenchmarkFailureRatioAfterAFailure(b *testing.B) {
	var s Stats
	s.Failed()
	b.ReportAllocs()
	for b.Loop() {
		s.FailureRatio()
	}
}
