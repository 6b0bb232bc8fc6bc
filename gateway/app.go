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
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/policy"
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
	upstreams   map[string]*upstream
	routes      map[string]*route // by model or alias
	passthrough *upstream         // nil when nothing says which it is
	transports  []*transports     // held until Cleanup
	maxBody     int64
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
	a.logger = ctx.Logger()
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
	if err := a.loadProviders(ctx); err != nil {
		return err
	}
	if err := a.loadModels(ctx); err != nil {
		return err
	}
	a.choosePassthrough()
	if err := telemetry.Register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return a.watchExit(ctx)
}

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
		keys, err := resolveKeys(apiKeys(module, config))
		if err != nil {
			if a.StrictModels && !a.leadsTo(name) {
				a.logger.Warn("a provider that no model needs is left out: its key is missing",
					zap.String("provider", name), zap.Error(err))
				continue
			}
			return fmt.Errorf("providers.%s: %w", name, err)
		}
		if err := a.addUpstream(name, module, keys, config.Timeouts); err != nil {
			return err
		}
	}
	return nil
}

// apiKeys returns the configured keys, or else the customary variable of an adapter
// that has one: without a key it would only be refused.
func apiKeys(module any, config *Provider) []string {
	if keyer, ok := module.(provider.EnvKeyer); ok && len(config.APIKeys) == 0 && keyer.EnvKey() != "" {
		return []string{"{env." + keyer.EnvKey() + "}"}
	}
	return config.APIKeys
}

// resolveKeys returns the secrets that placeholders stand for. The error names
// the placeholder, never a secret.
func resolveKeys(raw []string) ([]string, error) {
	repl := caddy.NewReplacer()
	keys := make([]string, 0, len(raw))
	for _, r := range raw {
		key, err := repl.ReplaceOrErr(r, true, true)
		if key = strings.TrimSpace(key); err != nil || key == "" {
			return nil, fmt.Errorf("api_key %s is empty: set the variable or the file that it names, or remove the line if the server asks for no key", r)
		}
		if strings.ContainsAny(key, "\r\n\x00") {
			return nil, fmt.Errorf("api_key %s has more than one line", r)
		}
		keys = append(keys, key)
	}
	return keys, nil
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
		if !ok {
			continue
		}
		keys = append(keys, keyer.EnvKey())
		key := strings.TrimSpace(os.Getenv(keyer.EnvKey()))
		if key == "" {
			continue
		}
		module, err := ctx.LoadModuleByID(string(info.ID), nil)
		if err != nil {
			return fmt.Errorf("loading the adapter %s: %w", info.ID, err)
		}
		if err := a.addUpstream(info.ID.Name(), module, []string{key}, nil); err != nil {
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
	return a.addUpstream("mock", module, nil, nil)
}

func (a *App) addUpstream(name string, module any, keys []string, timeouts *Timeouts) error {
	adapter, ok := module.(provider.Provider)
	if !ok {
		return fmt.Errorf("providers.%s: %T is not a provider", name, module)
	}
	up := newUpstream(name, adapter, keys, a.Timeouts, timeouts)
	if err := a.holdTransports(up); err != nil {
		return err
	}
	a.upstreams[name] = up
	return nil
}

func (a *App) loadModels(ctx caddy.Context) error {
	a.routes = make(map[string]*route)
	for name, model := range a.Models {
		r := &route{name: name, named: true, header: []string{name}, selector: policy.Failover{}}
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
				return fmt.Errorf("models.%s.targets[%d]: there is no provider %q; there is %s",
					name, i, t.Provider, a.providerNames())
			}
			r.targets = append(r.targets, t)
			r.upstreams = append(r.upstreams, up)
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
	return nil
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
	return module.(*caddyevents.App).On("stopping", &exitWatcher{ctx: ctx, limit: limit, logger: a.logger})
}

// Start has nothing to start: requests are served by the goroutines that bring them.
func (a *App) Start() error { return nil }

// Stop has nothing to stop. What is open goes on, with what it needs.
func (a *App) Stop() error { return nil }

// Cleanup lets go of what is shared with other configurations. Answers that
// are still open keep their connections.
func (a *App) Cleanup() error {
	held := a.transports
	a.transports = nil
	var errs []error
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

// upstream is a provider ready for use.
type upstream struct {
	name     string
	header   []string // the value of Runestone-Provider
	provider provider.Provider
	keys     []string
	turn     atomic.Uint32
	limits   limits
	shared   *transports
}

// limits are Timeouts with the defaults filled in; 0 means none.
type limits struct{ connect, firstByte, idle, total time.Duration }

func newUpstream(name string, adapter provider.Provider, keys []string, timeouts ...*Timeouts) *upstream {
	all := Timeouts{DefaultConnectTimeout, DefaultFirstByteTimeout, DefaultIdleTimeout, DefaultTotalTimeout}
	for _, t := range timeouts {
		if t == nil {
			continue
		}
		for _, pair := range [...][2]*caddy.Duration{
			{&all.Connect, &t.Connect}, {&all.FirstByte, &t.FirstByte}, {&all.Idle, &t.Idle}, {&all.Total, &t.Total},
		} {
			if *pair[1] != 0 {
				*pair[0] = *pair[1]
			}
		}
	}
	bound := func(d caddy.Duration) time.Duration { return max(0, time.Duration(d)) }
	return &upstream{
		name: name, header: []string{name}, provider: adapter, keys: keys,
		limits: limits{bound(all.Connect), bound(all.FirstByte), bound(all.Idle), bound(all.Total)},
	}
}

// key returns the credential to use next.
func (u *upstream) key() string {
	switch len(u.keys) {
	case 0:
		return ""
	case 1:
		return u.keys[0]
	default:
		return u.keys[int(u.turn.Add(1))%len(u.keys)]
	}
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
