package redisqueue

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// sweepEvery and reconcileEvery are how often one process of all looks for what is out of
	// order: in the consumer groups, and among all jobs.
	sweepEvery     = 15 * time.Second
	reconcileEvery = time.Minute
	// idle is how long an entry must have been without a sign of life to be looked at, and
	// dead how long a consumer must have done nothing to be deleted.
	idle = time.Minute
	dead = time.Hour
)

// upkeep is when things were last looked after.
type upkeep struct {
	urgent atomic.Bool // something was found to be out of order

	mu               sync.Mutex // held by the one Maintain that looks after things
	sweep, reconcile time.Time  // when to do that next
}

// Maintain implements overflow.Queue.
func (q *queue) Maintain(ctx context.Context) (overflow.Upkeep, error) {
	var done overflow.Upkeep
	if err := q.maintain(ctx, &done); err != nil {
		return done, err
	}
	if !q.upkeep.mu.TryLock() {
		return done, nil
	}
	defer q.upkeep.mu.Unlock()
	now := time.Now()
	if now.After(q.upkeep.sweep) {
		q.upkeep.sweep = now.Add(jitter(sweepEvery))
		if err := q.sweep(ctx, &done); err != nil {
			return done, err
		}
	}
	urgent := q.upkeep.urgent.Swap(false)
	if !urgent && !now.After(q.upkeep.reconcile) {
		return done, nil
	}
	q.upkeep.reconcile = now.Add(jitter(reconcileEvery))
	if !urgent {
		mine, err := q.Turn(ctx, "reconcile", reconcileEvery)
		if err != nil || !mine {
			return done, err
		}
	}
	err := q.reconcile(ctx, &done)
	if err != nil && urgent {
		q.upkeep.urgent.Store(true)
	}
	return done, err
}

// jitter returns a time about as long, so that processes do not all come at once.
func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }

// maintain rescues, makes overdue jobs available and removes old ones.
func (q *queue) maintain(ctx context.Context, done *overflow.Upkeep) error {
	for more := true; more; {
		reply, err := q.run(ctx, maintainScript, step)
		if err != nil {
			return err
		}
		numbers, err := integers(reply, 3)
		if err != nil {
			return err
		}
		if len(reply) != 4 {
			return unreadable()
		}
		rescued, err := parseJobs(reply[3])
		if err != nil {
			return unreadable()
		}
		more = numbers[0] == 1
		done.Overdue += int(numbers[1])
		done.Removed += int(numbers[2])
		done.Rescued = append(done.Rescued, rescued...)
	}
	return nil
}

// sweep looks after the entries of the consumer groups, and their consumers.
func (q *queue) sweep(ctx context.Context, done *overflow.Upkeep) error {
	mine, err := q.Turn(ctx, "sweep", sweepEvery)
	if err != nil || !mine {
		return err
	}
	reply, err := q.run(ctx, sweepScript, q.consumer, idle.Milliseconds(), dead.Milliseconds())
	if err != nil {
		return err
	}
	numbers, err := integers(reply, 2)
	if err != nil {
		return err
	}
	done.Repaired += int(numbers[0])
	if numbers[1] > 0 {
		q.log.Warn("Redis has lost entries of the overflow queue's streams; their jobs are put in order", zap.Int64("entries", numbers[1]))
		q.upkeep.urgent.Store(true)
	}
	return nil
}

// reconcile goes through all jobs and puts those in order that are not where they should be.
func (q *queue) reconcile(ctx context.Context, done *overflow.Upkeep) error {
	set, after := int64(1), ""
	for set > 0 {
		reply, err := q.run(ctx, reconcileScript, set, after, step)
		if err != nil {
			return err
		}
		if len(reply) != 3 {
			return unreadable()
		}
		repaired, _ := reply[2].(int64)
		set, _ = reply[0].(int64)
		after, _ = reply[1].(string)
		done.Repaired += int(repaired)
	}
	return nil
}
