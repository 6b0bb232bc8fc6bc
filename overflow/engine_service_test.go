package overflow_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

func keyed(owner, key string) func(*overflow.Submission) {
	return func(s *overflow.Submission) { s.Owner, s.IdempotencyKey = owner, key }
}

func TestTheSameKeyAndRequestAreOneJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		again := func(change func(*overflow.Submission)) (*overflow.Job, bool, error) {
			sub := &overflow.Submission{Request: request("m"), Owner: "us", IdempotencyKey: "k"}
			if change != nil {
				change(sub)
			}
			return w.service.Submit(t.Context(), sub)
		}
		job := w.submit("m", keyed("us", "k"))
		if same, existed, err := again(nil); err != nil || !existed || same.ID != job.ID {
			t.Errorf("while it is queued: %+v, %t, %v", same, existed, err)
		}
		for name, change := range map[string]func(*overflow.Submission){
			"body":   func(s *overflow.Submission) { s.Request.Body = []byte("{}") },
			"method": func(s *overflow.Submission) { s.Request.Method = "PUT" },
			"path":   func(s *overflow.Submission) { s.Request.Path += "x" },
			"query":  func(s *overflow.Submission) { s.Request.Query = "x" },
		} {
			if other, existed, err := again(change); !errors.Is(err, overflow.ErrMismatch) || !existed || other != nil {
				t.Errorf("another %s: %+v, %t, %v", name, other, existed, err)
			}
		}
		if other, existed, err := again(keyed("them", "k")); err != nil || existed || other.ID == job.ID {
			t.Errorf("another owner: %+v, %t, %v", other, existed, err)
		}
		// A key and an owner must not be taken for another pair.
		if other, existed, err := again(keyed("u", "s\x00k")); err != nil || existed || other.ID == job.ID {
			t.Errorf("another pair: %+v, %t, %v", other, existed, err)
		}
		w.service.Start()
		synctest.Wait()
		same, existed, err := again(nil)
		if err != nil || !existed || same.ID != job.ID || same.State != overflow.Completed {
			t.Fatalf("once it is completed: %+v, %t, %v", same, existed, err)
		}
		if _, body := w.answer(same); body != answerText {
			t.Errorf("its answer is %s", body)
		}
		if found, err := w.service.Find(t.Context(), "us", "k", request("m")); err != nil || found.ID != job.ID {
			t.Errorf("found %+v, %v", found, err)
		}
		if _, err := w.service.Find(t.Context(), "us", "k", request("other")); !errors.Is(err, overflow.ErrMismatch) {
			t.Errorf("found with another request: %v", err)
		}
		if _, err := w.service.Find(t.Context(), "us", "none", request("m")); !errors.Is(err, overflow.ErrNotFound) {
			t.Errorf("found with another key: %v", err)
		}
		if n := w.server.served(job); n != 1 {
			t.Errorf("it was served %d times", n)
		}
	})
}

func TestAKeyIsFreeOnceItsJobHasCometoNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{MaxAttempts: 1}).started()
		w.server.do(fails)
		first := w.submit("m", keyed("us", "k"))
		synctest.Wait()
		w.is(first, overflow.Discarded, overflow.ReasonAttempts, 1)
		w.server.do(untilTold)
		second := w.submit("m", keyed("us", "k")) // fails unless it is a new one
		synctest.Wait()
		if _, err := w.service.Cancel(t.Context(), "us", second.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		w.is(second, overflow.Cancelled, "", 1)
		w.submit("m", keyed("us", "k"))
	})
}

func TestTheSameKeyAtTheSameTimeIsOneJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		var wait sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]int{}
		created := 0
		for range 50 {
			wait.Go(func() {
				job, existed, err := w.service.Submit(t.Context(), &overflow.Submission{Request: request("m"), IdempotencyKey: "k"})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				ids[job.ID]++
				if !existed {
					created++
				}
			})
		}
		wait.Wait()
		synctest.Wait()
		if len(ids) != 1 || created != 1 || len(w.server.order) != 1 {
			t.Errorf("%d jobs, %d created, %d runs", len(ids), created, len(w.server.order))
		}
	})
}

func TestJobsAreSeenByTheirOwnersOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Callback: callbackConfig()})
		w.receive(func(http.ResponseWriter, *http.Request) {})
		w.service.Start()
		job := w.submit("m", callTo("http://a.example/"))
		synctest.Wait()
		if got, err := w.service.Job(t.Context(), "us", job.ID); err != nil || got.ID != job.ID {
			t.Errorf("its owner gets %+v, %v", got, err)
		}
		for name, test := range map[string]struct{ owner, id string }{
			"another owner": {"them", job.ID},
			"no owner":      {"", job.ID},
			"a callback":    {"us", w.all(overflow.Callback)[0].ID},
			"no ID":         {"us", "job_../../x"},
			"unknown":       {"us", overflow.NewID(time.Now())},
		} {
			if got, err := w.service.Job(t.Context(), test.owner, test.id); !errors.Is(err, overflow.ErrNotFound) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	})
}

func TestAwaitReturnsOnAChangeAndAtTheLatestInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		job := w.submit("m")
		await := func(ctx context.Context, wait time.Duration) (*overflow.Job, time.Duration, error) {
			begun := time.Now()
			now, err := w.service.Await(ctx, job, wait)
			return now, time.Since(begun), err
		}
		if now, took, err := await(t.Context(), 5*time.Second); err != nil || now.State != overflow.Available || took != 5*time.Second {
			t.Errorf("without a change: %+v after %s, %v", now, took, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, took, err := await(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("without patience: %s, %v", took, err)
		}
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(2 * time.Second)
			return whole(200, answerText), nil
		})
		time.AfterFunc(3*time.Second, w.service.Start)
		now, took, err := await(t.Context(), time.Minute)
		if err != nil || now.State != overflow.Executing || took != 3*time.Second {
			t.Errorf("it runs: %+v after %s, %v", now, took, err)
		}
		job = now
		if now, took, err = await(t.Context(), time.Minute); err != nil || now.State != overflow.Completed || took != 2*time.Second {
			t.Errorf("it ends: %+v after %s, %v", now, took, err)
		}
		job = now
		time.AfterFunc(time.Second, func() { _ = w.engine.Close() })
		if _, took, _ = await(t.Context(), time.Minute); took > 2*time.Second {
			t.Errorf("closing took %s to be noticed", took)
		}
	})
}

// deafQueue tells nobody of changes.
type deafQueue struct{ overflow.Queue }

func (deafQueue) Watch(string, bool) (<-chan struct{}, func()) { return nil, func() {} }

func TestAwaitLooksOnceMoreAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorldOn(t, deafQueue{queuetest.NewQueue()}, nil)
		job := w.submit("m")
		time.AfterFunc(time.Second, w.service.Start)
		if now, err := w.service.Await(t.Context(), job, 5*time.Second); err != nil || now.State != overflow.Completed {
			t.Errorf("got %+v, %v", now, err)
		}
	})
}

func TestAheadIsThePlaceInTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for i := range 3 {
			if got := w.service.Ahead(t.Context(), w.submit("m")); got != i {
				t.Errorf("job %d has %d ahead", i, got)
			}
			time.Sleep(2 * time.Millisecond)
		}
		first := w.submit("m", priority(0))
		if got := w.service.Ahead(t.Context(), first); got != 0 {
			t.Errorf("the most important has %d ahead", got)
		}
		w.service.Start()
		synctest.Wait()
		if got := w.service.Ahead(t.Context(), w.get(first)); got != -1 {
			t.Errorf("one that has ended has %d ahead", got)
		}
	})
}

func TestOperatorsRetryAndDiscard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{MaxAttempts: 1, MaxAge: seconds(3600), Callback: callbackConfig()})
		n := w.receive(func(http.ResponseWriter, *http.Request) {})
		w.service.Start()
		w.server.do(fails)
		job := w.submit("m", callTo("http://a.example/"))
		synctest.Wait()
		w.is(job, overflow.Discarded, overflow.ReasonAttempts, 1)
		time.Sleep(2 * time.Hour) // its deadline has passed
		w.server.do(busy)
		w.server.setRoom(0)
		if _, err := w.service.RetryJob(t.Context(), w.get(job)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		now := w.is(job, overflow.Waiting, "", 0)
		if now.Head != nil || time.Until(now.Deadline) < 59*time.Minute {
			t.Errorf("it does not begin anew: %+v", now)
		}
		if _, err := w.service.RetryJob(t.Context(), now); err != nil { // there may be room that nobody knows of
			t.Fatal(err)
		}
		synctest.Wait()
		now = w.is(job, overflow.Waiting, "", 0)
		if _, err := w.service.DiscardJob(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		now = w.is(job, overflow.Discarded, overflow.ReasonOperator, 0)
		if answer, body := w.answer(job); answer.Status != 410 || !strings.Contains(body, `"operator"`) {
			t.Errorf("the client gets %d with %s", answer.Status, body)
		}
		if _, err := w.service.DiscardJob(t.Context(), now); !errors.Is(err, overflow.ErrState) {
			t.Errorf("discarding it again: %v", err)
		}
		synctest.Wait()
		var kinds []string
		for _, c := range n.got() {
			kinds = append(kinds, c.event.Type)
		}
		if strings.Join(kinds, " ") != "response.failed response.failed" {
			t.Errorf("its client's server was told %v", kinds)
		}
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(200, answerText), nil
		})
		if _, err := w.service.RetryJob(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		now = w.is(job, overflow.Completed, "", 1)
		if _, err := w.service.RetryJob(t.Context(), now); !errors.Is(err, overflow.ErrState) {
			t.Errorf("retrying what is completed: %v", err)
		}
	})
}

func TestAnAnswerThatIsRemovedMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{KeepResults: seconds(60)}).started()
		job := w.submit("m")
		synctest.Wait()
		a, err := w.service.Answer(w.get(job))
		if err != nil || a == nil {
			t.Fatal(a, err)
		}
		time.Sleep(62 * time.Second)
		if _, err := a.Next(t.Context()); !errors.Is(err, overflow.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if _, err := w.service.Job(t.Context(), "us", job.ID); !errors.Is(err, overflow.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestASetupIsCheckedAndNamesNoSecret(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]*overflow.Config{
		"encrypt[0]":          {Encrypt: []string{"short-secret"}},
		"callback: allow":     {Callback: &overflow.CallbackConfig{Secrets: []string{callbackSecret}}},
		"callback: secrets[0": {Callback: &overflow.CallbackConfig{Allow: []string{"*"}, Secrets: []string{"short-secret"}}},
	} {
		_, err := overflow.NewSetup(config, newFakeServer())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "short-secret") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	two := 2
	s, err := overflow.NewSetup(&overflow.Config{Workers: 3, MaxJobs: 4, Default: overflow.Async, Priority: &two}, newFakeServer())
	if err != nil || s.Workers != 3 || s.MaxJobs != 4 || !s.Async || s.Priority != 2 {
		t.Errorf("got %+v, %v", s, err)
	}
	s, err = overflow.NewSetup(nil, newFakeServer())
	if err != nil || s.Workers != overflow.DefaultWorkers || s.MaxJobs != overflow.DefaultMaxJobs || s.Async || s.Priority != overflow.DefaultPriority {
		t.Errorf("got %+v, %v", s, err)
	}
}
