package redisqueue

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// listenTime is how long the connection for notifications may be silent before the
	// server is asked whether it is there, and as long again before it is given up.
	listenTime = 10 * time.Second
	// watchPause is how long to wait after that connection has failed.
	watchPause = 500 * time.Millisecond
)

// watches passes on what the server tells of jobs that somebody watches: over one connection
// per process, subscribed to the channels of just these jobs. The server may
// forget or the connection break, and what was told meanwhile is lost; so
// each confirmation of a subscription counts as news of its job.
type watches struct {
	q *queue
	// kick holds an element when changed is not empty.
	kick chan struct{}

	mu      sync.Mutex
	jobs    map[string]map[*watch]struct{} // by ID
	changed map[string]struct{}            // IDs whose watching has begun or ended
	started bool
	conn    *redis.PubSub
}

// watch is one who watches a job.
type watch struct {
	news   chan struct{}
	output bool
}

func newWatches(q *queue) *watches {
	return &watches{
		q:       q,
		kick:    make(chan struct{}, 1),
		jobs:    make(map[string]map[*watch]struct{}),
		changed: make(map[string]struct{}),
	}
}

// Watch implements overflow.Queue.
func (q *queue) Watch(id string, output bool) (changed <-chan struct{}, stop func()) {
	w := &watch{news: make(chan struct{}, 1), output: output}
	q.watches.add(id, w)
	var once sync.Once
	return w.news, func() { once.Do(func() { q.watches.remove(id, w) }) }
}

// add begins a watch. The first one ever opens the connection.
func (ws *watches) add(id string, w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.jobs[id] == nil {
		ws.jobs[id] = make(map[*watch]struct{})
		ws.note(id)
	}
	ws.jobs[id][w] = struct{}{}
	if !ws.started {
		ws.started = ws.q.start(ws.receive) && ws.q.start(ws.subscribe)
	}
}

func (ws *watches) remove(id string, w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.jobs[id], w)
	if len(ws.jobs[id]) == 0 {
		delete(ws.jobs, id)
		ws.note(id)
	}
}

// note has subscribe see to a job. ws.mu is held.
func (ws *watches) note(id string) {
	ws.changed[id] = struct{}{}
	select {
	case ws.kick <- struct{}{}:
	default:
	}
}

// connection returns the connection for notifications, which go-redis opens when it is used.
func (ws *watches) connection() *redis.PubSub {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.conn == nil {
		ws.conn = ws.q.client.SSubscribe(ws.q.ctx)
	}
	return ws.conn
}

// renew gives up a connection: the next has all subscriptions anew.
func (ws *watches) renew(old *redis.PubSub) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.conn != old {
		return
	}
	_ = old.Close()
	ws.conn = nil
	for id := range ws.jobs {
		ws.note(id)
	}
}

// close ends the connection.
func (ws *watches) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.conn != nil {
		_ = ws.conn.Close()
	}
}

// subscribe tells the server which jobs are watched, until the queue is closed.
func (ws *watches) subscribe() {
	for {
		select {
		case <-ws.q.ctx.Done():
			return
		case <-ws.kick:
		}
		ws.mu.Lock()
		var begun, ended []string
		for id := range ws.changed {
			channel := ws.q.prefix + "w:" + id
			if ws.jobs[id] != nil {
				begun = append(begun, channel)
			} else {
				ended = append(ended, channel)
			}
		}
		clear(ws.changed)
		ws.mu.Unlock()

		ctx, cancel := context.WithTimeout(ws.q.ctx, patience)
		conn := ws.connection()
		var err error
		if len(begun) > 0 {
			err = conn.SSubscribe(ctx, begun...)
		}
		if len(ended) > 0 && err == nil {
			err = conn.SUnsubscribe(ctx, ended...)
		}
		cancel()
		if err != nil {
			ws.q.pause(watchPause)
			ws.renew(conn)
		}
	}
}

// receive passes on what the server tells, until the queue is closed.
func (ws *watches) receive() {
	asked := false
	for ws.q.ctx.Err() == nil {
		conn := ws.connection()
		message, err := conn.ReceiveTimeout(ws.q.ctx, listenTime)
		if err == nil {
			asked = false
			ws.hear(conn, message)
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && !asked {
			asked = true
			if conn.Ping(ws.q.ctx) == nil {
				continue
			}
		}
		asked = false
		ws.q.pause(watchPause)
		ws.renew(conn)
	}
}

// hear passes on one message.
func (ws *watches) hear(conn *redis.PubSub, message any) {
	switch m := message.(type) {
	case *redis.Message:
		ws.tell(m.Channel, m.Payload == "o")
	case *redis.Subscription:
		if m.Kind == "ssubscribe" {
			ws.tell(m.Channel, false)
		} else if ws.watched(m.Channel) {
			// Unsubscribed and watched: by the server, since the slot has moved; or the
			// subscription was renewed, and is confirmed next.
			ws.renew(conn)
		}
	}
}

func (ws *watches) id(channel string) string { return strings.TrimPrefix(channel, ws.q.prefix+"w:") }

func (ws *watches) watched(channel string) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.jobs[ws.id(channel)] != nil
}

// tell gives news to those who watch a job: of its output, only to those who want that.
func (ws *watches) tell(channel string, output bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.jobs[ws.id(channel)] {
		if output && !w.output {
			continue
		}
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
}
