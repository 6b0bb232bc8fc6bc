package policy

import (
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

func TestFailoverTriesTargetsInTheirOrder(t *testing.T) {
	t.Parallel()
	targets := targetsOf(1, 2, 3)
	for left := targets; len(left) > 0; left = left[1:] {
		if got := (Failover{}).Select(left, &provider.Request{}); got != left[0] {
			t.Errorf("of %d targets it took %+v", len(left), got)
		}
	}
}
