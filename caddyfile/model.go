package caddyfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/policy"
)

// model reads a name that clients ask for and who serves it. Syntax:
//
//	model <name> {
//		target <provider>/<model> { ... }
//		policy <policy> ...
//		hedge  after <duration> | off
//	}
func (p *parser) model(d *caddyfile.Dispenser) error {
	name, path, err := newName(p, d, "models", p.config.Models)
	if err != nil {
		return err
	}
	m := new(gateway.Model)
	err = block{name: "model", options: map[string]option{
		"target": many(p.target(path, m)),
		"policy": once(p.at(path+".policy", module("policy", "runestone.policies", "failover", &m.PolicyRaw))),
		"hedge":  once(p.at(path+".hedge_after", hedge(&m.HedgeAfter))),
	}}.parse(d)
	p.config.Models = with(p.config.Models, name, m)
	return err
}

// target reads one target of m. A model may hold slashes, a provider's name not. Syntax:
//
//	target <provider>/<model> {
//		price        <input> <output> [<cached input> [<cache write>]]
//		capabilities <name>...
//		weight       <count>
//		context      <tokens>
//	}
func (p *parser) target(path string, m *gateway.Model) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		path := fmt.Sprintf("%s.targets[%d]", path, len(m.Targets))
		p.mark(path, d)
		arg, err := argument(d, "provider/model")
		if err != nil {
			return err
		}
		t := new(policy.Target)
		t.Provider, t.Model, _ = strings.Cut(arg, "/")
		if t.Model == "" && d.NextArg() {
			return d.Errf("target has the provider and its model in one: write target %s/%s", arg, d.Val())
		}
		m.Targets = append(m.Targets, t)
		return block{name: "target", options: map[string]option{
			"price":        once(p.at(path+".price", price(t))),
			"capabilities": once(p.at(path+".capabilities", capabilities(t))),
			"weight":       once(p.at(path+".weight", number(&t.Weight, "3"))),
			"context":      once(p.at(path+".context", number(&t.Context, "128000"))),
		}}.parse(d)
	}
}

func price(t *policy.Target) parseFunc {
	usd := func(v *float64) setter {
		return func(arg string) bool {
			parsed, err := strconv.ParseFloat(arg, 64)
			*v = parsed
			return err == nil
		}
	}
	return func(d *caddyfile.Dispenser) error {
		t.Price = new(policy.Price)
		cached := func(arg string) bool {
			t.Price.CachedInput = new(float64)
			return usd(t.Price.CachedInput)(arg)
		}
		written := func(arg string) bool {
			t.Price.CacheWrite = new(float64)
			return usd(t.Price.CacheWrite)(arg)
		}
		hour := func(arg string) bool {
			t.Price.CacheWriteHour = new(float64)
			return usd(t.Price.CacheWriteHour)(arg)
		}
		return values("USD per million tokens, of input, output and perhaps cached input, what is put into the cache, and what is put there for an hour, "+
			"such as 3.00 15.00 0.30 3.75 6.00", 2,
			usd(&t.Price.Input), usd(&t.Price.Output), cached, written, hour)(d)
	}
}

func capabilities(t *policy.Target) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		if t.Capabilities = d.RemainingArgs(); len(t.Capabilities) == 0 {
			return d.Err("capabilities needs what the model can do, such as chat tools vision")
		}
		return nil
	}
}

// alias reads a further name. Syntax:
//
//	alias <name> <model>|<alias>|<provider>/<model>
func (p *parser) alias(d *caddyfile.Dispenser) error {
	name, _, err := newName(p, d, "aliases", p.config.Aliases)
	if err != nil {
		return err
	}
	if !d.NextArg() {
		return d.Errf("alias '%s' needs what it stands for: a model, an alias or provider/model", name)
	}
	p.config.Aliases = with(p.config.Aliases, name, d.Val())
	return nil
}

// newName reads the name of what the current option adds to a collection, which
// must not have it yet, and returns its path too.
func newName[V any](p *parser, d *caddyfile.Dispenser, collection string, taken map[string]V) (name, path string, err error) {
	kind := d.Val()
	if name, err = argument(d, "a name"); err != nil {
		return "", "", err
	}
	path = collection + "." + name
	if _, ok := taken[name]; ok {
		first := p.places[path].token
		return "", "", d.Errf("%s '%s' is already defined at %s:%d; rename or remove one of them", kind, name, first.File, first.Line)
	}
	p.mark(path, d)
	return name, path, nil
}

// with returns m, made if it is nil, with a further entry.
func with[V any](m map[string]V, name string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[name] = v
	return m
}
