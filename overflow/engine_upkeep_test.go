package overflow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

func TestPeriodicTasksAreDoneOnceInAPeriodByOneOfAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		queue := queuetest.NewQueue()
		a, b := newWorldOn(t, sharedQueue{queue}, nil).started(), newWorldOn(t, queue, nil).started()
		time.Sleep(3*time.Hour - time.Minute)
		synctest.Wait()
		// A period is asked about every 10 seconds or so, and so begins a little late.
		if n := a.server.reports.Load() + b.server.reports.Load(); n < 34 || n > 36 {
			t.Errorf("%d reports in three hours, want one every 5 minutes", n)
		}
		if n := a.server.checks.Load() + b.server.checks.Load(); n != 3 {
			t.Errorf("%d health checks in three hours", n)
		}
		if n := a.logged("overflow: how things stand") + b.logged("overflow: how things stand"); n < 34 {
			t.Errorf("%d of them are logged", n)
		}
		if n := a.logged("the hourly health check found something amiss") + b.logged("the hourly health check found something amiss"); n > 0 {
			t.Errorf("%d times something was amiss", n)
		}
	})
}

// statsQueue says how full it is.
type statsQueue struct {
	overflow.Queue
	bytes, limit int64
}

func (q statsQueue) Stats(ctx context.Context) (overflow.Stats, error) {
	stats, err := q.Queue.Stats(ctx)
	stats.Bytes, stats.MaxBytes = q.bytes, q.limit
	return stats, err
}

func TestTheHealthCheckFindsWhatIsAmiss(t *testing.T) {
	for name, test := range map[string]struct {
		bytes, limit int64
		sick         bool
		want         string
	}{
		"nothing":                          {50, 100, false, ""},
		"a queue whose limit nobody knows": {50, 0, false, ""},
		"a full queue":                     {90, 100, false, "queue"},
		"providers":                        {0, 100, true, "providers"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorldOn(t, statsQueue{queuetest.NewQueue(), test.bytes, test.limit}, nil)
				w.server.healthy.Store(!test.sick)
				w.service.Start()
				time.Sleep(2 * time.Second)
				got := ""
				for _, entry := range w.logs.FilterMessage("the hourly health check found something amiss").All() {
					got += entry.ContextMap()["component"].(string)
				}
				if got != test.want {
					t.Errorf("it found %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestAStuckJobIsFoundByTheHealthCheck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{JobTimeout: seconds(1), Workers: 1}).started()
		released := make(chan struct{})
		w.server.do(func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			<-released
			return whole(200, answerText), nil
		})
		time.Sleep(2 * time.Second) // the first check is over
		w.submit("m")
		time.Sleep(61 * time.Minute)
		found := w.logs.FilterMessage("the hourly health check found something amiss").All()
		if len(found) != 1 || found[0].ContextMap()["component"] != "drain" {
			t.Errorf("it found %v", found)
		}
		close(released)
	})
}

// What has ended goes when its time is over, results and dead letters each in theirs.
func TestWhatHasEndedIsRemovedInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{KeepResults: seconds(60), KeepDiscarded: seconds(300), MaxAttempts: 1}).started()
		good := w.submit("m")
		synctest.Wait()
		w.server.do(fails)
		bad := w.submit("m")
		synctest.Wait()
		time.Sleep(62 * time.Second)
		if _, err := w.queue.Get(t.Context(), good.ID); err == nil {
			t.Error("the result is still there")
		}
		w.is(bad, overflow.Discarded, overflow.ReasonAttempts, 1)
		time.Sleep(5 * time.Minute)
		if jobs := w.all(overflow.Request); len(jobs) != 0 {
			t.Errorf("%d jobs are left", len(jobs))
		}
	})
}
