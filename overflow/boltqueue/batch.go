package boltqueue

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/runestone-gateway/runestone/overflow"
)

// batch is one transaction of the writer. What it does to jobs is put into the file
// at its end and into the index once that is committed. Its methods that write set err
// when bbolt fails; nothing of the transaction is kept then.
type batch struct {
	q    *Queue
	tx   *bbolt.Tx
	txid int
	err  error
	now  time.Time     // wall time
	mono time.Duration // the same moment

	meta, jobs, unique, payloads, results, trash *bbolt.Bucket

	staged  map[string]*staged
	order   []string // of staged
	dirty   bool     // something was written beside what is staged
	used    int64    // bytes of the file in use, about
	live    [kinds]int
	removed int  // keys
	trashed bool // something was left to delete later
	// commits are done with Queue.mu held once all is committed.
	commits []func()
}

// staged is what becomes of a job.
type staged struct {
	record *record // nil if it is removed
	until  time.Duration
	output bool // nothing but what it has put out has changed
}

func newBatch(q *Queue) *batch { return &batch{q: q, staged: make(map[string]*staged)} }

func (b *batch) begin(tx *bbolt.Tx) {
	b.tx, b.txid = tx, tx.ID()
	wall, mono := b.q.clock()
	b.now, b.mono = wall.UTC(), mono
	b.meta, b.jobs, b.unique = tx.Bucket(bucketMeta), tx.Bucket(bucketJobs), tx.Bucket(bucketUnique)
	b.payloads, b.results, b.trash = tx.Bucket(bucketPayloads), tx.Bucket(bucketResults), tx.Bucket(bucketTrash)
	b.payloads.FillPercent, b.results.FillPercent = 0.9, 0.9 // they grow at the end
	b.used = b.q.used(tx)
	for kind := range kinds {
		b.live[kind] = b.q.index.live[kind].n
	}
}

// end writes the staged records.
func (b *batch) end() error {
	if len(b.staged) == 0 && !b.dirty {
		return errNothing
	}
	for _, id := range b.order {
		s := b.staged[id]
		if s.record == nil {
			b.remove(b.jobs, []byte(id))
			continue
		}
		value, err := s.record.encode()
		if err != nil {
			return fmt.Errorf("encoding %s: %w", id, err)
		}
		b.put(b.jobs, []byte(id), value)
	}
	return b.err
}

// apply takes what was committed into the index.
func (b *batch) apply() {
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	for _, id := range b.order {
		if s := b.staged[id]; s.record == nil {
			b.q.index.drop(id)
		} else {
			b.q.index.put(s.record, s.until)
		}
	}
	for _, f := range b.commits {
		f()
	}
}

// tell wakes whoever watches one of the jobs.
func (b *batch) tell() {
	for _, id := range b.order {
		b.q.watches.tell(id, b.staged[id].output)
	}
}

// load returns a job's record, for the caller to change and stage.
func (b *batch) load(id string) (*record, error) {
	if s := b.staged[id]; s != nil {
		if s.record == nil {
			return nil, fmt.Errorf("%s: %w", id, overflow.ErrNotFound)
		}
		r := *s.record
		return &r, nil
	}
	e := b.q.index.byID[id]
	if e == nil {
		return nil, fmt.Errorf("%s: %w", id, overflow.ErrNotFound)
	}
	if e.record != nil {
		r := *e.record
		return &r, nil
	}
	r, err := decode([]byte(id), b.jobs.Get([]byte(id)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", overflow.ErrUnavailable, id, err)
	}
	return r, nil
}

// stage says what a job is from now on.
func (b *batch) stage(r *record) *staged {
	return b.replace(r.ID, &staged{record: r})
}

// replace stages s, and keeps count of the jobs that have not ended.
func (b *batch) replace(id string, s *staged) *staged {
	before := b.staged[id]
	if before == nil {
		b.order = append(b.order, id)
		if e := b.q.index.byID[id]; e != nil && e.live() {
			b.live[e.kind]--
		}
	} else if before.record != nil && !before.record.State.Final() {
		b.live[kindNumber(before.record.Kind)]--
	}
	if s.record != nil && !s.record.State.Final() {
		b.live[kindNumber(s.record.Kind)]++
	}
	if before != nil {
		s.until = cmp.Or(s.until, before.until)
		s.output = s.output && before.output
	}
	b.staged[id] = s
	return s
}

func (b *batch) put(bucket *bbolt.Bucket, key, value []byte) {
	if b.err == nil {
		b.dirty = true
		b.err = bucket.Put(key, value)
	}
}

func (b *batch) remove(bucket *bbolt.Bucket, key []byte) {
	if b.err == nil {
		b.dirty = true
		b.removed++
		b.err = bucket.Delete(key)
	}
}

// putPieces stores content, which must not change until the batch is committed.
func (b *batch) putPieces(bucket *bbolt.Bucket, prefix, content []byte, atLeast int) {
	b.used += int64(len(content))
	for i := range max(atLeast, pieces(len(content))) {
		b.put(bucket, pieceKey(prefix, i), content[i*pieceSize:min(len(content), (i+1)*pieceSize)])
	}
}

// maxInline is how many pieces are deleted together with what they belong to. More are
// left to [Queue.Maintain], in small steps: to delete takes room, too, which may be scarce.
const maxInline = 32

// discard deletes the pieces that begin with prefix, now or later.
func (b *batch) discard(bucket *bbolt.Bucket, prefix []byte) {
	if keys := keysOf(bucket, prefix, maxInline+1); len(keys) <= maxInline {
		for _, key := range keys {
			b.remove(bucket, key)
		}
		return
	}
	b.put(b.trash, b.trashKey(bucket, prefix), nil)
	b.trashed = true
	b.commits = append(b.commits, func() { b.q.trash = true })
}

// reclaim deletes what discard has left for later, since the keys are about to be used again.
func (b *batch) reclaim(bucket *bbolt.Bucket, prefix []byte) {
	key := b.trashKey(bucket, prefix)
	if !b.trashed && !b.q.trash || b.trash.Get(key) == nil {
		return
	}
	for _, piece := range keysOf(bucket, prefix, math.MaxInt) {
		b.remove(bucket, piece)
	}
	b.remove(b.trash, key)
}

// trashKey is a prefix of pieces, and of which bucket.
func (b *batch) trashKey(bucket *bbolt.Bucket, prefix []byte) []byte {
	of := byte(ofPayload)
	if bucket == b.results {
		of = ofOutput
	}
	return append([]byte{of}, prefix...)
}

// keysOf returns up to n keys that begin with prefix. They are copies, since deleting moves keys.
func keysOf(bucket *bbolt.Bucket, prefix []byte, n int) [][]byte {
	var keys [][]byte
	c := bucket.Cursor()
	for key, _ := c.Seek(prefix); len(keys) < n && hasPrefix(key, prefix); key, _ = c.Next() {
		keys = append(keys, slices.Clone(key))
	}
	return keys
}

func hasPrefix(key, prefix []byte) bool {
	return len(key) >= len(prefix) && string(key[:len(prefix)]) == string(prefix)
}

// hold has the job hold its Unique, if that is free.
func (b *batch) hold(r *record) {
	if r.Unique != "" && b.holder(r.Unique) == nil {
		b.put(b.unique, uniqueKey(r.Unique), []byte(r.ID))
	}
}

// holder returns the job that holds a Unique, or nil.
func (b *batch) holder(unique string) *record {
	id := b.unique.Get(uniqueKey(unique))
	if id == nil {
		return nil
	}
	r, err := b.load(string(id))
	if err != nil { // its record was lost
		return nil
	}
	return r
}

// free lets go of what the job holds.
func (b *batch) free(r *record) {
	if r.Unique == "" {
		return
	}
	if key := uniqueKey(r.Unique); string(b.unique.Get(key)) == r.ID {
		b.remove(b.unique, key)
	}
}
