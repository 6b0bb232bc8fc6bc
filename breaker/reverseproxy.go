package breaker

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(new(ReverseProxy)) }

// ReverseProxy is a circuit breaker for Caddy's reverse_proxy: the gateway's own,
// behind an interface through which it sees less than in the gateway. It can be
// configured in JSON only, as "circuit_breaker" of the handler, since Caddy's
// Caddyfile has no such option:
//
//	"circuit_breaker": {"type": "runestone", "failures": 5, "open_for": "30s"}
//
// While it is open the handler finds no upstream and fails with 503, unless its
// load_balancing waits for one; a route for errors can ask another handler.
//
// What it loses, because of when Caddy asks and what it tells:
//
//   - There is one breaker for a handler, not one for each upstream. A sick
//     upstream closes the way to the healthy ones beside it, so give each its own handler.
//   - Caddy asks whether the breaker is OK for every candidate of every choice, so asking
//     takes no place. Hence half_open does not bound the probes: once open_for has
//     passed every request goes through until the first result is known. It is still
//     how many successes in a row close the breaker.
//   - Caddy tells only of answers, and of those the status and the time to their
//     headers. A refused connection, a timeout or a body that breaks off is never
//     counted: passive health checks see the first two. Slow_call is compared
//     with the time to the headers.
//   - A result cannot be told from one of before the last change of state.
//   - A header of the answer is not seen, so Retry-After does not pause anything. A status
//     of 500 and above is a failure, one of 400 to 499 is ignored, every other is a success.
//   - Reloading the configuration starts over with a closed breaker.
type ReverseProxy struct {
	Config

	breaker *Breaker
}

// CaddyModule returns the Caddy module information.
func (*ReverseProxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.circuit_breakers.runestone",
		New: func() caddy.Module { return new(ReverseProxy) },
	}
}

// Provision sets up the breaker.
func (r *ReverseProxy) Provision(ctx caddy.Context) error {
	// Caddy validates after provisioning, and New needs what is valid.
	if err := r.Validate(); err != nil {
		return fmt.Errorf("circuit breaker: %w", err)
	}
	logger := ctx.Logger()
	r.breaker = New(r.Config, Options{OnChange: func(from, to State) {
		log := logger.Info
		if to == Open {
			log = logger.Warn
		}
		log("circuit breaker has changed", zap.Stringer("from", from), zap.Stringer("to", to))
	}})
	return nil
}

// OK reports whether a request may go to the upstreams. It has no effect.
func (r *ReverseProxy) OK() bool { return r.breaker.Ready() }

// RecordMetric counts an answer.
func (r *ReverseProxy) RecordMetric(statusCode int, latency time.Duration) {
	// The permit that nobody could be asked to keep. A refusal means that the
	// breaker has opened since the call began, which came too late then.
	permit, err := r.breaker.Allow()
	if err != nil {
		return
	}
	switch {
	case statusCode >= http.StatusInternalServerError:
		permit.Done(Failure)
	case statusCode >= http.StatusBadRequest:
		permit.Done(Ignored)
	default:
		permit.DoneAfter(latency, Success)
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ReverseProxy)(nil)
	_ reverseproxy.CircuitBreaker = (*ReverseProxy)(nil)
)
