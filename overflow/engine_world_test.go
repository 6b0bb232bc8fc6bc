package overflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

const (
	// prompt and completion are in each request and each answer, and in no log.
	prompt     = "PRIVATE-PROMPT"
	completion = "PRIVATE-COMPLETION"
	// encryptSecret and callbackSecret are nowhere else but in configurations.
	encryptSecret  = "SECRET-OF-THE-QUEUE-1"
	encryptSecret2 = "SECRET-OF-THE-QUEUE-2"
	callbackSecret = "whsec_U0VDUkVULU9GLVRIRS1DQUxMQkFDS1MtMQ=="
)

// bubble runs a test with time of its own, which passes as soon as nobody does anything. It
// fails if a goroutine is left.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// world is an engine, what it drains, and whom it asks.
type world struct {
	*testing.T
	queue   overflow.Queue // what the engine drains, faults included
	server  *fakeServer
	engine  *overflow.Engine
	setup   *overflow.Setup
	service *overflow.Service
	logs    *observer.ObservedLogs
}

// newWorld returns one whose drain stands still, and which ends with the test.
func newWorld(t *testing.T, config *overflow.Config) *world {
	t.Helper()
	return newWorldOn(t, queuetest.NewQueue(), config)
}

// newWorldOn returns one that drains a queue.
func newWorldOn(t *testing.T, queue overflow.Queue, config *overflow.Config) *world {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	w := &world{T: t, queue: queue, server: newFakeServer(), logs: logs}
	w.engine = overflow.NewEngine(queue, zap.New(core))
	w.server.freed = w.engine.Freed
	w.setup, w.service = w.serve(config)
	t.Cleanup(w.checkLogs)
	t.Cleanup(func() {
		if err := w.engine.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return w
}

// serve returns a further service of the engine.
func (w *world) serve(config *overflow.Config) (*overflow.Setup, *overflow.Service) {
	w.Helper()
	setup, err := overflow.NewSetup(config, w.server)
	if err != nil {
		w.Fatal(err)
	}
	return setup, overflow.NewService(w.engine, setup)
}

// started returns w after its drain has begun.
func (w *world) started() *world {
	w.service.Start()
	return w
}

// checkLogs fails the test if a log holds what it must not.
func (w *world) checkLogs() {
	for _, entry := range w.logs.All() {
		fields, _ := json.Marshal(entry.ContextMap())
		text := entry.Message + string(fields) + entry.Stack
		for _, secret := range []string{prompt, completion, encryptSecret, encryptSecret2, callbackSecret} {
			if strings.Contains(text, secret) {
				w.Errorf("a log holds %s: %s", secret, text)
			}
		}
	}
}

// logged returns how many entries have a message.
func (w *world) logged(message string) int {
	return w.logs.FilterMessage(message).Len()
}

// request returns a request for a model.
func request(model string) *overflow.StoredRequest {
	return &overflow.StoredRequest{
		Method: "POST", Path: "/v1/chat/completions", Header: http.Header{"Content-Type": {"application/json"}}, Model: model,
		Body: fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, prompt),
	}
}

// submit queues a request for a model, changed by the options.
func (w *world) submit(model string, options ...func(*overflow.Submission)) *overflow.Job {
	w.Helper()
	sub := &overflow.Submission{Request: request(model), Owner: "us"}
	for _, option := range options {
		option(sub)
	}
	job, existed, err := w.service.Submit(w.Context(), sub)
	if err != nil || existed {
		w.Fatalf("submitting: existed %t, %v", existed, err)
	}
	return job
}

func priority(n int) func(*overflow.Submission) {
	return func(s *overflow.Submission) { s.Priority = &n }
}

func callTo(url string) func(*overflow.Submission) {
	return func(s *overflow.Submission) { s.Request.Callback = url }
}

// get returns a job as it is now.
func (w *world) get(job *overflow.Job) *overflow.Job {
	w.Helper()
	now, err := w.queue.Get(w.Context(), job.ID)
	if err != nil {
		w.Fatal(err)
	}
	return now
}

// until waits, in a bubble's time, until a job is in a state.
func (w *world) until(job *overflow.Job, state overflow.State) *overflow.Job {
	w.Helper()
	for range 10_000 {
		if now := w.get(job); now.State == state {
			return now
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.Fatalf("the job is %+v, want it %s", w.get(job), state)
	return nil
}

// is fails the test unless a job is in a state for a reason, and has used up so many attempts.
func (w *world) is(job *overflow.Job, state overflow.State, reason string, attempt int) *overflow.Job {
	w.Helper()
	now := w.get(job)
	if now.State != state || now.Reason != reason || now.Attempt != attempt {
		w.Errorf("the job is %s %q after %d attempts (%s), want %s %q after %d", now.State, now.Reason, now.Attempt, now.Error, state, reason, attempt)
	}
	return now
}

// answer returns the stored answer of a job, and its body.
func (w *world) answer(job *overflow.Job) (*overflow.StoredAnswer, string) {
	w.Helper()
	a, err := w.service.Answer(w.get(job))
	if err != nil {
		w.Fatal(err)
	}
	if a == nil {
		return nil, ""
	}
	var body strings.Builder
	for {
		p, err := a.Next(w.Context())
		if err == io.EOF {
			return a, body.String()
		}
		if err != nil {
			w.Fatal(err)
		}
		body.Write(p)
	}
}

// all returns all jobs of a kind, the oldest first.
func (w *world) all(kind overflow.Kind) []*overflow.Job {
	w.Helper()
	list, err := w.queue.List(w.Context(), overflow.Filter{Kind: kind, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	jobs := make([]*overflow.Job, len(list))
	for i, job := range list {
		jobs[len(list)-1-i] = w.get(job)
	}
	return jobs
}

// serveFunc answers a request.
type serveFunc func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error)

// fakeServer is a server that does as it is told.
type fakeServer struct {
	freed func()

	mu    sync.Mutex
	serve serveFunc
	room  func(model string) int
	calls map[string]int // by job
	order []string
	busy  int
	most  int // that were busy at a time

	reports, checks atomic.Int32
	healthy         atomic.Bool
}

// newFakeServer returns one that answers all requests at once and has room for many.
func newFakeServer() *fakeServer {
	s := &fakeServer{calls: make(map[string]int), freed: func() {}}
	s.healthy.Store(true)
	s.serve = func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
		return whole(http.StatusOK, answerText), nil
	}
	s.room = func(string) int { return 100 }
	return s
}

const answerText = `{"id":"chatcmpl-1","choices":[{"message":{"content":"` + completion + `"}}]}`

// do sets how requests are answered from now on.
func (s *fakeServer) do(f serveFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = f
}

// setRoom sets how much room there is from now on.
func (s *fakeServer) setRoom(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = func(string) int { return n }
}

// Serve implements overflow.Server.
func (s *fakeServer) Serve(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
	s.mu.Lock()
	s.calls[job.ID]++
	s.order = append(s.order, job.ID)
	s.busy++
	s.most = max(s.most, s.busy)
	serve := s.serve
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	return serve(ctx, r, job)
}

// Room implements overflow.Server.
func (s *fakeServer) Room(model string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room(model)
}

// Error implements overflow.Server.
func (s *fakeServer) Error(_ *overflow.StoredRequest, status int, code, message string) []byte {
	return fmt.Appendf(nil, `{"error":{"status":%d,"code":%q,"message":%q}}`, status, code, message)
}

// Report implements overflow.Reporter.
func (s *fakeServer) Report() []zap.Field {
	s.reports.Add(1)
	return []zap.Field{zap.Int("streams", 3)}
}

// Healthy implements overflow.Reporter.
func (s *fakeServer) Healthy() bool {
	s.checks.Add(1)
	return s.healthy.Load()
}

// served returns how often a job was.
func (s *fakeServer) served(job *overflow.Job) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[job.ID]
}

// fakeBody is a body whose pieces a function returns.
type fakeBody struct {
	next   func() ([]byte, error)
	spent  overflow.Spent
	closed atomic.Bool
}

// Next implements overflow.Body.
func (b *fakeBody) Next() ([]byte, error) { return b.next() }

// Close implements overflow.Body.
func (b *fakeBody) Close() error {
	if b.closed.Swap(true) {
		panic("closed twice")
	}
	return nil
}

// Spent implements overflow.Body.
func (b *fakeBody) Spent() overflow.Spent {
	if b.closed.Load() {
		panic("asked when it was closed already")
	}
	return b.spent
}

// whole returns an answer that comes in two pieces.
func whole(status int, text string) *overflow.Answer {
	rest := [][]byte{[]byte(text[:len(text)/2]), []byte(text[len(text)/2:])}
	return &overflow.Answer{
		Status: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: &fakeBody{spent: overflow.Spent{Provider: "fake", Input: 3, Output: 5}, next: func() ([]byte, error) {
			if len(rest) == 0 {
				return nil, io.EOF
			}
			p := rest[0]
			rest = rest[1:]
			return p, nil
		}},
	}
}

// stream returns an answer that is a stream of events, as they come out of a channel. It ends
// when that is closed, or with ctx.
func stream(ctx context.Context, events <-chan string) *overflow.Answer {
	return &overflow.Answer{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Stream: true,
		Body: &fakeBody{spent: overflow.Spent{Provider: "fake", Output: 9}, next: func() ([]byte, error) {
			select {
			case event, ok := <-events:
				if !ok {
					return nil, io.EOF
				}
				return []byte(event), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}},
	}
}

// untilTold is a request that runs until it is told to end.
func untilTold(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// fails is a request that fails, and may do better the next time.
func fails(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
	return nil, &overflow.Failure{Status: 502, Message: "the provider fake answered 500", Again: true, Provider: "fake"}
}

// busy is a request that nobody can take.
func busy(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
	return nil, &overflow.Unavailable{}
}

// seconds is a span of a configuration.
func seconds(n float64) caddy.Duration { return caddy.Duration(n * float64(time.Second)) }
