package command

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/vt"
)

// topRig is an admin endpoint that says what it is told to.
type topRig struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]string
	asked   chan string // each time the status is, as far as there is room
}

func newTopRig(t *testing.T) *topRig {
	t.Helper()
	r := &topRig{asked: make(chan string, 1), answers: map[string]string{
		"/runestone/status": topStatus, "/metrics": topMetrics(100, 10), "/runestone/queue": topQueue,
	}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		text := r.answers[req.URL.Path]
		r.mu.Unlock()
		if text == "" {
			http.Error(w, `{"error":"it is away"}`, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(text))
		select {
		case r.asked <- req.URL.Path:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *topRig) say(path, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[path] = text
}

// top is a run of the command, at noon, that has polled once.
func (r *topRig) top(t *testing.T) *top {
	t.Helper()
	now := noon
	c := &top{address: r.Listener.Addr().String(), every: time.Millisecond, view: topView{address: "here"}, now: func() time.Time {
		at := now
		now = now.Add(time.Second)
		return at
	}}
	c.observe(t)
	return c
}

// observe polls once.
func (t *top) observe(test *testing.T) {
	test.Helper()
	s, err := t.poll()
	if err != nil {
		test.Fatal(err)
	}
	t.view.observe(s)
}

const (
	topStatus = `{
		"providers": [
			{"name":"groq","credentials":[{"name":"key 1","state":"refused","for_seconds":300}]},
			{"name":"local","credentials":[{"name":"no key","state":"ok"}]},
			{"name":"openai","credentials":[{"name":"{env.OPENAI_API_KEY}","state":"ok"},{"name":"evil\u001b[2J","state":"paused","for_seconds":45,"models":["gpt-4o"]}]}
		],
		"targets": [
			{"provider":"groq","model":"","breaker":{"state":"closed"}},
			{"provider":"groq","model":"llama","breaker":{"state":"closed"}},
			{"provider":"local","model":"qwen","breaker":{"state":"half_open"},"in_flight":2,"limit":2,"waiting":7},
			{"provider":"openai","model":"","breaker":{"state":"closed"}},
			{"provider":"openai","model":"gpt-4o","breaker":{"state":"open","open_for_seconds":12.4,"paused_for_seconds":90}},
			{"provider":"openai","model":"gpt-4o-mini","breaker":{"state":"closed","calls":40,"failures":2},
				"in_flight":3,"first_token_seconds":0.3401,"whole_seconds":2.14}
		],
		"models": ["chat"],
		"line": {"waiting":7,"length":1000},
		"open_requests": 27,
		"overflow": {"paused":true,"jobs":{"request":{"waiting":368,"executing":20}}}
	}`
	topQueue = `{"paused":true,"jobs":{"request":{"waiting":368,"executing":20}},"oldest_seconds":{"request":82},"lanes":[],"workers":20}`
)

// topMetrics is what /metrics answers when so many requests have been served, and so many failed.
func topMetrics(served, failed int) string {
	return strings.NewReplacer("SERVED", fmt.Sprint(served), "FAILED", fmt.Sprint(failed), "TOKENS", fmt.Sprint(served*500), "COST", fmt.Sprint(float64(served)/1000)).Replace(`
# TYPE caddy_admin_http_requests_total counter
caddy_admin_http_requests_total{code="200",handler="admin",method="GET",path="/metrics"} 12
# TYPE runestone_requests_total counter
runestone_requests_total{model="chat",outcome="ok",provider="openai",route="chat",status="200"} SERVED
runestone_requests_total{model="chat",outcome="unreachable",provider="openai",route="chat",status="502"} FAILED
runestone_requests_total{model="chat",outcome="error",provider="openai",route="chat",status="404"} 1000
runestone_requests_total{model="",outcome="invalid",provider="",route="chat",status="400"} 1000
# TYPE runestone_upstream_requests_total counter
runestone_upstream_requests_total{outcome="ok",provider="openai",status="200"} SERVED
runestone_upstream_requests_total{outcome="unreachable",provider="openai",status="0"} SERVED
# TYPE runestone_tokens_total counter
runestone_tokens_total{model="chat",provider="openai",type="input"} SERVED
runestone_tokens_total{model="chat",provider="openai",type="output"} TOKENS
runestone_tokens_total{model="chat",provider="openai",type="cached_input"} SERVED
# TYPE runestone_cost_usd_total counter
runestone_cost_usd_total{model="chat",provider="openai"} COST
# TYPE runestone_streams_active gauge
runestone_streams_active{provider="openai"} 3
# TYPE runestone_ratelimit_blocked_total counter
runestone_ratelimit_blocked_total{limit="key_requests"} SERVED
# TYPE runestone_time_to_first_token_seconds histogram
runestone_time_to_first_token_seconds_bucket{provider="openai",le="0.1"} 5
runestone_time_to_first_token_seconds_bucket{provider="openai",le="0.5"} SERVED
runestone_time_to_first_token_seconds_bucket{provider="openai",le="+Inf"} SERVED
runestone_time_to_first_token_seconds_sum{provider="openai"} 50
runestone_time_to_first_token_seconds_count{provider="openai"} SERVED
`)
}

// terminal returns what is on one, line by line.
func terminal(term vt.MockTerm, width, height int) string {
	var b strings.Builder
	for y := range height {
		var line strings.Builder
		for x := range width {
			line.WriteString(cmp.Or(term.GetCell(vt.Coord{X: vt.Col(x), Y: vt.Row(y)}).C, " "))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// TestTopOnAScreen presses keys, changes the screen's size, and quits, or is told to stop.
func TestTopOnAScreen(t *testing.T) {
	t.Parallel()
	for name, quit := range map[string]func(vt.MockTerm, context.CancelFunc){
		"q":        func(term vt.MockTerm, _ context.CancelFunc) { term.KeyTap(vt.KeyQ) },
		"Ctrl-C":   func(term vt.MockTerm, _ context.CancelFunc) { term.SendRaw([]byte{3}) },
		"a signal": func(_ vt.MockTerm, stop context.CancelFunc) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTopRig(t)
			c := r.top(t)
			term := vt.NewMockTerm()
			screen, err := tcell.NewTerminfoScreenFromTty(term)
			if err != nil {
				t.Fatal(err)
			}
			if err := screen.Init(); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := make(chan struct{})
			go func() { defer close(done); c.live(ctx, screen); screen.Fini() }()
			shows := func(width, height int, want ...string) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); ; <-time.After(5 * time.Millisecond) {
					text := terminal(term, width, height)
					if !slices.ContainsFunc(want, func(want string) bool { return !strings.Contains(text, want) }) {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("there is no %q on\n%s", want, text)
					}
				}
			}
			shows(80, 24, "Runestone at here", "Keys of groq: key 1 refused, tried in 5m0s", "q quit")
			term.KeyTap(vt.KeyTab)
			shows(80, 24, "Keys of local: no key ok")
			term.KeyTap(vt.KeyDown)
			shows(80, 24, "openai/gpt-4o-mini  closed    2 of 40")
			term.KeyTap(vt.KeyUp)
			shows(80, 24, "Keys of local")
			term.SetSize(vt.Coord{X: 50, Y: 20})
			shows(50, 20, "local/q", "\nq quit   Tab, arrows: provider   p pause\n")
			term.KeyTap(vt.KeyP)
			shows(50, 20, "paused since")
			term.KeyTap(vt.KeyP)
			r.say("/runestone/status", "")
			shows(50, 20, "Trouble: it is away", "Keys of local")
			r.say("/runestone/status", topStatus)
			r.say("/metrics", topMetrics(1_000_000, 0))
			shows(50, 20, "at here  12:")
			quit(term, stop)
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}

// A screen may shrink after the rows have been made for it.
func TestTopOnASmallerScreen(t *testing.T) {
	t.Parallel()
	c := newTopRig(t).top(t)
	term := vt.NewMockTerm(vt.MockOptSize{X: 20, Y: 3})
	screen, err := tcell.NewTerminfoScreenFromTty(term)
	if err != nil {
		t.Fatal(err)
	}
	if err := screen.Init(); err != nil {
		t.Fatal(err)
	}
	defer screen.Fini()
	put(screen, c.view.rows(80, 24))
	screen.Show()
	if got, want := terminal(term, 20, 3), "Runestone at here  1\nRequests     -\nTokens       - in, -\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTopWithoutAScreen(t *testing.T) {
	t.Parallel()
	r := newTopRig(t)
	var out strings.Builder
	cmd := newTopCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--address", r.Listener.Addr().String()})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Requests     0.0/s\n", "\nQueue        368 waiting, 20 executing; paused; the oldest 1m22s\n",
		"groq/llama          closed           -       -          0        0      -       -\n",
		"openai/gpt-4o       open 12s         -   1m30s          0        0      -       -\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("there are escape sequences in %q", out.String())
	}
	r.Close()
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer from the admin endpoint") {
		t.Errorf("the error without a gateway is %v", err)
	}
}
