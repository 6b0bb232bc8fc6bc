package boltqueue

import (
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

var dbgN int
var dbgRun, dbgAll time.Duration

func dbg(b *testing.B, q *Queue) {
	dbgN, dbgRun, dbgAll = 0, 0, 0
	s0 := time.Now()
	next := q.update
	q.update = func(f func(*bbolt.Tx) error) error {
		s := time.Now()
		err := next(func(tx *bbolt.Tx) error {
			s := time.Now()
			err := f(tx)
			dbgRun += time.Since(s)
			return err
		})
		dbgAll += time.Since(s)
		dbgN++
		return err
	}
	b.Cleanup(func() {
		st := q.db.Stats().TxStats
		d := time.Duration(dbgN)
		b.Logf("N=%d commits %d wall/commit %v, run %v all %v; spill %v write %v rebal %v alloc %d writes %d", b.N, dbgN, time.Since(s0)/d, dbgRun/d, dbgAll/d, st.GetSpillTime()/d, st.GetWriteTime()/d, st.GetRebalanceTime()/d, st.GetPageAlloc()/int64(dbgN), st.GetWrite()/int64(dbgN))
	})
}
