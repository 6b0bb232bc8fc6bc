package policy

import (
	"math/rand/v2"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

func init() { caddy.RegisterModule(LeastBusy{}) }

// LeastBusy takes the target with the fewest calls under way in proportion to its
// weight: one of weight 3 has three times as many as one of weight 1. Among equals,
// such as targets with no call at all, it draws lots, as many as their weight for each.
type LeastBusy struct{}

// CaddyModule returns the Caddy module information.
func (LeastBusy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.policies.least_busy",
		New: func() caddy.Module { return new(LeastBusy) },
	}
}

// Select returns the target with the fewest calls in proportion to its weight.
func (LeastBusy) Select(targets []*Target, _ *provider.Request) *Target {
	best := targets[0]
	calls, weight := best.Stats.InFlight(), best.weight()
	lots := weight // of all that are as busy as best
	for _, t := range targets[1:] {
		n, w := t.Stats.InFlight(), t.weight()
		switch more := n*weight - calls*w; {
		case more < 0:
			best, calls, weight, lots = t, n, w, w
		case more == 0:
			// It takes the place of the winner so far with the chance of its lots
			// among all, so every one of the equals ends with its own chance.
			if lots += w; rand.IntN(lots) < w {
				best = t
			}
		}
	}
	return best
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	least_busy
func (*LeastBusy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noOptions(d) }

// Interface guards
var (
	_ Selector              = (*LeastBusy)(nil)
	_ caddyfile.Unmarshaler = (*LeastBusy)(nil)
)
