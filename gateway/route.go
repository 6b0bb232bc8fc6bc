package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
)

// route is what a name leads to.
type route struct {
	name      string   // as clients write it
	named     bool     // it is in the configuration
	header    []string // the value of Runestone-Model
	targets   []*policy.Target
	upstreams []*upstream // of the targets
	selector  policy.Selector
}

// upstreamOf returns the provider of a target that the selector chose.
func (r *route) upstreamOf(t *policy.Target) *upstream {
	for i, other := range r.targets {
		if other == t {
			return r.upstreams[i]
		}
	}
	return nil
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
		r.name, r.header = alias, []string{alias}
		return &r, nil
	}
	if r := a.direct(to); r != nil {
		r.name, r.header, r.named = alias, []string{alias}, true
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

func single(name string, up *upstream, model string) *route {
	return &route{
		name: name, header: []string{name}, selector: policy.Failover{},
		targets: []*policy.Target{{Provider: up.name, Model: model}}, upstreams: []*upstream{up},
	}
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
	}
	if a.passthrough == nil {
		return nil, a.nowhere(r)
	}
	return single(r.Model, a.passthrough, ""), nil
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
