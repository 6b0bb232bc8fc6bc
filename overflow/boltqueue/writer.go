package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// maxBatch is how many operations are committed together at most, and
	// maxBatchBytes about how much content.
	maxBatch      = 512
	maxBatchBytes = 8 << 20
	// maxFailures is how many commits may fail before the rest of a batch is given up:
	// after each, bbolt looks through the whole file for free pages.
	maxFailures = 16
	// breather is how long new jobs are refused after a commit has failed.
	breather = time.Second
	// complainEvery is how often that is logged at most.
	complainEvery = 10 * time.Second
)

// op is an operation on the file. The writer commits it together with others.
type op struct {
	// run checks first and returns what is wrong, and then writes. It may be run again in
	// another batch, if the first could not be committed.
	run func(*batch) error
	// size is about how many bytes of content it writes.
	size int
	// after, unless nil, is called by the writer instead of closing done.
	after func(error)

	state atomic.Int32
	done  chan struct{} // closed once err is set
	err   error
}

// What becomes of an op: the writer takes it, or the caller gives it up.
const (
	opQueued = iota
	opTaken
	opGivenUp
)

// do has the writer commit an operation and returns what came of it. If it fails with the
// context's error or ErrClosed, it was not run.
func (q *Queue) do(ctx context.Context, size int, run func(*batch) error) error {
	if err := q.usable(ctx); err != nil {
		return err
	}
	o := &op{run: run, size: size, done: make(chan struct{})}
	select {
	case q.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.closing:
		return overflow.ErrClosed
	}
	err := overflow.ErrClosed
	select {
	case <-o.done:
		return o.err
	case <-q.stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if o.state.CompareAndSwap(opQueued, opGivenUp) {
		return err
	}
	<-o.done
	return o.err
}

// usable returns why nothing can be done: the context has ended, or the queue is closed.
func (q *Queue) usable(ctx context.Context) error {
	select {
	case <-q.closing:
		return overflow.ErrClosed
	default:
		return ctx.Err()
	}
}

func (o *op) finish(err error) {
	if o.after != nil {
		o.after(err)
		return
	}
	o.err = err
	close(o.done)
}

// write is the writer: the one goroutine that changes the file and the index. It runs
// until the queue is closed.
func (q *Queue) write() {
	defer close(q.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := q.untilDue()
		var first *op
		if wait > 0 && !q.servable() {
			timer.Reset(wait)
			select {
			case first = <-q.ops:
			case <-q.nudge:
			case <-timer.C:
			case <-q.closing:
				return
			}
		}
		ops := q.gather(first)
		select {
		case <-q.closing:
			for _, o := range ops {
				o.finish(overflow.ErrClosed)
			}
			return
		default:
		}
		q.commit(append(q.due(), ops...))
	}
}

func (o *op) take() bool { return o.state.CompareAndSwap(opQueued, opTaken) }

// gather returns the first operation, if there is one, and whatever else waits, up to a batch.
//
// It waits for nobody, but lets those run who can: whoever was answered by the last commit
// may be about to call again, and would otherwise have to wait for this one to end.
func (q *Queue) gather(first *op) (ops []*op) {
	size, yielded := 0, false
	for o := first; ; {
		if o != nil && o.take() {
			ops = append(ops, o)
			size += o.size
		}
		if len(ops) >= maxBatch || size >= maxBatchBytes {
			return ops
		}
		select {
		case o = <-q.ops:
			yielded = false
		default:
			if yielded {
				return ops
			}
			o, yielded = nil, true
			runtime.Gosched()
		}
	}
}

// round is how the writer fares with one batch.
type round struct {
	failures int   // commits that have failed
	err      error // why the last one has, if not for want of room in the file
}

// commit commits operations and answers them.
func (q *Queue) commit(ops []*op) {
	var r round
	if q.settle(ops, &r); r.err == nil {
		return
	}
	now := q.clock.mono()
	q.refuse = now + breather
	if q.complained == 0 || now-q.complained >= complainEvery {
		q.complained = now
		q.logger.Error("the overflow queue cannot store what it should", zap.String("path", q.path), zap.Error(r.err))
	}
}

// settle commits operations, if not together then in parts, so that only those fail that
// are at fault, and answers them.
func (q *Queue) settle(ops []*op, r *round) {
	for len(ops) > 0 {
		committed, culprit, err := q.try(ops)
		switch {
		case err == nil:
			return
		case culprit >= 0:
			ops[culprit].finish(unavailable(err))
			ops = slices.Delete(slices.Clone(ops), culprit, culprit+1)
			continue
		}
		if !errors.Is(err, berrors.ErrMaxSizeReached) {
			r.err = err
		}
		if r.failures++; committed || len(ops) == 1 || r.failures > maxFailures {
			for _, o := range ops {
				o.finish(unavailable(err))
			}
			return
		}
		half := len(ops) / 2
		q.settle(ops[:half], r)
		ops = ops[half:]
	}
}

func unavailable(err error) error {
	if errors.Is(err, overflow.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", overflow.ErrUnavailable, err)
}

// errNothing ends a transaction that has nothing to commit.
var errNothing = errors.New("nothing to commit")

// try runs operations in one transaction. Without an error they are answered.
// With one, culprit is the operation during which it happened, or -1; and committed
// says whether their effects are in the file nevertheless, though perhaps not durably:
// that happens if the very last sync fails.
func (q *Queue) try(ops []*op) (committed bool, culprit int, err error) {
	b := newBatch(q)
	errs := make([]error, len(ops))
	culprit = -1
	err = q.safeUpdate(func(tx *bbolt.Tx) error {
		b.begin(tx)
		for i, o := range ops {
			culprit = i
			if errs[i] = o.run(b); b.err != nil {
				return b.err
			}
		}
		culprit = -1
		return b.end()
	})
	committed = err == nil || b.tx != nil && err != errNothing && q.sees(b.txid)
	if committed {
		b.apply()
		defer b.tell()
	}
	if err != nil && err != errNothing {
		return committed, culprit, err
	}
	for i, o := range ops {
		o.finish(errs[i])
	}
	return committed, -1, nil
}

// safeUpdate runs a transaction that writes. A panic of bbolt, which is how it tells
// of a damaged file, is an error.
func (q *Queue) safeUpdate(f func(*bbolt.Tx) error) (err error) {
	defer q.survive(&err)
	return q.update(f)
}

// view runs a transaction that reads. Its errors are this queue's, as is a panic.
func (q *Queue) view(f func(*bbolt.Tx) error) (err error) {
	defer func() {
		if errors.Is(err, berrors.ErrDatabaseNotOpen) {
			err = overflow.ErrClosed
		}
	}()
	defer q.survive(&err)
	return q.db.View(f)
}

func (q *Queue) survive(err *error) {
	if p := recover(); p != nil {
		q.logger.Error("the overflow queue's file cannot be read or written; it may be damaged",
			zap.String("path", q.path), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		*err = fmt.Errorf("%w: %s may be damaged: %v", overflow.ErrUnavailable, q.path, p)
	}
}

// sees reports whether the transaction with this number is what the file shows.
func (q *Queue) sees(txid int) bool {
	seen := false
	err := q.view(func(tx *bbolt.Tx) error {
		seen = tx.ID() == txid
		return nil
	})
	return err == nil && seen
}
