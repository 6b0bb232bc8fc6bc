package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/telemetry"
)

// testTarget returns a target that takes so many calls at a time.
func testTarget(t *testing.T, limit int) *target {
	t.Helper()
	keys, err := newCredentials("test", nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.release)
	return &target{
		Target: policy.Target{Provider: t.Name(), Model: "m"},
		up:     &upstream{name: t.Name(), keys: keys},
		state:  newTargetState(t.Name(), telemetry.TargetAdded{Provider: t.Name(), Model: "m"}, breaker.Config{}, breaker.LimitConfig{Ceiling: limit}),
	}
}

// mustEnter takes a place of a target that has one.
func mustEnter(t *testing.T, target *target) pass {
	t.Helper()
	p, refused := target.enter()
	if refused != nil {
		t.Fatalf("it refused: %+v", refused)
	}
	return p
}

func newWaiter(client uint64, targets ...*target) *waiter {
	return &waiter{client: client, targets: targets, pass: make(chan pass, 1)}
}

// inLine puts a waiter in line.
func inLine(t *testing.T, client uint64, targets ...*target) *waiter {
	t.Helper()
	w := newWaiter(client, targets...)
	if !theLine.join(w, DefaultLineLength) {
		t.Fatal("the line is full")
	}
	return w
}

// served returns the pass of w, which must have one.
func served(t *testing.T, w *waiter) pass {
	t.Helper()
	select {
	case p := <-w.pass:
		return p
	default:
		t.Fatal("it has not been served")
		return pass{}
	}
}

func TestTheLineIsFairBetweenClients(t *testing.T) {
	t.Parallel()
	only := testTarget(t, 1)
	p := mustEnter(t, only)
	const anna, ben = 1, 2
	a1, a2, a3 := inLine(t, anna, only), inLine(t, anna, only), inLine(t, anna, only)
	b1 := inLine(t, ben, only)
	for i, w := range []*waiter{a1, b1, a2, a3} {
		p.giveBack()
		if p = served(t, w); p.t != only {
			t.Fatalf("turn %d: got another target", i)
		}
	}
	p.giveBack()
	if n := only.state.waiting.Load(); n != 0 {
		t.Errorf("%d are said to wait", n)
	}
}

func TestWhoWaitsForSeveralTargetsGetsTheFirstThatIsFree(t *testing.T) {
	t.Parallel()
	a, b := testTarget(t, 1), testTarget(t, 1)
	held, other := mustEnter(t, a), mustEnter(t, b)
	w := inLine(t, 1, a, b)
	other.giveBack()
	p := served(t, w)
	if p.t != b {
		t.Error("got the one that was not free")
	}
	p.giveBack()
	held.giveBack() // nobody waits for it any more
	if a.state.limit.InFlight() != 0 || b.state.limit.InFlight() != 0 {
		t.Error("a place is taken by nobody")
	}
}

func TestAFreeTargetServesWhoJoins(t *testing.T) {
	t.Parallel()
	p := served(t, inLine(t, 1, testTarget(t, 1)))
	p.giveBack()
}

func TestAFullLineTakesNobody(t *testing.T) {
	t.Parallel()
	if _, err := theLine.wait(t.Context(), newWaiter(0, testTarget(t, 1)), 0, time.Minute, nil); !errors.Is(err, errLineFull) {
		t.Errorf("got %v", err)
	}
}

// TestAFullLineIsSharedByClients: who has most in it makes room, the newest first, and nobody for one who has as many; nor for
// clients that anybody can make up.
func TestAFullLineIsSharedByClients(t *testing.T) {
	t.Parallel()
	const full = 6
	l, only := newLine(), testTarget(t, 1)
	p := mustEnter(t, only)
	defer p.giveBack()
	known := func(client uint64, targets ...*target) *waiter {
		w := newWaiter(client, targets...)
		w.known = true
		return w
	}
	var greedy, others []*waiter
	for i := range full {
		w := known(1, only)
		if i%2 == 0 {
			w.targets = nil // it waits for a time
		}
		if !l.join(w, full) {
			t.Fatal("the line is full")
		}
		greedy = append(greedy, w)
	}
	if l.join(known(1, only), full) || l.join(newWaiter(2, only), full) {
		t.Error("the line is not full")
	}
	for i, client := range []uint64{2, 3, 2} {
		w := known(client, only)
		if !l.join(w, full) {
			t.Fatalf("there is no room for client %d", client)
		}
		others = append(others, w)
		if _, err := greedy[full-1-i].stand(t.Context(), time.Minute, nil); err != errLineFull {
			t.Errorf("the newest of the greedy is told %v", err)
		}
	}
	if l.join(known(2, only), full) { // three, two and one
		t.Error("one is sent away for a client who has as many then")
	}
	for _, w := range greedy[:full-3] {
		if w.left || !l.leave(w) {
			t.Error("an older one was sent away")
		}
	}
	if n := l.waiting(); n != 3 || len(l.clients) != 2 {
		t.Errorf("%d are in line, of %d clients", n, len(l.clients))
	}
	for _, w := range others {
		l.leave(w)
	}
	if n := only.state.waiting.Load(); n != 0 || len(l.queues) != 0 {
		t.Errorf("%d are said to wait", n)
	}
}

func TestTheWaitEnds(t *testing.T) {
	t.Parallel()
	cause := errors.New("enough")
	gone, leave := context.WithCancelCause(t.Context())
	leave(cause)
	for name, test := range map[string]struct {
		ctx   context.Context
		limit time.Duration
		want  error
	}{
		"when its time is over":     {t.Context(), time.Millisecond, errLineTimeout},
		"when the client has left":  {gone, time.Minute, cause},
		"for a pass when it is due": {t.Context(), time.Minute, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			only := testTarget(t, 1)
			if test.want == nil {
				only.state.breaker.Pause(20 * time.Millisecond)
			} else {
				p := mustEnter(t, only)
				defer p.giveBack()
			}
			p, err := theLine.wait(test.ctx, newWaiter(0, only), 10, test.limit, nil)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err == nil {
				p.giveBack()
			}
			if n := only.state.waiting.Load(); n != 0 {
				t.Errorf("%d are said to wait", n)
			}
		})
	}
}

func TestAPassThatComesTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	only := testTarget(t, 1)
	p := mustEnter(t, only)
	late, next := inLine(t, 1, only), inLine(t, 1, only)
	p.giveBack()
	if theLine.leave(late) {
		t.Fatal("it left without the pass that it has")
	}
	p = served(t, late)
	p.giveBack()
	p = served(t, next)
	p.giveBack()
}

func TestManyInLine(t *testing.T) {
	t.Parallel()
	const limit = 3
	targets := []*target{testTarget(t, limit), testTarget(t, limit)}
	var busy [2]atomic.Int32
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			for range 25 {
				w := newWaiter(uint64(i%5), targets[i%2:]...)
				p, err := theLine.wait(t.Context(), w, 1000, time.Minute, nil)
				if err != nil {
					t.Error(err)
					return
				}
				of := &busy[0]
				if p.t == targets[1] {
					of = &busy[1]
				}
				if n := of.Add(1); n > limit {
					t.Errorf("%d calls at a time", n)
				}
				of.Add(-1)
				p.giveBack()
			}
		})
	}
	wait.Wait()
	for _, target := range targets {
		if target.state.waiting.Load() != 0 || target.state.limit.InFlight() != 0 || target.state.stats.InFlight() != 0 {
			t.Error("something is left of the line")
		}
	}
}
