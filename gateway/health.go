package gateway

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/breaker"
)

// HealthState is how something is, in the words of draft-inadarei-api-health-check.
type HealthState string

// The states, from good to bad. What warns works, though not as well as it should.
const (
	Pass HealthState = "pass"
	Warn HealthState = "warn"
	Fail HealthState = "fail"
)

// worse returns the worse of two states.
func worse(a, b HealthState) HealthState {
	for _, s := range [...]HealthState{Fail, Warn} {
		if a == s || b == s {
			return s
		}
	}
	return Pass
}

// Health is how the gateway is.
type Health struct {
	// Status is Fail when requests are better sent elsewhere.
	Status HealthState `json:"status"`
	// Checks are the components, by name.
	Checks map[string][]HealthCheck `json:"checks"`
}

// HealthCheck is how a component is.
type HealthCheck struct {
	Status HealthState `json:"status"`
	// ComponentID is which one of several it is: a provider's name.
	ComponentID string `json:"componentId,omitempty"`
	// ObservedValue is a number of ObservedUnit.
	ObservedValue any    `json:"observedValue,omitempty"`
	ObservedUnit  string `json:"observedUnit,omitempty"`
	// Output says what is amiss.
	Output string `json:"output,omitempty"`
}

const (
	// queueSilent is for how long a queue may not answer before it counts as away.
	queueSilent = 3 * time.Second
	// drainSilent is for how long the upkeep may be silent, which may wait for the queue.
	drainSilent = 30 * time.Second
)

// Health returns how the gateway is, by what is known without asking anybody, so that it may be
// called as often as one likes. It fails when the process is about to exit, when no provider works,
// and when a queue that the configuration names does not answer.
func (a *App) Health() Health {
	h := Health{Status: Pass, Checks: make(map[string][]HealthCheck)}
	works := len(a.upstreams) == 0
	for _, name := range slices.Sorted(maps.Keys(a.upstreams)) {
		check := a.providerHealth(name)
		if check.Status == Pass && a.upstreams[name].keys.allRefused() {
			// It does not fail: only a request can tell that the keys are valid again.
			check.Status, check.Output = Warn, "it refuses the API keys"
		}
		works = works || check.Status != Fail
		if check.Status != Pass {
			h.Status = Warn // others may serve
		}
		h.Checks["provider:breaker"] = append(h.Checks["provider:breaker"], check)
		h.addProbe(a.upstreams[name])
	}
	if !works {
		h.Status = Fail
	}
	h.addQueue(a)
	if exit.announced.Load() {
		h.add("gateway:exit", HealthCheck{Status: Fail, Output: "the process is about to exit"})
	}
	return h
}

func (h *Health) add(name string, check HealthCheck) {
	h.Checks[name] = append(h.Checks[name], check)
	h.Status = worse(h.Status, check.Status)
}

// providerHealth tells by the breakers of a provider's targets how it is: of those that are
// configured, or else of what stands for all others.
func (a *App) providerHealth(name string) HealthCheck {
	var named, others tally
	for _, held := range a.states {
		switch {
		case held.up.name != name:
		case held.labels.Model == "":
			others.count(held.breaker)
		default:
			named.count(held.breaker)
		}
	}
	if named.all == 0 {
		named = others
	}
	check := HealthCheck{Status: Pass, ComponentID: name}
	switch {
	case named.open == 0:
	case named.open < named.all:
		check.Status, check.Output = Warn, fmt.Sprintf("%d of %d targets are not working", named.open, named.all)
	default:
		check.Status, check.Output = Fail, "it is not working"
	}
	return check
}

// tally counts breakers.
type tally struct{ open, all int }

func (t *tally) count(b *breaker.Breaker) {
	t.all++
	if b.State() == breaker.Open {
		t.open++
	}
}

// addQueue adds the queue and its drain, if the queue is open or should be.
func (h *Health) addQueue(a *App) {
	j := &a.jobs
	j.mu.Lock()
	service, started := j.service, j.started
	j.mu.Unlock()
	if service == nil {
		if a.Overflow != nil && j.setup != nil && started {
			h.add("queue", HealthCheck{Status: Fail, Output: "the queue is not open"})
		}
		return
	}
	seen := service.Health()
	queue := HealthCheck{Status: Pass}
	switch {
	case seen.Draining && seen.Seen > queueSilent:
		queue.Status, queue.Output = Fail, "the queue does not answer"
	case seen.Stats != nil && seen.Stats.NearlyFull():
		queue.Status, queue.Output = Warn, "the queue is nearly full"
		queue.ObservedValue, queue.ObservedUnit = seen.Stats.Bytes, "bytes"
	}
	if a.Overflow == nil { // nobody has asked for one
		if queue.Status == Fail {
			queue.Status = Warn
		}
	}
	h.add("queue", queue)
	drain := HealthCheck{Status: Pass}
	switch {
	case seen.Draining && seen.Looked > drainSilent:
		drain.Status, drain.Output = Fail, "the drain has stopped"
	case seen.Stuck:
		drain.Status, drain.Output = Warn, "a job goes on that should have ended"
	case seen.Stats != nil && seen.Stats.Paused:
		drain.Status, drain.Output = Warn, "the queue is paused"
	}
	h.add("drain", drain)
}
