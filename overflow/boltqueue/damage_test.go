package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/runestone-gateway/runestone/overflow"
)

// damage changes a record in the file.
func damage(t *testing.T, q *Queue, id string, change func(value []byte) []byte) {
	t.Helper()
	err := q.do(t.Context(), 0, func(b *batch) error {
		b.put(b.jobs, []byte(id), change(slices.Clone(b.jobs.Get([]byte(id)))))
		b.commits = append(b.commits, func() { q.index.letGo(q.index.byID[id]) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Records that cannot be read when the file is opened do not keep the others from being run. Jobs
// of which enough can be read to know whose they are, are discarded; of the others is kept what is there.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	type change = func([]byte) []byte
	discarded, gone := make(map[string]string), make(map[string]string)
	ruin := func(as map[string]string, what string, f change) {
		job := enqueue(t, q, func(job *overflow.Job) { job.Unique = what })
		as[job.ID] = what
		damage(t, q, job.ID, f)
	}
	ruin(discarded, "an unknown version", func(v []byte) []byte { v[0] = 2; return v })
	ruin(discarded, "a wrong checksum", func(v []byte) []byte { v[1]++; return v })
	ruin(discarded, "a name that is another", func(v []byte) []byte { return bytes.Replace(v, []byte("small"), []byte("SMALL"), 1) })
	ruin(discarded, "an absurd size", func(v []byte) []byte { return bytes.Replace(v, []byte(`"size":5`), []byte(`"size":5000000000000`), 1) })
	ruin(gone, "an unknown kind", func(v []byte) []byte { return bytes.Replace(v, []byte(`"request"`), []byte(`"reguest"`), 1) })
	ruin(gone, "another's ID", func(v []byte) []byte { return bytes.Replace(v, []byte(`"id":"job`), []byte(`"id":"Job`), 1) })
	ruin(gone, "a record that ends early", func(v []byte) []byte { return v[:len(v)/2] })
	ruin(gone, "a record of zeros", func(v []byte) []byte { return make([]byte, len(v)) })
	ruin(gone, "an empty record", func([]byte) []byte { return nil })
	whole := enqueue(t, q)

	q = reopen(t, q)
	for id, what := range discarded {
		job := get(t, q, id)
		if job.State != overflow.Discarded || job.Reason != overflow.ReasonCorrupt || job.Owner != "anna" || job.KeepUntil.Before(time.Now().Add(time.Hour)) {
			t.Errorf("%s: %+v", what, job)
		}
	}
	for id, what := range gone {
		if _, err := q.Get(t.Context(), id); !errors.Is(err, overflow.ErrNotFound) {
			t.Errorf("%s: error %v, want ErrNotFound", what, err)
		}
		enqueue(t, q, func(job *overflow.Job) { job.Unique, job.Kind = what, overflow.Callback }) // which nobody holds
	}
	if got := claim(t, q, 1, time.Hour)[0]; got.ID != whole.ID {
		t.Errorf("claimed %s, want the one that is whole", got.ID)
	}
	none(t, q)
	if n := maintain(t, q).Repaired; n != len(discarded)+len(gone) {
		t.Errorf("%d were repaired, want %d", n, len(discarded)+len(gone))
	}
	if n := maintain(t, q).Repaired; n != 0 {
		t.Errorf("%d were repaired again", n)
	}
	kept := 0
	err := q.view(func(tx *bbolt.Tx) error { kept = tx.Bucket(bucketDamaged).Stats().KeyN; return nil })
	if err != nil || kept != len(discarded)+len(gone) {
		t.Errorf("%d damaged records are kept, want %d (error %v)", kept, len(discarded)+len(gone), err)
	}
	q = reopen(t, q)
	if n := maintain(t, q).Repaired; n != 0 {
		t.Errorf("%d were repaired when the file was opened again", n)
	}
}

// A record that turns out to be damaged while the queue is open is discarded when it is needed.
func TestRecordDamagedMeanwhile(t *testing.T) {
	t.Parallel()
	for what, job := range map[string]*overflow.Job{
		"available": newJob(),
		"scheduled": newJob(func(job *overflow.Job) { job.RunAt = time.Now().Add(100 * time.Millisecond) }),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			q := openWith(t, newClock(), nil)
			if _, err := q.Enqueue(t.Context(), job, 0); err != nil {
				t.Fatal(err)
			}
			damage(t, q, job.ID, func([]byte) []byte { return []byte("nothing") })
			_, err := q.Get(t.Context(), job.ID)
			wantErr(t, "Get", err, overflow.ErrUnavailable)
			next := enqueue(t, q, func(next *overflow.Job) { next.RunAt = job.RunAt })
			if got := claim(t, q, 1, time.Hour)[0]; got.ID != next.ID {
				t.Errorf("claimed %s, want the one that is whole", got.ID)
			}
			if got := get(t, q, job.ID); got.State != overflow.Discarded || got.Reason != overflow.ReasonCorrupt || got.Owner != "anna" {
				t.Errorf("it is %s because of %q", got.State, got.Reason)
			}
		})
	}
}

// Nobody runs a job with a payload that is not what was stored.
func TestDamagedPayload(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	var jobs []*overflow.Job
	for _, piece := range [][]byte{[]byte("hullo"), nil} {
		job := enqueue(t, q, func(job *overflow.Job) { job.Unique = job.ID })
		jobs = append(jobs, job)
		err := q.do(t.Context(), 0, func(b *batch) error {
			if b.put(b.payloads, pieceKey(payloadPrefix(job.ID), 0), piece); piece == nil {
				b.remove(b.payloads, pieceKey(payloadPrefix(job.ID), 0))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = q.Get(t.Context(), job.ID)
		wantErr(t, "Get", err, overflow.ErrUnavailable)
	}
	whole := enqueue(t, q)
	if got := claim(t, q, 1, time.Hour)[0]; got.ID != whole.ID {
		t.Errorf("claimed %s, want the one that is whole", got.ID)
	}
	for _, job := range jobs {
		if got := get(t, q, job.ID); got.State != overflow.Discarded || got.Reason != overflow.ReasonCorrupt || got.Run != 1 {
			t.Errorf("it is %s because of %q", got.State, got.Reason)
		}
		_, err := q.Find(t.Context(), job.Unique)
		wantErr(t, "Find", err, overflow.ErrNotFound)
		apply(t, q, &overflow.Job{ID: job.ID}, overflow.Change{To: overflow.Available}) // somebody insists
		none(t, q)
		if got := get(t, q, job.ID); got.Reason != overflow.ReasonCorrupt {
			t.Errorf("it is %s because of %q", got.State, got.Reason)
		}
	}
}

// What panics in bbolt is an error of the one call.
func TestPanicWhileReading(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	err := q.view(func(*bbolt.Tx) error { panic("page 12 is of an unknown type") })
	wantErr(t, "view", err, overflow.ErrUnavailable)
	enqueue(t, q)
	if err := q.Close(); err != nil { // which waits for transactions that are open
		t.Error(err)
	}
	err = q.view(func(*bbolt.Tx) error { return nil })
	wantErr(t, "view of a file that is closed", err, overflow.ErrClosed)
	_, err = q.Enqueue(context.Background(), newJob(), 0)
	wantErr(t, "Enqueue", err, overflow.ErrClosed)
}
