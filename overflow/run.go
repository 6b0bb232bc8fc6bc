package overflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/telemetry"
)

// serve runs a stored request and records what came of it.
func (r *run) serve() {
	req, unreadable := r.open()
	if change, result, over := r.hopeless(req); over {
		change.Refund = true // it was not tried
		r.end(req, change, result, Spent{}, 0)
		return
	}
	if unreadable != nil {
		change, result := r.unreadable(unreadable)
		r.end(nil, change, result, Spent{}, 0)
		return
	}
	start := time.Now()
	telemetry.OverflowDrainStart.Emit(telemetry.OverflowDrainStarted{
		Wait: max(0, start.Sub(r.job.CreatedAt)), Attempt: r.job.Attempt, Model: r.job.Model,
	})
	change, result, spent := r.attempt(req)
	r.end(req, change, result, spent, time.Since(start))
}

// hopeless returns how a job ends that is not to be run at all, if it is such a one. req is nil
// if it cannot be read.
func (r *run) hopeless(req *StoredRequest) (change Change, result string, over bool) {
	switch job := r.job; {
	case job.CancelAsked: // of a run that did not live to hear it
		return r.cancelled(req), telemetry.DrainCancelled, true
	case job.Crashes >= MaxCrashes:
		message := fmt.Sprintf("its process ended, or fell silent, %d times while it ran", job.Crashes)
		return r.discard(req, http.StatusInternalServerError, ReasonCrashes, message), telemetry.DrainDiscarded, true
	case !job.Deadline.IsZero() && !time.Now().Before(job.Deadline):
		change = r.discard(req, http.StatusGatewayTimeout, ReasonExpired, "it was not done by its deadline (max_age)")
		return change, telemetry.DrainDiscarded, true
	}
	return Change{}, "", false
}

// open reads what the job is to do.
func (r *run) open() (*StoredRequest, error) { return r.setup.request(r.job) }

// request reads what a Request job is to do.
func (s *Setup) request(job *Job) (*StoredRequest, error) {
	plain, err := s.sealer.open(job.Payload, payloadContext(job))
	if err != nil {
		return nil, err
	}
	return decodeRequest(plain)
}

// noKeyPause is how long a job is left alone that is encrypted with a secret
// that is not configured here: it may be elsewhere, or soon.
const noKeyPause = time.Minute

// unreadable returns what comes of a job, of either kind, whose payload cannot be read.
func (r *run) unreadable(err error) (Change, string) {
	if errors.Is(err, errNoKey) {
		r.engine.logger.Error("a job cannot be read: it waits",
			zap.String("job", r.job.ID), zap.String("kind", string(r.job.Kind)), zap.Error(err))
		return Change{To: Scheduled, After: noKeyPause, Refund: true, Error: err.Error()}, telemetry.DrainWaits
	}
	return r.discard(nil, 0, ReasonCorrupt, err.Error()), telemetry.DrainDiscarded
}

// attempt has the request served, and returns what is to be recorded.
func (r *run) attempt(req *StoredRequest) (change Change, result string, spent Spent) {
	ctx, span := telemetry.ResumeSpan(r.ctx, req.Header, "run "+r.job.Model, traced(r.job)...)
	defer func() { span.End(result) }()
	return r.ask(ctx, req)
}

// traced returns what the spans of a job say of it, after OpenTelemetry's conventions for messaging.
func traced(job *Job) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingMessageID(job.ID), semconv.MessagingOperationTypeProcess,
		attribute.Int("runestone.job.attempt", job.Attempt),
	}
}

// ask has the server answer.
func (r *run) ask(ctx context.Context, req *StoredRequest) (Change, string, Spent) {
	answer, err := r.setup.server.Serve(ctx, req, r.job)
	if err != nil {
		change, result := r.failed(req, err)
		return change, result, spentBy(err)
	}
	defer func() { _ = answer.Body.Close() }()
	out := &output{run: r, stream: answer.Stream && answer.Status < http.StatusMultipleChoices}
	err = out.read(answer.Body)
	spent := answer.Body.Spent()
	if err != nil {
		change, result := r.failed(req, err)
		return change, result, spent
	}
	h := head{Status: answer.Status, Header: answer.Header, Stream: out.stream}
	change := Change{To: Completed, Keep: r.setup.keepResults}
	result, status := telemetry.DrainCompleted, "completed"
	if answer.Status >= http.StatusBadRequest {
		// Serve has said by this that a further attempt would fail as well.
		change = Change{To: Discarded, Reason: ReasonRefused, Keep: r.setup.keepDiscarded}
		change.Error = fmt.Sprintf("%s answered %d", cmp.Or(spent.Provider, "the provider"), answer.Status)
		result, status = telemetry.DrainDiscarded, "failed"
	}
	change.Head = r.setup.sealer.seal(h.encode(), headContext(r.job))
	change.Output = out.rest()
	change.Follow = r.setup.follow(r.job, req, status, answer.Status, out.small())
	return change, result, spent
}

func spentBy(err error) Spent {
	if failure, ok := errors.AsType[*Failure](err); ok {
		return Spent{Provider: failure.Provider}
	}
	return Spent{}
}

// failed returns what comes of a run that has failed.
func (r *run) failed(req *StoredRequest, err error) (Change, string) {
	unavailable, busy := errors.AsType[*Unavailable](err)
	failure := asFailure(err)
	switch cause := context.Cause(r.ctx); {
	case errors.Is(cause, errLost):
		return Change{}, telemetry.DrainLost
	case errors.Is(cause, ErrCancelled):
		return r.cancelled(req), telemetry.DrainCancelled
	case errors.Is(cause, errStopping):
		return r.putBack(), telemetry.DrainReturned
	case errors.Is(cause, errTimeout):
		failure = &Failure{Status: http.StatusGatewayTimeout, Message: cause.Error(), Again: true}
	case busy:
		return r.snooze(unavailable), telemetry.DrainWaits
	}
	if failure.Again && r.job.Attempt < r.job.MaxAttempts {
		return Change{To: Scheduled, After: r.setup.backoff(r.job.Attempt), Error: failure.Message}, telemetry.DrainRetried
	}
	reason := ReasonRefused
	if failure.Again {
		reason = ReasonAttempts
	}
	change := Change{To: Discarded, Reason: reason, Error: failure.Message, Keep: r.setup.keepDiscarded}
	r.setup.fail(&change, r.job, req, cmp.Or(failure.Status, http.StatusBadGateway), failure.Body)
	return change, telemetry.DrainDiscarded
}

// asFailure returns an error as a failure. One that is none may hold what was sent or
// received, so that its text is not kept.
func asFailure(err error) *Failure {
	if failure, ok := errors.AsType[*Failure](err); ok {
		return failure
	}
	f := &Failure{Status: http.StatusBadGateway, Message: "the call failed", Again: true}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		f.Message = "the call took too long"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		f.Message = "the answer broke off"
	}
	return f
}

// discard returns how a job is given up that is not run. Its client is told as well, with a
// status, if what it wanted could be read.
func (r *run) discard(req *StoredRequest, status int, reason, message string) Change {
	change := Change{To: Discarded, Reason: reason, Error: message, Keep: r.setup.keepDiscarded}
	if req != nil {
		r.setup.fail(&change, r.job, req, status, nil)
	}
	return change
}

// fail has a change that discards a request's job say so to the client: with body, or, if
// that is empty, with what the change says.
func (s *Setup) fail(change *Change, job *Job, req *StoredRequest, status int, body []byte) {
	if len(body) == 0 {
		body = s.server.Error(req, status, change.Reason, "The request was given up: "+change.Error+".")
	}
	h := errorHead(status, body)
	change.Head = s.sealer.seal(h.encode(), headContext(job))
	change.Follow = s.follow(job, req, "failed", status, body)
}

// cancelled returns how a job ends that nobody wants any more. req is nil if it cannot
// be read, or the job tells of another one.
func (r *run) cancelled(req *StoredRequest) Change { return r.setup.cancelled(r.job, req) }

func (s *Setup) cancelled(job *Job, req *StoredRequest) Change {
	change := Change{To: Cancelled, Keep: s.keepResults}
	if req != nil {
		change.Follow = s.follow(job, req, "cancelled", 0, nil)
	}
	return change
}

// putBack returns a job to the queue as if it had not been claimed.
func (r *run) putBack() Change { return Change{To: Available, Refund: true} }

// How long a job waits whom a provider has refused, the first time and at the longest; and
// one for which there seems to be room, and was none, or whose limit has some again, unless others are faster.
const (
	firstSnooze   = time.Second
	longestSnooze = time.Minute
	firstGlance   = 100 * time.Millisecond
	longestGlance = 5 * time.Second
)

// snooze has a job wait that nobody can take. It waits in the lane of its model, to
// be woken when there is room. Where the gateway cannot tell, time has to: when a provider
// has refused the job, when a limit of its owner's is used up, and when there is room by now, or for others only.
func (r *run) snooze(u *Unavailable) Change {
	first, longest := firstSnooze, longestSnooze
	switch {
	case u.Refused:
	case u.Limited:
		first, longest = firstGlance, longestGlance
	default:
		if r.setup.server.Room(r.job.Model) <= 0 {
			if u.After > 0 {
				r.engine.lanes.alarm(u.After, r.engine.nudgeLanes)
			}
			return Change{To: Waiting, Lane: r.job.Model, Refund: true}
		}
		first, longest = firstGlance, longestGlance
	}
	after := min(first<<min(r.job.Snoozes, 10), longest)
	return Change{To: Scheduled, After: max(jitter(after), u.After), Refund: true}
}

// jitter returns d, a fifth more or less, at random.
func jitter(d time.Duration) time.Duration { return d - d/5 + rand.N(max(2*d/5, 1)) }

// What is sealed is bound to the job and to what it is in there.
func payloadContext(job *Job) string { return string(job.Kind) + " " + job.ID }
func headContext(job *Job) string    { return "head " + job.ID }
func outputContext(id string, run, chunk int) string {
	return fmt.Sprintf("output %s %d %d", id, run, chunk)
}
