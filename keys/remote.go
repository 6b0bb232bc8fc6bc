package keys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// awayFor is how long Redis is left alone once it has not answered; then one request tries again.
const awayFor = time.Second

// remotes are the connections to Redis, by where and as who, shared by all configurations that name the same.
var remotes = caddy.NewUsagePool()

// remote counts in Redis. It lives as long as a limiter or a lease needs it.
type remote struct {
	pooled  [sha256.Size]byte // in remotes
	client  redis.UniversalClient
	prefix  string // of all keys
	scripts *scripts
	log     *zap.Logger

	refs atomic.Int64 // the pool's and each lease's
	shut sync.Once

	away atomic.Int64 // until when, as time since start; 0 while Redis answers

	node string // of leases, new with each process
	ids  atomic.Uint64
	lane *lane // of what nobody waits for
}

// openRemote returns what counts in a server. It connects to nothing yet. It must be dropped.
func openRemote(c *Redis, log *zap.Logger) (*remote, error) {
	address, err := resolveURL(c.URL)
	if err != nil {
		return nil, err
	}
	options, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	name := c.Name
	if name == "" {
		name = "runestone"
	}
	sum := sha256.Sum256([]byte(name + "\x00" + address))
	value, _, err := remotes.LoadOrNew(sum, func() (caddy.Destructor, error) {
		return newRemote(sum, redis.NewUniversalClient(options), name, log), nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*remote), nil
}

func newRemote(pooled [sha256.Size]byte, client redis.UniversalClient, name string, log *zap.Logger) *remote {
	r := &remote{
		pooled: pooled, client: client, prefix: name + ":limits:", scripts: standardScripts,
		log: log, node: rand.Text()[:10] + "-",
	}
	r.lane = newLane(r)
	r.refs.Store(1)
	return r
}

// drop ends one use by a limiter.
func (r *remote) drop() { _, _ = remotes.Delete(r.pooled) }

// Destruct implements caddy.Destructor. Leases may go on using r.
func (r *remote) Destruct() error {
	r.release()
	return nil
}

func (r *remote) release() {
	if r.refs.Add(-1) == 0 {
		r.shut.Do(r.lane.close)
	}
}

// may reports whether to ask Redis: it answers, or it is time to try again and nobody else does.
func (r *remote) may() bool {
	until := r.away.Load()
	if until == 0 {
		return true
	}
	now := int64(time.Since(start))
	return now >= until && r.away.CompareAndSwap(until, now+int64(awayFor))
}

// saw takes note of whether Redis has answered.
func (r *remote) saw(err error) {
	if err != nil {
		if r.away.Swap(int64(time.Since(start)+awayFor)) == 0 {
			r.log.Warn("Redis does not answer, so that this node cannot count together with others: it goes by the configuration's away until Redis is back", zap.Error(err))
		}
		return
	}
	if r.away.Load() != 0 && r.away.Swap(0) != 0 {
		r.log.Info("Redis answers again: nodes count together")
	}
}

// call is one script with what it is given and what it returned.
type call struct {
	script *script
	keys   []string
	args   []any
	reply  []any
	err    error
}

var errReply = errors.New("Redis has sent an answer that is not understood")

// run runs scripts in one exchange with the server. It returns the first error.
func (r *remote) run(ctx context.Context, calls []*call) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unknown := r.exchange(ctx, calls, redis.Pipeliner.EvalSha, func(s *script) string { return s.sha })
	if len(unknown) > 0 {
		r.exchange(ctx, unknown, redis.Pipeliner.Eval, func(s *script) string { return s.text })
	}
	for _, c := range calls {
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// eval is how a pipeline is given a script.
type eval func(p redis.Pipeliner, ctx context.Context, script string, keys []string, args ...any) *redis.Cmd

// exchange runs scripts and returns those that the server does not know.
func (r *remote) exchange(ctx context.Context, calls []*call, by eval, name func(*script) string) (unknown []*call) {
	pipe := r.client.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		cmds[i] = by(pipe, ctx, name(c.script), c.keys, c.args...)
	}
	_, failed := pipe.Exec(ctx)
	for i, c := range calls {
		value, err := cmds[i].Result()
		if err == nil && value == nil {
			err = errReply
			if failed != nil { // no connection was to be had
				err = failed
			}
		}
		c.reply, _ = value.([]any)
		c.err = err
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	return unknown
}

// slot is the limits of a lease that are in one hash slot: of the caller, or of the model.
type slot struct {
	checks [maxChecks]*check // windows first
	n      int
	nwin   int
	call   call
}

// slots returns the limits of a lease.
func (r *remote) slots(l *Lease) []*slot {
	var all []*slot
	for _, ofModel := range [...]bool{false, true} {
		s := new(slot)
		for _, concurrency := range [...]bool{false, true} {
			for i := range l.checks[:l.nchecks] {
				c := &l.checks[i]
				if (c.rule.scope == OfModel) == ofModel && (c.rule.kind == Concurrency) == concurrency {
					s.checks[s.n] = c
					s.n++
				}
			}
			if !concurrency {
				s.nwin = s.n
			}
		}
		if s.n > 0 {
			for _, c := range s.checks[:s.n] {
				s.call.keys = append(s.call.keys, r.prefix+c.rule.key)
			}
			all = append(all, s)
		}
	}
	return all
}

// micros returns the length of a window's parts in microseconds.
func (c *check) micros() int64 { return partTime(c.rule.window) / int64(time.Microsecond) }

// take admits a lease's request if none of its limits is reached, and counts it then. If counted is false, that is
// not known, as Redis does not answer.
func (r *remote) take(ctx context.Context, l *Lease) (ok, counted bool) {
	if !r.may() {
		return false, false
	}
	l.id = r.node + strconv.FormatUint(r.ids.Add(1), 36)
	slots := r.slots(l)
	calls := make([]*call, len(slots))
	for i, s := range slots {
		args := append(make([]any, 0, 3+3*s.n), l.id, leaseTime.Microseconds(), s.nwin)
		for _, c := range s.checks[:s.nwin] {
			args = append(args, c.rule.limit, c.amount, c.micros())
		}
		for _, c := range s.checks[s.nwin:s.n] {
			args = append(args, c.rule.limit)
		}
		s.call.script, s.call.args = r.scripts.take, args
		calls[i] = &s.call
	}
	err := r.run(ctx, calls)
	took := make([]bool, len(slots))
	ok = true
	for i, s := range slots {
		if s.call.err == nil {
			took[i], s.call.err = s.read()
		}
		if s.call.err != nil && err == nil {
			err = s.call.err
		}
		ok = ok && took[i]
	}
	if ctx.Err() == nil { // else it is the client that does not wait
		r.saw(err)
	}
	if err != nil || !ok {
		for i, s := range slots {
			if took[i] { // from all or from none
				s.undo()
				r.lane.send(s.settling(r, l.id, new([kinds]int64)))
			}
		}
		return false, err == nil
	}
	r.refs.Add(1)
	l.remote = r
	r.lane.hold(slots, l.id)
	return true, true
}
