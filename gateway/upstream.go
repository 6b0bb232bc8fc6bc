package gateway

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/catalog"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
)

// upstream is a provider ready for use.
type upstream struct {
	name     string
	config   []byte // the adapter's
	provider provider.Provider
	speaker  provider.Speaker // provider, if it is one
	keys     *credentials
	limit    breaker.LimitConfig // of each target
	state    *targetState        // of targets that are not configured
	known    string              // the provider's name in the catalog, "" for none
	limits   limits
	probe    time.Duration // how often it is asked for its models, 0 for never
	shared   *transports
}

// limits are Timeouts with the defaults filled in; 0 means none.
type limits struct{ connect, firstByte, idle, total time.Duration }

func newUpstream(name string, adapter provider.Provider, keys *credentials, timeouts *Timeouts, config *Provider) *upstream {
	all := Timeouts{DefaultConnectTimeout, DefaultFirstByteTimeout, DefaultIdleTimeout, DefaultTotalTimeout}
	for _, t := range []*Timeouts{timeouts, config.Timeouts} {
		if t == nil {
			continue
		}
		for _, pair := range [...][2]*caddy.Duration{
			{&all.Connect, &t.Connect}, {&all.FirstByte, &t.FirstByte}, {&all.Idle, &t.Idle}, {&all.Total, &t.Total},
		} {
			if *pair[1] != 0 {
				*pair[0] = *pair[1]
			}
		}
	}
	bound := func(d caddy.Duration) time.Duration { return max(0, time.Duration(d)) }
	up := &upstream{
		name: name, config: config.AdapterRaw, provider: adapter, keys: keys,
		known:  catalogName(name, adapter),
		limits: limits{bound(all.Connect), bound(all.FirstByte), bound(all.Idle), bound(all.Total)},
	}
	up.probe = time.Duration(config.Probe)
	up.speaker, _ = adapter.(provider.Speaker)
	if config.MaxConcurrency != nil {
		up.limit = *config.MaxConcurrency
	}
	return up
}

// catalogName returns the name under which the catalog may know a provider: its
// own, or that of its adapter where that stands for one service.
func catalogName(name string, adapter provider.Provider) string {
	keyer, ok := adapter.(provider.EnvKeyer)
	if module, is := adapter.(caddy.Module); ok && is && keyer.EnvKey() != "" {
		return module.CaddyModule().ID.Name()
	}
	return name
}

// catalog returns what the catalog knows of a provider's model.
func (u *upstream) catalog(model string) (catalog.Model, bool) {
	return catalog.Lookup(u.known, model)
}

func priceOf(known catalog.Model) *policy.Price {
	return &policy.Price{
		Input: known.Input, Output: known.Output,
		CachedInput: known.CachedInput, CacheWrite: known.CacheWrite, CacheWriteHour: known.CacheWriteHour,
	}
}
