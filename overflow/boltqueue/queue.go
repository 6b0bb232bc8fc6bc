package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// Shares of the file's largest size, in percent, up to which it takes what. The rest is for what
// makes room again: ending jobs, and removing them.
const (
	roomForFailures = 70 // that are older than spareAfter
	roomForJobs     = 80
	roomForOutput   = 92
	roomForEnds     = 97
)

// Queue is an [overflow.Queue] in one file. One process at a time has it open.
//
// One goroutine writes: it commits whatever operations wait, together, and only then
// answers them, so that what is acknowledged is on the disk. What is needed to find jobs is
// kept in memory; records and contents are read from the file.
type Queue struct {
	path    string
	maxSize int64
	db      *bbolt.DB
	logger  *zap.Logger
	clock   clock
	update  updater

	ops     chan *op
	nudge   chan struct{} // wakes the writer; holds one value
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed when the writer has ended
	closed  sync.Once
	watches watches

	// boot begins the leases of this process, and leases numbers them, for the writer.
	boot   string
	leases int64

	// The writer's own: whether there is something to delete; until when new jobs are refused,
	// by clock.mono; and when it was last logged that something could not be stored.
	trash              bool
	refuse, complained time.Duration

	// mu guards what follows. Only the writer changes index and paused, so that it reads
	// them without.
	mu       sync.RWMutex
	index    *index
	paused   bool
	waiters  [kinds][]*waiter
	rescued  []*overflow.Job // for the next Maintain to tell of
	repaired int
}

var _ overflow.Queue = (*Queue)(nil)

// updater runs a transaction that writes, as bbolt.DB.Update does.
type updater func(func(*bbolt.Tx) error) error

// clock tells the time, both in one look: what the wall clock says, and how long ago the queue
// was opened, whatever is done to the wall clock.
type clock func() (wall time.Time, mono time.Duration)

func newClock() clock {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(start)
	}
}

func (c clock) wall() time.Time {
	wall, _ := c()
	return wall
}

func (c clock) mono() time.Duration {
	_, mono := c()
	return mono
}

// Enqueue implements [overflow.Queue]. It returns once the job is on the disk.
func (q *Queue) Enqueue(ctx context.Context, job *overflow.Job, limit int) (*overflow.Job, error) {
	if err := q.check(job); err != nil {
		return nil, err
	}
	var kept *record
	stored := false
	err := q.do(ctx, len(job.Payload), func(b *batch) (err error) {
		kept, stored, err = b.enqueue(job, limit)
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return nil, fmt.Errorf("%s: %w", q.path, overflow.ErrFull)
	case err != nil:
		return nil, err
	}
	found := kept.job()
	if stored {
		found.Payload = slices.Clone(job.Payload)
		return found, nil
	}
	there, err := q.Get(ctx, kept.ID)
	if errors.Is(err, overflow.ErrNotFound) { // removed in this moment
		return found, nil
	}
	return there, err
}

// check refuses a job that cannot be kept.
func (q *Queue) check(job *overflow.Job) error {
	switch {
	case job.ID == "" || len(job.ID) > maxID:
		return fmt.Errorf("a job needs an ID of 1 to %d bytes", maxID)
	case kindNumber(job.Kind) < 0:
		return fmt.Errorf("there is no kind of jobs %q", job.Kind)
	case job.Priority < 0 || job.Priority >= overflow.Priorities:
		return fmt.Errorf("there is no priority %d", job.Priority)
	}
	for _, t := range [...]time.Time{job.CreatedAt, job.RunAt, job.Deadline} {
		if year := t.Year(); year < 0 || year > 9999 {
			return fmt.Errorf("a time in the year %d cannot be written down", year)
		}
	}
	return nil
}

// maxID is how long an ID can be, in bytes, so that a key of which it is a part is not too long.
const maxID = 1024

// enqueue stores a job, unless it, or one that holds its Unique, is there already.
// With max below 0 no limit holds.
func (b *batch) enqueue(job *overflow.Job, limit int) (kept *record, stored bool, err error) {
	if there, err := b.load(job.ID); !errors.Is(err, overflow.ErrNotFound) {
		return there, false, err
	}
	if job.Unique != "" {
		if holder := b.holder(job.Unique); holder != nil {
			return holder, false, nil
		}
	}
	if limit > 0 && b.live[request] >= limit {
		return nil, false, fmt.Errorf("%d requests have not ended: %w", b.live[request], overflow.ErrFull)
	}
	if limit >= 0 {
		if err := b.admit(len(job.Payload)); err != nil {
			return nil, false, err
		}
	}
	r := &record{Payload: newBlob(job.Payload), Job: overflow.Job{
		ID: job.ID, Kind: job.Kind, Owner: job.Owner, Priority: job.Priority, State: overflow.Available, Model: job.Model,
		CreatedAt: job.CreatedAt, Deadline: job.Deadline, MaxAttempts: job.MaxAttempts,
		Unique: job.Unique, Fingerprint: job.Fingerprint, Parent: job.Parent,
	}}
	if r.CreatedAt.IsZero() {
		r.CreatedAt = b.now
	}
	if job.RunAt.After(b.now) {
		r.State, r.RunAt = overflow.Scheduled, job.RunAt
	}
	b.hold(r)
	b.reclaim(b.payloads, jobPrefix(r.ID))
	b.reclaim(b.results, jobPrefix(r.ID))
	b.putPieces(b.payloads, payloadPrefix(r.ID), job.Payload, 0)
	b.stage(r)
	return r, true, nil
}

// admit says why a new job is refused: there is no room, or the disk is in trouble.
func (b *batch) admit(size int) error {
	if b.q.refuse > b.q.clock.mono() {
		return fmt.Errorf("%w: storing in %s has just failed", overflow.ErrUnavailable, b.q.path)
	}
	if !b.room(size, roomForJobs) {
		return fmt.Errorf("%s: %w", b.q.path, overflow.ErrFull)
	}
	return nil
}

// room reports whether content of this size fits into a share of the file.
func (b *batch) room(size int, percent int64) bool {
	const record = 1 << 10 // and what comes with it
	return b.used+int64(size)+int64(size)/8+record <= b.q.maxSize/100*percent
}

// Append implements [overflow.Queue]. It returns once the chunk is on the disk.
func (q *Queue) Append(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
	return q.do(ctx, len(chunk), func(b *batch) error {
		r, err := b.load(ref.ID)
		switch {
		case err != nil:
			return err
		case !b.leased(r, ref.Lease):
			return fmt.Errorf("%s: %w", r.ID, overflow.ErrLost)
		case number > r.Chunks:
			return fmt.Errorf("chunk %d of %s comes after %d: %w", number, r.ID, r.Chunks, overflow.ErrState)
		case number < r.Chunks:
			return nil
		case !b.room(len(chunk), roomForOutput):
			return fmt.Errorf("%w: %s is full", overflow.ErrUnavailable, q.path)
		}
		b.putOut(r, chunk)
		b.replace(r.ID, &staged{record: r, output: true})
		return nil
	})
}

// putOut stores the next chunk of what a run puts out.
func (b *batch) putOut(r *record, chunk []byte) {
	b.putPieces(b.results, chunkPrefix(r.ID, r.Run, r.Chunks), chunk, 1)
	r.Chunks++
	r.OutputSize += int64(len(chunk))
}

// leased reports whether the job runs under the lease.
func (b *batch) leased(r *record, lease string) bool {
	if r.State != overflow.Executing || r.Lease != lease {
		return false
	}
	e := b.q.index.byID[r.ID]
	return e != nil && e.lease != nil && e.record.Lease == lease && !e.lease.over(b.q.clock.mono())
}

// Heartbeat implements [overflow.Queue]. It writes nothing: a lease is this process's, and whoever
// opens the file next knows that it is over.
func (q *Queue) Heartbeat(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	now := q.clock.mono()
	pulses := make([]overflow.Pulse, len(refs))
	q.mu.RLock()
	defer q.mu.RUnlock()
	for i, ref := range refs {
		e := q.index.running[ref.ID]
		switch {
		case e == nil || e.record.Lease != ref.Lease || !e.lease.extend(now, lease):
			pulses[i] = overflow.Lost
		case e.record.CancelAsked:
			pulses[i] = overflow.CancelAsked
		}
	}
	return pulses, nil
}

// extend makes a lease longer that is not over, and reports whether it has.
func (l *lease) extend(now, by time.Duration) bool {
	until := l.until.Load()
	for until > int64(now) {
		if l.until.CompareAndSwap(until, int64(now+by)) {
			return true
		}
		until = l.until.Load()
	}
	return false
}

// Wake implements [overflow.Queue].
func (q *Queue) Wake(ctx context.Context, kind overflow.Kind, lane string, n int) (int, error) {
	woken := 0
	for woken < n {
		step := 0
		err := q.do(ctx, 0, func(b *batch) error {
			step = b.wake(kind, lane, min(n-woken, maxStep))
			return nil
		})
		woken += step
		if err != nil || step < maxStep {
			return woken, err
		}
	}
	return woken, nil
}

// maxStep is how many jobs one operation changes at most, so that others get their turn.
const maxStep = 128

func (b *batch) wake(kind overflow.Kind, lane string, n int) (woken int) {
	jobs := b.q.index.lane(kind, lane)
	if jobs == nil {
		return 0
	}
	for e := range jobs.all {
		if woken == n {
			break
		}
		if r := b.loadOrBury(e); r != nil && r.State == overflow.Waiting && r.Lane == lane {
			r.release()
			b.stage(r)
			woken++
		}
	}
	return woken
}

// release makes a job available.
func (r *record) release() {
	r.State, r.Lane, r.RunAt = overflow.Available, "", time.Time{}
	r.Lease, r.LeaseUntil = "", time.Time{}
}

// newLease returns a lease that no other job, and no other process, has or ever had.
func (q *Queue) newLease() string {
	q.leases++
	return q.boot + "-" + strconv.FormatInt(q.leases, 36)
}

// Close implements [overflow.Control].
func (q *Queue) Close() error {
	var err error
	q.closed.Do(func() {
		close(q.closing)
		<-q.stopped
		q.watches.tellAll()
		// With the list of free pages in the file, the next one to open it need not look through
		// all of it. That is a matter of speed only, so an error does not matter.
		q.db.NoFreelistSync = false
		_ = q.safeUpdate(func(*bbolt.Tx) error { return nil })
		err = q.db.Close()
	})
	return err
}
