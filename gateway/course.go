package gateway

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// course is one request on its way from target to target.
type course struct {
	app      *App
	ctx      context.Context
	r        *provider.Request
	route    *route
	patience Patience
	until    time.Duration // how long it may stand in line
	start    time.Duration // when the first target was asked
	waited   time.Duration // how long it stood in line
	attempts int
	last     *Failure // of the latest call

	mu    sync.Mutex // guards what follows, which two calls at a time may touch
	marks []mark     // of the route's targets
	few   [4]mark
	again *target       // is to be asked next
	tried []*credential // of again, which are not to be used
	calls int           // under way
}

// mark is what has come of a target in a course.
type mark struct {
	calls int
	busy  bool // had too much to do: to be asked again when its turn in line comes
	out   bool // not to be asked again
}

func (m mark) fresh() bool { return !m.busy && !m.out }

// fault is whose fault a failed call is.
type fault uint8

const (
	noFault         fault = iota // the request's own: nobody else will do better
	targetFault                  // the target's
	connectionFault              // there was no connection, or it broke before an answer
	keyFault                     // the credential's, and there is another
	busyFault                    // the target has too much to do now
)

// verdict is what comes after a failed call.
type verdict uint8

const (
	giveUp verdict = iota
	again          // the same target
	next           // another, or the same one later
)

func (c *course) run() (*http.Response, *Failure) {
	for {
		p, refused := c.next()
		if refused != nil {
			return nil, refused
		}
		resp, try, err := c.call(p)
		if err == nil {
			return c.answered(resp, try), nil
		}
		what := c.settle(try, err)
		if what == giveUp {
			return nil, c.last
		}
		if what == again {
			telemetry.Retry.Emit(telemetry.Retried{Provider: try.target.Provider, Outcome: c.last.Outcome})
			if c.last.Outcome == telemetry.OutcomeUnreachable && !c.pause() {
				return nil, c.last
			}
			continue
		}
		telemetry.Failover.Emit(telemetry.FailedOver{Provider: try.target.Provider, Outcome: c.last.Outcome})
	}
}

// next returns a pass for the target to ask, waiting in line if there is none.
func (c *course) next() (pass, *Failure) {
	if t := c.again; t != nil {
		c.again = nil
		if p, refused := c.enter(t, c.tried...); refused == nil {
			return p, nil
		}
	}
	if p, ok := c.choose(); ok {
		return p, nil
	}
	return c.wait()
}

// choose returns a pass for the target that the policy prefers among those that
// can take a call now.
func (c *course) choose() (pass, bool) {
	targets := c.route.targets
	if len(targets) == 1 {
		if !c.marks[0].fresh() || targets[0].state.waiting.Load() > 0 {
			return pass{}, false
		}
		p, refused := c.enter(targets[0])
		return p, refused == nil
	}
	free := make([]*policy.Target, 0, len(targets))
	for i, t := range targets {
		// Who is in line for a target comes before who has just arrived.
		if c.marks[i].fresh() && t.state.waiting.Load() == 0 && t.ready() == nil {
			free = append(free, &t.Target)
		}
	}
	for len(free) > 0 {
		chosen := c.route.selector.Select(free, c.r)
		for i, t := range targets {
			if &t.Target != chosen {
				continue
			}
			if p, refused := c.enter(targets[i]); refused == nil {
				return p, true
			}
		}
		free = without(free, chosen)
	}
	return pass{}, false
}

// enter asks a target for a pass, within the bound that queued requests have.
func (c *course) enter(t *target, tried ...*credential) (pass, *refusal) {
	if c.patience.PerProvider <= 0 {
		return t.enter(tried...)
	}
	calls := drainCallsOf(t.Provider)
	if calls.Add(1) > int32(c.patience.PerProvider) {
		calls.Add(-1)
		return pass{}, &refusal{}
	}
	p, refused := t.enter(tried...)
	if refused != nil {
		calls.Add(-1)
		return p, refused
	}
	p.queued = calls
	return p, nil
}

func without(targets []*policy.Target, t *policy.Target) []*policy.Target {
	left := targets[:0]
	for _, other := range targets {
		if other != t {
			left = append(left, other)
		}
	}
	if len(left) == len(targets) {
		return nil // a policy that chose what it was not offered
	}
	return left
}

// wait stands in line for the targets that are left.
func (c *course) wait() (pass, *Failure) {
	limit := max(0, c.until-clock())
	var targets []*target
	model := ""
	if c.route.named {
		model = c.route.name
	}
	soonest := time.Duration(math.MaxInt64)
	down, hope := true, false
	for i, t := range c.route.targets {
		if c.marks[i].out {
			continue
		}
		targets = append(targets, t)
		refused := t.ready()
		if refused == nil { // free just now, or its line is longer
			refused = &refusal{}
		}
		down = down && refused.down
		hope = hope || refused.after <= limit
		soonest = min(soonest, refused.after)
	}
	if len(targets) == 0 || c.attempts > 0 && !c.last.busy && !hope {
		return pass{}, c.last
	}
	if limit == 0 || !hope {
		return pass{}, c.unavailable(soonest, down, nil)
	}
	start := clock()
	p, err := theLine.wait(c.ctx, c.app.newWaiter(c.r.Header, model, targets), c.app.line.Length, limit, c.patience.Beat)
	c.waited += clock() - start
	if err != nil {
		return pass{}, c.unavailable(soonest, down, err)
	}
	return p, nil
}

// maxRetryAfter is the longest that a client is told to wait: official SDKs do
// not heed a longer time.
const maxRetryAfter = time.Minute

// unavailable is the failure of a request that no target can take.
func (c *course) unavailable(after time.Duration, down bool, err error) *Failure {
	f := &Failure{Attempts: c.attempts, Outcome: telemetry.OutcomeUnavailable, busy: true}
	if c.route.named {
		f.Model = c.route.name
	}
	if c.last != nil {
		f.Provider, f.Target = c.last.Provider, c.last.Target
	}
	f.Told = &dialect.Error{
		Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded",
		Message:    c.route.subject() + " has more to do than it can take just now.",
		RetryAfter: min(max(after, time.Second), maxRetryAfter),
	}
	if down {
		f.Told.Status, f.Told.Type, f.Told.Code = http.StatusServiceUnavailable, "server_error", "no_target_available"
		f.Told.Message = c.route.subject() + " is not working just now."
	}
	switch {
	case errors.Is(err, errShuttingDown):
		f.Outcome, f.Told = telemetry.OutcomeShuttingDown, ShuttingDown()
	case c.ctx.Err() != nil:
		f.Outcome, f.Told = telemetry.OutcomeCanceled, canceled()
	}
	return f
}

// call asks a target and, if it has been silent for too long and the user wants
// that, another one as well.
func (c *course) call(p pass) (*http.Response, *attempt, error) {
	after := c.app.hedgeAfter(c.route)
	if after <= 0 || c.patience.Background || !c.r.Stream || c.r.Upload != nil || len(c.route.targets) == 1 {
		try := c.begin(p)
		resp, err := try.do()
		return resp, try, err
	}
	return c.race(p, after)
}

// begin counts a call and starts its time.
func (c *course) begin(p pass) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempts == 0 {
		c.start = clock()
		c.app.budget.first(c.start)
	}
	c.attempts++
	c.calls++
	if m := c.mark(p.t); m != nil {
		m.calls++
	}
	return &attempt{course: c, api: c.r.API, r: c.r, target: p.t, call: begin(c.ctx, p, c.r, c.start, c.patience.Background)}
}

func (c *course) mark(t *target) *mark {
	for i, other := range c.route.targets {
		if other == t {
			return &c.marks[i]
		}
	}
	return nil
}

// after decides what comes after a call that has failed by that fault.
func (c *course) after(try *attempt, f fault) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.mark(try.target)
	if f == targetFault || f == connectionFault && m.calls > 1 {
		m.out = true
	}
	switch {
	case f == noFault:
		return giveUp
	case c.calls > 1:
		return next // the other call goes on
	case c.attempts >= c.app.retry.Attempts, c.r.Upload != nil, c.ctx.Err() != nil, exit.begun.Load() && f == busyFault:
		return giveUp
	case f == keyFault:
		if !try.call.renewed {
			c.tried = append(c.tried, try.call.pass.key)
		}
		if _, ok := try.target.up.keys.ready(try.target.Model, c.tried...); ok {
			return c.spend(again, try.target)
		}
		c.tried = nil
		if f = busyFault; !try.call.throttled {
			m.out = true
		}
	case f == connectionFault && !m.out:
		return c.spend(again, try.target)
	}
	if f == busyFault {
		m.busy = true
	}
	for i, t := range c.route.targets {
		if !c.marks[i].out && (t != try.target || f == busyFault && c.mayReturn(try)) && c.soon(t) {
			return c.spend(next, nil)
		}
	}
	return giveUp
}

// mayReturn reports whether a request may wait for a target that had too much to
// do: if that has said for how long, or has a limit by which the gateway can tell.
func (c *course) mayReturn(try *attempt) bool {
	return (try.call.asked || try.target.up.limit.Adaptive) && c.until > clock()
}

// soon reports whether a target can take a call within the time that is left
// for the line, and is not known to be down.
func (c *course) soon(t *target) bool {
	if total := t.up.limits.total; total > 0 && clock() >= c.start+total {
		return false
	}
	refused := t.ready()
	if refused == nil {
		return true
	}
	limit := c.until - clock()
	return !refused.down && limit > 0 && refused.after <= limit
}

func (c *course) spend(v verdict, t *target) verdict {
	if !c.app.budget.take() {
		return giveUp
	}
	c.again = t
	return v
}

// settle ends a call that has failed and returns what comes next.
func (c *course) settle(try *attempt, err error) verdict {
	call := try.call
	outcome, told := call.outcome(err)
	if isTold, ok := errors.AsType[*dialect.Error](err); ok {
		told = isTold
	}
	var what verdict
	if passed, ok := errors.AsType[*errPassedOver](err); ok {
		what, told = passed.next, passed.told(try.target.Provider)
	} else {
		what = c.after(try, try.faultOf(outcome, told))
	}
	c.mu.Lock()
	c.calls--
	c.mu.Unlock()
	call.end(outcome)
	c.app.logFailure(try.target.up, outcome, err)
	c.last = &Failure{
		Told: told, Outcome: outcome, Provider: try.target.Provider, Target: try.asksFor(), Attempts: c.attempts,
		busy: call.throttled,
	}
	if c.route.named {
		c.last.Model = c.route.name
	}
	return what
}

// pause waits before the same target is asked again, and reports false if the client
// left meanwhile.
func (c *course) pause() bool {
	timer := time.NewTimer(c.backoff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	case <-exit.closing:
		return false
	}
}

// backoff returns a random part of the wait that is due after as many attempts
// ("full jitter": clients that failed together do not come back together).
func (c *course) backoff() time.Duration {
	longest := time.Duration(c.app.retry.Backoff) << min(max(c.attempts-1, 0), 16)
	return rand.N(min(longest, time.Duration(c.app.retry.MaxBackoff)) + 1)
}
