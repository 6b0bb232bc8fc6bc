package gateway

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/gateway/admintest"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
	"github.com/runestone-gateway/runestone/telemetry"
)

func TestJobsAPIShowsTheQueue(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	r.Leave("a", overflow.Change{To: overflow.Waiting, Lane: "a"})
	r.Leave("a", overflow.Change{To: overflow.Waiting, Lane: "a"})
	r.InState(overflow.Completed)
	r.InState(overflow.Available)
	for _, test := range []struct {
		method, uri string
		paused      bool
	}{
		{http.MethodGet, "/runestone/queue", false},
		{http.MethodPost, "/runestone/queue/pause", true},
		{http.MethodGet, "/runestone/queue", true},
		{http.MethodPost, "/runestone/queue/resume", false},
	} {
		var q QueueStatus
		status, text := r.ask(test.method, test.uri, &q)
		jobs := q.Jobs[overflow.Request]
		if status != http.StatusOK || q.Paused != test.paused || q.Workers != admintest.Workers ||
			len(jobs) != len(overflow.States) || jobs[overflow.Waiting] != 2 || jobs[overflow.Completed] != 1 || jobs[overflow.Available] != 1 {
			t.Errorf("%s: status %d: %s", test.uri, status, text)
		}
		if len(q.Lanes) != 1 || q.Lanes[0] != (LaneStatus{overflow.Request, "a", 2}) {
			t.Errorf("%s: lanes %v", test.uri, q.Lanes)
		}
		if age, ok := q.Oldest[overflow.Request]; !ok || age < 0 || age > 60 || len(q.Oldest) != 1 {
			t.Errorf("%s: ages %v", test.uri, q.Oldest)
		}
		stats, err := r.Queue.Stats(t.Context())
		if err != nil || stats.Paused != test.paused {
			t.Errorf("%s: the queue is paused: %t, error %v", test.uri, stats.Paused, err)
		}
	}
}

func TestQueueStatusCountsWhatEndsHere(t *testing.T) { // not parallel: others may end as well
	before := queueStatus(&overflow.Stats{}, 1, time.Now()).Ended
	for _, result := range []string{
		telemetry.DrainCompleted, telemetry.DrainDiscarded, telemetry.DrainCancelled,
		telemetry.DrainRetried, telemetry.DrainWaits, telemetry.DrainReturned, telemetry.DrainLost,
	} {
		telemetry.OverflowDrainStop.Emit(telemetry.OverflowDrainStopped{Model: "m", Result: result})
	}
	if n := queueStatus(&overflow.Stats{}, 1, time.Now()).Ended - before; n != 3 {
		t.Errorf("%d have ended, want 3", n)
	}
}

func TestJobsAPIWithoutAQueue(t *testing.T) {
	t.Parallel()
	off := &App{}
	broken := newQueueApp(t, func() (overflow.Queue, error) { return nil, errors.New("the disk is on fire") })
	closed := newQueueApp(t, func() (overflow.Queue, error) {
		q := queuetest.NewQueue()
		return q, q.Close()
	})
	id := overflow.NewID(time.Now())
	for name, test := range map[string]struct {
		app    *App
		status int
		says   string
	}{
		"it is off":           {off, 404, "overflow is off in the configuration, so that there is no queue"},
		"it cannot be opened": {broken, 503, "the queue cannot be reached: the queue is not available: opening the queue: the disk is on fire"},
		"it is closed":        {closed, 503, "the queue cannot be reached: the queue is closed"},
	} {
		address := admintest.Serve(t, JobsAdminRoutes(test.app.Deferrals))
		for _, request := range []string{
			"GET /runestone/jobs", "GET /runestone/jobs/" + id, "POST /runestone/jobs/" + id + "/retry", "POST /runestone/jobs/retry?model=m",
			"GET /runestone/queue", "POST /runestone/queue/pause",
		} {
			method, uri, _ := strings.Cut(request, " ")
			if status, text := askAt(t, address, method, uri, nil); status != test.status || !strings.Contains(text, test.says) {
				t.Errorf("%s, %s: status %d %s want %d and %q", name, request, status, text, test.status, test.says)
			}
		}
	}
}

func TestStatusOfTheQueue(t *testing.T) {
	t.Parallel()
	opened := false
	app := newQueueApp(t, func() (overflow.Queue, error) {
		opened = true
		return queuetest.NewQueue(), nil
	})
	if s := app.overflowStatus(t.Context()); s != nil || opened {
		t.Errorf("the status %v is of a queue that nobody has opened", s)
	}
	service, err := app.Deferrals()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Queue().Enqueue(t.Context(), &overflow.Job{ID: overflow.NewID(time.Now()), Kind: overflow.Request}, 0); err != nil {
		t.Fatal(err)
	}
	if err := service.Queue().Pause(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	s := app.overflowStatus(t.Context())
	if s == nil || !s.Paused || s.Jobs[overflow.Request][overflow.Available] != 1 || s.Error != "" {
		t.Errorf("the status is %v", s)
	}
	if err := service.Queue().Close(); err != nil {
		t.Fatal(err)
	}
	if s := app.overflowStatus(t.Context()); s == nil || s.Error != "the queue cannot be reached: the queue is closed" {
		t.Errorf("the status is %v", s)
	}
}
