package telemetry

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// exemplarsOf returns the trace IDs of a histogram's exemplars, by the upper bound of their bucket, and how many
// observations it has.
func exemplarsOf(t *testing.T, h prometheus.Histogram) (found map[float64]string, count uint64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(h)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	found = make(map[float64]string)
	histogram := families[0].Metric[0].Histogram
	for _, b := range histogram.Bucket {
		if e := b.Exemplar; e != nil {
			found[b.GetUpperBound()] = e.Label[0].GetName() + "=" + e.Label[0].GetValue()
		}
	}
	return found, histogram.GetSampleCount()
}

func TestEachBucketHasAnExemplarOfATracedRequest(t *testing.T) {
	t.Parallel()
	buckets := []float64{1, 2}
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: buckets})
	e := withExemplars(h, buckets)
	first, second := trace.TraceID{1}, trace.TraceID{2}
	e.observe(time.Second/2, trace.TraceID{}) // is not traced
	if got, _ := exemplarsOf(t, h); len(got) != 0 {
		t.Errorf("a request without a trace is an exemplar: %v", got)
	}
	e.observe(time.Second/2, first)
	e.observe(time.Second/2, second) // too soon after the first
	e.value(1.5, second)
	e.value(9, first) // beyond all buckets
	got, _ := exemplarsOf(t, h)
	if got[1] != "trace_id="+first.String() || got[2] != "trace_id="+second.String() {
		t.Errorf("the exemplars are %v", got)
	}
	e.since[0].Store(0) // a long time ago
	e.observe(time.Second/2, second)
	got, count := exemplarsOf(t, h)
	if got[1] != "trace_id="+second.String() {
		t.Errorf("the exemplar is not renewed: %v", got)
	}
	if count != 6 {
		t.Errorf("%d observations count, want 6", count)
	}
}

func TestWhatIsNotTracedCostsNoAllocation(t *testing.T) {
	event := RequestStopped{Provider: unique("untraced"), Model: "m", Outcome: OutcomeOK, Stream: true, OutputTokens: 3, FirstByte: 1, Duration: 3}
	RequestStop.Emit(event)
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		event.TraceID = TraceIDOf(ctx)
		RequestStop.Emit(event)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// recorded is a span that is recorded, and perhaps kept.
type recorded struct {
	noop.Span
	context trace.SpanContext
}

func (recorded) IsRecording() bool                { return true }
func (r recorded) SpanContext() trace.SpanContext { return r.context }

func TestOnlyTracesThatAreKeptHaveAnID(t *testing.T) {
	t.Parallel()
	id := trace.TraceID{1}
	for flags, want := range map[trace.TraceFlags]trace.TraceID{trace.FlagsSampled: id, 0: {}} {
		span := recorded{context: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{1}, TraceFlags: flags})}
		if got := TraceIDOf(trace.ContextWithSpan(t.Context(), span)); got != want {
			t.Errorf("flags %s: got %s, want %s", flags, got, want)
		}
	}
}
