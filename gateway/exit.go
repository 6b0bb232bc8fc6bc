package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// exit ends what is open when the process is told to exit. It is one for the
// process because the streams of earlier configurations run on after a reload, and
// Caddy no longer waits for them once their own grace period is over.
var exit = newExit()

func init() { caddy.OnExit(exit.wait) }

// lastWrites is how long the server gets to write the end of an answer after its
// handler has returned; nothing says when it has.
const lastWrites = 100 * time.Millisecond

type exitState struct {
	announced atomic.Bool // it has begun, or does so after Caddy's shutdown_delay
	begun     atomic.Bool
	since     atomic.Pointer[time.Time] // when it began
	closing   chan struct{}             // closed when it has begun
	open      atomic.Int64              // requests under way
	leaving   context.Context           // ends when it has begun
	announce  context.CancelFunc
	overdue   context.Context
	cut       context.CancelFunc
	deadline  atomic.Pointer[time.Time]
	mu        sync.Mutex
	idle      chan struct{} // closed when open falls to 0 after begun
}

func newExit() *exitState {
	e := &exitState{idle: make(chan struct{}), closing: make(chan struct{})}
	e.leaving, e.announce = context.WithCancel(context.Background())
	e.overdue, e.cut = context.WithCancel(context.Background())
	return e
}

// begin starts the time that open requests have left.
func (e *exitState) begin(limit time.Duration) {
	if !e.begun.CompareAndSwap(false, true) {
		return
	}
	now := time.Now()
	e.since.Store(&now)
	close(e.closing)
	e.announce()
	deadline := now.Add(limit)
	e.deadline.Store(&deadline)
	time.AfterFunc(limit, e.cut)
	e.settle()
}

// beginAfter is begin after Caddy's shutdown_delay, in which requests are served as ever, and load balancers learn of the
// exit from the health endpoint.
func (e *exitState) beginAfter(delay, limit time.Duration) {
	e.announced.Store(true)
	if delay <= 0 {
		e.begin(limit)
		return
	}
	time.AfterFunc(delay, func() { e.begin(limit) })
}

// Exiting reports whether the process is about to exit, so that a new request
// is better sent elsewhere.
func Exiting() bool { return exit.begun.Load() }

// UntilExit returns a context that ends with parent, and when the process is about to exit. leave
// must be called.
func UntilExit(parent context.Context) (ctx context.Context, leave context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(exit.leaving, cancel)
	return ctx, func() { stop(); cancel() }
}

// Enter counts a request as under way until leave is called, which is when its
// answer has been written. The process does not exit before, unless the drain timeout is over.
func Enter() (leave func()) {
	exit.open.Add(1)
	return exit.leave
}

func (e *exitState) leave() {
	if e.open.Add(-1) == 0 && e.begun.Load() {
		e.settle()
	}
}

func (e *exitState) settle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open.Load() > 0 {
		return
	}
	select {
	case <-e.idle:
	default:
		close(e.idle)
	}
}

// wait is called by Caddy after every app has been stopped and before the process exits.
func (e *exitState) wait(context.Context) {
	deadline := e.deadline.Load()
	if deadline == nil || e.open.Load() == 0 {
		return
	}
	// Once cut, a stream needs no longer than it takes to write its last event.
	give := time.NewTimer(time.Until(*deadline) + 2*time.Second)
	defer give.Stop()
	select {
	case <-e.idle:
		time.Sleep(lastWrites)
	case <-give.C:
	}
}

// exitWatcher handles the event that Caddy emits before it stops its apps.
type exitWatcher struct {
	ctx    caddy.Context
	app    *App
	limit  time.Duration
	logger *zap.Logger
}

// Handle implements caddyevents.Handler.
func (w *exitWatcher) Handle(context.Context, caddy.Event) error {
	if !caddy.Exiting() {
		return nil // a reload: what is open runs on
	}
	limit := w.limit
	var delay time.Duration
	if app, err := w.ctx.AppIfConfigured("http"); err == nil {
		server := app.(*caddyhttp.App)
		delay = time.Duration(server.ShutdownDelay)
		// Caddy cuts connections when its grace period ends: be done before that.
		if grace := time.Duration(server.GracePeriod); grace > 0 {
			limit = min(limit, grace-min(time.Second, grace/2))
		}
	}
	if open := exit.open.Load(); open > 0 {
		w.logger.Info("exiting: open requests may go on for a while",
			zap.Int64("open", open), zap.Duration("drain_timeout", limit))
	}
	exit.beginAfter(delay, limit)
	w.app.stopOverflow()
	return nil
}
