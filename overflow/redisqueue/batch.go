package redisqueue

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// pipelines is how many exchanges with the server go on at a time. While they do, calls gather
	// for the next: the more there are, the less each costs.
	pipelines = 3
	// maxBatch and maxBatchSize bound one exchange, in calls and in bytes.
	maxBatch     = 64
	maxBatchSize = 1 << 20
)

// batcher sends concurrent calls of scripts together, those of one script as one. It waits
// for nobody: what has come while the server was busy goes next.
type batcher struct {
	q     *queue
	calls chan *batched
}

// batched is one call of a script.
type batched struct {
	ctx    context.Context
	script *script
	args   []any
	reply  any
	err    error
	done   chan struct{} // closed once reply or err is set
}

func newBatcher(q *queue) *batcher {
	b := &batcher{q: q, calls: make(chan *batched)}
	for range pipelines {
		q.start(b.serve)
	}
	return b
}

// run runs a script and returns its answer. Errors are go-redis', the context's
// or overflow's.
func (b *batcher) run(ctx context.Context, s *script, args []any) (any, error) {
	if err := b.q.alive(ctx); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &batched{ctx: within, script: s, args: args, done: make(chan struct{})}
	select {
	case b.calls <- c:
	case <-within.Done():
		return nil, within.Err()
	case <-b.q.ctx.Done():
		return nil, overflow.ErrClosed
	}
	select {
	case <-c.done:
		return c.reply, c.err
	case <-within.Done():
		return nil, within.Err()
	case <-b.q.ctx.Done():
		return nil, overflow.ErrClosed
	}
}

// serve sends batches until the queue is closed.
func (b *batcher) serve() {
	for {
		select {
		case <-b.q.ctx.Done():
			return
		case c := <-b.calls:
			b.send(b.gather(c))
		}
	}
}

// gather returns a call and those that wait by now.
func (b *batcher) gather(c *batched) []*batched {
	batch, size := []*batched{c}, c.size()
	for len(batch) < maxBatch && size < maxBatchSize {
		select {
		case c := <-b.calls:
			batch = append(batch, c)
			size += c.size()
		default:
			return batch
		}
	}
	return batch
}

// size is how long a call's arguments are, but for numbers.
func (c *batched) size() (n int) {
	for _, a := range c.args {
		if v, ok := a.(string); ok {
			n += len(v)
		}
	}
	return n
}

// send runs the calls of a batch, those of one script at a time, and those again by
// the text of the script that the server does not know.
func (b *batcher) send(batch []*batched) {
	groups := make(map[*script][]*batched)
	for _, c := range batch {
		if c.ctx.Err() == nil { // somebody still waits for it
			groups[c.script] = append(groups[c.script], c)
		}
	}
	ctx, cancel := context.WithTimeout(b.q.ctx, patience)
	defer cancel()
	if unknown := b.exchange(ctx, groups, redis.Pipeliner.EvalSha, (*script).name); len(unknown) > 0 {
		b.exchange(ctx, unknown, redis.Pipeliner.Eval, (*script).source)
	}
}

// eval is how a pipeline is given a script.
type eval func(p redis.Pipeliner, ctx context.Context, script string, keys []string, args ...any) *redis.Cmd

// exchange runs each script once, for all its calls, in one pipeline. It answers the calls
// but for those of scripts that the server does not know, which it returns.
func (b *batcher) exchange(ctx context.Context, groups map[*script][]*batched, run eval, by func(*script) string) map[*script][]*batched {
	pipe := b.q.client.Pipeline()
	cmds := make(map[*script]*redis.Cmd, len(groups))
	for s, calls := range groups {
		var args []any
		for _, c := range calls {
			args = append(append(args, len(c.args)), c.args...)
		}
		cmds[s] = run(pipe, ctx, by(s), b.q.keys, args...)
	}
	_, failed := pipe.Exec(ctx)
	unknown := make(map[*script][]*batched)
	for s, calls := range groups {
		err := cmds[s].Err()
		if err == nil && cmds[s].Val() == nil { // no connection was to be had
			err = failed
		}
		replies, _ := cmds[s].Val().([]any)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			unknown[s] = calls
			continue
		}
		if err == nil && len(replies) != len(calls) {
			err = errReply
		}
		for i, c := range calls {
			if c.err = err; err == nil {
				c.reply = replies[i]
			}
			close(c.done)
		}
	}
	return unknown
}
