package overflow

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/telemetry"
)

// recordLimit bounds a single try to record something.
const recordLimit = 10 * time.Second

// The pauses between tries to record something begin with the first and double up to the second.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// end records what a run of a request came to, and tells of it. req is nil if it could not be read.
func (r *run) end(req *StoredRequest, change Change, result string, spent Spent, took time.Duration) {
	if result != telemetry.DrainLost {
		if !r.settle(req, change) {
			result = telemetry.DrainLost
		}
	}
	telemetry.OverflowDrainStop.Emit(telemetry.OverflowDrainStopped{
		Duration: took, Provider: spent.Provider, Model: r.job.Model, Result: result,
		InputTokens: spent.Input, CachedInputTokens: spent.CachedInput, CacheWriteTokens: spent.CacheWrite,
		OutputTokens: spent.Output, ReasoningTokens: spent.Reasoning, CostUSD: spent.CostUSD,
	})
	r.tell(&change, result)
}

// settle records what a run came to, and reports whether that is recorded.
func (r *run) settle(req *StoredRequest, change Change) bool {
	job, err := r.record(change)
	if err != nil {
		r.engine.logger.Warn("what came of a job's run is not recorded: somebody else has the job, or will have it",
			zap.String("job", r.job.ID), zap.String("kind", string(r.job.Kind)), zap.Error(err))
		return false
	}
	if job.CancelAsked && !job.State.Final() {
		// That was asked after the last heartbeat. Waiting or scheduled, it would go unheard.
		ctx, cancel := context.WithTimeout(context.Background(), recordLimit)
		defer cancel()
		if _, err := r.engine.queue.Apply(ctx, Ref{ID: job.ID}, r.cancelled(req)); err == nil {
			return true
		} // otherwise whoever runs it next will see it
	}
	if change.To == Waiting {
		r.engine.waits(lane{r.job.Kind, change.Lane})
	}
	return true
}

// tell logs what should not go unnoticed.
func (r *run) tell(change *Change, result string) {
	job, logger := zap.String("job", r.job.ID), r.engine.logger
	switch {
	case result == telemetry.DrainDiscarded:
		telemetry.OverflowDiscard.Emit(telemetry.OverflowDiscarded{Kind: string(r.job.Kind), Reason: change.Reason})
		logger.Warn("a job is given up", job, zap.String("kind", string(r.job.Kind)), zap.String("model", r.job.Model),
			zap.String("reason", change.Reason), zap.String("error", change.Error), zap.Int("attempt", r.job.Attempt))
	case result == telemetry.DrainLost && change.To == "": // before it came to anything
		logger.Warn("a job was taken from here while it ran: its answer is dropped", job)
	default:
		if entry := logger.Check(zap.DebugLevel, "a job has run"); entry != nil {
			entry.Write(job, zap.String("result", result), zap.Int("attempt", r.job.Attempt), zap.String("error", change.Error))
		}
	}
}

// record makes a change, however often it takes, and returns the job after it: what has been paid
// for is worth keeping as long as nobody else has the job.
func (r *run) record(change Change) (*Job, error) {
	r.hasWorked()
	doubt := false // a change whose answer was lost may have happened all the same, and is refused the second time
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		job, err := r.apply(change, doubt)
		switch {
		case err == nil:
			return job, nil
		case errors.Is(err, ErrUnavailable), errors.Is(err, ErrFull), errors.Is(err, context.DeadlineExceeded):
			r.engine.quarrels.log("the end of a job's run cannot be recorded yet", err)
			doubt = true
		default:
			return nil, err
		}
		if !r.engine.pause(jitter(wait)) {
			return nil, err
		}
	}
}

// apply tries once to make a change. With doubt, it may be made already.
func (r *run) apply(change Change, doubt bool) (*Job, error) {
	ctx, cancel := context.WithTimeout(context.Background(), recordLimit)
	defer cancel()
	job, err := r.engine.queue.Apply(ctx, r.ref(), change)
	if !doubt || !errors.Is(err, ErrLost) && !errors.Is(err, ErrState) {
		return job, err
	}
	switch job, wrong := r.engine.queue.Get(ctx, r.job.ID); {
	case wrong != nil:
		return nil, wrong
	case job.Run == r.job.Run && job.State == change.To:
		return job, nil
	}
	return nil, err
}

// hasWorked notes that a run's work is over: from now on its context means nothing.
func (r *run) hasWorked() {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	r.worked = true
}

// pause waits, and reports false if nothing can be recorded any more.
func (e *Engine) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.shut:
		return false
	}
}
