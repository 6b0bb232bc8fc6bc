package gateway

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/telemetry"
)

// traceCall begins the span of a call to a provider, after OpenTelemetry's semantic conventions for
// generative AI (client spans).
func (c *call) traceCall(r *provider.Request) {
	if !telemetry.Traced(c.ctx) {
		return
	}
	model := c.pass.t.Model
	if model == "" {
		model = r.Model
	}
	operation := operationOf(r.API)
	attributes := []attribute.KeyValue{
		semconv.GenAIOperationNameKey.String(operation),
		semconv.GenAIProviderNameKey.String(providerNameOf(c.up.known)),
		attribute.String("runestone.provider", c.up.name),
	}
	name := operation
	if model != "" {
		attributes = append(attributes, semconv.GenAIRequestModel(model))
		name += " " + model
	}
	c.ctx, c.span = telemetry.StartSpan(c.ctx, name, trace.SpanKindClient, attributes...)
}

// operationOf returns the convention's name of what a call does.
func operationOf(api dialect.API) string {
	switch api {
	case dialect.Responses, dialect.Messages:
		return "chat"
	case dialect.Completions:
		return "text_completion"
	}
	return string(api)
}

// providerNameOf returns the convention's name of a provider. Those that it does not know keep theirs.
func providerNameOf(known string) string {
	switch known {
	case "gemini":
		return "gcp.gemini"
	case "azure":
		return "azure.ai.openai"
	case "xai":
		return "x_ai"
	case "mistral":
		return "mistral_ai"
	}
	return known
}

// endSpan ends the span of a call with what has come of it.
func (c *call) endSpan(outcome string) {
	if c.span == nil {
		return
	}
	attributes := make([]attribute.KeyValue, 0, 6) // set all at once, which is cheaper
	if c.status != 0 {
		attributes = append(attributes, semconv.HTTPResponseStatusCode(c.status))
	}
	if u := c.usage; u != (dialect.Usage{}) {
		attributes = append(attributes,
			semconv.GenAIUsageInputTokens(int(u.Input)), semconv.GenAIUsageOutputTokens(int(u.Output)),
			semconv.GenAIUsageCacheReadInputTokens(int(u.CachedInput)), semconv.GenAIUsageCacheCreationInputTokens(int(u.CacheWrite)),
		)
	}
	if c.first > 0 {
		attributes = append(attributes, attribute.Float64("gen_ai.response.time_to_first_chunk", c.first.Seconds()))
	}
	c.span.Set(attributes...)
	c.span.End(outcome)
}
