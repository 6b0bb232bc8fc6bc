package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
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
var theLine = &line{queues: make(map[*targetState]*queue)}

// line holds those who wait, for each target that could serve them. Whenever a target may
// have become free, it is given to the next one in turn: first come, first
// served among the requests of one client, and turn by turn among clients.
type line struct {
	mu     sync.Mutex
	length int
	queues map[*targetState]*queue
}

// waiter is a request in line.
type waiter struct {
	model   string // for telemetry
	client  uint64
	targets []*target // any will do
	pass    chan pass // gets one
	left    bool      // it has a pass, or has given up
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

// clientOf tells the clients apart between whom the line is fair, by the secrets that they come with.
func clientOf(h http.Header) uint64 { return maphash.String(clientSeed, keys.Presented(h)) }

// wait stands in line until one of w's targets can take a call. beat, unless
// nil, is called every five seconds. The error is errLineFull, errLineTimeout,
// errShuttingDown or the cause of ctx.
func (l *line) wait(ctx context.Context, w *waiter, length int, limit time.Duration, beat func()) (pass, error) {
	w.pass = make(chan pass, 1)
	if !l.join(w, length) {
		return pass{}, errLineFull
	}
	var p pass
	err := observeWait(ctx, w.model, func() (err error) {
		p, err = w.stand(ctx, limit, beat)
		if err != nil && !l.leave(w) {
			p, err = <-w.pass, nil // it came at the last moment
			if ctx.Err() != nil {
				p.giveBack()
				err = context.Cause(ctx)
			}
		}
		return err
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
func (l *line) pause(ctx context.Context, model string, length int, d time.Duration, beat func()) error {
	if !l.extend(1, length) {
		return errLineFull
	}
	defer l.extend(-1, length)
	return observeWait(ctx, model, func() error {
		_, err := new(waiter).stand(ctx, d, beat)
		if errors.Is(err, errLineTimeout) {
			return nil // as it was to be
		}
		return err
	})
}

// extend changes how many are in line, and reports false if there is no room for more.
func (l *line) extend(by, length int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if by > 0 && l.length >= length {
		return false
	}
	l.length += by
	return true
}

func lineOutcome(err error) string {
	switch err {
	case nil:
		return telemetry.OutcomeOK
	case errLineTimeout:
		return telemetry.OutcomeTimeout
	case errShuttingDown:
		return telemetry.OutcomeShuttingDown
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
		case p := <-w.pass:
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
	if l.length >= length {
		return false
	}
	l.length++
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
	list := q.waiters[w.client]
	for i, other := range list {
		if other != w {
			continue
		}
		if i == 0 {
			list[0] = nil
			list = list[1:] // the usual case
		} else {
			list = append(list[:i], list[i+1:]...)
		}
		break
	}
	if len(list) > 0 {
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
