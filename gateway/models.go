package gateway

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/policy"
	"github.com/runestone-gateway/runestone/provider"
)

const (
	// listTimeout bounds how long a provider may take to list its models.
	listTimeout = 5 * time.Second
	// maxList bounds such a list in bytes.
	maxList = 8 << 20
)

// ModelObject is a model as OpenAI's API describes it.
type ModelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`

	// What follows is the gateway's own, and left out where it is not known.

	// Capabilities are what at least one target can do.
	Capabilities []string `json:"capabilities,omitempty"`
	// Context is how many tokens the longest context of a target has.
	Context int `json:"context,omitempty"`
	// Price is that of the first target whose price is known.
	Price *policy.Price `json:"price,omitempty"`
}

func (r *route) object() ModelObject {
	m := ModelObject{ID: r.name, Object: "model", Created: began.Unix(), OwnedBy: "runestone"}
	var can provider.Capability
	for _, t := range r.targets {
		can |= t.can
		m.Context = max(m.Context, t.Context)
		if m.Price == nil {
			m.Price = t.Price
		}
	}
	if can != provider.AllCapabilities {
		m.Capabilities = can.Names()
	}
	return m
}

// Model returns the configured model or alias of that name.
func (a *App) Model(name string) (ModelObject, bool) {
	if r, ok := a.routes[name]; ok {
		return r.object(), true
	}
	return ModelObject{}, false
}

// ListsItself reports whether the list of models is the gateway's own; otherwise
// there is but one provider and nothing to add to its list.
func (a *App) ListsItself() bool {
	return a.StrictModels || len(a.routes) > 0 || len(a.upstreams) > 1
}

// ModelList returns what clients may ask for: the configured models and aliases,
// and, unless strict_models is set, what the providers list now, as
// provider/model. A provider that does not answer in time is left out.
// Those that the caller may not ask for are left out.
func (a *App) ModelList(ctx context.Context, header http.Header, caller *keys.Caller) []json.RawMessage {
	var list []json.RawMessage
	for _, name := range slices.Sorted(maps.Keys(a.routes)) {
		if a.Allowed(caller, name) != nil {
			continue
		}
		entry, _ := json.Marshal(a.routes[name].object())
		list = append(list, entry)
	}
	if a.StrictModels {
		return list
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(a.upstreams))
	found := make([][]json.RawMessage, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() { found[i] = a.listOf(ctx, a.upstreams[name], header, caller) })
	}
	wait.Wait()
	return append(list, slices.Concat(found...)...)
}

// listOf asks a provider for its models.
func (a *App) listOf(ctx context.Context, up *upstream, header http.Header, caller *keys.Caller) []json.RawMessage {
	r := &provider.Request{API: dialect.Other, Method: http.MethodGet, Path: "/v1/models", Header: header}
	resp, err := a.ask(ctx, r, single("", up, ""), Patience{})
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var page struct {
		Data []map[string]json.RawMessage `json:"data"`
	}
	// Read to its end, so that the connection can be used again.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxList))
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &page) != nil {
		return nil
	}
	var list []json.RawMessage
	for _, model := range page.Data {
		var id string
		if json.Unmarshal(model["id"], &id) != nil || id == "" {
			continue
		}
		if up != a.passthrough {
			id = up.name + "/" + id
		}
		if _, own := a.routes[id]; own || a.Allowed(caller, id) != nil {
			continue
		}
		model["id"], _ = json.Marshal(id)
		entry, _ := json.Marshal(model)
		list = append(list, entry)
	}
	return list
}

// ModelPath readies r, which asks about a model that is not configured, for the
// provider that may know it: in the path the name loses its provider.
func (a *App) ModelPath(r *provider.Request, name string) *dialect.Error {
	if a.StrictModels {
		return unknownModel(name, "")
	}
	prefix, model, ok := strings.Cut(name, "/")
	if ok && a.upstreams[prefix] != nil && model != "" {
		r.Model = name
		r.Path, r.RawPath = "/v1/models/"+model, ""
	}
	return nil
}
