package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// accessLine is what the tests read of a line of Caddy's access log.
type accessLine struct {
	Status  int    `json:"status"`
	Size    int    `json:"size"`
	Logger  string `json:"logger"`
	Request struct {
		URI     string              `json:"uri"`
		Headers map[string][]string `json:"headers"`
	} `json:"request"`
	Runestone *struct {
		Provider     string `json:"provider"`
		Model        string `json:"model"`
		InputTokens  int    `json:"input_tokens"`
		OutputTokens int    `json:"output_tokens"`
	} `json:"runestone"`
}

// logged is oneProvider with an access log into a file, filtered like the quickstart's.
func logged(up *upstream, file string) setup {
	s := oneProvider(up)
	s.Site = fmt.Sprintf(`log {
		output file %s
		format filter {
			request>headers>X-Api-Key delete
			request>headers>Api-Key delete
			request>headers>X-Goog-Api-Key delete
			request>uri query {
				replace key REDACTED
			}
		}
	}
	runestone`, file)
	return s
}

// readLog waits until the access log has n lines and returns them.
func readLog(t *testing.T, file string, n int) []accessLine {
	t.Helper()
	return readLines[accessLine](t, file, n)
}

// TestAccessLog is one line a request, with what it cost.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	file := filepath.Join(t.TempDir(), "access.log")
	g := start(t, logged(up, file))
	_ = os.Truncate(file, 0) // the harness's own probe of the site
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi")))
	up.on("unasked", playSSE(chatEvents("unasked", "a"), usageChunk("unasked", 20, 5), doneEvent))
	up.on("refused", playJSON(400, errorJSON("no", "invalid_request_error", "")))
	up.on("cut", func(x *exchange) { x.sse(); x.chunk(word("cut", "a")); x.taken(); x.reset() })
	type want struct {
		body, provider, model string
		status, input, output int
	}
	for i, w := range []want{
		{chatBody("smart", ""), "up", "gpt-upstream", 200, 9, 3},
		{chatBody("fast", ""), "up", "gpt-upstream", 200, 9, 3},
		{streamBody("up/unasked"), "up", "unasked", 200, 20, 5},
		{chatBody("up/refused", ""), "up", "refused", 400, 0, 0},
		{streamBody("up/cut"), "up", "cut", 200, 0, 0},
	} {
		g.post(t, chatPath, w.body)
		line := readLog(t, file, i+1)[i]
		if line.Status != w.status || line.Request.URI != chatPath || line.Runestone == nil {
			t.Fatalf("%s: %+v", w.body, line)
		}
		r := *line.Runestone
		if r.Provider != w.provider || r.InputTokens != w.input || r.OutputTokens != w.output {
			t.Errorf("%s: %+v, want %+v", w.body, r, w)
		}
		// The model may be told as the client's or as the provider's name.
		if asked := modelOf([]byte(w.body)); r.Model != w.model && r.Model != asked {
			t.Errorf("%s: the model is %q", w.body, r.Model)
		}
	}
	g.post(t, chatPath, "{")
	if line := readLog(t, file, 6)[5]; line.Status != 400 {
		t.Errorf("bad input: %+v", line)
	}
}

// TestNoSecretsAnywhere sends marked secrets wherever a client may put one and looks
// for them, and for what was said, in all that the gateway writes or shows.
func TestNoSecretsAnywhere(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	file := filepath.Join(t.TempDir(), "access.log")
	s := logged(up, file)
	s.App = strings.Replace(s.App, upstreamKey, "{env.RUNESTONE_E2E_SECRET}", 1)
	s.Env = []string{"RUNESTONE_E2E_SECRET=MARKED-provider-key"}
	s.Global = "debug\n"
	g := start(t, s)
	up.on("ok", playJSON(200, chatJSON("ok", "MARKED-completion")))
	up.on("stream", playSSE(chatEvents("stream", "MARKED-completion"), doneEvent))
	up.on("refused", playJSON(401, errorJSON("Incorrect API key", "invalid_request_error", "")))
	up.on("cut", func(x *exchange) { x.sse(); x.chunk(word("cut", "MARKED-completion")); x.taken(); x.reset() })
	up.on("dead", (*exchange).reset)
	headers := []string{"Authorization: Bearer MARKED-bearer", "X-Api-Key: MARKED-x", "Api-Key: MARKED-azure",
		"X-Goog-Api-Key: MARKED-goog", "Cookie: session=MARKED-cookie", "Proxy-Authorization: Basic MARKED-proxy"}
	n := 0
	for _, model := range []string{"up/ok", "up/refused", "up/cut", "up/dead", "nobody/else"} {
		for _, more := range []string{"", `,"stream":true`} {
			body := strings.Replace(chatBody(model, more), "Say hello", "MARKED-prompt", 1)
			g.do(t, "POST", chatPath+"?key=MARKED-query", body, append(headers, "Content-Type: application/json")...)
			n++
		}
	}
	g.do(t, "POST", chatPath, `{"messages":"MARKED-prompt"`, append(headers, "Content-Type: application/json")...)
	g.do(t, "POST", "/v1/files", "MARKED-prompt", append(headers, "Content-Type: text/plain")...)
	if status, _, _ := g.load(oneProvider(up, "no_such_option")); status < 400 {
		t.Error("a broken configuration was loaded")
	}
	readLog(t, file, n+3) // with the harness's probe
	access, _ := os.ReadFile(file)
	for where, text := range map[string]string{
		"stderr": g.stderr.String(), "stdout": g.stdout.String(), "the access log": string(access),
		"/metrics": g.adminGet("/metrics"), "/config/": g.adminGet("/config/"),
	} {
		for at := range strings.SplitSeq(text, "\n") {
			if i := strings.Index(at, "MARKED"); i >= 0 {
				t.Errorf("%s: …%s", where, at[max(0, i-300):min(len(at), i+60)])
			}
		}
	}
}
