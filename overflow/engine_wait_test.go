package overflow_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// limited makes a server answer in its own time, and no more than so many at once. Who comes
// beyond finds nobody.
func (s *fakeServer) limited(limit int, takes time.Duration) {
	slots := make(chan struct{}, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = func(string) int { return limit - len(slots) }
	s.serve = func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
		select {
		case slots <- struct{}{}:
		default:
			return nil, &overflow.Unavailable{}
		}
		defer func() { <-slots; s.freed() }()
		select {
		case <-time.After(takes):
			return whole(200, answerText), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func TestAJobWaitsForRoomAndIsWokenByIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(busy)
		w.server.setRoom(0)
		job := w.submit("m")
		synctest.Wait()
		now := w.is(job, overflow.Waiting, "", 0)
		if now.Lane != "m" || now.Snoozes != 1 || now.Run != 1 {
			t.Errorf("it is %+v", now)
		}
		time.Sleep(10 * time.Minute) // time alone does not wake it
		w.is(job, overflow.Waiting, "", 0)
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(200, answerText), nil
		})
		w.server.setRoom(1)
		w.engine.Freed()
		time.Sleep(10 * time.Millisecond) // a fraction of what upkeep takes
		w.is(job, overflow.Completed, "", 1)
	})
}

func TestRoomThatCameWithoutAWordIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(busy)
		w.server.setRoom(0)
		job := w.submit("m")
		synctest.Wait()
		w.server.limited(1, time.Millisecond)
		time.Sleep(1300 * time.Millisecond)
		w.is(job, overflow.Completed, "", 1)
	})
}

// The provider says that it is busy, and the gateway does not know why: that would go round and
// round without a pause.
func TestAJobThatIsRefusedDespiteRoomTriesAgainEverLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		var at []time.Time
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			at = append(at, time.Now())
			w.engine.Freed()
			switch len(at) {
			case 12:
				return whole(200, answerText), nil
			case 11:
				return nil, &overflow.Unavailable{After: 5 * time.Minute, Refused: true}
			}
			return nil, &overflow.Unavailable{Refused: true}
		})
		job := w.submit("m")
		synctest.Wait()
		w.is(job, overflow.Scheduled, "", 0)
		w.until(job, overflow.Completed)
		w.is(job, overflow.Completed, "", 1)
		for i, want := range []float64{1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 300} {
			if got := at[i+1].Sub(at[i]).Seconds(); got < want*.79 || got > want*1.21 {
				t.Errorf("pause %d is %.1fs, want about %.0fs", i, got, want)
			}
		}
	})
}

// There is room for others, or there was none for a moment.
func TestAJobForWhichThereSeemsToBeRoomIsLookedAtAgainSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		var at []time.Time
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			if at = append(at, time.Now()); len(at) == 10 {
				return whole(200, answerText), nil
			}
			return nil, &overflow.Unavailable{}
		})
		job := w.submit("m")
		w.until(job, overflow.Completed)
		for i, want := range []float64{.1, .2, .4, .8, 1.6, 3.2, 5, 5, 5} {
			if got := at[i+1].Sub(at[i]).Seconds(); got < want*.79 || got > want*1.21 {
				t.Errorf("pause %d is %.2fs, want about %.1fs", i, got, want)
			}
		}
	})
}

// A limit of the key's has room again at a certain time, unless others of its jobs are faster.
func TestAJobOverALimitIsLookedAtWhenThatHasRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		var at []time.Time
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			switch at = append(at, time.Now()); len(at) {
			case 1:
				return nil, &overflow.Unavailable{After: 5 * time.Minute, Limited: true}
			case 12:
				return whole(200, answerText), nil
			}
			return nil, &overflow.Unavailable{After: 10 * time.Second, Limited: true}
		})
		job := w.submit("m")
		synctest.Wait()
		w.is(job, overflow.Scheduled, "", 0)
		w.until(job, overflow.Completed)
		for i := range len(at) - 1 {
			want := 10.
			if i == 0 {
				want = 300
			}
			if got := at[i+1].Sub(at[i]).Seconds(); got < want || got > want+1 {
				t.Errorf("pause %d is %.1fs, want %.0fs", i, got, want)
			}
		}
	})
}

// A pause of the target's ends by time alone: nothing is freed, and nobody says a word.
func TestAJobThatWaitsForAPauseToEndIsWokenWhenItDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		time.Sleep(30 * time.Second) // so that upkeep's looks do not coincide with the end
		begin := time.Now()
		var end time.Time
		w.server.mu.Lock()
		w.server.room = func(string) int {
			if time.Since(begin) < 2500*time.Millisecond {
				return 0
			}
			return 5
		}
		w.server.mu.Unlock()
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			if since := time.Since(begin); since < 2500*time.Millisecond {
				return nil, &overflow.Unavailable{After: 2500*time.Millisecond - since}
			}
			end = time.Now()
			return whole(200, answerText), nil
		})
		job := w.submit("m")
		w.until(job, overflow.Completed)
		if took := end.Sub(begin); took > 2520*time.Millisecond {
			t.Errorf("it began %s after the pause did, and could after 2.5s", took)
		}
	})
}

// All workers are free, and the provider takes one at a time.
func TestWaitingJobsAreServedInOrderAsRoomComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.server.limited(1, 100*time.Millisecond)
		var want []string
		for range 30 {
			want = append(want, w.submit("m").ID)
			time.Sleep(2 * time.Millisecond)
		}
		begin := time.Now()
		w.service.Start()
		for _, job := range w.all(overflow.Request) {
			w.until(job, overflow.Completed)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("that took %s, want little more than 3s", took)
		}
		var got []string
		jobs := w.all(overflow.Request)
		slices.SortFunc(jobs, func(a, b *overflow.Job) int { return a.EndedAt.Compare(b.EndedAt) })
		runs := 0
		for _, job := range jobs {
			got = append(got, job.ID)
			runs += job.Run
			if job.Attempt != 1 {
				t.Errorf("%d attempts", job.Attempt)
			}
		}
		// The first 20 are taken by the workers at once, whoever is first among them.
		if !slices.Equal(got[20:], want[20:]) {
			t.Errorf("they ended as %v, want %v", got, want)
		}
		if runs > 100 {
			t.Errorf("%d runs for 30 jobs", runs)
		}
	})
}

func TestOneModelsLaneDoesNotHoldUpAnothers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Workers: 2}).started()
		w.server.mu.Lock()
		w.server.room = func(model string) int { return map[string]int{"up": 9}[model] }
		w.server.mu.Unlock()
		w.server.do(func(_ context.Context, r *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
			if r.Model == "up" {
				return whole(200, answerText), nil
			}
			return nil, &overflow.Unavailable{}
		})
		var down []*overflow.Job
		for range 40 {
			down = append(down, w.submit("down", priority(0)))
		}
		up := w.submit("up", priority(3))
		synctest.Wait()
		w.is(up, overflow.Completed, "", 1)
		for _, job := range down {
			w.is(job, overflow.Waiting, "", 0)
		}
	})
}

// Two engines share a queue, and room comes where nobody knows of the jobs that wait.
func TestJobsThatWaitBecauseOfAnotherProcessAreWokenToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newWorld(t, nil).started()
		a.server.do(busy)
		a.server.setRoom(0)
		job := a.submit("m")
		synctest.Wait()
		a.service.Stop()
		b := newWorldOn(t, sharedQueue{a.queue}, nil).started()
		time.Sleep(1300 * time.Millisecond)
		b.is(job, overflow.Completed, "", 1)
		if b.server.served(job) != 1 || a.server.served(job) != 1 {
			t.Error("it was not served by both")
		}
	})
}

// While the drain stands still nothing is woken; a new one looks at once.
func TestWhatWaitedBeforeAHandoverIsWokenAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil).started()
		w.server.do(busy)
		w.server.setRoom(0)
		job := w.submit("m")
		synctest.Wait()
		w.service.Stop()
		w.server.limited(5, time.Millisecond)
		w.engine.Freed()
		time.Sleep(time.Minute)
		w.is(job, overflow.Waiting, "", 0)
		w.service.Start()
		time.Sleep(10 * time.Millisecond)
		w.is(job, overflow.Completed, "", 1)
	})
}
