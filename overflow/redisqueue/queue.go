// Package redisqueue keeps jobs in Redis (7.0 or later) or Valkey, for as many
// processes as share the server.
//
// One hash per job holds all there is to know of it. Streams, one per priority and
// kind, hold the IDs of new jobs and give them out through a consumer group. Sorted sets
// hold what a stream has no order for: jobs that have come back and keep their place by age,
// and what waits for a time, a lane or the end of its lease. lua/lib.lua lists the keys. Every
// change is one Lua script, fenced by the lease's token, and by the server's clock. All
// keys are in one hash slot.
//
// What the server acknowledges is as durable as its configuration makes it: with
// appendfsync always it is on disk; with everysec the last second may be lost if the machine
// dies, though not if only the server does. A failover to a replica may lose
// what had not reached it.
package redisqueue

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// patience is how long any call takes at most, whatever the server does. Claim waits longer
	// for a job, but no longer than this for an answer.
	patience = 5 * time.Second
	// dialTime and answerTime are how long a connection and an answer may take.
	dialTime   = 2 * time.Second
	answerTime = 3 * time.Second
	// claims is how many Claim calls ask the server at a time.
	claims = 16
)

// queue is an overflow.Queue in Redis.
type queue struct {
	answerTime time.Duration

	log    *zap.Logger
	prefix string   // of all keys
	keys   []string // KEYS of every script
	// consumer is who this process is in the consumer groups. It is new with each start.
	consumer string

	client redis.UniversalClient
	// claimer reads, which may block, and takes jobs, which is not to be repeated.
	claimer redis.UniversalClient
	batches *batcher
	watches *watches
	doors   map[overflow.Kind]*door
	upkeep  upkeep

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu    sync.Mutex // of tasks, which is not to grow once Close waits for them
	tasks sync.WaitGroup
}

// open returns a queue. It connects to nothing yet.
func open(options *redis.UniversalOptions, name string, log *zap.Logger) *queue {
	q := &queue{
		log:      log,
		prefix:   "{" + name + "}:",
		consumer: consumerName(),
		doors:    make(map[overflow.Kind]*door),
	}
	q.keys = []string{q.prefix}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	for _, kind := range overflow.Kinds {
		q.doors[kind] = newDoor()
	}
	check := &greeting{log: log}
	quieten()

	shared := *options
	shared.OnConnect = check.onConnect
	shared.Protocol = 2
	shared.DisableIdentity = true // CLIENT SETINFO is newer than 7.0
	shared.ContextTimeoutEnabled = true
	shared.DialTimeout, shared.DialerRetries = dialTime, 1
	q.answerTime = cmp.Or(options.ReadTimeout, answerTime)
	shared.ReadTimeout, shared.WriteTimeout = q.answerTime, q.answerTime
	shared.PoolTimeout = q.answerTime
	shared.MinRetryBackoff, shared.MaxRetryBackoff = 10*time.Millisecond, 200*time.Millisecond
	withoutMaintenance(&shared)

	main, claimer := shared, shared
	main.MaxRetries = 2 // every change that is sent twice is made once
	q.client = redis.NewUniversalClient(&main)
	claimer.MaxRetries = -1
	claimer.PoolSize = claims + len(overflow.Kinds)
	q.claimer = redis.NewUniversalClient(&claimer)

	q.batches = newBatcher(q)
	q.watches = newWatches(q)
	return q
}

// consumerName names this start of this process: who it is, and which start.
func consumerName() string { return nodeName() + "-" + strings.ToLower(rand.Text()[:10]) }

// nonce returns a token that nobody else has.
func nonce() string { return rand.Text() }

// Close implements overflow.Queue.
func (q *queue) Close() error {
	q.mu.Lock()
	q.cancel()
	q.mu.Unlock()
	// Whoever waits for an answer on a connection that is closed gets an error.
	_ = q.claimer.Close()
	_ = q.client.Close()
	q.watches.close()
	q.tasks.Wait()
	return nil
}

// start runs a task of the queue's own, unless the queue is closed. It reports whether it does.
func (q *queue) start(task func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx.Err() != nil {
		return false
	}
	q.tasks.Go(task)
	return true
}

// pause returns after a while, or when the queue is closed.
func (q *queue) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-q.ctx.Done():
	}
}

// run runs a script, together with those that others run now, in one exchange with
// the server. It takes no longer than patience. If ctx ends first, the script may
// have been run or not.
func (q *queue) run(ctx context.Context, s *script, args ...any) ([]any, error) {
	reply, err := q.batches.run(ctx, s, args)
	return q.answer(ctx, reply, err)
}

// runAlone runs a script by itself: one whose answer may be long.
func (q *queue) runAlone(ctx context.Context, s *script, args ...any) ([]any, error) {
	if err := q.alive(ctx); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := q.eval(within, q.client, s, args)
	return q.answer(ctx, reply, err)
}

// answer returns what a call of a script has returned: a list of one if it is no list.
func (q *queue) answer(ctx context.Context, reply any, err error) ([]any, error) {
	if err != nil {
		return nil, q.explain(ctx, err)
	}
	list, ok := reply.([]any)
	if !ok {
		return []any{reply}, nil
	}
	if len(list) == 2 && list[0] == "error" {
		return nil, q.explain(ctx, scriptError(str(list[1])))
	}
	return list, nil
}

// scriptError is what went wrong in one call of a script.
type scriptError string

func (e scriptError) Error() string { return string(e) }

// RedisError marks it as coming from the server, for go-redis.
func (scriptError) RedisError() {}

// eval runs one call of a script by its name, and if the server does not know that, by
// its text.
func (q *queue) eval(ctx context.Context, c redis.UniversalClient, s *script, args []any) (any, error) {
	all := append([]any{len(args)}, args...)
	reply, err := c.EvalSha(ctx, s.sha, q.keys, all...).Slice()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = c.Eval(ctx, s.text, q.keys, all...).Slice()
	}
	if err != nil {
		return nil, err
	}
	if len(reply) != 1 {
		return nil, errReply
	}
	return reply[0], nil
}

// alive returns an error if a call is not to begin.
func (q *queue) alive(ctx context.Context) error {
	if q.ctx.Err() != nil {
		return overflow.ErrClosed
	}
	return ctx.Err()
}

// explain returns an error of the package overflow, or ctx's, for one of go-redis.
func (q *queue) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case q.ctx.Err() != nil:
		return overflow.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case redis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("%w: %w: Redis has reached its maxmemory", overflow.ErrFull, overflow.ErrUnavailable)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: Redis did not answer in time", overflow.ErrUnavailable)
	}
	return fmt.Errorf("%w: Redis: %w", overflow.ErrUnavailable, err)
}

// verdict returns the error that the first element of a script's answer stands for.
// With "ok" and the like it is nil.
func verdict(reply []any) error {
	if len(reply) == 0 {
		return unreadable()
	}
	switch reply[0] {
	case "missing":
		return overflow.ErrNotFound
	case "lost":
		return overflow.ErrLost
	case "state":
		return overflow.ErrState
	case "full":
		return overflow.ErrFull
	}
	return nil
}

// integers returns the numbers with which an answer begins.
func integers(reply []any, n int) ([]int64, error) {
	if len(reply) < n {
		return nil, unreadable()
	}
	numbers := make([]int64, n)
	for i := range numbers {
		v, ok := reply[i].(int64)
		if !ok {
			return nil, unreadable()
		}
		numbers[i] = v
	}
	return numbers, nil
}

// Interface guard
var _ overflow.Queue = (*queue)(nil)
