package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// Apply implements [overflow.Queue]. It returns once the change is on the disk.
func (q *Queue) Apply(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
	size := len(change.Head)
	for _, chunk := range change.Output {
		size += len(chunk)
	}
	if follow := change.Follow; follow != nil {
		if err := q.check(follow); err != nil {
			return nil, err
		}
		size += len(follow.Payload)
	}
	var changed *record
	err := q.do(ctx, size, func(b *batch) (err error) {
		changed, err = b.change(ref, &change, size)
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed.job(), nil
}

// change makes a change. size is how much content it brings.
func (b *batch) change(ref overflow.Ref, c *overflow.Change, size int) (*record, error) {
	r, err := b.load(ref.ID)
	leased := ref.Lease != ""
	switch {
	case err != nil:
		return nil, err
	case leased && !b.leased(r, ref.Lease):
		return nil, fmt.Errorf("%s: %w", r.ID, overflow.ErrLost)
	case !allowed(r.State, c.To, leased):
		return nil, fmt.Errorf("%s from %s to %s: %w", r.ID, r.State, c.To, overflow.ErrState)
	case size > 0 && !b.room(size, roomForEnds):
		return nil, fmt.Errorf("%w: %s is full", overflow.ErrUnavailable, b.q.path)
	}
	if r.State == overflow.Executing && !leased {
		r.CancelAsked = true
		b.stage(r)
		return r, nil
	}
	if leased {
		r.endRun(c)
	}
	if r.State.Final() {
		b.restart(r)
	}
	if !c.Deadline.IsZero() {
		r.Deadline = c.Deadline
	}
	r.release()
	r.State = c.To
	switch c.To {
	case overflow.Waiting:
		r.Lane = c.Lane
	case overflow.Scheduled:
		r.RunAt = b.now.Add(c.After)
	case overflow.Completed, overflow.Discarded, overflow.Cancelled:
		b.finish(r, c)
	}
	b.stage(r)
	if c.Follow != nil {
		if _, _, err := b.enqueue(c.Follow, noLimit); err != nil {
			b.err = err // what is written of the change must not stay
			return nil, err
		}
	}
	return r, nil
}

// noLimit is the limit of a job that is enqueued whatever there is.
const noLimit = -1

// allowed reports whether a job may go from one state to another, by whom it runs or from
// outside.
func allowed(from, to overflow.State, leased bool) bool {
	if leased {
		return to != overflow.Executing && stateNumber(to) >= 0
	}
	switch from {
	case overflow.Available:
		return to == overflow.Cancelled || to == overflow.Discarded
	case overflow.Waiting, overflow.Scheduled:
		return to == overflow.Cancelled || to == overflow.Discarded || to == overflow.Available
	case overflow.Executing:
		return to == overflow.Cancelled
	case overflow.Discarded, overflow.Cancelled:
		return to == overflow.Available
	}
	return false
}

// endRun records what a run leaves to a job, wherever it goes.
func (r *record) endRun(c *overflow.Change) {
	r.Error = c.Error
	switch {
	case !c.Refund:
		r.Snoozes = 0
		return
	case c.To == overflow.Waiting || c.To == overflow.Scheduled:
		r.Snoozes++
	}
	r.Attempt--
}

// finish records the end of a job.
func (b *batch) finish(r *record, c *overflow.Change) {
	r.EndedAt, r.KeepUntil = b.now, b.now.Add(c.Keep)
	r.Reason, r.Error = c.Reason, c.Error
	if c.To != overflow.Cancelled {
		b.reclaim(b.results, headPrefix(r.ID, r.Run))
		r.Head = newBlob(c.Head)
		b.putPieces(b.results, headPrefix(r.ID, r.Run), c.Head, 0)
		for _, chunk := range c.Output {
			b.putOut(r, chunk)
		}
	}
	if c.To != overflow.Completed {
		b.free(r)
	}
}

// restart has a job begin anew that had ended.
func (b *batch) restart(r *record) {
	b.discard(b.results, headPrefix(r.ID, r.Run))
	b.discard(b.results, runPrefix(r.ID, r.Run))
	r.Attempt, r.Crashes, r.Snoozes = 0, 0, 0
	r.Reason, r.Error, r.CancelAsked = "", "", false
	r.Head, r.Chunks, r.OutputSize = blob{}, 0, 0
	r.EndedAt, r.KeepUntil = time.Time{}, time.Time{}
	b.hold(r)
}

// bury discards a job that cannot be run because its payload, or a part of its record, is lost.
func (b *batch) bury(r *record) {
	r.release()
	b.free(r)
	r.State = overflow.Discarded
	r.Reason, r.Error = overflow.ReasonCorrupt, "what is stored of the job cannot be read"
	r.EndedAt, r.KeepUntil = b.now, b.now.Add(time.Duration(overflow.DefaultKeepDiscarded))
	b.stage(r)
}

// loadOrBury returns a job's record. If that cannot be read any more it discards the job, of which
// the index still knows something, and returns nil, as it does for one that is removed.
func (b *batch) loadOrBury(e *entry) *record {
	r, err := b.load(e.id)
	if err == nil || errors.Is(err, overflow.ErrNotFound) {
		return r
	}
	b.bury(&record{Payload: lost, Job: overflow.Job{
		ID: e.id, Kind: overflow.Kinds[e.kind], Owner: e.owner.Value(), Model: e.model.Value(),
		Priority: int(e.priority), CreatedAt: time.Unix(0, e.created).UTC(),
	}})
	return nil
}
