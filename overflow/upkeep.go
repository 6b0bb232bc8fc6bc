package overflow

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/telemetry"
)

// Periodic tasks, which one process of all that share a queue does each time.
const (
	taskHealth   = "health"
	healthEvery  = time.Hour
	taskCollect  = "collect"
	collectEvery = 5 * time.Minute
	// askEvery is how often a process asks whether it is its turn.
	askEvery = 10 * time.Second
)

// Reporter is implemented by a Server that can say how it is.
type Reporter interface {
	// Report returns what the periodic collector logs of the gateway: open streams, and
	// each provider's health.
	Report() []zap.Field
	// Healthy reports whether at least one target of each model can be asked.
	Healthy() bool
}

// upkeep does what has become due, every second.
func (e *Engine) upkeep() {
	var asked time.Time
	for e.sleep(jitter(time.Second)) {
		s := e.current()
		if s == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), recordLimit)
		healthy := e.maintain(ctx)
		if now := time.Now(); healthy && now.Sub(asked) >= askEvery {
			asked = now
			e.takeTurns(ctx, s)
		}
		cancel()
		e.nudgeLanes() // room may have come without a word, and so may jobs of other processes
	}
}

// maintain has the queue look after itself, and tells how it stands.
func (e *Engine) maintain(ctx context.Context) bool {
	e.pulse.look()
	done, err := e.queue.Maintain(ctx)
	if err != nil {
		e.quarrels.log("the overflow queue cannot be looked after", err)
		return false
	}
	for _, job := range done.Rescued {
		telemetry.OverflowRescue.Emit(telemetry.OverflowRescued{Kind: string(job.Kind), Crashes: job.Crashes})
		e.logger.Warn("a job was taken from a process that had died or fallen silent",
			zap.String("job", job.ID), zap.String("kind", string(job.Kind)), zap.Int("crashes", job.Crashes))
	}
	if done.Repaired > 0 {
		e.logger.Warn("jobs had to be put back in order", zap.Int("jobs", done.Repaired))
	}
	stats, err := e.queue.Stats(ctx)
	if err != nil {
		e.quarrels.log("the overflow queue cannot be counted", err)
		return false
	}
	e.pulse.answered(&stats)
	e.show(&stats)
	return true
}

// show tells the metrics and the lanes what the queue holds.
func (e *Engine) show(stats *Stats) {
	now := time.Now()
	for _, kind := range Kinds {
		for _, state := range States {
			telemetry.OverflowDepth.Emit(telemetry.OverflowDepthSeen{Kind: string(kind), State: string(state), Jobs: stats.Jobs[kind][state]})
		}
		age := time.Duration(0)
		if oldest := stats.Oldest[kind]; !oldest.IsZero() {
			age = max(0, now.Sub(oldest))
		}
		telemetry.OverflowAge.Emit(telemetry.OverflowAgeSeen{Kind: string(kind), Age: age})
	}
	for _, in := range stats.Lanes {
		e.lanes.add(lane{in.Kind, in.Name})
	}
}

// takeTurns does the periodic tasks that are this process's now.
func (e *Engine) takeTurns(ctx context.Context, s *Setup) {
	reporter, ok := s.server.(Reporter)
	if !ok {
		return
	}
	if mine, err := e.queue.Turn(ctx, taskCollect, collectEvery); err == nil && mine {
		e.collect(ctx, reporter)
	}
	if mine, err := e.queue.Turn(ctx, taskHealth, healthEvery); err == nil && mine {
		e.checkHealth(ctx, reporter)
	}
}

// collect logs how things stand.
func (e *Engine) collect(ctx context.Context, reporter Reporter) {
	stats, err := e.queue.Stats(ctx)
	if err != nil {
		return
	}
	jobs := stats.Jobs[Request]
	fields := append([]zap.Field{
		zap.Int("available", jobs[Available]), zap.Int("waiting", jobs[Waiting]), zap.Int("scheduled", jobs[Scheduled]),
		zap.Int("executing", jobs[Executing]), zap.Int("discarded", jobs[Discarded]),
		zap.Int("callbacks", stats.Jobs[Callback][Available]+stats.Jobs[Callback][Scheduled]+stats.Jobs[Callback][Waiting]),
		zap.Bool("paused", stats.Paused),
	}, reporter.Report()...)
	e.logger.Info("overflow: how things stand", fields...)
}

// checkHealth checks the components, and tells of those that are not as they should be.
func (e *Engine) checkHealth(ctx context.Context, reporter Reporter) {
	stats, err := e.queue.Stats(ctx)
	for component, healthy := range map[string]bool{
		"queue":     err == nil && !stats.NearlyFull(),
		"providers": reporter.Healthy(),
		"drain":     !e.anyStuck(),
	} {
		telemetry.HealthCheck.Emit(telemetry.HealthChecked{Component: component, Healthy: healthy})
		if !healthy {
			e.logger.Warn("the hourly health check found something amiss", zap.String("component", component))
		}
	}
}

func (e *Engine) anyStuck() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.running {
		if r.stuck {
			return true
		}
	}
	return false
}
