package gateway

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
)

func TestALineOfTheUsageLogSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	app := &App{usageLog: zap.New(core)}
	app.LogUsage(&UsageRecord{
		RequestID: "req", Job: "job", Run: 2, API: dialect.Chat, Model: strings.Repeat("m", 1000), Provider: "up", Target: "t", Status: 200,
		Caller:  &keys.Caller{Name: "a", Metadata: map[string]string{"team": "web"}},
		Outcome: "ok", Attempts: 3, Tokens: dialect.Usage{Input: 10, CachedInput: 4, CacheWrite: 3, Output: 2, Reasoning: 1}, Priced: true,
		Wait: time.Second, Duration: time.Minute, TraceID: trace.TraceID{1},
	})
	app.LogUsage(&UsageRecord{API: dialect.Other, Status: 404, Outcome: "invalid", Error: "no_provider"})
	lines := logs.TakeAll()
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	got := lines[0].ContextMap()
	for key, want := range map[string]any{
		"request_id": "req", "job": "job", "run": 2, "key": "a", "route": "chat", "provider": "up", "target": "t", "attempts": 3,
		"input_tokens": int64(10), "cached_input_tokens": int64(4), "cache_write_tokens": int64(3), "output_tokens": int64(2), "reasoning_tokens": int64(1),
		"cost_usd": 0.0, "wait": time.Second, "duration": time.Minute, "trace_id": "01000000000000000000000000000000",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if len(got["model"].(string)) != maxLoggedModel || got["metadata"].(map[string]any)["team"] != "web" {
		t.Errorf("the line is %v", got)
	}
	for _, key := range []string{"request_id", "job", "run", "key", "metadata", "model", "provider", "target", "cost_usd", "wait", "overhead", "first_byte", "trace_id"} {
		if v, ok := lines[1].ContextMap()[key]; ok {
			t.Errorf("of a request of which that is not known, %s is %v", key, v)
		}
	}
}

func TestWithoutAUsageLogNothingIsWritten(t *testing.T) {
	t.Parallel()
	app := new(App)
	if app.LogsUsage() {
		t.Error("an app without the option logs usage")
	}
	app.LogUsage(new(UsageRecord))
}
