package handler

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/telemetry"
)

// jobObject is a job as its owner sees it.
type jobObject struct {
	ID     string `json:"id"`
	Object string `json:"object"` // always "overflow.job"
	// Status is queued, in_progress, completed, failed, cancelled or expired.
	Status   string `json:"status"`
	Model    string `json:"model,omitempty"`
	Priority int    `json:"priority"`
	// Position is how many jobs are before it, 0 for none; left out when that is not known.
	Position    *int `json:"position,omitempty"`
	Attempt     int  `json:"attempt"`
	MaxAttempts int  `json:"max_attempts"`
	// Run is how often it was begun; what it puts out begins anew with each.
	Run int `json:"run"`

	// Times are in seconds since 1970, and left out before they come.
	CreatedAt   int64     `json:"created_at"`
	NotBefore   int64     `json:"not_before,omitempty"`     // when it is tried again
	InProgress  int64     `json:"in_progress_at,omitempty"` // while it runs, and of one that has ended its last run
	EndedAt     int64     `json:"ended_at,omitempty"`
	ExpiresAt   int64     `json:"expires_at,omitempty"` // when it is given up, or after its end removed
	Cancelling  bool      `json:"cancelling,omitempty"`
	Error       *jobError `json:"error,omitempty"`
	ResponseURL string    `json:"response_url"`
	EventsURL   string    `json:"events_url"`
}

// jobError is why a job failed, or why it is to be tried again.
type jobError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// statusOf returns the word for a job's state.
func statusOf(job *overflow.Job) string {
	switch job.State {
	case overflow.Executing:
		return "in_progress"
	case overflow.Completed:
		return "completed"
	case overflow.Cancelled:
		return "cancelled"
	case overflow.Discarded:
		if job.Reason == overflow.ReasonExpired {
			return "expired"
		}
		return "failed"
	}
	return "queued"
}

// describe returns what a job's owner may know of it.
func (x *exchange) describe(service *overflow.Service, job *overflow.Job) *jobObject {
	seconds := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	o := &jobObject{
		ID: job.ID, Object: "overflow.job", Status: statusOf(job), Model: job.Model, Priority: job.Priority,
		Attempt: job.Attempt, MaxAttempts: job.MaxAttempts, Run: job.Run,
		CreatedAt: seconds(job.CreatedAt), EndedAt: seconds(job.EndedAt),
		ExpiresAt: seconds(job.Deadline), Cancelling: job.CancelAsked && !job.State.Final(),
		ResponseURL: gateway.JobsPath + job.ID + "/response", EventsURL: gateway.JobsPath + job.ID + "/events",
	}
	switch {
	case job.State.Final():
		o.InProgress, o.ExpiresAt = seconds(job.StartedAt), seconds(job.KeepUntil)
	case job.State == overflow.Executing:
		o.InProgress = seconds(job.StartedAt)
	case job.State == overflow.Scheduled:
		o.NotBefore = seconds(job.RunAt)
	case job.State == overflow.Available:
		if n := service.Ahead(x.r.Context(), job); n >= 0 {
			o.Position = &n
		}
	}
	switch {
	case job.State == overflow.Discarded:
		o.Error = &jobError{job.Reason, job.Error}
	case job.Error != "" && !job.State.Final():
		o.Error = &jobError{"attempt_failed", job.Error}
	}
	return o
}

// jobPath returns the ID in a path below gateway.JobsPath, and what is asked of the job:
// "" for the job itself.
func jobPath(path string) (id, what string) {
	id, what, _ = strings.Cut(strings.TrimPrefix(path, gateway.JobsPath), "/")
	return id, what
}

// serveJobs answers what is about jobs, and reports whether it did.
func (x *exchange) serveJobs() bool {
	if x.api != gateway.Jobs && x.r.URL.Path+"/" != gateway.JobsPath {
		return false
	}
	x.w.Header().Set("Cache-Control", noStore)
	id, what := jobPath(x.r.URL.Path)
	if !overflow.ValidID(id) || what != "" && what != "response" && what != "events" {
		x.jobRefused(overflow.ErrNotFound)
		return true
	}
	service, err := x.app.Deferrals()
	if err != nil {
		x.jobRefused(err)
		return true
	}
	job, err := service.Job(x.r.Context(), x.owner(), id)
	if err != nil {
		x.jobRefused(err)
		return true
	}
	x.job = job.ID
	switch {
	case what == "response":
		x.showResponse(service, job)
	case what == "events":
		x.followJob(service, job)
	case x.r.Method == http.MethodDelete:
		x.cancelJob(service, job)
	default:
		x.showJob(service, job)
	}
	return true
}

// jobRefused answers with an error of the queue's.
func (x *exchange) jobRefused(err error) {
	if x.gone() {
		x.outcome = telemetry.OutcomeCanceled
		return
	}
	if errors.Is(err, gateway.ErrOverflowOff) {
		err = overflow.ErrNotFound
	}
	told := x.queueFailed(err)
	outcome := telemetry.OutcomeUnavailable
	if told.Status < http.StatusInternalServerError {
		outcome = telemetry.OutcomeInvalid
	}
	x.refuse(told, outcome)
}

func (x *exchange) cancelJob(service *overflow.Service, job *overflow.Job) {
	job, err := service.Cancel(x.r.Context(), x.owner(), job.ID)
	if err != nil {
		x.jobRefused(err)
		return
	}
	x.writeJSON(x.describe(service, job))
}

// maxJobWait is the longest that a request for a job is held open.
const maxJobWait = 5 * time.Minute

// ended waits until a job has ended, for as long as the client asks with wait=seconds,
// and returns it as it is then. It reports false when it has answered with an error.
func (x *exchange) ended(service *overflow.Service, job *overflow.Job) (*overflow.Job, bool) {
	var wait time.Duration
	if text := x.r.URL.Query().Get("wait"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			x.refuse(dialect.Invalid("wait", "invalid_wait", "The parameter wait must be a whole number of seconds."), telemetry.OutcomeInvalid)
			return nil, false
		}
		wait = min(time.Duration(seconds)*time.Second, maxJobWait)
	}
	if wait == 0 || job.State.Final() {
		return job, true
	}
	open, leave := gateway.UntilExit(x.r.Context())
	defer leave()
	ctx, cancel := context.WithTimeout(open, wait)
	defer cancel()
	for !job.State.Final() {
		now, err := service.Await(ctx, job, maxJobWait)
		if ctx.Err() != nil || errors.Is(err, overflow.ErrClosed) {
			break // of a queue that another configuration has replaced, it is known how it was
		}
		if err != nil {
			x.jobRefused(err)
			return nil, false
		}
		job = now
	}
	if now, err := service.Job(x.r.Context(), job.Owner, job.ID); err == nil {
		job = now
	}
	return job, true
}

// showJob answers with a job.
func (x *exchange) showJob(service *overflow.Service, job *overflow.Job) {
	job, ok := x.ended(service, job)
	if !ok {
		return
	}
	if !job.State.Final() {
		x.w.Header().Set("Retry-After", retryAfter(&dialect.Error{RetryAfter: jobRetry}))
	}
	x.writeJSON(x.describe(service, job))
}

// showResponse answers with what the job's request would have been answered with.
func (x *exchange) showResponse(service *overflow.Service, job *overflow.Job) {
	job, ok := x.ended(service, job)
	if !ok {
		return
	}
	if !job.State.Final() {
		x.accepted(service, job, 0)
		return
	}
	x.storedAnswer(service, job)
}

// storedAnswer passes on the answer of a job that has ended.
func (x *exchange) storedAnswer(service *overflow.Service, job *overflow.Job) {
	answer, err := service.Answer(job)
	if err != nil {
		x.jobRefused(err)
		return
	}
	if answer == nil {
		x.refuse(noAnswer(job), telemetry.OutcomeError)
		return
	}
	chunk, err := answer.Next(x.r.Context())
	if err != nil && err != io.EOF {
		x.jobRefused(err)
		return
	}
	header := x.w.Header()
	gateway.CopyAnswerHeader(header, answer.Header)
	if x.app.HasLimits(x.caller, job.Model) {
		dropLimits(header)
	}
	x.outcome, x.status, x.stream = telemetry.OutcomeOK, answer.Status, answer.Stream
	if answer.Status >= http.StatusBadRequest {
		x.outcome = telemetry.OutcomeError
	}
	if answer.Stream {
		header.Set("X-Accel-Buffering", "no")
	}
	x.firstByte = time.Now()
	x.w.WriteHeader(answer.Status)
	for err == nil && x.write(chunk, false) {
		chunk, err = answer.Next(x.r.Context())
	}
	x.broken = err != nil && err != io.EOF
}

// noAnswer is what is told of a job that has ended without an answer.
func noAnswer(job *overflow.Job) *dialect.Error {
	told := &dialect.Error{
		Status: http.StatusGone, Type: "invalid_request_error", Code: statusOf(job), Final: true,
		Message: "The job has no answer: it was " + statusOf(job) + ".",
	}
	if job.State != overflow.Cancelled {
		told.Status, told.Type, told.Code = http.StatusInternalServerError, "server_error", job.Reason
		told.Message = "The job has no answer: it was given up."
	}
	return told
}
