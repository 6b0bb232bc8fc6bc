package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/overflow"
)

// jobsAPI is the part of the admin API that is about queued requests and callbacks.
//
//	GET  /runestone/jobs                jobs, the newest first
//	GET  /runestone/jobs/{id}           a job
//	POST /runestone/jobs/{id}/{action}  retry, cancel or discard it
//	POST /runestone/jobs/{action}       the same with all that match, a batch at a time
//	GET  /runestone/queue               what the queue holds
//	POST /runestone/queue/pause         claim no further requests
//	POST /runestone/queue/resume        claim them again
type jobsAPI struct {
	service func() (*overflow.Service, error) // see JobsAdminRoutes
}

// Limits of the jobs API.
const (
	// DefaultPageSize is how many jobs a page of GET /runestone/jobs and a batch of
	// POST /runestone/jobs/{action} have when the parameter limit is not given, and
	// MaxPageSize the most that it may ask for.
	DefaultPageSize = 100
	MaxPageSize     = 1000
	// queueLimit is how long the queue may take to answer. The endpoint's server gives
	// up a request after 10 seconds.
	queueLimit = 8 * time.Second
	// batchLimit is after how long a batch is ended early, and batchWidth how many of
	// its jobs are changed at a time.
	batchLimit = 4 * time.Second
	batchWidth = 64
)

// JobList is what GET /runestone/jobs answers. Of a job it has all but what was asked
// and answered, and what only the queue may know.
type JobList struct {
	Jobs []*overflow.Job `json:"jobs"` // the newest first
	// Next is what to give as before to get the next page, "" if there is none.
	Next string `json:"next"`
}

// JobBatch is what POST /runestone/jobs/{action} answers.
type JobBatch struct {
	Changed int `json:"changed"`
	// Skipped is how many moved on before it was their turn.
	Skipped int `json:"skipped"`
	// Next is what to give as before to go on, "" when all are done.
	Next string `json:"next"`
}

// JobAction is what an operator can do with a job. POST /runestone/jobs/{id}/{action} does it
// to one job, and POST /runestone/jobs/{action} to those that match a filter.
type JobAction struct {
	// Name is the action as paths have it, such as cancel.
	Name string
	// Done is what jobs are afterwards, for sentences: cancelled.
	Done  string
	apply func(*overflow.Service, context.Context, *overflow.Job) (*overflow.Job, error)
	from  []overflow.State // where it is possible
	usual []overflow.State // which are meant when jobs are not named, and no state is
}

// Usual says, for a sentence, in which states the jobs are that a filter means which names
// none: available, waiting or scheduled.
func (action *JobAction) Usual() string { return anyOf(action.usual) }

// JobActions are all that there are.
var JobActions = [...]JobAction{
	{
		"retry", "retried", (*overflow.Service).RetryJob,
		[]overflow.State{overflow.Waiting, overflow.Scheduled, overflow.Discarded, overflow.Cancelled},
		[]overflow.State{overflow.Discarded},
	},
	{
		"cancel", "cancelled", (*overflow.Service).CancelJob,
		[]overflow.State{overflow.Available, overflow.Waiting, overflow.Scheduled, overflow.Executing},
		[]overflow.State{overflow.Available, overflow.Waiting, overflow.Scheduled, overflow.Executing},
	},
	{
		"discard", "discarded", (*overflow.Service).DiscardJob,
		[]overflow.State{overflow.Available, overflow.Waiting, overflow.Scheduled},
		[]overflow.State{overflow.Available, overflow.Waiting, overflow.Scheduled},
	},
}

// JobsAdminRoutes returns the part of the admin API that is about queued requests and
// callbacks. service returns the queue that it is about; its errors are those of
// App.Deferrals, or say by being a caddy.APIError what the client is told.
func JobsAdminRoutes(service func() (*overflow.Service, error)) []caddy.AdminRoute {
	api := &jobsAPI{service}
	routes := []caddy.AdminRoute{
		{Pattern: "/runestone/jobs", Handler: only(http.MethodGet, api.list)},
		{Pattern: "/runestone/jobs/{id}", Handler: only(http.MethodGet, api.show)},
		{Pattern: "/runestone/queue", Handler: only(http.MethodGet, api.queue)},
		{Pattern: "/runestone/queue/pause", Handler: only(http.MethodPost, api.pause(true))},
		{Pattern: "/runestone/queue/resume", Handler: only(http.MethodPost, api.pause(false))},
	}
	for i := range JobActions {
		action := &JobActions[i]
		routes = append(routes,
			caddy.AdminRoute{Pattern: "/runestone/jobs/" + action.Name, Handler: only(http.MethodPost, api.changeMany(action))},
			caddy.AdminRoute{Pattern: "/runestone/jobs/{id}/" + action.Name, Handler: only(http.MethodPost, api.change(action))})
	}
	return routes
}

// only lets one method pass.
func only(method string, h caddy.AdminHandlerFunc) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != method {
			w.Header().Set("Allow", method)
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("use %s, not %s", method, r.Method)}
		}
		return h(w, r)
	})
}

func (api *jobsAPI) list(w http.ResponseWriter, r *http.Request) error {
	filter, err := parseFilter(r.URL.RawQuery)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	return api.answer(w, r, func(ctx context.Context, service *overflow.Service) (any, error) {
		page, err := listJobs(ctx, service.Queue(), filter)
		if err != nil {
			return nil, err
		}
		for i, job := range page.Jobs {
			page.Jobs[i] = shown(job)
		}
		return page, nil
	})
}

// answer answers with what ask finds out from the queue, for which it has the time of its context.
func (api *jobsAPI) answer(w http.ResponseWriter, r *http.Request, ask func(context.Context, *overflow.Service) (any, error)) error {
	service, err := api.service()
	if err != nil {
		return apiError(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), queueLimit)
	defer cancel()
	v, err := ask(ctx, service)
	if err != nil {
		return apiError(err)
	}
	return writeJSON(w, v)
}

// listJobs returns a page of jobs.
func listJobs(ctx context.Context, queue overflow.Queue, filter overflow.Filter) (*JobList, error) {
	jobs, err := queue.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	page := &JobList{Jobs: append([]*overflow.Job{}, jobs...)}
	if len(jobs) == filter.Limit {
		page.Next = jobs[len(jobs)-1].ID
	}
	return page, nil
}

// shown returns a job as operators may see it. What a job is asked and answers is in
// no JSON of it.
func shown(job *overflow.Job) *overflow.Job {
	it := *job
	it.Lease, it.Unique, it.Fingerprint = "", "", ""
	return &it
}

func (api *jobsAPI) show(w http.ResponseWriter, r *http.Request) error {
	return api.answer(w, r, func(ctx context.Context, service *overflow.Service) (any, error) {
		job, err := getJob(ctx, service, r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		return shown(job), nil
	})
}

func getJob(ctx context.Context, service *overflow.Service, id string) (*overflow.Job, error) {
	if !overflow.ValidID(id) {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("%q is no job's ID; these are job_ and 32 hexadecimal digits", id)}
	}
	job, err := service.Queue().Get(ctx, id)
	if errors.Is(err, overflow.ErrNotFound) {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("there is no job %s, or no longer", id)}
	}
	return job, err
}

// change does something with one job.
func (api *jobsAPI) change(action *JobAction) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return api.answer(w, r, func(ctx context.Context, service *overflow.Service) (any, error) {
			job, err := action.do(ctx, service, r.PathValue("id"))
			if err != nil {
				return nil, err
			}
			return shown(job), nil
		})
	}
}

// do does it. If there is no such job, or its state does not allow that, the error is
// a caddy.APIError.
func (action *JobAction) do(ctx context.Context, service *overflow.Service, id string) (*overflow.Job, error) {
	for {
		job, err := getJob(ctx, service, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(action.from, job.State) {
			return nil, action.refuse(job)
		}
		job, err = action.apply(service, ctx, job)
		if !errors.Is(err, overflow.ErrState) { // it has moved on meanwhile
			return job, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// refuse says why the action cannot be done, and what can.
func (action *JobAction) refuse(job *overflow.Job) error {
	var can []string
	for i := range JobActions {
		if other := &JobActions[i]; slices.Contains(other.from, job.State) {
			can = append(can, other.Done)
		}
	}
	text := fmt.Sprintf("%s is %s and cannot be %s", job.ID, job.State, action.Done)
	if len(can) > 0 {
		text += ", only " + strings.Join(can, " or ")
	} else {
		text += "; nothing can be done with it any more"
	}
	return caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New(text)}
}

// changeMany does something with a batch of the jobs that match.
func (api *jobsAPI) changeMany(action *JobAction) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		filter, err := action.parseFilter(r.URL.RawQuery)
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
		return api.answer(w, r, func(ctx context.Context, service *overflow.Service) (any, error) {
			page, err := listJobs(ctx, service.Queue(), filter)
			if err != nil {
				return nil, err
			}
			return action.doAll(ctx, service, page)
		})
	}
}

// doAll does it with a page of jobs, or with as many as there is time for.
func (action *JobAction) doAll(ctx context.Context, service *overflow.Service, page *JobList) (*JobBatch, error) {
	batch := &JobBatch{Next: page.Next}
	end := time.Now().Add(batchLimit)
	for some := range slices.Chunk(page.Jobs, batchWidth) {
		errs := make([]error, len(some))
		var wg sync.WaitGroup
		for i, job := range some {
			wg.Go(func() { _, errs[i] = action.do(ctx, service, job.ID) })
		}
		wg.Wait()
		for _, err := range errs {
			var told caddy.APIError
			switch {
			case err == nil:
				batch.Changed++
			case errors.As(err, &told): // it is gone, or in another state
				batch.Skipped++
			default:
				return nil, fmt.Errorf("after %d jobs: %w", batch.Changed, err)
			}
		}
		if last := some[len(some)-1]; time.Now().After(end) && last != page.Jobs[len(page.Jobs)-1] {
			batch.Next = last.ID
			break
		}
	}
	return batch, nil
}

// apiError returns what the client of the admin endpoint is told of an error.
func apiError(err error) caddy.APIError {
	var told caddy.APIError
	status := http.StatusInternalServerError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, ErrOverflowOff):
		status = http.StatusNotFound
		err = fmt.Errorf("%w in the configuration, so that there is no queue", err)
	case errors.Is(err, overflow.ErrUnavailable), errors.Is(err, overflow.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		status = http.StatusServiceUnavailable
		err = fmt.Errorf("the queue cannot be reached: %w", err)
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}
