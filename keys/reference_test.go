package keys

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// clock is a time that stands still until it is moved.
type clock struct {
	t     time.Time
	moved func() // unless it is nil
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 123_456_000)} }

func (c *clock) now() time.Time { return c.t }
func (c *clock) advance(d time.Duration) {
	if c.t = c.t.Add(d); c.moved != nil {
		c.moved()
	}
}
func (c *clock) micros() int64             { return c.t.UnixMicro() }
func rate(n int64, window string) *Rate    { return &Rate{N: n, Window: duration(window)} }
func budget(usd float64, p string) *Budget { return &Budget{USD: usd, Period: duration(p)} }

func duration(text string) caddy.Duration {
	d, err := caddy.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return caddy.Duration(d)
}

// used is one entry of the reference's log: so much at a time.
type used struct {
	at time.Time
	n  int64
}

// reference is a limit as one would write it without a thought for its cost: a log of all that
// was ever used.
type reference struct {
	limit  int64
	window time.Duration
	log    []used
}

// counts returns until when something that was used at a time counts: for the window, and to the end
// of its part.
func (r *reference) until(at time.Time) time.Time {
	part := (r.window.Microseconds() + 59) / 60
	return time.UnixMicro((at.UnixMicro()/part + 61) * part)
}

// sum returns what counts at a time.
func (r *reference) sum(now time.Time) (n int64) {
	for _, u := range r.log {
		if now.Before(r.until(u.at)) {
			n += u.n
		}
	}
	return n
}

// strict returns what was used in the window that ends at a time, to the nanosecond.
func (r *reference) strict(now time.Time) (n int64) {
	for _, u := range r.log {
		if now.Sub(u.at) < r.window {
			n += u.n
		}
	}
	return n
}

// wait returns after how long n more fit.
func (r *reference) wait(n int64, now time.Time) time.Duration {
	if n > r.limit {
		return never
	}
	times := []time.Time{now}
	for _, u := range r.log {
		if t := r.until(u.at); u.n > 0 && t.After(now) {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, t := range times {
		if r.sum(t)+n <= r.limit {
			return t.Sub(now)
		}
	}
	return never
}

func (r *reference) reset(now time.Time) time.Duration {
	last := now
	for _, u := range r.log {
		if t := r.until(u.at); u.n > 0 && t.After(last) {
			last = t
		}
	}
	return last.Sub(now)
}

// trial is a request that the reference and a limiter have admitted.
type trial struct {
	lease  *Lease
	tokens int64
	usd    int64
	at     time.Time
	index  [3]int // in the logs
}

// world is a limiter and its reference.
type world struct {
	t        *testing.T
	clock    *clock
	limiter  *Limiter
	caller   *Caller
	refs     [3]*reference // requests, tokens, spend
	parallel int64
	open     []*trial
}

func newWorld(t *testing.T, r *rand.Rand, l *Limiter, c *clock, name string) *world {
	limits := &Limits{
		Requests:    rate(1+r.Int64N(40), fmt.Sprintf("%ds", 1+r.IntN(90))),
		Tokens:      rate(1+r.Int64N(5000), fmt.Sprintf("%dms", 1000+r.IntN(90000))),
		Budget:      budget(float64(1+r.Int64N(100))/1000, fmt.Sprintf("%ds", 1+r.IntN(300))),
		Concurrency: 1 + r.Int64N(20),
	}
	key := &Key{Name: name, Limits: limits}
	return &world{
		t: t, clock: c, limiter: l, caller: newCaller(key, nil), parallel: limits.Concurrency,
		refs: [3]*reference{
			{limit: limits.Requests.N, window: time.Duration(limits.Requests.Window)},
			{limit: limits.Tokens.N, window: time.Duration(limits.Tokens.Window)},
			{limit: nano(limits.Budget.USD), window: time.Duration(limits.Budget.Period)},
		},
	}
}

// ask makes a request of both and compares what they say.
func (w *world) ask(tokens, usd int64) {
	now := w.clock.now()
	amounts := [3]int64{1, tokens, usd}
	var waits [4]time.Duration
	ok := true
	for i, ref := range w.refs {
		waits[i] = ref.wait(max(amounts[i], 1), now)
		ok = ok && waits[i] == 0
	}
	if int64(len(w.open)) >= w.parallel {
		ok, waits[3] = false, concurrencyWait
	}
	tr := &trial{lease: new(Lease), tokens: tokens, usd: usd, at: now}
	refusal, admitted := w.limiter.Acquire(context.Background(), tr.lease, Ask{Caller: w.caller, Tokens: tokens, USD: float64(usd) / 1e9})
	if r := w.limiter.remote; r != nil && r.away.Load() != 0 {
		w.t.Fatal("Redis was not asked, or has not understood")
	}
	if admitted != ok {
		w.t.Fatalf("admitted %t, want %t (waits %v, refusal %v)", admitted, ok, waits, refusal)
	}
	if !ok {
		want := slices.Max(waits[:])
		if slices.Contains(waits[:], never) {
			if !refusal.Never {
				w.t.Fatalf("refused with %v, want never", refusal.RetryAfter)
			}
		} else if refusal.RetryAfter != want {
			w.t.Fatalf("try again in %v, want %v", refusal.RetryAfter, want)
		}
	} else {
		for i, ref := range w.refs {
			tr.index[i] = len(ref.log)
			ref.log = append(ref.log, used{now, amounts[i]})
			if i == 0 && ref.strict(now) > ref.limit {
				w.t.Fatalf("%d requests within a window of %d", ref.strict(now), ref.limit)
			}
		}
		w.open = append(w.open, tr)
	}
	for i, ref := range w.refs {
		c := &tr.lease.checks[i]
		if c.used != ref.sum(now) {
			w.t.Fatalf("%s: used %d, want %d", c.rule.name(), c.used, ref.sum(now))
		}
		if c.reset != ref.reset(now) {
			w.t.Fatalf("%s: reset in %v, want %v", c.rule.name(), c.reset, ref.reset(now))
		}
	}
	if got, want := tr.lease.checks[3].used, int64(len(w.open)); got != want {
		w.t.Fatalf("%d under way, want %d", got, want)
	}
}

// end ends a request in one of the ways in which requests end.
func (w *world) end(i, how int, tokens, usd int64) {
	tr := w.open[i]
	w.open = slices.Delete(w.open, i, i+1)
	actual := [3]int64{1, tokens, usd}
	switch how {
	case 0:
		tr.lease.Cancel()
		actual = [3]int64{}
	case 1:
		tr.lease.Return()
		actual = [3]int64{1, 0, 0}
	case 2:
		tr.lease.Settle(-1, -1)
		actual = [3]int64{1, tr.tokens, tr.usd}
	default:
		tr.lease.Settle(tokens, float64(usd)/1e9)
	}
	tr.lease.Settle(1e6, 1e6) // does nothing any more
	for k, ref := range w.refs {
		booked := &ref.log[tr.index[k]]
		switch d := actual[k] - booked.n; {
		case d < 0:
			booked.n += d
		case d > 0:
			ref.log = append(ref.log, used{w.clock.now(), d})
		}
	}
}

// play makes random traffic. After each step settled waits until all has arrived that was settled.
func play(t *testing.T, seed uint64, steps int, l *Limiter, c *clock, settled func()) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, r, l, c, fmt.Sprintf("key-%d", seed))
	for range steps {
		switch n := r.IntN(10); {
		case n < 5:
			w.ask(r.Int64N(w.refs[1].limit/4+2), r.Int64N(w.refs[2].limit/8+2))
		case n < 8 && len(w.open) > 0:
			w.end(r.IntN(len(w.open)), r.IntN(6), r.Int64N(w.refs[1].limit/2+2), r.Int64N(w.refs[2].limit/4+2))
			settled()
		default:
			c.advance(time.Duration(r.Int64N(int64(w.refs[r.IntN(2)].window)/8/1000)) * time.Microsecond)
			if r.IntN(50) == 0 {
				c.advance(w.refs[r.IntN(3)].window * 2)
			}
		}
	}
	for len(w.open) > 0 {
		w.end(0, 1, 0, 0)
	}
}

func newTestLimiter(t testing.TB, c *Config, o LimiterOptions) *Limiter {
	t.Helper()
	if o.Name == "" {
		o.Name = t.Name()
	}
	l, err := NewLimiter(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestMemoryDoesWhatALogOfAllUsageWould(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		c := newClock()
		play(t, seed, 1500, newTestLimiter(t, new(Config), LimiterOptions{Now: c.now}), c, func() {})
	}
}
