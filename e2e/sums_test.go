package e2e

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// account is what one of those who count has counted.
type account struct {
	spending
	requests map[string]int // by status
	usd      float64
}

func (a *account) request(status int) {
	if a.requests == nil {
		a.requests = make(map[string]int)
	}
	a.requests[strconv.Itoa(status)]++
}

func (a *account) total() (n int) {
	for _, of := range a.requests {
		n += of
	}
	return n
}

// The prices of all targets of the sums, in USD per million tokens.
const (
	sumsInput, sumsOutput, sumsCached, sumsWritten = 2, 8, 0.5, 2.5
)

func (s spending) usd() float64 {
	return (float64(s.input-s.cached-s.written)*sumsInput + float64(s.cached)*sumsCached + float64(s.written)*sumsWritten +
		float64(s.output)*sumsOutput) / 1e6
}

// sumsRig is a gateway under a day's mixture of requests, and its client.
type sumsRig struct {
	*testing.T
	g        *gateway
	oai, ant *sumsUpstream
	bad      *sumsUpstream // fails now and then
	callback string        // where jobs are told of
	told     atomic.Int64

	mu   sync.Mutex
	own  account // as the client counts: what has cost something is in it whenever it was answered in full
	jobs int
}

const sumsPrice = "price 2 8 0.5 2.5"

func newSumsRig(t *testing.T, access, usage string) *sumsRig {
	rig := &sumsRig{T: t, oai: newSumsUpstream(t, false, false), ant: newSumsUpstream(t, true, false), bad: newSumsUpstream(t, false, true)}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := rig.told.Add(1); n == 1 || n == 3 { // it is called once more, after five seconds
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(receiver.Close)
	rig.callback = receiver.URL
	target := func(name, provider string) string {
		return fmt.Sprintf("target %s/%s {\n%s\n}\n", provider, name, sumsPrice)
	}
	s := usageLogged(setup{App: fmt.Sprintf(`drain_timeout 2s
		strict_models
		provider oai openai {
			base_url %[1]s/v1
			api_key %[3]s
		}
		provider narrow openai {
			base_url %[1]s/v1
			api_key %[3]s
			max_concurrency 2
		}
		provider bad openai {
			base_url %[13]s/v1
			api_key %[3]s
		}
		provider ant anthropic {
			base_url %[2]s
			api_key %[3]s
		}
		model plain {
			%[4]s
		}
		model claude {
			%[5]s
		}
		model smart {
			%[6]s
		}
		model narrow {
			%[7]s
		}
		model dead {
			%[8]s
		}
		model cut {
			%[9]s
		}
		model endless {
			%[10]s
		}
		breaker {
			failures 3
			failure_ratio off
			open_for 200ms
			max_open_for 200ms
		}
		retry {
			attempts 4
			backoff 2ms 10ms
			budget 1
		}
		line {
			wait 5s
		}
		overflow {
			backoff 20ms 40ms
			callback {
				allow 127.0.0.1
				allow_private 127.0.0.0/8
				secret whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiB0aGUgc3VtcyE=
			}
		}
		%[11]s
		%[12]s`, rig.oai.url, rig.ant.url, upstreamKey, target("plain", "oai"), target("claude", "ant"),
		target("flaky", "bad")+target("smart", "oai"), target("narrow", "narrow"), target("dead", "bad"), target("cut", "oai"), target("endless", "oai"),
		keyLine("a"), keyLine("b", "limits {\nrequests 12 1h\n}"), rig.bad.url)}, usage)
	s.Env = keyEnv("a", "b")
	s.Site = fmt.Sprintf("log {\noutput file %s\n}\nrunestone", access)
	rig.g = start(t, s)
	return rig
}

// ask makes the nth request, and counts what came of it.
func (r *sumsRig) ask(n int64, kind string) {
	path, key := chatPath, secretOf("a")
	var more []string
	body := func(model, members string) string {
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"number %d"}]%s}`, model, n, members)
	}
	const streamed = `,"stream":true`
	costs, anthropic, text := true, false, body("plain", "")
	switch kind {
	case "chat":
	case "stream":
		text = body("plain", streamed)
	case "failover":
		text = body("smart", "")
	case "failover stream":
		text = body("smart", streamed)
	case "translated":
		text, anthropic = body("claude", ""), true
	case "translated stream":
		text, anthropic = body("claude", streamed), true
	case "messages":
		path, text = messagesPath, body("plain", `,"max_tokens":100`)
	case "messages stream":
		path, text, anthropic = messagesPath, body("claude", `,"max_tokens":100,"stream":true`), true
	case "responses":
		path, text = responsesPath, fmt.Sprintf(`{"model":"claude","input":"number %d","stream":true}`, n)
		anthropic = true
	case "embeddings":
		path, text = embeddingsPath, fmt.Sprintf(`{"model":"plain","input":"number %d"}`, n)
	case "line":
		text = body("narrow", "")
	case "queue":
		text, more = body("narrow", ""), []string{respondAsync, "Runestone-Callback: " + r.callback}
	case "limited":
		key = secretOf("b")
	case "dead":
		text = body("dead", "")
	case "cut":
		text, costs = body("cut", streamed), false
	case "gone":
		text, costs = body("endless", streamed), false
	case "nonsense":
		text = `{"model":`
	case "no model":
		text = body("nobody", "")
	case "no key":
		key = "sk-nobody"
	case "list":
		r.done(r.g.do(r, http.MethodGet, "/v1/models", "", "Authorization: Bearer "+key), spending{})
		return
	}
	more = append(more, "Authorization: Bearer "+key)
	if kind == "gone" {
		s := r.g.open(r, path, text, more...)
		if _, err := s.next(); err != nil {
			r.Error(err)
		}
		s.cancel()
		r.done(answer{Response: s.res}, spending{})
		return
	}
	cost := spending{}
	if costs {
		cost = spendingOf(n, anthropic)
	}
	r.done(r.g.post(r, path, text, more...), cost)
}

// done counts an answer, and what it cost if it is one.
func (r *sumsRig) done(a answer, cost spending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own.request(a.StatusCode)
	switch a.StatusCode {
	case http.StatusAccepted:
		r.jobs++ // it costs that in its run
		r.own.add(cost)
	case http.StatusOK:
		r.own.add(cost)
	}
}

// play makes all requests, many at a time.
func (r *sumsRig) play(each int) {
	kinds := []string{
		"chat", "stream", "failover", "failover stream", "translated", "translated stream", "messages", "messages stream", "responses", "embeddings",
		"line", "queue", "queue", "limited", "dead", "cut", "gone", "nonsense", "no model", "no key", "list",
	}
	plan := make([]string, 0, each*len(kinds))
	for range each {
		plan = append(plan, kinds...)
	}
	rand.New(rand.NewPCG(7, 7)).Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	var next atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := next.Add(1); int(n) <= len(plan); n = next.Add(1) {
				r.ask(n, plan[n-1])
			}
		})
	}
	group.Wait()
}

// TestSums: after a mixture of everything, those who count have counted the same.
//
// A request counts, by the status that the client got, at the client, in the access log, in
// runestone_requests_total and as a line of the usage log, whatever came of it. A call counts at the upstream and in
// runestone_upstream_requests_total; the attempts of all lines of the usage log come to the same. Tokens, and what
// they cost, count once an answer has arrived in full, in the run of a queued request rather than in the request.
func TestSums(t *testing.T) {
	t.Parallel()
	access, usage := filepath.Join(t.TempDir(), "access.log"), filepath.Join(t.TempDir(), "usage.log")
	r := newSumsRig(t, access, usage)
	r.play(30)
	for deadline := time.Now().Add(2 * patience); scrape(t, r.g).sum("runestone_callbacks_total", "result=delivered") < float64(r.jobs); {
		if time.Now().After(deadline) {
			t.Fatal("not all clients' servers were told of their jobs")
		}
		<-time.After(50 * time.Millisecond)
	}
	if r.jobs == 0 || r.own.requests["429"] == 0 || r.own.requests["500"] == 0 {
		t.Errorf("the mixture lacks something: %d jobs, %v", r.jobs, r.own.requests)
	}

	fromUsage, calls := r.fromUsageLog(readLines[usageLine](t, usage, r.own.total()+r.jobs))
	fromAccess := r.fromAccessLog(readLines[sumsLine](t, access, r.own.total()+1)) // the harness's own probe
	for who, other := range map[string]account{"the usage log": fromUsage, "the access log": fromAccess, "the metrics": r.fromMetrics()} {
		if !maps.Equal(other.requests, r.own.requests) {
			t.Errorf("requests by status: the client %v, %s %v", r.own.requests, who, other.requests)
		}
		if who == "the access log" {
			continue // it has what was not queued; with the runs that is the usage log
		}
		if other.spending != r.own.spending {
			t.Errorf("tokens: the client %+v, %s %+v", r.own.spending, who, other.spending)
		}
		if want := r.own.spending.usd(); math.Abs(other.usd-want) > 1e-9 {
			t.Errorf("cost: the client %v, %s %v", want, who, other.usd)
		}
	}
	sent := r.oai.spent
	sent.add(r.ant.spent)
	sent.add(r.bad.spent)
	if sent != r.own.spending {
		t.Errorf("tokens: the client %+v, the upstream %+v", r.own.spending, sent)
	}
	made := r.oai.calls + r.ant.calls + r.bad.calls
	if counted := int64(scrape(t, r.g).sum("runestone_upstream_requests_total")); counted != made || calls != made {
		t.Errorf("calls: the upstream %d, the metrics %d, the usage log %d", made, counted, calls)
	}
	r.wantEvents()
}

// sumsLine is what is read of a line of the access log.
type sumsLine struct {
	Status    int
	Request   struct{ URI string }
	Runestone *usageLine
}

func (a *account) line(l *usageLine) {
	a.add(spending{l.Input, l.Cached, l.Written, l.Output, l.Reasoning})
	if l.CostUSD != nil {
		a.usd += *l.CostUSD
	}
}

// fromUsageLog returns what the usage log has counted, the calls to providers as well.
func (r *sumsRig) fromUsageLog(lines []usageLine) (a account, calls int64) {
	runs := make(map[string]bool)
	for _, l := range lines {
		calls += int64(l.Attempts)
		a.line(&l)
		if l.Run == 0 {
			a.request(l.Status)
			continue
		}
		if runs[l.Job] || l.Outcome != "ok" {
			r.Errorf("a run: %+v", l)
		}
		runs[l.Job] = true
	}
	if len(runs) != r.jobs {
		r.Errorf("%d runs of %d jobs", len(runs), r.jobs)
	}
	return a, calls
}

func (r *sumsRig) fromAccessLog(lines []sumsLine) (a account) {
	for _, l := range lines {
		if !strings.HasPrefix(l.Request.URI, "/v1/") {
			continue
		}
		a.request(l.Status)
		if l.Runestone == nil {
			r.Errorf("a line without the gateway's fields: %+v", l)
			continue
		}
		a.line(l.Runestone)
	}
	return a
}

func (r *sumsRig) fromMetrics() (a account) {
	a.requests = make(map[string]int)
	all := scrape(r, r.g)
	for _, s := range all {
		if s.name == "runestone_requests_total" {
			a.requests[s.labels["status"]] += int(s.value)
		}
	}
	tokens := func(kind string) int64 { return int64(all.sum("runestone_tokens_total", "type="+kind)) }
	a.spending = spending{tokens("input"), tokens("cached_input"), tokens("cache_write"), tokens("output"), tokens("reasoning")}
	a.usd = all.sum("runestone_cost_usd_total")
	return a
}

// wantEvents checks what is counted of queue, callbacks and breakers.
func (r *sumsRig) wantEvents() {
	all := scrape(r, r.g)
	for name, want := range map[string]float64{
		"runestone_overflow_enqueued_total": float64(r.jobs), "runestone_overflow_finished_total": float64(r.jobs),
		"runestone_callbacks_total": float64(r.told.Load()), "runestone_callback_duration_seconds_count": float64(r.told.Load()),
		"runestone_streams_active": 0, "runestone_line_waiting": 0, "runestone_request_exceptions_total": 0,
		"runestone_request_duration_seconds_count":          float64(r.own.total()),
		"runestone_upstream_request_duration_seconds_count": float64(r.oai.calls + r.ant.calls + r.bad.calls),
	} {
		if got := all.sum(name); got != want {
			r.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"runestone_failovers_total", "runestone_retries_total", "runestone_line_wait_seconds_count"} {
		if all.sum(name) == 0 {
			r.Errorf("%s is 0: the mixture lacks it", name)
		}
	}
	if all.sum("runestone_breaker_transitions_total", "state=open") == 0 {
		r.Error("no breaker has opened: the mixture lacks it")
	}
	if got, want := all.sum("runestone_ratelimit_blocked_total"), 30.0-12; got != want {
		r.Errorf("%v requests were over a limit, want %v", got, want)
	}
}
