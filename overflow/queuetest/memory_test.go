package queuetest

import (
	"testing"

	"github.com/runestone-gateway/runestone/overflow"
)

func TestTheReferencePassesItsOwnSuite(t *testing.T) {
	t.Parallel()
	another := func(t testing.TB, q overflow.Queue) overflow.Queue {
		other := q.(*queue).memory.open()
		t.Cleanup(func() { other.Close() })
		return other
	}
	b := Backend{
		Open: func(t testing.TB) overflow.Queue { return another(t, newMemory().open()) },
		Reopen: func(t testing.TB, q overflow.Queue) overflow.Queue {
			q.Close()
			return another(t, q)
		},
	}
	t.Run("in one process", func(t *testing.T) {
		t.Parallel()
		Run(t, b)
	})
	b.Second = another
	t.Run("in two processes", func(t *testing.T) {
		t.Parallel()
		Run(t, b)
	})
}
