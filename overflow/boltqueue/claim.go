package boltqueue

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/runestone-gateway/runestone/overflow"
)

// waiter is a call of Claim that waits for jobs.
type waiter struct {
	order overflow.Order
	kind  int
	done  chan struct{} // closed once jobs or err is set
	jobs  []*record
	err   error
	// leaving is why the caller wants to wait no longer, which it says while the writer
	// tries to serve it. It is guarded by Queue.mu.
	leaving error
}

// Claim implements [overflow.Queue].
func (q *Queue) Claim(ctx context.Context, order overflow.Order) ([]*overflow.Job, error) {
	for {
		claimed, err := q.wait(ctx, order)
		if err != nil {
			return nil, err
		}
		if jobs, err := q.fill(claimed); len(jobs) > 0 || err != nil {
			return jobs, err
		}
	}
}

// wait waits until the writer has claimed jobs for this call.
func (q *Queue) wait(ctx context.Context, order overflow.Order) ([]*record, error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	order.Max = max(1, order.Max)
	w := &waiter{order: order, kind: kindNumber(order.Kind), done: make(chan struct{})}
	if w.kind < 0 {
		return nil, fmt.Errorf("there is no kind of jobs %q", order.Kind)
	}
	q.mu.Lock()
	q.waiters[w.kind] = append(q.waiters[w.kind], w)
	q.mu.Unlock()
	q.wake()
	var err error
	select {
	case <-w.done:
		return w.jobs, w.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-q.closing:
		err = overflow.ErrClosed
	}
	q.mu.Lock()
	if i := slices.Index(q.waiters[w.kind], w); i >= 0 {
		q.waiters[w.kind] = slices.Delete(q.waiters[w.kind], i, i+1)
		q.mu.Unlock()
		return nil, err
	}
	w.leaving = err
	q.mu.Unlock()
	<-w.done
	return w.jobs, w.err
}

// wake has the writer look for what is due.
func (q *Queue) wake() {
	select {
	case q.nudge <- struct{}{}:
	default:
	}
}

// fill reads the payloads of jobs that were claimed. A job whose payload is lost is
// discarded and left out.
func (q *Queue) fill(claimed []*record) (jobs []*overflow.Job, err error) {
	var broken []*record
	err = q.view(func(tx *bbolt.Tx) error {
		payloads := tx.Bucket(bucketPayloads)
		for _, r := range claimed {
			job, whole := r.job(), false
			if job.Payload, whole = readWhole(payloads, r); whole {
				jobs = append(jobs, job)
			} else {
				broken = append(broken, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, was := range broken {
		// If this fails the lease runs out, and the next one who claims the job tries again.
		_ = q.do(context.Background(), 0, func(b *batch) error {
			r, err := b.load(was.ID)
			if err != nil || r.Lease != was.Lease {
				return err
			}
			b.bury(r)
			return nil
		})
	}
	return jobs, nil
}

// readWhole returns a job's payload, and whether it is what was stored. What bbolt
// panics at is not.
func readWhole(payloads *bbolt.Bucket, r *record) (payload []byte, whole bool) {
	defer func() {
		if recover() != nil {
			payload, whole = nil, false
		}
	}()
	return readPieces(payloads, payloadPrefix(r.ID), r.Payload)
}

// readPieces returns a content, and whether it is what was stored.
func readPieces(bucket *bbolt.Bucket, prefix []byte, b blob) ([]byte, bool) {
	content := make([]byte, 0, b.Size)
	for i := range pieces(b.Size) {
		content = append(content, bucket.Get(pieceKey(prefix, i))...)
	}
	return content, b.is(content)
}

// untilDue returns how long it takes until a Scheduled job becomes available.
func (q *Queue) untilDue() time.Duration {
	next := q.index.scheduled.first()
	if next == nil {
		return math.MaxInt64
	}
	wait := time.Duration(next.due - q.clock.wall().UnixNano())
	return max(wait, q.refuse-q.clock.mono()) // storing may not have worked a moment ago
}

// due returns operations that nobody called for: making Scheduled jobs available whose
// time has come or else, since those may be the ones to claim, serving who waits for jobs.
func (q *Queue) due() (ops []*op) {
	if q.untilDue() <= 0 {
		return []*op{{run: (*batch).promote, after: func(error) {}}}
	}
	if waiters := q.takeWaiters(); len(waiters) > 0 {
		ops = append(ops, &op{
			run:   func(b *batch) error { return b.serve(waiters) },
			after: func(err error) { q.answer(waiters, err) },
		})
	}
	return ops
}

// promote makes Scheduled jobs available whose time has come.
func (b *batch) promote() error {
	for _, id := range dueBy(&b.q.index.scheduled, due, b.now.UnixNano(), maxBatch) {
		if r := b.loadOrBury(b.q.index.byID[id]); r != nil {
			r.release()
			b.stage(r)
		}
	}
	return nil
}

// servable reports whether somebody waits for jobs that are there.
func (q *Queue) servable() bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for kind := range kinds {
		if len(q.waiters[kind]) > 0 && q.index.ready[kind].n > 0 && (!q.paused || kind != int(request)) {
			return true
		}
	}
	return false
}

// takeWaiters takes those who can be served.
func (q *Queue) takeWaiters() []*waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*waiter
	for kind := range kinds {
		if q.paused && kind == int(request) {
			continue
		}
		for room := q.index.ready[kind].n; room > 0 && len(q.waiters[kind]) > 0; {
			w := q.waiters[kind][0]
			q.waiters[kind] = slices.Delete(q.waiters[kind], 0, 1)
			taken = append(taken, w)
			room -= w.order.Max
		}
	}
	return taken
}

// serve claims jobs for those who wait, who are of no kind in between.
func (b *batch) serve(waiters []*waiter) error {
	for kind := range kinds {
		var mine []*waiter
		for _, w := range waiters {
			if w.kind == kind {
				w.jobs = nil
				mine = append(mine, w)
			}
		}
		n := 0
		for e := range b.q.index.ready[kind].all {
			if len(mine) == 0 || n == maxBatch {
				break
			}
			r := b.loadOrBury(e)
			if r == nil {
				continue
			}
			w := mine[0]
			w.jobs = append(w.jobs, b.claim(r, w.order.Lease))
			n++
			if len(w.jobs) == w.order.Max {
				mine = mine[1:]
			}
		}
	}
	return nil
}

// claim has a job begin to run.
func (b *batch) claim(r *record, lease time.Duration) *record {
	if r.Chunks > 0 {
		b.discard(b.results, runPrefix(r.ID, r.Run))
	}
	r.State, r.Lane, r.RunAt = overflow.Executing, "", time.Time{}
	r.Attempt++
	r.Run++
	r.Chunks, r.OutputSize = 0, 0
	r.Lease, r.LeaseUntil, r.StartedAt = b.q.newLease(), b.now.Add(lease), b.now
	b.stage(r).until = b.mono + lease
	return r
}

// answer tells those who wait what the writer has for them. Those for whom there was nothing
// after all wait on.
func (q *Queue) answer(waiters []*waiter, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range slices.Backward(waiters) {
		switch {
		case err != nil:
			w.jobs, w.err = nil, err
		case len(w.jobs) > 0:
		case w.leaving != nil:
			w.err = w.leaving
		default:
			q.waiters[w.kind] = slices.Insert(q.waiters[w.kind], 0, w)
			continue
		}
		close(w.done)
	}
}
