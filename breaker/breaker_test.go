package breaker

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// player plays steps on a breaker with a clock of its own and no jitter.
type player struct {
	*testing.T
	*Breaker
	now   time.Duration
	going []Permit
}

func newPlayer(t *testing.T, c Config) *player {
	p := &player{T: t}
	p.Breaker = New(c, Options{
		Clock: func() time.Duration { return p.now },
		Rand:  func() float64 { return 0.5 },
	})
	return p
}

// play plays steps, which are parted by spaces:
//
//	s, f, i        a call is let through and succeeds, fails, is ignored
//	5f             five of them
//	slow=3s        a call succeeds, its first token after 3s
//	take           a call is let through and goes on
//	s<, f<, i<     the oldest of those that go on ends
//	+30s           time passes
//	pause=5s       the target asks for a pause
//	closed, half_open, open    the state is this
//	refused=30s    a call is refused, with that much time left
//	probing, paused=5s         the same, for that reason
func (p *player) play(steps string) {
	p.Helper()
	for step := range strings.FieldsSeq(steps) {
		verb, arg, _ := strings.Cut(step, "=")
		d, _ := time.ParseDuration(arg)
		switch verb {
		case "closed", "open", "half_open":
			if p.State().String() != verb {
				p.Fatalf("%s: it is %v", step, p.State())
			}
		case "take":
			p.going = append(p.going, p.allow(step))
		case "pause":
			p.Pause(d)
		case "slow":
			p.allow(step).DoneAfter(d, Success)
		case "refused":
			p.refused(step, ErrOpen, d)
		case "paused":
			p.refused(step, ErrPaused, d)
		case "probing":
			p.refused(step, ErrProbing, 0)
		default:
			p.pass(step)
		}
	}
}

// pass plays the steps that have no name: time and outcomes.
func (p *player) pass(step string) {
	p.Helper()
	if d, err := time.ParseDuration(step); err == nil && step[0] == '+' {
		p.now += d
		return
	}
	outcomes := map[string]Outcome{"s": Success, "f": Failure, "i": Ignored}
	if name, ended := strings.CutSuffix(step, "<"); ended {
		p.going[0].Done(outcomes[name])
		p.going = p.going[1:]
		return
	}
	last := len(step) - 1
	n, err := strconv.Atoi(cmp.Or(step[:last], "1"))
	o, known := outcomes[step[last:]]
	if err != nil || !known {
		p.Fatalf("%s: no such step", step)
	}
	for range n {
		p.allow(step).Done(o)
	}
}

func (p *player) allow(step string) Permit {
	p.Helper()
	permit, err := p.Allow()
	if err != nil {
		p.Fatalf("%s: %v", step, err)
	}
	return permit
}

func (p *player) refused(step string, reason error, left time.Duration) {
	p.Helper()
	_, err := p.Allow()
	if r := new(Refusal); !errors.As(err, &r) || !errors.Is(err, reason) || r.RetryAfter != left {
		p.Fatalf("%s: %v", step, err)
	}
	if p.RetryAfter() != left || p.Ready() {
		p.Fatalf("%s: RetryAfter %v, Ready %v", step, p.RetryAfter(), p.Ready())
	}
}

func TestBreaker(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		steps  string
	}{
		{"it is closed at first", Config{}, "closed s closed"},
		{"five failures in a row open it", Config{}, "4f closed f open refused=30s"},
		{"a success between them starts the row over", Config{}, "4f s 4f closed f open"},
		{"an ignored call between them does not", Config{}, "4f i closed f open"},
		{"failures that are older than the window do not count", Config{}, "3f +61s 4f closed f open"},
		{"failures count until the window's last tenth has passed", Config{}, "3f +53s 2f open"},
		{"one failure in a hundred does not open it", Config{Failures: 2, MinimumCalls: 100}, "99s f 99s f 99s f closed"},
		{"half of twenty calls open it", Config{Failures: -1}, "9f 9s f closed f open"},
		{"nineteen calls are too few for a ratio", Config{Failures: -1}, "19f closed f open"},
		{"a ratio of the calls within the window", Config{Failures: -1}, "30s +61s 19f closed f open"},
		{"ignored calls have no part in the ratio", Config{Failures: -1}, "20i 10f closed"},
		{"without rules it never opens", Config{Failures: -1, FailureRatio: -1}, "1000f closed"},

		{"it refuses until its time has passed", Config{Failures: 1}, "f refused=30s +29s refused=1s +999ms refused=1ms +1ms open take half_open"},
		{"two probes at a time", Config{Failures: 1}, "f +30s take take probing i< take probing"},
		{"two successes close it", Config{Failures: 1}, "f +30s s half_open s closed"},
		{"and it starts afresh", Config{Failures: 3}, "3f +30s 2s 2f closed f open"},
		{"one failure of a probe opens it for twice as long", Config{Failures: 1}, "f +30s s f refused=1m0s"},
		{"each reopening doubles the time, up to the most", Config{Failures: 1, MaxOpenFor: Duration(3 * time.Minute)},
			"f +30s f +1m f refused=2m0s +2m f refused=3m0s +3m f refused=3m0s"},
		{"an opening before the breaker was stable doubles it too", Config{Failures: 1}, "f +30s 2s +59s f refused=1m0s"},
		{"a window of being closed starts over", Config{Failures: 1}, "f +30s f +1m 2s +1m f refused=30s"},

		{"a late failure does not open it again", Config{Failures: 1}, "take take f< open +30s 2s closed f< closed"},
		{"a late success does not close it", Config{Failures: 1, HalfOpen: 1}, "take f open s< open +30s take half_open"},
		{"a probe of an earlier time does not close it", Config{Failures: 1}, "f +30s take f +1m s half_open s< half_open s closed"},
		{"a late probe frees no place", Config{Failures: 1}, "f +30s take f +1m take take probing i< probing"},

		{"a pause refuses calls and is no failure", Config{Failures: 1}, "pause=5s closed paused=5s +4s paused=1s +1s s closed"},
		{"a pause is not shortened", Config{}, "pause=5s pause=2s paused=5s pause=9s paused=9s"},
		{"a pause of nothing is none", Config{}, "pause=0s pause=-3s s"},
		{"a pause of a day is one of an hour", Config{}, "pause=24h paused=1h0m0s"},
		{"calls that are under way count during a pause", Config{Failures: 1}, "take pause=5s f< open"},
		{"a pause while open: the later end counts", Config{Failures: 1}, "f pause=10s refused=30s pause=50s refused=50s +30s paused=20s +20s take half_open"},
		{"a probe may bring a pause", Config{Failures: 1}, "f +30s take pause=5s i< half_open paused=5s +5s 2s closed"},

		{"slowness is no failure unless it is said so", Config{Failures: 1}, "slow=1h closed"},
		{"a slow success is a failure", Config{Failures: 1, SlowCall: Duration(2 * time.Second)}, "slow=2s closed slow=2001ms open"},
		{"a slow probe too", Config{Failures: 1, SlowCall: Duration(2 * time.Second)}, "f +30s slow=3s open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newPlayer(t, tt.config).play(tt.steps)
		})
	}
}

func TestOpenTimesAreJittered(t *testing.T) {
	for random, want := range map[float64]time.Duration{
		0: 27 * time.Second, 0.25: 28500 * time.Millisecond, 0.5: 30 * time.Second, 0.75: 31500 * time.Millisecond,
	} {
		p := newPlayer(t, Config{Failures: 1})
		p.rand = func() float64 { return random }
		p.play("f refused=" + want.String())
	}
	p := newPlayer(t, Config{Failures: 1, MaxOpenFor: DefaultOpenFor})
	p.rand = func() float64 { return 0.99 }
	p.play("f refused=30s") // never longer than the most
}

func TestUpdateKeepsTheState(t *testing.T) {
	const minute = Duration(time.Minute)
	for _, tt := range []struct {
		name          string
		before, after Config
		steps, then   string
	}{
		{"what was counted", Config{}, Config{OpenFor: minute}, "4f", "f refused=1m0s"},
		{"a lower number of failures counts at the next", Config{}, Config{Failures: 3}, "4f", "closed f open"},
		{"another window counts afresh", Config{}, Config{Window: minute / 2}, "4f", "4f closed f open"},
		{"calls that are under way", Config{Failures: 1}, Config{Failures: 1, Window: minute / 2}, "take", "f< open"},
		{"open", Config{Failures: 1}, Config{Failures: 10}, "f", "refused=30s"},
		{"open, but no longer than the new most", Config{Failures: 1}, Config{OpenFor: minute / 6, MaxOpenFor: minute / 6}, "f +5s", "refused=10s"},
		{"half-open, with more probes", Config{Failures: 1, HalfOpen: 1}, Config{HalfOpen: 2}, "f +30s take", "take probing s< half_open s< closed"},
		{"half-open, with fewer probes", Config{Failures: 1}, Config{HalfOpen: 1}, "f +30s take take", "probing i< probing s< closed"},
		{"the length of the next opening", Config{Failures: 1}, Config{Failures: 1, Window: minute / 2}, "f +30s f", "refused=1m0s +1m f refused=2m0s"},
		{"a pause", Config{}, Config{Failures: 1}, "pause=10s", "paused=10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlayer(t, tt.before)
			p.play(tt.steps)
			p.Update(tt.after)
			p.play(tt.then)
		})
	}
}

func TestOnChangeIsToldInOrder(t *testing.T) {
	var told []change
	p := newPlayer(t, Config{Failures: 1})
	p.onChange = func(from, to State) {
		told = append(told, change{from, to})
		p.Status() // no lock is held
		if from == Open {
			p.play("f") // the second probe, from within
		}
	}
	p.play("f +30s take open")
	want := []change{{Closed, Open}, {Open, HalfOpen}, {HalfOpen, Open}}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, not %v", told, want)
	}
}

func TestAPanicOfOnChangeHarmsNothing(t *testing.T) {
	calls := 0
	p := newPlayer(t, Config{Failures: 1})
	p.onChange = func(State, State) {
		if calls++; calls == 1 {
			panic("the first time")
		}
	}
	func() {
		defer func() { _ = recover() }()
		p.play("f")
	}()
	p.play("open +30s s half_open s closed")
	if calls != 3 {
		t.Errorf("told %d times", calls)
	}
}

func TestTheZeroPermitAndSlotDoNothing(*testing.T) {
	Permit{}.Done(Failure)
	Permit{}.DoneAfter(time.Second, Success)
	Slot{}.Release(Success, time.Second, true)
}

func TestStatus(t *testing.T) {
	p := newPlayer(t, Config{Failures: 2})
	p.play("3s f i")
	if got, want := p.Status(), (Status{State: Closed, Calls: 4, Failures: 1}); got != want {
		t.Errorf("%+v", got)
	}
	p.play("f pause=40s")
	if got, want := p.Status(), (Status{State: Open, OpenFor: DefaultOpenFor, PausedFor: Duration(40 * time.Second)}); got != want {
		t.Errorf("%+v", got)
	}
}

// TestTheBreakersOwnClock: the default one, in a bubble where time is virtual.
func TestTheBreakersOwnClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Failures: 1}, Options{})
		p, _ := b.Allow()
		p.Done(Failure)
		if left := b.RetryAfter(); left < 27*time.Second || left > 33*time.Second {
			t.Errorf("refuses for %v", left)
		}
		time.Sleep(33 * time.Second)
		if !b.Ready() {
			t.Error("is not ready")
		}
	})
}
