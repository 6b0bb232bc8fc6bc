package queuetest

import (
	"context"
	"fmt"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// Apply implements [overflow.Queue].
func (q *queue) Apply(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	m := q.memory
	r, err := m.get(ref.ID)
	if err != nil {
		return nil, err
	}
	if ref.Lease != "" && !r.leased(ref.Lease) {
		return nil, fmt.Errorf("%s: %w", r.ID, overflow.ErrLost)
	}
	from := r.State
	if !allowed(from, change.To, ref.Lease != "") {
		return nil, fmt.Errorf("%s from %s to %s: %w", r.ID, from, change.To, overflow.ErrState)
	}
	if from == overflow.Executing && ref.Lease == "" {
		r.CancelAsked = true
		m.tell(r.ID, false)
		return r.own(), nil
	}
	if ref.Lease != "" {
		r.endRun(change)
	}
	if !change.Deadline.IsZero() {
		r.Deadline = change.Deadline
	}
	if from.Final() {
		m.restart(r)
	}
	r.Lane, r.RunAt = "", time.Time{}
	switch change.To {
	case overflow.Waiting:
		r.Lane = change.Lane
	case overflow.Scheduled:
		r.RunAt = time.Now().Add(change.After)
	case overflow.Completed, overflow.Discarded, overflow.Cancelled:
		m.end(r, change)
	}
	m.turnTo(r, change.To)
	if change.Follow != nil {
		if _, err := m.enqueue(change.Follow, 0); err != nil {
			return nil, err
		}
	}
	return r.own(), nil
}

// allowed reports whether a job may go from one state to another, with its lease or
// from outside.
func allowed(from, to overflow.State, leased bool) bool {
	if leased {
		switch to {
		case overflow.Available, overflow.Waiting, overflow.Scheduled, overflow.Completed, overflow.Discarded, overflow.Cancelled:
			return true
		}
		return false
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
func (r *record) endRun(change overflow.Change) {
	r.Lease, r.LeaseUntil = "", time.Time{}
	r.Error = change.Error
	if !change.Refund {
		r.Snoozes = 0
		return
	}
	r.Attempt--
	if change.To == overflow.Waiting || change.To == overflow.Scheduled {
		r.Snoozes++
	}
}

// end records the end of a job.
func (m *memory) end(r *record, change overflow.Change) {
	r.EndedAt = time.Now()
	r.KeepUntil = r.EndedAt.Add(change.Keep)
	r.Reason, r.Error = change.Reason, change.Error
	if change.To != overflow.Cancelled {
		r.Head = append([]byte(nil), change.Head...)
		for _, chunk := range change.Output {
			r.put(chunk)
		}
	}
	if change.To != overflow.Completed {
		m.free(r)
	}
}

// restart has a job begin anew that had ended.
func (m *memory) restart(r *record) {
	r.Attempt, r.Crashes, r.Snoozes = 0, 0, 0
	r.Reason, r.Error, r.CancelAsked = "", "", false
	r.Head, r.output, r.OutputSize = nil, nil, 0
	r.EndedAt, r.KeepUntil = time.Time{}, time.Time{}
	if _, held := m.unique[r.Unique]; !held && r.Unique != "" {
		m.unique[r.Unique] = r.ID
	}
}

// free lets go of what a job holds.
func (m *memory) free(r *record) {
	if m.unique[r.Unique] == r.ID {
		delete(m.unique, r.Unique)
	}
}

// Wake implements [overflow.Queue].
func (q *queue) Wake(ctx context.Context, kind overflow.Kind, lane string, n int) (int, error) {
	if err := q.begin(ctx); err != nil {
		return 0, err
	}
	defer q.memory.mu.Unlock()
	waiting := q.memory.find(func(r *record) bool {
		return r.State == overflow.Waiting && r.Kind == kind && r.Lane == lane
	})
	n = max(0, min(n, len(waiting)))
	for _, r := range waiting[:n] {
		q.memory.release(r)
	}
	return n, nil
}

// Maintain implements [overflow.Queue].
func (q *queue) Maintain(ctx context.Context) (overflow.Upkeep, error) {
	var done overflow.Upkeep
	if err := q.begin(ctx); err != nil {
		return done, err
	}
	defer q.memory.mu.Unlock()
	m, now := q.memory, time.Now()
	for _, r := range m.find(func(*record) bool { return true }) {
		switch {
		case r.State == overflow.Executing && !now.Before(r.LeaseUntil):
			r.Crashes++
			r.Attempt--
			r.Snoozes = 0
			m.release(r)
			done.Rescued = append(done.Rescued, r.own())
		case r.State.Final() && !now.Before(r.KeepUntil):
			m.free(r)
			delete(m.jobs, r.ID)
			m.tell(r.ID, false)
			done.Removed++
		case (r.State == overflow.Waiting || r.State == overflow.Scheduled) && !r.Deadline.IsZero() && !now.Before(r.Deadline):
			m.release(r)
			done.Overdue++
		}
	}
	return done, nil
}
