package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/telemetry"
)

// start is a whole minute.
var start = time.Unix(1_800_000_000, 0)

// newTest returns a collector that is attached to nothing and ticks when it is told to.
func newTest(t *testing.T) *collector {
	t.Helper()
	c := newCollector(start, func() *gateway.App { return nil })
	t.Cleanup(func() {
		if err := c.Destruct(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// second is the nth tick.
func (c *collector) second(n int) { c.tick(start.Add(time.Duration(n) * time.Second)) }

func answered(provider, model string) telemetry.RequestStopped {
	return telemetry.RequestStopped{
		Duration: 2 * time.Second, InputTokens: 10, OutputTokens: 30, CostUSD: 0.25, Attempts: 1,
		Route: "chat", Provider: provider, Model: model, Status: 200, Outcome: telemetry.OutcomeOK,
	}
}

func failed(provider, model string, status int, outcome string) telemetry.RequestStopped {
	return telemetry.RequestStopped{Route: "chat", Provider: provider, Model: model, Status: status, Outcome: outcome}
}

func TestRequestsAreCountedByProviderAndModel(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	c.requestStop(answered("openai", "smart"))
	c.requestStop(answered("openai", "fast"))
	keyed := answered("groq", "fast")
	keyed.Key = "team-a"
	c.requestStop(keyed)
	c.requestStop(failed("groq", "fast", 503, telemetry.OutcomeError))
	c.requestStop(failed("", "", 404, telemetry.OutcomeInvalid))
	c.requestStop(failed("openai", "fast", 429, telemetry.OutcomeError))
	c.requestStop(failed("openai", "fast", 200, telemetry.OutcomeCanceled))
	c.requestStop(telemetry.RequestStopped{Route: string(gateway.Jobs), Status: 200, Outcome: telemetry.OutcomeOK})
	c.callStop(telemetry.ProviderRequestStopped{Provider: "groq", Outcome: telemetry.OutcomeTimeout})
	c.callStop(telemetry.ProviderRequestStopped{Provider: "groq", Outcome: telemetry.OutcomeOK})
	c.drainStop(telemetry.OverflowDrainStopped{Provider: "groq", Model: "fast", InputTokens: 5, CostUSD: 0.5})
	c.second(1)
	for _, test := range []struct {
		id   scopeID
		want counts
	}{
		{scopeID{kind: kindAll}, counts{requests: 7, errors: 3, refused: 1, input: 35, output: 90, cost: 1_250_000_000, calls: 2, failed: 1}},
		{scopeID{kind: kindProvider, name: "openai"}, counts{requests: 4, errors: 1, input: 20, output: 60, cost: 500_000_000}},
		{scopeID{kind: kindProvider, name: "groq"}, counts{requests: 2, errors: 1, input: 15, output: 30, cost: 750_000_000, calls: 2, failed: 1}},
		{scopeID{kind: kindModel, name: "fast"}, counts{requests: 5, errors: 2, input: 25, output: 60, cost: 1_000_000_000}},
		{scopeID{kind: kindKey, name: "team-a"}, counts{requests: 1, input: 10, output: 30, cost: 250_000_000}},
		{scopeID{kindPair, "openai", "fast"}, counts{requests: 3, errors: 1, input: 10, output: 30, cost: 250_000_000}},
	} {
		s := c.scopes[test.id]
		if s == nil {
			t.Errorf("%v is not there", test.id)
			continue
		}
		if s.total != test.want {
			t.Errorf("%v\n got %+v\nwant %+v", test.id, s.total, test.want)
		}
	}
	if c.scopes[scopeID{kind: kindProvider}] != nil || c.scopes[scopeID{kind: kindModel}] != nil {
		t.Error("what nobody answered has a scope of its own")
	}
}

func TestSecondsAndMinutes(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	for second := range 150 {
		for range second%2 + 1 {
			c.requestStop(answered("openai", "smart"))
			c.firstToken(telemetry.StreamFirstTokenSeen{Duration: 100 * time.Millisecond, Provider: "openai", Model: "smart"})
		}
		c.second(second)
	}
	s := c.scopes[scopeID{kind: kindAll}]
	if s.total.requests != 225 {
		t.Errorf("%d requests in all, want 225", s.total.requests)
	}
	if s.sum.requests != 90 {
		t.Errorf("%d requests in the last minute, want 90", s.sum.requests)
	}
	points := c.history(s.id, false, secondsKept)
	if len(points) != 150 || *points[149][0] != float64(start.Unix()+149) || *points[149][1] != 2 || *points[148][1] != 1 {
		t.Errorf("seconds are not as they were: %d of them", len(points))
	}
	if p50 := *points[149][9]; math.Abs(p50-0.1) > 0.015 {
		t.Errorf("p50 of the first token is %v, want about 0.1", p50)
	}
	minutes := c.history(s.id, true, minutesKept)
	if len(minutes) != 2 {
		t.Fatalf("%d minutes, want 2", len(minutes))
	}
	if perSecond := *minutes[1][1]; math.Abs(perSecond-1.5) > 0.02 {
		t.Errorf("%v requests per second in the second minute, want 1.5", perSecond)
	}
	// After a minute of silence the figures of now are none.
	for second := 150; second < 211; second++ {
		c.second(second)
	}
	if s.sum != (growth{}) {
		t.Errorf("after a minute of silence there is %+v", s.sum)
	}
	if got := c.history(s.id, false, secondsKept); got[len(got)-1][9] != nil {
		t.Error("a latency is shown where nothing was measured")
	}
}

func TestRingsKeepTheLatest(t *testing.T) {
	t.Parallel()
	r := ring{size: 3}
	for i := range 8 {
		r.push(point{at: int64(i)})
	}
	if got := r.latest(5); len(got) != 3 || got[0].at != 5 || got[2].at != 7 {
		t.Errorf("got %+v", got)
	}
	if got := r.latest(1); len(got) != 1 || got[0].at != 7 {
		t.Errorf("got %+v", got)
	}
	j := journal[int]{size: 3}
	for i := range 8 {
		j.add(i)
	}
	if got, number := j.latest(); fmt.Sprint(got) != "[7 6 5]" || number != 8 {
		t.Errorf("got %v of %d", got, number)
	}
}

// However many names clients come up with, memory is bounded, and nothing is lost from the sums.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	const many = 1000
	for i := range many {
		c.requestStop(answered(fmt.Sprintf("provider%d", i%70), fmt.Sprintf("model%d", i)))
		c.callStop(telemetry.ProviderRequestStopped{Provider: fmt.Sprintf("provider%d", i), Outcome: telemetry.OutcomeOK})
	}
	c.requestStop(answered("openai", strings.Repeat("x", 1<<20)))
	c.second(1)
	perKind := map[string]int{}
	for id := range c.scopes {
		perKind[id.kind]++
	}
	for kind, limit := range map[string]int{kindProvider: maxProviders, kindModel: maxModels, kindPair: maxPairs} {
		if perKind[kind] > limit+1 {
			t.Errorf("%d scopes of kind %s, want %d and one for all others", perKind[kind], kind, limit)
		}
	}
	if got := c.scopes[scopeID{kind: kindAll}].total; got.requests != many+1 || got.calls != many {
		t.Errorf("%d requests and %d calls in all, want %d and %d", got.requests, got.calls, many+1, many)
	}
	if len(c.pairs.all()) > maxPairs+1 {
		t.Errorf("%d pairs", len(c.pairs.all()))
	}
}

func TestFailuresAreListedAndAnswersAreNot(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	c.requestStop(answered("openai", "smart"))
	c.requestStop(failed("openai", "smart", 200, telemetry.OutcomeCanceled))
	refused := failed("openai", "smart", 502, telemetry.OutcomeUnreachable)
	refused.Code = "connection_failed"
	c.requestStop(refused)
	got, _ := c.errors.latest()
	if len(got) != 1 || got[0].Status != 502 || got[0].Outcome != telemetry.OutcomeUnreachable || got[0].Provider != "openai" || got[0].Code != "connection_failed" {
		t.Errorf("got %+v", got)
	}
}

// What is no code is not shown: a provider may write anything there.
func TestCodesAreCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"": "", "context_length_exceeded": "context_length_exceeded", "1301": "1301", "a.B-c": "a.B-c",
		"you said: my secret": "", "<b>": "", strings.Repeat("x", maxCode+1): "", "\xff": "",
	} {
		if got := codeOf(code); got != want {
			t.Errorf("%q is shown as %q, want %q", code, got, want)
		}
	}
}

// What a client calls a model is data in whatever it ends up in.
func TestHostileNamesStayData(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"</script><script>alert(1)</script>", "x\n\nevent: jobs\ndata: {}\n\n", "\r\rdata: 1", `"},"x":{"`, "\xff\xfe", "a\u2028b", "\x00", "*",
	} {
		c := newTest(t)
		c.requestStop(failed("", name, 400, telemetry.OutcomeInvalid))
		c.requestStop(answered("p", name))
		c.second(1)
		c.mu.Lock()
		frames := c.frames(start)
		c.mu.Unlock()
		for _, kind := range []int{frameTick, frameErrors} {
			event := string(frames[kind].event)
			if strings.Count(event, "\n") != 3 || strings.ContainsAny(event, "\r<\u2028") {
				t.Errorf("%q: the event is more than one: %q", name, event)
			}
			_, data, _ := strings.Cut(event, "\ndata: ")
			if !json.Valid([]byte(data)) {
				t.Errorf("%q: the data are not JSON: %q", name, data)
			}
		}
	}
}

func TestCountingIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	const each, workers = 500, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				c.requestStop(answered("openai", fmt.Sprint("model", (i+w)%200)))
				c.requestStop(failed("openai", "smart", 500, telemetry.OutcomeError))
			}
		})
	}
	for i := range 20 {
		c.second(i)
	}
	wg.Wait()
	c.second(20)
	if got := c.scopes[scopeID{kind: kindAll}].total; got.requests != 2*each*workers || got.errors != each*workers || got.input != 10*each*workers {
		t.Errorf("got %+v", got)
	}
}

func BenchmarkRequest(b *testing.B) {
	stop, first := answered("openai", "smart"), telemetry.StreamFirstTokenSeen{Duration: time.Second, Provider: "openai", Model: "smart"}
	stop.Key = "team-a"
	call := telemetry.ProviderRequestStopped{Duration: time.Second, Provider: "openai", Status: 200, Outcome: telemetry.OutcomeOK}
	b.Run("counted", func(b *testing.B) {
		c := newCollector(start, func() *gateway.App { return nil })
		b.ReportAllocs()
		for b.Loop() {
			c.firstToken(first)
			c.callStop(call)
			c.requestStop(stop)
		}
	})
	b.Run("counted from all cores", func(b *testing.B) {
		c := newCollector(start, func() *gateway.App { return nil })
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.firstToken(first)
				c.callStop(call)
				c.requestStop(stop)
			}
		})
	})
}

func BenchmarkTick(b *testing.B) {
	c := newCollector(start, func() *gateway.App { return nil })
	for i := range maxPairs {
		c.requestStop(answered(fmt.Sprint("provider", i%20), fmt.Sprint("model", i%50)))
	}
	n := 0
	for b.Loop() {
		for i := range maxPairs {
			c.requestStop(answered(fmt.Sprint("provider", i%20), fmt.Sprint("model", i%50)))
		}
		c.second(n)
		n++
	}
}
