package boltqueue

import (
	"context"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// Whoever sets the wall clock ends no lease, and makes none last longer.
func TestWallClockIsSet(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		hands := newHandClock()
		q := openWith(t, hands.clock(), nil)
		enqueue(t, q)
		job := claim(t, q, 1, time.Minute)[0]
		ref := overflow.Ref{ID: job.ID, Lease: job.Lease}
		hands.pass(50 * time.Second)
		hands.set(by)
		if done := maintain(t, q); len(done.Rescued) > 0 {
			t.Fatalf("by %s: the lease is over", by)
		}
		pulses, err := q.Heartbeat(t.Context(), []overflow.Ref{ref}, time.Minute)
		if err != nil || pulses[0] != overflow.Alive {
			t.Fatalf("by %s: the heartbeat says %d (error %v)", by, pulses[0], err)
		}
		hands.pass(59 * time.Second)
		if err := q.Append(t.Context(), ref, 0, []byte("output")); err != nil {
			t.Errorf("by %s: %v", by, err)
		}
		if left := get(t, q, job.ID).LeaseUntil.Sub(hands.clock().wall()); left != time.Second {
			t.Errorf("by %s: the lease is said to last %s, want 1s", by, left)
		}
		hands.pass(time.Second)
		wantErr(t, "Append", q.Append(t.Context(), ref, 1, []byte("output")), overflow.ErrLost)
		pulses, err = q.Heartbeat(t.Context(), []overflow.Ref{ref}, time.Minute)
		if err != nil || pulses[0] != overflow.Lost {
			t.Errorf("by %s: the heartbeat says %d after the end (error %v)", by, pulses[0], err)
		}
		_, err = q.Apply(t.Context(), ref, overflow.Change{To: overflow.Completed})
		wantErr(t, "Apply", err, overflow.ErrLost)
		if done := maintain(t, q); len(done.Rescued) != 1 {
			t.Errorf("by %s: %d were rescued after the end", by, len(done.Rescued))
		}
	}
}

// What Claim says of a lease's end is what Get says, however long a process stands still
// between two looks at its clock.
func TestLeaseEndsWhenClaimSays(t *testing.T) {
	t.Parallel()
	hands := newHandClock()
	q := openWith(t, func() (time.Time, time.Duration) { hands.pass(time.Second); return hands.clock()() }, nil)
	enqueue(t, q)
	job := claim(t, q, 1, time.Hour)[0]
	if got := get(t, q, job.ID).LeaseUntil; !got.Equal(job.LeaseUntil) {
		t.Errorf("Get says %s, Claim said %s", got, job.LeaseUntil)
	}
}

// A job that is due because the wall clock was set becomes available with the next Maintain, though
// nothing else happens.
func TestDueBecauseTheClockWasSet(t *testing.T) {
	t.Parallel()
	hands := newHandClock()
	q := openWith(t, hands.clock(), nil)
	job := enqueue(t, q, func(job *overflow.Job) { job.RunAt = time.Now().Add(10 * time.Hour) })
	got := make(chan []*overflow.Job)
	go func() {
		jobs, _ := q.Claim(context.Background(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Hour})
		got <- jobs
	}()
	none(t, q)
	hands.set(11 * time.Hour)
	maintain(t, q)
	select {
	case jobs := <-got:
		if len(jobs) != 1 || jobs[0].ID != job.ID {
			t.Errorf("claimed %v", jobs)
		}
	case <-time.After(patience):
		t.Error("it never became available")
	}
}

// What is set for all processes outlives this one.
func TestPauseAndTurnsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	q := openWith(t, newClock(), nil)
	turn := func(every time.Duration, want bool) {
		t.Helper()
		if mine, err := q.Turn(t.Context(), "collect", every); err != nil || mine != want {
			t.Errorf("Turn says %t (error %v), want %t", mine, err, want)
		}
	}
	turn(time.Hour, true)
	turn(time.Hour, false)
	if err := q.Pause(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	q = reopen(t, q)
	turn(time.Hour, false)
	turn(time.Nanosecond, true)
	enqueue(t, q)
	none(t, q)
	if err := q.Pause(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	claim(t, q, 1, time.Hour)
	q = reopen(t, q)
	if stats, err := q.Stats(t.Context()); err != nil || stats.Paused {
		t.Errorf("the queue is paused again (error %v)", err)
	}
}

// A turn that was taken while the clock was wrong does not keep the next one waiting until then.
func TestTurnInTheFuture(t *testing.T) {
	t.Parallel()
	hands := newHandClock()
	q := openWith(t, hands.clock(), nil)
	for _, set := range []time.Duration{0, 1000 * time.Hour, -1000 * time.Hour} {
		hands.set(set)
		if mine, err := q.Turn(t.Context(), "collect", time.Hour); err != nil || !mine {
			t.Errorf("the clock is set by %s: Turn says %t (error %v)", set, mine, err)
		}
	}
}
