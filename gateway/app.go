// Package gateway is the app: it knows providers, models and targets, and asks
// them for answers. [App.Do] is a RoundTripper for models: all failover happens before it
// returns, all settlement when the answer's body is closed.
package gateway

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

func init() { caddy.RegisterModule(new(App)) }

// App is the gateway. It can be used once it is provisioned, whether or not
// it has been started, and until its last answer is closed, whether or not it
// has been stopped.
type App struct {
	Config

	logger      *zap.Logger
	usageLog    *zap.Logger // nil if usage is not logged
	upstreams   map[string]*upstream
	routes      map[string]*route // by model or alias
	passthrough *upstream         // nil when nothing says which it is
	transports  []*transports     // held until Cleanup
	states      []heldState       // held until Cleanup
	maxBody     int64
	retry       Retry // with the defaults filled in
	line        Line
	budget      *budget
	jobs        deferral
	clients     clients
	ctx         caddy.Context
	events      *caddyevents.App // nil if it is not configured
	announcer   *announcer       // while the app is started
	prober      *prober          // while the app is started, nil if no provider is probed
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "runestone",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision makes the app ready for use. It dials nothing and starts nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	a.maxBody = a.MaxBody
	if a.maxBody == 0 {
		a.maxBody = DefaultMaxBody
	}
	if problems := a.Check(); len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = fmt.Errorf("%s: %s", p.Path, p.Message)
		}
		return errors.Join(errs...)
	}
	a.fillIn()
	if a.UsageLog {
		a.usageLog = a.logger.Named(usageLogger)
	}
	if err := a.loadProviders(ctx); err != nil {
		return err
	}
	if err := a.loadModels(ctx); err != nil {
		return err
	}
	a.choosePassthrough()
	if err := a.loadClients(ctx); err != nil {
		return err
	}
	if err := a.loadOverflow(ctx); err != nil {
		return err
	}
	if err := telemetry.Register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	if events, err := ctx.AppIfConfigured("events"); err == nil {
		a.events = events.(*caddyevents.App)
	}
	return a.watchExit(ctx)
}

// fillIn takes the defaults where the configuration is silent.
func (a *App) fillIn() {
	or := func(d *caddy.Duration, value caddy.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	if a.Retry != nil {
		a.retry = *a.Retry
	}
	if a.retry.Attempts == 0 {
		a.retry.Attempts = DefaultAttempts
	}
	or(&a.retry.MaxBackoff, max(DefaultMaxBackoff, a.retry.Backoff))
	or(&a.retry.Backoff, min(DefaultBackoff, a.retry.MaxBackoff))
	if a.retry.Budget == 0 {
		a.retry.Budget = DefaultBudget
	}
	a.budget = newBudget(a.retry.Budget)
	if a.Line != nil {
		a.line = *a.Line
	}
	or(&a.line.Wait, DefaultLineWait)
	if a.line.Length == 0 {
		a.line.Length = DefaultLineLength
	}
}

func (a *App) breakerConfig() breaker.Config {
	if a.Breaker != nil {
		return *a.Breaker
	}
	return breaker.Config{}
}

// hedgeAfter returns how long the first target of a route may be silent before a
// second is asked as well; not above 0 for ever.
func (a *App) hedgeAfter(r *route) time.Duration {
	if r.hedge != 0 {
		return r.hedge
	}
	return time.Duration(a.retry.HedgeAfter)
}

// LineWait is the longest that a client may stand in line, not above 0 when it may not.
func (a *App) LineWait() time.Duration { return time.Duration(a.line.Wait) }

func (a *App) loadProviders(ctx caddy.Context) error {
	a.upstreams = make(map[string]*upstream)
	if len(a.Providers) == 0 {
		return a.providersFromEnvironment(ctx)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		config := a.Providers[name]
		module, err := ctx.LoadModule(config, "AdapterRaw")
		if err != nil {
			return fmt.Errorf("providers.%s: loading the adapter: %w", name, err)
		}
		keys, err := newCredentials(name, apiKeys(module, config), a.logger)
		if err != nil {
			if a.StrictModels && !a.leadsTo(name) {
				a.logger.Warn("a provider that no model needs is left out: its key is missing",
					zap.String("provider", name), zap.Error(err))
				continue
			}
			if len(config.APIKeys) == 0 && errors.Is(err, errKeyEmpty) {
				variable := module.(provider.EnvKeyer).EnvKey()
				return fmt.Errorf("providers.%s: it has no api_key, and the variable %s, which it takes then, is not set: set that, or write api_key", name, variable)
			}
			return fmt.Errorf("providers.%s: %w", name, err)
		}
		if err := a.addUpstream(name, module, keys, config); err != nil {
			return err
		}
	}
	return nil
}

// apiKeys returns the configured keys, or else the customary variable of an adapter
// that has one: without a key it would only be refused.
func apiKeys(module any, config *Provider) []APIKey {
	if keyer, ok := module.(provider.EnvKeyer); ok && len(config.APIKeys) == 0 && keyer.EnvKey() != "" {
		return []APIKey{{Key: "{env." + keyer.EnvKey() + "}"}}
	}
	return config.APIKeys
}

// leadsTo reports whether a model or an alias has a target of the provider.
func (a *App) leadsTo(name string) bool {
	for _, m := range a.Models {
		for _, t := range m.Targets {
			if t.Provider == name {
				return true
			}
		}
	}
	for _, to := range a.Aliases {
		if p, _, ok := strings.Cut(to, "/"); ok && p == name {
			return true
		}
	}
	return false
}

// providersFromEnvironment is the start without configuration.
func (a *App) providersFromEnvironment(ctx caddy.Context) error {
	var keys []string
	for _, info := range caddy.GetModules("runestone.providers") {
		keyer, ok := info.New().(provider.EnvKeyer)
		if !ok || keyer.EnvKey() == "" {
			continue
		}
		keys = append(keys, keyer.EnvKey())
		if strings.TrimSpace(os.Getenv(keyer.EnvKey())) == "" {
			continue
		}
		module, err := ctx.LoadModuleByID(string(info.ID), nil)
		if err != nil {
			return fmt.Errorf("loading the adapter %s: %w", info.ID, err)
		}
		keys, err := newCredentials(info.ID.Name(), []APIKey{{Key: "{env." + keyer.EnvKey() + "}"}}, a.logger)
		if err != nil {
			return err
		}
		if err := a.addUpstream(info.ID.Name(), module, keys, new(Provider)); err != nil {
			return err
		}
		a.logger.Info("no provider is configured: the environment has a key for one",
			zap.String("provider", info.ID.Name()), zap.String("variable", keyer.EnvKey()))
	}
	if len(a.upstreams) > 0 {
		return nil
	}
	a.logger.Warn("no provider is configured and the environment has no key for one: the mock provider makes up every answer",
		zap.Strings("variables", keys))
	module, err := ctx.LoadModuleByID("runestone.providers.mock", nil)
	if err != nil {
		return fmt.Errorf("loading the mock provider: %w", err)
	}
	none, err := newCredentials("mock", nil, a.logger)
	if err != nil {
		return err
	}
	return a.addUpstream("mock", module, none, new(Provider))
}

func (a *App) addUpstream(name string, module any, keys *credentials, config *Provider) error {
	adapter, ok := module.(provider.Provider)
	if !ok {
		return fmt.Errorf("providers.%s: %T is not a provider", name, module)
	}
	up := newUpstream(name, adapter, keys, a.Timeouts, config)
	a.upstreams[name] = up // from here on, Cleanup lets go of what it holds
	if err := up.checkProbe(); err != nil {
		return err
	}
	if err := a.holdTransports(up); err != nil {
		return err
	}
	var err error
	up.state, err = a.holdState(up, "")
	return err
}

// missing says what would bring a provider that has the name of an adapter.
func missing(name string) string {
	info, err := caddy.GetModule("runestone.providers." + name)
	if err != nil {
		return ""
	}
	if keyer, ok := info.New().(provider.EnvKeyer); ok && keyer.EnvKey() != "" {
		return fmt.Sprintf("; write provider %s, or if no provider is configured, set %s", name, keyer.EnvKey())
	}
	return "; write provider " + name
}

func (a *App) providerNames() string {
	return strings.Join(slices.Sorted(maps.Keys(a.upstreams)), ", ")
}

func (a *App) choosePassthrough() {
	if len(a.upstreams) == 1 {
		for _, up := range a.upstreams {
			a.passthrough = up
		}
	}
	for name, p := range a.Providers {
		if p.Passthrough {
			a.passthrough = a.upstreams[name]
		}
	}
}

// watchExit has the open streams told when the process is about to exit.
func (a *App) watchExit(ctx caddy.Context) error {
	module, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	limit := time.Duration(a.DrainTimeout)
	if limit == 0 {
		limit = time.Duration(DefaultDrainTimeout)
	}
	return module.(*caddyevents.App).On("stopping", &exitWatcher{ctx: ctx, app: a, limit: limit, logger: a.logger})
}

// Start has what outlives configurations follow this one, now that it has been
// accepted, and begins to drain the queue. Requests are served by the goroutines that bring them.
func (a *App) Start() error {
	for _, s := range a.states {
		s.update(a.breakerConfig(), s.up.limit)
	}
	a.startAnnouncing()
	a.startClients()
	if err := a.startOverflow(); err != nil {
		a.stopAnnouncing() // Caddy stops only what has started
		return err
	}
	a.startProbes()
	return nil
}

// Stop ends the drain, unless a newer configuration goes on with it. What is open
// goes on, with what it needs; queued requests that run do for a while if the process exits.
func (a *App) Stop() error {
	a.stopAnnouncing()
	a.stopProbes()
	a.finishOverflow()
	return nil
}

// Cleanup lets go of what is shared with other configurations. Answers that
// are still open keep their connections.
func (a *App) Cleanup() error {
	held := a.transports
	a.transports = nil
	errs := []error{a.releaseOverflow()}
	a.releaseClients()
	for _, up := range a.upstreams {
		up.keys.release()
	}
	for _, s := range a.states { // which may be asked about still
		_, err := targetPool.Delete(s.key)
		errs = append(errs, err)
	}
	for _, t := range held {
		_, err := transportPool.Delete(t.key)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// MaxBodyBytes is the largest JSON request body that is accepted.
func (a *App) MaxBodyBytes() int64 { return a.maxBody }

// NeedsModel reports whether an upload's model has to be known to tell where
// it goes, or to be renamed on the way.
func (a *App) NeedsModel() bool { return len(a.upstreams) > 1 || len(a.routes) > 0 }

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
