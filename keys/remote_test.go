package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

// newNode returns a limiter as another process would have it: it shares nothing with others but Redis.
func newNode(t *testing.T, s *redisserver.Server, c *Config, log *zap.Logger) *Limiter {
	t.Helper()
	address := "redis://" + s.Addr()
	options, err := parseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	l := newTestLimiter(t, &Config{ModelLimits: c.ModelLimits}, LimiterOptions{Name: t.Name() + fmt.Sprint(nodes.Add(1))})
	l.remote = newRemote([32]byte{}, redis.NewUniversalClient(options), "test", log)
	if c.Redis != nil {
		l.closed = c.Redis.Away == AwayClosed
	}
	t.Cleanup(func() {
		l.remote.release()
		l.remote = nil
	})
	return l
}

var nodes atomic.Int64

// landed waits until the server has all that was settled.
func landed(t *testing.T, l *Limiter) {
	t.Helper()
	eventually(t, "the lane is empty", func() bool { return len(l.remote.lane.calls) == 0 })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

// withTime has the scripts take the time from a key instead of the clock, and nothing expire by the clock.
func withTime(text string) string {
	text = strings.Replace(text, serverTime, "cjson.decode(call('GET', 'now'))", 1)
	return strings.ReplaceAll(text, "call('PEXPIRE',", "tostring(")
}

func TestRedisDoesWhatALogOfAllUsageWould(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	for seed := range uint64(12) {
		c := newClock()
		l := newNode(t, server, new(Config), zap.NewNop())
		r := l.remote
		l.now = c.now
		r.scripts = loadScripts(withTime)
		r.lane.begin.Do(func() {}) // the test itself does what the lane would
		step := func() {
			for len(r.lane.calls) > 0 {
				if err := r.run(t.Context(), []*call{<-r.lane.calls}); err != nil {
					t.Fatal(err)
				}
			}
			now := fmt.Sprintf("[%d,%d]", c.t.Unix(), c.micros()%1e6)
			if err := r.client.Set(t.Context(), "now", now, 0).Err(); err != nil {
				t.Fatal(err)
			}
			r.lane.refresh()
		}
		c.moved = step
		step()
		play(t, 100+seed, 700, l, c, step)
	}
}

func keyWith(name string, l *Limits, byModel map[string]*Limits) *Caller {
	return newCaller(&Key{Name: name, Limits: l, ModelLimits: byModel}, nil)
}

func TestTwoNodesTogetherAdmitNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a, b := newNode(t, server, new(Config), zap.NewNop()), newNode(t, server, new(Config), zap.NewNop())
	caller := keyWith("team", &Limits{Requests: rate(1000, "1m")}, nil)
	var admitted atomic.Int64
	var all sync.WaitGroup
	for worker := range 16 {
		l := []*Limiter{a, b}[worker%2]
		all.Go(func() {
			for range 100 {
				lease := new(Lease)
				if r, ok := l.Acquire(context.Background(), lease, Ask{Caller: caller, Tokens: 1}); ok {
					admitted.Add(1)
					lease.Settle(1, 0)
				} else if r.RetryAfter < 50*time.Second || r.RetryAfter > 61*time.Second {
					t.Errorf("try again in %v", r.RetryAfter)
				}
			}
		})
	}
	all.Wait()
	if a.remote.away.Load()+b.remote.away.Load() != 0 {
		t.Error("Redis was not asked")
	}
	if n := admitted.Load(); n < 1000 || n > 1010 {
		t.Errorf("two nodes admitted %d of 1600 requests, want 1000", n)
	}
}

func TestNodesCountRequestsUnderWayTogether(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	a, b := newNode(t, server, new(Config), zap.NewNop()), newNode(t, server, new(Config), zap.NewNop())
	caller := keyWith("team", &Limits{Concurrency: 2}, nil)
	ask := Ask{Caller: caller}
	var first, second, third Lease
	for _, x := range []struct {
		l     *Limiter
		lease *Lease
		want  bool
	}{{a, &first, true}, {b, &second, true}, {a, &third, false}, {b, &third, false}} {
		if r, ok := x.l.Acquire(t.Context(), x.lease, ask); ok != x.want {
			t.Fatalf("admitted %t, want %t (%v)", ok, x.want, r)
		}
	}
	first.Return()
	eventually(t, "there is room again", func() bool {
		_, ok := b.Acquire(t.Context(), &third, ask)
		return ok
	})
	second.Return()
	third.Return()
	for _, l := range []*Limiter{a, b} {
		landed(t, l)
		if n := len(l.remote.lane.held); n != 0 {
			t.Errorf("%d sets are still refreshed", n)
		}
	}
}

func TestALimitInAnotherSlotTakesNothingFromTheFirst(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	config := &Config{ModelLimits: map[string]*Limits{"m{}:x": {Requests: rate(1, "1h"), Concurrency: 5}}}
	for name, l := range map[string]*Limiter{
		"memory": newTestLimiter(t, config, LimiterOptions{}),
		"redis":  newNode(t, server, config, zap.NewNop()),
	} {
		caller := keyWith("team", &Limits{Requests: rate(5, "1h"), Tokens: rate(100, "1h"), Concurrency: 3}, nil)
		var first, second, third Lease
		if r, ok := l.Acquire(t.Context(), &first, Ask{Caller: caller, Model: "m{}:x", Tokens: 10}); !ok {
			t.Fatalf("%s: %v", name, r)
		}
		r, ok := l.Acquire(t.Context(), &second, Ask{Caller: caller, Model: "m{}:x", Tokens: 10})
		if ok || r.Limit != "model_requests" {
			t.Fatalf("%s: admitted %t, %+v", name, ok, r)
		}
		for i := range second.checks[:second.nchecks] {
			if c := &second.checks[i]; c.rule.scope == OfKey && c.used != map[Kind]int64{Requests: 1, Tokens: 10, Concurrency: 1}[c.rule.kind] {
				t.Errorf("%s: %s is said to be at %d after the refusal", name, c.rule.name(), c.used)
			}
		}
		eventually(t, name+": nothing is taken", func() bool {
			if _, ok = l.Acquire(t.Context(), &third, Ask{Caller: caller, Model: "other", Tokens: 10}); !ok {
				return false
			}
			used := third.checks[1].used
			third.Cancel()
			return used == 20
		})
		if l.remote != nil && l.remote.away.Load() != 0 {
			t.Error("Redis was not asked")
		}
	}
}

func TestKeysOfOneCallAreInOneSlot(t *testing.T) {
	t.Parallel()
	limits := &Limits{Requests: rate(1, "1m"), Tokens: rate(1, "1m"), Concurrency: 1, Budget: budget(1, "30d")}
	l := newTestLimiter(t, &Config{ModelLimits: map[string]*Limits{"}{m": limits}}, LimiterOptions{})
	caller := keyWith("team", limits, map[string]*Limits{"}{m": limits})
	var lease Lease
	lease.prepare(l, &Ask{Caller: caller, Model: "}{m"})
	r := &remote{prefix: "p:"}
	var all []string
	for _, s := range r.slots(&lease) {
		tags := make(map[string]bool)
		for _, key := range s.call.keys {
			_, rest, _ := strings.Cut(key, "{")
			tag, _, _ := strings.Cut(rest, "}")
			tags[tag] = true
		}
		if len(tags) != 1 {
			t.Errorf("keys are in several slots: %q", s.call.keys)
		}
		all = append(all, s.call.keys...)
	}
	if slices.Sort(all); len(slices.Compact(all)) != maxChecks {
		t.Errorf("keys are not all different: %q", all)
	}
}

func TestWhileRedisIsAwayEachNodeGoesByItself(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	core, logs := observer.New(zap.InfoLevel)
	l := newNode(t, server, new(Config), zap.New(core))
	caller := keyWith("team", &Limits{Requests: rate(5, "1h")}, nil)
	acquire := func() bool {
		lease := new(Lease)
		_, ok := l.Acquire(t.Context(), lease, Ask{Caller: caller})
		lease.Settle(1, 0)
		return ok
	}
	for range 3 {
		if !acquire() {
			t.Fatal("refused")
		}
	}
	server.Kill()
	// What this node has seen counts on.
	var admitted int
	for range 3 {
		if acquire() {
			admitted++
		}
	}
	if admitted != 2 {
		t.Error("without Redis, the limit of 5 is not what it was with it")
	}
	if n := logs.FilterMessageSnippet("does not answer").Len(); n != 1 {
		t.Errorf("%d lines say that Redis is away", n)
	}
	server.Restart()
	eventually(t, "Redis is asked again", func() bool { acquire(); return l.remote.away.Load() == 0 })
	if n := logs.FilterMessageSnippet("answers again").Len(); n != 1 {
		t.Errorf("%d lines say that Redis is back", n)
	}
}

func TestWhileRedisIsAwayNothingIsAdmittedIfSoConfigured(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	l := newNode(t, server, &Config{Redis: &Redis{Away: AwayClosed}}, zap.NewNop())
	caller := keyWith("team", &Limits{Requests: rate(5, "1h")}, nil)
	server.Pause()
	defer server.Resume()
	begun := time.Now()
	for range 20 {
		r, ok := l.Acquire(t.Context(), new(Lease), Ask{Caller: caller})
		if ok || !r.Unavailable || r.RetryAfter != awayFor {
			t.Fatalf("admitted %t, %+v", ok, r)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("20 requests waited %v for a server that does not answer", took)
	}
	if _, ok := l.Acquire(t.Context(), new(Lease), Ask{Caller: keyWith("free", nil, nil)}); !ok {
		t.Error("a request without limits was refused")
	}
}

func TestAConfigurationsRedisIsSharedAndOutlivesItsLeases(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	config := &Config{Redis: &Redis{URL: server.URL(), Name: "shared"}}
	first := newTestLimiter(t, config, LimiterOptions{})
	second := newTestLimiter(t, config, LimiterOptions{})
	if first.remote != second.remote {
		t.Fatal("two configurations have two connections")
	}
	caller := keyWith("team", &Limits{Tokens: rate(100, "1h"), Concurrency: 9}, nil)
	var lease Lease
	if r, ok := first.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 50}); !ok {
		t.Fatal(r)
	}
	remote := first.remote
	first.Close()
	second.Close()
	lease.Settle(70, 0)
	<-remote.lane.ended
	third := newTestLimiter(t, config, LimiterOptions{})
	if r, ok := third.Acquire(t.Context(), &lease, Ask{Caller: caller, Tokens: 1}); !ok || lease.checks[0].used != 71 || lease.checks[1].used != 1 {
		t.Errorf("%v: used %d tokens, want 71; %d under way, want 1", r, lease.checks[0].used, lease.checks[1].used)
	}
	lease.Cancel()
}

func TestARedisURLIsNeverShown(t *testing.T) {
	t.Setenv("KEYS_TEST_URL", "redis://user:hunter2@[::1/0")
	for _, text := range []string{
		"redis://user:hunter2@localhost:6379/x", "redis://user:hunter2@localhost/0?pool_size=hunter2", "http://user:hunter2@localhost",
		"redis://user:hunter2@[::1/0", "{env.KEYS_TEST_URL}", "{env.KEYS_TEST_NONE}", "redis://user:hunter2@a/0?addr=hunter2", "redis://a/?master_name=x&addr=hunter2",
	} {
		_, err := NewLimiter(&Config{Redis: &Redis{URL: text}}, LimiterOptions{Name: "url"})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"redis://user:p@localhost:6379/3", "rediss://localhost", "redis://a:1?addr=b:2", "redis://a:1/2?master_name=m&username=u&password=p",
	} {
		if _, err := parseURL(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
