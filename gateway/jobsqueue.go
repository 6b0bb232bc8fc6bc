package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/telemetry"
)

// QueueStatus is what /runestone/queue answers.
type QueueStatus struct {
	// Paused is whether no further requests are claimed.
	Paused bool `json:"paused"`
	// Jobs are how many there are, by kind and state, those included of which there are none.
	Jobs map[overflow.Kind]map[overflow.State]int `json:"jobs"`
	// Oldest is the age in seconds of the oldest job that has not ended, by kind, of
	// the kinds of which there is one.
	Oldest map[overflow.Kind]float64 `json:"oldest_seconds"`
	// Lanes are what waiting jobs wait for.
	Lanes []LaneStatus `json:"lanes"`
	// Bytes is how much is stored and MaxBytes how much can be, 0 when that is not known.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	// Workers is how many requests run at a time in this process.
	Workers int `json:"workers"`
	// Ended is how many requests this process has run to their end since it started.
	Ended int64 `json:"ended"`
}

// LaneStatus is what waiting jobs wait for: room for a model, or for a callback at a host.
type LaneStatus struct {
	Kind    overflow.Kind `json:"kind"`
	Name    string        `json:"name"`
	Waiting int           `json:"waiting"`
}

// ended counts the requests that were run to their end in this process.
var ended atomic.Int64

func init() {
	telemetry.OverflowDrainStop.Attach(func(e telemetry.OverflowDrainStopped) {
		switch e.Result {
		case telemetry.DrainCompleted, telemetry.DrainDiscarded, telemetry.DrainCancelled:
			ended.Add(1)
		}
	})
}

func (api *jobsAPI) queue(w http.ResponseWriter, r *http.Request) error {
	return api.answer(w, r, askQueue)
}

func (api *jobsAPI) pause(paused bool) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return api.answer(w, r, func(ctx context.Context, service *overflow.Service) (any, error) {
			if err := service.Queue().Pause(ctx, paused); err != nil {
				return nil, err
			}
			return askQueue(ctx, service)
		})
	}
}

func askQueue(ctx context.Context, service *overflow.Service) (any, error) {
	stats, err := service.Queue().Stats(ctx)
	if err != nil {
		return nil, err
	}
	return queueStatus(&stats, service.Setup().Workers, time.Now()), nil
}

func queueStatus(stats *overflow.Stats, workers int, now time.Time) *QueueStatus {
	s := &QueueStatus{
		Paused: stats.Paused, Jobs: allStates(stats.Jobs), Oldest: make(map[overflow.Kind]float64), Lanes: []LaneStatus{},
		Bytes: stats.Bytes, MaxBytes: stats.MaxBytes, Workers: workers, Ended: ended.Load(),
	}
	for kind, created := range stats.Oldest {
		if !created.IsZero() {
			s.Oldest[kind] = max(0, now.Sub(created).Seconds())
		}
	}
	for _, lane := range stats.Lanes {
		s.Lanes = append(s.Lanes, LaneStatus(lane))
	}
	return s
}

// allStates returns counts of jobs with none left out.
func allStates(jobs map[overflow.Kind]map[overflow.State]int) map[overflow.Kind]map[overflow.State]int {
	all := make(map[overflow.Kind]map[overflow.State]int, len(overflow.Kinds))
	for _, kind := range overflow.Kinds {
		all[kind] = make(map[overflow.State]int, len(overflow.States))
		for _, state := range overflow.States {
			all[kind][state] = jobs[kind][state]
		}
	}
	return all
}

// OverflowStatus is what /runestone/status says of the queue.
type OverflowStatus struct {
	Paused bool `json:"paused"`
	// Jobs are how many there are, by kind and state.
	Jobs map[overflow.Kind]map[overflow.State]int `json:"jobs,omitempty"`
	// Error says why that is not known, "" if it is.
	Error string `json:"error,omitempty"`
}

// statusLimit is how long the queue may take to be counted for a status.
const statusLimit = time.Second

// overflowStatus returns what there is to say of the queue, nil unless it is open.
func (a *App) overflowStatus(ctx context.Context) *OverflowStatus {
	a.jobs.mu.Lock()
	service := a.jobs.service
	a.jobs.mu.Unlock()
	if service == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	stats, err := service.Queue().Stats(ctx)
	if err != nil {
		return &OverflowStatus{Error: fmt.Sprintf("the queue cannot be reached: %v", err)}
	}
	return &OverflowStatus{Paused: stats.Paused, Jobs: allStates(stats.Jobs)}
}

// activeDeferrals returns the service of the app that serves now, which may be of an
// earlier configuration than the admin endpoint is.
func activeDeferrals() (*overflow.Service, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	return app.Deferrals()
}

// ErrNotRunning is what the admin API answers, with status 404, when the configuration in
// force has no gateway. Its text begins the error's message, by which clients know it.
var ErrNotRunning = errors.New("the app runestone is not running")

// activeApp returns the app that serves now. The error is a caddy.APIError.
func activeApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("runestone")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("%w: %w", ErrNotRunning, err)}
	}
	return app.(*App), nil
}
