package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promtool runs Prometheus's promtool, and skips the test if there is none.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool: .ci/promtool installs it")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// everything is a setup in which all that there are metrics of can happen.
func everything(up *upstream, more string) setup {
	s := setup{
		Env: keyEnv("a"),
		App: fmt.Sprintf(`drain_timeout 2s
		provider up openai {
			base_url %[1]s/v1
			api_key %[2]s
		}
		provider narrow openai {
			base_url %[1]s/v1
			api_key %[2]s
			max_concurrency 1
		}
		model smart {
			target up/gpt-upstream {
				price 100 100
			}
		}
		model both {
			target up/broken
			target up/gpt-upstream
		}
		%[3]s
		breaker {
			failures 3
			open_for 1h
		}
		%[4]s
		%[5]s
		keys {
			model_limits dear {
				requests 1 1h
			}
		}
		model dear {
			target up/gpt-upstream
		}`, up.URL(), upstreamKey, quick, keyLine("a"), more),
	}
	return diverted(s)
}

// TestMetricsOfExamples: what the Grafana dashboard and the alert rules in examples/ ask for is there, under
// the labels that they ask for, once all of it has happened to a gateway.
func TestMetricsOfExamples(t *testing.T) {
	t.Parallel()
	g := eventful(t)
	text := g.adminGet("/metrics")
	t.Run("promtool", func(t *testing.T) {
		var own strings.Builder // Caddy's own metrics are not for us to mend
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "runestone_") {
				own.WriteString(line)
			}
		}
		promtool(t, own.String(), "check", "metrics")
	})

	labels := make(map[string]map[string]bool) // of all samples of a name
	for _, s := range scrape(t, g) {
		if labels[s.name] == nil {
			labels[s.name] = map[string]bool{"job": true, "instance": true} // Prometheus adds them
		}
		for name := range s.labels {
			labels[s.name][name] = true
		}
	}
	asked := make(map[string]bool)
	for where, exprs := range map[string][]string{"the dashboard": dashboardQueries(t), "the alerts": alertQueries(t)} {
		for _, expr := range exprs {
			for _, name := range metricName.FindAllString(expr, -1) {
				asked[name] = true
				if labels[name] == nil {
					t.Errorf("%s: there is no %s: %s", where, name, expr)
				}
			}
			wantLabels(t, where, expr, labels)
		}
	}
	for name := range labels {
		family := histogramPart.ReplaceAllString(name, "")
		shown := slices.ContainsFunc(slices.Collect(maps.Keys(asked)), func(name string) bool {
			return histogramPart.ReplaceAllString(name, "") == family
		})
		if strings.HasPrefix(name, "runestone_") && !shown {
			t.Errorf("neither the dashboard nor the alerts have anything of %s", name)
		}
	}
}

var (
	metricName    = regexp.MustCompile(`runestone_[a-z_]+`)
	histogramPart = regexp.MustCompile(`_(bucket|count|sum)$`)
	selector      = regexp.MustCompile(`(runestone_[a-z_]+)\{([^}]*)\}`)
	matcher       = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping      = regexp.MustCompile(`\b(?:by|without|on)\s*\(([^)]*)\)`)
)

// wantLabels fails the test if an expression asks for labels that its metrics do not have.
func wantLabels(t *testing.T, where, expr string, labels map[string]map[string]bool) {
	t.Helper()
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !labels[s[1]][m[1]] {
				t.Errorf("%s: %s has no label %s: %s", where, s[1], m[1], expr)
			}
		}
	}
	all := map[string]bool{"": true}
	for _, name := range metricName.FindAllString(expr, -1) {
		maps.Copy(all, labels[name])
	}
	for _, group := range grouping.FindAllStringSubmatch(expr, -1) {
		for name := range strings.SplitSeq(group[1], ",") {
			if name = strings.TrimSpace(name); !all[name] {
				t.Errorf("%s: no metric of it has the label %s: %s", where, name, expr)
			}
		}
	}
}

// eventful returns a gateway to which everything has happened that there are metrics of.
func eventful(t *testing.T) *gateway {
	t.Helper()
	up, hook := newUpstream(t), newHook(t, http.StatusInternalServerError)
	s := everything(up, deferring("lease 3s", calling(hookSecret(1))))
	key := "Authorization: Bearer " + secretOf("a")

	// A process dies with a job, and the next one takes it.
	killed := prepare(t)
	killed.launch(s)
	running := hold(up, "gpt-upstream")
	job := killed.divert(t, chatBody("smart", ""), key, "Runestone-Callback: "+hook.URL)
	running.next(t)
	_ = killed.cmd.Process.Kill()
	<-killed.exited
	up.on("gpt-upstream", playJSON(200, strings.Replace(chatJSON("gpt-upstream", "hi"), `"usage":{`,
		`"usage":{"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":1},`, 1)))
	g := killed.again(t, s)
	g.awaitJob(t, job.ID, "completed", key)
	hook.next(t)
	hook.next(t)

	up.on("refused", playJSON(400, errorJSON("no", "invalid_request_error", "")))
	g.awaitJob(t, g.divert(t, chatBody("up/refused", ""), key).ID, "failed", key)
	up.on("streamed", playSSE(chatEvents("streamed", "a"), usageChunk("streamed", 20, 5), doneEvent))
	g.post(t, chatPath, streamBody("up/streamed"), key)
	// A connection that is used again may break unnoticed; the second is a new one.
	up.on("once", failing((*exchange).reset, (*exchange).reset))
	g.post(t, chatPath, chatBody("up/once", ""), key) // a retry
	up.on("broken", playJSON(500, broken))
	for range 5 {
		g.post(t, chatPath, chatBody("both", ""), key) // failovers, until the breaker opens
	}
	for range 2 {
		g.post(t, chatPath, chatBody("dear", ""), key, "Prefer: wait=0") // the second is over the limit
	}
	busy := hold(up, "busy")
	first := g.begin(t, chatBody("narrow/busy", ""), key)
	busy.next(t)
	second := g.begin(t, chatBody("narrow/busy", ""), key)
	g.awaitLine(t, 1)
	close(busy.letGo)
	first.wait()
	second.wait()
	wantMetric(t, g, 2, "runestone_callbacks_total")
	return g
}

// dashboardQueries returns the PromQL of the Grafana dashboard, with values for its variables.
func dashboardQueries(t *testing.T) (exprs []string) {
	t.Helper()
	text, err := os.ReadFile("../examples/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	type query struct{ Expr, Definition string }
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []query
		}
		Annotations struct{ List []query }
		Templating  struct{ List []query }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	add := func(q query) {
		exprs = append(exprs, strings.NewReplacer("$__rate_interval", "5m", "$__range", "3h", "$job", ".*", "$instance", ".*",
			"$provider", ".*", "$model", ".*").Replace(q.Expr))
	}
	for _, p := range board.Panels {
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("the panel %q, a %s, has %d queries", p.Title, p.Type, len(p.Targets))
		}
		for _, q := range p.Targets {
			add(q)
		}
	}
	for _, q := range board.Annotations.List {
		add(q)
	}
	for _, q := range board.Templating.List {
		if m := labelValues.FindStringSubmatch(q.Definition); m != nil {
			add(query{Expr: fmt.Sprintf("group by (%s) (%s)", m[2], m[1])})
		}
	}
	for _, expr := range exprs {
		if strings.Contains(expr, "$") {
			t.Errorf("a variable that is not the dashboard's: %s", expr)
		}
	}
	return exprs
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// alertQueries returns the PromQL of the alert rules.
func alertQueries(t *testing.T) (exprs []string) {
	t.Helper()
	text, err := os.ReadFile("../examples/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range alertExpr.FindAllStringSubmatch(string(text), -1) {
		exprs = append(exprs, m[1])
	}
	if rules := strings.Count(string(text), "- alert:"); rules == 0 || len(exprs) != rules {
		t.Fatalf("there are %d rules and %d expressions", rules, len(exprs))
	}
	return exprs
}

// alertExpr finds an expression on its line, or folded over those that are further in.
var alertExpr = regexp.MustCompile(`(?m)^        expr: (?:>-\n)?((?:.+)(?:\n {10,}.+)*)$`)

// TestDashboardIsPromQL has promtool read every query of the dashboard.
func TestDashboardIsPromQL(t *testing.T) {
	t.Parallel()
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expr := range dashboardQueries(t) {
		text, _ := json.Marshal(expr) // so does YAML write text
		fmt.Fprintf(&rules, "  - record: query_%d\n    expr: %s\n", i, text)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

// TestAlerts runs the tests of the alert rules.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", "../examples/alerts.yml")
	promtool(t, "", "test", "rules", "../examples/alerts_test.yml")
}
