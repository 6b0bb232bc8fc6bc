package boltqueue

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/runestone-gateway/runestone/overflow"
)

// Get implements [overflow.Reader].
func (q *Queue) Get(ctx context.Context, id string) (*overflow.Job, error) {
	return q.get(ctx, func(*bbolt.Tx) []byte { return []byte(id) }, id)
}

// Find implements [overflow.Reader].
func (q *Queue) Find(ctx context.Context, unique string) (*overflow.Job, error) {
	if unique == "" {
		return nil, overflow.ErrNotFound
	}
	return q.get(ctx, func(tx *bbolt.Tx) []byte { return tx.Bucket(bucketUnique).Get(uniqueKey(unique)) }, "it")
}

// get returns the job whose ID find returns. Errors call it what.
func (q *Queue) get(ctx context.Context, find func(*bbolt.Tx) []byte, what string) (*overflow.Job, error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	var job *overflow.Job
	err := q.view(func(tx *bbolt.Tx) error {
		id := find(tx)
		r, err := readRecord(tx, id, what)
		if err != nil {
			return err
		}
		job = r.job()
		var whole [2]bool
		job.Payload, whole[0] = readPieces(tx.Bucket(bucketPayloads), payloadPrefix(r.ID), r.Payload)
		job.Head, whole[1] = readPieces(tx.Bucket(bucketResults), headPrefix(r.ID, r.Run), r.Head)
		if whole != [2]bool{true, true} && r.Reason != overflow.ReasonCorrupt {
			return fmt.Errorf("%w: what is stored of %s is damaged", overflow.ErrUnavailable, r.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	q.addLease(job)
	return job, nil
}

func readRecord(tx *bbolt.Tx, id []byte, what string) (*record, error) {
	var value []byte
	if len(id) > 0 {
		value = tx.Bucket(bucketJobs).Get(id)
	}
	if value == nil {
		return nil, fmt.Errorf("%s: %w", what, overflow.ErrNotFound)
	}
	r, err := decode(id, value)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", overflow.ErrUnavailable, what, err)
	}
	return r, nil
}

// addLease says until when a job's lease is, which the file does not know.
func (q *Queue) addLease(job *overflow.Job) {
	if job.State != overflow.Executing {
		return
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	if e := q.index.running[job.ID]; e != nil && e.record.Lease == job.Lease {
		wall, mono := q.clock()
		job.LeaseUntil = wall.Add(time.Duration(e.lease.until.Load()) - mono).UTC()
	}
}

// Ahead implements [overflow.Reader]. It is exact.
func (q *Queue) Ahead(ctx context.Context, job *overflow.Job) (int, error) {
	if err := q.usable(ctx); err != nil {
		return 0, err
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	e := q.index.byID[job.ID]
	if e == nil || e.state != available {
		return 0, nil
	}
	return q.index.ready[e.kind].rank(e), nil
}

// maxOutput is how many bytes Output returns at most, unless one chunk is larger.
const maxOutput = 1 << 20

// Output implements [overflow.Reader].
func (q *Queue) Output(ctx context.Context, id string, run, from int) ([][]byte, error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	var chunks [][]byte
	err := q.view(func(tx *bbolt.Tx) error {
		r, err := readRecord(tx, []byte(id), id)
		if err != nil {
			return err
		}
		if run != r.Run {
			return fmt.Errorf("the output of run %d of %s: %w", run, id, overflow.ErrNotFound)
		}
		chunks = readOutput(tx.Bucket(bucketResults), r, max(0, from))
		return nil
	})
	return chunks, err
}

// readOutput returns as many chunks as may be returned together.
func readOutput(bucket *bbolt.Bucket, r *record, from int) [][]byte {
	var chunks [][]byte
	size := 0
	prefix := runPrefix(r.ID, r.Run)
	c := bucket.Cursor()
	for key, piece := c.Seek(chunkPrefix(r.ID, r.Run, from)); hasPrefix(key, prefix); key, piece = c.Next() {
		number := int(binary.BigEndian.Uint32(key[len(prefix):]))
		if number >= r.Chunks {
			break
		}
		size += len(piece)
		if first := number == from+len(chunks); !first {
			chunks[len(chunks)-1] = append(chunks[len(chunks)-1], piece...)
		} else if chunks = append(chunks, slices.Clone(piece)); size <= maxOutput || len(chunks) == 1 {
			continue
		}
		if size > maxOutput && len(chunks) > 1 {
			return chunks[:len(chunks)-1] // the last one does not fit
		}
	}
	return chunks
}

// listStep is how many entries List looks at before it lets others at the index.
const listStep = 4096

// List implements [overflow.Reader].
func (q *Queue) List(ctx context.Context, filter overflow.Filter) ([]*overflow.Job, error) {
	limit := min(max(1, filter.Limit), 1000)
	var jobs []*overflow.Job
	for before := filter.Before; len(jobs) < limit; {
		if err := q.usable(ctx); err != nil {
			return nil, err
		}
		ids, last := q.match(filter, before, limit-len(jobs))
		err := q.view(func(tx *bbolt.Tx) error {
			for _, id := range ids {
				// What was removed or changed since is left out.
				if r, err := readRecord(tx, []byte(id), id); err == nil && filterState(filter, r.State) {
					jobs = append(jobs, r.job())
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if last == "" {
			break
		}
		before = last
	}
	for _, job := range jobs {
		q.addLease(job)
	}
	return jobs, nil
}

// match returns the IDs of up to n jobs that match, the newest first, and the one
// after which to go on, "" if there are no more.
func (q *Queue) match(filter overflow.Filter, before string, n int) (ids []string, last string) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	var from *entry
	if before != "" {
		from = &entry{id: before}
	}
	looked := q.index.all.backward(from, listStep)
	for _, e := range looked {
		if len(ids) == n {
			return ids, last
		}
		last = e.id
		if (filter.Kind == "" || overflow.Kinds[e.kind] == filter.Kind) && filterState(filter, overflow.States[e.state]) &&
			(filter.Owner == "" || e.owner.Value() == filter.Owner) && (filter.Model == "" || e.model.Value() == filter.Model) {
			ids = append(ids, e.id)
		}
	}
	if len(looked) < listStep {
		last = ""
	}
	return ids, last
}

func filterState(filter overflow.Filter, state overflow.State) bool {
	return len(filter.States) == 0 || slices.Contains(filter.States, state)
}

// Stats implements [overflow.Reader].
func (q *Queue) Stats(ctx context.Context) (overflow.Stats, error) {
	if err := q.usable(ctx); err != nil {
		return overflow.Stats{}, err
	}
	var used int64
	err := q.view(func(tx *bbolt.Tx) error {
		used = q.used(tx)
		return nil
	})
	if err != nil {
		return overflow.Stats{}, err
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	stats := q.index.stats()
	stats.Paused, stats.Bytes, stats.MaxBytes = q.paused, used, q.maxSize
	return stats, nil
}

// used returns how many bytes of the file are in use.
func (q *Queue) used(tx *bbolt.Tx) int64 {
	s := q.db.Stats()
	return tx.Size() - int64(s.FreePageN+s.PendingPageN)*int64(q.db.Info().PageSize)
}
