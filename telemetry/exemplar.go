package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// TraceIDOf returns the trace to which the span in ctx belongs, if that is recorded and kept, and otherwise
// the zero ID.
func TraceIDOf(ctx context.Context) (id trace.TraceID) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		if c := span.SpanContext(); c.IsSampled() {
			id = c.TraceID()
		}
	}
	return id
}

// exemplarEvery is how often a bucket gets another exemplar. One is enough for whoever looks, and each
// costs what a dozen observations do.
const exemplarEvery = time.Second

// exemplary is an observer of a histogram whose observations may have a trace. It is safe for concurrent use.
type exemplary struct {
	prometheus.Observer
	buckets []float64
	since   []atomic.Int64 // when each bucket got its latest exemplar, by clock
}

func withExemplars(o prometheus.Observer, buckets []float64) *exemplary {
	return &exemplary{Observer: o, buckets: buckets, since: make([]atomic.Int64, len(buckets)+1)}
}

var began = time.Now()

// observe counts a value, and notes in whose trace it was if that has an ID.
func (e *exemplary) observe(d time.Duration, id trace.TraceID) {
	e.value(d.Seconds(), id)
}

func (e *exemplary) value(v float64, id trace.TraceID) {
	if !id.IsValid() || !e.due(v) {
		e.Observe(v)
		return
	}
	e.Observer.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": id.String()})
}

// due reports whether the bucket of a value is due for an exemplar. Of several that ask at once it tells one so.
func (e *exemplary) due(v float64) bool {
	i := 0
	for i < len(e.buckets) && v > e.buckets[i] {
		i++
	}
	now, last := int64(time.Since(began))+int64(exemplarEvery), e.since[i].Load()
	return now-last >= int64(exemplarEvery) && e.since[i].CompareAndSwap(last, now)
}
