package e2e

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A provider that is probed is asked for its models with the key, and the health tells what came of it. Requests
// go to it in any case.
func TestProbe(t *testing.T) {
	t.Parallel()
	up, quiet := newUpstream(t), newUpstream(t)
	var status, asked atomic.Int64
	status.Store(http.StatusOK)
	up.on("/v1/models", func(x *exchange) {
		asked.Add(1)
		if key := x.Req.Header.Get("Authorization"); key != "Bearer "+upstreamKey {
			t.Errorf("the probe has the key %q", key)
		}
		x.json(int(status.Load()), `{"object":"list","data":[]}`)
	})
	up.on("gpt-first", hello)
	s := twoTargets(up.URL(), quiet.URL())
	s.App = strings.Replace(s.App, "passthrough", "passthrough\nprobe 1s", 1)
	g := start(t, s)
	wantHealth(t, g, http.StatusOK, "pass", `"provider:probe":[{"status":"pass","componentId":"first"}]`)

	status.Store(http.StatusServiceUnavailable)
	const down = `"provider:probe":[{"status":"fail","componentId":"first","output":"it answered with status 503"}]`
	wantHealth(t, g, http.StatusOK, "warn", down)
	wantHello(t, g.post(t, chatPath, chatBody("smart", "")), "smart", "first", 1)
	status.Store(http.StatusUnauthorized)
	wantHealth(t, g, http.StatusOK, "warn", `"output":"it refuses the API key with status 401"`)

	// What is known outlives a reload; the probes go on, and those of the earlier configuration do not.
	g.reload(s)
	wantHealth(t, g, http.StatusOK, "warn", `"provider:probe":[{"status":"fail"`)
	status.Store(http.StatusNotFound) // it has no such list, but it is there
	wantHealth(t, g, http.StatusOK, "pass", `"provider:probe":[{"status":"pass"`)
	for range 5 {
		g.reload(s)
	}
	before, began := asked.Load(), time.Now()
	for asked.Load() < before+3 {
		if time.Since(began) > patience {
			t.Fatal("it is not asked any more")
		}
		<-time.After(10 * time.Millisecond)
	}
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("three probes in %v: several ask", took)
	}

	g.reload(twoTargets(up.URL(), quiet.URL()))
	if _, _, document := healthOf(t, g, "/health"); strings.Contains(document, "probe") {
		t.Errorf("a provider that is not probed any more: %s", document)
	}
	if quiet.requests() > 0 {
		t.Error("a provider was asked that is not to be probed")
	}
}

// An adapter without a list of models cannot be probed, and says so.
func TestProbeOfNothing(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	s := oneProvider(up, "provider gem gemini {\nbase_url "+up.URL()+"\napi_key x\nprobe 30s\n}")
	if code, body, _ := g.load(s); code < http.StatusBadRequest || !strings.Contains(body, "providers.gem.probe") {
		t.Errorf("status %d: %s", code, body)
	}
}

// Exemplars, with the trace that a request was in, are in the format that has them.
func TestExemplars(t *testing.T) {
	t.Parallel()
	up, seen := newUpstream(t), newSpans(t)
	up.on("gpt-upstream", func(x *exchange) {
		playSSE(chatEvents("gpt-upstream", "a", "b"), usageChunk("gpt-upstream", 9, 3), doneEvent)(x)
	})
	s := usageLogged(oneProvider(up), filepath.Join(t.TempDir(), "usage.log"))
	s.Site = "metrics /metrics\ntracing\nrunestone"
	s.Env = seen.env()
	g := start(t, s)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4799"
	g.post(t, chatPath, streamBody("smart"), "Traceparent: 00-"+trace+"-00f067aa0ba902b7-01")
	text := g.do(t, http.MethodGet, "/metrics", "", "Accept: application/openmetrics-text; version=1.0.0").Body
	for _, name := range []string{"runestone_request_duration_seconds", "runestone_time_to_first_token_seconds", "runestone_time_per_output_token_seconds"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, name+"_bucket") && strings.Contains(line, `# {trace_id="`+trace+`"}`)
		}
		if !found {
			t.Errorf("%s has no exemplar of the request's trace", name)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.admin+"/metrics", nil)
	req.Header.Set("Accept", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	res, err := probe.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if binary, err := io.ReadAll(res.Body); err != nil || !bytes.Contains(binary, []byte(trace)) {
		t.Errorf("the admin endpoint's protocol buffers have no exemplar (error %v)", err)
	}
	if text := g.adminGet("/metrics"); strings.Contains(text, "trace_id") {
		t.Error("the admin endpoint's text has exemplars: the documentation says otherwise")
	}
}
