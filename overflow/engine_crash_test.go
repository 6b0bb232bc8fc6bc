package overflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// panicsOn returns a server that panics, in several places, at requests for the model "poison".
func panicsOn(where string) serveFunc {
	return func(_ context.Context, r *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
		if r.Model != "poison" {
			return whole(200, answerText), nil
		}
		if where == "serving" {
			panic("at " + prompt)
		}
		return &overflow.Answer{Status: 200, Stream: where == "streaming", Body: &fakeBody{next: func() ([]byte, error) {
			var none []int
			return nil, errors.New(completion[:none[len(completion)]]) // index out of range
		}}}, nil
	}
}

func TestAPoisonJobIsGivenUpAndOthersGoOn(t *testing.T) {
	for _, where := range []string{"serving", "reading", "streaming"} {
		t.Run(where, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{Workers: 1}).started()
				w.server.do(panicsOn(where))
				poison := w.submit("poison", priority(0))
				good := w.submit("good")
				time.Sleep(5 * time.Second)
				w.is(poison, overflow.Executing, "", 1)
				w.is(good, overflow.Completed, "", 1)
				time.Sleep(2 * time.Minute)
				ended := w.is(poison, overflow.Discarded, overflow.ReasonCrashes, 0)
				if ended.Crashes != overflow.MaxCrashes || w.server.served(poison) != overflow.MaxCrashes {
					t.Errorf("%d crashes in %d runs", ended.Crashes, w.server.served(poison))
				}
				if answer, body := w.answer(poison); answer.Status != 500 || !strings.Contains(body, `"crashes"`) {
					t.Errorf("the client gets %d with %s", answer.Status, body)
				}
				if w.logged("running a job panicked; it counts as a crash of the job") != overflow.MaxCrashes {
					t.Error("the panics are not logged")
				}
			})
		})
	}
}

// Processes that die with the job are played by claims that nobody follows up.
func TestAJobThatKillsProcessesIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		job := w.submit("m")
		for range overflow.MaxCrashes {
			claimed, err := w.queue.Claim(t.Context(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Second})
			if err != nil || len(claimed) != 1 {
				t.Fatal(claimed, err)
			}
			time.Sleep(2 * time.Second)
			if _, err := w.queue.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.service.Start()
		synctest.Wait()
		w.is(job, overflow.Discarded, overflow.ReasonCrashes, 0)
		if w.server.served(job) != 0 {
			t.Error("it was run once more")
		}
	})
}

func TestAJobIsTakenFromAProcessThatFellSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		a := newWorldOn(t, q, nil).started()
		a.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(3 * time.Minute) // a process that stands still hears of nothing
			return whole(200, `"of a"`), nil
		})
		q.set(func() {
			q.heartbeat = func(ctx context.Context, _ []overflow.Ref, _ time.Duration) ([]overflow.Pulse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		job := a.submit("m")
		synctest.Wait()
		a.service.Stop() // so that it does not take it again
		b := newWorldOn(t, sharedQueue{q.Queue}, nil).started()
		b.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(200, `"of b"`), nil
		})
		time.Sleep(10 * time.Minute)
		ended := b.is(job, overflow.Completed, "", 1)
		if _, body := b.answer(job); body != `"of b"` || ended.Crashes != 1 || ended.Run != 2 {
			t.Errorf("got %s after %d crashes in %d runs", body, ended.Crashes, ended.Run)
		}
		if q.applied.Load() != 0 {
			t.Error("the first process recorded something")
		}
	})
}

// A run must have ended, here, by the time its lease has.
func TestWhoCannotExtendALeaseGivesTheJobUpInTime(t *testing.T) {
	for name, heartbeat := range map[string]func(context.Context, []overflow.Ref, time.Duration) ([]overflow.Pulse, error){
		"refused": func(context.Context, []overflow.Ref, time.Duration) ([]overflow.Pulse, error) {
			return nil, overflow.ErrUnavailable
		},
		"hanging": func(ctx context.Context, _ []overflow.Ref, _ time.Duration) ([]overflow.Pulse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := newFaultyQueue()
				q.heartbeat = heartbeat
				w := newWorldOn(t, q, &overflow.Config{Workers: 1}).started()
				begun, over := time.Now(), make(chan time.Duration, 9)
				w.server.do(func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
					<-ctx.Done()
					over <- time.Since(begun)
					return nil, ctx.Err()
				})
				w.submit("m")
				if took := <-over; took < 25*time.Second || took > 34*time.Second {
					t.Errorf("it was told after %s", took)
				}
				synctest.Wait()
				if q.applied.Load() != 0 {
					t.Error("something was recorded")
				}
			})
		})
	}
}

// The lease is the shortest that there may be, and the drain is told to stand still.
func TestLeasesAreKeptAsLongAsJobsRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Lease: seconds(1)}).started()
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(time.Minute)
			return whole(200, answerText), nil
		})
		job := w.submit("m")
		time.Sleep(2 * time.Second)
		_, other := w.serve(nil) // with another lease
		other.Start()
		w.service.Stop()
		time.Sleep(20 * time.Second)
		other.Stop()
		time.Sleep(time.Minute)
		if ended := w.is(job, overflow.Completed, "", 1); ended.Run != 1 {
			t.Errorf("it took %d runs", ended.Run)
		}
	})
}

func TestHeartbeatsKeepUpWithTheShortestLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		beats := make(chan time.Time, 100)
		q.heartbeat = func(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error) {
			beats <- time.Now()
			return q.Queue.Heartbeat(ctx, refs, lease)
		}
		w := newWorldOn(t, q, nil).started()
		w.server.do(untilTold)
		time.Sleep(3001 * time.Millisecond) // the next heartbeat would be almost a second away
		_, short := w.serve(&overflow.Config{Lease: seconds(1)})
		short.Start()
		w.service.Stop()
		synctest.Wait()
		w.submit("m") // claimed for 30s, by a claim that waited
		synctest.Wait()
		w.submit("m") // claimed for 1s
		synctest.Wait()
		last := time.Now()
		short.Stop()
		for range 20 {
			if pause := (<-beats).Sub(last); pause > 400*time.Millisecond {
				t.Errorf("a pause of %s", pause)
			}
			last = time.Now()
		}
	})
}

func TestAHandlerThatIgnoresItsContextKeepsItsWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Workers: 2, JobTimeout: seconds(20)}).started()
		released := make(chan struct{})
		w.server.do(func(_ context.Context, r *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
			if r.Model == "stuck" {
				<-released
			}
			return whole(200, answerText), nil
		})
		stuck := w.submit("stuck")
		time.Sleep(29 * time.Second)
		if n := w.logged("a job does not end although it was told to: its worker stays taken"); n != 0 {
			t.Fatal("it is called stuck too early")
		}
		w.is(stuck, overflow.Executing, "", 1)
		time.Sleep(4 * time.Second)
		if n := w.logged("a job does not end although it was told to: its worker stays taken"); n != 1 {
			t.Fatalf("it was logged %d times", n)
		}
		// Others go on, with one worker less.
		good := w.submit("good")
		synctest.Wait()
		w.is(good, overflow.Completed, "", 1)
		time.Sleep(35 * time.Second) // its lease runs out; it is taken again, by the other worker
		if now := w.get(stuck); now.Crashes != 1 || now.State != overflow.Executing {
			t.Errorf("it is %s after %d crashes", now.State, now.Crashes)
		}
		last := w.submit("good")
		time.Sleep(time.Second)
		w.is(last, overflow.Available, "", 0) // no worker is left
		close(released)
		synctest.Wait()
		w.is(last, overflow.Completed, "", 1)
		w.is(stuck, overflow.Completed, "", 1) // by the second run, whose lease is good
		if n := w.logged("what came of a job's run is not recorded: somebody else has the job, or will have it"); n != 1 {
			t.Errorf("it was logged %d times that the first is not recorded", n)
		}
	})
}

func TestAHandlerThatIsStuckDoesNotHoldUpTheExit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		released := make(chan struct{})
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			<-released
			return whole(200, answerText), nil
		})
		w.submit("m")
		synctest.Wait()
		begun := time.Now()
		if err := w.engine.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("closing took %s", took)
		}
		close(released)
	})
}

func TestOnlyTheCorruptJobIsGivenUp(t *testing.T) {
	sealed := append([]byte{1}, make([]byte, 100)...)
	for name, payload := range map[string][]byte{
		"nothing":             nil,
		"no such way to seal": []byte("\x07" + prompt),
		"cut short":           {1, 2, 3},
		"no length":           {0, 0, 0},
		"a length too long":   {0, 0xff, 0xff, 0xff, 0xff, 'x'},
		"no JSON":             []byte("\x00\x00\x00\x00\x05hello"),
		"JSON of another":     []byte("\x00\x00\x00\x00\x04[12]" + prompt),
		"a callback instead":  []byte(`\x00{"id":"evt"}`),
		"encrypted":           sealed,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, nil)
				for _, kind := range overflow.Kinds {
					job := &overflow.Job{ID: overflow.NewID(time.Now()), Kind: kind, MaxAttempts: 3, Payload: payload}
					if _, err := w.queue.Enqueue(t.Context(), job, 0); err != nil {
						t.Fatal(err)
					}
				}
				good := w.submit("m")
				w.service.Start()
				synctest.Wait()
				w.is(good, overflow.Completed, "", 1)
				for _, job := range append(w.all(overflow.Callback), w.all(overflow.Request)...) {
					if job.ID == good.ID {
						continue
					}
					if name == "encrypted" { // with a secret that another process may have
						w.is(job, overflow.Scheduled, "", 0)
						continue
					}
					ended := w.is(job, overflow.Discarded, overflow.ReasonCorrupt, 1)
					if strings.Contains(ended.Error, prompt) || ended.Error == "" {
						t.Errorf("the error is %q", ended.Error)
					}
				}
			})
		})
	}
}

// Nobody notices a broken answer before it is read; it must not be taken for an end.
func TestAnAnswerWhoseBodyBreaksIsNotRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{MaxAttempts: 1}).started()
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return &overflow.Answer{Status: 400, Body: &fakeBody{next: func() ([]byte, error) {
				return nil, fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)
			}}}, nil
		})
		job := w.submit("m")
		synctest.Wait()
		w.is(job, overflow.Discarded, overflow.ReasonAttempts, 1)
		if answer, _ := w.answer(job); answer.Status != 502 {
			t.Errorf("the client gets %d", answer.Status)
		}
	})
}
