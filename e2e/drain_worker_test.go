//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stage is what most tests of the drain need: a provider, a receiver, one gateway that serves
// and clients of it.
type stage struct {
	l *ledger
	r *receiver
	m *mishaps
	n *node
	o *orders
}

// newStage sets it up, with more in the block overflow.
func newStage(t *testing.T, b backend, more ...string) *stage {
	t.Helper()
	st := &stage{l: newLedger(t), r: newReceiver(t, "127.0.0.1"), m: new(mishaps)}
	st.n = newNode(t, "a", drainSetup(st.l, b.queue(t), append(more, callbackBlock)...), st.m)
	st.n.serve()
	st.o = newOrders(t, st.n.site)
	return st
}

// order makes one whose end the receiver is told.
func (st *stage) order() *order {
	x := st.o.order()
	x.hook = st.r.url
	return x
}

// place places n such orders.
func (st *stage) place(n int) {
	st.o.t.Helper()
	st.o.many(n, 4, func(int) *order { return st.order() })
}

// end follows all orders to their ends and audits them.
func (st *stage) end(t *testing.T) tally {
	t.Helper()
	st.o.settle(4 * patience)
	st.r.await(st.o.placed())
	return audit(t, st.o, st.l, st.r, st.m)
}

// TestDrainPoison: a job that ends the process that runs it is given up after three times, and
// holds up nobody.
func TestDrainPoison(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 2s")
		deadly := make(chan struct{})
		st.l.plays(func(s *served) {
			if !strings.HasPrefix(s.marker, "poison") {
				quickly(s)
				return
			}
			s.pause(300 * time.Millisecond) // by when the others have changed that run beside it
			select {
			case deadly <- struct{}{}:
				<-s.gone
			case <-s.gone:
			case <-s.l.stop:
			}
		})
		poison := st.order()
		poison.marker = "poison"
		poison.body, poison.priority = drainBody("poison", false, 0), 0
		st.o.many(21, 1, func(i int) *order {
			if i == 3 {
				return poison
			}
			return st.order()
		})
		for crash := range 3 {
			served := time.Now()
			select {
			case <-deadly:
			case <-time.After(patience):
				t.Fatalf("after %d crashes the job is not run again", crash)
			}
			// Redis learns by the lease that the process is dead; a file's lock tells at once.
			if took := time.Since(served); b.name == embedded.name && took > 2*time.Second {
				t.Errorf("it took %v until the job of a dead process ran again", took)
			}
			st.n.kill()
			st.n.serve()
		}
		y := st.end(t)
		if y.completed != 20 || y.discarded != 1 || poison.job.Error == nil || poison.job.Error.Code != "crashes" {
			t.Errorf("%d were completed; the poisonous one is %+v", y.completed, poison.job)
		}
		if runs := len(st.l.of("poison")); runs != 3 {
			t.Errorf("it ran %d times", runs)
		}
		if poison.code != http.StatusInternalServerError || !strings.Contains(poison.answer, `"crashes"`) {
			t.Errorf("its answer: %d %s", poison.code, poison.answer)
		}
	})
}

// TestDrainAnswerLost: an answer that the provider gave and the gateway could not record is paid for
// again, and the second one is recorded.
func TestDrainAnswerLost(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 2s")
		acknowledged, lost := newGate(), make(chan struct{}, 1)
		st.l.plays(func(s *served) {
			if s.number > 1 {
				quickly(s)
			} else if acknowledged.pass(s) {
				freeze(st.n.cmd.Process)
				s.answer() // as far as the provider can tell
				lost <- struct{}{}
			}
		})
		st.place(1)
		acknowledged.open()
		<-lost
		st.n.kill()
		st.n.serve()
		if y := st.end(t); y.completed != 1 || y.again != 1 {
			t.Error("want it to be run twice, and completed once")
		}
	})
}

// freeze stops a process, and returns when none of its threads runs on: the signal alone does not wait for that.
func freeze(p *os.Process) {
	_ = p.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Pid)) // Linux has them
		if !slices.ContainsFunc(threads, func(file string) bool {
			text, _ := os.ReadFile(file)
			_, state, ok := strings.Cut(string(text), ") ") // behind the name
			return ok && !strings.HasPrefix(state, "T")
		}) {
			return
		}
	}
}

// TestDrainTermination: a process that is told to exit claims nothing more, gives what
// runs its grace, and puts the rest back without counting an attempt.
func TestDrainTermination(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 2s\nshutdown_grace 3s\nmax_attempts 1")
		last, never := newGate(), newGate()
		var long atomic.Int32
		st.l.plays(func(s *served) {
			g := last
			if long.Add(1) > 2 {
				g = never
			}
			if g.pass(s) {
				s.answer()
			}
		})
		st.place(12)
		eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
		began := time.Now()
		st.n.terminate()
		eventually(t, patience, "it goes on as if nothing had happened", func() bool {
			a, err := st.o.call(t.Context(), http.MethodGet, "/v1/models", "")
			return err != nil || a.StatusCode == http.StatusServiceUnavailable
		})
		last.open()
		if code := st.n.awaitExit(patience); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if took := time.Since(began); took < 2500*time.Millisecond || took > 8*time.Second {
			t.Errorf("with a grace of 3 s, the exit took %v", took)
		}
		st.n.alive = false
		st.n.wantNoAlarm()
		st.m.add(st.n.life(), began)
		if n := len(st.l.came()); n != 4 {
			t.Errorf("the provider saw %d requests, of 4 workers", n)
		}
		st.l.plays(quickly)
		st.n.serve()
		if y := st.end(t); y.completed != 12 || y.again != 2 {
			t.Error("want 12 to be completed, 2 of them in a second run")
		}
		for _, x := range st.o.placed() {
			if x.job.Attempt != 1 {
				t.Errorf("%s is at attempt %d", x.marker, x.job.Attempt)
			}
		}
		if strings.Contains(st.n.stderr.String(), "died or fallen silent") {
			t.Error("jobs that were put back are counted as crashes")
		}
	})
}

// TestDrainReloads: to load another configuration while jobs run neither loses nor repeats
// one, never lets more of them run than there are workers, and is quick.
func TestDrainReloads(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 2s\nshutdown_grace 1s")
		var n atomic.Int32
		st.l.plays(func(s *served) {
			if n.Add(1)%20 == 0 { // it outlives several configurations
				s.pause(4 * time.Second)
			}
			quickly(s)
		})
		stop := startCustomers(t, st.o, st.r)
		limit := time.Second
		if raceBuild() {
			limit = 4 * time.Second
		}
		for i := range 20 {
			s := st.n.config
			s.Env = nil
			s.App = strings.ReplaceAll(s.App, "{env.LIFE}", st.n.life()) + fmt.Sprintf("\nalias generation-%d %s", i, drainModel)
			began := time.Now()
			st.n.reload(s)
			if took := time.Since(began); took > limit {
				t.Errorf("reload %d took %v", i, took)
			}
			<-time.After(50 * time.Millisecond)
		}
		stop()
		y := st.end(t)
		if y.again != 0 || y.discarded != 0 {
			t.Error("want no job to be repeated or given up")
		}
		if st.l.most > 4 {
			t.Errorf("%d jobs ran at once, and there are 4 workers", st.l.most)
		}
		if open := st.n.openQueues(); b.name == embedded.name && open != 1 {
			t.Errorf("the file of the queue is open %d times", open)
		}
	})
}

// openQueues returns how often the process has the embedded queue's file open.
func (n *node) openQueues() (open int) {
	dir := fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if target, _ := os.Readlink(filepath.Join(dir, e.Name())); strings.HasSuffix(target, "overflow.db") {
			open++
		}
	}
	return open
}

// TestDrainStopped: a process that stands still for longer than its leases has lost its jobs, to
// another if there is one. Whatever it does when it goes on, each job ends once.
func TestDrainStopped(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, b backend) {
		st := newStage(t, b, "workers 4\nlease 2s")
		g := newGate()
		st.l.plays(gated(g))
		st.place(8)
		eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
		var other *node
		if b.nodes > 1 {
			other = newNode(t, "b", st.n.config, st.m)
			other.serve()
			eventually(t, patience, "four jobs do not run elsewhere", func() bool { return st.l.waiting() == 8 })
		}
		from := time.Now()
		st.n.signal(syscall.SIGSTOP)
		if other != nil {
			g.open()
			eventually(t, patience, "its jobs do not run elsewhere", func() bool { return len(st.l.came()) == 12 })
		} else {
			<-time.After(3500 * time.Millisecond)
			g.open()
		}
		st.n.signal(syscall.SIGCONT)
		st.m.add("", from)
		y := st.end(t)
		if y.completed != 8 || y.again > 4 {
			t.Errorf("want 8 to be completed, and at most 4 to be run again")
		}
		if other != nil {
			if y.again != 4 {
				t.Errorf("%d jobs ran again, not 4", y.again)
			}
			eventuallyOr(t, func() bool { return st.n.lost() == 4 }, func() string { return "the late answers were not refused" })
		}
	})
}
