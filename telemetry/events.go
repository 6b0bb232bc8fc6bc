package telemetry

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// The events of the live path.
var (
	RequestStart = declare[RequestStarted]("request.start",
		"A request for a model, or another call that is relayed, has arrived.")
	RequestStop = declare[RequestStopped]("request.stop",
		"A request has been answered, refused, or given up by its client.")
	RequestException = declare[RequestRaised]("request.exception",
		"Answering a request panicked.")

	StreamFirstToken = declare[StreamFirstTokenSeen]("stream.first_token",
		"The first event of a streamed answer has arrived.")
	StreamStop = declare[StreamStopped]("stream.stop",
		"A streamed answer that had a first event has ended, well or not.")

	ProviderRequestStart = declare[ProviderRequestStarted]("provider.request.start",
		"A call to a provider begins.")
	ProviderRequestStop = declare[ProviderRequestStopped]("provider.request.stop",
		"A call to a provider has ended: its answer was read to the end, it failed, or it was given up.")

	Failover = declare[FailedOver]("failover",
		"A call failed before the first byte and another target is tried, or the same one later.")
	Retry = declare[Retried]("retry",
		"A call failed before the first byte and the same target is asked again, with a new connection or another credential.")

	RateLimitCheck = declare[RateLimitChecked]("ratelimit.check",
		"A request is held to the limits of its key and its model.")
	RateLimitBlock = declare[RateLimitBlocked]("ratelimit.block",
		"A request is refused because it is over a limit, neither queued nor let wait.")

	KeyRotate = declare[KeyChanged]("key.rotate",
		"A stored API key is made, given a new secret, or revoked, here.")

	TargetAdd = declare[TargetAdded]("target.add",
		"A target is in use that was in none of the earlier configurations that are still open.")
	TargetRemove = declare[TargetRemoved]("target.remove",
		"No configuration uses a target any more.")
	BreakerOpen = declare[BreakerOpened]("breaker.open",
		"A target has failed too often and is left alone for a while.")
	BreakerHalfOpen = declare[BreakerProbing]("breaker.half_open",
		"A target is being tried again with a few calls.")
	BreakerClose = declare[BreakerClosed]("breaker.close",
		"A target works again.")

	LineEnter = declare[LineEntered]("line.enter",
		"A request stands in line, as no target can take it now.")
	LineLeave = declare[LineLeft]("line.leave",
		"A request has left the line: for a target, or in vain.")
)

// Outcomes of a request, and of a call to a provider.
const (
	OutcomeOK           = "ok"            // answered in full
	OutcomeError        = "error"         // an error status, or a stream that broke
	OutcomeInvalid      = "invalid"       // refused by the gateway before any provider was asked
	OutcomeTimeout      = "timeout"       // one of the timeouts
	OutcomeUnreachable  = "unreachable"   // no connection, or it broke before an answer
	OutcomeCanceled     = "canceled"      // the client left
	OutcomeShuttingDown = "shutting_down" // the process is exiting
	OutcomeUnavailable  = "unavailable"   // no target could take it, nor did one in time
)

// What can become of a key.
const (
	KeyCreated = "created"
	KeyRotated = "rotated"
	KeyRevoked = "revoked"
)

// RequestStarted is carried by request.start.
type RequestStarted struct {
	Route string `bound:"16" doc:"The kind of call: chat, completions, embeddings, responses, messages, count_tokens, overflow, other."`
}

// RequestStopped is carried by request.stop.
type RequestStopped struct {
	Duration  time.Duration `unit:"seconds" doc:"From the request's arrival to the end of its answer."`
	Overhead  time.Duration `unit:"seconds" doc:"The gateway's own share before the provider was asked."`
	FirstByte time.Duration `unit:"seconds" doc:"From the request's arrival to the first byte of its answer; 0 when there was none."`

	InputTokens       int64 `unit:"tokens" doc:"Input, cached input included."`
	CachedInputTokens int64 `unit:"tokens" doc:"Input that the provider had in its cache."`
	CacheWriteTokens  int64 `unit:"tokens" doc:"Input that the provider wrote into its cache."`
	OutputTokens      int64 `unit:"tokens" doc:"Output, reasoning included."`
	ReasoningTokens   int64 `unit:"tokens" doc:"Output that was reasoning."`
	Attempts          int   `unit:"calls" doc:"Calls made to providers."`

	CostUSD float64 `unit:"usd" doc:"What the tokens cost by the target's price; 0 when that is not known."`

	Route    string `bound:"16" doc:"The kind of call, as in request.start."`
	Provider string `bound:"configuration" doc:"The provider that answered, empty when none did."`
	Model    string `bound:"1000" doc:"The model that was asked for, by its configured name; a name that is not configured counts as \"other\" until a provider has accepted it."`
	Status   int    `bound:"60" doc:"The HTTP status that the client got."`
	Outcome  string `bound:"8" doc:"What came of it: ok, error, invalid, timeout, unreachable, unavailable, canceled, shutting_down."`
	Stream   bool   `bound:"2" doc:"Whether the answer was streamed."`
	Key      string `bound:"configuration" doc:"The name of the client's API key, empty without one; no metric has it as a label."`
	Code     string `bound:"1000" doc:"The code of the error that the client was told, which may be a provider's own; empty without one. No metric has it as a label."`

	TraceID trace.TraceID `bound:"unbounded" doc:"The trace of the request, zero if it is not traced. Exemplars have it, and no metric as a label."`
}

// RateLimitChecked is carried by ratelimit.check.
type RateLimitChecked struct {
	Admitted bool `bound:"2" doc:"Whether the request is within its limits."`
}

// RateLimitBlocked is carried by ratelimit.block.
type RateLimitBlocked struct {
	Limit string `bound:"16" doc:"The limit that was reached for longest, such as key_requests or model_tokens."`
}

// RequestRaised is carried by request.exception.
type RequestRaised struct {
	Duration time.Duration `unit:"seconds" doc:"From the request's arrival."`
	Route    string        `bound:"16" doc:"The kind of call, as in request.start."`
}

// StreamFirstTokenSeen is carried by stream.first_token.
type StreamFirstTokenSeen struct {
	Duration time.Duration `unit:"seconds" doc:"From the request's arrival."`
	Provider string        `bound:"configuration" doc:"The provider that streams."`
	Model    string        `bound:"1000" doc:"As in request.stop."`
	TraceID  trace.TraceID `bound:"unbounded" doc:"As in request.stop."`
}

// StreamStopped is carried by stream.stop.
type StreamStopped struct {
	Duration time.Duration `unit:"seconds" doc:"From the first event to the end."`
	Provider string        `bound:"configuration" doc:"The provider that streamed."`
	Outcome  string        `bound:"8" doc:"As in request.stop."`
}

// ProviderRequestStarted is carried by provider.request.start.
type ProviderRequestStarted struct {
	Provider string `bound:"configuration" doc:"The provider that is asked."`
}

// ProviderRequestStopped is carried by provider.request.stop.
type ProviderRequestStopped struct {
	Duration time.Duration `unit:"seconds" doc:"From the call's begin to the end of its answer."`
	Provider string        `bound:"configuration" doc:"The provider that was asked."`
	Status   int           `bound:"60" doc:"The HTTP status it gave, 0 when it gave none."`
	Outcome  string        `bound:"8" doc:"As in request.stop."`
}

// FailedOver is carried by failover.
type FailedOver struct {
	Provider string `bound:"configuration" doc:"The provider that failed."`
	Outcome  string `bound:"8" doc:"How it failed, as in request.stop."`
}

// Retried is carried by retry.
type Retried struct {
	Provider string `bound:"configuration" doc:"The provider that is asked again."`
	Outcome  string `bound:"8" doc:"How the call failed, as in request.stop."`
}

// KeyChanged is carried by key.rotate.
type KeyChanged struct {
	Key    string `bound:"configuration" doc:"The name of the key."`
	Change string `bound:"3" doc:"What has become of it: created, rotated, revoked."`
}

// TargetAdded is carried by target.add.
type TargetAdded struct {
	Provider string `bound:"configuration" doc:"The target's provider."`
	Model    string `bound:"configuration" doc:"The provider's name for the model, empty for all that are not configured."`
}

// TargetRemoved is carried by target.remove.
type TargetRemoved struct {
	Provider string `bound:"configuration" doc:"The target's provider."`
	Model    string `bound:"configuration" doc:"The provider's name for the model, empty for all that are not configured."`
}

// BreakerOpened is carried by breaker.open.
type BreakerOpened struct {
	OpenFor  time.Duration `unit:"seconds" doc:"How long the target is left alone."`
	Provider string        `bound:"configuration" doc:"The target's provider."`
	Model    string        `bound:"configuration" doc:"The provider's name for the model, empty for all that are not configured."`
}

// BreakerProbing is carried by breaker.half_open.
type BreakerProbing struct {
	Provider string `bound:"configuration" doc:"The target's provider."`
	Model    string `bound:"configuration" doc:"The provider's name for the model, empty for all that are not configured."`
}

// BreakerClosed is carried by breaker.close.
type BreakerClosed struct {
	Provider string `bound:"configuration" doc:"The target's provider."`
	Model    string `bound:"configuration" doc:"The provider's name for the model, empty for all that are not configured."`
}

// LineEntered is carried by line.enter.
type LineEntered struct {
	Model string `bound:"1000" doc:"The model that was asked for, empty when it is not configured."`
}

// LineLeft is carried by line.leave.
type LineLeft struct {
	Duration time.Duration `unit:"seconds" doc:"How long it stood in line."`
	Model    string        `bound:"1000" doc:"As in line.enter."`
	Outcome  string        `bound:"8" doc:"Why it left: ok (for a target), timeout, canceled, shutting_down."`
}
