package keys

import (
	"math"
	"slices"
	"strings"
)

// Caller is who presented a secret. It never changes, and holds no secret and no hash of one. The
// nil *Caller is somebody without a key, where none is needed; its methods may be called.
type Caller struct {
	// Name is the key's name, the same whichever of its secrets was used.
	Name string
	// Priority is the best place in the queue that the caller may ask for: 0 is served first.
	Priority int
	// Metadata is for the log. It must not be changed.
	Metadata map[string]string

	models, routes []string
	own            *ruleSet            // nil for no limit
	byModel        map[string]*ruleSet // of the caller with a model
}

// Source is where a key is from.
type Source string

// The sources of keys.
const (
	FromConfig  Source = "config"
	FromFile    Source = "file"
	FromStorage Source = "storage"
)

// MayUse reports whether the caller may ask for a model that has all of these names: the one
// that was asked for, and those that an alias led to. One of them suffices.
func (c *Caller) MayUse(names ...string) bool {
	if c == nil || len(c.models) == 0 {
		return true
	}
	for _, name := range names {
		for _, m := range c.models {
			if prefix, ok := strings.CutSuffix(m, "*"); ok && strings.HasPrefix(name, prefix) || m == name {
				return true
			}
		}
	}
	return false
}

// MayCall reports whether the caller may make a kind of call, such as "chat".
func (c *Caller) MayCall(route string) bool {
	return c == nil || len(c.routes) == 0 || slices.Contains(c.routes, route)
}

// Lists reports whether a kind of call is among the routes that the key names, and not only as one of all.
func (c *Caller) Lists(route string) bool { return c != nil && slices.Contains(c.routes, route) }

// Metered reports whether the tokens that the caller uses, or what they cost, are limited.
func (c *Caller) Metered() bool {
	if c == nil {
		return false
	}
	metered := func(s *ruleSet) bool {
		return s != nil && slices.ContainsFunc(s.rules, func(r rule) bool { return r.kind == Tokens || r.kind == Spend })
	}
	for _, s := range c.byModel {
		if metered(s) {
			return true
		}
	}
	return metered(c.own)
}

// Restricted reports whether there are models that the caller may not ask for.
func (c *Caller) Restricted() bool { return c != nil && len(c.models) > 0 }

// LimitsModel reports whether the caller has limits for a model.
func (c *Caller) LimitsModel(model string) bool { return c != nil && c.byModel[model] != nil }

// BestPriority returns the priority that the caller gets who asks for one.
func (c *Caller) BestPriority(asked int) int {
	if c == nil {
		return asked
	}
	return max(asked, c.Priority)
}

// newCaller returns who a key stands for. Limits is the configuration's.
func newCaller(k *Key, limits *Limits) *Caller {
	if k.Limits != nil {
		limits = k.Limits
	}
	c := &Caller{
		Name: k.Name, Priority: k.Priority, Metadata: k.Metadata,
		models: k.Models, routes: k.Routes,
		own: newRuleSet(scopeID{caller: k.Name}, limits),
	}
	for model, limits := range k.ModelLimits {
		if set := newRuleSet(scopeID{caller: k.Name, model: model}, limits); set != nil {
			if c.byModel == nil {
				c.byModel = make(map[string]*ruleSet)
			}
			c.byModel[model] = set
		}
	}
	return c
}

// nano returns an amount of USD in billionths, in which budgets count.
func nano(usd float64) int64 {
	if !(usd > 0) { // nor NaN
		return 0
	}
	return int64(math.Round(min(usd, 1e9) * 1e9))
}
