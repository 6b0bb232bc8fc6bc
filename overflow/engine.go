package overflow

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Server answers requests. It is the gateway, as far as the engine knows it.
type Server interface {
	// Serve answers a stored request without waiting for room. The caller closes the answer's Body.
	// The error is an *Unavailable when nobody can take the request now, and otherwise
	// says by being a *Failure what the client is to be told.
	Serve(ctx context.Context, r *StoredRequest, job *Job) (*Answer, error)
	// Room returns how many requests for a model could be taken now, 0 for none.
	Room(model string) int
	// Error returns the body of an error in the dialect in which a request was made.
	Error(r *StoredRequest, status int, code, message string) []byte
}

// Answer is what a server gives.
type Answer struct {
	Status int
	Header http.Header
	// Stream is whether the body is a stream of server-sent events.
	Stream bool
	Body   Body
}

// Body is the content of an answer. It is not safe for concurrent use.
type Body interface {
	// Next returns what has arrived, waiting if nothing has: of a stream, whole
	// events. It is valid until the next call. The error is io.EOF at the end, and
	// otherwise as that of Server.Serve; any other is taken for a broken connection.
	Next() ([]byte, error)
	// Close ends the call.
	Close() error
	// Spent returns what the answer has cost so far.
	Spent() Spent
}

// Spent is what an answer cost, and where.
type Spent struct {
	Provider string
	// Tokens; CachedInput and CacheWrite are parts of Input, Reasoning is part of Output.
	Input, CachedInput, CacheWrite, Output, Reasoning int64
	CostUSD                                           float64
}

// Unavailable is the error of a Server that has nobody to take a request now. It
// costs the request no attempt.
type Unavailable struct {
	// After is how long that is sure to last, 0 when that is not known.
	After time.Duration
	// Refused is whether a provider was asked, and has said so: room in the gateway's own
	// books means nothing then.
	Refused bool
	// Limited is whether a limit of whoever has asked for it is used up. Room for its model means nothing
	// then; After is when the limit has some, unless others are faster.
	Limited bool
}

// Error implements error.
func (u *Unavailable) Error() string { return "nobody can take the request now" }

// Failure is the error of a Server whose request has failed.
type Failure struct {
	// Status and Body are what the client is told if that is the end of it: an
	// error in its own dialect.
	Status int
	Body   []byte
	// Message says the same for operators. It holds nothing of the request or its answer.
	Message string
	// Again is whether a further attempt may do better.
	Again bool
	// Provider is the last one that was asked, "" if none was.
	Provider string
}

// Error implements error.
func (f *Failure) Error() string { return f.Message }

// Engine runs what is in a queue. There is one for each queue in a process, whatever
// configurations come and go: a [Service] is how each of these sees it. The zero Engine
// is not usable. Its methods are safe for concurrent use.
type Engine struct {
	queue  Queue
	logger *zap.Logger

	requests  workers
	callbacks workers
	claims    sync.WaitGroup // the loops that claim
	loops     sync.WaitGroup // all others
	closing   chan struct{}  // closed when Close begins
	shut      chan struct{}  // closed when nothing can be recorded any more
	room      chan struct{}  // gets a value when a lane may have room
	pace      chan struct{}  // gets a value when leases may have become shorter
	lanes     lanes
	quarrels  quarrels
	pulse     pulse

	mu      sync.Mutex
	setups  []*Setup        // that have begun and not ended; the last is in force
	drain   context.Context // ends when the drain stands still
	halt    context.CancelFunc
	running map[*run]struct{}
	calls   map[string]int // callbacks under way, by hosts and by lanes of owners
	idle    chan struct{}  // closed when running falls to none; nil while nobody waits for that
	started bool
	closed  bool
}

// ErrCancelled is the cause for which the context of [Server.Serve] ends when nobody wants the job any more.
var ErrCancelled = errors.New("the job is cancelled")

// Why else a run ends before its time.
var (
	errStopping = errors.New("the process is about to exit")
	errLost     = errors.New("the lease is lost")
	errTimeout  = errors.New("the job took too long (job_timeout)")
)

// NewEngine returns an engine that stands still. It owns the queue from now on.
func NewEngine(queue Queue, logger *zap.Logger) *Engine {
	e := &Engine{
		queue: queue, logger: logger,
		closing: make(chan struct{}),
		shut:    make(chan struct{}),
		room:    make(chan struct{}, 1),
		pace:    make(chan struct{}, 1),
		running: make(map[*run]struct{}),
		calls:   make(map[string]int),
	}
	e.quarrels.logger = logger
	e.pulse.begin()
	e.requests = workers{kind: Request, freed: make(chan struct{}, 1)}
	e.callbacks = workers{kind: Callback, freed: make(chan struct{}, 1)}
	return e
}

// begin has the engine drain the queue as s says. It takes over from whichever
// setup was in force.
func (e *Engine) begin(s *Setup) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if len(e.setups) == 0 {
		e.pulse.begin() // it may have stood still
		e.drain, e.halt = context.WithCancel(context.Background())
	}
	e.setups = append(e.without(s), s)
	if !e.started {
		e.started = true
		e.claims.Go(func() { e.claim(&e.requests) })
		e.claims.Go(func() { e.claim(&e.callbacks) })
		for _, loop := range []func(){e.heartbeats, e.upkeep, e.wakeLanes} {
			e.loops.Go(loop)
		}
	}
	e.turned()
}

// end has the engine no longer drain the queue as s says. If another setup has taken over,
// that goes on. If it had taken over from one that has not ended, as when a new
// configuration fails to start, that is in force again. Otherwise nothing more is claimed. What runs
// goes on in any case.
func (e *Engine) end(s *Setup) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := len(e.setups)
	e.setups = e.without(s)
	switch {
	case len(e.setups) == before:
	case len(e.setups) == 0:
		e.halt()
	default:
		e.turned()
	}
}

// without returns the setups other than s. e.mu is held.
func (e *Engine) without(s *Setup) []*Setup {
	return slices.DeleteFunc(e.setups, func(other *Setup) bool { return other == s })
}

// turned tells the loops that another setup is in force.
func (e *Engine) turned() {
	e.requests.nudge()
	e.callbacks.nudge()
	e.nudgeLanes()
	nudge(e.pace)
}

// inForce returns the setup in force, nil if the drain stands still. e.mu is held.
func (e *Engine) inForce() *Setup {
	if len(e.setups) == 0 {
		return nil
	}
	return e.setups[len(e.setups)-1]
}

// current is inForce for those who do not hold e.mu.
func (e *Engine) current() *Setup {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inForce()
}

// finish waits until nothing runs any more, for at most limit; then it cancels
// what does, which puts it back into the queue, and waits for that, too.
func (e *Engine) finish(limit time.Duration) {
	if e.quiet(limit) {
		return
	}
	e.cancelRuns(errStopping)
	e.quiet(returnLimit)
}

// returnLimit is how long cancelled runs get to put their jobs back.
const returnLimit = 4 * time.Second

// quiet waits until nothing runs, and reports whether that came true.
func (e *Engine) quiet(limit time.Duration) bool {
	e.mu.Lock()
	if len(e.running) == 0 {
		e.mu.Unlock()
		return true
	}
	if e.idle == nil {
		e.idle = make(chan struct{})
	}
	idle := e.idle
	e.mu.Unlock()
	return within(idle, limit)
}

// within waits for a channel to be closed, and reports whether that came true.
func within(closed <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-timer.C:
		return false
	}
}

func (e *Engine) cancelRuns(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.running {
		r.cancel(cause)
	}
}

// Destruct implements caddy.Destructor: it closes the engine.
func (e *Engine) Destruct() error { return e.Close() }

// Close puts what runs back into the queue, ends everything and closes the queue. It
// waits some seconds for that, but no longer for a run that does not end although it was told to.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	if len(e.setups) > 0 {
		e.setups = nil
		e.halt()
	}
	close(e.closing)
	e.mu.Unlock()
	// What is just being claimed is put back as well, so it has to be waited for first.
	claimed := make(chan struct{})
	go func() { e.claims.Wait(); close(claimed) }()
	within(claimed, returnLimit)
	e.finish(0)
	close(e.shut)
	err := e.queue.Close() // which ends every call
	e.claims.Wait()
	e.loops.Wait()
	e.lanes.silence()
	e.quiet(time.Second)
	return err
}

// Freed tells the engine that a server may have room again. It is quick, and may be
// called whenever that is not impossible.
func (e *Engine) Freed() {
	if e.lanes.any() {
		e.nudgeLanes()
	}
}

// Queue is what the engine drains.
func (e *Engine) Queue() Queue { return e.queue }

// sleep waits, and reports false if the engine was closed meanwhile.
func (e *Engine) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.closing:
		return false
	}
}

// quarrels logs what is wrong with the queue, once in a while: it tends to be
// wrong for a while.
type quarrels struct {
	logger *zap.Logger
	mu     sync.Mutex
	last   time.Time
}

const quarrelEvery = 10 * time.Second

func (q *quarrels) log(what string, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); now.Sub(q.last) >= quarrelEvery {
		q.last = now
		q.logger.Error(what, zap.Error(err))
	}
}
