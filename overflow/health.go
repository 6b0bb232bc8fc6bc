package overflow

import (
	"sync/atomic"
	"time"
)

// Health is how the queue and its drain are, as far as that was seen without asking for it.
type Health struct {
	// Seen is how long ago the queue last answered its upkeep, which asks it every second, or was opened.
	Seen time.Duration
	// Looked is how long ago that upkeep last began, without which the drain does not work.
	Looked time.Duration
	// Draining is whether the drain runs at all.
	Draining bool
	// Stuck is whether a run goes on that should have ended.
	Stuck bool
	// Stats is what the queue said then, nil if it never did.
	Stats *Stats
}

// pulse is when the upkeep last asked the queue and when that last answered, and with what.
type pulse struct {
	looked, seen atomic.Pointer[time.Time]
	stats        atomic.Pointer[Stats]
}

func (p *pulse) begin() {
	now := time.Now()
	p.looked.Store(&now)
	p.seen.Store(&now)
}

func (p *pulse) look() {
	now := time.Now()
	p.looked.Store(&now)
}

func (p *pulse) answered(s *Stats) {
	now := time.Now()
	p.seen.Store(&now)
	p.stats.Store(s)
}

// Health returns how the queue and its drain are. It asks nobody.
func (s *Service) Health() Health {
	e := s.engine
	return Health{
		Seen: time.Since(*e.pulse.seen.Load()), Looked: time.Since(*e.pulse.looked.Load()),
		Draining: e.current() != nil, Stuck: e.anyStuck(), Stats: e.pulse.stats.Load(),
	}
}
