package policy

import (
	"cmp"
	"math"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

// The size of a call that does not tell, in tokens: a question with some context,
// and an answer of a few paragraphs.
const (
	usualInput  = 1000
	usualOutput = 500
)

func init() { caddy.RegisterModule(Cost{}) }

// Cost takes the target that is cheapest for the request: for its input, as
// estimated, and for 500 tokens of output, or what the client allows if that is
// less. Of an input that cannot be estimated it supposes 1000 tokens. Targets of
// unknown price come last. Those that cost the same are taken in the order of the
// configuration.
type Cost struct{}

// CaddyModule returns the Caddy module information.
func (Cost) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.policies.cost",
		New: func() caddy.Module { return new(Cost) },
	}
}

// Select returns the cheapest target.
func (Cost) Select(targets []*Target, r *provider.Request) *Target {
	input := float64(cmp.Or(r.Needs.InputTokens, usualInput))
	output := float64(min(cmp.Or(r.Needs.OutputTokens, usualOutput), usualOutput))
	best, lowest := targets[0], math.Inf(1)
	for _, t := range targets {
		if t.Price == nil {
			continue
		}
		if cost := input*t.Price.Input + output*t.Price.Output; cost < lowest {
			best, lowest = t, cost
		}
	}
	return best
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	cost
func (*Cost) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noOptions(d) }

// Interface guards
var (
	_ Selector              = (*Cost)(nil)
	_ caddyfile.Unmarshaler = (*Cost)(nil)
)
