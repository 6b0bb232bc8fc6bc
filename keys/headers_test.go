package keys

import (
	"net/http"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

func TestDurationsAreWrittenAsOpenAIDoes(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Second: "0s", 1: "1ms", 12 * time.Millisecond: "12ms", 11*time.Millisecond + 1: "12ms", time.Second: "1s", 999*time.Millisecond + 1: "1s",
		6 * time.Minute: "6m0s", 86*time.Second + 400*time.Millisecond: "1m26.4s", 8*time.Second + 640*time.Millisecond: "8.64s",
		59*time.Second + 997*time.Millisecond: "59.997s", 720 * time.Hour: "720h0m0s", time.Hour + 5*time.Millisecond: "1h0m0.005s",
	} {
		got := string(appendDuration([]byte("x"), d))
		if got != "x"+want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
		if back, err := time.ParseDuration(want); err != nil || back < d {
			t.Errorf("%q is %v, less than %v (%v)", want, back, d, err)
		}
	}
}

// exhausted returns a limiter and a caller at a moment at which parts of a minute begin.
func headerRig(t *testing.T) (*clock, *Limiter, *Caller) {
	c := newClock()
	c.t = time.Unix(1_800_000_000, 0)
	l := newTestLimiter(t, new(Config), LimiterOptions{Now: c.now})
	return c, l, keyWith("team", &Limits{
		Requests: rate(3, "1m"), Tokens: rate(1000, "1m"), Concurrency: 9, Budget: budget(100, "30d"),
	}, map[string]*Limits{"m": {Requests: rate(50, "1h"), Tokens: rate(200, "1h")}})
}

func TestHeadersOfAnAdmission(t *testing.T) {
	t.Parallel()
	_, l, caller := headerRig(t)
	var lease Lease
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Model: "m", Tokens: 60}); !ok {
		t.Fatal("refused")
	}
	h := http.Header{"X-Ratelimit-Limit-Requests": {"an upstream's"}, "Other": {"x"}}
	lease.AppendHeaders(h, OpenAI)
	want := http.Header{
		"Other":                          {"x"},
		"X-Ratelimit-Limit-Requests":     {"3"},
		"X-Ratelimit-Remaining-Requests": {"2"},
		"X-Ratelimit-Reset-Requests":     {"1m1s"},
		"X-Ratelimit-Limit-Tokens":       {"200"},
		"X-Ratelimit-Remaining-Tokens":   {"140"},
		"X-Ratelimit-Reset-Tokens":       {"1h1m0s"},
		"Ratelimit-Policy":               {`"key_requests";q=3;w=60, "key_tokens";q=1000;qu="tokens";w=60, "key_concurrency";q=9;qu="concurrent-requests", "key_model_requests";q=50;w=3600, "key_model_tokens";q=200;qu="tokens";w=3600`},
		"Ratelimit":                      {`"key_requests";r=2;t=61, "key_tokens";r=940;t=61, "key_concurrency";r=8, "key_model_requests";r=49;t=3660, "key_model_tokens";r=140;t=3660`},
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("%q\nwant %q", h, want)
	}
	h = make(http.Header)
	lease.AppendHeaders(h, Anthropic)
	for name, value := range map[string]string{
		"anthropic-ratelimit-requests-limit": "3", "anthropic-ratelimit-requests-remaining": "2", "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:01Z",
		"anthropic-ratelimit-tokens-limit": "200", "anthropic-ratelimit-tokens-remaining": "140", "anthropic-ratelimit-tokens-reset": "2027-01-15T09:01:00Z",
		"x-ratelimit-limit-requests": "", "retry-after": "", "x-should-retry": "",
	} {
		if got := h.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

func TestHeadersOfARefusal(t *testing.T) {
	t.Parallel()
	c, l, caller := headerRig(t)
	var lease Lease
	for range 3 {
		if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 1}); !ok {
			t.Fatal("refused")
		}
		lease.Settle(1, 0)
		c.advance(10*time.Second + 1)
	}
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 1}); ok {
		t.Fatal("admitted")
	}
	h := make(http.Header)
	lease.AppendHeaders(h, OpenAI)
	for name, want := range map[string]string{
		"Retry-After": "31", "X-Should-Retry": "", "X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "51s",
		"Ratelimit": `"key_requests";r=0;t=31, "key_tokens";r=997;t=31, "key_concurrency";r=9`,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// Retry-After is true to the second: it is too early before, and time then.
	after, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil {
		t.Fatal(err)
	}
	c.advance(time.Duration(after-1) * time.Second)
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 1}); ok {
		t.Error("admitted a second before the time to try again")
	}
	c.advance(time.Second)
	if r, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 1}); !ok {
		t.Errorf("refused at the time to try again: %v", r)
	}

	for name, ask := range map[string]Ask{
		"too large": {Caller: caller, Tokens: 5000},
		"for long":  {Caller: keyWith("slow", &Limits{Requests: rate(1, "1h")}, nil)},
	} {
		for range 2 {
			_, _ = l.Acquire(t.Context(), &lease, ask)
		}
		h := make(http.Header)
		lease.AppendHeaders(h, OpenAI)
		want := map[string]string{"too large": "", "for long": "3660"}[name]
		if got := h.Get("Retry-After"); h.Get("X-Should-Retry") != "false" || len(got) != len(want) {
			t.Errorf("%s: Retry-After %q, x-should-retry %q", name, got, h.Get("X-Should-Retry"))
		}
	}
}

func TestRateLimitFieldsAreStructured(t *testing.T) {
	t.Parallel()
	_, l, caller := headerRig(t)
	for range 5 {
		var lease Lease
		_, admitted := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Model: "m", Tokens: 60})
		h := make(http.Header)
		lease.AppendHeaders(h, OpenAI)
		policies, err := httpsfv.UnmarshalList(h["Ratelimit-Policy"])
		if err != nil {
			t.Fatal(err)
		}
		states, err := httpsfv.UnmarshalList(h["Ratelimit"])
		if err != nil || len(states) != len(policies) || len(states) != 5 {
			t.Fatalf("%d policies, %d states, %v", len(policies), len(states), err)
		}
		retry, _ := strconv.ParseInt(h.Get("Retry-After"), 10, 64)
		for i := range states {
			p, s := policies[i].(httpsfv.Item), states[i].(httpsfv.Item)
			q, _ := p.Params.Get("q")
			r, _ := s.Params.Get("r")
			if p.Value != s.Value || r.(int64) > q.(int64) || r.(int64) < 0 {
				t.Errorf("policy %v, state %v", p, s)
			}
			if window, ok := s.Params.Get("t"); ok && !admitted && window.(int64) > retry {
				t.Errorf("Retry-After %d is before the end of the window %v", retry, window)
			}
		}
	}
}

func TestALeaseWithoutLimitsHasNoHeaders(t *testing.T) {
	t.Parallel()
	h := make(http.Header)
	new(Lease).AppendHeaders(h, OpenAI)
	l := newTestLimiter(t, new(Config), LimiterOptions{})
	var lease Lease
	_, _ = l.Acquire(t.Context(), &lease, Ask{Caller: keyWith("rich", &Limits{Budget: budget(5, "1h")}, nil)})
	lease.AppendHeaders(h, Anthropic)
	if len(h) != 0 {
		t.Errorf("%q", h)
	}
}

func BenchmarkAppendHeaders(b *testing.B) {
	limits := &Limits{Requests: rate(1e9, "1m"), Tokens: rate(1e12, "1m"), Concurrency: 1e6}
	l := newTestLimiter(b, new(Config), LimiterOptions{})
	var lease Lease
	_, _ = l.Acquire(b.Context(), &lease, Ask{Caller: keyWith("team", limits, nil), Tokens: 100})
	h := make(http.Header)
	b.ReportAllocs()
	for b.Loop() {
		lease.AppendHeaders(h, OpenAI)
	}
}
