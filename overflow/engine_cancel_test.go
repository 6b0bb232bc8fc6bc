package overflow_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

func TestAJobIsCancelledWhereverItIs(t *testing.T) {
	for name, test := range map[string]struct {
		serve serveFunc // nil: it is not run
		state overflow.State
	}{
		"queued":    {nil, overflow.Available},
		"waiting":   {busy, overflow.Waiting},
		"scheduled": {fails, overflow.Scheduled},
		"running":   {untilTold, overflow.Executing},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.server.setRoom(0)
				job := w.submit("m")
				if test.serve != nil {
					w.server.do(test.serve)
					w.service.Start()
				}
				synctest.Wait()
				if state := w.get(job).State; state != test.state {
					t.Fatalf("it is %s", state)
				}
				if _, err := w.service.Cancel(t.Context(), "them", job.ID); !errors.Is(err, overflow.ErrNotFound) {
					t.Errorf("another owner gets %v", err)
				}
				after, err := w.service.Cancel(t.Context(), "us", job.ID)
				if err != nil {
					t.Fatal(err)
				}
				if test.state == overflow.Executing {
					if after.State != overflow.Executing || !after.CancelAsked {
						t.Errorf("got %+v", after)
					}
					time.Sleep(1100 * time.Millisecond)
				}
				ended := w.get(job)
				if ended.State != overflow.Cancelled || ended.KeepUntil.Sub(ended.EndedAt) != time.Hour {
					t.Errorf("it is %+v", ended)
				}
				if answer, _ := w.answer(job); answer != nil {
					t.Errorf("it has an answer: %+v", answer)
				}
				again, err := w.service.Cancel(t.Context(), "us", job.ID)
				if err != nil || again.State != overflow.Cancelled {
					t.Errorf("the second time: %+v, %v", again, err)
				}
			})
		})
	}
}

func TestAJobThatHasEndedIsNotCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		job := w.submit("m")
		synctest.Wait()
		after, err := w.service.Cancel(t.Context(), "us", job.ID)
		if err != nil || after.State != overflow.Completed {
			t.Errorf("got %+v, %v", after, err)
		}
		if _, err := w.service.CancelJob(t.Context(), after); !errors.Is(err, overflow.ErrState) {
			t.Errorf("an operator gets %v", err)
		}
	})
}

// Between the last heartbeat and the end of the run somebody cancels; then the job would wait
// for room that need never come.
func TestACancelThatNoHeartbeatHeardIsObeyed(t *testing.T) {
	for name, serve := range map[string]serveFunc{"before it waits": busy, "before it is tried again": fails} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{Callback: callbackConfig()}).started()
				w.receive(func(http.ResponseWriter, *http.Request) {})
				w.server.setRoom(0)
				w.server.do(func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
					if _, err := w.service.Cancel(ctx, "us", job.ID); err != nil {
						t.Error(err)
					}
					return serve(ctx, r, job)
				})
				job := w.submit("m", callTo("http://hooks.example/"))
				synctest.Wait()
				w.is(job, overflow.Cancelled, "", w.get(job).Attempt)
				if calls := w.all(overflow.Callback); len(calls) != 1 {
					t.Errorf("%d callbacks", len(calls))
				}
			})
		})
	}
}

// The process that ran it died before it heard.
func TestACancelledJobIsNotRunAgainAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		job := w.submit("m")
		if _, err := w.queue.Claim(t.Context(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Second}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.Cancel(t.Context(), "us", job.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		w.service.Start()
		time.Sleep(2 * time.Second)
		w.is(job, overflow.Cancelled, "", 0)
		if w.server.served(job) != 0 {
			t.Error("it was run")
		}
	})
}

// It was read while it ran, and waits by the time it is cancelled.
func TestACancelThatComesLateTellsTheClientToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Callback: callbackConfig()}).started()
		w.receive(func(http.ResponseWriter, *http.Request) {})
		w.server.setRoom(0)
		goOn := make(chan struct{})
		w.server.do(func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
			<-goOn
			return busy(ctx, r, job)
		})
		job := w.submit("m", callTo("http://hooks.example/"))
		synctest.Wait()
		read := w.is(job, overflow.Executing, "", 1)
		close(goOn)
		synctest.Wait()
		if _, err := w.service.CancelJob(t.Context(), read); err != nil {
			t.Fatal(err)
		}
		w.is(job, overflow.Cancelled, "", 0)
		if calls := w.all(overflow.Callback); len(calls) != 1 || calls[0].Parent != job.ID {
			t.Errorf("callbacks: %+v", calls)
		}
	})
}
