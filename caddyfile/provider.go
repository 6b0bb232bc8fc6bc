package caddyfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/gateway"
)

// provider reads one upstream API. Syntax:
//
//	provider <name> [<adapter>] {
//		api_key <key> [weight <count>]
//		max_concurrency <calls>|adaptive { ... }
//		passthrough
//		probe <interval>
//		timeouts { ... }
//		<options of the adapter>
//	}
//
// The adapter is the one called like the provider unless it is given. It parses
// its own options, which stand in the same block as the common ones.
func (p *parser) provider(d *caddyfile.Dispenser) error {
	name, path, err := newName(p, d, "providers", p.config.Providers)
	if err != nil {
		return err
	}
	adapter := guest{kind: "adapter", namespace: "runestone.providers"}
	hint := fmt.Sprintf("; for a provider with a name of its own, write: provider %s ADAPTER", name)
	if d.NextArg() {
		hint = ""
	}
	if err := adapter.find(d, hint); err != nil {
		return err
	}
	v := new(gateway.Provider)
	own, err := p.providerBlock(d, path, v)
	if err != nil {
		return err
	}
	if v.AdapterRaw, err = adapter.parse(own.tokens); err != nil {
		return own.explain(err)
	}
	p.config.Providers = with(p.config.Providers, name, v)
	return nil
}

// providerBlock reads the options that every provider has into v and returns the others.
func (p *parser) providerBlock(d *caddyfile.Dispenser, path string, v *gateway.Provider) (*leftover, error) {
	common := block{name: "provider", options: map[string]option{
		"api_key":         many(p.apiKey(path, v)),
		"max_concurrency": once(p.maxConcurrency(path+".max_concurrency", v)),
		"passthrough":     once(p.at(path+".passthrough", set(&v.Passthrough))),
		"probe":           once(p.at(path+".probe", duration(&v.Probe, "a duration such as 30s"))),
		"timeouts":        once(p.timeouts(path+".timeouts", &v.Timeouts)),
	}}
	own := &leftover{tokens: []caddyfile.Token{d.Token()}, common: common.names()}
	common.other = own.add

	open := next(d)
	if err := common.parse(d); err != nil {
		return nil, err
	}
	if len(own.options) > 0 {
		own.tokens = append(slices.Insert(own.tokens, 1, open), d.Token())
	}
	return own, nil
}

// apiKey reads a credential. Whatever stands behind it may be one too, so errors
// quote nothing.
func (p *parser) apiKey(path string, v *gateway.Provider) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		p.mark(fmt.Sprintf("%s.api_keys[%d]", path, len(v.APIKeys)), d)
		var key gateway.APIKey
		args := d.RemainingArgs()
		weighted := len(args) == 3 && args[1] == "weight" && count(&key.Weight)(args[2])
		switch {
		case len(args) == 0 || args[0] == "":
			return d.Err("api_key needs a key, best as a placeholder such as {env.OPENAI_API_KEY}")
		case len(args) > 1 && !weighted:
			return d.Err("api_key takes one key and perhaps its weight, such as: api_key {env.NAME} weight 3; for several keys, repeat the option")
		}
		key.Key = args[0]
		v.APIKeys = append(v.APIKeys, key)
		return nil
	}
}

// maxConcurrency reads how many calls a target has at a time. Syntax:
//
//	max_concurrency <calls>
//	max_concurrency adaptive {
//		floor   <calls>
//		ceiling <calls>
//		initial <calls>
//	}
func (p *parser) maxConcurrency(path string, v *gateway.Provider) parseFunc {
	return p.at(path, func(d *caddyfile.Dispenser) error {
		l := new(breaker.LimitConfig)
		v.MaxConcurrency = l
		err := values("a whole number above 0, such as 20, or adaptive", 1, func(arg string) bool {
			l.Adaptive = arg == "adaptive"
			return l.Adaptive || count(&l.Ceiling)(arg)
		})(d)
		if err != nil || !l.Adaptive {
			return err
		}
		calls := func(name string, v *int) option {
			return once(p.at(path+"."+name, number(v, "20")))
		}
		return block{name: "max_concurrency", options: map[string]option{
			"floor":   calls("floor", &l.Floor),
			"ceiling": calls("ceiling", &l.Ceiling),
			"initial": calls("initial", &l.Initial),
		}}.parse(d)
	})
}

// leftover is what a provider's block holds for its adapter.
type leftover struct {
	tokens  []caddyfile.Token // as if the adapter alone had a block
	options []string          // their names
	common  []string          // the options of every provider
}

func (l *leftover) add(d *caddyfile.Dispenser) error {
	l.options = append(l.options, d.Val())
	l.tokens = append(l.tokens, d.NextSegment()...)
	return nil
}

// explain adds to an adapter's error that an option it was given looks like a
// common one, of which the adapter knows nothing, or else which those are.
func (l *leftover) explain(err error) error {
	for _, option := range l.options {
		if near := closest(option, l.common); near != "" {
			return fmt.Errorf("%w (every provider has the option %s; did you mean that by '%s'?)", err, near, option)
		}
	}
	if strings.Contains(err.Error(), "unknown option") {
		return fmt.Errorf("%w (besides, every provider has %s)", err, strings.Join(l.common, ", "))
	}
	return err
}

// next returns the token after d's current one, a zero Token at the end.
func next(d *caddyfile.Dispenser) caddyfile.Token {
	if !d.Next() {
		return caddyfile.Token{}
	}
	defer d.Prev()
	return d.Token()
}
