package queuetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// NewQueue returns an empty queue that is kept in memory, which is for tests only: it
// keeps nothing for longer than the process lives, and looks through all of its
// jobs for each call. It does what [overflow.Queue] says to the letter, so that other queues can be
// compared with it. It starts no goroutine, and so may be used in a bubble of
// testing/synctest, with the bubble's time.
func NewQueue() overflow.Queue { return newMemory().open() }

// memory is what the handles of one queue share.
type memory struct {
	mu      sync.Mutex
	jobs    map[string]*record
	unique  map[string]string // what is held, and the ID of the job that holds it
	turns   map[string]time.Time
	paused  bool
	changed chan struct{} // closed, and replaced, when Claim may find something
	watches map[string]map[*watch]struct{}
}

type record struct {
	overflow.Job
	output [][]byte
}

type watch struct {
	changed chan struct{}
	output  bool
}

func newMemory() *memory {
	return &memory{
		jobs:    make(map[string]*record),
		unique:  make(map[string]string),
		turns:   make(map[string]time.Time),
		changed: make(chan struct{}),
		watches: make(map[string]map[*watch]struct{}),
	}
}

// open returns a further handle, as another process would have it.
func (m *memory) open() *queue { return &queue{memory: m, closing: make(chan struct{})} }

// queue is one process's handle.
type queue struct {
	memory  *memory
	closing chan struct{} // closed by Close
	closed  bool          // guarded by the memory's mu
}

var _ overflow.Queue = (*queue)(nil)

// begin locks the memory, unless it returns an error.
func (q *queue) begin(ctx context.Context) error {
	q.memory.mu.Lock()
	err := ctx.Err()
	if q.closed {
		err = overflow.ErrClosed
	}
	if err != nil {
		q.memory.mu.Unlock()
	}
	return err
}

// own returns what the caller may keep and change.
func (r *record) own() *overflow.Job {
	job := r.Job
	job.Payload, job.Head = slices.Clone(job.Payload), slices.Clone(job.Head)
	return &job
}

// turnTo puts a job into another state and tells those who wait for that.
func (m *memory) turnTo(r *record, state overflow.State) {
	r.State = state
	m.tell(r.ID, false)
	close(m.changed)
	m.changed = make(chan struct{})
}

// tell wakes those who watch a job.
func (m *memory) tell(id string, output bool) {
	for w := range m.watches[id] {
		if output && !w.output {
			continue
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// find returns the jobs for which ok is true, those of the best priority first and
// among those the oldest first.
func (m *memory) find(ok func(*record) bool) []*record {
	var found []*record
	for _, r := range m.jobs {
		if ok(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, inOrder)
	return found
}

// inOrder compares jobs by when they are to be claimed.
func inOrder(a, b *record) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// Enqueue implements [overflow.Queue].
func (q *queue) Enqueue(ctx context.Context, job *overflow.Job, limit int) (*overflow.Job, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	return q.memory.enqueue(job, limit)
}

func (m *memory) enqueue(job *overflow.Job, limit int) (*overflow.Job, error) {
	if there := m.jobs[job.ID]; there != nil {
		return there.own(), nil
	}
	if holder, held := m.unique[job.Unique]; held {
		return m.jobs[holder].own(), nil
	}
	live := m.find(func(r *record) bool { return r.Kind == overflow.Request && !r.State.Final() })
	if limit > 0 && len(live) >= limit {
		return nil, overflow.ErrFull
	}
	now := time.Now()
	r := &record{Job: *job}
	r.Job = *r.own()
	if r.CreatedAt.IsZero() {
		r.CreatedAt = now
	}
	m.jobs[r.ID] = r
	if r.Unique != "" {
		m.unique[r.Unique] = r.ID
	}
	if r.RunAt.After(now) {
		m.turnTo(r, overflow.Scheduled)
	} else {
		r.RunAt = time.Time{}
		m.turnTo(r, overflow.Available)
	}
	return r.own(), nil
}

// Claim implements [overflow.Queue].
func (q *queue) Claim(ctx context.Context, order overflow.Order) ([]*overflow.Job, error) {
	for {
		if err := q.begin(ctx); err != nil {
			return nil, err
		}
		jobs := q.memory.claim(order)
		changed := q.memory.changed
		due := time.NewTimer(q.memory.nextDue())
		q.memory.mu.Unlock()
		if len(jobs) > 0 {
			due.Stop()
			return jobs, nil
		}
		select {
		case <-changed:
		case <-due.C:
		case <-ctx.Done():
		case <-q.closing:
		}
		due.Stop()
	}
}

func (m *memory) claim(order overflow.Order) []*overflow.Job {
	now := time.Now()
	for _, r := range m.find(func(r *record) bool { return r.State == overflow.Scheduled && !r.RunAt.After(now) }) {
		m.release(r)
	}
	if m.paused && order.Kind == overflow.Request {
		return nil
	}
	var jobs []*overflow.Job
	for _, r := range m.find(func(r *record) bool { return r.Kind == order.Kind && r.State == overflow.Available }) {
		if len(jobs) == order.Max {
			break
		}
		r.Attempt++
		r.Run++
		r.StartedAt, r.LeaseUntil, r.Lease = now, now.Add(order.Lease), rand.Text()
		r.output, r.OutputSize = nil, 0
		m.turnTo(r, overflow.Executing)
		jobs = append(jobs, r.own())
	}
	return jobs
}

// release makes a job available.
func (m *memory) release(r *record) {
	r.Lane, r.RunAt = "", time.Time{}
	r.Lease, r.LeaseUntil = "", time.Time{}
	m.turnTo(r, overflow.Available)
}

// nextDue returns how long it takes until a job becomes available.
func (m *memory) nextDue() time.Duration {
	wait := time.Hour
	for _, r := range m.jobs {
		if r.State == overflow.Scheduled {
			wait = min(wait, time.Until(r.RunAt))
		}
	}
	return wait
}

// leased reports whether the job runs under the lease.
func (r *record) leased(lease string) bool {
	return r.State == overflow.Executing && r.Lease == lease && time.Now().Before(r.LeaseUntil)
}

// Heartbeat implements [overflow.Queue].
func (q *queue) Heartbeat(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	pulses := make([]overflow.Pulse, len(refs))
	for i, ref := range refs {
		r := q.memory.jobs[ref.ID]
		if r == nil || !r.leased(ref.Lease) {
			pulses[i] = overflow.Lost
			continue
		}
		r.LeaseUntil = time.Now().Add(lease)
		if r.CancelAsked {
			pulses[i] = overflow.CancelAsked
		}
	}
	return pulses, nil
}

// Append implements [overflow.Queue].
func (q *queue) Append(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
	if err := q.begin(ctx); err != nil {
		return err
	}
	defer q.memory.mu.Unlock()
	r, err := q.memory.get(ref.ID)
	if err != nil {
		return err
	}
	if !r.leased(ref.Lease) {
		return fmt.Errorf("%s: %w", ref.ID, overflow.ErrLost)
	}
	switch {
	case number > len(r.output):
		return fmt.Errorf("chunk %d of %s comes after %d: %w", number, ref.ID, len(r.output), overflow.ErrState)
	case number == len(r.output):
		r.put(chunk)
		q.memory.tell(r.ID, true)
	}
	return nil
}

func (r *record) put(chunk []byte) {
	r.output = append(r.output, slices.Clone(chunk))
	r.OutputSize += int64(len(chunk))
}

func (m *memory) get(id string) (*record, error) {
	r := m.jobs[id]
	if r == nil {
		return nil, fmt.Errorf("%s: %w", id, overflow.ErrNotFound)
	}
	return r, nil
}
