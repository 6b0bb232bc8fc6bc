package policy

import (
	"encoding/json"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

// A world has targets that answer in their time, or fail if that is 0.
type world struct {
	policy  *Latency
	targets []*Target
	takes   map[*Target]time.Duration
}

// newWorld returns one with targets that take so long.
func newWorld(explore float64, takes ...time.Duration) *world {
	w := &world{&Latency{Explore: &explore}, targetsOf(make([]int, len(takes))...), map[*Target]time.Duration{}}
	for i, d := range takes {
		w.takes[w.targets[i]] = d
	}
	return w
}

// run sends n streams, ten in a second, and returns how many each target got. Fake
// time passes between them; none is under way when the next one comes.
func (w *world) run(n int) []int {
	counts := make([]int, len(w.targets))
	for range n {
		time.Sleep(100 * time.Millisecond)
		t := w.policy.Select(w.targets, &provider.Request{Stream: true})
		for i := range w.targets {
			if w.targets[i] == t {
				counts[i]++
			}
		}
		if d := w.takes[t]; d > 0 {
			t.Stats.Observe(true, d)
		} else {
			t.Stats.Failed()
		}
	}
	return counts
}

// expect complains unless the first count is within 6 standard deviations of n draws.
func expect(t *testing.T, what string, got, n int, share float64) {
	t.Helper()
	if slack := 6 * math.Sqrt(float64(n)*share*(1-share)); math.Abs(float64(got)-float64(n)*share) > slack {
		t.Errorf("%s got %d of %d, want %v, give or take %.0f", what, got, n, float64(n)*share, slack)
	}
}

func TestLatencyTakesTheFastestAndExploresTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(DefaultExplore, 3*time.Second, time.Second, 2*time.Second)
		if got := w.run(3); got[0] != 1 || got[1] != 1 || got[2] != 1 {
			t.Errorf("the first three went to %v, want one to each", got)
		}
		counts := w.run(10_000)
		expect(t, "the fastest", counts[1], 10_000, 0.95)
		expect(t, "the slowest", counts[0], 10_000, 0.025)

		w.targets = w.targets[:2] // without the second fastest
		expect(t, "the fastest of two", w.run(1000)[1], 1000, 0.95)
		w.targets = w.targets[:1]
		expect(t, "the only one", w.run(10)[0], 10, 1)
	})
}

func TestLatencyLeavesATargetThatHasBecomeSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, time.Second, 1500*time.Millisecond)
		w.run(1000)
		w.takes[w.targets[0]] = 10 * time.Second
		if got := w.run(100); got[0] > 30 {
			t.Errorf("it still got %d of a hundred calls", got[0])
		}
		if got := w.run(1000); got[0] > 0 {
			t.Errorf("it got %d more without exploration", got[0])
		}
	})
}

func TestLatencyFindsATargetThatIsFastAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(DefaultExplore, 10*time.Second, time.Second)
		w.run(3000)
		w.takes[w.targets[0]] = 500 * time.Millisecond
		w.run(3000) // five minutes, in which it is asked 150 times
		expect(t, "it", w.run(1000)[0], 1000, 0.95)
	})
}

func TestLatencyShunsATargetThatFailsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, time.Second, 2*time.Second)
		w.run(1000)
		w.takes[w.targets[0]] = 0
		if got := w.run(300); got[0] < 2 || got[0] > 60 {
			t.Errorf("it got %d of 300 calls: one failure among many is not much, many are", got[0])
		}
		w.takes[w.targets[0]] = time.Second
		if got := w.run(3000); got[0] < 1000 {
			t.Errorf("it got %d of 3000 calls after it had recovered", got[0])
		}
	})
}

func TestLatencyShunsANewTargetThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, 0, 2*time.Second)
		if got := w.run(100); got[0] != 1 {
			t.Errorf("it got %d of the first hundred calls, want 1", got[0])
		}
		w.takes[w.targets[0]] = time.Second
		if got := w.run(3000); got[0] < 1500 {
			t.Errorf("it got %d of 3000 calls after it had recovered", got[0])
		}
	})
}

// Before the first answer nothing is known, and all calls must go somewhere.
func TestLatencySpreadsTheFirstCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(0, 1, 1, 1)
	r := &provider.Request{Stream: true}
	for range 30 {
		w.policy.Select(w.targets, r).Stats.Begin()
	}
	for _, target := range w.targets {
		if n := target.Stats.InFlight(); n != 10 {
			t.Errorf("%s has %d calls, want 10", target.Provider, n)
		}
	}
	w.targets[2].Stats.Observe(true, time.Hour)
	if n := tally(10, w.policy, w.targets, r)[w.targets[2]]; n != 10 {
		t.Errorf("the first to answer gets %d of the next 10 calls, as it is the one that is known", n)
	}
}

// With two targets that are known, a new one has one call at a time until it answers.
func TestLatencyMeasuresANewTargetWithOneCallAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(0, 1, 1, 1)
	w.targets[0].Stats.Observe(true, time.Second)
	w.targets[1].Stats.Observe(true, time.Minute)
	fresh, r := w.targets[2], &provider.Request{Stream: true}
	for range 3 {
		if got := w.policy.Select(w.targets, r); got != fresh {
			t.Fatalf("%s was taken", got.Provider)
		}
		fresh.Stats.Begin()
		if n := tally(10, w.policy, w.targets, r)[w.targets[0]]; n != 10 {
			t.Errorf("meanwhile the fastest gets %d of 10 calls", n)
		}
		fresh.Stats.End() // the client left
	}
}

func TestLatencyComparesLikeWithLike(t *testing.T) {
	t.Parallel()
	const a, b = 0, 1
	for name, test := range map[string]struct {
		stream  bool
		streams [2]time.Duration // 0 is not measured
		wholes  [2]time.Duration
		busy    bool
		want    int
	}{
		"a stream goes by streams":                                 {true, [2]time.Duration{2, 1}, [2]time.Duration{30, 40}, true, b},
		"a whole answer goes by whole answers":                     {false, [2]time.Duration{2, 1}, [2]time.Duration{30, 40}, true, a},
		"an idle target is measured for what it is not known":      {true, [2]time.Duration{1, 0}, [2]time.Duration{1, 50}, false, b},
		"while it is, the known one is taken":                      {true, [2]time.Duration{9, 0}, [2]time.Duration{50, 1}, true, a},
		"busy targets known for the other kind are compared by it": {false, [2]time.Duration{2, 1}, [2]time.Duration{0, 0}, true, b},
		"and so are they the other way round":                      {true, [2]time.Duration{0, 0}, [2]time.Duration{2, 1}, true, b},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(0, 1, 1)
			for i, target := range w.targets {
				if test.streams[i] > 0 {
					target.Stats.Observe(true, test.streams[i]*time.Second)
				}
				if test.wholes[i] > 0 {
					target.Stats.Observe(false, test.wholes[i]*time.Second)
				}
				if test.busy {
					target.Stats.Begin()
				}
			}
			if got := w.policy.Select(w.targets, &provider.Request{Stream: test.stream}); got != w.targets[test.want] {
				t.Errorf("it took %s", got.Provider)
			}
		})
	}
}

func TestLatencyExploresAllOthersAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(1, 1, 1, 1, 1)
	for i, target := range w.targets {
		target.Stats.Observe(true, time.Duration(10*(3-i)+1))
	}
	const n = 30_000
	counts := tally(n, w.policy, w.targets, &provider.Request{Stream: true})
	for _, target := range w.targets[:3] {
		expect(t, target.Provider, counts[target], n, 1./3)
	}
	if got := counts[w.targets[3]]; got != 0 {
		t.Errorf("the fastest got %d", got)
	}
}

func TestLatencyCaddyfile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // JSON, or an error
		"latency":                                    `{}`,
		"latency {\n\texplore 0.2\n}":                `{"explore":0.2}`,
		"latency {\n\texplore 0\n}":                  `{"explore":0}`,
		"latency {\n\texplore 1\n}":                  `{"explore":1}`,
		"latency 0.2":                                "policy latency takes no arguments, but here is '0.2'; its option goes into a block: explore, at Testfile:1",
		"latency {\n\tdecay 10s\n}":                  "unknown option 'decay' of policy latency: its option is explore, at Testfile:2",
		"latency {\n\texplore\n}":                    "explore needs one number from 0 to 1, such as 0.05, at Testfile:2",
		"latency {\n\texplore 0.1 0.2\n}":            "explore needs one number from 0 to 1, such as 0.05, at Testfile:2",
		"latency {\n\texplore 5%\n}":                 "explore '5%' is no number; write one from 0 to 1, such as 0.05, at Testfile:2",
		"latency {\n\texplore 1.5\n}":                "explore must be from 0 to 1, not 1.5, at Testfile:2",
		"latency {\n\texplore -1\n}":                 "explore must be from 0 to 1, not -1, at Testfile:2",
		"latency {\n\texplore NaN\n}":                "explore must be from 0 to 1, not NaN, at Testfile:2",
		"latency {\n\texplore 0.1\n\texplore 0.1\n}": "option 'explore' of policy latency is already set; remove one of them, at Testfile:3",
	} {
		var p Latency
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want[0] != '{' {
			checkError(t, text, err, want)
		} else if got, _ := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestLatencyRefusesAShareThatIsNone(t *testing.T) {
	t.Parallel()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for config, want := range map[string]string{
		`{}`:               "",
		`{"explore": 0}`:   "",
		`{"explore": 1.5}`: "explore must be from 0 to 1, not 1.5",
		`{"decay": 1}`:     "unknown field",
	} {
		_, err := ctx.LoadModuleByID("runestone.policies.latency", []byte(config))
		checkError(t, config, err, want)
	}
}
