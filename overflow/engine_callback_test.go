package overflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/runestone-gateway/runestone/overflow"
)

// callbackConfig allows calls by plain HTTP, as a receivers' network takes them.
func callbackConfig() *overflow.CallbackConfig {
	return &overflow.CallbackConfig{
		Allow: []string{"*"}, AllowPrivate: []string{"127.0.0.0/8"}, Secrets: []string{callbackSecret},
	}
}

// receivers is a network of clients' servers, in memory.
type receivers struct {
	server http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	calls []call
	under map[string]int // calls under way, by host
	most  map[string]int
}

// call is one that came.
type call struct {
	host   string
	at     time.Time
	header http.Header
	body   []byte
	event  message
}

// message is what it said.
type message struct {
	ID   string
	Type string
	Data struct {
		ID, Status, URL string
		Response        *struct {
			StatusCode int `json:"status_code"`
			Body       json.RawMessage
		}
	}
}

// receive has w's callbacks come to receivers that answer with handler, as long as the test runs.
func (w *world) receive(handler http.HandlerFunc) *receivers {
	w.Helper()
	n := &receivers{
		conns: make(chan net.Conn), closed: make(chan struct{}),
		under: make(map[string]int), most: make(map[string]int),
	}
	n.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c := call{host: r.Host, at: time.Now(), header: r.Header.Clone(), body: body}
		if err != nil || json.Unmarshal(body, &c.event) != nil {
			w.Errorf("a receiver got %q, %v", body, err)
		}
		n.mu.Lock()
		n.calls = append(n.calls, c)
		n.under[r.Host]++
		n.most[r.Host] = max(n.most[r.Host], n.under[r.Host])
		n.mu.Unlock()
		defer func() {
			n.mu.Lock()
			n.under[r.Host]--
			n.mu.Unlock()
		}()
		handler(rw, r)
	})
	w.setup.CallOver(n.dial)
	go func() { _ = n.server.Serve(n) }()
	w.Cleanup(func() { n.server.Close(); w.setup.HangUp() })
	return n
}

func (n *receivers) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case n.conns <- theirs:
		return ours, nil
	case <-n.closed: // a transport goes on dialling for whoever comes next
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (n *receivers) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *receivers) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr implements net.Listener.
func (n *receivers) Addr() net.Addr { return &net.TCPAddr{} }

// got returns the calls that have come.
func (n *receivers) got() []call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls)
}

func TestClientsServersAreToldOfEachEnd(t *testing.T) {
	for name, test := range map[string]struct {
		serve  serveFunc
		cancel bool
		kind   string
		status string
		code   int
		body   string // in the callback
	}{
		"completed": {kind: "response.completed", status: "completed", code: 200, body: answerText},
		"refused": {func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(422, `{"error":"no"}`), nil
		}, false, "response.failed", "failed", 422, `{"error":"no"}`},
		"failed": {func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return nil, &overflow.Failure{Status: 404, Body: []byte(`{"error":"none"}`), Message: "none"}
		}, false, "response.failed", "failed", 404, `{"error":"none"}`},
		"cancelled":        {untilTold, true, "response.cancelled", "cancelled", 0, ""},
		"cancelled queued": {busy, true, "response.cancelled", "cancelled", 0, ""},
		"streamed": {func(ctx context.Context, _ *overflow.StoredRequest, _ *overflow.Job) (*overflow.Answer, error) {
			events := make(chan string, 1)
			events <- event(1)
			close(events)
			return stream(ctx, events), nil
		}, false, "response.completed", "completed", 0, ""},
		"long": {func(context.Context, *overflow.StoredRequest, *overflow.Job) (*overflow.Answer, error) {
			return whole(200, `"`+strings.Repeat("x", 70_000)+`"`), nil
		}, false, "response.completed", "completed", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{Callback: callbackConfig(), Encrypt: []string{encryptSecret}})
				n := w.receive(func(http.ResponseWriter, *http.Request) {})
				w.server.setRoom(0)
				if test.serve != nil {
					w.server.do(test.serve)
				}
				w.service.Start()
				job := w.submit("m", callTo("http://hooks.example/jobs?a=b"), priority(2))
				synctest.Wait()
				if test.cancel {
					if _, err := w.service.Cancel(t.Context(), "us", job.ID); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Second)
				calls := n.got()
				if len(calls) != 1 {
					t.Fatalf("%d calls", len(calls))
				}
				c := calls[0]
				verifier, err := standardwebhooks.NewWebhook(callbackSecret)
				if err != nil {
					t.Fatal(err)
				}
				// The library looks at the real clock, and this is another.
				if err := verifier.VerifyIgnoringTimestamp(c.body, c.header); err != nil {
					t.Error(err)
				}
				if c.event.Type != test.kind || c.event.Data.ID != job.ID || c.event.Data.Status != test.status || c.event.ID != c.header.Get("Webhook-Id") {
					t.Errorf("got %s", c.body)
				}
				switch r := c.event.Data.Response; {
				case r == nil && test.body != "", r != nil && (r.StatusCode != test.code || string(r.Body) != test.body):
					t.Errorf("its response is %+v, want %d %s", r, test.code, test.body)
				}
				told := w.all(overflow.Callback)
				if len(told) != 1 || told[0].State != overflow.Completed || told[0].Parent != job.ID || told[0].Owner != "us" ||
					told[0].Model != "hooks.example" || told[0].Priority != 2 || told[0].Attempt != 1 {
					t.Errorf("the callback's job is %+v", told)
				}
			})
		})
	}
}

// If the result is recorded, so is the callback, and the other way round.
func TestACallbackIsRecordedInOneStepWithTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := newFaultyQueue()
		var changes []overflow.Change
		q.apply = func(_ context.Context, _ overflow.Ref, change overflow.Change) (*overflow.Job, error) {
			changes = append(changes, change)
			return nil, overflow.ErrUnavailable
		}
		w := newWorldOn(t, q, &overflow.Config{Callback: callbackConfig()}).started()
		w.submit("m", callTo("http://hooks.example/"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, change := range changes {
			if change.To != overflow.Completed || change.Follow == nil || change.Follow.ID != changes[0].Follow.ID {
				t.Errorf("a change is to %s with %+v", change.To, change.Follow)
			}
		}
		if len(changes) < 2 || len(w.all(overflow.Callback)) != 0 {
			t.Errorf("%d changes were tried", len(changes))
		}
	})
}

func TestACallbackThatDoesNotGetThroughIsTriedAgainByTheSchedule(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, &overflow.Config{Callback: callbackConfig()})
		n := w.receive(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, completion, 500) })
		w.service.Start()
		job := w.submit("m", callTo("http://hooks.example/"))
		// Upkeep once a second for 76 hours is too much for a test: the drain rests in between.
		begin := time.Now()
		for range overflow.CallbackSchedule {
			time.Sleep(2 * time.Second)
			told := w.all(overflow.Callback)
			if len(told) == 0 || told[0].State != overflow.Scheduled {
				continue
			}
			w.service.Stop()
			time.Sleep(time.Until(told[0].RunAt))
			w.service.Start()
		}
		time.Sleep(2 * time.Second)
		calls := n.got()
		if len(calls) != 10 {
			t.Fatalf("%d calls, want 10", len(calls))
		}
		at := begin
		for i, c := range calls {
			if pause, want := c.at.Sub(at), overflow.CallbackSchedule[i]; pause < want*8/10 || pause > want*12/10+3*time.Second {
				t.Errorf("%s before call %d, want about %s", pause, i, want)
			}
			at = c.at
			if !bytes.Equal(c.body, calls[0].body) || c.header.Get("Webhook-Id") != calls[0].header.Get("Webhook-Id") {
				t.Errorf("call %d is another message", i)
			}
		}
		told := w.all(overflow.Callback)[0]
		if told.State != overflow.Discarded || told.Reason != overflow.ReasonAttempts || told.Attempt != 10 || told.Error != "the receiver answered 500 Internal Server Error" {
			t.Errorf("its job is %+v", told)
		}
		if _, err := w.queue.Get(t.Context(), job.ID); err == nil && w.get(job).State != overflow.Completed {
			t.Error("the request's job has suffered from it")
		}
	})
}

func TestAReceiverIsDoneAsItAsks(t *testing.T) {
	for name, test := range map[string]struct {
		answer  func(rw http.ResponseWriter)
		state   overflow.State
		reason  string
		minimum time.Duration
	}{
		"gone":  {func(rw http.ResponseWriter) { rw.WriteHeader(410) }, overflow.Discarded, overflow.ReasonRefused, 0},
		"later": {func(rw http.ResponseWriter) { rw.Header().Set("Retry-After", "120"); rw.WriteHeader(503) }, overflow.Scheduled, "", 2 * time.Minute},
		"elsewhere": {func(rw http.ResponseWriter) {
			rw.Header().Set("Location", "http://other.example/")
			rw.WriteHeader(307)
		}, overflow.Scheduled, "", 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, &overflow.Config{Callback: callbackConfig()})
				n := w.receive(func(rw http.ResponseWriter, _ *http.Request) { test.answer(rw) })
				w.service.Start()
				w.submit("m", callTo("http://hooks.example/"))
				time.Sleep(time.Second)
				told := w.all(overflow.Callback)[0]
				if told.State != test.state || told.Reason != test.reason || len(n.got()) != 1 {
					t.Errorf("its job is %+v after %d calls", told, len(n.got()))
				}
				if test.minimum > 0 && time.Until(told.RunAt) < test.minimum-time.Second {
					t.Errorf("it is tried again in %s", time.Until(told.RunAt))
				}
			})
		})
	}
}
