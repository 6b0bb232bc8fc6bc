package dashboard

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/telemetry"
)

// collector counts what happens while any configuration has a dashboard. There is one in
// the process, which a reload does not reset.
type collector struct {
	began    time.Time
	app      func() *gateway.App // that serves now, nil if none does
	detach   []func()
	cancel   context.CancelFunc
	finished sync.WaitGroup

	pairs     table[pair, counters]
	providers table[string, calls]
	keys      table[string, counters]
	errors    journal[failure]
	breakers  journal[transition]

	mu         sync.Mutex // guards all below
	lastPairs  map[pair]*growth
	lastKeys   map[string]*growth
	lastCalls  map[string]*counts
	scopes     map[scopeID]*scope
	perKind    map[string]int
	status     *gateway.Status
	health     *gateway.Health
	queue      *gateway.QueueStatus
	jobs       *jobLists
	jobsNumber uint64 // of the lists
	listing    bool
	listed     time.Time
	ctx        context.Context // ends with the collector
	hub        hub
}

// pool holds the collector for as long as any configuration has a dashboard.
var pool = caddy.NewUsagePool()

const poolKey = "collector"

func holdCollector() (*collector, error) {
	value, _, err := pool.LoadOrNew(poolKey, func() (caddy.Destructor, error) {
		c := newCollector(time.Now(), activeApp)
		c.attach()
		c.run()
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*collector), nil
}

func activeApp() *gateway.App {
	app, err := caddy.ActiveContext().AppIfConfigured("runestone")
	if err != nil {
		return nil
	}
	return app.(*gateway.App)
}

func newCollector(now time.Time, app func() *gateway.App) *collector {
	c := &collector{
		began: now, app: app,
		lastPairs: make(map[pair]*growth), lastKeys: make(map[string]*growth), lastCalls: make(map[string]*counts),
		scopes: make(map[scopeID]*scope), perKind: make(map[string]int),
	}
	c.errors.size, c.breakers.size = errorsKept, transitionsKept
	c.scope(scopeID{kind: kindAll})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// attach begins to count.
func (c *collector) attach() {
	c.detach = append(c.detach,
		telemetry.RequestStop.Attach(c.requestStop),
		telemetry.StreamFirstToken.Attach(c.firstToken),
		telemetry.ProviderRequestStop.Attach(c.callStop),
		telemetry.OverflowDrainStop.Attach(c.drainStop),
		telemetry.BreakerOpen.Attach(func(e telemetry.BreakerOpened) {
			c.breakers.add(transition{At: time.Now().UnixMilli(), Provider: e.Provider, Model: e.Model, State: "open", OpenFor: e.OpenFor.Seconds()})
		}),
		telemetry.BreakerHalfOpen.Attach(func(e telemetry.BreakerProbing) {
			c.breakers.add(transition{At: time.Now().UnixMilli(), Provider: e.Provider, Model: e.Model, State: "half_open"})
		}),
		telemetry.BreakerClose.Attach(func(e telemetry.BreakerClosed) {
			c.breakers.add(transition{At: time.Now().UnixMilli(), Provider: e.Provider, Model: e.Model, State: "closed"})
		}),
	)
}

// run ticks each second.
func (c *collector) run() {
	c.finished.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				c.tick(now)
			case <-c.ctx.Done():
				return
			}
		}
	})
}

// Destruct implements caddy.Destructor: nothing is counted any more.
func (c *collector) Destruct() error {
	for _, detach := range c.detach {
		detach()
	}
	c.cancel()
	c.finished.Wait()
	return nil
}

// requestStop counts a request. What polls a job is not one, unless it fails.
func (c *collector) requestStop(e telemetry.RequestStopped) {
	fine := e.Outcome == telemetry.OutcomeOK || e.Outcome == telemetry.OutcomeCanceled
	if fine && e.Route == string(gateway.Jobs) {
		return
	}
	c.pairs.get(pair{e.Provider, e.Model}, boundedPair).request(&e, fine)
	if e.Key != "" {
		c.keys.get(e.Key, boundedName).request(&e, fine)
	}
	if !fine {
		c.errors.add(failure{
			At: time.Now().UnixMilli(), Route: e.Route, Provider: e.Provider, Model: e.Model, Key: e.Key, Status: e.Status,
			Outcome: e.Outcome, Code: codeOf(e.Code), Duration: e.Duration.Seconds(), Attempts: e.Attempts,
		})
	}
}

// request counts one. It is fine if it was answered as it should be, or its client left.
func (n *counters) request(e *telemetry.RequestStopped, fine bool) {
	n.requests.Add(1)
	switch {
	case !fine:
		n.errors.Add(1)
		if clientsFault(e.Status) {
			n.refused.Add(1)
		}
	case e.Outcome == telemetry.OutcomeOK && e.Provider != "":
		n.whole.observe(e.Duration)
	}
	n.spend(e.InputTokens, e.OutputTokens, e.CostUSD)
}

// clientsFault reports whether a status says that the request was not as it should be.
func clientsFault(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests
}

func (n *counters) spend(input, output int64, usd float64) {
	if input > 0 {
		n.input.Add(uint64(input))
	}
	if output > 0 {
		n.output.Add(uint64(output))
	}
	if cost := nanoUSD(usd); cost > 0 {
		n.cost.Add(cost)
	}
}

func (c *collector) firstToken(e telemetry.StreamFirstTokenSeen) {
	c.pairs.get(pair{e.Provider, e.Model}, boundedPair).firstToken.observe(e.Duration)
}

func (c *collector) callStop(e telemetry.ProviderRequestStopped) {
	n := c.providers.get(e.Provider, boundedName)
	n.ended.Add(1)
	if e.Outcome != telemetry.OutcomeOK && e.Outcome != telemetry.OutcomeCanceled {
		n.failed.Add(1)
	}
}

// drainStop counts what a queued request has used; nobody waits for its answer.
func (c *collector) drainStop(e telemetry.OverflowDrainStopped) {
	if e.InputTokens > 0 || e.OutputTokens > 0 || e.CostUSD > 0 {
		c.pairs.get(pair{e.Provider, e.Model}, boundedPair).spend(e.InputTokens, e.OutputTokens, e.CostUSD)
	}
}

// scope returns the scope with an id, or the one that takes its place when there are too many.
// The caller holds the lock.
func (c *collector) scope(id scopeID) *scope {
	if s := c.scopes[id]; s != nil {
		return s
	}
	limit := map[string]int{kindAll: 1, kindProvider: maxProviders, kindModel: maxModels, kindPair: maxPairs, kindKey: maxKeys}[id.kind]
	if c.perKind[id.kind] >= limit {
		id.name = otherName
		if id.kind == kindPair {
			id.model = otherName
		}
		if s := c.scopes[id]; s != nil {
			return s
		}
	}
	s := newScope(id)
	c.scopes[id] = s
	c.perKind[id.kind]++
	return s
}

// tick ends a second and tells the viewers of it.
func (c *collector) tick(now time.Time) {
	app := c.app()
	var status *gateway.Status
	var health *gateway.Health
	var queue *gateway.QueueStatus
	if app != nil { // whose locks are not held together with ours
		s, h := app.Status(), app.Health()
		status, health, queue = &s, &h, app.QueueSeen()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.health, c.queue = status, health, queue
	c.count()
	at, g := now.Unix(), c.gauges()
	for _, s := range c.scopes {
		if s.id.kind == kindAll {
			s.tick(at, g)
		} else {
			s.tick(at, gauges{})
		}
	}
	c.hub.stale()
	if c.hub.watched() {
		c.list(app, now)
		c.hub.publish(c.frames(now))
	}
}

// count adds to the scopes by how much the counters have grown.
func (c *collector) count() {
	for key, n := range c.pairs.all() {
		last := c.lastPairs[key]
		if last == nil {
			last = new(growth)
			c.lastPairs[key] = last
		}
		grown, some := n.since(last)
		if !some {
			continue
		}
		c.scope(scopeID{kind: kindAll}).current.add(&grown)
		if key.provider != "" {
			c.scope(scopeID{kind: kindProvider, name: key.provider}).current.add(&grown)
		}
		if key.model != "" {
			c.scope(scopeID{kind: kindModel, name: key.model}).current.add(&grown)
		}
		if key.provider != "" && key.model != "" {
			c.scope(scopeID{kindPair, key.provider, key.model}).current.add(&grown)
		}
	}
	for name, n := range c.keys.all() {
		last := c.lastKeys[name]
		if last == nil {
			last = new(growth)
			c.lastKeys[name] = last
		}
		if grown, some := n.since(last); some {
			c.scope(scopeID{kind: kindKey, name: name}).current.add(&grown)
		}
	}
	for name, n := range c.providers.all() {
		last := c.lastCalls[name]
		if last == nil {
			last = new(counts)
			c.lastCalls[name] = last
		}
		now := counts{calls: n.ended.Load(), failed: n.failed.Load()}
		if now == *last {
			continue
		}
		grown := now
		grown.subtract(last)
		*last = now
		c.scope(scopeID{kind: kindAll}).current.counts.add(&grown)
		c.scope(scopeID{kind: kindProvider, name: name}).current.counts.add(&grown)
	}
}

func (c *collector) gauges() (g gauges) {
	if c.status != nil {
		g.open, g.waiting = float32(c.status.OpenRequests), float32(c.status.Line.Waiting)
	}
	if c.queue != nil {
		g.queued = float32(pending(c.queue))
	}
	return g
}
