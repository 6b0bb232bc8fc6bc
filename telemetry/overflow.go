package telemetry

import "time"

// The events of overflow: of requests that are queued and run later.
var (
	OverflowEnqueue = declare[OverflowEnqueued]("overflow.enqueue",
		"A request has been made durable, to be run later.")
	OverflowDrainStart = declare[OverflowDrainStarted]("overflow.drain.start",
		"A queued request is about to be run.")
	OverflowDrainStop = declare[OverflowDrainStopped]("overflow.drain.stop",
		"A run of a queued request has ended, and what came of it is recorded.")
	OverflowRescue = declare[OverflowRescued]("overflow.rescue",
		"A job is taken from a process that has died or fallen silent.")
	OverflowDiscard = declare[OverflowDiscarded]("overflow.discard",
		"A job is given up: its client gets an error.")
	OverflowCallback = declare[OverflowCalledBack]("overflow.callback",
		"An attempt to tell a client's server that a job has ended is over.")
	OverflowDepth = declare[OverflowDepthSeen]("overflow.depth",
		"How many jobs of a kind are in a state: for each of them, every second or so.")
	OverflowAge = declare[OverflowAgeSeen]("overflow.age",
		"How old the oldest job of a kind is that has not ended: every second or so.")
	HealthCheck = declare[HealthChecked]("health.check",
		"The hourly check of queue, providers and drain, which one process of all that share the queue makes.")
)

// Results of a run of a queued request.
const (
	DrainCompleted = "completed" // its answer is recorded
	DrainRetried   = "retried"   // it failed, and will be run again
	DrainWaits     = "waits"     // nobody could take it: it waits for room
	DrainReturned  = "returned"  // the process is about to exit: another one runs it
	DrainDiscarded = "discarded" // it is given up
	DrainCancelled = "cancelled" // its client, or an operator, wanted no more
	DrainLost      = "lost"      // another process has it
)

// Results of a callback.
const (
	CallbackDelivered = "delivered" // the receiver has it
	CallbackRetried   = "retried"   // it did not get through, and is tried again
	CallbackBlocked   = "blocked"   // it may not go where it was to go
	CallbackDiscarded = "discarded" // it is given up
)

// OverflowEnqueued is carried by overflow.enqueue.
type OverflowEnqueued struct {
	Model    string `bound:"1000" doc:"The model that was asked for."`
	Priority int    `bound:"4" doc:"0, which is served first, to 3."`
}

// OverflowDrainStarted is carried by overflow.drain.start.
type OverflowDrainStarted struct {
	Wait    time.Duration `unit:"seconds" doc:"From the request's being queued."`
	Attempt int           `unit:"calls" doc:"Attempts used up, this one included."`
	Model   string        `bound:"1000" doc:"The model that was asked for."`
}

// OverflowDrainStopped is carried by overflow.drain.stop.
type OverflowDrainStopped struct {
	Duration time.Duration `unit:"seconds" doc:"Of the run."`

	InputTokens       int64 `unit:"tokens" doc:"Input, cached input included."`
	CachedInputTokens int64 `unit:"tokens" doc:"Input that the provider had in its cache."`
	CacheWriteTokens  int64 `unit:"tokens" doc:"Input that the provider wrote into its cache."`
	OutputTokens      int64 `unit:"tokens" doc:"Output, reasoning included."`
	ReasoningTokens   int64 `unit:"tokens" doc:"Output that was reasoning."`

	CostUSD float64 `unit:"usd" doc:"What the tokens cost by the target's price; 0 when that is not known."`

	Provider string `bound:"configuration" doc:"The provider that answered, empty when none did."`
	Model    string `bound:"1000" doc:"The model that was asked for."`
	Result   string `bound:"7" doc:"What came of it: completed, retried, waits, returned, discarded, cancelled, lost."`
}

// OverflowRescued is carried by overflow.rescue.
type OverflowRescued struct {
	Crashes int    `unit:"calls" doc:"Runs of the job that ended without a word, this one included."`
	Kind    string `bound:"2" doc:"request or callback."`
}

// OverflowDiscarded is carried by overflow.discard.
type OverflowDiscarded struct {
	Kind   string `bound:"2" doc:"request or callback."`
	Reason string `bound:"6" doc:"Why: max_attempts, refused, crashes, expired, operator, corrupt."`
}

// OverflowCalledBack is carried by overflow.callback.
type OverflowCalledBack struct {
	Duration time.Duration `unit:"seconds" doc:"Of the call."`
	Status   int           `bound:"60" doc:"The HTTP status that the receiver gave, 0 when it gave none."`
	Result   string        `bound:"4" doc:"What came of it: delivered, retried, blocked, discarded."`
}

// OverflowDepthSeen is carried by overflow.depth.
type OverflowDepthSeen struct {
	Jobs  int    `unit:"jobs" doc:"How many there are."`
	Kind  string `bound:"2" doc:"request or callback."`
	State string `bound:"7" doc:"available, waiting, scheduled, executing, completed, discarded, cancelled."`
}

// OverflowAgeSeen is carried by overflow.age.
type OverflowAgeSeen struct {
	Age  time.Duration `unit:"seconds" doc:"Since the oldest job was queued; 0 when there is none."`
	Kind string        `bound:"2" doc:"request or callback."`
}

// HealthChecked is carried by health.check.
type HealthChecked struct {
	Component string `bound:"4" doc:"What was checked: queue, providers, drain."`
	Healthy   bool   `bound:"2" doc:"Whether it is as it should be."`
}
