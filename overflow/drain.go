package overflow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"go.uber.org/zap"
)

// workers are the runs of one kind that may be under way at a time.
type workers struct {
	kind  Kind
	busy  int           // guarded by the engine's mu
	freed chan struct{} // gets a value when one may be free, or their number has changed
}

func (w *workers) nudge() { nudge(w.freed) }

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// count returns how many workers a setup allows.
func (w *workers) count(s *Setup) int {
	if w.kind == Request {
		return s.Workers
	}
	return s.callbackWorkers
}

// free returns how many jobs of a kind could be claimed now, by which setup, and a context
// that ends when none may be any more. Without a setup it returns none of that.
func (e *Engine) free(w *workers) (s *Setup, drain context.Context, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s = e.inForce(); s == nil {
		return nil, nil, 0
	}
	return s, e.drain, w.count(s) - w.busy
}

// claim takes jobs of one kind as long as the engine is open, no more than can be
// run at once: what is claimed and waits would only age.
func (e *Engine) claim(w *workers) {
	for {
		s, drain, n := e.free(w)
		if n <= 0 {
			select {
			case <-w.freed:
			case <-e.closing:
				return
			}
			continue
		}
		jobs, err := e.queue.Claim(drain, Order{Kind: w.kind, Max: n, Lease: s.lease})
		for _, job := range jobs {
			r := e.admit(w, job, s.lease)
			go r.execute(w)
		}
		switch {
		case len(jobs) > 0, drain.Err() != nil:
		case errors.Is(err, ErrClosed):
			return
		default:
			e.quarrels.log("jobs cannot be claimed from the overflow queue", err)
			if !e.sleep(time.Second/2 + rand.N(time.Second)) {
				return
			}
		}
	}
}

// run is a job that is being run.
type run struct {
	engine  *Engine
	setup   *Setup
	job     *Job
	lease   time.Duration
	surplus bool            // it is not to be run at all, but put back
	ctx     context.Context // of the job's work, not of what records its end
	cancel  context.CancelCauseFunc
	release context.CancelFunc

	// Guarded by the engine's mu.
	until  time.Time // when the lease is over, as far as this process knows
	ended  time.Time // when ctx ended, which the run may not have noticed
	worked bool      // the work is over; what came of it is being recorded
	stuck  bool      // it has not noticed for so long that its lease is left to run out
}

// admit makes a run of a job that was just claimed. execute is to be called with it.
func (e *Engine) admit(w *workers, job *Job, lease time.Duration) *run {
	r := &run{engine: e, job: job, lease: lease, until: time.Now().Add(lease)}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.setup = e.inForce()
	// The drain may have been told meanwhile to stand still, or to go on with fewer workers.
	r.surplus = r.setup == nil || w.busy >= w.count(r.setup)
	e.enter(w, r)
	return r
}

// enter has a run be one of those under way. e.mu is held.
func (e *Engine) enter(w *workers, r *run) {
	ctx, stop := context.Background(), func() {}
	if r.setup != nil {
		ctx, stop = context.WithTimeoutCause(ctx, r.setup.jobTimeout, errTimeout)
	}
	r.release = stop
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	w.busy++
	e.running[r] = struct{}{}
}

// execute does what a job is there for, to the end.
func (r *run) execute(w *workers) {
	defer r.engine.done(w, r)
	defer r.survive()
	defer context.AfterFunc(r.ctx, r.note)()
	switch {
	case r.surplus:
		_, _ = r.record(r.putBack())
	case r.job.Kind == Callback:
		r.deliver()
	default:
		r.serve()
	}
}

// note keeps when the run's context ended.
func (r *run) note() {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	r.ended = time.Now()
}

// survive keeps a panic of one job from ending the process, in which others run. The
// job's lease is left to run out, which counts as a crash.
func (r *run) survive() {
	if v := recover(); v != nil {
		r.engine.logger.Error("running a job panicked; it counts as a crash of the job",
			zap.String("job", r.job.ID), zap.String("panic", harmless(v)), zap.Stack("stack"))
	}
}

// harmless says what a panic was about, as far as that can hold no content.
func harmless(v any) string {
	switch v := v.(type) {
	case runtime.Error:
		return v.Error()
	case *readerPanic:
		return v.text
	}
	return fmt.Sprintf("a %T", v)
}

func (e *Engine) done(w *workers, r *run) {
	r.cancel(nil)
	r.release()
	e.mu.Lock()
	w.busy--
	delete(e.running, r)
	if len(e.running) == 0 && e.idle != nil {
		close(e.idle)
		e.idle = nil
	}
	e.mu.Unlock()
	w.nudge()
	e.Freed()
}

const (
	// beatEvery is the longest time between heartbeats, and with it what it takes to
	// notice that a job is to be cancelled.
	beatEvery = time.Second
	// stuckAfter is how long a run may ignore that it is over.
	stuckAfter = 10 * time.Second
)

// heartbeats keeps the leases of what runs, and learns from the queue what is to run no
// longer. It goes on while the engine is being closed, since runs do.
func (e *Engine) heartbeats() {
	last := time.Now()
	for {
		timer := time.NewTimer(time.Until(last.Add(e.beatPause())))
		select {
		case <-timer.C:
			e.beat()
			last = time.Now()
		case <-e.pace: // and with it, perhaps, the pause
			timer.Stop()
		case <-e.shut:
			timer.Stop()
			return
		}
	}
}

// beatPause returns how long to wait between two heartbeats.
func (e *Engine) beatPause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	pause := beatEvery
	if s := e.inForce(); s != nil {
		pause = min(pause, s.lease/3)
	}
	for r := range e.running { // of a setup that is no longer in force
		pause = min(pause, r.lease/3)
	}
	return pause
}

// beat extends the leases of all runs.
func (e *Engine) beat() {
	runs, refs, lease, limit := e.alive()
	if len(runs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	asked := time.Now()
	pulses, err := e.queue.Heartbeat(ctx, refs, lease)
	if err != nil {
		e.quarrels.log("the leases of running jobs cannot be extended", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for i, r := range runs {
		switch {
		case err != nil || i >= len(pulses):
			if !now.Before(r.until) {
				r.cancel(errLost) // somebody else may have it by now
			}
		case pulses[i] == Lost:
			r.cancel(errLost)
		default:
			r.until = asked.Add(lease)
			if pulses[i] == CancelAsked {
				r.cancel(ErrCancelled)
			}
		}
	}
}

// alive returns the runs whose leases are to be extended, for how long, and how
// long that may take: until the first of them would be over, if that is soon.
func (e *Engine) alive() (runs []*run, refs []Ref, lease, limit time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	left := time.Duration(math.MaxInt64)
	for r := range e.running {
		if !r.stuck && !r.worked && !r.ended.IsZero() && now.Sub(r.ended) > stuckAfter {
			r.stuck = true
			e.logger.Error("a job does not end although it was told to: its worker stays taken",
				zap.String("job", r.job.ID), zap.NamedError("why", context.Cause(r.ctx)))
		}
		if r.stuck {
			continue
		}
		runs = append(runs, r)
		refs = append(refs, r.ref())
		lease = max(lease, r.lease)
		left = min(left, r.until.Sub(now))
	}
	return runs, refs, lease, min(lease/3+time.Second, max(left, lease/10))
}

func (r *run) ref() Ref { return Ref{r.job.ID, r.job.Lease} }
