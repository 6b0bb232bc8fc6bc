package overflow

import (
	"sync/atomic"
	"time"
)

// Health is how the queue and its drain are, as far as that was seen without asking for it.
type Health struct {
	// Seen is how long ago the queue last answered its upkeep, which it is asked to
	// every second; below 0 if it never has.
	Seen time.Duration
	// Looked is how long ago that upkeep last began; below 0 if it never has. The drain does not work without it.
	Looked time.Duration
	// Draining is whether the drain runs at all.
	Draining bool
	// Stuck is whether a run goes on that should have ended.
	Stuck bool
	// Stats is what the queue said then, nil if it never did.
	Stats *Stats
}

// pulse is when the upkeep looked at the queue and what it saw.
type pulse struct {
	looked, seen atomic.Int64 // nanoseconds since pulseStart, 0 for never
	stats        atomic.Pointer[Stats]
}

var pulseStart = time.Now()

func (p *pulse) look()             { p.looked.Store(int64(time.Since(pulseStart))) }
func (p *pulse) answered(s *Stats) { p.stats.Store(s); p.seen.Store(int64(time.Since(pulseStart))) }

func since(at *atomic.Int64) time.Duration {
	then := at.Load()
	if then == 0 {
		return -1
	}
	return time.Since(pulseStart) - time.Duration(then)
}

// Health returns how the queue and its drain are. It asks nobody.
func (s *Service) Health() Health {
	e := s.engine
	return Health{
		Seen: since(&e.pulse.seen), Looked: since(&e.pulse.looked),
		Draining: e.current() != nil, Stuck: e.anyStuck(), Stats: e.pulse.stats.Load(),
	}
}
