//go:build unix

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrainClientRetries: whoever sends a request again, even many times at once, gets the same
// job for it, and later the same answer.
func TestDrainClientRetries(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 3s")
		g := newGate()
		st.l.plays(gated(g))
		x := st.order()
		var ids sync.Map
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				a, err := st.o.post(t.Context(), x)
				if err != nil || a.StatusCode != http.StatusAccepted {
					t.Errorf("%v: %+v", err, a)
					return
				}
				var job jobView
				_ = json.Unmarshal([]byte(a.Body), &job)
				ids.Store(job.ID, true)
			})
		}
		wg.Wait()
		n := 0
		for range ids.Range {
			n++
		}
		if n != 1 {
			t.Errorf("one request became %d jobs", n)
		}
		other := *x
		other.body = drainBody(x.marker, false, 1)
		if a, err := st.o.post(t.Context(), &other); err != nil || a.wantError(t, http.StatusUnprocessableEntity).code() != "idempotency_key_reused" {
			t.Errorf("the key with another request: %v, %s", err, a.Body)
		}
		st.o.many(1, 1, func(int) *order { return x })
		g.open()
		st.end(t)
		again, err := st.o.post(t.Context(), x)
		if err != nil || again.Header.Get("Idempotent-Replayed") != "true" || again.Body != x.answer {
			t.Errorf("sent again when it was done: %v, %d %s", err, again.StatusCode, again.Body)
		}
		if runs := len(st.l.of(x.marker)); runs != 1 {
			t.Errorf("it ran %d times", runs)
		}
	})
}

// TestDrainAcknowledgementLost: whoever has not heard that a request was taken, since the gateway
// died, and sends it again, gets the job that there is.
func TestDrainAcknowledgementLost(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 2s")
		g := newGate()
		st.l.plays(gated(g))
		var all []*order
		for range 6 {
			x := st.order()
			if a, err := st.o.post(t.Context(), x); err != nil || a.StatusCode != http.StatusAccepted {
				t.Fatalf("%v: %d", err, a.StatusCode)
			}
			all = append(all, x) // which has heard nothing of that
		}
		eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
		st.n.kill()
		st.n.serve()
		g.open()
		st.o.many(len(all), 1, func(i int) *order { return all[i] })
		if y := st.end(t); y.completed != len(all) || st.r.jobs() != len(all) {
			t.Errorf("%d requests became %d jobs, of which %d were completed", len(all), st.r.jobs(), y.completed)
		}
	})
}

// TestDrainHangingReceiver: a receiver that does not answer holds up neither jobs nor the
// callbacks to others, and is told in the end.
func TestDrainHangingReceiver(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		block := strings.Replace(callbackBlock, "{", "{\nworkers 4\nper_host 2\ntimeout 2s", 1)
		st := &stage{l: newLedger(t), r: newReceiver(t, "127.0.0.1"), m: new(mishaps)}
		st.n = newNode(t, "a", drainSetup(st.l, b.queue(t), "workers 4\nlease 3s", block), st.m)
		st.n.serve()
		st.o = newOrders(t, st.n.site)
		var calls atomic.Int32
		awake, slow := newGate(), newReceiver(t, "127.0.0.2")
		slow.ring = func(r *http.Request) int {
			calls.Add(1)
			select {
			case <-awake.opened:
				return http.StatusOK
			case <-r.Context().Done():
			}
			return http.StatusServiceUnavailable
		}
		const each = 20
		began := time.Now()
		st.o.many(2*each, 4, func(i int) *order {
			x := st.order()
			if i%2 == 0 {
				x.hook = slow.url
			}
			return x
		})
		st.o.settle(patience)
		jobs := time.Since(began)
		eventually(t, patience, "the other receiver is not told", func() bool { return st.r.jobs() == each })
		if told := time.Since(began); jobs > 8*time.Second || told > 8*time.Second {
			t.Errorf("with one receiver that hangs, the jobs took %v, and the callbacks to another %v", jobs, told)
		}
		if most := 2 * (1 + int32(time.Since(began)/(2*time.Second))); slow.jobs() != 0 || calls.Load() > most {
			t.Errorf("the receiver that hangs was called %d times, and in pairs of two seconds it can be %d", calls.Load(), most)
		}
		eventually(t, patience, "the calls to a receiver that hangs are not given up", func() bool { return calls.Load() >= 4 })
		awake.open()
		eventually(t, 2*patience, "the slow receiver is not told in the end", func() bool { return slow.jobs() == each })
		maps.Copy(st.r.told, slow.told) // both are quiet by now
		audit(t, st.o, st.l, st.r, st.m)
	})
}

// squeeze places an order with much ballast, and reports whether there was room for it.
func (st *stage) squeeze(t *testing.T) bool {
	t.Helper()
	x := st.order()
	x.body = drainBody(x.marker, false, 200<<10)
	a, err := st.o.post(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode == http.StatusAccepted {
		st.o.many(1, 1, func(int) *order { return x }) // which finds its job
		return true
	}
	if code := a.wantError(t, http.StatusServiceUnavailable).code(); code != "queue_full" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("a full queue says %s, Retry-After %q", a.Body, a.Header.Get("Retry-After"))
	}
	return false
}

// full has a queue fill up, checks that what is in it can be done all the same, and that it takes new
// requests once the old ones are removed.
func (st *stage) full(t *testing.T) {
	t.Helper()
	g := newGate()
	st.l.plays(gated(g))
	n := 0
	for ; st.squeeze(t); n++ {
		if n == 1000 {
			t.Fatal("the queue does not get full")
		}
	}
	if n < 10 {
		t.Fatalf("the queue is full with %d requests", n)
	}
	// It stays full, once Redis's own buffers, which count as well, have come and gone; and nothing else happens.
	for refused := 0; refused < 20; refused++ {
		if st.squeeze(t) {
			n, refused = n+1, -1
		}
		if n == 1000 {
			t.Fatal("the queue does not stay full")
		}
	}
	g.open()
	if y := st.end(t); y.completed != n || y.again != 0 {
		t.Errorf("want the %d requests of a full queue to be completed", n)
	}
	t.Logf("%d requests fill it", n)
	if os.Getenv("RUNESTONE_FAULT_ROUNDS") == "" {
		return // the rest takes the minute that answers are kept at least
	}
	st.l.plays(quickly)
	st.o.all = nil
	x := st.order()
	x.body = drainBody(x.marker, false, 200<<10)
	eventually(t, 2*time.Minute, "the queue stays full when its jobs have gone", func() bool {
		a, err := st.o.post(t.Context(), x)
		return err == nil && a.StatusCode == http.StatusAccepted
	})
	st.o.many(1, 1, func(int) *order { return x })
	st.end(t)
}
