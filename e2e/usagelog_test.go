package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// usageLine is a line of the usage log.
type usageLine struct {
	Logger    string            `json:"logger"`
	RequestID string            `json:"request_id"`
	Job       string            `json:"job"`
	Run       int               `json:"run"`
	Key       string            `json:"key"`
	Metadata  map[string]string `json:"metadata"`
	Route     string            `json:"route"`
	Provider  string            `json:"provider"`
	Model     string            `json:"model"`
	Target    string            `json:"target"`
	Status    int               `json:"status"`
	Outcome   string            `json:"outcome"`
	Error     string            `json:"error"`
	Attempts  int               `json:"attempts"`
	Stream    bool              `json:"stream"`
	Input     int64             `json:"input_tokens"`
	Cached    int64             `json:"cached_input_tokens"`
	Written   int64             `json:"cache_write_tokens"`
	Output    int64             `json:"output_tokens"`
	Reasoning int64             `json:"reasoning_tokens"`
	CostUSD   *float64          `json:"cost_usd"`
	Wait      float64           `json:"wait"`
	Overhead  float64           `json:"overhead"`
	FirstByte float64           `json:"first_byte"`
	Duration  float64           `json:"duration"`
}

// usageLogged has a setup write its usage log to a file, and to that alone.
func usageLogged(s setup, file string) setup {
	s.App += "\nusage_log\n"
	s.Global += fmt.Sprintf("\nlog default {\nexclude runestone.usage\n}\nlog usage {\ninclude runestone.usage\noutput file %s\n}\n", file)
	return s
}

// readLines returns the lines of a log once there are n of them.
func readLines[T any](t *testing.T, file string, n int) (lines []T) {
	t.Helper()
	var text string
	eventuallyOr(t, func() bool {
		b, _ := os.ReadFile(file)
		text = string(b)
		return strings.Count(text, "\n") >= n
	}, func() string {
		return fmt.Sprintf("%s has not come to %d lines: %s", filepath.Base(file), n, text)
	})
	for l := range strings.Lines(text) {
		var line T
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		lines = append(lines, line)
	}
	if len(lines) != n {
		t.Fatalf("%s has %d lines, want %d:\n%s", filepath.Base(file), len(lines), n, text)
	}
	return lines
}

// The usage log says of each request what it cost and who asked, and goes where the configuration has it go.
func TestUsageLog(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(http.StatusOK, chatJSON("gpt-upstream", "MARKED-completion")))
	up.on("queued", hello)
	file := filepath.Join(t.TempDir(), "usage.log")
	s := diverted(usageLogged(withKeys(up, keyLine("a", "metadata team search"), deferring()), file))
	s.App = strings.Replace(s.App, "target up/gpt-upstream", "target up/gpt-upstream {\nprice 2 10\n}", 1)
	s.Env = keyEnv("a")
	g := start(t, s)
	a := "Authorization: Bearer " + secretOf("a")

	first := g.post(t, chatPath, strings.Replace(chatBody("fast", ""), "Say hello", "MARKED-prompt", 1), a)
	g.post(t, chatPath, chatBody("smart", ""), "Authorization: Bearer MARKED-secret")
	job := wantJob(t, g.post(t, chatPath, chatBody("up/queued", ""), a, divert, respondAsync))
	lines := readLines[usageLine](t, file, 4)
	queued, run := lines[2], lines[3]
	if queued.Run > 0 { // it was over before the answer that tells of the job
		queued, run = run, queued
	}
	cost := (9*2 + 3*10) / 1e6
	if l := lines[0]; l.Logger != "runestone.usage" || l.RequestID != first.Header.Get("X-Request-Id") || l.Key != "a" || l.Metadata["team"] != "search" ||
		l.Route != "chat" || l.Provider != "up" || l.Model != "fast" || l.Target != "gpt-upstream" || l.Status != http.StatusOK || l.Outcome != "ok" ||
		l.Attempts != 1 || l.Stream || l.Input != 9 || l.Output != 3 || l.CostUSD == nil || *l.CostUSD != cost ||
		l.Overhead <= 0 || l.FirstByte <= 0 || l.Duration < l.FirstByte || l.Wait != 0 {
		t.Errorf("a request: %+v", l)
	}
	if l := lines[1]; l.Status != http.StatusUnauthorized || l.Outcome != "invalid" || l.Error != "invalid_api_key" || l.Key != "" || l.Attempts != 0 || l.CostUSD != nil {
		t.Errorf("a request that was refused: %+v", l)
	}
	if l := queued; l.Status != http.StatusAccepted || l.Job != job.ID || l.Run != 0 || l.Key != "a" || l.Input != 0 {
		t.Errorf("a request that was queued: %+v", l)
	}
	if l := run; l.Status != http.StatusOK || l.Job != job.ID || l.Run != 1 || l.Key != "a" || l.Model != "up/queued" || l.Target != "queued" ||
		l.RequestID != queued.RequestID || l.Input != 9 || l.Output != 3 || l.Outcome != "ok" || l.Duration <= 0 {
		t.Errorf("a run: %+v", l)
	}
	text, _ := os.ReadFile(file)
	for where, text := range map[string]string{"the usage log": string(text), "the default log": g.stderr.String()} {
		if strings.Contains(text, "MARKED") || strings.Contains(text, secretOf("a")) {
			t.Errorf("%s holds what it must not: %s", where, text)
		}
	}
	if strings.Contains(g.stderr.String(), `"runestone.usage"`) {
		t.Error("the default log holds the usage log as well")
	}

	g.reload(withKeys(up, keyLine("a")))
	g.shared().CloseIdleConnections() // which the reload closes as well
	g.post(t, chatPath, chatBody("smart", ""), a)
	if strings.Contains(g.stderr.String(), `"runestone.usage"`) {
		t.Error("usage is logged though the option is not set")
	}
}
