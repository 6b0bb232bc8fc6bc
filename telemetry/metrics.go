package telemetry

import (
	"errors"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// maxModels bounds the values of the label model: client may ask for what they
// like. Beyond it a name counts as otherModel.
const (
	maxModels  = 1000
	otherModel = "other"
)

// Buckets in seconds. A model's answer takes from tens of milliseconds to minutes; a token, from
// a millisecond to the time that one takes to read it;
// the gateway's own share, from microseconds to a bad day. They are few, and there are histograms by provider but
// not by model, so that all series together stay under 2,000 with 50 models of 20 providers. Where
// Prometheus asks for native histograms (scrape_native_histograms), it gets finer ones beside these.
var (
	answerBuckets   = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	firstBuckets    = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}
	tokenBuckets    = []float64{.001, .0025, .005, .01, .02, .03, .05, .1, .25, 1}
	overheadBuckets = []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 25e-3, 100e-3}
)

// metrics are the Prometheus collectors. There is one set in the process, so
// that a configuration's end resets nothing.
type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	overhead   prometheus.Histogram
	firstToken *prometheus.HistogramVec
	perToken   *prometheus.HistogramVec
	tokens     *prometheus.CounterVec
	streams    *prometheus.GaugeVec
	upstream   *prometheus.CounterVec
	upstreamIn *prometheus.HistogramVec
	failovers  *prometheus.CounterVec
	retries    *prometheus.CounterVec
	cost       *prometheus.CounterVec
	breakers   *prometheus.GaugeVec
	changes    *prometheus.CounterVec
	blocked    *prometheus.CounterVec
	waiting    prometheus.Gauge
	waited     *prometheus.HistogramVec
	exceptions prometheus.Counter
	overflow   overflowMetrics

	models     cache[string, struct{}]
	byRequest  cache[requestKey, *requestSeries]
	byStream   cache[string, *streamSeries]
	byUpstream cache[upstreamKey, *upstreamSeries]
	byProvider cache[string, prometheus.Gauge]

	mu      sync.Mutex
	targets map[TargetAdded]int // how many there are of the same name
}

var process = newMetrics()

// Register makes the metrics part of a configuration's registry, which Caddy's
// admin endpoint serves. Registering them again is no error.
func Register(registry prometheus.Registerer) error {
	for _, c := range process.collectors() {
		if err := registry.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return err
		}
	}
	return nil
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "runestone", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "runestone", Name: name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
	}
	m := &metrics{
		targets: make(map[TargetAdded]int),
		requests: counter("requests_total", "Requests that have been answered, refused or given up by their client.",
			"route", "provider", "model", "status", "outcome"),
		duration: histogram("request_duration_seconds", "From a request's arrival to the end of its answer.",
			answerBuckets, "provider"),
		overhead: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "runestone", Name: "overhead_seconds", Buckets: overheadBuckets,
			Help: "The gateway's own share: from a request's arrival until a provider is asked.",
		}),
		firstToken: histogram("time_to_first_token_seconds", "From a streamed request's arrival to its first event.",
			firstBuckets, "provider"),
		perToken: histogram("time_per_output_token_seconds", "From one token of a streamed answer to the next, on average over the answer.",
			tokenBuckets, "provider"),
		tokens: counter("tokens_total", "Tokens as the providers counted them; cached_input and cache_write are parts of input, reasoning is part of output.",
			"provider", "model", "type"),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "runestone", Name: "streams_active", Help: "Streamed answers under way.",
		}, []string{"provider"}),
		upstream: counter("upstream_requests_total", "Calls to providers that have ended.",
			"provider", "status", "outcome"),
		upstreamIn: histogram("upstream_request_duration_seconds", "From a call to a provider to the end of its answer.",
			answerBuckets, "provider"),
		failovers: counter("failovers_total", "Calls that failed before the first byte, so that another target was tried.",
			"provider", "outcome"),
		retries: counter("retries_total", "Calls that failed before the first byte, so that the same target was asked again.",
			"provider", "outcome"),
		cost: counter("cost_usd_total", "What the tokens cost by the prices of the targets, as far as they are known.",
			"provider", "model"),
		breakers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "runestone", Name: "breaker_state", Help: "A target's circuit breaker: 0 closed, 1 half-open, 2 open.",
		}, []string{"provider", "model"}),
		changes: counter("breaker_transitions_total", "Changes of circuit breakers, by the state that they changed to.",
			"provider", "model", "state"),
		blocked: counter("ratelimit_blocked_total", "Requests refused because they were over a limit of their key or model.", "limit"),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "runestone", Name: "line_waiting", Help: "Requests in line for a target.",
		}),
		waited: histogram("line_wait_seconds", "How long requests stood in line, by how that ended.",
			answerBuckets, "outcome"),
		exceptions: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "runestone", Name: "request_exceptions_total", Help: "Requests that ended in a panic.",
		}),
	}
	m.overflow.init(counter, histogram)
	m.attach()
	m.attachOverflow()
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return append(m.overflow.collectors(),
		m.requests, m.duration, m.overhead, m.firstToken, m.perToken, m.tokens,
		m.streams, m.upstream, m.upstreamIn, m.failovers, m.exceptions,
		m.retries, m.cost, m.breakers, m.changes, m.blocked, m.waiting, m.waited,
	)
}

func (m *metrics) attach() {
	RequestStop.Attach(m.requestStop)
	RateLimitBlock.Attach(func(e RateLimitBlocked) { m.blocked.WithLabelValues(e.Limit).Inc() })
	RequestException.Attach(func(RequestRaised) { m.exceptions.Inc() })
	StreamFirstToken.Attach(m.streamFirstToken)
	StreamStop.Attach(func(e StreamStopped) { m.activeStreams(e.Provider).Dec() })
	ProviderRequestStop.Attach(m.providerRequestStop)
	Failover.Attach(func(e FailedOver) { m.failovers.WithLabelValues(e.Provider, e.Outcome).Inc() })
	Retry.Attach(func(e Retried) { m.retries.WithLabelValues(e.Provider, e.Outcome).Inc() })
	TargetAdd.Attach(m.targetAdd)
	TargetRemove.Attach(m.targetRemove)
	BreakerOpen.Attach(func(e BreakerOpened) { m.breakerChange(e.Provider, e.Model, "open", stateOpen) })
	BreakerHalfOpen.Attach(func(e BreakerProbing) { m.breakerChange(e.Provider, e.Model, "half_open", stateHalfOpen) })
	BreakerClose.Attach(func(e BreakerClosed) { m.breakerChange(e.Provider, e.Model, "closed", stateClosed) })
	LineEnter.Attach(func(LineEntered) { m.waiting.Inc() })
	LineLeave.Attach(func(e LineLeft) {
		m.waiting.Dec()
		m.waited.WithLabelValues(e.Outcome).Observe(e.Duration.Seconds())
	})
}

// The values of breaker_state.
const (
	stateClosed   = 0
	stateHalfOpen = 1
	stateOpen     = 2
)

func (m *metrics) targetAdd(e TargetAdded) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets[e]++
	m.breakers.WithLabelValues(e.Provider, e.Model).Set(stateClosed)
}

func (m *metrics) targetRemove(e TargetRemoved) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// A reload that changes a provider adds its targets anew before it removes the old ones.
	if m.targets[TargetAdded(e)]--; m.targets[TargetAdded(e)] == 0 {
		delete(m.targets, TargetAdded(e))
		m.breakers.DeleteLabelValues(e.Provider, e.Model)
	}
}

func (m *metrics) breakerChange(provider, model, to string, state float64) {
	m.breakers.WithLabelValues(provider, model).Set(state)
	m.changes.WithLabelValues(provider, model, to).Inc()
}

type requestKey struct {
	route, provider, model, outcome string
	status                          int
}

// requestSeries are the series that one kind of request adds to.
type requestSeries struct {
	requests      prometheus.Counter
	duration      *exemplary
	input, output prometheus.Counter
}

func (m *metrics) requestStop(e RequestStopped) {
	model := m.model(e.Model)
	s := m.byRequest.get(requestKey{e.Route, e.Provider, model, e.Outcome, e.Status}, func() *requestSeries {
		s := &requestSeries{
			requests: m.requests.WithLabelValues(e.Route, e.Provider, model, strconv.Itoa(e.Status), e.Outcome),
			duration: withExemplars(m.duration.WithLabelValues(e.Provider), answerBuckets),
		}
		if e.Provider != "" {
			s.input, s.output = m.tokens.WithLabelValues(e.Provider, model, "input"), m.tokens.WithLabelValues(e.Provider, model, "output")
		}
		return s
	})
	s.requests.Inc()
	s.duration.observe(e.Duration, e.TraceID)
	if e.Provider == "" {
		return // nobody was asked
	}
	m.overhead.Observe(e.Overhead.Seconds())
	s.input.Add(float64(e.InputTokens))
	s.output.Add(float64(e.OutputTokens))
	m.parts(e.Provider, model, e.CachedInputTokens, e.CacheWriteTokens, e.ReasoningTokens, e.CostUSD)
	if e.Stream && e.OutputTokens > 1 && e.FirstByte > 0 {
		m.stream(e.Provider).perToken.value((e.Duration-e.FirstByte).Seconds()/float64(e.OutputTokens-1), e.TraceID)
	}
}

// parts counts what many answers have none of, so that there are series only where there is something to count.
func (m *metrics) parts(provider, model string, cached, written, reasoning int64, usd float64) {
	if cached > 0 {
		m.tokens.WithLabelValues(provider, model, "cached_input").Add(float64(cached))
	}
	if written > 0 {
		m.tokens.WithLabelValues(provider, model, "cache_write").Add(float64(written))
	}
	if reasoning > 0 {
		m.tokens.WithLabelValues(provider, model, "reasoning").Add(float64(reasoning))
	}
	if usd > 0 {
		m.cost.WithLabelValues(provider, model).Add(usd)
	}
}

// model bounds the values of the label.
func (m *metrics) model(name string) string {
	if name == "" || m.models.has(name) {
		return name
	}
	if m.models.len() >= maxModels || !utf8.ValidString(name) {
		return otherModel
	}
	m.knowModel(name)
	return name
}

// KnowModels has the metrics count the models of a configuration under their names, however many others are asked for.
func KnowModels(names ...string) {
	for _, name := range names {
		process.knowModel(name)
	}
}

func (m *metrics) knowModel(name string) {
	if utf8.ValidString(name) { // Prometheus panics on other labels
		m.models.get(name, func() struct{} { return struct{}{} })
	}
}

// streamSeries are those of a provider's streams.
type streamSeries struct{ firstToken, perToken *exemplary }

func (m *metrics) stream(provider string) *streamSeries {
	return m.byStream.get(provider, func() *streamSeries {
		return &streamSeries{
			withExemplars(m.firstToken.WithLabelValues(provider), firstBuckets),
			withExemplars(m.perToken.WithLabelValues(provider), tokenBuckets),
		}
	})
}

func (m *metrics) streamFirstToken(e StreamFirstTokenSeen) {
	m.activeStreams(e.Provider).Inc()
	m.stream(e.Provider).firstToken.observe(e.Duration, e.TraceID)
}

func (m *metrics) activeStreams(provider string) prometheus.Gauge {
	return m.byProvider.get(provider, func() prometheus.Gauge { return m.streams.WithLabelValues(provider) })
}

type upstreamKey struct {
	provider, outcome string
	status            int
}

type upstreamSeries struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

func (m *metrics) providerRequestStop(e ProviderRequestStopped) {
	s := m.byUpstream.get(upstreamKey{e.Provider, e.Outcome, e.Status}, func() *upstreamSeries {
		return &upstreamSeries{
			requests: m.upstream.WithLabelValues(e.Provider, strconv.Itoa(e.Status), e.Outcome),
			duration: m.upstreamIn.WithLabelValues(e.Provider),
		}
	})
	s.requests.Inc()
	s.duration.Observe(e.Duration.Seconds())
}

// cache keeps series by the values of their labels: finding one here costs a
// fraction of what a vector takes to hash them.
type cache[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (c *cache[K, V]) get(key K, create func() V) V {
	c.mu.RLock()
	v, ok := c.m[key]
	c.mu.RUnlock()
	if ok {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok = c.m[key]; ok {
		return v
	}
	if c.m == nil {
		c.m = make(map[K]V)
	}
	v = create()
	c.m[key] = v
	return v
}

func (c *cache[K, V]) has(key K) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.m[key]
	return ok
}

func (c *cache[K, V]) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.m)
}
