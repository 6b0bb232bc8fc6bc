package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// fill enqueues jobs until the file is full.
func fill(t *testing.T, q *Queue, size func() int) (n int) {
	t.Helper()
	for {
		_, err := q.Enqueue(t.Context(), newJob(sized(size())), 0)
		if errors.Is(err, overflow.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// A file that is full refuses new jobs, lets the others be run and ended, and takes new
// ones when they are removed: about as many as before, again and again.
func TestFullFile(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]func() int{
		"small":  func() int { return 60_000 },
		"large":  func() int { return 1 << 20 },
		"random": func() int { return 1 << (8 + rand.N(12)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := openWith(t, newClock(), nil)
			first := 0
			for round := range 2 {
				n := fill(t, q, size)
				stats, err := q.Stats(t.Context())
				if err != nil || stats.MaxBytes != MinSize || stats.Bytes > MinSize*(roomForJobs+2)/100 || stats.Bytes < MinSize/2 {
					t.Errorf("the file is full with %d of %d bytes (error %v)", stats.Bytes, stats.MaxBytes, err)
				}
				if first == 0 {
					first = n
				} else if name != "random" && n < first*9/10 {
					t.Errorf("round %d: %d jobs fit into the file, in the first round %d did", round, n, first)
				}
				for _, job := range claim(t, q, n, time.Hour) {
					ref := overflow.Ref{ID: job.ID, Lease: job.Lease}
					if err := q.Append(t.Context(), ref, 0, []byte("some output")); err != nil {
						t.Fatalf("round %d: appending: %v", round, err)
					}
					if string(job.Payload) != string(content(job.ID, len(job.Payload))) {
						t.Fatalf("round %d: a payload is not what was stored", round)
					}
					apply(t, q, job, overflow.Change{To: overflow.Completed, Head: []byte("head")})
				}
				if removed := maintain(t, q).Removed; removed != n {
					t.Errorf("round %d: %d of %d jobs were removed", round, removed, n)
				}
			}
			if stats, err := q.Stats(t.Context()); err != nil || stats.Bytes > MinSize/20 {
				t.Errorf("%d bytes are in use when all is removed (error %v)", stats.Bytes, err)
			}
		})
	}
}

// TestFailuresMakeRoom: jobs that were given up an hour ago go before their time when the file gets full, and no others do.
func TestFailuresMakeRoom(t *testing.T) {
	t.Parallel()
	hands := newHandClock()
	q := openWith(t, hands.clock(), nil)
	n := fill(t, q, func() int { return 60_000 })
	var kept []*overflow.Job
	for i, job := range claim(t, q, n, time.Hour) {
		change := overflow.Change{To: overflow.Discarded, Keep: 7 * 24 * time.Hour}
		if i%4 == 0 {
			change.To = overflow.Completed
			kept = append(kept, job)
		}
		apply(t, q, job, change)
	}
	if removed := maintain(t, q).Removed; removed != 0 {
		t.Errorf("%d were removed at once", removed)
	}
	hands.pass(spareAfter)
	removed := maintain(t, q).Removed
	if removed == 0 || removed > n/4 {
		t.Errorf("%d of %d were removed", removed, n)
	}
	if again := maintain(t, q).Removed; again != 0 {
		t.Errorf("%d more were removed", again)
	}
	for _, job := range kept {
		get(t, q, job.ID)
	}
	if more := fill(t, q, func() int { return 60_000 }); more == 0 {
		t.Error("there is no room for new ones")
	}
}

// When what runs puts out more than there is room for, it is told so, and can still end;
// what is there can still be removed.
func TestOutputFillsTheFile(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	fill(t, q, func() int { return 10_000 })
	jobs := claim(t, q, 100, time.Hour)
	full := 0
	for i, job := range jobs {
		ref := overflow.Ref{ID: job.ID, Lease: job.Lease}
		var err error
		for n := 0; n < 20 && err == nil; n++ {
			err = q.Append(t.Context(), ref, n, content(job.ID, 20_000))
		}
		change := overflow.Change{To: overflow.Completed, Head: content(job.ID, 100_000)}
		if err != nil {
			full++
			wantErr(t, "Append", err, overflow.ErrUnavailable)
			if _, err := q.Apply(t.Context(), ref, change); err != nil {
				wantErr(t, "Apply", err, overflow.ErrUnavailable)
				change.To, change.Head = overflow.Discarded, nil
				apply(t, q, job, change)
			}
		} else if _, err := q.Apply(t.Context(), ref, change); err != nil {
			t.Errorf("job %d: %v", i, err)
		}
	}
	if full == 0 {
		t.Fatal("the file never got full")
	}
	if removed := maintain(t, q).Removed; removed != len(jobs) {
		t.Errorf("%d of %d jobs were removed", removed, len(jobs))
	}
	enqueue(t, q)
}

// A payload that could never be kept is refused at once.
func TestPayloadLargerThanTheFile(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	_, err := q.Enqueue(t.Context(), newJob(sized(MinSize)), 0)
	wantErr(t, "Enqueue", err, overflow.ErrFull)
	enqueue(t, q, sized(MinSize/2))
}

// What is too much to be deleted at once is left for later, and gone when Maintain returns.
// If the same key is needed before that, it is deleted at once.
func TestLargeContentsAreDeleted(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	size := pieceSize * (maxInline + 100)
	for range 20 { // more than fits into the file
		job := enqueue(t, q, sized(size))
		claim(t, q, 1, time.Hour)
		job = apply(t, q, get(t, q, job.ID), overflow.Change{To: overflow.Discarded, Head: content("first", size), Keep: time.Hour})
		apply(t, q, job, overflow.Change{To: overflow.Available})
		job = claim(t, q, 1, time.Hour)[0]
		apply(t, q, job, overflow.Change{To: overflow.Discarded, Head: content("second", size)})
		if got := get(t, q, job.ID); string(got.Head) != string(content("second", size)) {
			t.Fatalf("the head of the second run has %d bytes, or is the first one's", len(got.Head))
		}
		if done := maintain(t, q); done.Removed != 1 {
			t.Fatalf("%d jobs were removed", done.Removed)
		}
	}
	if stats, err := q.Stats(t.Context()); err != nil || stats.Bytes > MinSize/20 {
		t.Errorf("%d bytes are in use when all is removed (error %v)", stats.Bytes, err)
	}
}

// A job that comes back under its old ID before all of the old one is deleted is not
// affected by that.
func TestIDIsUsedAgain(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	size := pieceSize * (maxInline + 100)
	job := enqueue(t, q, sized(size))
	apply(t, q, &overflow.Job{ID: job.ID}, overflow.Change{To: overflow.Cancelled})
	err := q.do(t.Context(), 0, func(b *batch) error {
		if n, _ := b.expunge(10); n != 1 {
			return fmt.Errorf("%d jobs were removed", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Enqueue(context.Background(), job, 0); err != nil {
		t.Fatal(err)
	}
	maintain(t, q)
	if got := get(t, q, job.ID); string(got.Payload) != string(content(job.ID, size)) {
		t.Errorf("the payload has %d bytes, want %d", len(got.Payload), size)
	}
}
