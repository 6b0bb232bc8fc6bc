package redisqueue

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

// A server that has reached its maxmemory takes no more jobs, and lets those go on and end that it has.
func TestServerIsFull(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.MaxMemory("16mb"))
	q := openAt(t, server, "a")
	big := func(job *overflow.Job) { job.Priority, job.Payload = 0, bytes.Repeat([]byte("x"), 100_000) }
	var full error
	stored := 0
	for ; full == nil && stored < 1000; stored++ {
		job := request(0)
		big(job)
		_, full = q.Enqueue(t.Context(), job, 0)
	}
	stored--
	if !errors.Is(full, overflow.ErrFull) || !errors.Is(full, overflow.ErrUnavailable) || stored < 10 {
		t.Fatalf("after %d jobs the error is %v, want ErrFull and ErrUnavailable", stored, full)
	}
	stats, err := q.Stats(t.Context())
	if err != nil || stats.Jobs[overflow.Request][overflow.Available] != stored || stats.MaxBytes != 16<<20 || stats.Bytes < stats.MaxBytes {
		t.Errorf("stats: %+v, error %v; want %d available jobs", stats, err, stored)
	}

	jobs := claim(t, q, 5, time.Hour)
	pulses, err := q.Heartbeat(t.Context(), []overflow.Ref{ref(jobs[0])}, time.Hour)
	if err != nil || pulses[0] != overflow.Alive {
		t.Errorf("Heartbeat returned %v, error %v", pulses, err)
	}
	if err := q.Append(t.Context(), ref(jobs[0]), 0, []byte("more")); !errors.Is(err, overflow.ErrFull) {
		t.Errorf("Append returned error %v, want ErrFull", err)
	}
	follow := request(0)
	follow.Kind = overflow.Callback
	if _, err := q.Apply(t.Context(), ref(jobs[0]), overflow.Change{
		To: overflow.Completed, Output: [][]byte{[]byte("the answer")}, Keep: 0, Follow: follow,
	}); err != nil {
		t.Errorf("completing: %v", err)
	}
	if got, err := q.Get(t.Context(), follow.ID); err != nil || got.State != overflow.Available {
		t.Errorf("what followed: %v, error %v", got, err)
	}
	for to, job := range map[overflow.State]*overflow.Job{
		overflow.Scheduled: jobs[1], overflow.Waiting: jobs[2], overflow.Available: jobs[3], overflow.Discarded: jobs[4],
	} {
		if _, err := q.Apply(t.Context(), ref(job), overflow.Change{To: to, Lane: "l"}); err != nil {
			t.Errorf("to %s: %v", to, err)
		}
	}
	for _, job := range claim(t, q, 10, time.Hour) {
		if _, err := q.Apply(t.Context(), ref(job), overflow.Change{To: overflow.Completed}); err != nil {
			t.Errorf("completing: %v", err)
		}
	}
	eventually(t, "there is room again", func() bool {
		if _, err := q.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := q.Enqueue(t.Context(), request(0), 0)
		return err == nil
	})
}

// A server that may not write stores nothing, and says so.
func TestServerIsReadOnly(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	job := enqueue(t, q)
	raw(t, q, "CONFIG", "SET", "min-replicas-to-write", "3")
	if _, err := q.Enqueue(t.Context(), request(1), 0); !errors.Is(err, overflow.ErrUnavailable) {
		t.Errorf("without replicas Enqueue returned error %v", err)
	}
	raw(t, q, "CONFIG", "SET", "min-replicas-to-write", "0")
	raw(t, q, "REPLICAOF", "127.0.0.1", "1")
	if _, err := q.Enqueue(t.Context(), request(1), 0); !errors.Is(err, overflow.ErrUnavailable) || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("of a replica Enqueue returned error %v", err)
	}
	if got, err := q.Get(t.Context(), job.ID); err != nil || got.ID != job.ID {
		t.Errorf("of a replica Get returned error %v", err)
	}
}

// The documented rights are enough, and less gives an error without a secret.
func TestUser(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	admin := openAt(t, server, "admin")
	acl := func(user string, rules ...string) {
		raw(t, admin, append([]any{"ACL", "SETUSER", user, "on", ">" + secret}, anys(rules)...)...)
	}
	acl("anna", "~{blue}:*", "&{blue}:*", "+@all", "-@admin", "-@dangerous", "+info", "+config|get")
	acl("bert", "~{blue}:*", "&{blue}:*", "+@all", "-@admin", "-@dangerous")
	acl("carl", "~{red}:*", "+@all")
	for user, want := range map[string]string{
		"anna:" + secret: "", "bert:" + secret: "", "carl:" + secret: "NOPERM", "anna:wrong-" + secret: "WRONGPASS", "dora:" + secret: "WRONGPASS",
	} {
		r := &Redis{URL: "redis://" + user + "@" + server.Addr(), Name: "blue"}
		if err := r.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zapcore.DebugLevel)
		opened, err := r.Open(zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		q := opened.(*queue)
		job := request(0)
		_, err = q.Enqueue(t.Context(), job, 5)
		if want == "" {
			if err != nil {
				t.Fatalf("%s: %v", user[:4], err)
			}
			news, stop := q.Watch(job.ID, false)
			<-news
			complete(t, q, claim(t, q, 1, time.Hour)[0])
			<-news
			stop()
			upkeepNow(t, q)
			if _, err := q.Stats(t.Context()); err != nil {
				t.Errorf("%s: Stats: %v", user[:4], err)
			}
		} else if !errors.Is(err, overflow.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", user[:4], err, want)
		}
		_ = q.Close()
		told := fmt.Sprint(err, r.Key())
		for _, entry := range logs.All() {
			told += fmt.Sprint(entry.Message, entry.ContextMap())
		}
		if mayNot := strings.Contains(told, "may not ask Redis how durable it is"); mayNot != strings.HasPrefix(user, "bert") {
			t.Errorf("%s: logged %s", user[:4], told)
		}
		if strings.Contains(told, secret) {
			t.Errorf("%s: the secret is told: %s", user[:4], told)
		}
	}
}

func anys(list []string) (out []any) {
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// What the server may lose is told once, in one line, and nothing if it loses nothing.
func TestDurabilityIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []redisserver.Option
		want    []string
	}{
		"always":    {[]redisserver.Option{redisserver.AppendFsync("always")}, nil},
		"everysec":  {nil, []string{"Set appendfsync always to lose none"}},
		"in memory": {[]redisserver.Option{redisserver.Set("appendonly", "no")}, []string{"in memory only"}},
		"evicting":  {[]redisserver.Option{redisserver.AppendFsync("always"), redisserver.Set("maxmemory-policy", "allkeys-lru")}, []string{"set maxmemory-policy noeviction"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.Start(t, test.options...)
			core, logs := observer.New(zapcore.InfoLevel)
			q := open(&redis.UniversalOptions{Addrs: []string{server.Addr()}}, "a", zap.New(core))
			defer q.Close()
			for range 3 {
				enqueue(t, q)
				_, _ = q.Get(t.Context(), "job_x")
				claim(t, q, 1, time.Hour)
			}
			var got []string
			for _, entry := range logs.All() {
				got = append(got, entry.Message)
			}
			if !slices.EqualFunc(got, test.want, strings.Contains) {
				t.Errorf("logged %q, want %q", got, test.want)
			}
		})
	}
}

// A server that is too old is refused, with its version and the one that is needed.
func TestServerIsTooOld(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveOld(c)
		}
	}()
	q := open(&redis.UniversalOptions{Addrs: []string{l.Addr().String()}}, "a", zap.NewNop())
	defer q.Close()
	_, err = q.Enqueue(t.Context(), request(1), 0)
	if !errors.Is(err, overflow.ErrUnavailable) || !strings.Contains(err.Error(), "the server is Redis 6.2.14, and 7.0 or later is needed") {
		t.Errorf("Enqueue returned error %v", err)
	}
}

// serveOld answers as a server would that is of version 6.2.
func serveOld(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		var words, n int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &words); err != nil {
			return
		}
		var command []string
		for range words {
			if _, err := fmt.Fscanf(r, "$%d\r\n", &n); err != nil {
				return
			}
			word := make([]byte, n+2)
			if _, err := r.Read(word); err != nil {
				return
			}
			command = append(command, strings.ToLower(string(word[:n])))
		}
		switch command[0] {
		case "hello":
			fmt.Fprint(c, "-ERR unknown command\r\n")
		case "info":
			info := "# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n"
			fmt.Fprintf(c, "$%d\r\n%s\r\n", len(info), info)
		default:
			fmt.Fprint(c, "+OK\r\n")
		}
	}
}

// A process with nothing to do hardly asks the server anything, and neither is busy.
func TestIdle(t *testing.T) {
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	for _, kind := range overflow.Kinds {
		go func() {
			_, _ = q.Claim(ctx, overflow.Order{Kind: kind, Max: 20, Lease: time.Minute})
			done <- struct{}{}
		}()
		eventually(t, "a claim waits", func() bool { return len(q.doors[kind].turn) > 0 })
	}
	_, stop := q.Watch("job_x", true)
	processed := func() int64 {
		return infoNumber(q.client.Info(t.Context(), "stats").Val(), "total_commands_processed")
	}
	const seconds = 4
	commands, ours, theirs := processed(), cpuTime(t), server.CPUTime()
	for range seconds {
		if _, err := q.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the very thing: nothing to do for a while
	}
	commands, ours, theirs = processed()-commands, cpuTime(t)-ours, server.CPUTime()-theirs
	t.Logf("%d s: %d commands, those in scripts included, %v here, %v there", seconds, commands, ours, theirs)
	if commands > seconds*80 || ours > seconds*10*time.Millisecond || theirs > seconds*10*time.Millisecond {
		t.Error("that is too much")
	}
	cancel()
	for range overflow.Kinds {
		<-done
	}
	stop()
}

// From the time at which a job becomes available to its claim's end it takes milliseconds.
func TestStartsOnTime(t *testing.T) {
	server := redisserver.Start(t)
	q, other := openAt(t, server, "a"), openAt(t, server, "a")
	const n = 100
	due := make(map[string]time.Time)
	for i := range n {
		job := request(i)
		job.RunAt = time.Now().Add(time.Duration(300+10*i) * time.Millisecond)
		due[job.ID] = job.RunAt
		if _, err := q.Enqueue(t.Context(), job, 0); err != nil {
			t.Fatal(err)
		}
	}
	var all []time.Duration
	for range n {
		job := claim(t, other, 1, time.Minute)[0]
		all = append(all, time.Since(due[job.ID]))
	}
	slices.Sort(all)
	t.Logf("late by %v at the median, %v at the 99th percentile, %v at most", all[n/2], all[n*99/100-1], all[n-1])
	// What a busy machine does to the last percent is no concern here; BenchmarkStart reports it.
	if all[0] < 0 || all[n/2] > 20*time.Millisecond {
		t.Error("that is too early, or too late")
	}
}
