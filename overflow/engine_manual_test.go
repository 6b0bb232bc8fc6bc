package overflow_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

func TestDrainOnceRunsAllThatIsAvailable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Callback: callbackConfig(), Backoff: seconds(30), MaxAttempts: 2})
		n := w.receive(func(http.ResponseWriter, *http.Request) {})
		drain := func(want int) {
			t.Helper()
			before := time.Now()
			if got, err := w.service.DrainOnce(t.Context()); err != nil || got != want {
				t.Errorf("%d runs, %v, want %d", got, err, want)
			}
			if took := time.Since(before); took > 0 {
				t.Errorf("it took %s", took)
			}
		}
		drain(0)
		late := w.submit("m", priority(2), callTo("http://a.example/"))
		early := w.submit("m", priority(1))
		drain(3) // a callback is among them
		if !slices.Equal(w.server.order, []string{early.ID, late.ID}) || w.server.most != 1 {
			t.Errorf("served %v, %d at a time", w.server.order, w.server.most)
		}
		w.is(late, overflow.Completed, "", 1)
		if len(n.got()) != 1 {
			t.Errorf("%d calls", len(n.got()))
		}

		w.server.do(fails)
		failed := w.submit("m")
		drain(1)
		w.is(failed, overflow.Scheduled, "", 1)
		drain(0)
		time.Sleep(40 * time.Second)
		drain(1)
		w.is(failed, overflow.Discarded, overflow.ReasonAttempts, 2)

		w.server.do(busy)
		w.server.setRoom(0)
		first, second := w.submit("m"), w.submit("m")
		drain(2)
		drain(0)
		w.is(first, overflow.Waiting, "", 0)
		w.server.limited(1, 0)
		drain(1)
		drain(1)
		w.is(first, overflow.Completed, "", 1)
		w.is(second, overflow.Completed, "", 1)
	})
}

func TestDrainOncePassesOverWhatIsPaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		job := w.submit("m")
		if err := w.queue.Pause(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if n, err := w.service.DrainOnce(t.Context()); n != 0 || err != nil || time.Since(begun) > 0 {
			t.Errorf("%d runs, %v, after %s", n, err, time.Since(begun))
		}
		w.is(job, overflow.Available, "", 0)
	})
}

func TestDrainOnceEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.server.do(untilTold)
		job := w.submit("m")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if n, err := w.service.DrainOnce(ctx); n != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d runs, %v", n, err)
		}
		w.is(job, overflow.Available, "", 0)
	})
}

func TestDrainOnceSurvivesAPoisonJobAndAClosedEngine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{JobTimeout: seconds(60)})
		w.server.do(panicsOn("serving"))
		poison, good := w.submit("poison", priority(0)), w.submit("good")
		if n, err := w.service.DrainOnce(t.Context()); n != 2 || err != nil {
			t.Errorf("%d runs, %v", n, err)
		}
		w.is(good, overflow.Completed, "", 1)
		for range overflow.MaxCrashes {
			time.Sleep(2 * time.Minute) // until its lease is over
			if n, err := w.service.DrainOnce(t.Context()); n != 1 || err != nil {
				t.Errorf("%d runs, %v", n, err)
			}
		}
		w.is(poison, overflow.Discarded, overflow.ReasonCrashes, 0)
		if err := w.engine.Close(); err != nil {
			t.Error(err)
		}
		if _, err := w.service.DrainOnce(t.Context()); !errors.Is(err, overflow.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// Both take jobs, and none is run twice.
func TestDrainOnceBesideARunningDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Workers: 2})
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			time.Sleep(10 * time.Millisecond)
			return whole(200, answerText), nil
		})
		var jobs []*overflow.Job
		for range 60 {
			jobs = append(jobs, w.submit("m"))
		}
		w.service.Start()
		n, err := w.service.DrainOnce(t.Context())
		if err != nil || n < 1 || n > 59 {
			t.Errorf("%d runs, %v", n, err)
		}
		time.Sleep(time.Second)
		for _, job := range jobs {
			w.is(job, overflow.Completed, "", 1)
			if w.server.served(job) != 1 {
				t.Errorf("served %d times", w.server.served(job))
			}
		}
	})
}
