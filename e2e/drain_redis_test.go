//go:build unix

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

// shared is the queue in Redis, which two gateways share.
var shared = backend{"redis", 2, func(t testing.TB) string {
	return "queue redis " + redisserver.Start(t, redisserver.AppendFsync("always")).URL()
}}

// redisStage is a stage whose queue is in a server that the test has at hand.
func redisStage(t *testing.T, server *redisserver.Server, more ...string) *stage {
	t.Helper()
	return newStage(t, backend{"redis", 2, func(testing.TB) string { return "queue redis " + server.URL() }}, more...)
}

// redisClient talks to the server past the gateways.
func redisClient(t *testing.T, server *redisserver.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// redisKilled: a server that is killed under load and started again has everything
// that was acknowledged, whether each write is on the disk or only with the kernel. With everysec, Redis
// holds writes back while it syncs those before them, and a kill may lose these; nothing
// can be said of it here.
func redisKilled(t *testing.T) {
	for _, policy := range []string{"always", "no"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := redisserver.Start(t, redisserver.AppendFsync(policy))
			st := redisStage(t, server, "workers 8\nlease 2s")
			other := newNode(t, "b", st.n.config, st.m)
			other.serve()
			st.o.sites = append(st.o.sites, other.site)
			stop := startCustomers(t, st.o, st.r)
			rounds := max(3, faultRounds(t, 3)/5)
			for range rounds {
				<-time.After(700 * time.Millisecond)
				from := time.Now()
				server.Kill()
				server.Restart()
				st.m.add("", from)
			}
			<-time.After(300 * time.Millisecond)
			stop()
			st.end(t)
			t.Logf("%d kills of the server", rounds)
		})
	}
}

// redisAway: while the server is away nothing is acknowledged, and the gateway neither
// spins nor grows. What ran goes on. Afterwards everything does.
func redisAway(t *testing.T) {
	for name, c := range map[string]struct {
		leave, back func(*redisserver.Server)
		away        time.Duration
	}{
		"gone":   {(*redisserver.Server).Kill, (*redisserver.Server).Restart, 30 * time.Second},
		"silent": {(*redisserver.Server).Pause, (*redisserver.Server).Resume, 12 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.Start(t, redisserver.AppendFsync("always"))
			st := redisStage(t, server, "workers 4\nlease 2s")
			g := newGate()
			st.l.plays(gated(g))
			st.place(12)
			eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
			before, _ := st.n.lowest()

			from := time.Now()
			c.leave(server)
			spent := st.n.cpu()
			g.open() // what is answered now cannot be recorded
			refused := 0
			for time.Since(from) < c.away {
				began := time.Now()
				a, err := st.o.post(t.Context(), st.order())
				if err != nil || a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
					t.Fatalf("with the server away: %v, %d %s", err, a.StatusCode, a.Body)
				}
				if took := time.Since(began); took > 16*time.Second {
					t.Errorf("the refusal took %v", took)
				}
				refused++
				<-time.After(500 * time.Millisecond)
			}
			spent = st.n.cpu() - spent
			c.back(server)
			st.m.add("", from)
			if y := st.end(t); y.completed != 12 {
				t.Errorf("%d were completed", y.completed)
			}
			settled(t, "goroutines", before+16, st.n.goroutines)
			t.Logf("%d requests were refused, and the gateway used %v of a processor in %v", refused, spent, c.away)
			if limit := c.away / 10; spent > limit {
				t.Errorf("the gateway used %v of a processor in %v", spent, c.away)
			}
		})
	}
}

// TestDrainPartition: a gateway that cannot reach the server gives up what it runs when its
// lease is over, by when another has it, and its late answers are refused.
func TestDrainPartition(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.AppendFsync("always"))
	far := newLink(t, server.Addr())
	st := &stage{l: newLedger(t), r: newReceiver(t, "127.0.0.1"), m: new(mishaps)}
	st.n = newNode(t, "a", drainSetup(st.l, "queue redis "+far.url, "workers 4\nlease 2s", callbackBlock), st.m)
	st.n.serve()
	st.o = newOrders(t, st.n.site)
	early, late := newGate(), newGate()
	st.l.plays(func(s *served) {
		g := late
		if s.life == "a.1" && strings.HasSuffix(s.marker, "1") {
			g = early
		}
		if g.pass(s) {
			s.answer()
		}
	})
	st.place(4)
	eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
	other := newNode(t, "b", drainSetup(st.l, "queue redis "+server.URL(), "workers 8\nlease 2s", callbackBlock), st.m)
	other.serve()
	st.o.sites = []string{other.site}

	from := time.Now()
	far.set(true)
	early.open() // one has its answer, and cannot record it
	eventually(t, patience, "the jobs do not run elsewhere", func() bool { return len(st.l.came()) == 8 })
	// Only those of the other gateway are left.
	eventually(t, patience, "the jobs run on where they are lost", func() bool { return st.l.waiting() == 4 })
	late.open()
	st.o.settle(2 * patience)
	far.set(false)
	st.m.add("", from)
	if y := st.end(t); y.completed != 4 || y.again != 4 {
		t.Error("want four jobs to be completed, all in a second run")
	}
	eventually(t, patience, "the late answers were not refused", func() bool { return st.n.lost() == 4 })
	// It serves again.
	st.o.sites = []string{st.n.site}
	st.place(4)
	st.end(t)
}

// TestDrainFlushed: what somebody deletes is lost, and the gateways go on with what comes.
func TestDrainFlushed(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	st := redisStage(t, server, "workers 4\nlease 2s")
	g := newGate()
	st.l.plays(gated(g))
	st.place(12)
	eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
	if err := redisClient(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	g.open()
	for _, x := range st.o.placed() {
		if gone, err := st.o.look(t.Context(), x, 0); err != nil || !gone {
			t.Errorf("after FLUSHALL there is still %s: %v", x.id, err)
		}
	}
	st.o.all = nil
	st.place(20)
	if y := st.end(t); y.completed != 20 || y.again != 0 {
		t.Error("want 20 new jobs to be completed")
	}
}

// TestDrainGroupsLost: whoever deletes the consumer groups, as a restored dump may, deletes no job.
func TestDrainGroupsLost(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	st := redisStage(t, server, "workers 4\nlease 2s")
	g := newGate()
	st.l.plays(gated(g))
	st.place(30)
	eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
	from, destroyed := time.Now(), 0
	c, ctx := redisClient(t, server), t.Context()
	for _, key := range c.Keys(ctx, "*").Val() {
		if c.Type(ctx, key).Val() != "stream" {
			continue
		}
		for _, group := range c.XInfoGroups(ctx, key).Val() {
			if err := c.XGroupDestroy(ctx, key, group.Name).Err(); err != nil {
				t.Fatal(err)
			}
			destroyed++
		}
	}
	if destroyed == 0 {
		t.Fatal("there are no groups")
	}
	g.open()
	st.place(10)
	st.m.add("", from)
	if y := st.end(t); y.completed != 40 {
		t.Errorf("%d of 40 were completed", y.completed)
	}
}

// TestDrainFullMemory: a server that has reached its maxmemory takes no more jobs, and those in
// it can end.
func TestDrainFullMemory(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.MaxMemory("16mb"))
	redisStage(t, server, "workers 4\nlease 3s\nkeep_results 1m").full(t)
}

// TestDrainConnectionsLost: the client library sends again what it has no answer to, and
// each job is there once and runs once for all that.
func TestDrainConnectionsLost(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.AppendFsync("always"))
	st := redisStage(t, server, "workers 8\nlease 3s")
	c := redisClient(t, server)
	stop := startCustomers(t, st.o, st.r)
	killed := int64(0)
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); {
		n, err := c.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Result()
		if err != nil {
			t.Fatal(err)
		}
		killed += n
		<-time.After(40 * time.Millisecond)
	}
	stop()
	st.end(t)
	t.Logf("%d connections were closed", killed)
}

// TestDrainWritesRefused: a server that cannot save refuses writes (MISCONF). Nothing is
// acknowledged then, and nothing is lost.
func TestDrainWritesRefused(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.Set("stop-writes-on-bgsave-error", "yes"))
	st := redisStage(t, server, "workers 4\nlease 2s")
	g := newGate()
	st.l.plays(gated(g))
	st.place(8)
	eventually(t, patience, "four jobs do not run", func() bool { return st.l.waiting() == 4 })
	c, ctx := redisClient(t, server), t.Context()
	if err := c.ConfigSet(ctx, "save", "3600 1").Err(); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	inTheWay := filepath.Join(server.Dir(), "dump.rdb") // no file can be put in a folder's place
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	saves := func(want string) {
		t.Helper()
		eventually(t, patience, "the server's saving is not "+want, func() bool {
			_ = c.BgSave(ctx).Err()
			return strings.Contains(c.Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:"+want)
		})
	}
	saves("err")
	for range 5 {
		a, err := st.o.post(ctx, st.order())
		if err != nil || a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Fatalf("a server that refuses writes: %v, %d %s", err, a.StatusCode, a.Body)
		}
	}
	g.open()
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	saves("ok")
	st.m.add("", from)
	if y := st.end(t); y.completed != 8 {
		t.Errorf("%d of 8 were completed", y.completed)
	}
}

// TestDrainTwoGateways: two gateways drain one queue, each job once, and those of the better
// priority first whichever of them takes it.
func TestDrainTwoGateways(t *testing.T) {
	const workers = 10
	jobs := 10_000
	if raceBuild() {
		jobs = 2_000
	}
	server := redisserver.Start(t)
	st := redisStage(t, server, "workers 10\nlease 10s")
	other := newNode(t, "b", st.n.config, st.m)
	other.serve()
	g := newGate()
	st.l.plays(gated(g))
	st.o.sites = append(st.o.sites, other.site)
	began := time.Now()
	st.o.many(jobs, 32, nil)
	placed := time.Since(began)
	began = time.Now()
	g.open()
	eventually(t, 2*time.Minute, "they are not all completed", func() bool {
		<-time.After(100 * time.Millisecond)
		return st.n.depth("completed") == jobs
	})
	t.Logf("%d jobs were placed in %v and drained in %v", jobs, placed, time.Since(began))
	if n := st.n.depth(); n != jobs {
		t.Errorf("the queue has %d jobs", n)
	}
	came := st.l.came()
	if len(came) != jobs {
		t.Errorf("%d jobs ran %d times", jobs, len(came))
	}
	st.inOrder(t, came, 2*workers)
	share := map[string]int{}
	for _, s := range came {
		share[s.life]++
	}
	t.Logf("runs: %v", share)
	if share["a.1"] < jobs/5 || share["b.1"] < jobs/5 {
		t.Errorf("the share of one is too small: %v", share)
	}
	st.sample(t, 300)
}

// inOrder fails the test unless jobs ran in the order of their priorities, apart from those that
// were claimed before the others were there, and from as many as run at once.
func (st *stage) inOrder(t *testing.T, came []*served, workers int) {
	t.Helper()
	priority, left := make(map[string]int), make([]int, 5)
	for _, x := range st.o.placed() {
		priority[x.marker] = x.priority
	}
	came = came[workers:]
	for _, s := range came {
		left[priority[s.marker]+1]++
	}
	for p := range 4 {
		left[p+1] += left[p] // jobs of a better priority than p are left[p]
	}
	slack, wrong := 2*workers, 0
	for i, s := range came {
		if p := priority[s.marker]; i < left[p]-slack || i >= left[p+1]+slack {
			if wrong++; wrong <= 5 {
				t.Errorf("a job of priority %d was number %d, and these are %d to %d", p, i, left[p], left[p+1])
			}
		}
	}
	if wrong > 5 {
		t.Errorf("and so with %d more", wrong-5)
	}
}

// sample audits n of the orders.
func (st *stage) sample(t *testing.T, n int) {
	t.Helper()
	all := st.o.placed()
	st.o.all = nil
	for i := 0; i < len(all); i += max(1, len(all)/n) {
		st.o.all = append(st.o.all, all[i])
	}
	st.o.settle(2 * patience)
	audit(t, st.o, st.l, st.r, st.m)
}
