package policy

import (
	"math"
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

func TestLeastBusyKeepsCallsInProportionToWeight(t *testing.T) {
	t.Parallel()
	targets := targetsOf(3, 0, 2) // 0 means 1
	begin := func(calls int, targets []*Target) {
		for range calls {
			LeastBusy{}.Select(targets, &provider.Request{}).Stats.Begin()
		}
	}
	expect := func(want ...int) {
		t.Helper()
		for i, n := range want {
			if got := targets[i].Stats.InFlight(); got != n {
				t.Errorf("%s has %d calls, want %d", targets[i].Provider, got, n)
			}
		}
	}
	begin(60, targets)
	expect(30, 10, 20)

	begin(30, targets[1:]) // as if the first were down
	expect(30, 20, 40)

	begin(30, targets) // back, it gets all until it has its share again
	expect(60, 20, 40)

	for range 20 {
		targets[2].Stats.End()
	}
	begin(20, targets) // so does one whose calls have ended
	expect(60, 20, 40)
}

// Calls that follow one another find every target idle.
func TestLeastBusyDrawsLotsAmongEquals(t *testing.T) {
	t.Parallel()
	targets := targetsOf(100, 3, 1, 2)
	for range 100 {
		targets[0].Stats.Begin()
	}
	const n = 60_000
	counts := tally(n, LeastBusy{}, targets, &provider.Request{})
	for i, share := range []float64{0, 3. / 6, 1. / 6, 2. / 6} {
		// Six standard deviations are passed by chance once in 500 million runs.
		got, slack := float64(counts[targets[i]]), 6*math.Sqrt(n*share*(1-share))
		if math.Abs(got-n*share) > slack {
			t.Errorf("%s got %v of %d, want %v, give or take %.0f", targets[i].Provider, got, n, n*share, slack)
		}
	}
}

func TestLeastBusyTakesATargetWithoutStatsForIdle(t *testing.T) {
	t.Parallel()
	targets := targetsOf(1000, 1)
	targets[0].Stats.Begin()
	targets[1].Stats = nil
	if counts := tally(10, LeastBusy{}, targets, &provider.Request{}); counts[targets[1]] != 10 {
		t.Errorf("it was taken %d times of 10", counts[targets[1]])
	}
}
