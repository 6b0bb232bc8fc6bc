package overflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/runestone-gateway/runestone/telemetry"
)

// Service is how one configuration uses an engine. Its methods are safe for
// concurrent use, and work whether or not the drain has been started.
type Service struct {
	engine *Engine
	setup  *Setup
}

// NewService returns the service of a setup over an engine, which may have others.
func NewService(engine *Engine, setup *Setup) *Service { return &Service{engine, setup} }

// Start has the engine drain the queue as the setup says, from now on and instead of any
// other. That one's jobs go on as they were begun.
func (s *Service) Start() { s.engine.begin(s.setup) }

// Stop has nothing more claimed as the setup says, and nothing at all unless another service
// has been started and not stopped. What runs goes on.
func (s *Service) Stop() { s.engine.end(s.setup) }

// Finish waits until nothing runs any more, for at most the setup's shutdown_grace
// since the time given. What still runs then is put back into the queue, which may take some
// seconds more. While the drain goes on by another service there is nothing to wait for.
func (s *Service) Finish(since time.Time) {
	if s.engine.current() != nil {
		return
	}
	s.engine.finish(max(0, s.setup.grace-time.Since(since)))
}

// Errors of Submit, beside those of Queue.Enqueue.
var (
	// ErrMismatch: the Idempotency-Key was used with another request.
	ErrMismatch = errors.New("the idempotency key was used with another request")
	// ErrCallback: the client's server may not be called. What it wraps says why, for the client.
	ErrCallback = errors.New("the callback is refused")
)

// Submission is a request to be made durable.
type Submission struct {
	Request *StoredRequest
	// Owner is who may see the job: what the API key is called inside, never the key.
	Owner string
	// Priority is from 0, which is served first, to Priorities-1; nil for the setup's.
	Priority *int
	// IdempotencyKey, unless "", makes two submissions of one owner the same job.
	IdempotencyKey string
	// Delay is how long it is not to be run.
	Delay time.Duration
}

// Submit makes a request durable and returns its job. If the owner's key has a job already,
// that is returned, and existed is true.
func (s *Service) Submit(ctx context.Context, sub *Submission) (job *Job, existed bool, err error) {
	req := sub.Request
	if req.Callback != "" {
		if err := s.CheckCallback(req.Callback); err != nil {
			return nil, false, err
		}
	}
	now := time.Now()
	job = &Job{
		ID: NewID(now), Kind: Request, Owner: sub.Owner, Priority: s.setup.Priority, Model: req.Model,
		Deadline: now.Add(s.setup.maxAge), MaxAttempts: s.setup.maxAttempts,
	}
	if sub.Delay > 0 {
		job.RunAt = now.Add(sub.Delay)
	}
	if sub.Priority != nil {
		job.Priority = *sub.Priority
	}
	if sub.IdempotencyKey != "" {
		job.Unique, job.Fingerprint = uniqueKey(sub.Owner, sub.IdempotencyKey), req.fingerprint()
	}
	job.Payload = s.setup.sealer.seal(req.encode(), payloadContext(job))
	kept, err := s.engine.queue.Enqueue(ctx, job, s.setup.MaxJobs)
	switch {
	case err != nil:
		return nil, false, err
	case kept.ID == job.ID:
		telemetry.OverflowEnqueue.Emit(telemetry.OverflowEnqueued{Model: job.Model, Priority: job.Priority})
		return kept, false, nil
	case kept.Fingerprint != job.Fingerprint:
		return nil, true, ErrMismatch
	}
	return kept, true, nil
}

// CheckCallback returns nil if a client's server may be told at a URL, as far as that can be
// said before it is called. The error is an ErrCallback.
func (s *Service) CheckCallback(url string) error {
	if _, err := s.setup.webhooks.check(url); err != nil {
		return fmt.Errorf("%w: %w", ErrCallback, err)
	}
	return nil
}

// Find returns the job that an owner's Idempotency-Key has. The error is
// ErrNotFound if there is none, and ErrMismatch if it is that of another request.
func (s *Service) Find(ctx context.Context, owner, key string, req *StoredRequest) (*Job, error) {
	job, err := s.engine.queue.Find(ctx, uniqueKey(owner, key))
	if err != nil {
		return nil, err
	}
	if job.Fingerprint != req.fingerprint() {
		return nil, ErrMismatch
	}
	return job, nil
}

// Job returns an owner's request job. Whatever else there is by that ID is ErrNotFound.
func (s *Service) Job(ctx context.Context, owner, id string) (*Job, error) {
	if !ValidID(id) {
		return nil, ErrNotFound
	}
	job, err := s.engine.queue.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if job.Owner != owner || job.Kind != Request {
		return nil, ErrNotFound
	}
	return job, nil
}

// Ahead returns how many jobs will be claimed before this one, roughly; -1 if that
// is not known, as for one that waits for room or for its time.
func (s *Service) Ahead(ctx context.Context, job *Job) int {
	if job.State != Available {
		return -1
	}
	n, err := s.engine.queue.Ahead(ctx, job)
	if err != nil {
		return -1
	}
	return n
}

// Await returns an owner's job once it has changed, which is when it is in another
// state than the one given, or runs anew, and at the latest when ctx ends or wait is over.
func (s *Service) Await(ctx context.Context, job *Job, wait time.Duration) (*Job, error) {
	changed, stop := s.engine.queue.Watch(job.ID, false)
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		now, err := s.engine.queue.Get(ctx, job.ID)
		if err != nil || now.State != job.State || now.Run != job.Run {
			return now, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return s.engine.queue.Get(ctx, job.ID) // word of a change may have been lost
		case <-s.engine.closing:
			return now, nil
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
}

// Cancel cancels an owner's job, and returns it as it is then. One that runs is cancelled
// soon; one that has ended stays as it is.
func (s *Service) Cancel(ctx context.Context, owner, id string) (*Job, error) {
	for {
		job, err := s.Job(ctx, owner, id)
		if err != nil || job.State.Final() {
			return job, err
		}
		job, err = s.CancelJob(ctx, job)
		if !errors.Is(err, ErrState) { // it has moved on meanwhile
			return job, err
		}
	}
}

// CancelJob cancels a job that was just read, whoever owns it. The error is ErrState if it has ended.
func (s *Service) CancelJob(ctx context.Context, job *Job) (*Job, error) {
	// If it runs by now, its own run tells the client's server, and Follow is ignored.
	return s.engine.queue.Apply(ctx, Ref{ID: job.ID}, s.setup.cancelled(job, s.request(job)))
}

// DiscardJob gives up a job that was just read and does not run. The error is ErrState otherwise.
func (s *Service) DiscardJob(ctx context.Context, job *Job) (*Job, error) {
	change := Change{To: Discarded, Reason: ReasonOperator, Error: "an operator has discarded it", Keep: s.setup.keepDiscarded}
	if req := s.request(job); req != nil {
		s.setup.fail(&change, job, req, http.StatusGone, nil)
	}
	job, err := s.engine.queue.Apply(ctx, Ref{ID: job.ID}, change)
	if err == nil {
		telemetry.OverflowDiscard.Emit(telemetry.OverflowDiscarded{Kind: string(job.Kind), Reason: ReasonOperator})
	}
	return job, err
}

// RetryJob makes a job available that waits, or was discarded or cancelled; then it
// begins anew, with as much time as a new one. The error is ErrState otherwise.
func (s *Service) RetryJob(ctx context.Context, job *Job) (*Job, error) {
	change := Change{To: Available}
	if job.Kind == Request {
		change.Deadline = time.Now().Add(s.setup.maxAge)
	}
	return s.engine.queue.Apply(ctx, Ref{ID: job.ID}, change)
}

// request returns what a Request job is to do, nil if it cannot be read.
func (s *Service) request(job *Job) *StoredRequest {
	if job.Kind != Request {
		return nil
	}
	req, _ := s.setup.request(job)
	return req
}

// Queue is what the service's engine drains, for operators.
func (s *Service) Queue() Queue { return s.engine.queue }

// Setup is what the service was made with.
func (s *Service) Setup() *Setup { return s.setup }

// StoredAnswer is what is kept of a job's answer.
type StoredAnswer struct {
	Status int
	Header http.Header
	// Stream is whether the body is a stream of server-sent events.
	Stream bool

	service *Service
	job     *Job
	next    int // number of the chunk after those read
	chunks  [][]byte
	whole   bool // nothing is left to be read
}

// Answer returns the answer of a job that has ended; nil if it has none, as when it was cancelled.
func (s *Service) Answer(job *Job) (*StoredAnswer, error) {
	if len(job.Head) == 0 {
		return nil, nil
	}
	plain, err := s.setup.sealer.open(job.Head, headContext(job))
	if err != nil {
		return nil, fmt.Errorf("the answer of %s cannot be read: %w", job.ID, err)
	}
	var h head
	if json.Unmarshal(plain, &h) != nil { // whose error may quote the content
		return nil, fmt.Errorf("the answer of %s cannot be read: %w", job.ID, errBadRequest)
	}
	a := &StoredAnswer{Status: h.Status, Header: h.Header, Stream: h.Stream, service: s, job: job}
	if len(h.Error) > 0 {
		a.chunks, a.whole = [][]byte{h.Error}, true
	}
	return a, nil
}

// Next returns the next piece of the body: of a stream, whole events. The error is io.EOF at the
// end, and ErrNotFound if the answer was removed meanwhile.
func (a *StoredAnswer) Next(ctx context.Context) ([]byte, error) {
	if len(a.chunks) == 0 {
		if a.whole {
			return nil, io.EOF
		}
		var err error
		if a.chunks, err = a.service.Output(ctx, a.job, a.next); err != nil {
			return nil, err
		}
		if len(a.chunks) == 0 {
			return nil, io.EOF
		}
		a.next += len(a.chunks)
	}
	chunk := a.chunks[0]
	a.chunks = a.chunks[1:]
	return chunk, nil
}

// Output returns what the job's run has put out so far, from chunk number from on; not all
// at once if it is much. The error is ErrNotFound once another run has begun, or the job is removed.
func (s *Service) Output(ctx context.Context, job *Job, from int) ([][]byte, error) {
	chunks, err := s.engine.queue.Output(ctx, job.ID, job.Run, from)
	if err != nil {
		return nil, err
	}
	for i, sealed := range chunks {
		if chunks[i], err = s.setup.sealer.open(sealed, outputContext(job.ID, job.Run, from+i)); err != nil {
			return nil, fmt.Errorf("the answer of %s cannot be read: %w", job.ID, err)
		}
	}
	return chunks, nil
}

// Watch is Queue.Watch.
func (s *Service) Watch(id string, output bool) (changed <-chan struct{}, stop func()) {
	return s.engine.queue.Watch(id, output)
}
