//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger is a provider that keeps account of who asked it what. What a request wants is a marker
// in its prompt; who asks is its API key, which is another one in each life of a gateway.
type ledger struct {
	t    testing.TB
	url  string
	stop chan struct{} // closed when the test is over

	mu    sync.Mutex
	play  func(*served) // how requests are answered
	runs  map[string][]*served
	order []*served // as they came
	busy  int
	most  int // that busy has ever been
}

// served is one request that reached the provider.
type served struct {
	l      *ledger
	w      http.ResponseWriter
	gone   <-chan struct{} // closed when the gateway has left
	marker string
	life   string // of the gateway that asked
	stream bool
	number int // among the runs of the marker, from 1

	// Guarded by the ledger's mu.
	began    time.Time
	answered string // what was sent, "" if it was not, or not to the end
}

func newLedger(t testing.TB) *ledger {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{
		t: t, url: "http://" + ln.Addr().String(), stop: make(chan struct{}),
		play: quickly, runs: make(map[string][]*served),
	}
	srv := &http.Server{Handler: l}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { close(l.stop); _ = srv.Close() })
	return l
}

// quickly answers within 30 milliseconds.
func quickly(s *served) {
	s.pause(rand.N(30 * time.Millisecond))
	s.answer()
}

// plays has requests answered so from now on.
func (l *ledger) plays(play func(*served)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.play = play
}

// gate holds every answer back until it is opened.
type gate struct{ opened chan struct{} }

func newGate() *gate  { return &gate{make(chan struct{})} }
func (g *gate) open() { close(g.opened) }
func (g *gate) pass(s *served) bool {
	select {
	case <-g.opened:
		return true
	case <-s.gone:
	case <-s.l.stop:
	}
	return false
}

// gated answers at once when the gate has been opened.
func gated(g *gate) func(*served) {
	return func(s *served) {
		if g.pass(s) {
			s.answer()
		}
	}
}

// ServeHTTP implements http.Handler.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var asked struct {
		Stream   bool
		Messages []struct{ Content string }
	}
	if err != nil || json.Unmarshal(body, &asked) != nil || len(asked.Messages) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	marker, _, _ := strings.Cut(asked.Messages[0].Content, " ") // what follows is ballast
	s := &served{
		l: l, w: w, gone: r.Context().Done(), marker: marker, stream: asked.Stream, began: time.Now(),
		life: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "),
	}
	l.mu.Lock()
	l.runs[marker] = append(l.runs[marker], s)
	l.order = append(l.order, s)
	s.number = len(l.runs[marker])
	play := l.play
	l.busy++
	l.most = max(l.most, l.busy)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.busy--
		l.mu.Unlock()
	}()
	play(s)
}

// pause waits, but not for a gateway that has left.
func (s *served) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.gone:
	case <-s.l.stop:
	}
}

// words is what the provider says to this run, and to no other.
func (s *served) words() []string {
	return []string{"Run ", strconv.Itoa(s.number), " of ", s.marker, " for ", s.life}
}

// answer sends the whole answer.
func (s *served) answer() {
	var body string
	if s.stream {
		body = chatEvents(drainModel, s.words()...) + doneEvent
	} else {
		body = chatJSON(drainModel, strings.Join(s.words(), ""))
	}
	// Before it is sent: the gateway may have recorded it before this goroutine runs again.
	s.l.mu.Lock()
	s.answered = body
	s.l.mu.Unlock()
	if !s.stream {
		s.w.Header().Set("Content-Type", "application/json")
		s.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(s.w, body)
		return
	}
	s.w.Header().Set("Content-Type", "text/event-stream")
	for event := range strings.SplitAfterSeq(body, "\n\n") {
		_, _ = io.WriteString(s.w, event)
		_ = http.NewResponseController(s.w).Flush()
	}
}

// of returns the runs of a marker so far.
func (l *ledger) of(marker string) []*served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*served(nil), l.runs[marker]...)
}

// came returns all runs so far, in the order in which they came.
func (l *ledger) came() []*served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*served(nil), l.order...)
}

// answeredWith returns what a run was answered.
func (l *ledger) answeredWith(s *served) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.answered
}

// waiting returns how many requests are under way.
func (l *ledger) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy
}

// receiver is a client's server, which is told of the ends of jobs. It keeps account of what it is told.
type receiver struct {
	url string

	mu   sync.Mutex
	told map[string]map[string]notice // by job, and by the ID of the event
	ring func(*http.Request) int      // the status, unless nil
}

// notice is what a callback says.
type notice struct {
	ID   string
	Type string
	Data struct {
		ID, Status string
		Response   *struct {
			StatusCode int `json:"status_code"`
			Body       json.RawMessage
		}
	}
	at time.Time
}

func newReceiver(t testing.TB, host string) *receiver {
	t.Helper()
	ln, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{url: "http://" + ln.Addr().String() + "/hook", told: make(map[string]map[string]notice)}
	srv := &http.Server{Handler: r}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.ring != nil {
		if status := r.ring(req); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
	}
	var n notice
	body, err := io.ReadAll(req.Body)
	if err != nil || json.Unmarshal(body, &n) != nil || n.ID != req.Header.Get("Webhook-Id") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	n.at = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[n.Data.ID] == nil {
		r.told[n.Data.ID] = make(map[string]notice)
	}
	if _, again := r.told[n.Data.ID][n.ID]; !again {
		r.told[n.Data.ID][n.ID] = n
	}
}

// of returns what was told of a job.
func (r *receiver) of(job string) (notices []notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.told[job] {
		notices = append(notices, n)
	}
	return notices
}

// jobs returns of how many it was told.
func (r *receiver) jobs() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told)
}

// await waits, for a while, until it was told of all orders. An audit tells if it was not.
func (r *receiver) await(all []*order) {
	told := func() bool {
		for _, x := range all {
			if x.id != "" && len(r.of(x.id)) == 0 {
				return false
			}
		}
		return r.jobs() >= len(all)
	}
	for deadline := time.Now().Add(2 * patience); !told() && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
}

// drainModel is the model of the tests of the drain, by both its names.
const drainModel = "drain"

// drainBody is a request with a marker, and ballast bytes more.
func drainBody(marker string, stream bool, ballast int) string {
	more := ""
	if stream {
		more = `,"stream":true`
	}
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"%s %s"}]%s}`, drainModel, marker, strings.Repeat("x", ballast), more)
}
