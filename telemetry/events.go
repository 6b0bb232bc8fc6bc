package telemetry

import "time"

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
		"A target failed before the first byte and the next one is tried.")
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
)

// RequestStarted is carried by request.start.
type RequestStarted struct {
	Route string `bound:"16" doc:"The kind of call: chat, completions, embeddings, responses, models, other."`
}

// RequestStopped is carried by request.stop.
type RequestStopped struct {
	Duration  time.Duration `unit:"seconds" doc:"From the request's arrival to the end of its answer."`
	Overhead  time.Duration `unit:"seconds" doc:"The gateway's own share before the provider was asked."`
	FirstByte time.Duration `unit:"seconds" doc:"From the request's arrival to the first byte of its answer; 0 when there was none."`

	InputTokens       int64 `unit:"tokens" doc:"Input, cached input included."`
	CachedInputTokens int64 `unit:"tokens" doc:"Input that the provider had in its cache."`
	OutputTokens      int64 `unit:"tokens" doc:"Output, reasoning included."`
	ReasoningTokens   int64 `unit:"tokens" doc:"Output that was reasoning."`
	Attempts          int   `unit:"calls" doc:"Calls made to providers."`

	Route    string `bound:"16" doc:"The kind of call, as in request.start."`
	Provider string `bound:"configuration" doc:"The provider that answered, empty when none did."`
	Model    string `bound:"1000" doc:"The model that was asked for, by its configured name; a name that is not configured counts as \"other\" until a provider has accepted it."`
	Status   int    `bound:"60" doc:"The HTTP status that the client got."`
	Outcome  string `bound:"7" doc:"What came of it: ok, error, invalid, timeout, unreachable, canceled, shutting_down."`
	Stream   bool   `bound:"2" doc:"Whether the answer was streamed."`
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
}

// StreamStopped is carried by stream.stop.
type StreamStopped struct {
	Duration time.Duration `unit:"seconds" doc:"From the first event to the end."`
	Provider string        `bound:"configuration" doc:"The provider that streamed."`
	Outcome  string        `bound:"7" doc:"As in request.stop."`
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
	Outcome  string        `bound:"7" doc:"As in request.stop."`
}

// FailedOver is carried by failover.
type FailedOver struct {
	Provider string `bound:"configuration" doc:"The provider that failed."`
	Outcome  string `bound:"7" doc:"How it failed, as in request.stop."`
}
