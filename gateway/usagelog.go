package gateway

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
)

// UsageRecord is a line of the usage log: a request that is over, or a run of a queued one that a provider has
// answered. It holds nothing of what was asked and answered, and no credential.
type UsageRecord struct {
	// RequestID is the client's, of a run that of the request that was queued.
	RequestID string
	// Job is the ID of the job that a request has become or is about, or of which the run is.
	Job string
	// Run counts the runs of a job, and is 0 for a request.
	Run int
	// Caller is who asked, nil without a key.
	Caller *keys.Caller
	// API is the call. What it is named is the route of the line.
	API dialect.API
	// Model is what was asked for; Provider and Target who has answered, and with which model. All of
	// them may be empty.
	Model, Provider, Target string
	// Status is the HTTP status that the client got, or that the provider gave to a run.
	Status int
	// Outcome is one of telemetry's, and Error the code of the error that was told.
	Outcome, Error string
	// Attempts is how many calls to providers were made.
	Attempts int
	// Stream is whether the answer was streamed.
	Stream bool
	// Tokens are those that the provider has reported.
	Tokens dialect.Usage
	// CostUSD is what they cost. Priced is whether that is known.
	CostUSD float64
	Priced  bool
	// Wait is the time in line, Overhead the gateway's own share before a provider was asked,
	// FirstByte the time to the first byte of the answer, and Duration to its end.
	Wait, Overhead, FirstByte, Duration time.Duration
	// TraceID is the trace's, zero without one.
	TraceID trace.TraceID
}

// usageLogger is what the logger of usage is called behind the app's name.
const usageLogger = "usage"

// LogsUsage reports whether LogUsage writes anything, so that nobody makes a record in vain.
func (a *App) LogsUsage() bool { return a.usageLog != nil }

// LogUsage writes a line to the usage log, if there is one.
func (a *App) LogUsage(r *UsageRecord) {
	if a.usageLog == nil {
		return
	}
	if entry := a.usageLog.Check(zap.InfoLevel, "usage"); entry != nil {
		entry.Write(zap.Inline(r))
	}
}

// maxLoggedModel bounds a name that a client has made up, in bytes.
const maxLoggedModel = 256

// MarshalLogObject implements zapcore.ObjectMarshaler. Members that say nothing of a request are left out, except for
// numbers that are summed up.
func (r *UsageRecord) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	text := func(key, value string) {
		if value != "" {
			enc.AddString(key, value)
		}
	}
	text("request_id", r.RequestID)
	text("job", r.Job)
	if r.Run > 0 {
		enc.AddInt("run", r.Run)
	}
	if r.Caller != nil {
		text("key", r.Caller.Name)
		if len(r.Caller.Metadata) > 0 {
			_ = enc.AddObject("metadata", metadata(r.Caller.Metadata))
		}
	}
	enc.AddString("route", string(r.API))
	text("model", r.Model[:min(len(r.Model), maxLoggedModel)])
	text("provider", r.Provider)
	text("target", r.Target[:min(len(r.Target), maxLoggedModel)])
	enc.AddInt("status", r.Status)
	enc.AddString("outcome", r.Outcome)
	text("error", r.Error)
	enc.AddInt("attempts", r.Attempts)
	enc.AddBool("stream", r.Stream)
	enc.AddInt64("input_tokens", r.Tokens.Input)
	enc.AddInt64("cached_input_tokens", r.Tokens.CachedInput)
	enc.AddInt64("cache_write_tokens", r.Tokens.CacheWrite)
	enc.AddInt64("output_tokens", r.Tokens.Output)
	enc.AddInt64("reasoning_tokens", r.Tokens.Reasoning)
	if r.Priced {
		enc.AddFloat64("cost_usd", r.CostUSD)
	}
	span := func(key string, d time.Duration) {
		if d > 0 {
			enc.AddDuration(key, d)
		}
	}
	span("wait", r.Wait)
	span("overhead", r.Overhead)
	span("first_byte", r.FirstByte)
	enc.AddDuration("duration", r.Duration)
	if r.TraceID.IsValid() {
		enc.AddString("trace_id", r.TraceID.String())
	}
	return nil
}

// metadata is what a key is marked with, written without reflection.
type metadata map[string]string

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (m metadata) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		enc.AddString(name, m[name])
	}
	return nil
}
