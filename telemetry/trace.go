package telemetry

import (
	"context"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the instrumentation scope of all spans.
const tracerName = "github.com/runestone-gateway/runestone"

// Spans are made where Caddy's handler tracing has begun a trace, with its exporter, so that nothing
// has to be configured twice. What is done for queued requests has no such handler around
// it: its spans go where the latest traced request has gone.
var tracers atomic.Pointer[trace.TracerProvider]

// propagator is W3C's Trace Context, which is what providers and collectors understand.
var propagator propagation.TraceContext

// Span is a span of a trace, or nothing: its methods may be called when it is nil.
type Span struct{ span trace.Span }

// StartSpan begins a span under the one in ctx. If that is not recorded, the span is nil and ctx
// the same, so that requests which are not traced pay next to nothing.
func StartSpan(ctx context.Context, name string, kind trace.SpanKind, attributes ...attribute.KeyValue) (context.Context, *Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, nil
	}
	ctx, span := remember(parent.TracerProvider()).Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	return ctx, &Span{span}
}

// Traced reports whether a span in ctx is recorded.
func Traced(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

func remember(p trace.TracerProvider) trace.Tracer {
	if last := tracers.Load(); last == nil || *last != p {
		tracers.Store(&p)
	}
	return p.Tracer(tracerName)
}

// Set adds attributes.
func (s *Span) Set(attributes ...attribute.KeyValue) {
	if s != nil {
		s.span.SetAttributes(attributes...)
	}
}

// Inject has whoever gets the header see the span as its parent.
func (s *Span) Inject(ctx context.Context, header http.Header) {
	if s != nil {
		header.Del("Tracestate")
		propagator.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// End ends the span. outcome is one of this package's; whatever is not the span's own success, or
// the client's leaving, makes it an error.
func (s *Span) End(outcome string) {
	if s == nil {
		return
	}
	switch outcome {
	case OutcomeOK, DrainCompleted, DrainWaits, DrainReturned, DrainCancelled, CallbackDelivered:
	case OutcomeCanceled:
		s.Set(attribute.String("runestone.outcome", outcome))
	default:
		s.Set(semconv.ErrorTypeKey.String(outcome))
		s.span.SetStatus(codes.Error, outcome)
	}
	s.span.End()
}

// Carry has what is stored with a header belong to the trace in ctx, so that what becomes of it later
// does as well.
func Carry(ctx context.Context, header http.Header) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		remember(span.TracerProvider())
		propagator.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// ResumeSpan begins the span of something that is done for what was stored with a header: in the same trace,
// and with a link to who has stored it. It is nil if that was not traced, or nobody has been since the
// process began.
func ResumeSpan(ctx context.Context, header http.Header, name string, attributes ...attribute.KeyValue) (context.Context, *Span) {
	tracing := tracers.Load()
	if tracing == nil || header.Get("Traceparent") == "" {
		return ctx, nil
	}
	ctx = propagator.Extract(ctx, propagation.HeaderCarrier(header))
	from := trace.SpanContextFromContext(ctx)
	if !from.IsSampled() {
		return ctx, nil
	}
	ctx, span := (*tracing).Tracer(tracerName).Start(ctx, name, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.Link{SpanContext: from}), trace.WithAttributes(attributes...))
	return ctx, &Span{span}
}
