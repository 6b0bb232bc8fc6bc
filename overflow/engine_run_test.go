package overflow_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

func TestARequestIsServedAsItCame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		asked := make(chan *overflow.StoredRequest, 1)
		w.server.do(func(_ context.Context, r *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
			asked <- r
			return whole(http.StatusOK, answerText), nil
		})
		want := request("m")
		want.Method, want.Path, want.RawPath, want.Query = "PUT", "/v1/a b", "/v1/a%20b", "a=1&b=%20"
		want.Stream, want.Body = true, []byte{0, 1, 0xff, '\n'}
		job := w.submit("m", func(s *overflow.Submission) { s.Request = want })
		got := <-asked
		synctest.Wait()
		if got.Method != want.Method || got.Path != want.Path || got.RawPath != want.RawPath || got.Query != want.Query ||
			got.Model != "m" || !got.Stream || string(got.Body) != string(want.Body) || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %+v, want %+v", got, want)
		}
		ended := w.is(job, overflow.Completed, "", 1)
		if ended.Owner != "us" || ended.Model != "m" || ended.Priority != overflow.DefaultPriority || ended.Error != "" {
			t.Errorf("the job is %+v", ended)
		}
		answer, body := w.answer(job)
		if answer.Status != 200 || answer.Stream || answer.Header.Get("Content-Type") != "application/json" || body != answerText {
			t.Errorf("got %+v with %q", answer, body)
		}
		if keep := ended.KeepUntil.Sub(ended.EndedAt); keep != time.Hour {
			t.Errorf("it is kept for %s", keep)
		}
	})
}

func TestALongAnswerIsKeptWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		text := strings.Repeat("0123456789", 300_000)
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(http.StatusCreated, text), nil
		})
		job := w.submit("m")
		synctest.Wait()
		answer, body := w.answer(job)
		if answer.Status != http.StatusCreated || body != text {
			t.Errorf("got %d with %d bytes, want %d", answer.Status, len(body), len(text))
		}
		for _, chunk := range w.output(job) {
			if len(chunk) > 256<<10 {
				t.Errorf("a chunk is %d bytes long", len(chunk))
			}
		}
	})
}

func TestAnAnswerMayNotBeEndless(t *testing.T) {
	for name, streams := range map[string]bool{"whole": false, "stream": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, nil).started()
				piece := make([]byte, 8<<20)
				w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
					return &overflow.Answer{Status: 200, Stream: streams, Body: &fakeBody{next: func() ([]byte, error) { return piece, nil }}}, nil
				})
				job := w.submit("m")
				time.Sleep(time.Minute)
				ended := w.is(job, overflow.Discarded, overflow.ReasonRefused, 1)
				if answer, body := w.answer(job); answer == nil || answer.Status != 502 || !strings.Contains(body, "longer than 64 MiB") {
					t.Errorf("got %+v with %.100q (%s)", answer, body, ended.Error)
				}
			})
		})
	}
}

func TestAnAnswerThatRefusesIsTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		refusal := `{"error":{"message":"no such thing as ` + prompt + `"}}`
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(http.StatusUnprocessableEntity, refusal), nil
		})
		job := w.submit("m")
		synctest.Wait()
		ended := w.is(job, overflow.Discarded, overflow.ReasonRefused, 1)
		if ended.Error != "fake answered 422" {
			t.Errorf("the error is %q", ended.Error)
		}
		if keep := ended.KeepUntil.Sub(ended.EndedAt); keep != 7*24*time.Hour {
			t.Errorf("it is kept for %s", keep)
		}
		if answer, body := w.answer(job); answer == nil || answer.Status != 422 || body != refusal {
			t.Errorf("the client gets %+v with %q", answer, body)
		}
		if w.server.served(job) != 1 {
			t.Error("it was tried again")
		}
	})
}

func TestAFailureThatIsForGoodIsTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return nil, &overflow.Failure{Status: 404, Body: []byte(`{"error":"in its own dialect"}`), Message: "no such model"}
		})
		job := w.submit("m")
		synctest.Wait()
		w.is(job, overflow.Discarded, overflow.ReasonRefused, 1)
		if answer, body := w.answer(job); answer.Status != 404 || body != `{"error":"in its own dialect"}` {
			t.Errorf("the client gets %d with %s", answer.Status, body)
		}
	})
}

func TestFailuresAreTriedAgainEverLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{MaxAttempts: 4, Backoff: seconds(10), MaxBackoff: seconds(30)}).started()
		var at []time.Time
		w.server.do(func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
			if at = append(at, time.Now()); len(at) != job.Attempt {
				t.Errorf("attempt %d is number %d", len(at), job.Attempt)
			}
			return fails(ctx, r, job)
		})
		job := w.submit("m")
		synctest.Wait()
		if now := w.is(job, overflow.Scheduled, "", 1); now.Error != "the provider fake answered 500" {
			t.Errorf("its error is %q", now.Error)
		}
		time.Sleep(10 * time.Minute)
		w.is(job, overflow.Discarded, overflow.ReasonAttempts, 4)
		for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second} {
			if got := at[i+1].Sub(at[i]); got < want*8/10 || got > want*12/10+time.Millisecond {
				t.Errorf("%s before attempt %d, want about %s", got, i+2, want)
			}
		}
		answer, body := w.answer(job)
		if answer.Status != 502 || !strings.Contains(body, `"max_attempts"`) || !strings.Contains(body, "the provider fake answered 500") {
			t.Errorf("the client gets %d with %s", answer.Status, body)
		}
	})
}

func TestAnAttemptMayDoBetterThanTheOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
			if job.Attempt < 3 {
				return fails(ctx, r, job)
			}
			return whole(200, answerText), nil
		})
		job := w.submit("m")
		time.Sleep(time.Minute)
		w.is(job, overflow.Completed, "", 3)
	})
}

// An error that is not a Failure may quote anything.
func TestUnknownErrorsAreTriedAgainAndNotQuoted(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"of the server":          {errors.New("malformed: " + completion), "the call failed"},
		"of a broken answer":     {io.ErrUnexpectedEOF, "the answer broke off"},
		"of an impatient server": {context.DeadlineExceeded, "the call took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, nil).started()
				w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
					n := 0
					return &overflow.Answer{Status: 200, Body: &fakeBody{next: func() ([]byte, error) {
						if n++; n > 1 {
							return nil, test.err
						}
						return []byte(completion), nil
					}}}, nil
				})
				job := w.submit("m")
				synctest.Wait()
				if now := w.is(job, overflow.Scheduled, "", 1); now.Error != test.want {
					t.Errorf("its error is %q, want %q", now.Error, test.want)
				}
				time.Sleep(time.Hour)
				w.is(job, overflow.Discarded, overflow.ReasonAttempts, 5)
			})
		})
	}
}

func TestWhatIsNotDoneByItsDeadlineIsGivenUp(t *testing.T) {
	for name, serve := range map[string]serveFunc{"failing": fails, "waiting": busy} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{MaxAge: seconds(600), Backoff: seconds(3600)}).started()
				w.server.do(serve)
				w.server.setRoom(0)
				job := w.submit("m")
				time.Sleep(599 * time.Second)
				if state := w.get(job).State; state.Final() {
					t.Fatalf("it is %s", state)
				}
				time.Sleep(5 * time.Second)
				if ended := w.get(job); ended.State != overflow.Discarded || ended.Reason != overflow.ReasonExpired {
					t.Errorf("it is %s %s", ended.State, ended.Reason)
				}
				if answer, body := w.answer(job); answer.Status != 504 || !strings.Contains(body, `"expired"`) {
					t.Errorf("the client gets %d with %s", answer.Status, body)
				}
				if w.server.served(job) != 1 {
					t.Errorf("it was served %d times", w.server.served(job))
				}
			})
		})
	}
}

func TestARunMayNotTakeForever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{JobTimeout: seconds(40), MaxAttempts: 2}).started()
		w.server.do(untilTold)
		job := w.submit("m")
		time.Sleep(39 * time.Second)
		w.is(job, overflow.Executing, "", 1)
		time.Sleep(2 * time.Second)
		w.is(job, overflow.Scheduled, "", 1)
		time.Sleep(time.Minute)
		w.is(job, overflow.Discarded, overflow.ReasonAttempts, 2)
		if answer, body := w.answer(job); answer.Status != 504 || !strings.Contains(body, "job_timeout") {
			t.Errorf("the client gets %d with %s", answer.Status, body)
		}
	})
}

func TestWhoIsMoreImportantIsServedFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Workers: 1})
		var want []string
		for _, p := range []int{3, 1, 0, 2, 0, 3, 1} {
			want = append(want, string(rune('0'+p))+w.submit("m", priority(p)).ID)
			time.Sleep(2 * time.Millisecond)
		}
		slices.Sort(want)
		for i := range want {
			want[i] = want[i][1:]
		}
		w.service.Start()
		synctest.Wait()
		if !slices.Equal(w.server.order, want) || w.server.most != 1 {
			t.Errorf("%v were served, %d at a time, want %v", w.server.order, w.server.most, want)
		}
	})
}

func TestNoMoreRunThanThereAreWorkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Workers: 7}).started()
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(time.Second)
			return whole(200, answerText), nil
		})
		var jobs []*overflow.Job
		for range 50 {
			jobs = append(jobs, w.submit("m"))
		}
		time.Sleep(9 * time.Second)
		for _, job := range jobs {
			w.is(job, overflow.Completed, "", 1)
		}
		if w.server.most != 7 {
			t.Errorf("%d ran at a time, want 7", w.server.most)
		}
	})
}
