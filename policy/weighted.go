package policy

import (
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

func init() { caddy.RegisterModule(new(Weighted)) }

// Weighted takes the targets in turn, each as often as its weight says: with
// weights of 5, 1 and 1 the order is a a b a c a a. Of the requests that a target
// could be chosen for, it gets its share, however often it could not be.
type Weighted struct{ turns turns }

// CaddyModule returns the Caddy module information.
func (*Weighted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone.policies.weighted",
		New: func() caddy.Module { return new(Weighted) },
	}
}

// Select returns the target whose turn it is.
func (p *Weighted) Select(targets []*Target, _ *provider.Request) *Target {
	return p.turns.next(targets, (*Target).weight)
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	weighted
func (*Weighted) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noOptions(d) }

// unit is the credit that a choice costs. It can be shared out without a remainder
// among up to 16 equals, and times the highest weight it fits an int64.
const unit = 720720 << 20

// turns is a smooth weighted round robin, nginx's but for the price: each choice
// costs the same, so that it does not matter how many took part. Those that do share
// what it costs by their weights, as credit, and the one that has most then is
// chosen and pays. Those that take no part neither gain nor lose, so one that
// comes back has nothing to catch up with.
type turns struct {
	mu       sync.Mutex
	accounts []account // of the targets seen so far, which are few
}

type account struct {
	target *Target
	credit int64
}

func (p *turns) next(targets []*Target, weight func(*Target) int) *Target {
	var total int64
	for _, t := range targets {
		total += int64(weight(t))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for _, t := range targets {
		i := p.account(t)
		p.accounts[i].credit += int64(weight(t)) * unit / total
		if best < 0 || p.accounts[i].credit > p.accounts[best].credit {
			best = i
		}
	}
	p.accounts[best].credit -= unit
	return p.accounts[best].target
}

// account returns where the account of t is, and opens one if there is none.
func (p *turns) account(t *Target) int {
	for i := range p.accounts {
		if p.accounts[i].target == t {
			return i
		}
	}
	p.accounts = append(p.accounts, account{target: t})
	return len(p.accounts) - 1
}

// Interface guards
var (
	_ Selector              = (*Weighted)(nil)
	_ caddyfile.Unmarshaler = (*Weighted)(nil)
)
