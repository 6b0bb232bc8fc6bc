package command

import (
	"cmp"
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/gateway"
)

// topWindow is how much of the past the rates of runestone top are of.
const topWindow = 10 * time.Second

// topSample is what the gateway has said of itself at one moment.
type topSample struct {
	at     time.Time
	status statusReport
	counts *topCounts
	queue  *gateway.QueueStatus // nil unless there is one
}

// topView is what runestone top shows, and the place in it where its user is.
type topView struct {
	address string
	// seen are the samples of the window, the latest last. There is at least one.
	seen []*topSample
	// trouble says why nothing newer is known, "" if there is.
	trouble string
	paused  bool
	// selected is the provider whose targets are shown.
	selected string
	// skipped is how many of its targets are above those that are shown.
	skipped int
}

// observe takes note of a sample.
func (v *topView) observe(s *topSample) {
	v.trouble = ""
	if n := len(v.seen); n > 0 && v.seen[n-1].counts.before(s.counts) {
		v.seen = nil // the gateway was started anew
	}
	v.seen = append(v.seen, s)
	for len(v.seen) > 2 && s.at.Sub(v.seen[1].at) >= topWindow {
		v.seen = v.seen[1:]
	}
	if !slices.ContainsFunc(s.status.Providers, func(p gateway.ProviderStatus) bool { return p.Name == v.selected }) {
		v.selected, v.skipped = "", 0
		if len(s.status.Providers) > 0 {
			v.selected = s.status.Providers[0].Name
		}
	}
}

func (v *topView) last() *topSample { return v.seen[len(v.seen)-1] }

// rates returns those of a provider, or of all if it is "". ok is whether they are known.
func (v *topView) rates(provider string) (r topRates, ok bool) {
	first, last := v.seen[0], v.last()
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return r, false
	}
	if provider == "" {
		return last.counts.all.since(&first.counts.all, seconds), true
	}
	count := last.counts.providers[provider]
	if count == nil {
		return r, true
	}
	return count.since(first.counts.providers[provider], seconds), true
}

// topKey is what the user can do.
type topKey int

const (
	keyNone topKey = iota
	keyQuit
	keyPause
	keyUp
	keyDown
	keyPageUp
	keyPageDown
)

// press does what a key is for, and reports whether to go on.
func (v *topView) press(k topKey) bool {
	switch k {
	case keyQuit:
		return false
	case keyPause:
		v.paused = !v.paused
	case keyUp:
		v.move(-1)
	case keyDown:
		v.move(1)
	case keyPageUp:
		v.skipped = max(0, v.skipped-topPage)
	case keyPageDown: // rows sees to it that there is something left to see
		v.skipped += topPage
	}
	return true
}

// topPage is by how many targets a page goes on.
const topPage = 5

// move selects another provider; after the last comes the first.
func (v *topView) move(by int) {
	providers := v.last().status.Providers
	if len(providers) == 0 {
		return
	}
	i := slices.IndexFunc(providers, func(p gateway.ProviderStatus) bool { return p.Name == v.selected })
	v.selected, v.skipped = providers[(i+by+len(providers))%len(providers)].Name, 0
}

// targets returns those of a provider, or of all if it is "", for which there is something to show.
func (v *topView) targets(provider string) (targets []*targetReport) {
	all := v.last().status.Targets
	for i := range all {
		if t := &all[i]; (provider == "" || t.Provider == provider) && (t.Model != "" || !t.idle()) {
			targets = append(targets, t)
		}
	}
	return targets
}

// providerState is what the breakers and the keys of a provider come to.
func (v *topView) providerState(p *gateway.ProviderStatus) topSpan {
	targets := v.targets(p.Name)
	var open, probing int
	for _, t := range targets {
		switch t.Breaker.State {
		case breaker.Open.String():
			open++
		case breaker.HalfOpen.String():
			probing++
		}
	}
	usable := len(p.Credentials) == 0 || slices.ContainsFunc(p.Credentials, func(c gateway.CredentialStatus) bool { return c.State == "ok" })
	switch {
	case open > 0 && open == len(targets):
		return topSpan{"open", toneBad}
	case open > 0:
		return topSpan{count(open) + " of " + count(len(targets)) + " open", toneWarn}
	case !usable:
		return topSpan{"key " + p.Credentials[0].State, toneBad}
	case probing > 0:
		return topSpan{"half-open", toneWarn}
	}
	return topSpan{"closed", toneGood}
}

// inFlight returns how many calls of a provider are under way.
func (v *topView) inFlight(provider string) int {
	n := 0
	all := v.last().status.Targets
	for i := range all {
		if all[i].Provider == provider {
			n += all[i].InFlight
		}
	}
	return n
}

// limited returns how many requests a second limits have refused.
func (v *topView) limited() float64 {
	first, last := v.seen[0], v.last()
	return (last.counts.limited - first.counts.limited) / cmp.Or(last.at.Sub(first.at).Seconds(), 1)
}
