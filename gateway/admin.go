package gateway

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/telemetry"
)

func init() { caddy.RegisterModule(new(adminAPI)) }

// adminAPI is admin.api.runestone: what Caddy's admin endpoint says of the gateway.
//
//	GET /runestone/status   providers, models, and how many requests are open
//
// and what jobsAPI and keysAPI add to that.
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
	keys := &keysAPI{activeDirectory}
	return append(append(JobsAdminRoutes(activeDeferrals), keys.routes()...), caddy.AdminRoute{Pattern: "/runestone/status", Handler: only(http.MethodGet, api.status)})
}

// Status is what /runestone/status answers.
type Status struct {
	// Providers are those in use, by name.
	Providers []ProviderStatus `json:"providers"`
	// Targets are the models of providers that the configuration names, and of
	// each provider, with the model "", all that it does not.
	Targets []TargetStatus `json:"targets"`
	// Models has the names of the configured models and aliases.
	Models []string `json:"models"`
	// Line is where requests wait, of all configurations.
	Line LineStatus `json:"line"`
	// OpenRequests is how many requests of clients are under way, those of
	// earlier configurations included.
	OpenRequests int64 `json:"open_requests"`
	// Overflow is the queue, nil unless it is open.
	Overflow *OverflowStatus `json:"overflow,omitempty"`
}

// ProviderStatus is a provider at one moment.
type ProviderStatus struct {
	Name        string             `json:"name"`
	Credentials []CredentialStatus `json:"credentials"`
}

// TargetStatus is a target at one moment.
type TargetStatus struct {
	Provider string        `json:"provider"`
	Model    string        `json:"model"`
	Breaker  BreakerStatus `json:"breaker"`
	InFlight int           `json:"in_flight"`
	// Limit is how many calls it may have at a time, 0 for any number.
	Limit int `json:"limit"`
	// Waiting is how many requests are in line for it.
	Waiting int `json:"waiting"`
	// FirstToken and Whole are the time to the first token of streams and that of
	// whole answers, in seconds, weighted towards the latest; 0 when none is known.
	FirstToken float64 `json:"first_token_seconds"`
	Whole      float64 `json:"whole_seconds"`
}

// BreakerStatus is a circuit breaker at one moment.
type BreakerStatus struct {
	State breaker.State `json:"state"` // closed, half_open or open
	// OpenFor is the time until it is tried again, 0 unless it is open.
	OpenFor float64 `json:"open_for_seconds"`
	// PausedFor is the rest of the pause that the target has asked for.
	PausedFor float64 `json:"paused_for_seconds"`
	// Calls and Failures are those within the window, 0 unless it is closed.
	Calls    int `json:"calls"`
	Failures int `json:"failures"`
}

// LineStatus is the line at one moment.
type LineStatus struct {
	Waiting int `json:"waiting"`
	// Length is how many requests may wait.
	Length int `json:"length"`
}

// status returns what there is to say of the app and of what it shares with others.
func (a *App) status() Status {
	s := Status{
		Models:       slices.AppendSeq([]string{}, maps.Keys(a.routes)),
		Line:         LineStatus{Waiting: theLine.waiting(), Length: a.line.Length},
		OpenRequests: exit.open.Load(),
	}
	slices.Sort(s.Models)
	for _, name := range slices.Sorted(maps.Keys(a.upstreams)) {
		s.Providers = append(s.Providers, ProviderStatus{Name: name, Credentials: a.upstreams[name].keys.status()})
	}
	seen := make(map[*targetState]bool)
	for _, held := range a.states {
		if state := held.targetState; !seen[state] {
			seen[state] = true
			s.Targets = append(s.Targets, state.status())
		}
	}
	slices.SortFunc(s.Targets, func(a, b TargetStatus) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model))
	})
	return s
}

func (s *targetState) status() TargetStatus {
	seconds := func(stream bool) float64 {
		d, _ := s.stats.Latency(stream)
		return d.Seconds()
	}
	b := s.breaker.Status()
	return TargetStatus{
		Provider: s.labels.Provider, Model: s.labels.Model,
		Breaker: BreakerStatus{
			State: b.State, Calls: b.Calls, Failures: b.Failures,
			OpenFor: time.Duration(b.OpenFor).Seconds(), PausedFor: time.Duration(b.PausedFor).Seconds(),
		},
		InFlight: s.stats.InFlight(), Limit: s.limit.Limit(), Waiting: int(s.waiting.Load()),
		FirstToken: seconds(true), Whole: seconds(false),
	}
}

func (*adminAPI) status(w http.ResponseWriter, r *http.Request) error {
	app, err := activeApp()
	if err != nil {
		return err
	}
	s := app.status()
	s.Overflow = app.overflowStatus(r.Context())
	return writeJSON(w, s)
}

// Interface guards
var (
	_ caddy.Provisioner = (*adminAPI)(nil)
	_ caddy.AdminRouter = (*adminAPI)(nil)
)
