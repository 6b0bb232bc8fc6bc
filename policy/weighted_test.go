package policy

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

// order returns which targets were taken, by the names of their providers.
func order(n int, s Selector, targets []*Target) string {
	var names string
	for range n {
		names += s.Select(targets, &provider.Request{}).Provider
	}
	return names
}

func TestWeightedIsSmooth(t *testing.T) {
	t.Parallel()
	for want, weights := range map[string][]int{
		"aabacaa": {5, 1, 1},
		"abcabca": {2, 2, 2},
		"abcab":   {0, 0, 0}, // 0 means 1
		"babab":   {2, 3},
		"aaa":     {7},
	} {
		if got := order(len(want), new(Weighted), targetsOf(weights...)); got != want {
			t.Errorf("weights %v: %s, want %s", weights, got, want)
		}
	}
}

// With every choice a target earns its share of it if it could be chosen. What it
// got must never be far from what it earned.
func testShares(t *testing.T, s Selector, targets []*Target, share func(*Target) float64) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	earned, got := map[*Target]float64{}, map[*Target]float64{}
	for range 100_000 {
		offered := some(random, targets)
		var total float64
		for _, target := range offered {
			total += share(target)
		}
		for _, target := range offered {
			earned[target] += share(target) / total
		}
		got[s.Select(offered, &provider.Request{})]++
	}
	for _, target := range targets {
		if math.Abs(got[target]-earned[target]) > 2 {
			t.Errorf("%s got %v, but earned %.1f", target.Provider, got[target], earned[target])
		}
	}
}

func TestWeightedGivesEachItsShareOfWhatItCouldGet(t *testing.T) {
	t.Parallel()
	testShares(t, new(Weighted), targetsOf(5, 1, 3, 2), func(t *Target) float64 { return float64(t.Weight) })
}

// A target that fails every call gets its share of first attempts and no more, and
// the others share what is left as if it were not there.
func TestWeightedSharesOutTheCallsOfATargetThatFails(t *testing.T) {
	t.Parallel()
	var w Weighted
	targets := targetsOf(2, 2, 1)
	counts := map[*Target]int{}
	for range 5000 {
		first := w.Select(targets, &provider.Request{})
		counts[first]++
		if first == targets[0] {
			counts[w.Select(targets[1:], &provider.Request{})]++
		}
	}
	for i, want := range []int{2000, 3333, 1667} {
		if got := counts[targets[i]]; math.Abs(float64(got-want)) > 3 {
			t.Errorf("%s got %d, want %d", targets[i].Provider, got, want)
		}
	}
}

func TestWeightedOwesNothingToATargetThatWasAway(t *testing.T) {
	t.Parallel()
	var w Weighted
	targets := targetsOf(1, 1, 1)
	if got := order(6, &w, targets) + order(6, &w, targets[1:]) + order(6, &w, targets); got != "abcabc"+"bcbcbc"+"abcabc" {
		t.Error(got)
	}
}

func TestWeightedKeepsOneAccountForEachTarget(t *testing.T) {
	t.Parallel()
	var w Weighted
	targets := targetsOf(1, 1, 1)
	for _, offered := range [][]*Target{targets[1:2], targets[2:], targets, targets[:1], targets} {
		w.Select(offered, &provider.Request{})
	}
	if got := len(w.turns.accounts); got != 3 {
		t.Errorf("there are %d accounts for 3 targets", got)
	}
}

func TestWeightedIsExactAmongConcurrentCalls(t *testing.T) {
	t.Parallel()
	var w Weighted
	targets := targetsOf(5, 2, 1)
	var mu sync.Mutex
	total := map[*Target]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			counts := tally(1000, &w, targets, &provider.Request{})
			mu.Lock()
			defer mu.Unlock()
			for target, n := range counts {
				total[target] += n
			}
		})
	}
	wg.Wait()
	for i, want := range []int{5000, 2000, 1000} {
		if got := total[targets[i]]; got != want {
			t.Errorf("%s got %d, want %d", targets[i].Provider, got, want)
		}
	}
}
