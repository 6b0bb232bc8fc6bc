package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/telemetry"
)

// The rare events that Caddy's events app is told, so that its handlers can act on them.
const (
	// EventBreakerOpen and EventBreakerClose have provider, model and, for the first, open_for (seconds).
	EventBreakerOpen  = "runestone_breaker_open"
	EventBreakerClose = "runestone_breaker_close"
	// EventOverflowDiscard has kind and reason.
	EventOverflowDiscard = "runestone_overflow_discard"
	// EventKey has key and change: created, rotated or revoked.
	EventKey = "runestone_key"
	// EventHealth has component and healthy.
	EventHealth = "runestone_health"
)

// announcement is an event on its way to Caddy's events app.
type announcement struct {
	name string
	data map[string]any
}

// announcer tells the events app of a configuration. Handlers may take their time, such as
// for a command to run, so that they are called by a goroutine of its own.
type announcer struct {
	events  *caddyevents.App
	ctx     caddy.Context
	logger  *zap.Logger
	pending chan announcement
	dropped atomic.Int64
	done    chan struct{}
}

// maxPending is how many events may wait for handlers. More than that are dropped, and it is logged.
const maxPending = 256

// announcing is the announcer of the configuration in force.
var announcing atomic.Pointer[announcer]

// attachAnnouncer attaches the events once in the process.
var attachAnnouncer = sync.OnceFunc(func() {
	telemetry.BreakerOpen.Attach(func(e telemetry.BreakerOpened) {
		announce(EventBreakerOpen, map[string]any{"provider": e.Provider, "model": e.Model, "open_for": e.OpenFor.Seconds()})
	})
	telemetry.BreakerClose.Attach(func(e telemetry.BreakerClosed) {
		announce(EventBreakerClose, map[string]any{"provider": e.Provider, "model": e.Model})
	})
	telemetry.OverflowDiscard.Attach(func(e telemetry.OverflowDiscarded) {
		announce(EventOverflowDiscard, map[string]any{"kind": e.Kind, "reason": e.Reason})
	})
	telemetry.KeyRotate.Attach(func(e telemetry.KeyChanged) {
		announce(EventKey, map[string]any{"key": e.Key, "change": e.Change})
	})
	telemetry.HealthCheck.Attach(func(e telemetry.HealthChecked) {
		announce(EventHealth, map[string]any{"component": e.Component, "healthy": e.Healthy})
	})
})

// announce hands an event to the configuration in force, without waiting.
func announce(name string, data map[string]any) {
	a := announcing.Load()
	if a == nil || !a.events.ShouldEmit(name) {
		return
	}
	select {
	case a.pending <- announcement{name, data}:
	default:
		a.dropped.Add(1)
	}
}

// startAnnouncing has the events app of a told what happens from now on.
func (a *App) startAnnouncing() {
	if a.events == nil {
		return
	}
	attachAnnouncer()
	n := &announcer{
		events: a.events, ctx: a.ctx, logger: a.logger,
		pending: make(chan announcement, maxPending), done: make(chan struct{}),
	}
	a.announcer = n
	announcing.Store(n)
	go n.run()
}

// stopAnnouncing ends that, unless another configuration has taken over, and the goroutine.
func (a *App) stopAnnouncing() {
	if a.announcer != nil {
		announcing.CompareAndSwap(a.announcer, nil)
		close(a.announcer.done)
		a.announcer = nil
	}
}

func (n *announcer) run() {
	for {
		select {
		case <-n.done:
			return
		case e := <-n.pending:
			n.events.Emit(n.ctx, e.name, e.data)
			if dropped := n.dropped.Swap(0); dropped > 0 {
				n.logger.Warn("handlers of events are too slow: events were dropped", zap.Int64("events", dropped))
			}
		}
	}
}
