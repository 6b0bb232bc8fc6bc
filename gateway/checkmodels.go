package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
)

func (k *checker) models() {
	for _, name := range slices.Sorted(maps.Keys(k.Models)) {
		path := "models." + name
		k.name(path, "model", name)
		m := k.Models[name]
		if m == nil || len(m.Targets) == 0 {
			k.addf(path+".targets", "model '%s' has no targets; give it at least one, written provider/model", name)
			continue
		}
		k.targets(path+".targets", name, m.Targets)
		if m.HedgeAfter > 0 && len(m.Targets) == 1 {
			k.addf(path+".hedge_after", "model '%s' has one target, and a hedge asks a second; add a target, or remove the hedge", name)
			continue
		}
		k.hedge(path+".hedge_after", "model '"+name+"'", m.HedgeAfter)
	}
}

func (k *checker) targets(path, model string, targets []*policy.Target) {
	seen := map[string]bool{}
	for i, t := range targets {
		path := fmt.Sprintf("%s[%d]", path, i)
		if t == nil {
			k.addf(path, "a target of model '%s' is null; remove it", model)
			continue
		}
		target := t.Provider + "/" + t.Model
		if seen[target] {
			k.addf(path, "model '%s' has target '%s' twice; remove one", model, target)
			continue
		}
		seen[target] = true
		k.target(path, t.Provider, t.Model)
		k.about(path, "target '"+target+"'", t)
	}
}

// about checks what is said about a target.
func (k *checker) about(path, what string, t *policy.Target) {
	k.weight(path+".weight", what, t.Weight)
	if t.Price != nil {
		k.price(path+".price", what, t.Price)
	}
	k.capabilities(path+".capabilities", what, t.Capabilities)
	if t.Context < 0 {
		k.addf(path+".context", "%s has a context of %d tokens; write how many input and output may have together, such as 128000", what, t.Context)
	}
}

func (k *checker) price(path, what string, p *policy.Price) {
	cached, written, hour := p.Cache()
	for _, f := range []struct {
		name string
		usd  float64
	}{
		{"input", p.Input}, {"output", p.Output}, {"cached_input", cached}, {"cache_write", written}, {"cache_write_1h", hour},
	} {
		if f.usd >= 0 && f.usd < maxPrice { // never so of NaN
			continue
		}
		k.addf(path+"."+f.name, "%s has the price %v; write USD per million tokens, at least 0 and less than %d", what, f.usd, maxPrice)
		return
	}
	if cached > p.Input {
		k.addf(path+".cached_input", "%s has the price %v for cached input and %v for other input, which never costs less; "+
			"in a Caddyfile the order is input, output, cached input, cache write, cache write for an hour", what, cached, p.Input)
	}
}

func (k *checker) capabilities(path, what string, names []string) {
	const noStreaming = "no_streaming"
	if names != nil && len(names) == 0 {
		k.addf(path, "%s has an empty list of capabilities; leave it out, or write what the model can do", what)
	}
	for i, name := range names {
		path := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case name != noStreaming && provider.ParseCapability(name) == 0:
			k.addf(path, "%s has the capability %q, which is unknown; known: %s, %s", what, name,
				strings.Join(provider.CapabilityNames(), ", "), noStreaming)
		case slices.Contains(names[:i], name):
			k.addf(path, "%s has the capability '%s' twice; remove one", what, name)
		case name == noStreaming && slices.Contains(names, provider.Streaming.String()):
			k.addf(path, "%s has both streaming and %s; remove one", what, noStreaming)
		}
	}
}

// target checks a target of a model, or of an alias that is written as one.
func (k *checker) target(path, provider, model string) {
	_, known := k.Providers[provider]
	switch {
	case provider == "":
		k.addf(path, "target '/%s' names no provider; write provider/model", model)
	case model == "":
		k.addf(path, "target '%s' names no model; write provider/model", provider)
	case strings.Contains(provider, "/"):
		k.addf(path, "target provider %q contains a slash; only its model may", provider)
	case !isName(provider) || !isName(model):
		k.addf(path, "target %q contains a space or an invisible character; remove it", provider+"/"+model)
	case !known && len(k.Providers) > 0:
		k.addf(path, "target '%s/%s' names provider '%s', which is not configured; configured: %s",
			provider, model, provider, strings.Join(slices.Sorted(maps.Keys(k.Providers)), ", "))
	}
}

func (k *checker) aliases() {
	for _, name := range slices.Sorted(maps.Keys(k.Aliases)) {
		path := "aliases." + name
		k.name(path, "alias", name)
		if _, ok := k.Models[name]; ok {
			k.addf(path, "alias '%s' has the name of a model, which would be found first; rename one of them", name)
			continue
		}
		if cycle := k.cycle(name); cycle == nil {
			k.aliasTarget(path, name, k.Aliases[name])
		} else if name == slices.Min(cycle) {
			k.addf(path, "alias '%s' leads back to itself (%s); let one of them name a model or provider/model",
				name, strings.Join(append(cycle, name), " -> "))
		}
	}
}

// aliasTarget checks what alias leads to, one step ahead.
func (k *checker) aliasTarget(path, alias, to string) {
	_, isModel := k.Models[to]
	_, isAlias := k.Aliases[to]
	provider, model, isTarget := strings.Cut(to, "/")
	switch {
	case isModel || isAlias:
	case isTarget:
		k.target(path, provider, model)
	case !isName(to):
		k.addf(path, "alias '%s' leads to %q, which is no name; let it name a model or provider/model", alias, to)
	default:
		k.addf(path, "alias '%s' leads to '%s', which is neither a model nor an alias; for a provider's own model write provider/%s", alias, to, to)
	}
}

// cycle returns the aliases from name until name comes again, nil if it doesn't.
func (k *checker) cycle(name string) []string {
	chain := []string{name}
	for range k.Aliases {
		next := k.Aliases[chain[len(chain)-1]]
		if next == name {
			return chain
		}
		_, isModel := k.Models[next]
		if _, isAlias := k.Aliases[next]; isModel || !isAlias {
			return nil
		}
		chain = append(chain, next)
	}
	return nil // into a cycle of others
}
