package gateway

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// taken returns how many calls there are in a budget, up to most.
func taken(b *budget, most int) (n int) {
	for n < most && b.take() {
		n++
	}
	return n
}

// full returns a budget that time does not fill.
func full(share float64) *budget {
	b := newBudget(share)
	b.filled.Store(int64(time.Hour) * 1e4)
	return b
}

func TestBudget(t *testing.T) {
	t.Parallel()
	t.Run("it has a reserve", func(t *testing.T) {
		t.Parallel()
		if n := taken(full(0.2), 1000); n != 100 {
			t.Errorf("it had %d calls", n)
		}
	})
	t.Run("it gets a share of first calls", func(t *testing.T) {
		t.Parallel()
		b := full(0.2)
		taken(b, 1000)
		for range 50 {
			b.first(clock())
		}
		if n := taken(b, 1000); n != 10 {
			t.Errorf("it had %d calls", n)
		}
	})
	t.Run("it saves the reserve and the share of a minute", func(t *testing.T) {
		t.Parallel()
		const minute = time.Minute
		for name, c := range map[string]struct {
			first map[time.Duration]int
			want  int
		}{
			"of this one":              {map[time.Duration]int{0: 1000}, 300},
			"of the one before":        {map[time.Duration]int{0: 1000, minute: 500}, 300},
			"of the larger of the two": {map[time.Duration]int{0: 500, minute: 1000}, 300},
			"of none that is over":     {map[time.Duration]int{0: 5000, minute: 1000, 2 * minute: 5}, 300},
			"of none after a pause":    {map[time.Duration]int{0: 5000, 2 * minute: 5}, 101},
		} {
			b := full(0.2)
			for _, at := range slices.Sorted(maps.Keys(c.first)) {
				for range c.first[at] {
					b.first(at)
				}
			}
			if n := taken(b, 10_000); n != c.want {
				t.Errorf("%s: it had %d calls, want %d", name, n, c.want)
			}
		}
	})
	t.Run("it is filled by time", func(t *testing.T) {
		t.Parallel()
		b := newBudget(0.2)
		taken(b, 1000)
		b.filled.Add(-int64(7 * time.Second))
		if n := taken(b, 1000); n < 7 || n > 8 {
			t.Errorf("it had %d calls", n)
		}
	})
	t.Run("none is needed", func(t *testing.T) {
		t.Parallel()
		if n := taken(full(-1), 1000); n != 1000 {
			t.Errorf("it had %d calls", n)
		}
	})
}
