package keys

import (
	"context"
	"sync"
	"time"
)

const (
	// leaseTime is for how long Redis believes that a request is under way of a node that does not
	// say so again, and leaseRefresh how often a node does.
	leaseTime    = 45 * time.Second
	leaseRefresh = 15 * time.Second
	// laneLength is how many calls may wait, and laneBatch how many go together.
	laneLength = 4096
	laneBatch  = 64
	// refreshBatch is how many leases are refreshed by one call.
	refreshBatch = 500
)

// lane sends what nobody waits for: usage that became known, and that requests are still under way.
type lane struct {
	remote *remote
	calls  chan *call
	begin  sync.Once
	began  bool // guarded by begin
	end    chan struct{}
	ended  chan struct{}

	mu   sync.Mutex
	held map[string]map[string]struct{} // leases by the sorted set that they are in
}

func newLane(r *remote) *lane {
	return &lane{
		remote: r, calls: make(chan *call, laneLength), held: make(map[string]map[string]struct{}),
		end: make(chan struct{}), ended: make(chan struct{}),
	}
}

// run runs the lane, from its first use on.
func (n *lane) run() {
	n.begin.Do(func() {
		n.began = true
		go n.serve()
	})
}

// send sends a call soon, unless it is nil. It never waits: what is too much is lost, so that its leases end
// by themselves and its requests count as they were estimated.
func (n *lane) send(c *call) {
	if c == nil {
		return
	}
	n.run()
	select {
	case n.calls <- c:
	default:
	}
}

// close sends what waits and closes the client. Nothing must be sent after it.
func (n *lane) close() {
	close(n.end)
	n.begin.Do(func() {})
	if !n.began {
		_ = n.remote.client.Close()
		close(n.ended)
	}
}

func (n *lane) serve() {
	defer close(n.ended)
	defer func() { _ = n.remote.client.Close() }()
	tick := time.NewTicker(leaseRefresh)
	defer tick.Stop()
	for {
		select {
		case c := <-n.calls:
			n.sendBatch(c)
		case <-tick.C:
			n.refresh()
		case <-n.end:
			for {
				select {
				case c := <-n.calls:
					n.sendBatch(c)
				default:
					return
				}
			}
		}
	}
}

// sendBatch sends a call and those that wait by now.
func (n *lane) sendBatch(first *call) {
	batch := []*call{first}
	for len(batch) < laneBatch {
		select {
		case c := <-n.calls:
			batch = append(batch, c)
			continue
		default:
		}
		break
	}
	n.remote.saw(n.remote.run(context.Background(), batch))
}

// hold has a lease refreshed as long as it is held.
func (n *lane) hold(slots []*slot, id string) {
	for _, s := range slots {
		for _, key := range s.call.keys[s.nwin:] {
			n.run()
			n.mu.Lock()
			if n.held[key] == nil {
				n.held[key] = make(map[string]struct{})
			}
			n.held[key][id] = struct{}{}
			n.mu.Unlock()
		}
	}
}

// letGo ends the refreshing of a lease.
func (n *lane) letGo(slots []*slot, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range slots {
		for _, key := range s.call.keys[s.nwin:] {
			delete(n.held[key], id)
			if len(n.held[key]) == 0 {
				delete(n.held, key)
			}
		}
	}
}

// refresh says which requests are under way. A lease that ends meanwhile is removed by a call that comes
// after this one, since there is but one lane.
func (n *lane) refresh() {
	var calls []*call
	n.mu.Lock()
	for key, ids := range n.held {
		var c *call
		for id := range ids {
			if c == nil || len(c.args) > refreshBatch {
				c = &call{script: n.remote.scripts.refresh, keys: []string{key}, args: []any{leaseTime.Microseconds()}}
				calls = append(calls, c)
			}
			c.args = append(c.args, id)
		}
	}
	n.mu.Unlock()
	for len(calls) > 0 {
		batch := calls[:min(laneBatch, len(calls))]
		calls = calls[len(batch):]
		err := n.remote.run(context.Background(), batch)
		n.remote.saw(err)
		if err != nil {
			return
		}
	}
}

// settle corrects what a lease's request has used, as usage.settle does.
func (r *remote) settle(l *Lease, actual *[kinds]int64) {
	slots := r.slots(l)
	r.lane.letGo(slots, l.id)
	for _, s := range slots {
		r.lane.send(s.settling(r, l.id, actual))
	}
	r.release()
}

// settling returns the call that ends a lease in a slot, nil if there is nothing to do.
func (s *slot) settling(r *remote, id string, actual *[kinds]int64) *call {
	c := &call{script: r.scripts.settle, args: []any{id, 0}}
	windows := 0
	for i, k := range s.checks[:s.nwin] {
		used := actual[k.rule.kind]
		if used < 0 || used == k.amount {
			continue
		}
		windows++
		c.keys = append(c.keys, s.call.keys[i])
		c.args = append(c.args, k.micros(), k.remotePart, used-k.amount)
	}
	c.args[1] = windows
	c.keys = append(c.keys, s.call.keys[s.nwin:]...)
	if len(c.keys) == 0 {
		return nil
	}
	return c
}

// read reads the answer of take.
func (s *slot) read() (took bool, err error) {
	n := make([]int64, len(s.call.reply))
	for i, v := range s.call.reply {
		var ok bool
		if n[i], ok = v.(int64); !ok {
			return false, errReply
		}
	}
	if len(n) != 1+5*s.nwin+2*(s.n-s.nwin) {
		return false, errReply
	}
	took, n = n[0] == 1, n[1:]
	micros := func(v int64) time.Duration {
		if v < 0 {
			return never
		}
		return time.Duration(v) * time.Microsecond
	}
	for _, c := range s.checks[:s.nwin] {
		c.used, c.wait, c.reset, c.grow, c.remotePart = n[0], micros(n[1]), micros(n[2]), micros(n[3]), n[4]
		n = n[5:]
	}
	for _, c := range s.checks[s.nwin:s.n] {
		c.used, c.wait = n[0], time.Duration(n[1])*concurrencyWait
		n = n[2:]
	}
	return took, nil
}

// undo takes a request out of what the checks say is used.
func (s *slot) undo() {
	for _, c := range s.checks[:s.n] {
		if c.rule.kind == Concurrency {
			c.used--
		} else {
			c.used -= c.amount
		}
	}
}
