package handler

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/telemetry"
)

const (
	// submitLimit is how long making a request durable may take.
	submitLimit = 15 * time.Second
	// findLimit is how long it may take to see whether a request has a job already.
	findLimit = 3 * time.Second
	// queueRetry is when to try again that was refused by the queue.
	queueRetry = 5 * time.Second
	// jobRetry is when to look at a job again of which nothing more is known.
	jobRetry = 2 * time.Second

	// maxIdempotencyKey is the longest Idempotency-Key, in bytes.
	maxIdempotencyKey = 255
)

// The values of Handler.Overflow.
const (
	divertAlways = "always"
	divertOptIn  = "opt_in"
)

// divert deals with a request that is not to be relayed, and reports whether it has:
// one that has a job already, and on a route of those that were refused elsewhere, all.
func (x *exchange) divert() bool {
	x.prefers = readPreferences(x.r.Header["Prefer"])
	setup := x.app.OverflowSetup()
	queueable := setup != nil && x.r.Method == http.MethodPost && x.req.Body != nil && x.req.Upload == nil &&
		x.caller.MayCall(string(gateway.Jobs)) // else it could not get the answer
	x.deferrable = queueable && (x.prefers.async || setup.Async || x.diverts == divertAlways)
	if told := x.checkOverflow(queueable); told != nil {
		x.refuse(told, telemetry.OutcomeInvalid)
		return true
	}
	if queueable && len(x.r.Header["Idempotency-Key"]) > 0 && x.hasJob() {
		return true
	}
	if x.diverts == "" {
		return false
	}
	if x.deferrable {
		x.postpone(x.refusedFor)
		return true
	}
	x.refuse(&dialect.Error{
		Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded",
		Message: "Too many requests.", RetryAfter: max(x.refusedFor, time.Second),
	}, telemetry.OutcomeUnavailable)
	return true
}

// takeRetryAfter returns the Retry-After, in seconds, that whoever refused the request has
// set, 0 without one, and removes it from the answer, which may be another now.
func takeRetryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 20)
	h.Del("Retry-After")
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// checkOverflow refuses what is wrong in the headers that are about jobs.
func (x *exchange) checkOverflow(queueable bool) *dialect.Error {
	h := x.r.Header
	if keys := h["Idempotency-Key"]; queueable && (len(keys) > 1 || len(keys) == 1 && (keys[0] == "" || len(keys[0]) > maxIdempotencyKey)) {
		return dialect.Invalid("Idempotency-Key", "invalid_idempotency_key",
			"The header Idempotency-Key must be given once, with 1 to "+strconv.Itoa(maxIdempotencyKey)+" bytes.")
	}
	if v := h.Get("Runestone-Priority"); v != "" {
		if len(v) != 1 || v[0] < '0' || v[0] >= '0'+overflow.Priorities {
			return dialect.Invalid("Runestone-Priority", "invalid_priority", "The header Runestone-Priority must be 0, which is served first, 1, 2 or 3.")
		}
	}
	url := h.Get("Runestone-Callback")
	switch {
	case url == "":
		return nil
	case !x.deferrable:
		return dialect.Invalid("Runestone-Callback", "callback_without_job",
			"The header Runestone-Callback is for requests that can be queued and whose header Prefer says respond-async.")
	}
	service, err := x.app.Deferrals()
	if err != nil {
		return nil // as long as it is served at once, it needs no queue
	}
	if err := service.CheckCallback(url); err != nil {
		return callbackRefused(err)
	}
	return nil
}

func callbackRefused(err error) *dialect.Error {
	_, why, _ := strings.Cut(err.Error(), ": ")
	return dialect.Invalid("Runestone-Callback", "invalid_callback", "The header Runestone-Callback cannot be used: "+why+".")
}

// queueFailed returns what the client is told of an error of the queue's, and logs it.
func (x *exchange) queueFailed(err error) *dialect.Error {
	switch {
	case errors.Is(err, overflow.ErrMismatch):
		told := dialect.Invalid("Idempotency-Key", "idempotency_key_reused", "The Idempotency-Key was used with another request: use a new one for each.")
		told.Status = http.StatusUnprocessableEntity
		return told
	case errors.Is(err, overflow.ErrCallback):
		return callbackRefused(err)
	case errors.Is(err, overflow.ErrFull):
		return &dialect.Error{
			Status: http.StatusServiceUnavailable, Type: "server_error", Code: "queue_full",
			Message: "The queue is full.", RetryAfter: 2 * queueRetry,
		}
	case errors.Is(err, overflow.ErrNotFound):
		return &dialect.Error{
			Status: http.StatusNotFound, Type: "invalid_request_error", Code: "job_not_found", Final: true,
			Message: "There is no such job, or it is no longer kept.",
		}
	}
	x.app.Complain("the overflow queue failed a request", zap.String("request_id", x.id), zap.Error(err))
	return &dialect.Error{
		Status: http.StatusServiceUnavailable, Type: "server_error", Code: "queue_unavailable",
		Message: "The queue is not available just now.", RetryAfter: queueRetry,
	}
}

// postponable reports whether a request that has failed so may be served later.
func postponable(f *gateway.Failure) bool {
	switch f.Outcome {
	case telemetry.OutcomeCanceled:
		return false // nobody is there to be told
	case telemetry.OutcomeTimeout, telemetry.OutcomeUnreachable:
		return true
	case telemetry.OutcomeError:
		return f.Overloaded() || f.Told.Status >= http.StatusInternalServerError
	}
	return f.Overloaded()
}

// postponed reports whether the request of this answer is to be served later instead.
func (x *exchange) postponed(resp *http.Response) (after time.Duration, ok bool) {
	if !x.deferrable || resp.StatusCode < http.StatusBadRequest {
		return 0, false
	}
	after, ok = gateway.Overloaded(resp)
	return after, ok || resp.StatusCode >= http.StatusInternalServerError
}

// postpone queues the request and answers with its job.
func (x *exchange) postpone(after time.Duration) {
	x.lease.Cancel() // it counts when it is run
	service, err := x.app.Deferrals()
	if err != nil {
		x.refuse(x.queueFailed(err), telemetry.OutcomeUnavailable)
		return
	}
	sub := overflow.Submission{
		Request: gateway.Stored(&x.req), Owner: x.owner(), IdempotencyKey: x.r.Header.Get("Idempotency-Key"),
	}
	sub.Request.Callback = x.r.Header.Get("Runestone-Callback")
	sub.Request.Header.Set("X-Request-Id", x.id)
	telemetry.Carry(x.r.Context(), sub.Request.Header)
	if v := x.r.Header.Get("Runestone-Priority"); v != "" {
		priority := int(v[0] - '0')
		sub.Priority = &priority
	}
	if x.caller != nil {
		best := service.Setup().Priority
		if sub.Priority != nil {
			best = *sub.Priority
		}
		best = x.caller.BestPriority(best)
		sub.Priority = &best
	}
	if _, limited := x.lease.Refused(); x.diverts != "" || limited {
		sub.Delay = after // whoever refused it has said that
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), submitLimit)
	defer cancel()
	job, existed, err := service.Submit(ctx, &sub)
	if err != nil {
		if x.gone() {
			x.outcome = telemetry.OutcomeCanceled
			return
		}
		told := x.queueFailed(err)
		outcome := telemetry.OutcomeUnavailable
		if told.Status < http.StatusInternalServerError {
			outcome = telemetry.OutcomeInvalid
		}
		x.refuse(told, outcome)
		return
	}
	x.job = job.ID
	if existed {
		x.replay(service, job)
		return
	}
	x.accepted(service, job, after)
}

// hasJob answers with the job that the request's Idempotency-Key has, and reports whether
// it has answered. When that cannot be found out, a request that may have become a job is
// refused, or it might be served twice. Others do not depend on the queue.
func (x *exchange) hasJob() bool {
	service, job, err := x.findJob()
	switch {
	case err == nil:
		x.job = job.ID
		x.replay(service, job)
	case errors.Is(err, overflow.ErrNotFound):
		return false
	case errors.Is(err, overflow.ErrMismatch):
		x.refuse(x.queueFailed(err), telemetry.OutcomeInvalid)
	case x.gone():
		x.outcome = telemetry.OutcomeCanceled
	default:
		told := x.queueFailed(err)
		if !x.deferrable {
			return false
		}
		x.refuse(told, telemetry.OutcomeUnavailable)
	}
	return true
}

func (x *exchange) findJob() (*overflow.Service, *overflow.Job, error) {
	service, err := x.app.Deferrals()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), findLimit)
	defer cancel()
	job, err := service.Find(ctx, x.owner(), x.r.Header.Get("Idempotency-Key"), gateway.Stored(&x.req))
	return service, job, err
}

// replay answers a request that is not the first with its Idempotency-Key.
func (x *exchange) replay(service *overflow.Service, job *overflow.Job) {
	if !job.State.Final() {
		x.accepted(service, job, 0)
		return
	}
	x.w.Header()["Idempotent-Replayed"] = []string{"true"}
	x.storedAnswer(service, job)
}

// accepted answers 202 with a job.
func (x *exchange) accepted(service *overflow.Service, job *overflow.Job, after time.Duration) {
	h := x.w.Header()
	if x.prefers.async {
		applied := "respond-async"
		if x.waited != "" {
			applied += ", " + x.waited
		}
		h["Preference-Applied"] = []string{applied}
	}
	h.Set("Location", gateway.JobsPath+job.ID)
	told := dialect.Error{RetryAfter: max(after, jobRetry)}
	h.Set("Retry-After", retryAfter(&told))
	x.writeJSONStatus(http.StatusAccepted, x.describe(service, job))
}
