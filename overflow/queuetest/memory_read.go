package queuetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// pageSize is how many bytes Output returns at most, unless the first chunk alone is longer.
const pageSize = 1 << 20

// Get implements [overflow.Reader].
func (q *queue) Get(ctx context.Context, id string) (*overflow.Job, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	r, err := q.memory.get(id)
	if err != nil {
		return nil, err
	}
	return r.own(), nil
}

// Find implements [overflow.Reader].
func (q *queue) Find(ctx context.Context, unique string) (*overflow.Job, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	r, err := q.memory.get(q.memory.unique[unique])
	if err != nil {
		return nil, err
	}
	return r.own(), nil
}

// Ahead implements [overflow.Reader].
func (q *queue) Ahead(ctx context.Context, job *overflow.Job) (int, error) {
	if err := q.begin(ctx); err != nil {
		return 0, err
	}
	defer q.memory.mu.Unlock()
	it := q.memory.jobs[job.ID]
	if it == nil || it.State != overflow.Available {
		return 0, nil
	}
	return len(q.memory.find(func(r *record) bool {
		return r.Kind == it.Kind && r.State == overflow.Available && inOrder(r, it) < 0
	})), nil
}

// Output implements [overflow.Reader].
func (q *queue) Output(ctx context.Context, id string, run, from int) ([][]byte, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	r, err := q.memory.get(id)
	if err != nil {
		return nil, err
	}
	if run != r.Run {
		return nil, fmt.Errorf("the output of run %d of %s: %w", run, id, overflow.ErrNotFound)
	}
	var chunks [][]byte
	size := 0
	for _, chunk := range r.output[min(from, len(r.output)):] {
		size += len(chunk)
		if len(chunks) > 0 && size > pageSize {
			break
		}
		chunks = append(chunks, slices.Clone(chunk))
	}
	return chunks, nil
}

// Watch implements [overflow.Reader].
func (q *queue) Watch(id string, output bool) (<-chan struct{}, func()) {
	m := q.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &watch{changed: make(chan struct{}, 1), output: output}
	if m.watches[id] == nil {
		m.watches[id] = make(map[*watch]struct{})
	}
	m.watches[id][w] = struct{}{}
	return w.changed, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watches[id], w)
		if len(m.watches[id]) == 0 {
			delete(m.watches, id)
		}
	}
}

// List implements [overflow.Reader].
func (q *queue) List(ctx context.Context, filter overflow.Filter) ([]*overflow.Job, error) {
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	defer q.memory.mu.Unlock()
	found := q.memory.find(func(r *record) bool {
		return (filter.Kind == "" || r.Kind == filter.Kind) &&
			(len(filter.States) == 0 || slices.Contains(filter.States, r.State)) &&
			(filter.Owner == "" || r.Owner == filter.Owner) &&
			(filter.Model == "" || r.Model == filter.Model) &&
			(filter.Before == "" || r.ID < filter.Before)
	})
	slices.SortFunc(found, func(a, b *record) int { return cmp.Compare(b.ID, a.ID) })
	limit := filter.Limit
	if limit < 1 || limit > 1000 {
		limit = 1000
	}
	var jobs []*overflow.Job
	for _, r := range found[:min(limit, len(found))] {
		job := r.Job
		job.Payload, job.Head = nil, nil
		jobs = append(jobs, &job)
	}
	return jobs, nil
}

// Stats implements [overflow.Reader].
func (q *queue) Stats(ctx context.Context) (overflow.Stats, error) {
	if err := q.begin(ctx); err != nil {
		return overflow.Stats{}, err
	}
	defer q.memory.mu.Unlock()
	stats := overflow.Stats{
		Jobs:   make(map[overflow.Kind]map[overflow.State]int),
		Oldest: make(map[overflow.Kind]time.Time),
		Paused: q.memory.paused,
	}
	for _, kind := range overflow.Kinds {
		stats.Jobs[kind] = make(map[overflow.State]int)
	}
	for _, r := range q.memory.find(func(*record) bool { return true }) {
		stats.Jobs[r.Kind][r.State]++
		if oldest, found := stats.Oldest[r.Kind]; !r.State.Final() && (!found || r.CreatedAt.Before(oldest)) {
			stats.Oldest[r.Kind] = r.CreatedAt
		}
		if r.State != overflow.Waiting {
			continue
		}
		i := slices.IndexFunc(stats.Lanes, func(l overflow.Lane) bool { return l.Kind == r.Kind && l.Name == r.Lane })
		if i < 0 {
			i = len(stats.Lanes)
			stats.Lanes = append(stats.Lanes, overflow.Lane{Kind: r.Kind, Name: r.Lane})
		}
		stats.Lanes[i].Waiting++
	}
	return stats, nil
}

// Pause implements [overflow.Control].
func (q *queue) Pause(ctx context.Context, paused bool) error {
	if err := q.begin(ctx); err != nil {
		return err
	}
	defer q.memory.mu.Unlock()
	q.memory.paused = paused
	close(q.memory.changed)
	q.memory.changed = make(chan struct{})
	return nil
}

// Turn implements [overflow.Control].
func (q *queue) Turn(ctx context.Context, task string, every time.Duration) (bool, error) {
	if err := q.begin(ctx); err != nil {
		return false, err
	}
	defer q.memory.mu.Unlock()
	now := time.Now()
	if now.Before(q.memory.turns[task]) {
		return false, nil
	}
	q.memory.turns[task] = now.Add(every)
	return true, nil
}

// Close implements [overflow.Control].
func (q *queue) Close() error {
	q.memory.mu.Lock()
	defer q.memory.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	return nil
}
