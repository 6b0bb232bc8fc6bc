package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// blocking is how long one read waits for something new. It is short, since a read outlives
	// the call that began it, and since a server may forget whom it has to wake.
	blocking = 1500 * time.Millisecond
	// keepCorrupt is how long a job is kept whose record cannot be read.
	keepCorrupt = 7 * 24 * time.Hour
)

// door is where the Claim calls of a kind wait when there is nothing: one of them at the
// server, the others behind it.
type door struct {
	turn   chan struct{} // holds one element while somebody waits at the server
	read   chan struct{} // is closed when the present read ends; belongs to who has the turn
	misses atomic.Int32  // how many attempts in a row have failed
}

func newDoor() *door { return &door{turn: make(chan struct{}, 1)} }

// hint is what a claim that found nothing has learned.
type hint struct {
	last string        // the latest entry of the stream that says that there is something
	due  time.Duration // until the next scheduled job becomes available; negative for none
}

// Claim implements overflow.Queue. When the server cannot be reached it fails after a
// pause, so that a caller that tries again does no harm.
func (q *queue) Claim(ctx context.Context, order overflow.Order) ([]*overflow.Job, error) {
	d, ok := q.doors[order.Kind]
	if !ok {
		return nil, fmt.Errorf("%w: the unknown kind %q", overflow.ErrState, order.Kind)
	}
	jobs, _, err := q.claim(ctx, d, order)
	if err != nil || len(jobs) > 0 {
		return jobs, err
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-q.ctx.Done():
		return nil, overflow.ErrClosed
	}
	for {
		jobs, h, err := q.claim(ctx, d, order)
		if err != nil || len(jobs) > 0 {
			return jobs, err
		}
		if err := q.wait(ctx, d, order.Kind, h); err != nil {
			return nil, err
		}
	}
}

// claim takes what there is. Once it has begun it does not end with ctx, since then jobs
// might be taken that nobody knows of.
func (q *queue) claim(ctx context.Context, d *door, order overflow.Order) ([]*overflow.Job, hint, error) {
	if err := q.alive(ctx); err != nil {
		return nil, hint{}, err
	}
	within, cancel := context.WithTimeout(q.ctx, q.answerTime)
	defer cancel()
	reply, err := q.eval(within, q.claimer, claimScript, []any{
		string(order.Kind), max(order.Max, 1), microseconds(order.Lease), nonce(), q.consumer,
	})
	list, err := q.answer(ctx, reply, err)
	var jobs []*overflow.Job
	var h hint
	if err == nil {
		jobs, h, err = q.parseClaim(list)
	}
	if err != nil {
		q.missed(ctx, d)
		return nil, hint{}, err
	}
	d.misses.Store(0)
	return jobs, h, nil
}

// missed waits a while after a failure, and longer the more of them there were in a row.
func (q *queue) missed(ctx context.Context, d *door) {
	pause := min(100*time.Millisecond<<min(d.misses.Add(1)-1, 5), 2*time.Second)
	pause = pause/2 + rand.N(pause)
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	case <-q.ctx.Done():
	}
}

// parseClaim reads what the script claim.lua returns.
func (q *queue) parseClaim(list []any) ([]*overflow.Job, hint, error) {
	if len(list) != 4 {
		return nil, hint{}, unreadable()
	}
	if list[0] == int64(1) {
		q.upkeep.urgent.Store(true)
	}
	due, ok := list[1].(string)
	last, ok2 := list[2].(string)
	entries, ok3 := list[3].([]any)
	if !ok || !ok2 || !ok3 {
		return nil, hint{}, unreadable()
	}
	h := hint{last: last, due: -1}
	if us, err := time.ParseDuration(due + "us"); err == nil {
		h.due = us
	}
	jobs := make([]*overflow.Job, 0, len(entries))
	for _, e := range entries {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			return nil, hint{}, unreadable()
		}
		job, err := parseJob(pair[1])
		switch {
		case errors.Is(err, errCorrupt):
			q.start(func() { q.discard(job) })
		case err != nil:
			return nil, hint{}, unreadable()
		default:
			job.Payload = blob(pair[0])
			jobs = append(jobs, job)
		}
	}
	return jobs, h, nil
}

// discard gives up a job that was claimed and whose record cannot be read.
func (q *queue) discard(job *overflow.Job) {
	q.log.Error("a job of the overflow queue cannot be read and is given up", zapID(job))
	_, err := q.Apply(q.ctx, overflow.Ref{ID: job.ID, Lease: job.Lease}, overflow.Change{
		To: overflow.Discarded, Reason: overflow.ReasonCorrupt, Keep: keepCorrupt, Error: errCorrupt.Error(),
	})
	if err != nil {
		q.log.Warn("giving up a job that cannot be read has failed; it will be tried again", zapID(job), zap.Error(err))
	}
}

// wait returns when there may be something to claim.
func (q *queue) wait(ctx context.Context, d *door, kind overflow.Kind, h hint) error {
	if d.read == nil {
		read := make(chan struct{})
		d.read = read
		q.start(func() {
			defer close(read)
			q.listen(kind, h.last)
		})
	}
	var due <-chan time.Time
	if h.due >= 0 {
		timer := time.NewTimer(h.due)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-d.read:
		d.read = nil
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.ctx.Done():
		return overflow.ErrClosed
	}
	return nil
}

// listen waits for an entry after the last one, for as long as a read may block. Why it ends does
// not matter: the next claim finds out how things are.
func (q *queue) listen(kind overflow.Kind, last string) {
	ctx, cancel := context.WithTimeout(q.ctx, blocking+q.answerTime)
	defer cancel()
	_ = q.claimer.XRead(ctx, &redis.XReadArgs{
		Streams: []string{q.prefix + "wake:" + string(kind), last},
		Count:   1,
		Block:   blocking,
	}).Err()
}
