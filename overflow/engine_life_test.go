package overflow_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

func TestAtShutdownJobsGetTheirTimeAndAreThenPutBack(t *testing.T) {
	for name, test := range map[string]struct {
		takes, grace, since time.Duration
		state               overflow.State
		attempt             int
		least, most         time.Duration // that the shutdown takes
	}{
		"done in time":       {3 * time.Second, 10 * time.Second, 0, overflow.Completed, 1, 3 * time.Second, 3 * time.Second},
		"not done in time":   {time.Hour, 10 * time.Second, 0, overflow.Available, 0, 10 * time.Second, 10 * time.Second},
		"part of it is over": {time.Hour, 10 * time.Second, 8 * time.Second, overflow.Available, 0, 2 * time.Second, 2 * time.Second},
		"all of it is over":  {time.Hour, 10 * time.Second, time.Minute, overflow.Available, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{ShutdownGrace: seconds(test.grace.Seconds()), Workers: 1}).started()
				w.server.do(func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
					select {
					case <-time.After(test.takes):
						return whole(http.StatusOK, answerText), nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				job, next := w.submit("m", priority(0)), w.submit("m", priority(3))
				synctest.Wait()
				w.is(job, overflow.Executing, "", 1)
				begun := time.Now()
				w.service.Stop()
				w.service.Finish(begun.Add(-test.since))
				if took := time.Since(begun); took < test.least || took > test.most {
					t.Errorf("it took %s, want %s to %s", took, test.least, test.most)
				}
				now := w.is(job, test.state, "", test.attempt)
				if now.Crashes != 0 || now.Lease != "" {
					t.Errorf("the job is %+v", now)
				}
				w.is(next, overflow.Available, "", 0)
			})
		})
	}
}

func TestClosingPutsBackWhatRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		shared := sharedQueue{q} // so that it can be read afterwards
		w := newWorldOn(t, shared, nil).started()
		w.server.do(untilTold)
		var jobs []*overflow.Job
		for range 5 {
			jobs = append(jobs, w.submit("m"))
		}
		synctest.Wait()
		away := time.AfterFunc(time.Second, func() { q.goAway(nil) })
		defer away.Stop()
		q.goAway(overflow.ErrUnavailable) // for a second, which must not lose a job to a crash
		if err := w.engine.Close(); err != nil {
			t.Error(err)
		}
		for _, job := range jobs {
			if now := w.is(job, overflow.Available, "", 0); now.Crashes != 0 {
				t.Errorf("%d crashes", now.Crashes)
			}
		}
		if err := w.engine.Destruct(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosingDoesNotWaitForAQueueThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		w := newWorldOn(t, q, nil).started()
		w.server.do(untilTold)
		w.submit("m")
		synctest.Wait()
		q.goAway(overflow.ErrUnavailable)
		begun := time.Now()
		if err := w.engine.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// closingQueue takes no changes once it is closed.
type closingQueue struct{ *faultyQueue }

func (q closingQueue) Close() error {
	q.goAway(overflow.ErrClosed)
	return nil
}

// The answer to a claim comes after the drain was told to stop, or to close.
func TestAClaimThatComesTooLateIsPutBack(t *testing.T) {
	for name, closes := range map[string]bool{"stop": false, "close": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFaultyQueue()
				q.claim = func(ctx context.Context, order overflow.Order) ([]*overflow.Job, error) {
					jobs, err := q.Queue.Claim(ctx, order)
					if len(jobs) > 0 {
						<-ctx.Done()
						time.Sleep(500 * time.Millisecond)
					}
					return jobs, err
				}
				w := newWorldOn(t, closingQueue{q}, nil).started()
				jobs := []*overflow.Job{w.submit("m"), w.submit("m"), w.submit("m")}
				synctest.Wait()
				if closes {
					if err := w.engine.Close(); err != nil {
						t.Error(err)
					}
					q.goAway(nil) // for the test to look
				} else {
					w.service.Stop()
					time.Sleep(time.Second)
				}
				for _, job := range jobs {
					if now := w.get(job); now.State != overflow.Available || now.Attempt != 0 || w.server.served(job) != 0 {
						t.Errorf("it is %+v", now)
					}
				}
			})
		})
	}
}

// A reload begins the new configuration before it ends the old one.
func TestAReloadHandsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Workers: 5}).started()
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(70 * time.Millisecond)
			return whole(200, answerText), nil
		})
		var jobs []*overflow.Job
		for range 500 {
			jobs = append(jobs, w.submit("m"))
		}
		old := w.service
		for i := range 20 {
			time.Sleep(110 * time.Millisecond)
			_, next := w.serve(&overflow.Config{Workers: 5 - i%3})
			next.Start()
			old.Stop()
			old = next
		}
		for _, job := range jobs {
			w.until(job, overflow.Completed)
			if now := w.get(job); w.server.served(job) != 1 || now.Attempt != 1 || now.Crashes != 0 {
				t.Errorf("served %d times: %+v", w.server.served(job), now)
			}
		}
		if w.server.most != 5 {
			t.Errorf("%d ran at a time, want at most 5", w.server.most)
		}
	})
}

// What runs when the number of workers falls goes on, and nothing more is begun until there is a worker.
func TestAReloadWithFewerWorkersKeepsToThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		w := newWorldOn(t, q, &overflow.Config{Workers: 8}).started()
		begun := make(chan int, 100)
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			w.server.mu.Lock()
			begun <- w.server.busy
			w.server.mu.Unlock()
			time.Sleep(time.Second)
			return whole(200, answerText), nil
		})
		synctest.Wait() // a claim for eight waits
		_, next := w.serve(&overflow.Config{Workers: 2})
		next.Start()
		w.service.Stop()
		// All are there at once, so that the waiting claim takes eight.
		if err := w.queue.Pause(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		var jobs []*overflow.Job
		for range 8 {
			jobs = append(jobs, w.submit("m"))
		}
		if err := w.queue.Pause(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		for _, job := range jobs {
			w.until(job, overflow.Completed)
			w.is(job, overflow.Completed, "", 1)
		}
		close(begun)
		for busy := range begun {
			if busy > 2 {
				t.Errorf("%d ran at a time", busy)
			}
		}
	})
}

// The new configuration has begun, fails in another place, and is stopped; the old one
// is neither stopped nor started again.
func TestAReloadThatFailsLeavesTheOldDrainInForce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		_, next := w.serve(&overflow.Config{Workers: 1})
		next.Start()
		next.Stop()
		next.Stop()
		job := w.submit("m")
		synctest.Wait()
		w.is(job, overflow.Completed, "", 1)
		next.Finish(time.Now()) // nothing to wait for
		w.service.Stop()
		job = w.submit("m")
		time.Sleep(time.Minute)
		w.is(job, overflow.Available, "", 0)
	})
}

func TestFinishLeavesAloneWhatAnotherServiceRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(2 * time.Minute)
			return whole(200, answerText), ctx.Err()
		})
		job := w.submit("m")
		synctest.Wait()
		_, next := w.serve(nil)
		next.Start()
		w.service.Stop()
		begun := time.Now()
		w.service.Finish(begun)
		if took := time.Since(begun); took > 0 {
			t.Errorf("it waited for %s", took)
		}
		time.Sleep(3 * time.Minute)
		w.is(job, overflow.Completed, "", 1)
	})
}

func TestAPausedQueueIsNotDrained(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		if err := w.service.Queue().Pause(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		job := w.submit("m")
		time.Sleep(time.Minute)
		w.is(job, overflow.Available, "", 0)
		if err := w.service.Queue().Pause(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.is(job, overflow.Completed, "", 1)
	})
}
