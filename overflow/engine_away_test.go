package overflow_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// What has been paid for is kept until it can be recorded.
func TestTheEndOfAJobIsRecordedOnceTheQueueIsBack(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		serve serveFunc
		state overflow.State
	}{
		"away":          {overflow.ErrUnavailable, nil, overflow.Completed},
		"away, wrapped": {fmt.Errorf("dial: %w", overflow.ErrUnavailable), nil, overflow.Completed},
		"full":          {overflow.ErrFull, nil, overflow.Completed},
		"slow":          {context.DeadlineExceeded, nil, overflow.Completed},
		"of a failure":  {overflow.ErrUnavailable, fails, overflow.Discarded},
		"of a timeout":  {overflow.ErrUnavailable, untilTold, overflow.Discarded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFaultyQueue()
				w := newWorldOn(t, q, &overflow.Config{Lease: seconds(600), JobTimeout: seconds(5), MaxAttempts: 1}).started()
				job := w.submit("m")
				serve := test.serve
				w.server.do(func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
					time.Sleep(time.Second)
					q.set(func() {
						q.apply = func(context.Context, overflow.Ref, overflow.Change) (*overflow.Job, error) { return nil, test.err }
					})
					if serve != nil {
						return serve(ctx, r, job)
					}
					return whole(http.StatusOK, answerText), nil
				})
				time.Sleep(2 * time.Minute) // longer than it takes to be called stuck
				w.is(job, overflow.Executing, "", 1)
				if calls := q.calls.Load(); calls > 400 {
					t.Errorf("%d calls in two minutes", calls)
				}
				q.set(func() { q.apply = q.really })
				time.Sleep(3 * time.Second)
				if ended := w.get(job); ended.State != test.state || ended.Run != 1 || w.server.served(job) != 1 || q.applied.Load() != 1 {
					t.Errorf("it is %s after %d runs and %d changes", ended.State, ended.Run, q.applied.Load())
				}
				if n := w.logged("a job does not end although it was told to: its worker stays taken"); n > 0 {
					t.Error("it is called stuck")
				}
			})
		})
	}
}

// A change whose acknowledgement was lost has happened, and must not be taken for a loss.
func TestAChangeInDoubtIsFoundOutAbout(t *testing.T) {
	for name, test := range map[string]struct {
		serve serveFunc
		state overflow.State
	}{
		"completed": {nil, overflow.Completed},
		"retried":   {fails, overflow.Scheduled},
		"waits":     {busy, overflow.Waiting},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFaultyQueue()
				q.apply = func(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
					if _, err := q.really(ctx, ref, change); err != nil {
						return nil, err
					}
					return nil, overflow.ErrUnavailable
				}
				var gets atomic.Int64
				q.get = func(ctx context.Context, id string) (*overflow.Job, error) {
					if gets.Add(1) == 1 {
						return nil, overflow.ErrUnavailable
					}
					return q.Queue.Get(ctx, id)
				}
				w := newWorldOn(t, q, &overflow.Config{Backoff: seconds(60)}).started()
				w.server.setRoom(0)
				if test.serve != nil {
					w.server.do(test.serve)
				}
				job := w.submit("m")
				time.Sleep(5 * time.Second)
				if now := w.get(job); now.State != test.state || q.applied.Load() != 1 || gets.Load() < 2 {
					t.Errorf("it is %s after %d changes", now.State, q.applied.Load())
				}
				if n := w.logged("what came of a job's run is not recorded: somebody else has the job, or will have it"); n > 0 {
					t.Error("it is taken for a loss")
				}
				if test.state == overflow.Waiting { // its lane is known
					w.server.limited(1, time.Millisecond)
					q.set(func() { q.apply = q.really })
					w.engine.Freed()
					time.Sleep(10 * time.Millisecond)
					w.is(job, overflow.Completed, "", 1)
				}
			})
		})
	}
}

func TestALostJobIsAbandonedUnrecorded(t *testing.T) {
	for name, stop := range map[string]bool{"at work": false, "at its end": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFaultyQueue()
				w := newWorldOn(t, q, nil).started()
				told := make(chan error, 1)
				w.server.do(func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
					if stop {
						return whole(200, answerText), nil
					}
					<-ctx.Done()
					told <- context.Cause(ctx)
					return whole(200, answerText), nil
				})
				if stop {
					q.apply = func(context.Context, overflow.Ref, overflow.Change) (*overflow.Job, error) {
						return nil, overflow.ErrLost
					}
				} else {
					q.heartbeat = func(_ context.Context, refs []overflow.Ref, _ time.Duration) ([]overflow.Pulse, error) {
						return []overflow.Pulse{overflow.Lost}, nil
					}
					// That of the queue itself is refused, too.
					q.apply = func(context.Context, overflow.Ref, overflow.Change) (*overflow.Job, error) {
						return nil, fmt.Errorf("it is another's: %w", overflow.ErrLost)
					}
				}
				job := w.submit("m")
				if !stop {
					<-told
				}
				synctest.Wait()
				if q.applied.Load() != 0 {
					t.Error("something was recorded")
				}
				w.is(job, overflow.Executing, "", 1)
				if w.logged("what came of a job's run is not recorded: somebody else has the job, or will have it") != 1 {
					t.Error("that is not logged")
				}
			})
		})
	}
}

func TestNothingSpinsWhileTheQueueIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		q.goAway(overflow.ErrUnavailable)
		w := newWorldOn(t, q, nil).started()
		time.Sleep(30 * time.Second)
		if calls := q.calls.Load(); calls > 150 {
			t.Errorf("%d calls in 30 seconds", calls)
		}
		if n := len(w.logs.All()); n > 10 {
			t.Errorf("%d lines are logged", n)
		}
		if _, _, err := w.service.Submit(t.Context(), &overflow.Submission{Request: request("m")}); err != nil {
			t.Fatal(err) // Enqueue is not among what is away
		}
		q.goAway(nil)
		time.Sleep(2 * time.Second)
		if job := w.all(overflow.Request)[0]; job.State != overflow.Completed {
			t.Errorf("it is %s", job.State)
		}
	})
}

// A queue may, against its contract, return nothing at once.
func TestNothingSpinsWhenNothingIsClaimed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		q.claim = func(context.Context, overflow.Order) ([]*overflow.Job, error) { return nil, nil }
		newWorldOn(t, q, nil).started()
		time.Sleep(30 * time.Second)
		if calls := q.calls.Load(); calls > 150 {
			t.Errorf("%d calls in 30 seconds", calls)
		}
	})
}

func TestTheErrorsOfAQueueReachWhoSubmits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{MaxJobs: 2})
		w.submit("m")
		w.submit("m")
		if _, _, err := w.service.Submit(t.Context(), &overflow.Submission{Request: request("m")}); !errors.Is(err, overflow.ErrFull) {
			t.Errorf("got %v", err)
		}
		if err := w.engine.Close(); err != nil {
			t.Error(err)
		}
		if _, _, err := w.service.Submit(t.Context(), &overflow.Submission{Request: request("m")}); !errors.Is(err, overflow.ErrClosed) {
			t.Errorf("got %v", err)
		}
		w.service.Start() // has no effect, and does no harm
	})
}
