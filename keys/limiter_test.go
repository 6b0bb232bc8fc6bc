package keys

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// left returns how much of the tightest limit of a kind was left when the request was admitted or refused.
func (l *Lease) left(kind Kind) int64 { return l.tightest(kind).left() }

// count returns how many entries there are.
func (u *usage) count() (n int) {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}

func TestLimitsHoldUnderManyClients(t *testing.T) {
	t.Parallel()
	const limit, parallel = 700, 7
	config := &Config{ModelLimits: map[string]*Limits{"m": {Requests: rate(1500, "1h"), Concurrency: 11}}}
	l := newTestLimiter(t, config, LimiterOptions{})
	callers := make([]*Caller, 4)
	for i := range callers {
		callers[i] = keyWith(fmt.Sprint("key-", i), &Limits{Requests: rate(limit, "1h"), Tokens: rate(1e6, "1h"), Concurrency: parallel},
			map[string]*Limits{"m": {Requests: rate(600, "1h")}})
	}
	var admitted, ofModel [4]atomic.Int64
	var now [4]atomic.Int64
	var all sync.WaitGroup
	for worker := range 64 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 2))
			var lease Lease
			for range 200 {
				k := r.IntN(len(callers))
				ask := Ask{Caller: callers[k], Model: [...]string{"m", "n"}[r.IntN(2)], Tokens: r.Int64N(50)}
				if _, ok := l.Acquire(context.Background(), &lease, ask); !ok {
					continue
				}
				admitted[k].Add(1)
				if ask.Model == "m" {
					ofModel[k].Add(1)
				}
				if n := now[k].Add(1); n > parallel {
					t.Errorf("%d requests of one key at a time", n)
				}
				now[k].Add(-1)
				lease.Settle(r.Int64N(50), 0.001)
			}
		})
	}
	all.Wait()
	var total int64
	for k := range callers {
		if n := admitted[k].Load(); n > limit {
			t.Errorf("key %d had %d requests", k, n)
		}
		if n := ofModel[k].Load(); n > 600 {
			t.Errorf("key %d had %d requests for the model", k, n)
		}
		total += ofModel[k].Load()
	}
	if total > 1500 {
		t.Errorf("the model had %d requests", total)
	}
	for i := range l.usage.shards {
		for id, e := range l.usage.shards[i].entries {
			if e.inFlight != 0 {
				t.Errorf("%v has %d under way", id, e.inFlight)
			}
		}
	}
}

func TestALeaseEndsOnce(t *testing.T) {
	t.Parallel()
	l := newTestLimiter(t, new(Config), LimiterOptions{})
	caller := keyWith("team", &Limits{Tokens: rate(1000, "1h"), Concurrency: 50}, nil)
	var lease Lease
	lease.Settle(5, 5) // of nothing
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 100}); !ok {
		t.Fatal("refused")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { lease.Settle(300, 0) })
		all.Go(func() { lease.left(Tokens) })
	}
	all.Wait()
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller}); !ok || lease.checks[0].used != 300 || lease.checks[1].used != 1 {
		t.Errorf("used %d tokens, want 300; %d under way, want 1", lease.checks[0].used, lease.checks[1].used)
	}
	lease.Cancel()
}

func TestWhatAnswersCostMoreThanEstimatedIsOwed(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := newTestLimiter(t, new(Config), LimiterOptions{Now: c.now})
	caller := keyWith("team", &Limits{Tokens: rate(100, "1m"), Budget: budget(1, "30d")}, nil)
	var lease Lease
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 10}); !ok {
		t.Fatal("refused")
	}
	c.advance(10 * time.Minute) // a long stream: what it used is used now
	lease.Settle(500, 0.25)
	r, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 1})
	if ok || r.Limit != "key_tokens" || r.RetryAfter < time.Minute || r.RetryAfter > 61*time.Second {
		t.Errorf("admitted %t: %+v", ok, r)
	}
	if left := lease.left(Spend); left != 750_000_000 {
		t.Errorf("%d billionths of a USD are left", left)
	}
	if _, ok = l.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 101}); ok || !lease.refusal.Never {
		t.Errorf("a request larger than the limit: admitted %t, %+v", ok, lease.refusal)
	}
}

func TestUsageOutlivesConfigurations(t *testing.T) {
	t.Parallel()
	first := newTestLimiter(t, new(Config), LimiterOptions{})
	var lease, open Lease
	before := keyWith("team", &Limits{Requests: rate(3, "1h"), Concurrency: 5}, nil)
	for _, l := range []*Lease{&open, &lease} {
		if _, ok := first.Acquire(t.Context(), l, Ask{Caller: before}); !ok {
			t.Fatal("refused")
		}
	}
	lease.Return()
	second := newTestLimiter(t, new(Config), LimiterOptions{})
	first.Close()
	after := keyWith("team", &Limits{Requests: rate(3, "2h"), Concurrency: 1}, nil) // another window, and another limit
	if r, ok := second.Acquire(t.Context(), &lease, Ask{Caller: after}); ok || r.Kind != Concurrency {
		t.Errorf("a request of the earlier configuration is under way: admitted %t, %+v", ok, r)
	}
	open.Return()
	if r, ok := second.Acquire(t.Context(), &lease, Ask{Caller: after}); !ok {
		t.Error(r)
	}
	lease.Return()
	if r, ok := second.Acquire(t.Context(), &lease, Ask{Caller: after}); ok || r.Kind != Requests {
		t.Errorf("the fourth request: admitted %t, %+v", ok, r)
	}
}

func TestAWindowOfAnotherLengthKeepsWhatWasUsed(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	for _, lengths := range [][2]time.Duration{{time.Minute, time.Hour}, {time.Hour, time.Minute}, {time.Minute, 7 * time.Second}} {
		from, to := partTime(lengths[0]), partTime(lengths[1])
		now := 1_800_000_000 * second
		w := &window{part: from, head: now / from}
		w.add(w.head, 5)
		at := w.head
		w.recut(to)
		w.advance(now)
		if w.total != 5 {
			t.Errorf("%v: %d are left of 5", lengths, w.total)
		}
		w.add(convert(at, from, to), -2)
		w.recut(to)
		if w.total != 3 {
			t.Errorf("%v: %d are left of 3", lengths, w.total)
		}
		if wait := w.wait(1, 3, now); wait < lengths[1] || wait > lengths[1]+lengths[1]/60+time.Duration(from)+time.Second {
			t.Errorf("%v: wait %v", lengths, wait)
		}
	}
}

func TestMemoryIsBoundedByActiveKeys(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := newTestLimiter(t, new(Config), LimiterOptions{Now: c.now})
	limits := &Limits{Requests: rate(10, "1m"), Concurrency: 5}
	var lease, open Lease
	if _, ok := l.Acquire(t.Context(), &open, Ask{Caller: keyWith("open", limits, nil)}); !ok {
		t.Fatal("refused")
	}
	for round := range 6 {
		for i := range 2000 {
			caller := keyWith(fmt.Sprint(round, "-", i), limits, nil)
			if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller}); !ok {
				t.Fatal("refused")
			}
			lease.Return()
		}
		c.advance(2 * time.Minute)
		for range 40 { // other traffic
			for i := range 200 {
				if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: keyWith(fmt.Sprint("x", i), limits, nil)}); ok {
					lease.Cancel()
				}
			}
			c.advance(2 * time.Second)
		}
	}
	if n := l.usage.count(); n > 1000 {
		t.Errorf("%d entries are kept, and 201 keys are active", n)
	}
	if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: keyWith("open", limits, nil)}); !ok || lease.checks[1].used != 2 {
		t.Error("the entry of a request under way is gone")
	}
}

func TestRefusalsSayWhatIsReached(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Refusal{
		"Limit key_requests reached: 600 requests in 1m0s. Try again in 13s.":                           {Limit: "key_requests", N: 600, Window: time.Minute, RetryAfter: 12*time.Second + 1},
		"Limit model_tokens would be exceeded by this request alone: 10 tokens in 1s. Make it smaller.": {Limit: "model_tokens", Kind: Tokens, N: 10, Window: time.Second, Never: true},
		"Limit key_budget reached: 12.50 USD in 720h0m0s. Try again in 2s.":                             {Limit: "key_budget", Kind: Spend, N: 12_500_000_000, Window: 720 * time.Hour, RetryAfter: 2 * time.Second},
		"Limit key_concurrency reached: 3 requests at a time. Try again when one has ended.":            {Limit: "key_concurrency", Kind: Concurrency, N: 3, RetryAfter: time.Second},
		"The limits of this request cannot be checked now. Try again later.":                            {Limit: "limits_unavailable", Unavailable: true},
	} {
		if got := r.Error(); got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
}

func TestRequestsWithoutLimitsCostNothing(t *testing.T) {
	t.Parallel()
	l := newTestLimiter(t, new(Config), LimiterOptions{})
	var lease Lease
	for _, caller := range []*Caller{nil, keyWith("team", nil, nil), keyWith("other", new(Limits), nil)} {
		if _, ok := l.Acquire(t.Context(), &lease, Ask{Caller: caller, Model: "m", Tokens: 1e9}); !ok {
			t.Error("refused")
		}
		lease.Settle(1, 1)
	}
	if n := l.usage.count(); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// benchLimits are all limits at all scopes.
func benchLimiter(b *testing.B) (*Limiter, []*Caller) {
	limits := &Limits{Requests: rate(1e9, "1m"), Tokens: rate(1e12, "1m"), Concurrency: 1e6, Budget: budget(1e6, "30d")}
	l := newTestLimiter(b, &Config{ModelLimits: map[string]*Limits{"shared": limits}}, LimiterOptions{})
	callers := make([]*Caller, 10_000)
	var lease Lease
	for i := range callers {
		callers[i] = keyWith(strings.Repeat("k", 8)+fmt.Sprint(i), limits, map[string]*Limits{"own": limits})
		for _, m := range []string{"own", "shared"} {
			_, _ = l.Acquire(b.Context(), &lease, Ask{Caller: callers[i], Model: m})
			lease.Return()
		}
	}
	return l, callers
}

// A request of one of 10,000 keys, from its admission to its settlement, by 64 goroutines. The
// model "shared" has limits that all have in common.
func BenchmarkAcquireSettle(b *testing.B) {
	for _, model := range []string{"none", "own", "shared"} {
		b.Run(model, func(b *testing.B) {
			l, callers := benchLimiter(b)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := rand.New(rand.NewPCG(rand.Uint64(), 1))
				var lease Lease
				for pb.Next() {
					if _, ok := l.Acquire(context.Background(), &lease, Ask{Caller: callers[r.IntN(len(callers))], Model: model, Tokens: 100}); !ok {
						b.Error("refused")
					}
					lease.Settle(150, 0.001)
				}
			})
		})
	}
}

// A request that is refused.
func BenchmarkRefusal(b *testing.B) {
	l := newTestLimiter(b, new(Config), LimiterOptions{})
	caller := keyWith("team", &Limits{Requests: rate(1, "1h"), Tokens: rate(1000, "1h")}, nil)
	var lease Lease
	_, _ = l.Acquire(b.Context(), &lease, Ask{Caller: caller})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := l.Acquire(b.Context(), &lease, Ask{Caller: caller, Tokens: 100}); ok {
			b.Fatal("admitted")
		}
	}
}
