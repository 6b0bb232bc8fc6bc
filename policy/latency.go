package policy

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

// DefaultExplore is the default of [Latency]'s Explore.
const DefaultExplore = 0.05

const (
	// failureLatency is what a call that fails is taken to cost its client.
	failureLatency = 10 * time.Second
	// unknownLatency is what is supposed where there is nothing to go by.
	unknownLatency = time.Second
	// fewFailures is the failure ratio up to which a target is worth measuring. After
	// one failure and nothing else it is reached within two minutes.
	fewFailures = 0.05
)

func init() { caddy.RegisterModule(Latency{}) }

// Latency takes the target whose first token comes soonest by the average of the
// last minute or two: of streams for a stream, of whole answers for a whole one. A call
// that failed counts as ten seconds. A target of which nothing is known is asked first,
// with one call at a time until something is.
type Latency struct {
	// Explore is the share of the requests, from 0 to 1, that go to one of the
	// other targets, to find one that has become faster. With 0 that is found only when
	// the fastest cannot serve. Default 0.05.
	Explore *float64 `json:"explore,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Latency) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.policies.latency",
		New: func() caddy.Module { return new(Latency) },
	}
}

// Validate implements caddy.Validator.
func (p *Latency) Validate() error {
	if share := p.explore(); !(share >= 0 && share <= 1) {
		return fmt.Errorf("explore must be from 0 to 1, not %v", share)
	}
	return nil
}

func (p *Latency) explore() float64 {
	if p.Explore == nil {
		return DefaultExplore
	}
	return *p.Explore
}

// Select returns the fastest target, or one to measure.
func (p *Latency) Select(targets []*Target, r *provider.Request) *Target {
	var best *Target
	var least time.Duration
	var measured bool // best is
	for _, t := range targets {
		failures := t.Stats.FailureRatio()
		latency, ok := t.Stats.Latency(r.Stream)
		if !ok {
			calls := t.Stats.InFlight()
			if calls == 0 && failures <= fewFailures {
				return t
			}
			// It is for when no target is measured. Many calls may come before the
			// first is answered, so they are spread.
			latency = supposed(t.Stats, r.Stream) * time.Duration(calls+1)
		}
		latency += time.Duration(failures * float64(failureLatency))
		if best == nil || ok && !measured || ok == measured && latency < least {
			best, least, measured = t, latency, ok
		}
	}
	if others := len(targets) - 1; others > 0 && rand.Float64() < p.explore() {
		if t := targets[rand.IntN(others)]; t != best {
			return t
		}
		return targets[others]
	}
	return best
}

// supposed returns what goes for the latency of a target that has none for
// this kind of answer: that of the other kind, if it has one.
func supposed(s *Stats, stream bool) time.Duration {
	if d, ok := s.Latency(!stream); ok {
		return d
	}
	return unknownLatency
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	latency {
//		explore <ratio>
//	}
func (p *Latency) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("policy latency takes no arguments, but here is '%s'; its option goes into a block: explore", d.Val())
	}
	for d.NextBlock(0) {
		if d.Val() != "explore" {
			return d.Errf("unknown option '%s' of policy latency: its option is explore", d.Val())
		}
		if p.Explore != nil {
			return d.Err("option 'explore' of policy latency is already set; remove one of them")
		}
		args := d.RemainingArgs()
		if len(args) != 1 {
			return d.Errf("explore needs one number from 0 to 1, such as %v", DefaultExplore)
		}
		share, err := strconv.ParseFloat(args[0], 64)
		if err != nil {
			return d.Errf("explore '%s' is no number; write one from 0 to 1, such as %v", args[0], DefaultExplore)
		}
		p.Explore = &share
		if err := p.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// Interface guards
var (
	_ Selector              = (*Latency)(nil)
	_ caddy.Validator       = (*Latency)(nil)
	_ caddyfile.Unmarshaler = (*Latency)(nil)
)
