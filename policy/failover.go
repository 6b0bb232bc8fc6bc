package policy

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

func init() { caddy.RegisterModule(Failover{}) }

// Failover tries the targets in the order of the configuration. It is the default.
type Failover struct{}

// CaddyModule returns the Caddy module information.
func (Failover) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.policies.failover",
		New: func() caddy.Module { return new(Failover) },
	}
}

// Select returns the first target.
func (Failover) Select(targets []*Target, _ *provider.Request) *Target { return targets[0] }

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	failover
func (*Failover) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noOptions(d) }

// Interface guards
var (
	_ Selector              = (*Failover)(nil)
	_ caddyfile.Unmarshaler = (*Failover)(nil)
)
