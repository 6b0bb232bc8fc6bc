package caddyfile

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/gateway"
)

// breaker reads when a target is left alone. Syntax:
//
//	breaker {
//		failures      <count>|off
//		failure_ratio <ratio> [<calls>] | off
//		window        <duration>
//		open_for      <duration>
//		max_open_for  <duration>
//		half_open     <count>
//		slow_call     <duration>
//	}
func (p *parser) breaker(d *caddyfile.Dispenser) error {
	c := new(breaker.Config)
	p.config.Breaker = c
	return block{name: "breaker", options: map[string]option{
		"failures": once(p.at("breaker.failures", orOff(&c.Failures, number(&c.Failures, "5, or off")))),
		"failure_ratio": once(p.at("breaker.failure_ratio", orOff(&c.FailureRatio,
			values("a ratio above 0 and perhaps the least number of calls to judge by, such as 0.5 20, or off", 1,
				share(&c.FailureRatio), count(&c.MinimumCalls))))),
		"window":       once(p.at("breaker.window", duration(&c.Window, "a duration such as 60s"))),
		"open_for":     once(p.at("breaker.open_for", duration(&c.OpenFor, "a duration such as 30s"))),
		"max_open_for": once(p.at("breaker.max_open_for", duration(&c.MaxOpenFor, "a duration such as 10m"))),
		"half_open":    once(p.at("breaker.half_open", number(&c.HalfOpen, "2"))),
		"slow_call":    once(p.at("breaker.slow_call", duration(&c.SlowCall, "a duration such as 20s"))),
	}}.parse(d)
}

// retry reads how often, and how soon, a request is tried again. Syntax:
//
//	retry {
//		attempts <count>
//		backoff  <first> [<longest>]
//		budget   <ratio>|off
//		hedge    after <duration> | off
//	}
func (p *parser) retry(d *caddyfile.Dispenser) error {
	r := new(gateway.Retry)
	p.config.Retry = r
	return block{name: "retry", options: map[string]option{
		"attempts": once(p.at("retry.attempts", number(&r.Attempts, "3; the first call is included"))),
		"backoff": once(p.at("retry.backoff", p.at("retry.max_backoff",
			values("a duration, and perhaps the longest, such as 250ms 5s", 1, span(&r.Backoff), span(&r.MaxBackoff))))),
		"budget": once(p.at("retry.budget", orOff(&r.Budget, values("a ratio above 0, such as 0.2, or off", 1, share(&r.Budget))))),
		"hedge":  once(p.at("retry.hedge_after", hedge(&r.HedgeAfter))),
	}}.parse(d)
}

// hedge reads when a second target is asked as well.
func hedge(v *caddy.Duration) parseFunc {
	after := func(arg string) bool { return arg == "after" }
	return orOff(v, values("the word after and a duration, such as after 2s, or off", 2, after, span(v)))
}

// line reads how requests wait. Syntax:
//
//	line {
//		wait   <duration>|off
//		length <count>
//	}
func (p *parser) line(d *caddyfile.Dispenser) error {
	l := new(gateway.Line)
	p.config.Line = l
	return block{name: "line", options: map[string]option{
		"wait":   once(p.at("line.wait", orOff(&l.Wait, duration(&l.Wait, "a duration such as 30s, or off")))),
		"length": once(p.at("line.length", number(&l.Length, "1000"))),
	}}.parse(d)
}
