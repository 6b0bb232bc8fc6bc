package caddyfile

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/overflow"
)

// overflow reads how requests are queued that nobody can serve now. Syntax:
//
//	overflow off
//	overflow {
//		queue          <queue> ...
//		workers        <count>
//		per_provider   <count>
//		max_attempts   <count>
//		backoff        <first> [<longest>]
//		job_timeout    <duration>
//		lease          <duration>
//		max_age        <duration>
//		keep_results   <duration>
//		keep_discarded <duration>
//		max_jobs       <count>
//		shutdown_grace <duration>
//		default        reject|async
//		priority       0|1|2|3
//		encrypt        <secret>
//		callback       { ... }
//	}
func (p *parser) overflow(d *caddyfile.Dispenser) error {
	c := new(overflow.Config)
	p.config.Overflow = c
	off := func(arg string) bool {
		c.Off = arg == "off"
		return c.Off
	}
	if err := values("off, or its options in a block { }", 0, off)(d); err != nil {
		return err
	}
	if c.Off {
		return block{name: "overflow off"}.parse(d)
	}
	at := func(name string, parse parseFunc) option { return once(p.at("overflow."+name, parse)) }
	return block{name: "overflow", options: map[string]option{
		"queue":        at("queue", module("queue", "runestone.queues", "embedded", &c.QueueRaw)),
		"workers":      at("workers", number(&c.Workers, "20")),
		"per_provider": at("per_provider", number(&c.PerProvider, "10")),
		"max_attempts": at("max_attempts", number(&c.MaxAttempts, "5; the first run is included")),
		"backoff": at("backoff", p.at("overflow.max_backoff",
			values("a duration, and perhaps the longest, such as 2s 5m", 1, span(&c.Backoff), span(&c.MaxBackoff)))),
		"job_timeout":    at("job_timeout", duration(&c.JobTimeout, "a duration such as 5m")),
		"lease":          at("lease", duration(&c.Lease, "a duration such as 30s")),
		"max_age":        at("max_age", duration(&c.MaxAge, "a duration such as 24h")),
		"keep_results":   at("keep_results", duration(&c.KeepResults, "a duration such as 1h")),
		"keep_discarded": at("keep_discarded", duration(&c.KeepDiscarded, "a duration such as 7d")),
		"max_jobs":       at("max_jobs", number(&c.MaxJobs, "100000")),
		"shutdown_grace": at("shutdown_grace", duration(&c.ShutdownGrace, "a duration such as 30s")),
		"default":        at("default", text(&c.Default, "reject or async")),
		"priority":       at("priority", priority(&c.Priority)),
		"encrypt":        many(p.secret("overflow.encrypt", &c.Encrypt, "{env.QUEUE_KEY}")),
		"callback":       at("callback", p.callback(c)),
	}}.parse(d)
}

// callback reads how clients' servers are told. Syntax:
//
//	callback {
//		allow         <host>...
//		allow_private <range>...
//		secret        <secret>
//		workers       <count>
//		per_host      <count>
//		timeout       <duration>
//	}
func (p *parser) callback(c *overflow.Config) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		v := new(overflow.CallbackConfig)
		c.Callback = v
		const path = "overflow.callback."
		return block{name: "callback", options: map[string]option{
			"allow":         many(p.list(path+"allow", &v.Allow, "the hosts that may be called, such as *.example.com")),
			"allow_private": many(p.list(path+"allow_private", &v.AllowPrivate, "ranges of addresses, such as 127.0.0.1/32")),
			"secret":        many(p.secret(path+"secrets", &v.Secrets, "{env.CALLBACK_SECRET}")),
			"workers":       once(p.at(path+"workers", number(&v.Workers, "16"))),
			"per_host":      once(p.at(path+"per_host", number(&v.PerHost, "4"))),
			"timeout":       once(p.at(path+"timeout", duration(&v.Timeout, "a duration such as 20s"))),
		}}.parse(d)
	}
}

// priority takes a number that may be 0.
func priority(v **int) parseFunc {
	return values("a whole number from 0, which is served first, to 3", 1, func(arg string) bool {
		parsed, err := strconv.Atoi(arg)
		*v = &parsed
		return err == nil
	})
}

// list adds arguments to v, each of which is the place of its own path.
func (p *parser) list(path string, v *[]string, what string) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		option, before := d.Val(), len(*v)
		for d.NextArg() {
			p.mark(fmt.Sprintf("%s[%d]", path, len(*v)), d)
			*v = append(*v, d.Val())
		}
		if len(*v) == before {
			return d.Errf("%s needs %s", option, what)
		}
		return nil
	}
}

// secret adds a secret to v. Whatever stands behind it may be one too, so errors
// quote nothing.
func (p *parser) secret(path string, v *[]string, example string) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		p.mark(fmt.Sprintf("%s[%d]", path, len(*v)), d)
		option, args := d.Val(), d.RemainingArgs()
		if len(args) != 1 {
			return d.Errf("%s takes one secret, best as a placeholder such as %s; for several, repeat the option", option, example)
		}
		*v = append(*v, args[0])
		return nil
	}
}

// handlerOverflow reads which requests the handler queues at once. Syntax:
//
//	overflow [always|opt_in]
func handlerOverflow(v *string) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		*v = "always"
		err := values("opt_in for the requests that ask for it, or nothing for all", 0, func(arg string) bool {
			*v = arg
			return arg == "always" || arg == "opt_in"
		})(d)
		if err != nil {
			return err
		}
		return block{name: "overflow", other: global}.parse(d)
	}
}
