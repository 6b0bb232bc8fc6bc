package policy

import "testing"

func TestRoundRobinTakesEachInTurnWhateverItsWeight(t *testing.T) {
	t.Parallel()
	var r RoundRobin
	targets := targetsOf(1, 1000, 0)
	got := order(7, &r, targets) + " " + order(4, &r, targets[:2]) + " " + order(6, &r, targets)
	if want := "abcabca baba bcabca"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRoundRobinGivesEachItsShareOfWhatItCouldGet(t *testing.T) {
	t.Parallel()
	testShares(t, new(RoundRobin), targetsOf(9, 1, 1, 1, 1), func(*Target) float64 { return 1 })
}
