package e2e

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func reader(s string) io.Reader { return strings.NewReader(s) }

// sample is one line of the Prometheus text format.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

type samples []sample

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads the metrics from the admin endpoint.
func scrape(t testing.TB, g *gateway) samples {
	t.Helper()
	var all samples
	lines := bufio.NewScanner(reader(g.adminGet("/metrics")))
	for lines.Scan() {
		m := sampleLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		s := sample{name: m[1], labels: map[string]string{}}
		s.value, _ = strconv.ParseFloat(m[3], 64)
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			s.labels[pair[1]] = pair[2]
		}
		all = append(all, s)
	}
	return all
}

// sum adds up the samples of a name that have all these label values, given as
// "label=value", or "value" to match it in any label.
func (ss samples) sum(name string, labels ...string) (total float64) {
	for _, s := range ss {
		matches := s.name == name
		for _, l := range labels {
			key, value, named := strings.Cut(l, "=")
			if named {
				matches = matches && s.labels[key] == value
			} else {
				matches = matches && slices.Contains(slices.Collect(maps.Values(s.labels)), key)
			}
		}
		if matches {
			total += s.value
		}
	}
	return total
}

// want fails the test unless the sum comes to value, which may be a moment after
// the client has its answer.
func wantMetric(t *testing.T, g *gateway, value float64, name string, labels ...string) {
	t.Helper()
	var got float64
	eventuallyOr(t, func() bool {
		got = scrape(t, g).sum(name, labels...)
		return got == value
	}, func() string {
		var b strings.Builder
		for _, s := range scrape(t, g) {
			if s.name == name {
				fmt.Fprintf(&b, "\n%s %v %v", s.name, s.labels, s.value)
			}
		}
		return fmt.Sprintf("%s%v is %v, want %v%s", name, labels, got, value, b.String())
	})
}

// TestMetrics is that the metrics count what was sent, no more and no less.
func TestMetrics(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi"))) // 9 + 3 tokens
	up.on("unasked", playSSE(chatEvents("unasked", "a"), usageChunk("unasked", 20, 5), doneEvent))
	up.on("beside", playSSE(strings.TrimSuffix(chunk("beside", `{}`, "stop"), "}\n\n")+`,"usage":{"prompt_tokens":40,"completion_tokens":6,"total_tokens":46}}`+"\n\n", doneEvent))
	up.on("refused", playJSON(400, errorJSON("no", "invalid_request_error", "")))
	up.on("resp", playSSE(responseEvents("resp", "hi")...)) // 36 + 7 tokens
	up.on("emb", playJSON(200, embeddingJSON("emb")))       // 8 tokens
	for range 3 {
		g.post(t, chatPath, chatBody("smart", ""))
	}
	g.post(t, chatPath, streamBody("up/unasked"))
	g.post(t, chatPath, chatBody("up/unasked", `,"stream":true,"stream_options":{"include_usage":true}`))
	g.post(t, chatPath, streamBody("up/beside"))
	g.post(t, chatPath, chatBody("up/refused", ""))
	g.post(t, responsesPath, `{"model":"up/resp","input":"hi","stream":true}`)
	g.post(t, embeddingsPath, `{"model":"up/emb","input":"hi"}`)
	g.post(t, chatPath, `{"broken`)

	wantMetric(t, g, 10, "runestone_requests_total")
	wantMetric(t, g, 9, "runestone_upstream_requests_total")
	wantMetric(t, g, 9, "runestone_upstream_requests_total", "up")
	wantMetric(t, g, 10, "runestone_request_duration_seconds_count")
	wantMetric(t, g, 4, "runestone_time_to_first_token_seconds_count")
	wantMetric(t, g, 0, "runestone_streams_active")
	wantMetric(t, g, 3*9+2*20+40+36+8, "runestone_tokens_total", "input")
	wantMetric(t, g, 3*3+2*5+6+7, "runestone_tokens_total", "output")
	wantBounded(t, g)
}

// wantBounded fails the test when a label could take any number of values: a
// client must not be able to make the metrics grow.
func wantBounded(t *testing.T, g *gateway) {
	t.Helper()
	for i := range 20 {
		g.post(t, chatPath, chatBody(fmt.Sprintf("made-up-%d", i), ""))
		g.do(t, http.MethodGet, fmt.Sprintf("/v1/made/up/%d", i), "", fmt.Sprintf("X-Request-Id: made-up-%d", i))
	}
	for _, s := range scrape(t, g) {
		for key, value := range s.labels {
			if strings.HasPrefix(s.name, "runestone_") && strings.Contains(value, "made") {
				t.Fatalf("%s has the label %s=%q of a client's making", s.name, key, value)
			}
		}
	}
}

// TestActiveStreams watches the gauge while streams come and go.
func TestActiveStreams(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	first, second := newStepped(up, "a"), newStepped(up, "b")
	s1 := first.begin(t, g, "up/a")
	wantMetric(t, g, 1, "runestone_streams_active")
	s2 := second.begin(t, g, "up/b")
	wantMetric(t, g, 2, "runestone_streams_active")
	g.reload(oneProvider(up, "alias other smart"))
	wantMetric(t, g, 2, "runestone_streams_active")
	first.finish(t, s1, "up/a")
	wantMetric(t, g, 1, "runestone_streams_active")
	s2.cancel()
	wantMetric(t, g, 0, "runestone_streams_active")
}

// TestMetricsSurviveReloads: a counter that falls is a lie to every rate().
func TestMetricsSurviveReloads(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi")))
	for i := range 4 {
		if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 200 {
			t.Fatalf("status %d: %s", a.StatusCode, a.Body)
		}
		for _, name := range []string{"runestone_requests_total", "runestone_upstream_requests_total", "runestone_request_duration_seconds_count"} {
			wantMetric(t, g, float64(i+1), name)
		}
		wantMetric(t, g, float64(9*(i+1)), "runestone_tokens_total", "input")
		g.reload(oneProvider(up, fmt.Sprintf("alias other-%d smart", i)))
		wantMetric(t, g, float64(i+1), "runestone_requests_total")
		if status, _, _ := g.load(oneProvider(up, "no_such_option")); status < 400 {
			t.Error("a broken configuration was loaded")
		}
		wantMetric(t, g, float64(i+1), "runestone_requests_total")
	}
}
