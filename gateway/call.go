package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// began is the zero of the clock that calls are timed by.
var began = time.Now()

func clock() time.Duration { return time.Since(began) }

// call is one call to a provider, from the choice of the target to the end of
// the answer. It ends by itself when it takes too long.
type call struct {
	up     *upstream
	pass   pass
	ctx    context.Context
	cancel context.CancelCauseFunc
	parent context.Context
	keep   func() bool     // stops waiting for the process's exit
	span   *telemetry.Span // nil if the request is not traced

	start time.Duration
	total time.Duration // when it must be over, 0 for never
	timer *time.Timer

	// The timer looks at these several times within each limit, so that progress
	// costs neither a look at the clock nor a new timer.
	heard atomic.Bool  // something has arrived since the timer last looked
	away  atomic.Bool  // nobody waits for the provider: what has arrived is on its way to the client
	quiet atomic.Int64 // how long nothing may arrive, 0 for ever
	over  atomic.Bool
	last  time.Duration // when the timer last saw that something had arrived

	secret    string // the provider's key that the call is made with
	firstByte bool   // waiting for the first event of a stream
	status    int
	usage     dialect.Usage
	events    int64         // of a stream, with data
	first     time.Duration // from the start to the first event, 0 when there was none

	throttled bool // the provider has too much to do
	asked     bool // and has said how long to stay away
	renewed   bool // the credential was refused, and has been replaced since
	blameless bool // it says nothing of the target: no call was made, or the request was wrong
}

// looks is how often the timer looks within a limit: silence is noticed at most
// a fourth of its limit late.
const looks = 4

// errTimeout is the cause of a call that took too long.
type errTimeout struct{ option string }

func (e errTimeout) Error() string { return "the provider took too long (timeouts: " + e.option + ")" }

var (
	errShuttingDown = errors.New("the gateway is shutting down")
	errTruncated    = fmt.Errorf("the stream ended before its end: %w", io.ErrUnexpectedEOF)
)

// begin starts a call that counts against the time since start, which is when the
// first attempt began. One in the background is not ended by the process's exit: whoever made
// it sees to that.
func begin(parent context.Context, p pass, r *provider.Request, start time.Duration, background bool) *call {
	up := p.t.up
	c := &call{up: up, pass: p, parent: parent, start: clock(), firstByte: r.Stream}
	c.ctx, c.cancel = context.WithCancelCause(parent)
	c.keep = func() bool { return true }
	if !background {
		c.keep = context.AfterFunc(exit.overdue, func() { c.cancel(errShuttingDown) })
	}
	if up.limits.total > 0 {
		c.total = start + up.limits.total
	}
	if r.Stream {
		c.quiet.Store(int64(up.limits.firstByte))
	}
	c.last = c.start
	if wait, ok := c.next(c.start); ok {
		// Started in two steps, so that check finds c.timer set.
		c.timer = time.AfterFunc(time.Hour, c.check)
		c.timer.Reset(wait)
	}
	c.traceCall(r)
	telemetry.ProviderRequestStart.Emit(telemetry.ProviderRequestStarted{Provider: up.name})
	return c
}

// next returns how long to wait before looking again.
func (c *call) next(now time.Duration) (wait time.Duration, ok bool) {
	if c.total > 0 {
		wait, ok = c.total-now, true
	}
	sooner := func(d time.Duration) {
		if !ok || d < wait {
			wait, ok = d, true
		}
	}
	if quiet := time.Duration(c.quiet.Load()); quiet > 0 {
		sooner(c.last + quiet - now)
		sooner(quiet / looks)
	}
	// The limit that comes next may be shorter than the present one.
	if c.up.limits.idle > 0 {
		sooner(c.up.limits.idle / looks)
	}
	return max(wait, 0), ok
}

func (c *call) check() {
	if c.over.Load() {
		return
	}
	now := clock()
	if c.heard.Swap(false) || c.away.Load() {
		c.last = now
	}
	quiet := time.Duration(c.quiet.Load())
	switch {
	case c.total > 0 && now >= c.total:
		c.cancel(errTimeout{"total"})
	case quiet > 0 && now-c.last >= quiet:
		c.cancel(errTimeout{"first_byte or idle"})
	default:
		wait, _ := c.next(now)
		c.timer.Reset(wait)
	}
}

// progress notes that something has arrived.
func (c *call) progress() {
	if !c.heard.Load() {
		c.heard.Store(true)
	}
}

// await notes that the provider is waited for again.
func (c *call) await() {
	if c.away.Load() {
		c.progress()
		c.away.Store(false)
	}
}

// flowing notes that the answer has begun to arrive, so that silence is
// bounded by the idle timeout from here on.
func (c *call) flowing() {
	c.firstByte = false
	c.progress()
	c.quiet.Store(int64(c.up.limits.idle))
}

// streams is flowing for a stream whose first event has arrived.
func (c *call) streams() {
	c.flowing()
	c.first = clock() - c.start
	c.pass.t.state.stats.Observe(true, c.first)
	if c.pass.permit.Probe() {
		// Those who wait for the breaker need not wait for the end as well.
		c.pass.permit.DoneAfter(c.first, breaker.Success)
		c.pass.permit = breaker.Permit{}
		c.pass.t.state.freed()
	}
}

// end settles the call. It is called once.
func (c *call) end(outcome string) {
	c.over.Store(true)
	if c.timer != nil {
		c.timer.Stop()
	}
	c.keep()
	c.cancel(nil)
	c.settle(outcome)
	c.endSpan(outcome)
	telemetry.ProviderRequestStop.Emit(telemetry.ProviderRequestStopped{
		Duration: clock() - c.start, Provider: c.up.name, Status: c.status, Outcome: outcome,
	})
}

// settle tells the target's breaker, limit and statistics what has come of the call.
func (c *call) settle(outcome string) {
	what := breaker.Ignored
	switch {
	case c.blameless:
	case outcome == telemetry.OutcomeOK:
		what = breaker.Success
	case outcome == telemetry.OutcomeTimeout, outcome == telemetry.OutcomeUnreachable:
		what = breaker.Failure
	case outcome == telemetry.OutcomeError && !c.throttled && (c.status < 300 || c.status >= 500):
		what = breaker.Failure
	}
	state := c.pass.t.state
	c.pass.leave()
	latency := c.first
	if latency == 0 && what == breaker.Success {
		latency = clock() - c.start
		state.stats.Observe(false, latency)
	}
	if what == breaker.Failure {
		state.stats.Failed()
	}
	state.stats.End()
	c.pass.permit.DoneAfter(c.first, what)
	c.pass.slot.Release(what, latency, c.throttled || c.status == statusOverloaded)
}

// statusOverloaded is Anthropic's, and some others', for too much to do.
const statusOverloaded = 529

// outcome says what an error of the call comes to, and what the client is told.
func (c *call) outcome(err error) (string, *dialect.Error) {
	var timeout errTimeout
	var netErr net.Error
	told := &dialect.Error{Status: http.StatusBadGateway, Type: "server_error"}
	switch {
	case errors.Is(err, errShuttingDown):
		return telemetry.OutcomeShuttingDown, ShuttingDown()
	case errors.As(err, &timeout):
		option := timeout.option
		if option != "total" {
			if option = "idle"; c.firstByte {
				option = "first_byte"
			}
		}
		told.Status, told.Code = http.StatusGatewayTimeout, "timeout"
		told.Message = fmt.Sprintf("The provider %s took too long: the %s timeout is over.", c.up.name, option)
		return telemetry.OutcomeTimeout, told
	case c.blameless && c.status == 0:
		told.Message = fmt.Sprintf("The provider %s could not be asked.", c.up.name)
		return telemetry.OutcomeInvalid, told // the error itself says what the client is told
	case c.parent.Err() != nil, errors.Is(err, errOutrun):
		return telemetry.OutcomeCanceled, canceled()
	case errors.As(err, &netErr) && netErr.Timeout():
		told.Status, told.Code = http.StatusGatewayTimeout, "timeout"
		told.Message = fmt.Sprintf("The provider %s took too long: the connect timeout is over.", c.up.name)
		return telemetry.OutcomeTimeout, told
	case c.status != 0:
		told.Code = "interrupted"
		told.Message = fmt.Sprintf("The answer of the provider %s broke off.", c.up.name)
		return telemetry.OutcomeError, told
	default:
		told.Code = "unreachable"
		told.Message = fmt.Sprintf("The provider %s could not be reached.", c.up.name)
		return telemetry.OutcomeUnreachable, told
	}
}

// ShuttingDown is what clients are told once the process is about to exit.
func ShuttingDown() *dialect.Error {
	return &dialect.Error{
		Status: http.StatusServiceUnavailable, Type: "server_error", Code: "shutting_down",
		Message: "The gateway is shutting down.", RetryAfter: time.Second,
	}
}

func canceled() *dialect.Error {
	return &dialect.Error{
		Status: statusClientClosed, Type: "server_error", Code: "canceled", Message: "The client closed the request.",
	}
}

// statusClientClosed is what is counted when the client has left; nobody gets to see it.
const statusClientClosed = 499
