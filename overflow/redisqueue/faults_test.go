package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

// raw sends a command of the test's own.
func raw(t *testing.T, q *queue, args ...any) any {
	t.Helper()
	reply, err := q.client.Do(t.Context(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
	return reply
}

func urgent(job *overflow.Job) { job.Priority = 0 }

// stream is where request's jobs are that are urgent.
func stream(q *queue) string { return q.prefix + "new:request:0" }

// upkeep has the queue look after everything now, not just once in a while.
func upkeepNow(t *testing.T, q *queue) overflow.Upkeep {
	t.Helper()
	q.upkeep.urgent.Store(true)
	done, err := q.Maintain(t.Context())
	if err != nil {
		t.Fatalf("Maintain: %v", err)
	}
	return done
}

// After everything on the server was removed, a queue works as a new one does, and so do
// those who wait for a job.
func TestEverythingIsRemoved(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	for range 10 {
		enqueue(t, q)
	}
	running := claim(t, q, 10, time.Hour)
	found := make(chan string, 1)
	go func() {
		jobs, err := q.Claim(t.Context(), overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Hour})
		if err != nil {
			found <- err.Error()
			return
		}
		found <- jobs[0].ID
	}()
	eventually(t, "a claim waits", func() bool { return len(q.doors[overflow.Request].turn) > 0 })
	raw(t, q, "FLUSHALL")
	raw(t, q, "SCRIPT", "FLUSH")
	if _, err := q.Apply(t.Context(), ref(running[0]), overflow.Change{To: overflow.Completed}); !errors.Is(err, overflow.ErrNotFound) {
		t.Errorf("Apply returned error %v", err)
	}
	job := enqueue(t, q)
	if got := <-found; got != job.ID {
		t.Errorf("Claim returned %s, want %s", got, job.ID)
	}
	upkeepNow(t, q)
	nothing(t, q)
}

// A consumer group that is gone is made anew, and gives out what nobody has had and no more.
func TestGroupIsLost(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	for range 6 {
		enqueue(t, q, urgent)
	}
	running := claim(t, q, 3, time.Hour)
	complete(t, q, running[0])
	raw(t, q, "XGROUP", "DESTROY", stream(q), "w")

	rest := claim(t, q, 3, time.Hour)
	nothing(t, q)
	if !q.upkeep.urgent.Load() {
		t.Error("the loss of the group went unnoticed")
	}
	if done := upkeepNow(t, q); done.Repaired != 0 || len(done.Rescued) != 0 {
		t.Errorf("Maintain repaired %d and rescued %d", done.Repaired, len(done.Rescued))
	}
	for _, job := range append(running[1:], rest...) {
		complete(t, q, job)
	}
	nothing(t, q)
}

// What has got out of order is put in order again, and no job is lost or runs twice for it.
func TestWhatIsLostIsFoundAgain(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	later := func(job *overflow.Job) { job.Priority, job.RunAt = 0, time.Now().Add(300*time.Millisecond) }
	for name, test := range map[string]struct {
		change func(*overflow.Job)
		lose   func(t *testing.T, q *queue, job *overflow.Job)
	}{
		"the entry of a job": {urgent, func(t *testing.T, q *queue, job *overflow.Job) {
			raw(t, q, "XDEL", stream(q), raw(t, q, "HGET", q.prefix+"j:"+job.ID, "entry"))
		}},
		"the stream": {urgent, func(t *testing.T, q *queue, _ *overflow.Job) { raw(t, q, "DEL", stream(q)) }},
		"a job that was given out and not begun": {urgent, func(t *testing.T, q *queue, _ *overflow.Job) {
			raw(t, q, "XGROUP", "CREATE", stream(q), "w", "0")
			raw(t, q, "XREADGROUP", "GROUP", "w", "somebody", "STREAMS", stream(q), ">")
		}},
		"the schedule": {later, func(t *testing.T, q *queue, _ *overflow.Job) { raw(t, q, "DEL", q.prefix+"scheduled:request") }},
		"those that came back": {urgent, func(t *testing.T, q *queue, job *overflow.Job) {
			got := claim(t, q, 1, time.Hour)[0]
			if _, err := q.Apply(t.Context(), ref(got), overflow.Change{To: overflow.Available}); err != nil {
				t.Fatal(err)
			}
			raw(t, q, "DEL", q.prefix+"again:request:0")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := openAt(t, server, fmt.Sprintf("lost-%d", names.Add(1)))
			job := enqueue(t, q, test.change)
			test.lose(t, q, job)
			nothing(t, q)
			if done := upkeepNow(t, q); done.Repaired != 1 {
				t.Errorf("%d were repaired, want 1", done.Repaired)
			}
			if done := upkeepNow(t, q); done.Repaired != 0 {
				t.Errorf("%d were repaired, of nothing that is out of order", done.Repaired)
			}
			got := claim(t, q, 1, time.Hour)[0]
			if got.ID != job.ID {
				t.Errorf("claimed %s, want %s", got.ID, job.ID)
			}
			nothing(t, q)
			complete(t, q, got)
		})
	}
}

// A lane, a lease or the end of keeping that was lost is found again too.
func TestSetsThatAreLost(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	for range 3 {
		enqueue(t, q, urgent)
	}
	jobs := claim(t, q, 3, 300*time.Millisecond)
	if _, err := q.Apply(t.Context(), ref(jobs[0]), overflow.Change{To: overflow.Waiting, Lane: "small"}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Apply(t.Context(), ref(jobs[1]), overflow.Change{To: overflow.Completed, Keep: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"lane:request:small", "lanes:request", "deadlines", "keep", "leases:request"} {
		raw(t, q, "DEL", q.prefix+key)
	}
	if done := upkeepNow(t, q); done.Repaired != 2 {
		t.Errorf("%d were repaired, want the waiting and the completed one", done.Repaired)
	}
	if n, err := q.Wake(t.Context(), overflow.Request, "small", 5); n != 1 || err != nil {
		t.Errorf("Wake returned %d, error %v", n, err)
	}
	eventually(t, "the completed job is removed", func() bool {
		_, err := q.Maintain(t.Context())
		_, gone := q.Get(t.Context(), jobs[1].ID)
		return err == nil && errors.Is(gone, overflow.ErrNotFound)
	})
	// That a job runs which is in no set, its entry says: it is an hour without a sign of life.
	reply, err := q.run(t.Context(), sweepScript, q.consumer, 0, dead.Milliseconds())
	if err != nil || reply[0] != int64(1) {
		t.Fatalf("sweep returned %v, error %v", reply, err)
	}
	eventually(t, "it is rescued", func() bool {
		done, err := q.Maintain(t.Context())
		return err == nil && len(done.Rescued) == 1 && done.Rescued[0].ID == jobs[2].ID
	})
}

// Entries that the server has lost are counted, and their jobs put in order.
func TestEntriesThatTheServerLost(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	for range 3 {
		enqueue(t, q, urgent)
	}
	running := claim(t, q, 2, time.Hour)
	for _, job := range running {
		raw(t, q, "XDEL", stream(q), raw(t, q, "HGET", q.prefix+"j:"+job.ID, "entry"))
	}
	reply, err := q.run(t.Context(), sweepScript, q.consumer, 0, dead.Milliseconds())
	if err != nil || reply[0] != int64(0) || reply[1] != int64(2) {
		t.Errorf("sweep returned %v, error %v; want 2 entries that were lost", reply, err)
	}
	for _, job := range append(running, claim(t, q, 1, time.Hour)...) {
		complete(t, q, job)
	}
	nothing(t, q)
}

// A consumer is deleted once it has been idle for long, but not while entries are its own.
func TestDeadConsumers(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q, other := openAt(t, server, "a"), openAt(t, server, "a")
	enqueue(t, q, urgent)
	enqueue(t, q, urgent)
	running := claim(t, other, 1, time.Hour)[0]
	complete(t, q, claim(t, q, 1, time.Hour)[0])
	raw(t, q, "XGROUP", "CREATECONSUMER", stream(q), "w", "dead")
	names := func() (names []string) {
		consumers, err := q.client.XInfoConsumers(t.Context(), stream(q), "w").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range consumers {
			names = append(names, c.Name)
		}
		return names
	}
	sweep := func() {
		if _, err := q.run(t.Context(), sweepScript, q.consumer, idle.Milliseconds(), 0); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the dead one goes", func() bool { sweep(); return len(names()) == 2 })
	complete(t, other, running)
	eventually(t, "the other one goes too", func() bool { sweep(); return len(names()) == 1 && names()[0] == q.consumer })
}

// An old worker's sign of life takes nothing from the new one.
func TestHeartbeatStealsNothing(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q, other := openAt(t, server, "a"), openAt(t, server, "a")
	enqueue(t, q, urgent)
	old := claim(t, q, 1, 50*time.Millisecond)[0]
	eventually(t, "it is rescued", func() bool {
		done, err := other.Maintain(t.Context())
		return err == nil && len(done.Rescued) == 1
	})
	now := claim(t, other, 1, time.Hour)[0]
	if now.Crashes != 1 || now.Attempt != 1 || now.Run != 2 {
		t.Errorf("after a rescue: %d crashes, attempt %d, run %d", now.Crashes, now.Attempt, now.Run)
	}
	pulses, err := q.Heartbeat(t.Context(), []overflow.Ref{ref(old)}, time.Hour)
	if err != nil || pulses[0] != overflow.Lost {
		t.Errorf("Heartbeat returned %v, error %v", pulses, err)
	}
	if _, err := q.Apply(t.Context(), ref(old), overflow.Change{To: overflow.Completed}); !errors.Is(err, overflow.ErrLost) {
		t.Errorf("Apply returned error %v", err)
	}
	complete(t, other, now)
}

// The streams do not grow: what is done is removed, and what is not stays.
func TestStreamsAreTrimmed(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	for range 100 {
		enqueue(t, q, urgent)
	}
	length := func() int64 {
		t.Helper()
		if _, err := q.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		return q.client.XLen(t.Context(), stream(q)).Val()
	}
	jobs := claim(t, q, 60, time.Hour)
	for _, job := range jobs[:10] {
		complete(t, q, job)
	}
	for _, job := range jobs[11:] {
		complete(t, q, job)
	}
	if n := length(); n != 90 { // jobs[10] runs
		t.Errorf("%d entries are there, want 90", n)
	}
	complete(t, q, jobs[10])
	if n := length(); n != 41 { // one may stay
		t.Errorf("%d entries are there, want 41", n)
	}
	for _, job := range claim(t, q, 40, time.Hour) {
		complete(t, q, job)
	}
	if n := length(); n != 1 {
		t.Errorf("%d entries are there, want 1", n)
	}
}

// A record that cannot be read is given up, and the others go on.
func TestCorruptRecord(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	bad, good := enqueue(t, q, urgent), enqueue(t, q, urgent)
	raw(t, q, "HSET", q.prefix+"j:"+bad.ID, "max_attempts", "many", "attempt", "x", "deadline", "soon")
	if got := claim(t, q, 1, time.Hour)[0]; got.ID != good.ID {
		t.Errorf("claimed %s, want %s", got.ID, good.ID)
	}
	eventually(t, "it is given up", func() bool {
		got, err := q.Get(t.Context(), bad.ID)
		return err == nil && got.State == overflow.Discarded && got.Reason == overflow.ReasonCorrupt
	})
	if jobs, err := q.List(t.Context(), overflow.Filter{Limit: 10}); err != nil || len(jobs) != 2 {
		t.Errorf("List returned %d jobs, error %v", len(jobs), err)
	}
}

// What is sent twice, since no answer came, is done once.
func TestSentTwice(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	job := enqueue(t, q, urgent)
	running := claim(t, q, 1, time.Hour)[0]
	args := []any{job.ID, running.Lease, "the-op", "scheduled", "", "60000000", "0", "1", "", "", "later", "", 0}
	for range 2 {
		reply, err := q.run(t.Context(), applyScript, args...)
		if err != nil || reply[0] != "ok" {
			t.Fatalf("apply returned %v, error %v", reply, err)
		}
		if got, err := first(reply); err != nil || got.Snoozes != 1 || got.Attempt != 0 || got.State != overflow.Scheduled {
			t.Errorf("after it: %+v, error %v", got, err)
		}
	}
	for range 2 {
		if reply, err := q.run(t.Context(), turnScript, "t", "3600000000", "op"); err != nil || reply[0] != int64(1) {
			t.Errorf("turn returned %v, error %v", reply, err)
		}
	}
	if mine, err := q.Turn(t.Context(), "t", time.Hour); mine || err != nil {
		t.Errorf("Turn returned %t, error %v", mine, err)
	}
}

// One call of a batch that goes wrong leaves the others alone.
func TestBatchWithAnError(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	q := openAt(t, server, "a")
	a, b := enqueue(t, q, urgent), enqueue(t, q, urgent)
	raw(t, q, "SET", q.prefix+"j:job_bad", "not a hash")
	var batch []*batched
	for _, id := range []string{a.ID, "job_bad", b.ID, "job_none"} {
		batch = append(batch, &batched{ctx: context.Background(), script: getScript, args: []any{id}, done: make(chan struct{})})
	}
	q.batches.send(batch)
	for i, want := range []string{"ok", "error", "ok", "missing"} {
		<-batch[i].done
		if reply, ok := batch[i].reply.([]any); batch[i].err != nil || !ok || reply[0] != want {
			t.Errorf("call %d: %v, error %v, want %s", i, batch[i].reply, batch[i].err, want)
		}
	}
	if _, err := q.Get(t.Context(), "job_bad"); !errors.Is(err, overflow.ErrUnavailable) {
		t.Errorf("Get returned error %v", err)
	}
}
