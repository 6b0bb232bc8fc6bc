package caddyfile

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// guest is a module, perhaps of a third party, that parses its own options.
type guest struct {
	kind      string // what errors call it
	namespace string
	name      string
}

// find takes d's current token as the guest's name. hint ends the error that
// there is no such module.
func (g *guest) find(d *caddyfile.Dispenser, hint string) error {
	g.name = d.Val()
	if _, err := caddy.GetModule(g.namespace + "." + g.name); err == nil {
		return nil
	}
	var known []string
	for _, info := range caddy.GetModules(g.namespace) {
		known = append(known, info.ID.Name())
	}
	return d.Errf("unknown %s '%s'%s: this build has %s, and `xcaddy build --with MODULE` adds more%s",
		g.kind, g.name, didYouMean(g.name, known), cmp.Or(strings.Join(known, ", "), "none"), hint)
}

// parse has the guest parse its tokens, of which the first is its name, and
// returns its JSON.
func (g *guest) parse(tokens []caddyfile.Token) (json.RawMessage, error) {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	v, err := caddyfile.UnmarshalModule(d, g.namespace+"."+g.name)
	if err != nil {
		return nil, err
	}
	var warnings []caddyconfig.Warning
	raw := caddyconfig.JSONModuleObject(v, "type", g.name, &warnings)
	if len(warnings) > 0 {
		return nil, d.Errf("encoding %s '%s': %s", g.kind, g.name, warnings[0].Message)
	}
	return raw, nil
}

// module reads the name of a guest, and what is its own, into raw.
func module(kind, namespace, example string, raw *json.RawMessage) parseFunc {
	return func(d *caddyfile.Dispenser) error {
		if _, err := argument(d, "a name, such as "+example); err != nil {
			return err
		}
		g := guest{kind: kind, namespace: namespace}
		err := g.find(d, "")
		if err != nil {
			return err
		}
		*raw, err = g.parse(d.NextSegment())
		return err
	}
}
