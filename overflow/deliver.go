package overflow

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/telemetry"
)

// follow returns the job that tells the client's server of the end of a job with a
// status, nil if nobody wants to be told. It is recorded in one step with that.
func (s *Setup) follow(job *Job, req *StoredRequest, status string, code int, answer []byte) *Job {
	if req.Callback == "" {
		return nil
	}
	host, err := s.webhooks.check(req.Callback)
	if err != nil {
		host = "unknown" // it may be called no more; the attempt will say so
	}
	now := time.Now()
	id := NewID(now)
	event := "evt_" + id[len("job_"):]
	w := webhook{ID: event, URL: req.Callback, Traceparent: req.Header.Get("Traceparent"), Body: callbackBody(event, "response."+status, now, job.ID, status, code, answer)}
	plain, _ := json.Marshal(w) // strings and bytes: cannot fail
	next := &Job{
		ID: id, Kind: Callback, Owner: job.Owner, Priority: job.Priority, Model: host,
		MaxAttempts: len(callbackSchedule), Parent: job.ID,
	}
	next.Payload = s.sealer.seal(plain, payloadContext(next))
	return next
}

// deliver makes one attempt to tell a client's server.
func (r *run) deliver() {
	if change, _, over := r.hopeless(nil); over {
		r.close(change, delivery{}, 0)
		return
	}
	w, err := r.openWebhook()
	if err != nil {
		change, _ := r.unreadable(err)
		r.close(change, delivery{}, 0)
		return
	}
	start := time.Now()
	d, full := r.send(w, start)
	if full != "" {
		r.settle(nil, Change{To: Waiting, Lane: full, Refund: true})
		return
	}
	cause := context.Cause(r.ctx)
	switch {
	case cause == nil, d.verdict == delivered, errors.Is(cause, errTimeout):
		r.close(r.judged(d), d, time.Since(start))
	case errors.Is(cause, errLost):
		r.tell(&Change{}, telemetry.DrainLost)
	case errors.Is(cause, ErrCancelled):
		r.settle(nil, r.cancelled(nil))
	default:
		r.settle(nil, r.putBack())
	}
}

// send calls the receiver, unless as many calls to its host, or for the owner of the job, are under way as there may be:
// then it returns the lane to wait in.
func (r *run) send(w *webhook, at time.Time) (d delivery, full string) {
	host, owner := r.job.Model, ownerLane+r.job.Owner
	for _, name := range [...]string{owner, host} {
		if !r.engine.takeCall(name, r.setup.callbacksOf(name)) {
			return delivery{}, name
		}
		defer r.engine.leaveCall(name)
	}
	ctx, span := telemetry.ResumeSpan(r.ctx, http.Header{"Traceparent": {w.Traceparent}}, "callback "+host, traced(r.job)...)
	d = r.setup.webhooks.send(ctx, w, at)
	if d.status != 0 {
		span.Set(semconv.HTTPResponseStatusCode(d.status))
	}
	outcome := telemetry.CallbackDelivered
	if d.verdict != delivered {
		outcome = telemetry.CallbackRetried
	}
	span.End(outcome)
	return d, ""
}

// judged returns what comes of an attempt.
func (r *run) judged(d delivery) Change {
	switch d.verdict {
	case delivered:
		return Change{To: Completed, Keep: r.setup.keepResults}
	case stop:
		return r.discard(nil, 0, ReasonRefused, d.err)
	}
	delay, ok := callbackDelay(r.job.Attempt)
	if !ok || r.job.Attempt >= r.job.MaxAttempts {
		return r.discard(nil, 0, ReasonAttempts, d.err)
	}
	return Change{To: Scheduled, After: max(delay, d.after), Error: d.err}
}

func (r *run) openWebhook() (*webhook, error) {
	plain, err := r.setup.sealer.open(r.job.Payload, payloadContext(r.job))
	if err != nil {
		return nil, err
	}
	w := new(webhook)
	if json.Unmarshal(plain, w) != nil { // whose error may quote the content
		return nil, errBadRequest
	}
	return w, nil
}

// close records what an attempt came to, and tells of it.
func (r *run) close(change Change, d delivery, took time.Duration) {
	if !r.settle(nil, change) {
		return
	}
	result := telemetry.CallbackRetried
	switch {
	case change.To == Completed:
		result = telemetry.CallbackDelivered
	case change.To == Discarded:
		result = telemetry.CallbackDiscarded
		r.tell(&change, telemetry.DrainDiscarded)
	case d.blocked:
		result = telemetry.CallbackBlocked
	case change.Refund, change.To == Cancelled: // there was no attempt
		return
	}
	telemetry.OverflowCallback.Emit(telemetry.OverflowCalledBack{Duration: took, Status: d.status, Result: result})
	if change.To == Scheduled {
		r.engine.logger.Info("a callback did not get through: it is tried again",
			zap.String("job", r.job.Parent), zap.String("callback", r.job.ID), zap.String("host", r.job.Model),
			zap.String("error", d.err), zap.Int("attempt", r.job.Attempt), zap.Duration("after", change.After))
	}
}

// ownerLane begins the names of lanes in which callbacks of one owner wait; those of hosts have no space in them.
const ownerLane = "owner "

// callbacksOf returns how many callbacks may be under way to a host, or for the owner of a lane: so many that whoever has
// slow receivers, under however many names, leaves workers for others.
func (s *Setup) callbacksOf(lane string) int {
	if strings.HasPrefix(lane, ownerLane) {
		return s.callbackWorkers - s.callbackWorkers/4
	}
	return s.callbackPerHost
}

// takeCall makes room for one more call to a host, or for an owner, if there may be one.
func (e *Engine) takeCall(name string, most int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.calls[name] >= most {
		return false
	}
	e.calls[name]++
	return true
}

func (e *Engine) leaveCall(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.calls[name]--; e.calls[name] == 0 {
		delete(e.calls, name)
	}
}

// callRoom returns how many more calls may be made to a host, or for an owner.
func (e *Engine) callRoom(name string, most int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return most - e.calls[name]
}
