package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/overflow"
)

// Status returns what there is to say of the app and of what it shares with others. It asks
// nobody, and says nothing of the queue; see QueueSeen.
func (a *App) Status() Status { return a.status() }

// openService returns the service of the queue, nil unless that is open.
func (a *App) openService() *overflow.Service {
	a.jobs.mu.Lock()
	defer a.jobs.mu.Unlock()
	return a.jobs.service
}

// QueueSeen returns what the queue held when the drain last looked, which it does each second.
// It is nil unless the queue is open and has been looked at.
func (a *App) QueueSeen() *QueueStatus {
	service := a.openService()
	if service == nil {
		return nil
	}
	stats := service.Health().Stats
	if stats == nil {
		return nil
	}
	return queueStatus(stats, service.Setup().Workers, time.Now())
}

// LatestJobs returns jobs in the states given, of any if there are none, the newest first and
// at most limit. There are none unless the queue is open. They are as operators may see them.
func (a *App) LatestJobs(ctx context.Context, limit int, states ...overflow.State) ([]*overflow.Job, error) {
	service := a.openService()
	if service == nil {
		return nil, nil
	}
	jobs, err := service.Queue().List(ctx, overflow.Filter{States: states, Limit: limit})
	if err != nil {
		return nil, err
	}
	for i, job := range jobs {
		jobs[i] = shown(job)
	}
	return jobs, nil
}

// ChangeJob retries, cancels or discards a job, as action says, and returns it as it is then. The
// error is a caddy.APIError: there is no such action or job, its state does not allow that, or
// the queue cannot be reached.
func (a *App) ChangeJob(ctx context.Context, action, id string) (*overflow.Job, error) {
	for i := range JobActions {
		if JobActions[i].Name != action {
			continue
		}
		service, err := a.Deferrals()
		if err != nil {
			return nil, apiError(err)
		}
		job, err := JobActions[i].do(ctx, service, id)
		if err != nil {
			return nil, apiError(err)
		}
		return shown(job), nil
	}
	return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("there is no action %q", action)}
}
