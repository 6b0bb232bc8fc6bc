package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// route is what a name leads to.
type route struct {
	name     string // as clients write it
	named    bool   // it is in the configuration
	header   string // the value of Runestone-Model
	targets  []*target
	can      provider.Capability // what every target can do
	context  int                 // the shortest context of a target, 0 for no bound
	selector policy.Selector
	hedge    time.Duration // the model's own, 0 for the default
}

// loadModels makes the routes of the configured models and aliases.
func (a *App) loadModels(ctx caddy.Context) error {
	a.routes = make(map[string]*route)
	for name, model := range a.Models {
		r := newRoute(name)
		r.named, r.hedge = true, time.Duration(model.HedgeAfter)
		if model.PolicyRaw != nil {
			module, err := ctx.LoadModule(model, "PolicyRaw")
			if err != nil {
				return fmt.Errorf("models.%s: loading the policy: %w", name, err)
			}
			r.selector = module.(policy.Selector)
		}
		for i, t := range model.Targets {
			up := a.upstreams[t.Provider]
			if up == nil {
				return fmt.Errorf("models.%s.targets[%d]: there is no provider %q; there is %s%s",
					name, i, t.Provider, a.providerNames(), missing(t.Provider))
			}
			own, err := a.newTarget(t, up)
			if err != nil {
				return err
			}
			r.add(own)
		}
		a.routes[name] = r
	}
	for alias := range a.Aliases {
		r, err := a.aliased(alias)
		if err != nil {
			return fmt.Errorf("aliases.%s: %w", alias, err)
		}
		a.routes[alias] = r
	}
	telemetry.KnowModels(slices.Collect(maps.Keys(a.routes))...)
	return nil
}

// newRoute returns the route of a name that leads to these targets, in their order.
func newRoute(name string, targets ...*target) *route {
	r := &route{name: name, header: headerText(name), selector: policy.Failover{}, can: provider.AllCapabilities}
	for _, t := range targets {
		r.add(t)
	}
	return r
}

// headerText returns a text as a header can hold it: one with other characters than ASCII's printable ones, such as a client may
// call a model, is escaped as in a URL.
func headerText(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return url.PathEscape(s)
		}
	}
	return s
}

func (r *route) add(t *target) {
	r.targets = append(r.targets, t)
	r.can &= t.can
	if t.Context > 0 && (r.context == 0 || t.Context < r.context) {
		r.context = t.Context
	}
}

// subject names the route in a sentence.
func (r *route) subject() string {
	if r.name == "" {
		return "The provider " + r.targets[0].Provider
	}
	return "The model '" + r.name + "'"
}

// serving returns the route without the targets that do not serve a request's call.
func (r *route) serving(req *provider.Request) (*route, *dialect.Error) {
	all := true
	for _, t := range r.targets {
		all = all && t.serves(req)
	}
	if all {
		return r, nil
	}
	left := *r
	left.targets, left.context, left.can = nil, 0, provider.AllCapabilities
	for _, t := range r.targets {
		if t.serves(req) {
			left.add(t)
		}
	}
	if len(left.targets) == 0 {
		return nil, dialect.Invalid("", "unsupported_endpoint", r.subject()+" does not serve "+req.Path+".")
	}
	return &left, nil
}

// able returns the route without the targets that cannot do what a request needs.
// The estimate of its length decides among targets, but only what is sure to be too long is refused.
func (r *route) able(a *App, req *provider.Request) (*route, *dialect.Error) {
	r, told := r.serving(req)
	if told != nil {
		return nil, told
	}
	needs := req.Needs
	length := needs.InputTokens + needs.OutputTokens
	if !r.named || r.can.Has(needs.Capabilities) && (r.context == 0 || length <= r.context) {
		return r, nil
	}
	left := *r
	left.targets, left.context = nil, 0
	longest := 0
	missing := needs.Capabilities
	for _, t := range r.targets {
		missing &^= t.can
		if t.can.Has(needs.Capabilities) {
			longest = max(longest, t.Context)
			if t.Context == 0 || length <= t.Context {
				left.add(t)
			}
		}
	}
	switch {
	case len(left.targets) > 0:
		return &left, nil
	case longest > 0 && length/2 <= longest:
		// It may fit after all: the ones with the longest context are asked.
		for _, t := range r.targets {
			if t.Context == longest && t.can.Has(needs.Capabilities) {
				left.add(t)
			}
		}
		return &left, nil
	case longest > 0:
		return nil, dialect.Invalid("", "context_length_exceeded", fmt.Sprintf(
			"The request is about %d tokens long, and the model '%s' takes at most %d.%s", length, r.name, longest, a.others(r, needs, length)))
	}
	if missing == 0 { // each is there, but in no target are all
		missing = needs.Capabilities
	}
	return nil, dialect.Invalid("", "unsupported_capability", fmt.Sprintf(
		"The model '%s' does not have what the request needs: %s.%s", r.name, missing, a.others(r, needs, length)))
}

// others says which models could serve a request that r cannot.
func (a *App) others(r *route, needs provider.Needs, length int) string {
	var names []string
	for name, other := range a.routes {
		for _, t := range other.targets {
			if name != r.name && t.can.Has(needs.Capabilities) && (t.Context == 0 || length <= t.Context) {
				names = append(names, name)
				break
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return " Models that do: " + strings.Join(names, ", ") + "."
}

// aliased returns the route of an alias. Check has refused cycles.
func (a *App) aliased(alias string) (*route, error) {
	to := alias
	for {
		next, ok := a.Aliases[to]
		if !ok {
			break
		}
		to = next
	}
	if r := a.routes[to]; r != nil {
		r := *r
		r.name, r.header = alias, headerText(alias)
		return &r, nil
	}
	if r := a.direct(to); r != nil {
		up := r.targets[0].up
		t, err := a.newTarget(&policy.Target{Provider: up.name, Model: r.targets[0].Model}, up)
		if err != nil {
			return nil, err
		}
		r = newRoute(alias, t)
		r.named = true
		return r, nil
	}
	return nil, fmt.Errorf("%q is neither a model nor an alias nor a target of the form provider/model", to)
}

// direct returns the route of a name of the form provider/model, nil if it is none.
func (a *App) direct(name string) *route {
	prefix, model, ok := strings.Cut(name, "/")
	up := a.upstreams[prefix]
	if !ok || up == nil || model == "" {
		return nil
	}
	return single(name, up, model)
}

// single returns the route to a model that is not configured. Such targets of a
// provider share a state, as clients may name as many as they like.
func single(name string, up *upstream, model string) *route {
	t := &target{Target: policy.Target{Provider: up.name, Model: model}, up: up, can: provider.AllCapabilities, state: up.state}
	price := model
	if price == "" {
		price = name
	}
	if known, ok := up.catalog(price); ok {
		t.Price = priceOf(known)
	}
	return newRoute(name, t)
}

// resolve returns where a request goes.
func (a *App) resolve(r *provider.Request) (*route, *dialect.Error) {
	if r.Model != "" {
		if found := a.routes[r.Model]; found != nil {
			return found, nil
		}
		if a.StrictModels {
			return nil, unknownModel(r.Model, "")
		}
		if found := a.direct(r.Model); found != nil {
			return found, nil
		}
		if up := a.listing(r.Model); up != nil {
			return single(r.Model, up, ""), nil
		}
	}
	if a.passthrough == nil {
		return nil, a.nowhere(r)
	}
	return single(r.Model, a.passthrough, ""), nil
}

// listing returns the provider whose catalog lists a model, nil if none or several do.
func (a *App) listing(model string) *upstream {
	var found *upstream
	if len(a.upstreams) > 1 {
		for _, up := range a.upstreams {
			if _, ok := up.catalog(model); ok && found != nil {
				return nil
			} else if ok {
				found = up
			}
		}
	}
	return found
}

func (a *App) nowhere(r *provider.Request) *dialect.Error {
	if r.Model != "" {
		return unknownModel(r.Model, " Write it as provider/model, with one of the providers "+a.providerNames()+".")
	}
	return &dialect.Error{
		Status: http.StatusNotFound, Type: "invalid_request_error", Code: "no_provider", Final: true,
		Message: fmt.Sprintf("Nothing says which provider %s is for: name a model before any file in the body, or mark a provider as passthrough.", r.Path),
	}
}

func unknownModel(name, hint string) *dialect.Error {
	return &dialect.Error{
		Status: http.StatusNotFound, Type: "invalid_request_error", Param: "model", Code: "model_not_found", Final: true,
		Message: fmt.Sprintf("The model '%s' does not exist or you do not have access to it.%s", name, hint),
	}
}
