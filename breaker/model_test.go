package breaker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model is what a breaker is meant to do, said as plainly as possible: it keeps
// every outcome with its time, and looks through them all.
type model struct {
	config Config // filled
	rand   *rand.Rand
	now    int64

	state       State
	generation  int // counts changes of state
	outcomes    []outcomeAt
	closedAt    int64
	openings    int
	openUntil   int64
	probes      int
	successes   int
	pausedUntil int64
	told        []change
}

type outcomeAt struct {
	at      int64
	failure bool
}

func (m *model) become(s State) {
	m.told = append(m.told, change{m.state, s})
	m.state = s
	m.generation++
	m.outcomes, m.probes, m.successes = nil, 0, 0
	if s == Closed {
		m.closedAt = m.now
	}
}

// recent returns the outcomes within the window, which moves by tenths.
func (m *model) recent() []outcomeAt {
	width := int64(m.config.Window) / 10
	return slices.DeleteFunc(slices.Clone(m.outcomes), func(o outcomeAt) bool {
		return o.at/width <= m.now/width-10
	})
}

func (m *model) allow() (int, *Refusal) {
	paused, open := m.pausedUntil-m.now, int64(0)
	if m.state == Open {
		open = m.openUntil - m.now
	}
	switch {
	case open > 0:
		return 0, &Refusal{ErrOpen, time.Duration(max(open, paused))}
	case paused > 0:
		return 0, &Refusal{ErrPaused, time.Duration(paused)}
	case m.state == HalfOpen && m.probes >= m.config.HalfOpen:
		return 0, &Refusal{ErrProbing, 0}
	case m.state == Open:
		m.become(HalfOpen)
	}
	m.probes++
	return m.generation, nil
}

func (m *model) done(generation int, o Outcome, firstToken time.Duration) {
	if generation != m.generation {
		return
	}
	if o == Success && m.config.SlowCall > 0 && firstToken > time.Duration(m.config.SlowCall) {
		o = Failure
	}
	m.probes--
	switch {
	case o == Ignored:
	case m.state == HalfOpen && o == Failure:
		m.open()
	case m.state == HalfOpen:
		if m.successes++; m.successes >= m.config.HalfOpen {
			m.become(Closed)
		}
	default:
		m.outcomes = append(m.outcomes, outcomeAt{m.now, o == Failure})
		if o == Failure && m.tooMany() {
			m.open()
		}
	}
}

func (m *model) tooMany() bool {
	recent := m.recent()
	failures, row := 0, 0
	for _, o := range recent {
		if row++; !o.failure {
			row = 0
		} else {
			failures++
		}
	}
	return m.config.Failures > 0 && row >= m.config.Failures ||
		m.config.FailureRatio > 0 && len(recent) >= m.config.MinimumCalls &&
			float64(failures) >= m.config.FailureRatio*float64(len(recent))
}

func (m *model) open() {
	if m.state == Closed && m.now-m.closedAt >= int64(m.config.Window) {
		m.openings = 0
	}
	m.openings++
	d := float64(m.config.OpenFor)
	for range m.openings - 1 {
		d = min(2*d, float64(m.config.MaxOpenFor))
	}
	d += float64(int64(d * 0.1 * (2*m.rand.Float64() - 1)))
	m.become(Open)
	m.openUntil = m.now + int64(min(d, float64(m.config.MaxOpenFor)))
}

func (m *model) update(c Config) {
	c = c.filled()
	if c.Window != m.config.Window {
		m.outcomes = nil
	}
	m.config = c
	m.openUntil = min(m.openUntil, m.now+int64(c.MaxOpenFor))
}

// both is a breaker and its model, and what the test holds of them.
type both struct {
	*testing.T
	b       *Breaker
	m       *model
	rng     *rand.Rand
	told    []change
	permits []permits
	seen    map[string]int // how often what was tried happened
}

type permits struct {
	real  Permit
	model int
}

func randomConfig(r *rand.Rand) Config {
	ms := func(from, to int64) Duration { return Duration((from + r.Int64N(to-from)) * int64(time.Millisecond)) }
	c := Config{
		Failures:     []int{-1, 0, 1, 3, 10}[r.IntN(5)],
		FailureRatio: []float64{-1, 0, 0.1, 0.5, 0.75, 1}[r.IntN(6)],
		MinimumCalls: 1 + r.IntN(30),
		Window:       ms(10, 500),
		OpenFor:      ms(10, 300),
		HalfOpen:     1 + r.IntN(4),
	}
	c.MaxOpenFor = c.OpenFor + ms(0, 1000)
	if r.IntN(3) == 0 {
		c.SlowCall = ms(1, 50)
	}
	return c
}

func newBoth(t *testing.T, seed uint64) *both {
	p := &both{T: t, rng: rand.New(rand.NewPCG(seed, 0)), seen: map[string]int{}}
	c := randomConfig(p.rng)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	// Two sources of the same numbers: who draws one too many drifts apart.
	p.m = &model{config: c.filled(), rand: rand.New(rand.NewPCG(seed, 1))}
	p.b = New(c, Options{
		OnChange: func(from, to State) { p.told = append(p.told, change{from, to}) },
		Clock:    func() time.Duration { return time.Duration(p.m.now) },
		Rand:     rand.New(rand.NewPCG(seed, 1)).Float64,
	})
	return p
}

// step does one random thing to both.
func (p *both) step(sick bool) {
	switch n := p.rng.IntN(1000); {
	case n < 400:
		p.allow()
	case n < 800:
		p.done(sick)
	case n < 960:
		p.m.now += p.rng.Int64N(int64(4 * time.Millisecond))
	case n < 990:
		p.m.now += p.rng.Int64N(int64(300 * time.Millisecond))
	case n < 992:
		p.m.now += p.rng.Int64N(int64(5 * time.Second))
	case n < 995:
		d := time.Duration(p.rng.Int64N(int64(100*time.Millisecond))) - 10*time.Millisecond
		long := p.rng.IntN(200) == 0
		if long {
			d = 2 * MaxPause
		}
		p.b.Pause(d)
		if d > 0 {
			p.m.pausedUntil = max(p.m.pausedUntil, p.m.now+int64(min(d, time.Hour)))
		}
		if long {
			p.m.now += int64(time.Hour - 10*time.Millisecond)
		}
	case n < 996:
		c := randomConfig(p.rng)
		if p.rng.IntN(2) == 0 { // as a reload that changes something else
			c.Window = p.m.config.Window
		}
		p.b.Update(c)
		p.m.update(c)
	}
}

func (p *both) allow() {
	permit, err := p.b.Allow()
	generation, want := p.m.allow()
	got := (*Refusal)(nil)
	errors.As(err, &got)
	switch {
	case err == nil && want == nil:
		if permit.Probe() != (p.m.state == HalfOpen) {
			p.Fatalf("Probe is %v", permit.Probe())
		}
		p.permits = append(p.permits, permits{permit, generation})
		p.seen["allowed when "+p.m.state.String()]++
	case got == nil || want == nil || *got != *want:
		p.Fatalf("Allow says %v, not %v", err, want)
	default:
		p.seen[want.Reason.Error()]++
	}
}

func (p *both) done(sick bool) {
	if len(p.permits) == 0 {
		return
	}
	i := p.rng.IntN(len(p.permits))
	if len(p.permits) < 20 && p.rng.IntN(20) == 0 {
		i = 0 // the oldest, which is often too late
	} else if p.rng.IntN(4) > 0 {
		i = len(p.permits) - 1
	}
	permit := p.permits[i]
	p.permits = slices.Delete(p.permits, i, i+1)
	o := Success
	switch n := p.rng.IntN(100); {
	case n < 8:
		o = Ignored
	case n < 12, sick && n < 60:
		o = Failure
	}
	firstToken := time.Duration(p.rng.Int64N(int64(20 * time.Millisecond)))
	if permit.model != p.m.generation {
		p.seen["too late"]++
	}
	if p.rng.IntN(2) == 0 {
		firstToken = 0
		permit.real.Done(o)
	} else {
		permit.real.DoneAfter(firstToken, o)
	}
	p.m.done(permit.model, o, firstToken)
}

// compare looks at both without touching them.
func (p *both) compare(thoroughly bool) {
	m := p.m
	if p.b.State() != m.state {
		p.Fatalf("the state is %v, not %v", p.b.State(), m.state)
	}
	paused, open := max(0, m.pausedUntil-m.now), int64(0)
	if m.state == Open {
		open = max(0, m.openUntil-m.now)
	}
	if got := p.b.RetryAfter(); got != time.Duration(max(paused, open)) {
		p.Fatalf("RetryAfter is %v, with %d paused and %d open", got, paused, open)
	}
	ready := paused == 0 && open == 0 && (m.state != HalfOpen || m.probes < m.config.HalfOpen)
	if p.b.Ready() != ready {
		p.Fatalf("Ready is %v", p.b.Ready())
	}
	if !slices.Equal(p.told, m.told) {
		p.Fatalf("OnChange was told %v, not %v", p.told, m.told)
	}
	p.told, m.told = p.told[:0], m.told[:0]
	if !thoroughly {
		return
	}
	m.outcomes = m.recent() // also keeps it short
	want := Status{State: m.state, OpenFor: Duration(open), PausedFor: Duration(paused), Calls: len(m.outcomes)}
	for _, o := range m.outcomes {
		if o.failure {
			want.Failures++
		}
	}
	if got := p.b.Status(); got != want {
		p.Fatalf("the status is %+v, not %+v", got, want)
	}
}

// TestNoDifferenceFromTheModel does a million random things, and fewer with other
// seeds. The target is well for a while, then sick for a while.
func TestNoDifferenceFromTheModel(t *testing.T) {
	for seed, steps := range []int{1_000_000, 200_000, 200_000, 200_000, 200_000} {
		if testing.Short() {
			steps = 50_000
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := newBoth(t, uint64(seed))
			for i := range steps {
				p.step(i/500%3 == 0)
				p.compare(i%16 == 0)
			}
			for _, what := range []string{
				"allowed when closed", "allowed when half_open", "too late",
				ErrOpen.Error(), ErrProbing.Error(), ErrPaused.Error(),
			} {
				if p.seen[what] < steps/1000 {
					t.Errorf("%q happened only %d times", what, p.seen[what])
				}
			}
			t.Log(p.seen)
		})
	}
}
