// Package caddyfile is Runestone's Caddyfile syntax: the global option and the
// directive, both named runestone. It turns text into the JSON that the
// packages gateway and handler describe, and does nothing else.
package caddyfile

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/handler"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("runestone", parseApp)
	httpcaddyfile.RegisterHandlerDirective("runestone", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("runestone", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterHandlerDirective("runestone_dashboard", parseDashboard)
	httpcaddyfile.RegisterDirectiveOrder("runestone_dashboard", httpcaddyfile.Before, "reverse_proxy")
}

// parseHandler sets up the handler from Caddyfile tokens. Syntax:
//
//	runestone [<matcher>] {
//		overflow [always|opt_in]
//	}
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // directive name
	if h.NextArg() {
		return nil, global(h.Dispenser)
	}
	v := new(handler.Handler)
	err := block{
		name:    "the directive runestone",
		options: map[string]option{"overflow": once(handlerOverflow(&v.Overflow))},
		other:   global,
	}.parse(h.Dispenser)
	return v, err
}

// global refuses what stands in the directive.
func global(d *caddyfile.Dispenser) error {
	return d.Errf("unexpected '%s': the directive runestone takes only a matcher and the option overflow, "+
		"and all else belongs to the global option runestone in the braces at the top of the file", d.Val())
}

// parser fills a Config and remembers where each part of it was written.
type parser struct {
	config gateway.Config
	places map[string]place // by path in the JSON, as in gateway.Problem
}

// place is where something was written.
type place struct {
	token caddyfile.Token
	order int // among all places
}

// parseApp sets up the app from Caddyfile tokens. Syntax:
//
//	runestone {
//		provider <name> [<adapter>] { ... }
//		model <name> { ... }
//		alias <name> <model>|<alias>|<provider>/<model>
//		strict_models
//		report_model requested|upstream
//		breaker { ... }
//		retry { ... }
//		line { ... }
//		timeouts { ... }
//		max_body <size>
//		drain_timeout <duration>
//		overflow off|{ ... }
//		usage_log
//		key <name> { ... }
//		keys { ... }
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // option name
	if existing != nil {
		return nil, d.Err("the global option runestone is here a second time; put everything in one block")
	}
	p := parser{places: map[string]place{"": {token: d.Token()}}}
	if d.NextArg() {
		return nil, d.Errf("the global option runestone takes no arguments, yet here is '%s'; its options go in a block { }", d.Val())
	}
	if err := p.app().parse(d); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "runestone", Value: caddyconfig.JSON(p.config, nil)}, nil
}

func (p *parser) app() block {
	return block{name: "runestone", options: map[string]option{
		"provider":      many(p.provider),
		"model":         many(p.model),
		"alias":         many(p.alias),
		"strict_models": once(set(&p.config.StrictModels)),
		"report_model":  once(p.at("report_model", text(&p.config.ReportModel, "requested or upstream"))),
		"breaker":       once(p.at("breaker", p.breaker)).but("failures off and failure_ratio off in its block"),
		"retry":         once(p.at("retry", p.retry)).but("attempts 1 in its block"),
		"line":          once(p.at("line", p.line)).but("wait off in its block"),
		"timeouts":      once(p.timeouts("timeouts", &p.config.Timeouts)),
		"max_body":      once(p.at("max_body", size(&p.config.MaxBody))),
		"drain_timeout": once(p.at("drain_timeout", duration(&p.config.DrainTimeout, "a duration such as 30s or 5m"))),
		"overflow":      once(p.at("overflow", p.overflow)),
		"usage_log":     once(set(&p.config.UsageLog)),
		"key":           many(p.key),
		"keys":          once(p.keys),
	}}
}

// at remembers the option that parse reads as the place of path.
func (p *parser) at(path string, parse parseFunc) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		p.mark(path, d)
		return parse(d)
	}
}

// mark remembers d's current token as the place of path.
func (p *parser) mark(path string, d *caddyfile.Dispenser) {
	p.places[path] = place{d.Token(), len(p.places)}
}

// place returns where path was written or, for what is missing, what lacks it.
func (p *parser) place(path string) place {
	for {
		if at, ok := p.places[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// check reports the problems of the whole in the order of the file.
func (p *parser) check() error {
	problems := p.config.Check()
	slices.SortStableFunc(problems, func(a, b gateway.Problem) int {
		return p.place(a.Path).order - p.place(b.Path).order
	})
	var errs []error
	for _, problem := range problems {
		d := caddyfile.NewDispenser([]caddyfile.Token{p.place(problem.Path).token})
		d.Next()
		errs = append(errs, d.Err(problem.Message))
	}
	return errors.Join(errs...)
}
