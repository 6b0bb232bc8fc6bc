package overflow

import (
	"context"
	"errors"
	"time"
)

// DrainOnce is the drain by hand, for tests of what queues requests: it runs every job that is
// available now, request or callback, and those that become so by that, one after the other in the
// order in which they are claimed, and in the caller. It returns how many runs that were.
// Jobs that wait for room are woken first, as many as there is room for; those that are scheduled for later are
// left alone.
//
// The service need not have been started. If its engine drains the queue already, or another
// process does, that takes jobs as well. A job that is cancelled while it runs here
// is not told so, unless the engine drains. When ctx ends, the job that runs is put
// back into the queue. The error is ctx's, or the queue's.
func (s *Service) DrainOnce(ctx context.Context) (int, error) {
	if err := s.wakeAll(ctx); err != nil {
		return 0, err
	}
	runs := 0
	for {
		before := runs
		for _, w := range []*workers{&s.engine.requests, &s.engine.callbacks} {
			job, err := s.claimDue(ctx, w.kind)
			if err != nil {
				return runs, err
			}
			if job == nil {
				continue
			}
			if err := s.runNow(ctx, w, job); err != nil {
				return runs, err
			}
			runs++
		}
		if runs == before {
			return runs, ctx.Err()
		}
	}
}

// wakeAll does what a running engine does every second or so.
func (s *Service) wakeAll(ctx context.Context) error {
	queue := s.engine.queue
	if _, err := queue.Maintain(ctx); err != nil {
		return err
	}
	stats, err := queue.Stats(ctx)
	if err != nil {
		return err
	}
	for _, in := range stats.Lanes {
		if room := s.engine.roomIn(s.setup, lane{in.Kind, in.Name}); room > 0 {
			if _, err := queue.Wake(ctx, in.Kind, in.Name, room); err != nil {
				return err
			}
		}
	}
	return nil
}

// claimLimit is how long to wait for a job that somebody else may have been faster to claim.
const claimLimit = time.Second

// claimDue claims a job, if there is one to be claimed. Nobody keeps its lease, so that it is a long one.
func (s *Service) claimDue(ctx context.Context, kind Kind) (*Job, error) {
	if due, err := s.due(ctx, kind); err != nil || !due {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	jobs, err := s.engine.queue.Claim(limited, Order{Kind: kind, Max: 1, Lease: s.lease()})
	switch {
	case len(jobs) > 0:
		return jobs[0], nil
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil, nil
	}
	return nil, err
}

func (s *Service) lease() time.Duration { return s.setup.lease + s.setup.jobTimeout }

// due reports whether a job of a kind can be claimed.
func (s *Service) due(ctx context.Context, kind Kind) (bool, error) {
	stats, err := s.engine.queue.Stats(ctx)
	switch {
	case err != nil, kind == Request && stats.Paused:
		return false, err
	case stats.Jobs[kind][Available] > 0:
		return true, nil
	case stats.Jobs[kind][Scheduled] == 0:
		return false, nil
	}
	filter := Filter{Kind: kind, States: []State{Scheduled}, Limit: 1000}
	for {
		page, err := s.engine.queue.List(ctx, filter)
		if err != nil || len(page) == 0 {
			return false, err
		}
		for _, job := range page {
			if !job.RunAt.After(time.Now()) {
				return true, nil
			}
		}
		filter.Before = page[len(page)-1].ID
	}
}

// runNow runs a job in the caller.
func (s *Service) runNow(ctx context.Context, w *workers, job *Job) error {
	e := s.engine
	r := &run{engine: e, setup: s.setup, job: job, lease: s.lease(), until: time.Now().Add(s.lease())}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	e.enter(w, r)
	e.mu.Unlock()
	defer context.AfterFunc(ctx, func() { r.cancel(errStopping) })()
	r.execute(w)
	return nil
}
