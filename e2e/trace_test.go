package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is an OpenTelemetry collector that keeps what it gets (OTLP 1.0, HTTP with protocol buffers).
type spans struct {
	url string
	mu  sync.Mutex
	all []*tracepb.Span
}

func newSpans(t *testing.T) *spans {
	t.Helper()
	s := new(spans)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, resource := range export.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				s.all = append(s.all, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// env has a gateway send its spans here.
func (s *spans) env() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.url, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_BSP_SCHEDULE_DELAY=100",
	}
}

// of returns the spans of a trace, each as its path from the one that the client has named.
func (s *spans) of(trace, client string) (paths []string, byPath map[string]*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := make(map[string]*tracepb.Span)
	for _, span := range s.all {
		if hex.EncodeToString(span.TraceId) == trace {
			byID[hex.EncodeToString(span.SpanId)] = span
		}
	}
	byPath = make(map[string]*tracepb.Span)
	for _, span := range byID {
		path := span.Name
		at := span
		for {
			parent := hex.EncodeToString(at.ParentSpanId)
			if parent == client {
				break
			}
			if at = byID[parent]; at == nil {
				path = "?/" + path // the parent is missing
				break
			}
			path = at.Name + "/" + path
		}
		paths = append(paths, path)
		byPath[path] = span
	}
	slices.Sort(paths)
	return paths, byPath
}

func attributesOf(span *tracepb.Span) map[string]string {
	values := make(map[string]string)
	for _, a := range span.GetAttributes() {
		switch v := a.Value; {
		case v.GetStringValue() != "":
			values[a.Key] = v.GetStringValue()
		default:
			values[a.Key] = fmt.Sprint(v.GetIntValue())
		}
	}
	return values
}

// TestTraces: a request that failed over, and one that was queued, run and told of, are each one
// connected tree, which goes on at the provider.
func TestTraces(t *testing.T) {
	t.Parallel()
	first, second, seen := newUpstream(t), newUpstream(t), newSpans(t)
	first.on("gpt-first", playJSON(500, broken))
	var traceparents sync.Map // at the second provider, by trace
	second.on("gpt-second", func(x *exchange) {
		if parts := strings.Split(x.Req.Header.Get("Traceparent"), "-"); len(parts) == 4 {
			traceparents.Store(parts[1], parts[2])
		}
		hello(x)
	})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	s := diverted(twoTargets(first.URL(), second.URL(), deferring("callback {\nallow 127.0.0.1\nallow_private 127.0.0.0/8\nsecret whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiB0aGUgdHJhY2U=\n}")))
	s.Site = "tracing {\nspan gateway\n}\n" + s.Site
	s.Env = seen.env()
	g := start(t, s)

	const client = "00f067aa0ba902b7"
	served, queued := "4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737"
	parent := func(trace string) string { return "Traceparent: 00-" + trace + "-" + client + "-01" }
	want := func(trace string, paths ...string) map[string]*tracepb.Span {
		t.Helper()
		var got []string
		var byPath map[string]*tracepb.Span
		for deadline := time.Now().Add(patience); !slices.Equal(got, paths); {
			if time.Now().After(deadline) {
				t.Fatalf("the spans are %q, want %q", got, paths)
			}
			<-time.After(20 * time.Millisecond)
			got, byPath = seen.of(trace, client)
		}
		return byPath
	}

	g.post(t, chatPath, chatBody("smart", ""), parent(served))
	byPath := want(served, "gateway", "gateway/chat gpt-first", "gateway/chat gpt-second")
	failed, ok := byPath["gateway/chat gpt-first"], byPath["gateway/chat gpt-second"]
	if failed.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || attributesOf(failed)["error.type"] != "error" {
		t.Errorf("the span of the call that failed: %v", failed)
	}
	got := attributesOf(ok)
	for key, value := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-second", "gen_ai.provider.name": "second",
		"http.response.status_code": "200",
	} {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
	if got["gen_ai.usage.input_tokens"] == "" || got["gen_ai.usage.output_tokens"] == "" || ok.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("the span of the call: %v", ok)
	}
	if at, _ := traceparents.Load(served); at != hex.EncodeToString(ok.SpanId) {
		t.Errorf("the provider was told that its parent is %v, want %x", at, ok.SpanId)
	}

	wantJob(t, g.post(t, chatPath, chatBody("smart", ""), parent(queued), divert, respondAsync, "Runestone-Callback: "+receiver.URL))
	byPath = want(queued, "gateway", "gateway/callback 127.0.0.1", "gateway/run smart",
		"gateway/run smart/chat gpt-first", "gateway/run smart/chat gpt-second")
	if links := byPath["gateway/run smart"].Links; len(links) != 1 || hex.EncodeToString(links[0].TraceId) != queued {
		t.Errorf("the run links to %v", links)
	}
}
