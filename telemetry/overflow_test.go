package telemetry

import (
	"testing"
	"time"
)

// emitOverflow emits each event of overflow once, of a request for the provider "linted".
func emitOverflow() {
	OverflowEnqueue.Emit(OverflowEnqueued{Model: "m", Priority: 2})
	OverflowDrainStart.Emit(OverflowDrainStarted{Model: "m", Wait: time.Second, Attempt: 1})
	OverflowDrainStop.Emit(OverflowDrainStopped{Provider: "linted", Model: "m", Result: DrainCompleted, CostUSD: 1})
	OverflowRescue.Emit(OverflowRescued{Kind: "request", Crashes: 1})
	OverflowDiscard.Emit(OverflowDiscarded{Kind: "request", Reason: "refused"})
	OverflowCallback.Emit(OverflowCalledBack{Result: CallbackDelivered, Status: 204})
	OverflowDepth.Emit(OverflowDepthSeen{Kind: "request", State: "available", Jobs: 3})
	OverflowAge.Emit(OverflowAgeSeen{Kind: "request", Age: time.Minute})
	HealthCheck.Emit(HealthChecked{Component: "queue", Healthy: true})
}

// What a queued request costs is part of what all requests cost.
func TestTokensOfQueuedRequestsCountWithThoseOfLiveOnes(t *testing.T) {
	t.Parallel()
	name := unique("drained")
	RequestStop.Emit(RequestStopped{Provider: name, Model: "m", Outcome: OutcomeOK, InputTokens: 1, OutputTokens: 2, CostUSD: 0.5})
	OverflowDrainStop.Emit(OverflowDrainStopped{
		Provider: name, Model: "m", Result: DrainCompleted, Duration: 2 * time.Second,
		InputTokens: 10, CachedInputTokens: 4, OutputTokens: 20, ReasoningTokens: 5, CostUSD: 0.25,
	})
	OverflowDrainStop.Emit(OverflowDrainStopped{Provider: name, Model: "m", Result: DrainRetried, InputTokens: 3})
	got := scrape(t, registered(t), name)
	want := series{
		"tokens_total{model=m,type=input}":              14,
		"tokens_total{model=m,type=cached_input}":       4,
		"tokens_total{model=m,type=output}":             22,
		"tokens_total{model=m,type=reasoning}":          5,
		"cost_usd_total{model=m}":                       0.75,
		"overflow_runs_total{model=m,result=completed}": 1,
		"overflow_runs_total{model=m,result=retried}":   1,
		"overflow_run_duration_seconds{} count":         1,
		"overflow_run_duration_seconds{} sum":           2,
	}
	for key, want := range want {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}
