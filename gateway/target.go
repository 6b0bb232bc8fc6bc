package gateway

import (
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// target is one provider's own model in a configuration. Its Target is what
// policies are given: what the configuration does not say of it is filled in from the catalog.
type target struct {
	policy.Target
	up    *upstream
	can   provider.Capability
	state *targetState
}

// targetState is what is known of a target whatever the configuration.
type targetState struct {
	key     string // in targetPool
	labels  telemetry.TargetAdded
	breaker *breaker.Breaker
	limit   *breaker.Limit
	stats   policy.Stats
	waiting atomic.Int32           // how many are in line for it
	probed  atomic.Pointer[probed] // of a provider's own state; nil if it was not asked
}

// targetPool keeps what has been learned of targets over reloads.
var targetPool = caddy.NewUsagePool()

// holdState returns the state of a target, which is an earlier configuration's
// if that has the same target. One of the adapter's options that is changed
// makes it another.
func (a *App) holdState(up *upstream, model string) (*targetState, error) {
	h := fnv.New64a()
	_, _ = h.Write(up.config)
	key := fmt.Sprintf("%s/%s %x", up.name, model, h.Sum64())
	value, _, err := targetPool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return newTargetState(key, telemetry.TargetAdded{Provider: up.name, Model: model}, a.breakerConfig(), up.limit), nil
	})
	if err != nil {
		return nil, fmt.Errorf("opening the state of target %s/%s: %w", up.name, model, err)
	}
	state := value.(*targetState)
	a.states = append(a.states, heldState{state, up})
	return state, nil
}

// heldState is a state that a configuration uses, for one of its providers.
type heldState struct {
	*targetState
	up *upstream
}

func newTargetState(key string, labels telemetry.TargetAdded, c breaker.Config, limit breaker.LimitConfig) *targetState {
	s := &targetState{key: key, labels: labels}
	s.breaker = breaker.New(c, breaker.Options{OnChange: s.changed})
	s.limit = breaker.NewLimit(limit, s.freed)
	telemetry.TargetAdd.Emit(labels)
	return s
}

// update applies a configuration that has been accepted.
func (s *targetState) update(c breaker.Config, limit breaker.LimitConfig) {
	s.breaker.Update(c)
	s.limit.Update(limit)
	s.freed()
}

func (s *targetState) changed(_, to breaker.State) {
	provider, model := s.labels.Provider, s.labels.Model
	switch to {
	case breaker.Open:
		telemetry.BreakerOpen.Emit(telemetry.BreakerOpened{Provider: provider, Model: model, OpenFor: s.breaker.RetryAfter()})
	case breaker.HalfOpen:
		telemetry.BreakerHalfOpen.Emit(telemetry.BreakerProbing{Provider: provider, Model: model})
	case breaker.Closed:
		telemetry.BreakerClose.Emit(telemetry.BreakerClosed{Provider: provider, Model: model})
	}
}

// freed has those in line for the target tried again, and then what is queued.
func (s *targetState) freed() {
	if s.waiting.Load() > 0 {
		theLine.serve(s)
	}
	drains.freed()
}

// Destruct implements caddy.Destructor.
func (s *targetState) Destruct() error {
	telemetry.TargetRemove.Emit(telemetry.TargetRemoved(s.labels))
	return nil
}

// pass is the leave to make one call to a target.
type pass struct {
	t      *target
	permit breaker.Permit
	slot   breaker.Slot
	key    *credential
	queued *atomic.Int32 // counts calls of queued requests; nil for one that does not count
}

// refusal is why a target cannot take a call now.
type refusal struct {
	after time.Duration // how long it is sure to stand; 0 where that is not known
	down  bool          // its breaker is open
}

// enter asks for a pass. One that is not used must be given back.
func (t *target) enter(tried ...*credential) (pass, *refusal) {
	p := pass{t: t}
	if t.up.keys.several() {
		if after, ok := t.up.keys.ready(t.Model, tried...); !ok {
			return pass{}, &refusal{after: after}
		}
	}
	var err error
	if p.permit, err = t.state.breaker.Allow(); err != nil {
		return pass{}, refusalOf(err)
	}
	var ok bool
	if p.slot, ok = t.state.limit.Acquire(); !ok {
		p.permit.Done(breaker.Ignored)
		return pass{}, &refusal{}
	}
	t.state.stats.Begin()
	var retry time.Duration
	if p.key, retry, ok = t.up.keys.take(t.Model, tried...); !ok {
		go p.giveBack() // which may call for the line's lock, and the caller may hold it
		return pass{}, &refusal{after: retry}
	}
	return p, nil
}

// giveBack returns a pass that was not used.
func (p *pass) giveBack() {
	p.leave()
	p.t.state.stats.End()
	p.permit.Done(breaker.Ignored)
	p.slot.Release(breaker.Ignored, 0, false)
}

// leave ends the call as one of a queued request.
func (p *pass) leave() {
	if p.queued != nil {
		p.queued.Add(-1)
	}
}

// ready returns nil when enter would succeed, which it may not a moment later.
func (t *target) ready() *refusal {
	s := t.state
	if !s.breaker.Ready() {
		return &refusal{after: s.breaker.RetryAfter(), down: s.breaker.State() != breaker.Closed}
	}
	if limit := s.limit.Limit(); limit > 0 && s.limit.InFlight() >= limit {
		return &refusal{}
	}
	if t.up.keys.several() {
		if after, ok := t.up.keys.ready(t.Model); !ok {
			return &refusal{after: after}
		}
	}
	return nil
}

// capabilities returns what a target can do, from a list that Check has accepted.
func capabilities(list []string) provider.Capability {
	if list == nil {
		return provider.AllCapabilities
	}
	can := provider.Streaming
	for _, name := range list {
		if positive, no := strings.CutPrefix(name, "no_"); no {
			can &^= provider.ParseCapability(positive)
			continue
		}
		can |= provider.ParseCapability(name)
	}
	if can&provider.Kinds == 0 {
		can |= provider.Kinds
	}
	return can
}

// newTarget returns a target that the configuration names.
func (a *App) newTarget(config *policy.Target, up *upstream) (*target, error) {
	t := &target{Target: *config, up: up, can: capabilities(config.Capabilities)}
	known, ok := up.catalog(config.Model)
	if ok && t.Price == nil {
		t.Price = priceOf(known)
	}
	if ok && config.Capabilities == nil && known.Capabilities != 0 {
		t.can = known.Capabilities
	}
	if ok && t.Context == 0 {
		t.Context = known.Context
	}
	var err error
	if t.state, err = a.holdState(up, config.Model); err != nil {
		return nil, err
	}
	t.Stats = &t.state.stats
	return t, nil
}
