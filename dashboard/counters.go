package dashboard

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pair is what requests are counted by. They are counted by API key as well, though not by key
// and pair: that product has no useful bound.
type pair struct{ provider, model string }

// Bounds of what is counted apart. What is beyond them counts as "other".
const (
	maxPairs    = 128
	maxNameSize = 200
)

const otherName = "other"

// counters are what one pair adds to. They only grow, and are read once a second.
type counters struct {
	requests, errors, refused atomic.Uint64
	input, output             atomic.Uint64
	cost                      atomic.Uint64 // in billionths of a US dollar
	firstToken, whole         histogram
}

// calls are those to one provider.
type calls struct{ ended, failed atomic.Uint64 }

// table finds counters by what they are of. Reading takes no lock.
type table[K comparable, V any] struct {
	mu  sync.Mutex
	now atomic.Pointer[map[K]*V]
}

func (t *table[K, V]) all() map[K]*V {
	if m := t.now.Load(); m != nil {
		return *m
	}
	return nil
}

// get returns what key has. If that is nothing yet, create says what it is to be counted as.
func (t *table[K, V]) get(key K, create func(key K, size int) K) *V {
	if v, ok := t.all()[key]; ok {
		return v
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	key = create(key, len(old))
	if v, ok := old[key]; ok {
		return v
	}
	grown := make(map[K]*V, len(old)+1)
	maps.Copy(grown, old)
	v := new(V)
	grown[key] = v
	t.now.Store(&grown)
	return v
}

func boundedPair(key pair, size int) pair {
	if size >= maxPairs || len(key.provider) > maxNameSize || len(key.model) > maxNameSize {
		return pair{otherName, otherName}
	}
	return pair{strings.Clone(key.provider), strings.Clone(key.model)}
}

func boundedName(name string, size int) string {
	if size >= maxPairs || len(name) > maxNameSize {
		return otherName
	}
	return strings.Clone(name)
}

// counts are what the counters hold, or by how much they have grown.
type counts struct {
	requests, errors, refused, input, output, cost uint64
	calls, failed                                  uint64 // to providers
}

func (c *counts) add(o *counts) {
	c.requests += o.requests
	c.errors += o.errors
	c.refused += o.refused
	c.input += o.input
	c.output += o.output
	c.cost += o.cost
	c.calls += o.calls
	c.failed += o.failed
}

func (c *counts) subtract(o *counts) {
	c.requests -= o.requests
	c.errors -= o.errors
	c.refused -= o.refused
	c.input -= o.input
	c.output -= o.output
	c.cost -= o.cost
	c.calls -= o.calls
	c.failed -= o.failed
}

// growth is what has been counted within some time.
type growth struct {
	counts
	firstToken, whole durations
}

func (g *growth) add(o *growth) {
	g.counts.add(&o.counts)
	g.firstToken.add(&o.firstToken)
	g.whole.add(&o.whole)
}

func (g *growth) subtract(o *growth) {
	g.counts.subtract(&o.counts)
	g.firstToken.subtract(&o.firstToken)
	g.whole.subtract(&o.whole)
}

// since returns by how much the counters have grown since they were last, which becomes what
// they are now, and whether they have at all.
func (n *counters) since(last *growth) (grown growth, some bool) {
	now := growth{counts: counts{
		requests: n.requests.Load(), errors: n.errors.Load(), refused: n.refused.Load(),
		input: n.input.Load(), output: n.output.Load(), cost: n.cost.Load(),
	}}
	for i := range buckets {
		now.firstToken[i], now.whole[i] = n.firstToken[i].Load(), n.whole[i].Load()
	}
	if now == *last {
		return growth{}, false
	}
	grown = now
	grown.subtract(last)
	*last = now
	return grown, true
}

// nanoUSD returns a cost as it is counted.
func nanoUSD(usd float64) uint64 {
	if usd <= 0 || usd > float64(time.Hour) { // which no request costs; it is not a number, perhaps
		return 0
	}
	return uint64(usd*1e9 + 0.5)
}
