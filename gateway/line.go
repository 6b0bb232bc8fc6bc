package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"slices"
	"sync"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/telemetry"
)

// beatEvery is how often a waiting client is told that it is still in line.
const beatEvery = 5 * time.Second

// theLine is where requests wait that no target can take now. It is one for the
// process, as the states of targets are: a reload neither loses a place nor gives two.
var theLine = newLine()

func newLine() *line {
	return &line{queues: make(map[*targetState]*queue), clients: make(map[uint64][]*waiter)}
}

// line holds those who wait, for each target that could serve them. Whenever a target may
// have become free, it is given to the next one in turn: first come, first
// served among the requests of one client, and turn by turn among clients. When the line is full, who has most in it makes
// room for others.
type line struct {
	mu      sync.Mutex
	length  int
	queues  map[*targetState]*queue
	clients map[uint64][]*waiter // all who are in line, the newest last
}

// waiter is a request in line.
type waiter struct {
	model   string // for telemetry
	client  uint64
	known   bool      // the client is one of the configuration, and not whoever it says it is
	targets []*target // any will do; without any it waits for a time
	pass    chan pass // gets one, or is closed to make room for others
	left    bool      // it has a pass, or is no longer in line
}

// queue is who waits for one target.
type queue struct {
	turns   []uint64 // the clients who wait, the next one first
	waiters map[uint64][]*waiter
	timer   *time.Timer // serves the queue when the target's refusal has ended
}

var (
	errLineFull    = errors.New("the line is full")
	errLineTimeout = errors.New("the wait in line is over")
)

var clientSeed = maphash.MakeSeed()

// newWaiter returns a request that waits for one of the targets, or without any for a time. Clients are told apart by
// the secrets that they come with.
func (a *App) newWaiter(h http.Header, model string, targets []*target) *waiter {
	return &waiter{
		model: model, client: maphash.String(clientSeed, keys.Presented(h)), known: a.clients.directory != nil,
		targets: targets, pass: make(chan pass, 1),
	}
}

// wait stands in line until one of w's targets can take a call. beat, unless
// nil, is called every five seconds. The error is errLineFull, errLineTimeout,
// errShuttingDown or the cause of ctx.
func (l *line) wait(ctx context.Context, w *waiter, length int, limit time.Duration, beat func()) (pass, error) {
	if !l.join(w, length) {
		return pass{}, errLineFull
	}
	var p pass
	err := observeWait(ctx, w.model, func() (err error) {
		p, err = w.stand(ctx, limit, beat)
		if err == nil || err == errLineFull || l.leave(w) {
			return err
		}
		var came bool
		if p, came = <-w.pass; !came { // it was sent away at the last moment
			return err
		}
		if ctx.Err() != nil {
			p.giveBack()
			return context.Cause(ctx)
		}
		return nil
	})
	return p, err
}

// observeWait has a request stand in line, and tells of it by events and a span.
func observeWait(ctx context.Context, model string, stand func() error) error {
	start := clock()
	telemetry.LineEnter.Emit(telemetry.LineEntered{Model: model})
	_, span := telemetry.StartSpan(ctx, "line", trace.SpanKindInternal, semconv.GenAIRequestModel(model))
	err := stand()
	span.End(lineOutcome(err))
	telemetry.LineLeave.Emit(telemetry.LineLeft{Duration: clock() - start, Model: model, Outcome: lineOutcome(err)})
	return err
}

// pause is wait for a request that waits for a time rather than for a target: for its limit to have room. It
// counts like the others, and every request of its kind is served when its time has come.
func (l *line) pause(ctx context.Context, w *waiter, length int, d time.Duration, beat func()) error {
	if !l.join(w, length) {
		return errLineFull
	}
	defer l.leave(w)
	return observeWait(ctx, w.model, func() error {
		_, err := w.stand(ctx, d, beat)
		if errors.Is(err, errLineTimeout) {
			return nil // as it was to be
		}
		return err
	})
}

func lineOutcome(err error) string {
	switch err {
	case nil:
		return telemetry.OutcomeOK
	case errLineTimeout:
		return telemetry.OutcomeTimeout
	case errShuttingDown:
		return telemetry.OutcomeShuttingDown
	case errLineFull:
		return telemetry.OutcomeUnavailable
	default:
		return telemetry.OutcomeCanceled
	}
}

func (w *waiter) stand(ctx context.Context, limit time.Duration, beat func()) (pass, error) {
	over := time.NewTimer(limit)
	defer over.Stop()
	var beats <-chan time.Time
	if beat != nil {
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		beats = ticker.C
	}
	for {
		select {
		case p, came := <-w.pass:
			if !came {
				return pass{}, errLineFull
			}
			return p, nil
		case <-ctx.Done():
			return pass{}, context.Cause(ctx)
		case <-over.C:
			return pass{}, errLineTimeout
		case <-exit.closing:
			return pass{}, errShuttingDown
		case <-beats:
			beat()
		}
	}
}

// join puts w in line and serves its targets, so that none that was freed
// meanwhile is missed. It reports false when the line is full.
func (l *line) join(w *waiter, length int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.length >= length && !l.makeRoom(w) {
		return false
	}
	l.length++
	l.clients[w.client] = append(l.clients[w.client], w)
	for _, t := range w.targets {
		q := l.queues[t.state]
		if q == nil {
			q = &queue{waiters: make(map[uint64][]*waiter)}
			l.queues[t.state] = q
		}
		if len(q.waiters[w.client]) == 0 {
			q.turns = append(q.turns, w.client)
		}
		q.waiters[w.client] = append(q.waiters[w.client], w)
		t.state.waiting.Add(1)
	}
	for _, t := range w.targets {
		if w.left {
			break
		}
		l.serveLocked(t.state)
	}
	return true
}

// makeRoom sends away the newest request of the client who has most in line, if w's has no more than that even then. It
// reports false when nobody has to go.
func (l *line) makeRoom(w *waiter) bool {
	if !w.known {
		return false // nor would be who makes up one client after the other
	}
	var most []*waiter
	for _, list := range l.clients {
		if len(list) > len(most) {
			most = list
		}
	}
	if len(most) < len(l.clients[w.client])+2 {
		return false
	}
	last := most[len(most)-1]
	l.remove(last)
	close(last.pass)
	return true
}

// leave takes w out of the line, and reports false if it has a pass already.
func (l *line) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.left {
		return false
	}
	l.remove(w)
	return true
}

// remove takes w out of every queue.
func (l *line) remove(w *waiter) {
	w.left = true
	l.length--
	if list := cut(l.clients[w.client], w); len(list) > 0 {
		l.clients[w.client] = list
	} else {
		delete(l.clients, w.client)
	}
	for _, t := range w.targets {
		q := l.queues[t.state]
		q.remove(w)
		t.state.waiting.Add(-1)
		if len(q.turns) == 0 {
			q.stop()
			delete(l.queues, t.state)
		}
	}
}

func (q *queue) remove(w *waiter) {
	if list := cut(q.waiters[w.client], w); len(list) > 0 {
		q.waiters[w.client] = list
		return
	}
	delete(q.waiters, w.client)
	for i, client := range q.turns {
		if client == w.client {
			q.turns = append(q.turns[:i], q.turns[i+1:]...)
			break
		}
	}
}

// cut returns list without w.
func cut(list []*waiter, w *waiter) []*waiter {
	i := slices.Index(list, w)
	if i == 0 { // the usual case
		list[0] = nil
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
}

func (q *queue) stop() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}

// serve gives a target to those in line for it, as long as it can take calls.
func (l *line) serve(s *targetState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked(s)
}

func (l *line) serveLocked(s *targetState) {
	for {
		q := l.queues[s]
		if q == nil {
			return
		}
		client := q.turns[0]
		w := q.waiters[client][0]
		p, refused := w.targetOf(s).enter()
		if refused != nil {
			q.stop()
			if refused.after > 0 {
				q.timer = time.AfterFunc(max(refused.after, time.Millisecond), func() { l.serve(s) })
			}
			return
		}
		q.turns = append(q.turns[1:], client) // before remove, which may end it
		l.remove(w)
		w.pass <- p
	}
}

func (w *waiter) targetOf(s *targetState) *target {
	for _, t := range w.targets {
		if t.state == s {
			return t
		}
	}
	return nil
}

func refusalOf(err error) *refusal {
	r := &refusal{}
	if why, ok := errors.AsType[*breaker.Refusal](err); ok {
		r.after, r.down = why.RetryAfter, why.Reason != breaker.ErrPaused
	}
	return r
}

// waiting returns how many are in line.
func (l *line) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.length
}
