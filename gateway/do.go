package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// Failure is the error of Do: nobody answered.
type Failure struct {
	// Told is what the client should be told.
	Told *dialect.Error
	// Outcome is one of telemetry's.
	Outcome string
	// Provider is the last one that was asked, "" if none was.
	Provider string
	// Model is the name for the metrics, "" when it is not known.
	Model string
	// Target is the model that it was asked for, "" if it was asked for none.
	Target string
	// Attempts is how many calls were made.
	Attempts int
	// Waited is how long the request stood in line.
	Waited time.Duration

	busy bool // nobody is at fault: there is too much to do
}

func (f *Failure) Error() string { return f.Told.Message }

// Unwrap returns Told.
func (f *Failure) Unwrap() error { return f.Told }

// Patience is how a caller of Do stands in line while no target can take the request.
// The zero Patience does not wait.
type Patience struct {
	// Wait is the longest wait.
	Wait time.Duration
	// Beat, unless nil, is called every five seconds of waiting, in the caller's goroutine.
	Beat func()
	// Background is set for a request that nobody waits for: it is not hedged.
	Background bool
	// PerProvider, of a request in the background, is how many calls of such requests a
	// provider may have under way, 0 for any number.
	PerProvider int
}

// Do sends r to the first target that answers and returns the answer. Its Body
// is an [Answer], which must be closed: that settles the usage, the duration and
// the connection. Once Do returns, no other target is tried: of a stream the first
// event has arrived, and other answers that the gateway reads have arrived whole.
//
// An answer that reports an error (status 400 and above) is returned as it came when no
// other target can serve. The error is always a *Failure.
func (a *App) Do(ctx context.Context, r *provider.Request, p Patience) (*http.Response, error) {
	route, told := a.resolve(r)
	if told == nil {
		route, told = route.able(a, r)
	}
	if told != nil {
		return nil, &Failure{Told: told, Outcome: telemetry.OutcomeInvalid}
	}
	return a.ask(ctx, r, route, p)
}

// ask tries the targets of a route.
func (a *App) ask(ctx context.Context, r *provider.Request, route *route, p Patience) (*http.Response, error) {
	c := &course{app: a, ctx: ctx, r: r, route: route, patience: p}
	c.marks = c.few[:min(len(route.targets), len(c.few))]
	if len(route.targets) > len(c.few) {
		c.marks = make([]mark, len(route.targets))
	}
	if p.Wait > 0 {
		c.until = clock() + p.Wait
	}
	resp, failure := c.run()
	if failure != nil {
		failure.Waited = c.waited
		return nil, failure
	}
	return resp, nil
}

func (c *course) answered(resp *http.Response, try *attempt) *http.Response {
	up := try.target.up
	// Not shared: Caddy's directive header changes values where they are.
	values := []string{up.name, strconv.Itoa(c.attempts), c.route.header}
	resp.Header["Runestone-Provider"], resp.Header["Runestone-Attempts"] = values[0:1:1], values[1:2:2]
	if c.route.header != "" {
		resp.Header["Runestone-Model"] = values[2:]
	} else {
		delete(resp.Header, "Runestone-Model") // of a gateway further on
	}
	answer := resp.Body.(*Answer)
	answer.Provider, answer.Target, answer.Attempts = up.name, try.asksFor(), c.attempts
	answer.Waited, answer.price = c.waited, try.target.Price
	if c.route.named || resp.StatusCode < http.StatusMultipleChoices {
		answer.Model = c.route.name
	}
	return resp
}

func (a *App) logFailure(up *upstream, outcome string, err error) {
	if outcome == telemetry.OutcomeCanceled || outcome == telemetry.OutcomeInvalid {
		return // it is not the provider's failure
	}
	if entry := a.logger.Check(zap.WarnLevel, "a call to a provider failed"); entry != nil {
		entry.Write(zap.String("provider", up.name), zap.String("outcome", outcome), zap.Error(err))
	}
}
