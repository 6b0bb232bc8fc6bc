package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/telemetry"
)

func init() { caddy.RegisterModule(new(adminAPI)) }

// adminAPI is admin.api.runestone: what Caddy's admin endpoint says of the gateway.
//
//	GET /runestone/status   providers, models, and how many requests are open
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.runestone",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Provision registers the metrics. The admin endpoint belongs to the newest
// configuration even if that failed to load, so that its registry needs them before any app does.
func (*adminAPI) Provision(ctx caddy.Context) error {
	if registry := ctx.GetMetricsRegistry(); registry != nil {
		return telemetry.Register(registry)
	}
	return nil
}

// Routes implements caddy.AdminRouter.
func (api *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/runestone/status", Handler: caddy.AdminHandlerFunc(api.status)}}
}

// Status is what /runestone/status answers.
type Status struct {
	// Providers and Models are the names in use; Models has the aliases, too.
	Providers []string `json:"providers"`
	Models    []string `json:"models"`
	// OpenRequests is how many requests of clients are under way, those of
	// earlier configurations included.
	OpenRequests int64 `json:"open_requests"`
}

func (*adminAPI) status(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("use GET, not %s", r.Method)}
	}
	// Asked anew: the app that serves may be of an earlier configuration than this.
	app, err := caddy.ActiveContext().AppIfConfigured("runestone")
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("the app runestone is not running: %w", err)}
	}
	a := app.(*App)
	w.Header().Set("Content-Type", "application/json")
	status := Status{
		Providers:    slices.Sorted(maps.Keys(a.upstreams)),
		Models:       slices.AppendSeq([]string{}, maps.Keys(a.routes)),
		OpenRequests: exit.open.Load(),
	}
	slices.Sort(status.Models)
	return json.NewEncoder(w).Encode(status)
}

// Interface guards
var (
	_ caddy.Provisioner = (*adminAPI)(nil)
	_ caddy.AdminRouter = (*adminAPI)(nil)
)
