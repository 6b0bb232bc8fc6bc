package boltqueue

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/runestone-gateway/runestone/overflow"
)

// Maintain implements [overflow.Queue]. It works in small steps, between which others get
// their turn.
func (q *Queue) Maintain(ctx context.Context) (overflow.Upkeep, error) {
	q.mu.Lock()
	done := overflow.Upkeep{Rescued: q.rescued, Repaired: q.repaired}
	q.rescued, q.repaired = nil, 0
	q.mu.Unlock()
	err := q.maintain(ctx, &done)
	if err != nil { // the next one is to tell of these
		q.mu.Lock()
		q.rescued = append(done.Rescued, q.rescued...)
		q.repaired += done.Repaired
		q.mu.Unlock()
		return overflow.Upkeep{}, err
	}
	q.wake() // the wall clock may have been set, and Scheduled jobs be due
	return done, nil
}

func (q *Queue) maintain(ctx context.Context, done *overflow.Upkeep) error {
	if err := q.rescue(ctx, &done.Rescued); err != nil {
		return err
	}
	for _, step := range []struct {
		run   func(b *batch, n int) (did int, more bool)
		count *int
	}{
		{(*batch).hurry, &done.Overdue},
		{(*batch).expunge, &done.Removed},
		{(*batch).relieve, &done.Removed},
		{(*batch).sweep, new(int)},
	} {
		if err := q.repeat(ctx, step.run, step.count); err != nil {
			return err
		}
	}
	return nil
}

// repeat runs a step until there is no more to do, and adds up what it does.
// If a step fails, it is tried with less: even to delete takes some room in the file.
func (q *Queue) repeat(ctx context.Context, step func(b *batch, n int) (int, bool), count *int) error {
	for n := maxStep; ; {
		did, more := 0, false
		err := q.do(ctx, 0, func(b *batch) error {
			did, more = step(b, n)
			return nil
		})
		switch {
		case err != nil && (n == 1 || q.usable(ctx) != nil):
			return err
		case err != nil:
			n /= 2
			continue
		}
		if *count += did; !more {
			return nil
		}
	}
}

// rescue makes jobs available whose lease is over, and adds them to rescued.
func (q *Queue) rescue(ctx context.Context, rescued *[]*overflow.Job) error {
	for {
		var jobs []*overflow.Job
		err := q.do(ctx, 0, func(b *batch) error {
			jobs = nil
			for _, id := range q.index.expired(q.clock.mono(), maxStep) {
				r, err := b.load(id)
				if err != nil || r.State != overflow.Executing { // changed within this batch
					continue
				}
				r.release()
				r.Crashes++
				r.Attempt--
				r.Snoozes = 0
				b.stage(r)
				jobs = append(jobs, r.job())
			}
			return nil
		})
		if err != nil {
			return err
		}
		*rescued = append(*rescued, jobs...)
		if len(jobs) < maxStep {
			return nil
		}
	}
}

// hurry makes up to n jobs available whose deadline has passed.
func (b *batch) hurry(n int) (did int, more bool) {
	ids := dueBy(&b.q.index.overdue, deadline, b.now.UnixNano(), n)
	for _, id := range ids {
		r := b.loadOrBury(b.q.index.byID[id])
		if r != nil && (r.State == overflow.Waiting || r.State == overflow.Scheduled) {
			r.release()
			b.stage(r)
			did++
		}
	}
	return did, len(ids) == n
}

// expunge removes up to n jobs that have been kept for long enough.
func (b *batch) expunge(n int) (did int, more bool) {
	ids := dueBy(&b.q.index.ended, due, b.now.UnixNano(), n)
	before := b.removed
	for _, id := range ids {
		if b.removed-before >= maxInline*4 {
			return did, true
		}
		r, err := b.load(id)
		switch {
		case err != nil: // gone within this batch, or it cannot be read any more
			if s := b.staged[id]; s != nil {
				continue
			}
		case !r.State.Final():
			continue
		}
		b.expel(id, r)
		did++
	}
	return did, len(ids) == n
}

// expel removes a job. Its record is nil if it cannot be read any more.
func (b *batch) expel(id string, r *record) {
	if r != nil {
		b.free(r)
	}
	b.discard(b.payloads, jobPrefix(id))
	b.discard(b.results, jobPrefix(id))
	b.replace(id, &staged{})
}

// spareAfter is how long a job that was given up is kept in any case.
const spareAfter = time.Hour

// relieve removes up to n jobs that were given up a while ago, those that would go next first, when there is little room
// left: what may never be asked for must not keep out what is asked for now.
func (b *batch) relieve(n int) (did int, more bool) {
	tooMuch := b.used - b.q.maxSize/100*roomForFailures
	if tooMuch <= 0 {
		return 0, false
	}
	for e := range b.q.index.ended.all {
		if did == n || tooMuch <= 0 {
			break
		}
		if e.state != discarded {
			continue
		}
		r, err := b.load(e.id)
		if err != nil || r.State != overflow.Discarded {
			continue
		}
		if b.now.Sub(r.EndedAt) < spareAfter {
			break // those that follow ended later: all are kept for the same time
		}
		tooMuch -= int64(r.Payload.Size + r.Head.Size)
		b.expel(e.id, r)
		did++
	}
	return did, did == n
}

// sweep deletes up to n pieces that nobody needs any more.
func (b *batch) sweep(n int) (did int, more bool) {
	if !b.q.trash {
		return 0, false
	}
	for did < n && b.err == nil {
		key, _ := b.trash.Cursor().First()
		if key == nil {
			b.dirty = true // so that the next line takes effect
			b.commits = append(b.commits, func() { b.q.trash = b.trashed })
			return did, false
		}
		key = slices.Clone(key)
		bucket := b.payloads
		if key[0] == ofOutput {
			bucket = b.results
		}
		keys := keysOf(bucket, key[1:], n-did)
		for _, piece := range keys {
			b.remove(bucket, piece)
		}
		if did += len(keys); did < n {
			b.remove(b.trash, key)
		}
	}
	return did, true
}

// Pause implements [overflow.Control].
func (q *Queue) Pause(ctx context.Context, paused bool) error {
	return q.do(ctx, 0, func(b *batch) error {
		if paused {
			b.put(b.meta, keyPaused, []byte{1})
		} else {
			b.remove(b.meta, keyPaused)
		}
		b.commits = append(b.commits, func() { b.q.paused = paused })
		return nil
	})
}

// Turn implements [overflow.Control]. When a task was done last is in the file, so
// that to restart the process does not repeat it.
func (q *Queue) Turn(ctx context.Context, task string, every time.Duration) (bool, error) {
	if err := q.usable(ctx); err != nil {
		return false, err
	}
	key := append(slices.Clone(keyTurn), task...)
	may := false // most often it is not, and nothing need be written
	err := q.view(func(tx *bbolt.Tx) error {
		may = isDue(tx.Bucket(bucketMeta).Get(key), q.clock.wall(), every)
		return nil
	})
	if err != nil || !may {
		return false, err
	}
	mine := false
	err = q.do(ctx, 0, func(b *batch) error {
		if mine = isDue(b.meta.Get(key), b.now, every); mine {
			b.put(b.meta, key, []byte(b.now.Format(time.RFC3339Nano)))
		}
		return nil
	})
	return mine && err == nil, err
}

// isDue reports whether a task is that was done last at a stored time. If that lies
// ahead the clock was wrong then, or is now.
func isDue(last []byte, now time.Time, every time.Duration) bool {
	at, err := time.Parse(time.RFC3339Nano, string(last))
	since := now.Sub(at)
	return err != nil || since >= every || since < 0
}
