package overflow_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// faultyQueue is a queue some of whose methods may be replaced.
type faultyQueue struct {
	overflow.Queue
	calls   atomic.Int64 // of the methods below
	applied atomic.Int64 // successful calls of the real Apply

	mu        sync.Mutex
	away      error // what all of these fail with, unless nil
	claim     func(ctx context.Context, order overflow.Order) ([]*overflow.Job, error)
	heartbeat func(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error)
	append    func(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error
	apply     func(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error)
	get       func(ctx context.Context, id string) (*overflow.Job, error)
}

func newFaultyQueue() *faultyQueue {
	queue := queuetest.NewQueue()
	q := &faultyQueue{
		Queue: queue, claim: queue.Claim, heartbeat: queue.Heartbeat, append: queue.Append, get: queue.Get,
	}
	q.apply = q.really
	return q
}

// really is the Apply that is not replaced.
func (q *faultyQueue) really(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
	job, err := q.Queue.Apply(ctx, ref, change)
	if err == nil {
		q.applied.Add(1)
	}
	return job, err
}

// set changes q while it is in use.
func (q *faultyQueue) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// goAway makes all calls fail with err until it is nil.
func (q *faultyQueue) goAway(err error) { q.set(func() { q.away = err }) }

// method returns which one is in use.
func method[F any](q *faultyQueue, f *F) (F, error) {
	q.calls.Add(1)
	q.mu.Lock()
	defer q.mu.Unlock()
	return *f, q.away
}

func (q *faultyQueue) Claim(ctx context.Context, order overflow.Order) ([]*overflow.Job, error) {
	claim, err := method(q, &q.claim)
	if err != nil {
		return nil, err
	}
	return claim(ctx, order)
}

func (q *faultyQueue) Heartbeat(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error) {
	heartbeat, err := method(q, &q.heartbeat)
	if err != nil {
		return nil, err
	}
	return heartbeat(ctx, refs, lease)
}

func (q *faultyQueue) Append(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
	appends, err := method(q, &q.append)
	if err != nil {
		return err
	}
	return appends(ctx, ref, number, chunk)
}

func (q *faultyQueue) Apply(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
	apply, err := method(q, &q.apply)
	if err != nil {
		return nil, err
	}
	return apply(ctx, ref, change)
}

func (q *faultyQueue) Get(ctx context.Context, id string) (*overflow.Job, error) {
	get, err := method(q, &q.get)
	if err != nil {
		return nil, err
	}
	return get(ctx, id)
}

// sharedQueue is one of several handles of a queue.
type sharedQueue struct{ overflow.Queue }

// Close closes the handle alone.
func (sharedQueue) Close() error { return nil }
