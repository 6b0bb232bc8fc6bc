package e2e

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bounded is an upstream model that takes so many calls at a time, each for a while, and
// answers 429 to any beyond.
type bounded struct {
	capacity int
	service  time.Duration
	refusal  []string // headers of the 429

	busy, refused, most atomic.Int64
	served              atomic.Int64
	worked              atomic.Int64 // nanoseconds
}

func (b *bounded) play(x *exchange) {
	began := time.Now()
	n := b.busy.Add(1)
	if n > int64(b.capacity) {
		b.busy.Add(-1)
		b.refused.Add(1)
		x.json(429, tooMany, b.refusal...)
		return
	}
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); most = b.most.Load() {
	}
	<-time.After(b.service)
	b.served.Add(1)
	b.worked.Add(int64(time.Since(began)))
	b.busy.Add(-1) // before the answer, on which the next call may follow
	hello(x)
}

// TestAdaptiveLimit: a provider that takes 20 calls at a time and 300 clients. Each
// gets its answers from the line, the provider is kept busy, and it has
// to refuse next to nothing. Not parallel with other tests, as it measures.
func TestAdaptiveLimit(t *testing.T) {
	for name, c := range map[string]struct {
		refusal []string
		pause   time.Duration // those that come of finding the limit for the first time: one or two
	}{
		"a bare 429":             {nil, 0},
		"a 429 with Retry-After": {[]string{"Retry-After: 1"}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const clients, each = 300, 4
			up := newUpstream(t)
			b := &bounded{capacity: 20, service: 100 * time.Millisecond, refusal: c.refusal}
			up.on("gpt-upstream", b.play)
			g := start(t, one(up, "max_concurrency adaptive"))
			client := crowd(t, clients)
			var made calls
			var all sync.WaitGroup
			began := time.Now()
			for range clients {
				all.Go(func() {
					for range each {
						made.one(t, client, g, chatBody("smart", ""), chatJSON("smart", "Hello"))
					}
				})
			}
			all.Wait()
			took := time.Since(began)

			served, refused := b.served.Load(), b.refused.Load()
			// Of what the provider could have worked: its own timers' lateness is not the gateway's.
			busy := float64(b.worked.Load()) / float64(took-c.pause) / float64(b.capacity)
			t.Logf("%d answers in %v, %d refused; %.1f %% of the capacity used; up to %d at a time; the limit at the end %d",
				served, took, refused, 100*busy, b.most.Load(), g.target("up/gpt-upstream").Limit)
			if served != clients*each || made.failed.Load() != 0 {
				t.Errorf("%d of %d requests failed", made.failed.Load(), clients*each)
			}
			if share := float64(refused) / float64(served+refused); share >= 0.05 {
				t.Errorf("%d of %d calls got a 429: %.1f %%", refused, served+refused, 100*share)
			}
			if busy < 0.9 && !raceBuild() { // which is too slow to say
				t.Errorf("%.1f %% of the provider's capacity was used", 100*busy)
			}
			if told := made.attempts.Load(); told != served+refused {
				t.Errorf("the upstream saw %d calls, and the clients were told of %d", served+refused, told)
			}
		})
	}
}

// TestFixedLimit: a limit that is a number is never exceeded, and what goes beyond waits.
func TestFixedLimit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	b := &bounded{capacity: 1000, service: 20 * time.Millisecond}
	up.on("gpt-upstream", b.play)
	g := start(t, one(up, "max_concurrency 7"))
	client := crowd(t, 60)
	var c calls
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() { c.one(t, client, g, chatBody("smart", ""), chatJSON("smart", "Hello")) })
	}
	all.Wait()
	if b.most.Load() != 7 {
		t.Errorf("up to %d calls at a time, want 7", b.most.Load())
	}
	if s := g.target("up/gpt-upstream"); s.Limit != 7 || s.InFlight != 0 {
		t.Errorf("the status: %+v", s)
	}
}
