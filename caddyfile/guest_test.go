package caddyfile

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The modules in this file stand for those of third parties.

func init() {
	caddy.RegisterModule(acme{})
	caddy.RegisterModule(mute{})
	caddy.RegisterModule(dice{})
	caddy.RegisterModule(shelf{})
}

// acme is an adapter with options and a block of its own.
type acme struct {
	Greeting string `json:"greeting,omitempty"`
	Depth    int    `json:"depth,omitempty"`
}

func (acme) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "runestone.providers.acme", New: func() caddy.Module { return new(acme) }}
}

func (a *acme) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.Val() != "acme" || d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "greeting":
			if !d.AllArgs(&a.Greeting) {
				return d.ArgErr()
			}
		case "nested":
			if err := a.nested(d); err != nil {
				return err
			}
		default:
			return d.Errf("acme has no option '%s'", d.Val())
		}
	}
	return nil
}

func (a *acme) nested(d *caddyfile.Dispenser) (err error) {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "depth" || !d.NextArg() {
			return d.Errf("nested has the option depth only")
		}
		if a.Depth, err = strconv.Atoi(d.Val()); err != nil {
			return d.Errf("depth '%s' is no number", d.Val())
		}
	}
	return nil
}

// mute is an adapter that knows JSON only.
type mute struct{}

func (mute) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "runestone.providers.mute", New: func() caddy.Module { return new(mute) }}
}

// dice is a policy with an argument and a block.
type dice struct {
	Sides  string `json:"sides,omitempty"`
	Loaded bool   `json:"loaded,omitempty"`
}

func (dice) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "runestone.policies.dice", New: func() caddy.Module { return new(dice) }}
}

func (v *dice) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&v.Sides) {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		if v.Loaded = d.Val() == "loaded"; !v.Loaded {
			return d.Errf("dice has no option '%s'", d.Val())
		}
	}
	return nil
}

// shelf is a queue with an argument and a block.
type shelf struct {
	Room  string `json:"room,omitempty"`
	Dusty bool   `json:"dusty,omitempty"`
}

func (shelf) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "runestone.queues.shelf", New: func() caddy.Module { return new(shelf) }}
}

func (v *shelf) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		v.Room = d.Val()
	}
	for d.NextBlock(0) {
		if v.Dusty = d.Val() == "dusty"; !v.Dusty {
			return d.Errf("shelf has no option '%s'", d.Val())
		}
	}
	return nil
}
