package gateway

import (
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
			b.first()
		}
		if n := taken(b, 1000); n != 10 {
			t.Errorf("it had %d calls", n)
		}
	})
	t.Run("it saves no more than the reserve", func(t *testing.T) {
		t.Parallel()
		b := full(0.2)
		for range 1000 {
			b.first()
		}
		if n := taken(b, 1000); n != 100 {
			t.Errorf("it had %d calls", n)
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
