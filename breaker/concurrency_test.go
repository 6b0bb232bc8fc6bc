package breaker

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestManyGoroutines is for the race detector, and holds what must be true
// whatever the order: so many probes and no more, and changes told one at a time and each
// from where the last one led.
func TestManyGoroutines(t *testing.T) {
	const probes = 3
	var now, telling, out atomic.Int64
	state := Closed // of OnChange
	var changes int
	b := New(Config{Failures: 3, HalfOpen: probes, OpenFor: minDuration, Window: minDuration}, Options{
		Clock: func() time.Duration { return time.Duration(now.Load()) },
		OnChange: func(from, to State) {
			if telling.Add(1) != 1 || from != state {
				t.Errorf("told of %v to %v when it was %v", from, to, state)
			}
			state = to
			changes++
			telling.Add(-1)
		},
	})
	var wg sync.WaitGroup
	for i := range uint64(16) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(i, 0))
			for range 2000 {
				now.Add(r.Int64N(int64(time.Millisecond)))
				switch r.IntN(100) {
				case 0:
					b.Pause(time.Millisecond)
				case 1:
					b.Update(Config{Failures: 3, HalfOpen: probes, OpenFor: minDuration, Window: minDuration + Duration(r.IntN(2))})
				case 2:
					if s := b.Status(); s.Failures > s.Calls {
						t.Errorf("the status is %+v", s)
					}
				}
				_, _, _ = b.RetryAfter(), b.Ready(), b.State()
				p, err := b.Allow()
				if err != nil {
					if r := new(Refusal); !errors.As(err, &r) || r.RetryAfter < 0 {
						t.Error(err)
					}
					continue
				}
				probe := p.Probe()
				if probe && out.Add(1) > probes && b.now.Load() == p.p {
					t.Error("too many probes")
				}
				o := Outcome(r.IntN(3))
				if probe {
					out.Add(-1)
				}
				p.Done(o)
			}
		})
	}
	wg.Wait()
	if state != b.State() || changes < 10 {
		t.Errorf("told of %d changes, the last to %v; the state is %v", changes, state, b.State())
	}
}

// TestManyCallers: never more in flight than the limit, and nobody who waits is
// forgotten: whenever there may be room, onFree says so.
func TestManyCallers(t *testing.T) {
	for name, c := range map[string]LimitConfig{
		"fixed":    {Ceiling: 4},
		"adaptive": {Adaptive: true, Ceiling: 8},
	} {
		t.Run(name, func(t *testing.T) {
			var most atomic.Int64
			free := make(chan struct{}, 1)
			l := NewLimit(c, func() {
				select {
				case free <- struct{}{}:
				default:
				}
			})
			wake := func() {
				select {
				case free <- struct{}{}:
				default:
				}
			}
			var wg sync.WaitGroup
			for i := range uint64(16) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(i, 0))
					for range 500 {
						slot, ok := l.Acquire()
						for !ok {
							<-free
							slot, ok = l.Acquire()
						}
						wake() // there may be more than one place
						if n := int64(l.InFlight()); n > most.Load() {
							most.Store(n)
						}
						slot.Release(Outcome(r.IntN(3)), time.Duration(1+r.IntN(1e9)), r.IntN(20) == 0)
					}
				})
			}
			wg.Wait()
			if l.InFlight() != 0 || most.Load() > int64(c.Ceiling) {
				t.Errorf("%d in flight, %d at most", l.InFlight(), most.Load())
			}
		})
	}
}
