// Package policy chooses which target of a model to ask next. A policy is a
// Caddy module in the namespace runestone.policies whose type implements [Selector].
package policy

import (
	"cmp"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

// Target is one provider's own model.
type Target struct {
	// Provider is the name of a configured provider.
	Provider string `json:"provider"`
	// Model is the provider's own name for the model.
	Model string `json:"model"`

	// Weight is the target's share under the policies weighted (of the requests) and
	// least_busy (of the calls under way), in proportion to the others'. Default
	// 1, at most 1000000.
	Weight int `json:"weight,omitempty"`

	// Price is what the provider charges. Default: what the catalog says, if it knows the model.
	Price *Price `json:"price,omitempty"`

	// Capabilities are what the model can do: any of chat, completions, embeddings, tools, vision,
	// audio, json_schema. Of a list that names no kind of call (the first three) any kind
	// is taken to be there; streaming always is, unless no_streaming is listed. Default: what the catalog says, and of a
	// model that it does not know, everything.
	Capabilities []string `json:"capabilities,omitempty"`

	// Context is how many tokens input and output may have together. Default:
	// what the catalog says, else no bound.
	Context int `json:"context,omitempty"`

	// Stats is what the gateway has seen of the target. It is set when the
	// gateway hands the target to a Selector, and kept over reloads.
	Stats *Stats `json:"-"`
}

// weight returns Weight or its default.
func (t *Target) weight() int { return max(t.Weight, 1) }

// Price is what a provider charges in USD per million tokens.
type Price struct {
	Input  float64 `json:"input"`
	Output float64 `json:"output"`
	// CachedInput is for input that the provider had in its cache. Default: Input.
	CachedInput *float64 `json:"cached_input,omitempty"`
	// CacheWrite is for input that the provider puts into its cache. Default: Input.
	CacheWrite *float64 `json:"cache_write,omitempty"`
	// CacheWriteHour is for input that the provider keeps in its cache for an hour, where that costs
	// something else. Default: CacheWrite.
	CacheWriteHour *float64 `json:"cache_write_1h,omitempty"`
}

// Cache returns the prices of CachedInput, CacheWrite and CacheWriteHour, or their defaults.
func (p *Price) Cache() (cached, written, hour float64) {
	write := cmp.Or(p.CacheWrite, &p.Input)
	return *cmp.Or(p.CachedInput, &p.Input), *write, *cmp.Or(p.CacheWriteHour, write)
}

// Tokens are what is paid for. Of Input, CachedInput was in the provider's cache and CacheWrite was put there,
// CacheWriteHour of that for an hour.
type Tokens struct {
	Input, CachedInput, CacheWrite, CacheWriteHour, Output int64
}

// Cost returns what so many tokens cost in USD.
func (p *Price) Cost(t Tokens) float64 {
	cached, written, hour := p.Cache()
	part := func(tokens int64, price float64) float64 { return float64(tokens) * price / 1e6 }
	return part(max(0, t.Input-t.CachedInput-t.CacheWrite), p.Input) + part(t.CachedInput, cached) +
		part(t.CacheWrite-t.CacheWriteHour, written) + part(t.CacheWriteHour, hour) + part(t.Output, p.Output)
}

// Selector picks the target to try next.
type Selector interface {
	// Select returns one of targets, which is never empty, is in the order of
	// the configuration and holds only those that r has not been tried on.
	// It is called concurrently, must be fast, and must not keep or modify targets. As
	// long as the configuration lives, and with it the Selector, a target has the same
	// address, and it may be known by that.
	Select(targets []*Target, r *provider.Request) *Target
}

// noOptions parses the Caddyfile tokens of a policy that is no more than its name.
func noOptions(d *caddyfile.Dispenser) error {
	d.Next()
	name := d.Val()
	if d.NextArg() || d.NextBlock(0) {
		return d.Errf("policy %s takes no options, but here is '%s'; remove it", name, d.Val())
	}
	return nil
}
