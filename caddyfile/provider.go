package caddyfile

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/gateway"
)

// provider reads one upstream API. Syntax:
//
//	provider <name> [<adapter>] {
//		api_key <key>
//		passthrough
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
		"api_key":     many(p.apiKey(path, v)),
		"passthrough": once(p.at(path+".passthrough", set(&v.Passthrough))),
		"timeouts":    once(p.timeouts(path+".timeouts", &v.Timeouts)),
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

func (p *parser) apiKey(path string, v *gateway.Provider) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		p.mark(fmt.Sprintf("%s.api_keys[%d]", path, len(v.APIKeys)), d)
		key, err := argument(d, "a key, best as a placeholder such as {env.OPENAI_API_KEY}")
		if err == nil && d.NextArg() { // which may be a secret: it stays out of the error
			err = d.Err("api_key takes one key; for several, repeat the option")
		}
		v.APIKeys = append(v.APIKeys, key)
		return err
	}
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
// common one, of which the adapter knows nothing.
func (l *leftover) explain(err error) error {
	for _, option := range l.options {
		if near := closest(option, l.common); near != "" {
			return fmt.Errorf("%w (every provider has the option %s; did you mean that by '%s'?)", err, near, option)
		}
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
