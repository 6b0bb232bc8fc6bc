package command

import (
	"bytes"
	"fmt"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/runestone-gateway/runestone/telemetry"
)

// topCounts are the gateway's metrics at one moment, as far as they are shown.
type topCounts struct {
	all       topCount
	providers map[string]*topCount
	// limited is how many requests were refused by a limit.
	limited float64
}

// topCount is what is counted of a provider, or of all. Counters are as old as the process.
type topCount struct {
	requests, failed   float64 // of clients
	calls, callsFailed float64 // to providers
	input, output      float64 // tokens
	usd                float64
	streams            float64 // under way
	first, whole       histogram
}

// readCounts reads what the admin endpoint's /metrics answers.
func readCounts(text []byte) (*topCounts, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading the metrics: %w", err)
	}
	c := &topCounts{providers: make(map[string]*topCount)}
	for name, add := range topFamilies {
		for _, m := range families["runestone_"+name].GetMetric() {
			add(&c.all, m)
			provider := label(m, "provider")
			if c.providers[provider] == nil {
				c.providers[provider] = new(topCount)
			}
			add(c.providers[provider], m)
		}
	}
	for _, m := range families["runestone_ratelimit_blocked_total"].GetMetric() {
		c.limited += m.GetCounter().GetValue()
	}
	return c, nil
}

// topFamilies are the metrics that are counted by provider, and what they count for.
var topFamilies = map[string]func(*topCount, *dto.Metric){
	"requests_total": func(c *topCount, m *dto.Metric) {
		n := m.GetCounter().GetValue()
		c.requests += n
		if status := label(m, "status"); failure(label(m, "outcome")) && (status == "" || status[0] != '4') {
			c.failed += n
		}
	},
	"upstream_requests_total": func(c *topCount, m *dto.Metric) {
		n := m.GetCounter().GetValue()
		c.calls += n
		if failure(label(m, "outcome")) {
			c.callsFailed += n
		}
	},
	"tokens_total": func(c *topCount, m *dto.Metric) {
		switch n := m.GetCounter().GetValue(); label(m, "type") {
		case "input":
			c.input += n
		case "output":
			c.output += n
		}
	},
	"cost_usd_total":              func(c *topCount, m *dto.Metric) { c.usd += m.GetCounter().GetValue() },
	"streams_active":              func(c *topCount, m *dto.Metric) { c.streams += m.GetGauge().GetValue() },
	"time_to_first_token_seconds": func(c *topCount, m *dto.Metric) { c.first.add(m.GetHistogram()) },
	"request_duration_seconds":    func(c *topCount, m *dto.Metric) { c.whole.add(m.GetHistogram()) },
}

// failure reports whether an outcome is one, and neither the client's will nor its fault.
func failure(outcome string) bool {
	switch outcome {
	case telemetry.OutcomeError, telemetry.OutcomeTimeout, telemetry.OutcomeUnreachable, telemetry.OutcomeUnavailable:
		return true
	}
	return false
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// topRates are what counters have gone up by, a second unless it says otherwise.
type topRates struct {
	requests, calls     float64
	failed, callsFailed float64 // of them, from 0 to 1
	input, output       float64 // tokens
	usdPerHour          float64
	// first and whole are the median and the 95th percentile of the time to the first token
	// and to the end of the answer, in seconds; 0 when there were none.
	first, whole [2]float64
}

// since returns the rates after an earlier count, nil if that was not there yet.
func (c *topCount) since(earlier *topCount, seconds float64) topRates {
	if earlier == nil {
		earlier = new(topCount)
	}
	ratio := func(part, whole float64) float64 {
		if whole <= 0 {
			return 0
		}
		return part / whole
	}
	requests, calls := c.requests-earlier.requests, c.calls-earlier.calls
	r := topRates{
		requests: requests / seconds, failed: ratio(c.failed-earlier.failed, requests),
		calls: calls / seconds, callsFailed: ratio(c.callsFailed-earlier.callsFailed, calls),
		input: (c.input - earlier.input) / seconds, output: (c.output - earlier.output) / seconds,
		usdPerHour: (c.usd - earlier.usd) / seconds * 3600,
	}
	for i, q := range [...]float64{0.5, 0.95} {
		r.first[i], r.whole[i] = c.first.quantile(q, &earlier.first), c.whole.quantile(q, &earlier.whole)
	}
	return r
}

// before reports whether the counts are of an earlier process than other ones: a counter
// never falls.
func (c *topCounts) before(other *topCounts) bool {
	return other.all.requests < c.all.requests || other.all.calls < c.all.calls || other.all.output < c.all.output
}

// histogram is one of Prometheus's classic ones: how many values are at most each bound.
type histogram struct{ bounds, counts []float64 }

func (h *histogram) add(other *dto.Histogram) {
	buckets := other.GetBucket()
	if h.bounds == nil {
		for _, b := range buckets {
			h.bounds = append(h.bounds, b.GetUpperBound())
		}
		h.counts = make([]float64, len(buckets))
	}
	if len(buckets) != len(h.bounds) {
		return // not one of ours
	}
	for i, b := range buckets {
		h.counts[i] += float64(b.GetCumulativeCount())
	}
}

// quantile estimates a quantile of the values that came after an earlier state, as
// Prometheus does: as if they were spread evenly between two bounds.
func (h *histogram) quantile(q float64, earlier *histogram) float64 {
	counts := slices.Clone(h.counts)
	if len(earlier.counts) == len(counts) {
		for i := range counts {
			counts[i] -= earlier.counts[i]
		}
	}
	n := len(counts)
	if n < 2 || counts[n-1] <= 0 {
		return 0
	}
	rank := q * counts[n-1]
	i := slices.IndexFunc(counts, func(count float64) bool { return count >= rank })
	if i >= n-1 || i < 0 {
		return h.bounds[n-2] // beyond the last bound there is only +Inf
	}
	var below, from float64
	if i > 0 {
		below, from = counts[i-1], h.bounds[i-1]
	}
	return from + (h.bounds[i]-from)*(rank-below)/max(counts[i]-below, 1e-9)
}
