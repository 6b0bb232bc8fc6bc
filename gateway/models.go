package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runestone-gateway/runestone/catalog"
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
// there is but one provider, of the client's API, and nothing to add to its list or leave out. messages says that
// the client speaks Anthropic's.
func (a *App) ListsItself(caller *keys.Caller, messages bool) bool {
	if a.StrictModels || len(a.routes) > 0 || len(a.upstreams) > 1 || caller.Restricted() {
		return true
	}
	for _, up := range a.upstreams {
		return up.lists() != messages || up.speaks(dialect.Other, "") == ""
	}
	return true
}

// lists reports whether a provider lists its models as Anthropic does.
func (u *upstream) lists() (messages bool) {
	return u.speaks(dialect.Chat, "") != dialect.Chat && u.speaks(dialect.Messages, "") == dialect.Messages
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

// listOf asks a provider for its models. One that has no such list in this form has those of the catalog.
func (a *App) listOf(ctx context.Context, up *upstream, header http.Header, caller *keys.Caller) (list []json.RawMessage) {
	var models []map[string]json.RawMessage
	if up.speaks(dialect.Other, "") == "" {
		for _, known := range catalog.Models(up.known) {
			id, _ := json.Marshal(known.Name)
			models = append(models, map[string]json.RawMessage{"id": id})
		}
	} else {
		models = a.askList(ctx, up, header)
	}
	for _, model := range models {
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
		entry, _ := json.Marshal(asObject(model, id, up.name))
		list = append(list, entry)
	}
	return list
}

// askList returns what a provider answers, nil if that is no list.
func (a *App) askList(ctx context.Context, up *upstream, header http.Header) []map[string]json.RawMessage {
	r := &provider.Request{API: dialect.Other, Method: http.MethodGet, Path: "/v1/models", Header: header}
	if up.lists() {
		r.Query = "limit=1000" // the most that a page has
	}
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
	return page.Data
}

// asObject gives a model an ID, and what OpenAI's SDKs require of it where the provider does not write it.
func asObject(model map[string]json.RawMessage, id, provider string) map[string]json.RawMessage {
	model["id"], _ = json.Marshal(id)
	if _, ok := model["object"]; !ok {
		model["object"] = json.RawMessage(`"model"`)
	}
	if _, ok := model["created"]; !ok {
		created := began
		var at string
		if json.Unmarshal(model["created_at"], &at) == nil {
			if t, err := time.Parse(time.RFC3339, at); err == nil {
				created = t
			}
		}
		model["created"], _ = json.Marshal(created.Unix())
	}
	if _, ok := model["owned_by"]; !ok {
		model["owned_by"], _ = json.Marshal(provider)
	}
	return model
}

// MessagesModels is a list of models as Anthropic's API has it, in one page.
type MessagesModels struct {
	Data    []MessagesModel `json:"data"`
	HasMore bool            `json:"has_more"`
	FirstID *string         `json:"first_id"`
	LastID  *string         `json:"last_id"`
}

// MessagesModel is a model as Anthropic's API describes it.
type MessagesModel struct {
	Type        string    `json:"type"`
	ID          string    `json:"id"`
	DisplayName string    `json:"display_name"`
	CreatedAt   time.Time `json:"created_at"`
}

// AsMessages returns what ModelList has returned as Anthropic's clients expect it.
func AsMessages(list []json.RawMessage) MessagesModels {
	page := MessagesModels{Data: []MessagesModel{}}
	for _, entry := range list {
		var m struct {
			ID          string
			Created     int64
			DisplayName string `json:"display_name"`
		}
		if json.Unmarshal(entry, &m) == nil {
			page.Data = append(page.Data, MessagesModel{"model", m.ID, cmp.Or(m.DisplayName, m.ID), time.Unix(m.Created, 0).UTC()})
		}
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return page
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
