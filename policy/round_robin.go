package policy

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

func init() { caddy.RegisterModule(new(RoundRobin)) }

// RoundRobin takes the targets in turn, whatever their weights. Of the requests
// that a target could be chosen for, it gets its share, however often it could not be.
type RoundRobin struct{ turns turns }

// CaddyModule returns the Caddy module information.
func (*RoundRobin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.policies.round_robin",
		New: func() caddy.Module { return new(RoundRobin) },
	}
}

// Select returns the target whose turn it is.
func (p *RoundRobin) Select(targets []*Target, _ *provider.Request) *Target {
	return p.turns.next(targets, func(*Target) int { return 1 })
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	round_robin
func (*RoundRobin) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noOptions(d) }

// Interface guards
var (
	_ Selector              = (*RoundRobin)(nil)
	_ caddyfile.Unmarshaler = (*RoundRobin)(nil)
)
