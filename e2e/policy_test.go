package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// priced is a model named smart with two targets, of which the second is the cheaper one.
func priced(t *testing.T, options string) (first, second *upstream, g *gateway) {
	t.Helper()
	first, second = newUpstream(t), newUpstream(t)
	s := learning(twoTargets(first.URL(), second.URL()))
	s.App = strings.Replace(s.App, "target first/gpt-first", "target first/gpt-first {\nprice 5 10\ncapabilities chat vision\n}", 1)
	s.App = strings.Replace(s.App, "target second/gpt-second", "target second/gpt-second {\nprice 1 2\ncapabilities chat tools\n}\n"+options, 1)
	first.on("gpt-first", playJSON(200, chatJSON("gpt-first", "Hello")))
	second.on("gpt-second", playJSON(200, chatJSON("gpt-second", "Hello")))
	return first, second, start(t, s)
}

// TestTheCheapestTargetIsAsked, and what it costs is counted.
func TestTheCheapestTargetIsAsked(t *testing.T) {
	t.Parallel()
	first, _, g := priced(t, "policy cost")
	wantHello(t, g.post(t, chatPath, chatBody("smart", "")), "smart", "second", 1)
	wantMetric(t, g, 15e-6, "runestone_cost_usd_total", "model=smart", "provider=second") // 9 tokens in, 3 out
	wantHello(t, g.post(t, chatPath, chatBody("smart", "")), "smart", "second", 1)
	if first.requests() != 0 {
		t.Error("the dear one was asked")
	}
}

// TestWhoCannotIsNotAsked: what a request needs comes before the policy.
func TestWhoCannotIsNotAsked(t *testing.T) {
	t.Parallel()
	first, second, g := priced(t, "policy failover")
	const tools = `"tools":[{"type":"function","function":{"name":"f"}}]`
	image := `{"model":"smart",%s"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]}]}`
	wantHello(t, g.post(t, chatPath, chatBody("smart", ","+tools)), "smart", "second", 1)
	wantHello(t, g.post(t, chatPath, fmt.Sprintf(image, "")), "smart", "first", 1)
	before := first.requests() + second.requests()
	a := g.post(t, chatPath, fmt.Sprintf(image, tools+","))
	if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.Body, `"unsupported_capability"`) || !strings.Contains(a.Body, "tools, vision") {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	if a.Header.Get("X-Should-Retry") != "false" {
		t.Error("the client is not told that another try is in vain")
	}
	if first.requests()+second.requests() != before {
		t.Error("a target was asked that cannot do it")
	}
}

// TestSlowFirstTokensOpenTheBreaker, if the configuration says so.
func TestSlowFirstTokensOpenTheBreaker(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, serving(up, "breaker {\nfailures 2\nslow_call 30ms\n}"))
	up.on("gpt-upstream", func(x *exchange) {
		time.Sleep(60 * time.Millisecond) // the provider thinks
		playSSE(chatEvents("gpt-upstream", "a"), doneEvent)(x)
	})
	for _, state := range []string{"closed", "open"} {
		if a := g.post(t, chatPath, streamBody("smart")); a.StatusCode != http.StatusOK || a.Err != nil {
			t.Errorf("status %d: %v", a.StatusCode, a.Err)
		}
		wantState(t, g, "up/gpt-upstream", state)
	}
}
