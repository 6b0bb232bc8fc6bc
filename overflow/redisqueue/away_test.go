package redisqueue

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

// Killed and started again with its append-only file, a server has all that it
// acknowledged, and everybody goes on without being told.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.AppendFsync("always"))
	q := openAt(t, server, "a")
	const n = 50
	for range n {
		enqueue(t, q)
	}
	running := claim(t, q, 10, time.Hour)
	if err := q.Append(t.Context(), ref(running[0]), 0, []byte("chunk")); err != nil {
		t.Fatal(err)
	}
	news, stop := q.Watch(running[1].ID, false)
	defer stop()
	<-news // subscribed

	server.Kill()
	unavailable(t, q)
	server.Restart()

	select {
	case <-news: // subscribed again
	case <-time.After(20 * time.Second):
		t.Error("Watch tells nothing after the server was away")
	}
	back(t, q)
	pulses, err := q.Heartbeat(t.Context(), []overflow.Ref{ref(running[0])}, time.Hour)
	if err != nil || pulses[0] != overflow.Alive {
		t.Errorf("Heartbeat returned %v, error %v", pulses, err)
	}
	if chunks, err := q.Output(t.Context(), running[0].ID, 1, 0); err != nil || len(chunks) != 1 {
		t.Errorf("Output returned %d chunks, error %v", len(chunks), err)
	}
	for _, job := range running {
		complete(t, q, job)
	}
	if rest := claim(t, q, n-10, time.Hour); len(rest) != n-10 {
		t.Errorf("%d jobs are left", len(rest))
	}
	nothing(t, q)
}

// A queue can be opened before its server is there; and claiming from one that is away costs little.
func TestServerIsAway(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	server.Kill()
	q := openAt(t, server, "a")
	unavailable(t, q)
	if testing.Short() {
		t.Skip("the rest takes seconds")
	}
	before := cpuTime(t)
	goroutines := runtime.NumGoroutine()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var attempts int
	for ctx.Err() == nil {
		_, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
		if err == nil {
			t.Fatal("Claim returned jobs of a server that is away")
		}
		attempts++
	}
	if attempts > 20 {
		t.Errorf("a loop of Claim made %d attempts in 3s", attempts)
	}
	t.Logf("%d attempts, %v of processor time (other tests included), %d goroutines more", attempts, cpuTime(t)-before, runtime.NumGoroutine()-goroutines)

	server.Restart()
	back(t, q)
	job := enqueue(t, q)
	if got := claim(t, q, 1, time.Minute)[0]; got.ID != job.ID {
		t.Errorf("claimed %s, want %s", got.ID, job.ID)
	}
}

// back waits until the queue has noticed that its server is back, which go-redis does a
// second later, in each of its pools of connections.
func back(t *testing.T, q *queue) {
	t.Helper()
	for name, call := range calls(q) {
		eventually(t, name, func() bool { return !errors.Is(call(t.Context()), overflow.ErrUnavailable) })
	}
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A server that hangs is like one that is away, and calls end with their contexts.
func TestServerHangs(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	job := enqueue(t, q)
	running := claim(t, q, 1, time.Hour)[0]
	server.Pause()
	unavailable(t, q)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for name, call := range calls(q) {
		begun := time.Now()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second {
			t.Errorf("%s took %v and returned error %v", name, time.Since(begun), err)
		}
	}
	server.Resume()
	eventually(t, "Get", func() bool {
		got, err := q.Get(t.Context(), job.ID)
		return err == nil && got.State == overflow.Executing
	})
	complete(t, q, running)
}

// Claims that wait when the server goes away return an error, and those that come
// when it is back get the jobs.
func TestServerGoesAwayWhileClaimsWait(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	failed, got := make(chan error, 100), make(chan string, 1)
	var stop atomic.Bool
	go func() {
		for !stop.Load() {
			jobs, err := q.Claim(t.Context(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
			if err == nil {
				got <- jobs[0].ID
				return
			}
			failed <- err
		}
	}()
	defer stop.Store(true)
	eventually(t, "a claim waits", func() bool { return len(q.doors[overflow.Request].turn) > 0 })
	server.Kill()
	if err := <-failed; !errors.Is(err, overflow.ErrUnavailable) {
		t.Errorf("Claim returned error %v", err)
	}
	server.Restart()
	back(t, q)
	job := enqueue(t, q)
	select {
	case id := <-got:
		if id != job.ID {
			t.Errorf("claimed %s, want %s", id, job.ID)
		}
	case <-time.After(20 * time.Second):
		t.Error("Claim found nothing after the server was away")
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	server := redisserver.Start(t)
	before := runtime.NumGoroutine()
	for range 3 {
		q := openAt(t, server, "a")
		enqueue(t, q)
		complete(t, q, claim(t, q, 1, time.Minute)[0])
		_, stop := q.Watch("job_x", true)
		ended := make(chan error)
		go func() {
			_, err := q.Claim(context.Background(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
			ended <- err
		}()
		eventually(t, "a claim waits", func() bool { return len(q.doors[overflow.Request].turn) > 0 })
		begun := time.Now()
		_ = q.Close()
		if err := <-ended; !errors.Is(err, overflow.ErrClosed) {
			t.Errorf("Claim returned error %v after Close", err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		stop()
		_ = q.Close() // once more is no harm
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}
