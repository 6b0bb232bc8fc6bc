package dashboard

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsAreInOrderAndHoldWhatTheySay(t *testing.T) {
	t.Parallel()
	for i := range buckets {
		low := time.Duration(lowerBound(i) * float64(time.Second))
		if got := bucketOf(low); got != i {
			t.Errorf("bucket %d begins at %v, which is in bucket %d", i, low, got)
		}
		if i > 0 {
			if got := bucketOf(low - time.Microsecond); got != i-1 {
				t.Errorf("just before bucket %d is bucket %d", i, got)
			}
		}
	}
	for _, test := range []struct {
		d    time.Duration
		want int
	}{{-time.Second, 0}, {0, 0}, {time.Millisecond, 7}, {24 * time.Hour, buckets - 1}, {math.MaxInt64, buckets - 1}} {
		if got := bucketOf(test.d); got != test.want {
			t.Errorf("%v is in bucket %d, want %d", test.d, got, test.want)
		}
	}
}

// A percentile is within a tenth or so of the true one.
func TestPercentilesAreNearTheTrueOnes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []float64{0.1, 0.5, 1.5} {
		var h durations
		all := make([]float64, 20000)
		for i := range all {
			all[i] = math.Exp(random.NormFloat64()*spread - 1)
			h[bucketOf(time.Duration(all[i]*float64(time.Second)))]++
		}
		slices.Sort(all)
		got := h.percentiles()
		for i, q := range quantiles {
			want := all[int(q*float64(len(all)))]
			if off := math.Abs(float64(got[i])/want - 1); off > 0.12 {
				t.Errorf("spread %v: p%v is %v, want about %v", spread, q*100, got[i], want)
			}
		}
	}
}

func TestPercentilesOfNothingAreNone(t *testing.T) {
	t.Parallel()
	var none durations
	if got := none.percentiles(); got != (percentiles{}) {
		t.Errorf("got %v", got)
	}
	for _, v := range known(percentiles{}) {
		if v != nil {
			t.Errorf("shown as %v, want null", *v)
		}
	}
}
