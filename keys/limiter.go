package keys

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// Ask is a request that is to be admitted.
type Ask struct {
	// Caller is who asks; nil for somebody without a key.
	Caller *Caller
	// Model is the name that model limits are given for.
	Model string
	// Tokens is how many the request will use, as far as that can be told before: those of its
	// input, and perhaps those of the longest answer that it asks for. 0 if unknown.
	Tokens int64
	// USD is what it will cost, as far as that can be told before. 0 if unknown.
	USD float64
}

// Limiter admits requests. Its methods may be called concurrently.
//
// What it has counted outlives it as long as there is another of the same name in the process, so
// that a reload forgets nothing: the next configuration's limiter is there before the earlier one is
// closed.
type Limiter struct {
	name   string
	models map[string]*ruleSet
	usage  *usage
	now    func() time.Time
	remote *remote // nil without Redis
	closed bool    // whether nothing is admitted while Redis is away
	once   sync.Once
}

// LimiterOptions are what a Limiter has beside its configuration.
type LimiterOptions struct {
	// Name tells limiters in one process apart that do not count together. Default "".
	Name string
	// Logger gets a line when Redis goes away and when it is back. Default: none.
	Logger *zap.Logger
	// Now is the time in memory; Redis has a time of its own. Default: a clock that
	// is never set back.
	Now func() time.Time
}

// usages is what has been counted, by the limiters' name.
var usages = caddy.NewUsagePool()

// Destruct implements caddy.Destructor.
func (u *usage) Destruct() error { return nil }

// NewLimiter returns a limiter by the limits of models, and those that each caller has. It connects to
// nothing yet. The error names what is wrong with the configuration. The limiter must be closed.
func NewLimiter(c *Config, o LimiterOptions) (*Limiter, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = steadyNow
	}
	l := &Limiter{name: o.Name, now: o.Now, models: make(map[string]*ruleSet)}
	for model, limits := range c.ModelLimits {
		if set := newRuleSet(scopeID{model: model}, limits); set != nil {
			l.models[model] = set
		}
	}
	if c.Redis != nil {
		var err error
		if l.remote, err = openRemote(c.Redis, o.Logger); err != nil {
			return nil, err
		}
		l.closed = c.Redis.Away == AwayClosed
	}
	value, _ := usages.LoadOrStore(l.name, new(usage))
	l.usage = value.(*usage)
	return l, nil
}

// Close lets go of what the limiter shares with others. Leases may be settled after it.
func (l *Limiter) Close() {
	l.once.Do(func() {
		_, _ = usages.Delete(l.name)
		if l.remote != nil {
			l.remote.drop()
		}
	})
}

// start is the moment from which steadyNow measures.
var start = time.Now()

// steadyNow returns the time as it was at the start plus how long that is ago: what sets the clock
// neither frees what was used nor keeps it.
func steadyNow() time.Time { return start.Add(time.Since(start)) }

func (l *Limiter) time() int64 { return l.now().UnixNano() }

// Acquire admits a request if none of its limits is reached, the caller's, the model's and the
// caller's for the model, and counts it then: of all of them or of none. If admitted, the lease must be
// settled. Else the refusal says why, and nothing is counted.
//
// In memory it neither waits nor allocates, but for what the first request of a
// scope needs. With Redis it waits for that, at most 500ms and as long as ctx allows; if Redis is
// away, the configuration says what happens. Either way the lease knows how the limits
// stand, for [Lease.AppendHeaders].
func (l *Limiter) Acquire(ctx context.Context, lease *Lease, ask Ask) (refusal Refusal, admitted bool) {
	lease.Settle(-1, -1) // if it has been forgotten
	lease.prepare(l, &ask)
	if lease.nchecks == 0 {
		return Refusal{}, true
	}
	now := l.time()
	var ok, counted bool
	if l.remote != nil {
		ok, counted = l.remote.take(ctx, lease)
		if !counted && l.closed {
			lease.nchecks = 0 // nothing is known of them
			lease.refusal = Refusal{Limit: "limits_unavailable", RetryAfter: awayFor, Unavailable: true}
			return lease.refusal, false
		}
	}
	switch {
	case !counted:
		ok = l.usage.take(lease, now, false)
	case ok: // memory follows, for when Redis is away
		l.usage.take(lease, now, true)
	}
	if !ok {
		lease.refuse()
		return lease.refusal, false
	}
	lease.held.Store(true)
	return Refusal{}, true
}
