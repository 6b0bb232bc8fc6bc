package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// registered returns a registry that has the metrics and is strict about them.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := Register(registry); err != nil {
		t.Fatal(err)
	}
	return registry
}

var runs atomic.Int64

// unique returns a provider's name that no other test uses, nor the same one run
// again: the metrics are the process's.
func unique(name string) string { return fmt.Sprint(name, "-", runs.Add(1)) }

// series is a metric's value, of a histogram the count and the sum, by its labels.
type series map[string]float64

// scrape returns the series whose labels include provider="name", by name and other labels.
func scrape(t *testing.T, from prometheus.Gatherer, name string) series {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := series{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels, mine := []string{}, false
			for _, l := range m.GetLabel() {
				if l.GetName() == "provider" {
					mine = l.GetValue() == name
					continue
				}
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if !mine {
				continue
			}
			key := strings.TrimPrefix(family.GetName(), "runestone_") + "{" + strings.Join(labels, ",") + "}"
			if h := m.GetHistogram(); h != nil {
				all[key+" count"], all[key+" sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
				continue
			}
			all[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

func (s series) expect(t *testing.T, want series) {
	t.Helper()
	for key, value := range want {
		if got, ok := s[key]; !ok || got != value {
			t.Errorf("%s is %v, want %v", key, got, value)
		}
	}
	for key, value := range s {
		if _, ok := want[key]; !ok {
			t.Errorf("%s is %v, and should not be there", key, value)
		}
	}
}

func TestMetricsCountWhatIsEmitted(t *testing.T) {
	t.Parallel()
	name := unique("counting")
	RequestStop.Emit(RequestStopped{
		Route: "chat", Provider: name, Model: "m", Status: 200, Outcome: OutcomeOK, Duration: 2 * time.Second, Overhead: time.Millisecond,
		InputTokens: 10, CachedInputTokens: 4, OutputTokens: 20, ReasoningTokens: 7, Attempts: 1, CostUSD: 0.5,
	})
	RequestStop.Emit(RequestStopped{
		Route: "chat", Provider: name, Model: "m", Status: 200, Outcome: OutcomeOK, Duration: time.Second, InputTokens: 1, OutputTokens: 2,
		Stream: true, FirstByte: 950 * time.Millisecond,
	})
	RequestStop.Emit(RequestStopped{Route: "chat", Provider: name, Model: "m", Status: 504, Outcome: OutcomeTimeout, Duration: time.Minute})
	ProviderRequestStop.Emit(ProviderRequestStopped{Provider: name, Status: 200, Outcome: OutcomeOK, Duration: time.Second})
	ProviderRequestStop.Emit(ProviderRequestStopped{Provider: name, Outcome: OutcomeUnreachable, Duration: time.Second})
	Failover.Emit(FailedOver{Provider: name, Outcome: OutcomeUnreachable})
	Retry.Emit(Retried{Provider: name, Outcome: OutcomeUnreachable})
	TargetAdd.Emit(TargetAdded{Provider: name, Model: "m"})
	TargetAdd.Emit(TargetAdded{Provider: name, Model: "gone"})
	TargetRemove.Emit(TargetRemoved{Provider: name, Model: "gone"})
	TargetAdd.Emit(TargetAdded{Provider: name, Model: "m"})
	TargetRemove.Emit(TargetRemoved{Provider: name, Model: "m"}) // the other one stays
	BreakerOpen.Emit(BreakerOpened{Provider: name, Model: "m", OpenFor: time.Second})
	BreakerHalfOpen.Emit(BreakerProbing{Provider: name, Model: "m"})
	for range 3 {
		StreamFirstToken.Emit(StreamFirstTokenSeen{Provider: name, Model: "m", Duration: 500 * time.Millisecond})
	}
	StreamStop.Emit(StreamStopped{Provider: name, Duration: time.Second, Outcome: OutcomeOK})
	StreamStop.Emit(StreamStopped{Provider: name, Duration: time.Second, Outcome: OutcomeCanceled})

	scrape(t, registered(t), name).expect(t, series{
		"requests_total{model=m,outcome=ok,route=chat,status=200}":      2,
		"requests_total{model=m,outcome=timeout,route=chat,status=504}": 1,
		"request_duration_seconds{} count":                              3,
		"request_duration_seconds{} sum":                                63,
		"tokens_total{model=m,type=input}":                              11,
		"tokens_total{model=m,type=cached_input}":                       4,
		"tokens_total{model=m,type=output}":                             22,
		"tokens_total{model=m,type=reasoning}":                          7,
		"cost_usd_total{model=m}":                                       0.5,
		"retries_total{outcome=unreachable}":                            1,
		"breaker_state{model=m}":                                        1,
		"breaker_transitions_total{model=m,state=open}":                 1,
		"breaker_transitions_total{model=m,state=half_open}":            1,
		"upstream_requests_total{outcome=ok,status=200}":                1,
		"upstream_requests_total{outcome=unreachable,status=0}":         1,
		"upstream_request_duration_seconds{} count":                     2,
		"upstream_request_duration_seconds{} sum":                       2,
		"failovers_total{outcome=unreachable}":                          1,
		"time_to_first_token_seconds{} count":                           3,
		"time_to_first_token_seconds{} sum":                             1.5,
		"time_per_output_token_seconds{} count":                         1,
		"time_per_output_token_seconds{} sum":                           0.05,
		"streams_active{}":                                              1,
	})
}

func TestARequestThatNobodyWasAskedForHasNoTokens(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.requestStop(RequestStopped{Route: "nobody", Status: 400, Outcome: OutcomeInvalid, Overhead: time.Second, InputTokens: 5})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.tokens, m.requests)
	got := scrape(t, registry, "")
	if n := got["requests_total{model=,outcome=invalid,route=nobody,status=400}"]; n != 1 {
		t.Errorf("the request counts %v times", n)
	}
	for key := range got {
		if strings.HasPrefix(key, "tokens_total") {
			t.Errorf("there is %s", key)
		}
	}
}

// Neither has labels, so these are of a set that nothing else in this test adds to.
func TestExceptionsAndOverheadAreCounted(t *testing.T) {
	m := newMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.exceptions, m.overhead)
	RequestException.Emit(RequestRaised{Route: "chat"})
	RequestStop.Emit(RequestStopped{Provider: "overhead", Overhead: 50 * time.Microsecond})
	RequestStop.Emit(RequestStopped{Overhead: time.Second}) // nobody was asked
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatal(families, err)
	}
	overhead, exceptions := families[0].GetMetric()[0].GetHistogram(), families[1].GetMetric()[0].GetCounter()
	if overhead.GetSampleCount() != 1 || overhead.GetSampleSum() != 50e-6 {
		t.Errorf("the overhead is %v", overhead)
	}
	if exceptions.GetValue() != 1 {
		t.Errorf("there are %v exceptions", exceptions)
	}
}

// Caddy gives each configuration a registry of its own, and loads one configuration
// after another.
func TestMetricsOutliveAConfiguration(t *testing.T) {
	t.Parallel()
	const key = "failovers_total{outcome=timeout}"
	name := unique("reloading")
	first := registered(t)
	if err := Register(first); err != nil {
		t.Errorf("registering them again: %v", err)
	}
	Failover.Emit(FailedOver{Provider: name, Outcome: OutcomeTimeout})
	if got := scrape(t, first, name)[key]; got != 1 {
		t.Errorf("the first registry has %v, want 1", got)
	}
	second := registered(t)
	Failover.Emit(FailedOver{Provider: name, Outcome: OutcomeTimeout})
	for which, registry := range map[string]*prometheus.Registry{"first": first, "second": second} {
		if got := scrape(t, registry, name)[key]; got != 2 {
			t.Errorf("the %s registry has %v, want 2", which, got)
		}
	}
}

func TestRegisterTellsOfANameThatIsTaken(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "runestone_tokens_total", Help: "Another."}))
	if err := Register(registry); err == nil {
		t.Error("a metric of the same name went unnoticed")
	}
}

func TestMetricsAreNamedAsPrometheusWishes(t *testing.T) {
	t.Parallel()
	for _, outcome := range outcomes { // a vector without series is not linted
		e := RequestStopped{Route: "chat", Provider: "linted", Model: "m", Outcome: outcome}
		e.Stream, e.FirstByte, e.OutputTokens = true, 1, 2
		RequestStop.Emit(e)
		StreamFirstToken.Emit(StreamFirstTokenSeen{Provider: "linted", Model: "m"})
		StreamStop.Emit(StreamStopped{Provider: "linted", Outcome: outcome})
		ProviderRequestStop.Emit(ProviderRequestStopped{Provider: "linted", Outcome: outcome})
		Failover.Emit(FailedOver{Provider: "linted", Outcome: outcome})
	}
	RequestStop.Emit(RequestStopped{Route: "chat", Provider: "linted", Model: "m", Outcome: OutcomeOK, CostUSD: 1})
	Retry.Emit(Retried{Provider: "linted", Outcome: OutcomeUnreachable})
	TargetAdd.Emit(TargetAdded{Provider: "linted", Model: "m"})
	BreakerOpen.Emit(BreakerOpened{Provider: "linted", Model: "m"})
	RateLimitBlock.Emit(RateLimitBlocked{Limit: "key_requests"})
	LineEnter.Emit(LineEntered{})
	LineLeave.Emit(LineLeft{Outcome: OutcomeOK})
	emitOverflow()
	registry := registered(t)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(families) != len(process.collectors()) {
		t.Errorf("%d of %d metrics have been linted", len(families), len(process.collectors()))
	}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "runestone_") || !strings.HasSuffix(family.GetHelp(), ".") {
			t.Errorf("%s: %s", family.GetName(), family.GetHelp())
		}
	}
}

// A Prometheus that scrapes many gateways pays for each series of each. The test is not beside others, whose events it
// would count as well.
func TestSeriesAreFew(t *testing.T) {
	const providers, models, targets = 20, 50, 2
	m := newMetrics()
	for i := range models * targets {
		provider, model := fmt.Sprint("provider-", i%providers), fmt.Sprint("model-", i/targets)
		for status, outcome := range map[int]string{200: OutcomeOK, 429: OutcomeError, 504: OutcomeTimeout} {
			if status != 200 && i%5 > 0 {
				continue // not all fail in each way
			}
			m.requestStop(RequestStopped{
				Route: "chat", Provider: provider, Model: model, Status: status, Outcome: outcome, Stream: true, FirstByte: 1,
				InputTokens: 1, OutputTokens: 2, CachedInputTokens: int64(i % 2), CostUSD: 1,
			})
			m.providerRequestStop(ProviderRequestStopped{Provider: provider, Status: status, Outcome: outcome})
		}
		m.streamFirstToken(StreamFirstTokenSeen{Provider: provider, Model: model})
		m.targetAdd(TargetAdded{Provider: provider, Model: model})
		if i%5 == 0 {
			m.breakerChange(provider, model, "open", 2)
			m.drainStop(OverflowDrainStopped{Provider: provider, Model: model, Result: DrainCompleted, InputTokens: 1})
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if h := metric.GetHistogram(); h != nil {
				series += len(h.GetBucket()) + 3 // and the one for all, the sum and the count
			} else {
				series++
			}
		}
	}
	if t.Logf("%d series", series); series >= 2000 {
		t.Errorf("there are %d series", series)
	}
}

// Clients name models as they like, and a series per name would fill the memory.
func TestModelsAreBounded(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	const clients = 8
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for i := range maxModels + 500 {
				m.requestStop(RequestStopped{Provider: "bounded", Model: fmt.Sprint("model-", i), Outcome: OutcomeOK})
			}
		})
	}
	group.Wait()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.requests, m.tokens, m.duration)
	total := 0.0
	var models []string
	for key, value := range scrape(t, registry, "bounded") {
		if labels, ok := strings.CutPrefix(key, "requests_total{model="); ok {
			model, _, _ := strings.Cut(labels, ",")
			models = append(models, model)
			total += value
		}
	}
	// Those who come at the same time may each add the last one, and other tests
	// emit a few models, too.
	if n := len(models); n < maxModels-10 || n > maxModels+clients {
		t.Errorf("there are %d models, want about %d", n, maxModels)
	}
	if !slices.Contains(models, otherModel) {
		t.Errorf("none of them is %q", otherModel)
	}
	if total != clients*(maxModels+500) {
		t.Errorf("%v requests are counted of %d", total, clients*(maxModels+500))
	}
	if got := m.model("late"); got != otherModel {
		t.Errorf("one more has the label %q", got)
	}
	m.knowModel("late")
	if got := m.model("late"); got != "late" {
		t.Errorf("one of the configuration has the label %q", got)
	}
	m.requestStop(RequestStopped{Provider: "bounded", Model: models[0]})
	if got := m.model(models[0]); got != models[0] {
		t.Errorf("a model that is known counts as %q", got)
	}
	if got := m.model(""); got != "" {
		t.Errorf("no model counts as %q", got)
	}
}

// Prometheus panics on labels that are not UTF-8, and clients send what they like.
func TestAModelThatIsNoTextCountsAsOther(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.requestStop(RequestStopped{Provider: "bytes", Model: "a\xff"})
	m.streamFirstToken(StreamFirstTokenSeen{Provider: "bytes", Model: "a\xff"})
	if got := m.model("\xff"); got != otherModel {
		t.Errorf("got %q", got)
	}
}

func TestSeriesAreMadeOnce(t *testing.T) {
	t.Parallel()
	var c cache[string, *int]
	var mu sync.Mutex
	made := 0
	var group sync.WaitGroup
	got := make([]*int, 16)
	for i := range got {
		group.Go(func() {
			got[i] = c.get("key", func() *int {
				mu.Lock()
				defer mu.Unlock()
				made++
				return new(int)
			})
		})
	}
	group.Wait()
	if made != 1 || c.len() != 1 || !c.has("key") || c.has("other") {
		t.Errorf("made %d, kept %d", made, c.len())
	}
	for _, v := range got {
		if v != got[0] {
			t.Error("two got different series for one key")
		}
	}
}
