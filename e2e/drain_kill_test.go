//go:build unix

package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// faultRounds is how often a test of random faults kills something: a few times, or
// as often as RUNESTONE_FAULT_ROUNDS says.
func faultRounds(t testing.TB, few int) int {
	t.Helper()
	text := os.Getenv("RUNESTONE_FAULT_ROUNDS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("RUNESTONE_FAULT_ROUNDS=%s is not a number of rounds", text)
	}
	return n
}

// backend is a queue to be tested.
type backend struct {
	name string
	// nodes is how many gateways are to share it at once.
	nodes int
	// queue prepares one and returns its line of the block overflow.
	queue func(testing.TB) string
}

var embedded = backend{"embedded", 1, func(testing.TB) string { return "queue embedded" }}

var backends = []backend{embedded, shared}

// eachBackend runs a test of both kinds of queue.
func eachBackend(t *testing.T, test func(*testing.T, backend)) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// callbackBlock lets the gateway tell receivers on this machine.
const callbackBlock = `callback {
	allow 127.0.0.1 127.0.0.2
	allow_private 127.0.0.0/8
	secret whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiB0aGUgZHJhaW4=
}`

// TestDrainUnderFaults has what takes long, or much of a processor. It is not parallel to other tests,
// which have their limits.
func TestDrainUnderFaults(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"gateways killed":              gatewaysKilled,
		"gateways killed while taking": gatewaysKilledTaking,
		"redis killed":                 redisKilled,
		"redis away":                   redisAway,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// gatewaysKilled: however often, and whenever, gateways are killed, under load from
// clients who try again, every acknowledged request ends once.
func gatewaysKilled(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		rounds := faultRounds(t, 12)
		l, r, m := newLedger(t), newReceiver(t, "127.0.0.1"), new(mishaps)
		s := drainSetup(l, b.queue(t), "workers 8\nlease 3s", callbackBlock)
		var nodes []*node
		o := newOrders(t)
		for i := range b.nodes {
			nodes = append(nodes, newNode(t, string(rune('a'+i)), s, m))
			nodes[i].serve()
			o.sites = append(o.sites, nodes[i].site)
		}
		stop := startCustomers(t, o, r)
		for round := range rounds {
			n := nodes[round%len(nodes)]
			if round%4 != 3 { // else it may die in the midst of its start
				n.serving()
			}
			<-time.After(rand.N(400 * time.Millisecond))
			n.kill()
			n.begin()
		}
		for _, n := range nodes {
			n.serving()
		}
		stop()

		o.settle(2 * time.Minute)
		orders := o.placed()
		nodes[0].over(len(orders))
		y := audit(t, o, l, r, m)
		t.Logf("%d kills", rounds)
		if most := rounds * 8; y.again > most {
			t.Errorf("%d jobs ran again, after %d kills of 8 workers", y.again, rounds)
		}
	})
}

// gatewaysKilledTaking: a request whose gateway was killed while it took it may have been kept or
// not. Sent again with its Idempotency-Key it is one job in either case.
func gatewaysKilledTaking(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		rounds := max(4, faultRounds(t, 4)/4)
		st := newStage(t, b, "workers 1\nlease 2s")
		g := newGate()
		st.l.plays(gated(g)) // all there is to do is to take requests
		placing, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for placing.Err() == nil {
					st.o.place(t.Context(), st.order())
				}
			})
		}
		for range rounds {
			st.n.serving()
			<-time.After(20*time.Millisecond + rand.N(60*time.Millisecond))
			st.n.kill()
			st.n.begin()
		}
		st.n.serving()
		cancel()
		wg.Wait()
		all := len(st.o.placed())
		g.open()
		st.n.over(all)
		st.sample(t, 300)
		t.Logf("%d requests were acknowledged, %d kills", all, rounds)
	})
}

// startCustomers has clients place orders of all kinds, one after another, until stop is
// called, which waits for those that are under way.
func startCustomers(t *testing.T, o *orders, r *receiver) (stop func()) {
	placing, cancel := context.WithCancel(t.Context())
	limit, giveUp := context.WithTimeout(context.Background(), 10*time.Minute)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for placing.Err() == nil {
				x := o.order()
				x.hook = r.url
				x.body = drainBody(x.marker, rand.IntN(4) == 0, rand.IntN(4000))
				if o.place(limit, x) && x.id != "" && rand.IntN(20) == 0 {
					o.cancel(limit, x)
				}
				o.wait(placing, 5*time.Millisecond+rand.N(20*time.Millisecond))
			}
		})
	}
	return func() { cancel(); wg.Wait(); giveUp() }
}
