package breaker

import (
	"testing"
	"time"
)

func acquire(t *testing.T, l *Limit, n int) []Slot {
	t.Helper()
	slots := make([]Slot, n)
	for i := range slots {
		ok := false
		if slots[i], ok = l.Acquire(); !ok {
			t.Fatalf("only %d places of %d", i, n)
		}
	}
	return slots
}

func full(t *testing.T, l *Limit) {
	t.Helper()
	if _, ok := l.Acquire(); ok {
		t.Fatalf("there is a place with %d of %d taken", l.InFlight(), l.Limit())
	}
}

func TestAFixedLimit(t *testing.T) {
	freed := 0
	l := NewLimit(LimitConfig{Ceiling: 2}, func() { freed++ })
	slots := acquire(t, l, 2)
	full(t, l)
	slots[0].Release(Ignored, 0, true) // learns nothing
	acquire(t, l, 1)
	full(t, l)
	if freed != 1 || l.InFlight() != 2 || l.Limit() != 2 {
		t.Errorf("freed %d times; %d of %d", freed, l.InFlight(), l.Limit())
	}
}

func TestNoLimit(t *testing.T) {
	l := NewLimit(LimitConfig{}, nil)
	slots := acquire(t, l, 5000)
	if l.Limit() != 0 || l.InFlight() != 5000 {
		t.Errorf("%d of %d", l.InFlight(), l.Limit())
	}
	for _, s := range slots {
		s.Release(Success, time.Second, false)
	}
	if l.InFlight() != 0 {
		t.Errorf("%d are left", l.InFlight())
	}
}

func TestAChangedLimitKeepsTheCallsInFlight(t *testing.T) {
	freed := 0
	l := NewLimit(LimitConfig{Ceiling: 5}, func() { freed++ })
	slots := acquire(t, l, 5)
	l.Update(LimitConfig{Ceiling: 3})
	if freed != 1 {
		t.Errorf("freed %d times", freed)
	}
	for _, s := range slots[:2] {
		s.Release(Success, 0, false)
	}
	full(t, l)
	slots[2].Release(Success, 0, false)
	acquire(t, l, 1)
	l.Update(LimitConfig{})
	acquire(t, l, 100)
}

func TestAChangedLimitKeepsWhatItHasLearned(t *testing.T) {
	l := NewLimit(LimitConfig{Adaptive: true, Initial: 20}, nil)
	slots := acquire(t, l, 20)
	slots[19].Release(Ignored, 0, true)
	if l.Limit() != 19 {
		t.Fatalf("the limit is %d", l.Limit())
	}
	for _, tt := range []struct {
		c    LimitConfig
		want int
	}{
		{LimitConfig{Adaptive: true, Ceiling: 100}, 19},
		{LimitConfig{Adaptive: true, Floor: 30}, 30},
		{LimitConfig{Adaptive: true, Ceiling: 12}, 12},
		{LimitConfig{Ceiling: 7}, 7},
		{LimitConfig{Adaptive: true}, 10},
	} {
		if l.Update(tt.c); l.Limit() != tt.want {
			t.Errorf("%+v: the limit is %d", tt.c, l.Limit())
		}
	}
	for _, s := range slots[:19] {
		s.Release(Ignored, 0, true) // of a time before
	}
	if l.InFlight() != 0 || l.Limit() < 1 {
		t.Errorf("%d of %d", l.InFlight(), l.Limit())
	}
}

func TestARefusalTellsTheLimit(t *testing.T) {
	l := NewLimit(LimitConfig{Adaptive: true, Initial: 25}, nil)
	slots := acquire(t, l, 25)
	for i := 24; i >= 20; i-- { // the target takes twenty
		slots[i].Release(Ignored, 0, true)
		if l.Limit() < 20 {
			t.Fatalf("%d after the %d-th was refused", l.Limit(), i+1)
		}
	}
	if l.Limit() != 20 {
		t.Errorf("the limit is %d", l.Limit())
	}
	full(t, l)
}

func TestAProbeGoesBeyondWhatIsKnown(t *testing.T) {
	l := NewLimit(LimitConfig{Adaptive: true, Initial: 3}, nil)
	slots := acquire(t, l, 3)
	for _, s := range slots {
		if s.Probe() {
			t.Error("nothing is known yet, and yet it is a probe")
		}
	}
	slots[2].Release(Ignored, 0, true)
	slots = slots[:2]
	for l.Limit() == 2 {
		slots[0].Release(Success, 0, false)
		slots[0] = acquire(t, l, 1)[0]
		if slots[0].Probe() && l.Limit() == 2 {
			t.Fatal("a second call is a probe where two are known to be taken")
		}
	}
	probe := acquire(t, l, 1)[0]
	if l.Limit() != 3 || !probe.Probe() {
		t.Errorf("limit %d, probe %v", l.Limit(), probe.Probe())
	}
	probe.Release(Ignored, 0, true)
	if l.Limit() != 2 {
		t.Errorf("the limit is %d", l.Limit())
	}
}

func TestALimitThatNobodyNeedsDoesNotGrow(t *testing.T) {
	l := NewLimit(LimitConfig{Adaptive: true, Initial: 20}, nil)
	for range 1000 {
		acquire(t, l, 1)[0].Release(Success, time.Second, false)
	}
	if l.Limit() != 20 {
		t.Errorf("the limit is %d", l.Limit())
	}
}

func TestFailuresAndIgnoredCallsTeachALimitNothing(t *testing.T) {
	l := NewLimit(LimitConfig{Adaptive: true, Initial: 4}, nil)
	for range 100 {
		for i, s := range acquire(t, l, 4) {
			s.Release([]Outcome{Failure, Ignored}[i%2], time.Minute, false)
		}
	}
	if l.Limit() != 4 {
		t.Errorf("the limit is %d", l.Limit())
	}
}

func TestSlownessWhileIdleIsNotTheNumberOfCalls(t *testing.T) {
	l := NewLimit(LimitConfig{Adaptive: true, Initial: 40}, nil)
	for i := range 5000 {
		latency := time.Second
		if i > 1000 {
			latency = time.Minute
		}
		acquire(t, l, 1)[0].Release(Success, latency, false)
	}
	if l.Limit() != 40 {
		t.Errorf("the limit is %d", l.Limit())
	}
}
