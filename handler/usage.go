package handler

import (
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/telemetry"
)

// logUsage writes the request's line of the usage log, if there is one.
func (x *exchange) logUsage(e *telemetry.RequestStopped) {
	if !x.app.LogsUsage() {
		return
	}
	x.app.LogUsage(&gateway.UsageRecord{
		RequestID: x.id, Job: x.job, Caller: x.caller, API: x.api,
		Model: x.req.Model, Provider: x.provider, Target: x.target,
		Status: x.status, Outcome: x.outcome, Error: x.cause, Attempts: x.attempts, Stream: x.stream,
		Tokens: x.usage, CostUSD: x.cost, Priced: x.priced,
		Wait: x.stood + x.inLine, Overhead: e.Overhead, FirstByte: e.FirstByte, Duration: e.Duration,
		TraceID: e.TraceID,
	})
}
