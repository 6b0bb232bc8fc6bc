package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// clients are those who may ask, and what they may use.
type clients struct {
	directory *keys.Directory // nil if everybody may ask
	limiter   *keys.Limiter   // nil if there are no limits
	models    map[string]*keys.Limits
	usage     *usageFile // nil if what is used need not be kept, or the app is not started
}

// loadTime is how long a start waits for the stored keys.
const loadTime = 10 * time.Second

// loadClients reads the keys. Without any the gateway is open.
func (a *App) loadClients(ctx caddy.Context) error {
	if a.Keys == nil {
		return nil
	}
	own := *a.Keys
	config := &own
	var err error
	if config.File, err = caddy.NewReplacer().ReplaceOrErr(config.File, true, true); err != nil {
		return fmt.Errorf("keys: file: %w", err)
	}
	logger := a.logger.Named("keys")
	directory, err := keys.NewDirectory(config, keys.DirectoryOptions{Storage: ctx.Storage(), Logger: logger})
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if !directory.Open() {
		a.clients.directory = directory
	}
	if a.clients.limiter, err = keys.NewLimiter(config, keys.LimiterOptions{Logger: logger}); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	a.clients.models = config.ModelLimits
	return nil
}

// usageFile keeps what has been used of long windows, above all of budgets, in Caddy's storage, so that
// a restart gives nobody a new budget. Each node has its own.
type usageFile struct {
	storage certmagic.Storage
	name    string
	limiter *keys.Limiter
	logger  *zap.Logger
	stop    chan struct{}
	done    chan struct{}
}

const (
	// saveEvery is how much of what was used a crash may forget.
	saveEvery = time.Minute
	// saveTime is how long storage may take for it.
	saveTime = 5 * time.Second
)

// usageRestored is whether this process has read what an earlier one has used.
var usageRestored sync.Once

// startUsage reads what was used before the process began, and keeps what is used from now on.
func (a *App) startUsage() {
	if a.clients.limiter == nil || a.Keys.Redis != nil {
		return
	}
	id, err := caddy.InstanceID()
	if err != nil {
		a.logger.Warn("this node has no identity: what keys have used is not kept over a restart", zap.Error(err))
		return
	}
	f := &usageFile{
		storage: a.ctx.Storage(), name: "runestone/usage/" + id.String() + ".json", limiter: a.clients.limiter,
		logger: a.logger, stop: make(chan struct{}), done: make(chan struct{}),
	}
	usageRestored.Do(f.restore)
	a.clients.usage = f
	go f.run()
}

func (f *usageFile) restore() {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	text, err := f.storage.Load(ctx, f.name)
	if err == nil {
		err = f.limiter.Restore(text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.logger.Error("what keys have used before the restart cannot be read: it counts as nothing", zap.Error(err))
	}
}

func (f *usageFile) run() {
	defer close(f.done)
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	last := ""
	save := func() {
		text := f.limiter.Save()
		if string(text) == last || last == "" && string(text) == "[]" {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), saveTime)
		defer cancel()
		if err := f.storage.Store(ctx, f.name, text); err != nil {
			f.logger.Error("what keys have used cannot be kept: a restart would forget it", zap.Error(err))
			return
		}
		last = string(text)
	}
	for {
		select {
		case <-tick.C:
			save()
		case <-f.stop:
			save()
			return
		}
	}
}

// stopUsage keeps what was used, and ends.
func (a *App) stopUsage() {
	if f := a.clients.usage; f != nil {
		close(f.stop)
		<-f.done
		a.clients.usage = nil
	}
}

// startClients reads the stored keys, which asks the storage, and has all follow their sources.
func (a *App) startClients() {
	a.startUsage()
	d := a.clients.directory
	if d == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), loadTime)
	defer cancel()
	if err := d.Load(ctx); err != nil {
		a.logger.Error("the stored keys could not be read, and are not accepted until they can", zap.Error(err))
	}
	d.Watch()
}

// releaseClients ends that.
func (a *App) releaseClients() {
	a.stopUsage()
	a.clients.directory.Close()
	if a.clients.limiter != nil {
		a.clients.limiter.Close()
	}
}

// Open reports whether everybody who reaches the gateway may use it.
func (a *App) Open() bool { return a.clients.directory == nil }

// Caller returns who sent these headers: nil where no key is needed. It is false for a key that is not
// accepted, or none, where one is.
func (a *App) Caller(h http.Header) (*keys.Caller, bool) {
	d := a.clients.directory
	if d == nil {
		return nil, true
	}
	caller, err := d.Lookup(keys.Presented(h))
	return caller, err == nil
}

// Allowed refuses a name that a caller may not ask for as if nothing were behind it. A
// caller may ask for an alias if it may for the alias or for what is behind it.
func (a *App) Allowed(caller *keys.Caller, name string) *dialect.Error {
	if caller.MayUse(a.namesOf(name)...) {
		return nil
	}
	return unknownModel(name, "")
}

// namesOf returns a name and those that it leads to as an alias.
func (a *App) namesOf(name string) []string {
	names := []string{name}
	for next, ok := a.Aliases[name]; ok; next, ok = a.Aliases[next] {
		names = append(names, next)
	}
	return names
}

// HasLimits reports whether any limit may hold for a request.
func (a *App) HasLimits(caller *keys.Caller, model string) bool {
	if a.clients.limiter == nil {
		return false
	}
	if caller != nil {
		return true
	}
	for _, name := range a.namesOf(model) {
		if a.clients.models[name] != nil {
			return true
		}
	}
	return false
}

// Admit counts a request by the limits that hold for it. What it will use is estimated: its input, and the longest
// answer that it asks for.
func (a *App) Admit(ctx context.Context, lease *keys.Lease, caller *keys.Caller, r *provider.Request) (keys.Refusal, bool) {
	return a.clients.limiter.Acquire(ctx, lease, keys.Ask{
		Caller: caller, Model: a.limited(caller, r.Model), Tokens: int64(r.Needs.InputTokens + r.Needs.OutputTokens),
	})
}

// AwaitLimit has a request stand in line for as long as its limit has no room, and reports whether it has stood
// to the end. It has not if the line is full, and then there is no failure; or if its client has gone, or the
// process is about to exit. beat, unless nil, is called every five seconds.
func (a *App) AwaitLimit(ctx context.Context, h http.Header, model string, after time.Duration, beat func()) (stood bool, failure *Failure) {
	if route := a.routes[model]; route == nil || !route.named {
		model = "" // as clients can make up any number of them
	}
	switch err := theLine.pause(ctx, a.newWaiter(h, model, nil), a.line.Length, after, beat); {
	case err == nil:
		return true, nil
	case errors.Is(err, errLineFull):
		return false, nil
	case errors.Is(err, errShuttingDown):
		return false, &Failure{Told: ShuttingDown(), Outcome: telemetry.OutcomeShuttingDown}
	default:
		return false, &Failure{Told: canceled(), Outcome: telemetry.OutcomeCanceled}
	}
}

// Settle ends a request for its limits, with what it has used. Of one that was answered and of which nothing was
// reported, that is what was estimated; and of one that its client has left, when a provider was at work on it, no less than
// that: else whoever leaves just before the end would use nothing.
func Settle(lease *keys.Lease, outcome string, n provider.Needs, u dialect.Usage, usd float64) {
	tokens, estimated := u.Input+u.Output, int64(n.InputTokens+n.OutputTokens)
	switch {
	case outcome == telemetry.OutcomeCanceled:
		lease.Settle(max(tokens, estimated), usd)
	case u != (dialect.Usage{}):
		lease.Settle(tokens, usd)
	case outcome == telemetry.OutcomeOK:
		lease.Settle(-1, usd)
	default:
		lease.Return()
	}
}

// limited returns the name under which a model has limits: its own, or that of what it is an alias of.
func (a *App) limited(caller *keys.Caller, model string) string {
	for _, name := range a.namesOf(model) {
		if a.clients.models[name] != nil || caller.LimitsModel(name) {
			return name
		}
	}
	return model
}

// ownerPrefix begins the owners of jobs that are known by their key.
const ownerPrefix = "key:"

// Owner returns by what name the jobs of a caller are kept, so that a key's jobs stay its own when it is
// rotated. Without keys it is a hash of the credential in the headers.
func (a *App) Owner(caller *keys.Caller, h http.Header) string {
	if caller != nil {
		return ownerPrefix + caller.Name
	}
	return credentialOwner(h)
}

// callerOf returns whose a job is, nil if it is nobody's who has a key now. Its request was accepted, so that it is
// run in any case.
func (a *App) callerOf(owner string) *keys.Caller {
	name, ok := strings.CutPrefix(owner, ownerPrefix)
	if !ok || a.clients.directory == nil {
		return nil
	}
	caller, err := a.clients.directory.Named(name)
	if err != nil {
		return nil
	}
	return caller
}
