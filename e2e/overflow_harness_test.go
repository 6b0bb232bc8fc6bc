package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// jobsPath is where jobs are.
const jobsPath = "/v1/overflow/"

// respondAsync is how a client says that a job will do.
const respondAsync = "Prefer: respond-async"

// deferring is the option overflow, with retries that do not take long.
func deferring(more ...string) string {
	return "overflow {\nbackoff 20ms 40ms\n" + strings.Join(more, "\n") + "\n}"
}

// diverted is s with a site that queues at once what comes with this header.
func diverted(s setup) setup {
	s.Site = "@divert header Divert yes\nhandle @divert {\nrunestone {\noverflow\n}\n}\nhandle {\nrunestone\n}"
	return s
}

const divert = "Divert: yes"

// jobState is a job as its owner sees it.
type jobState struct {
	ID, Object, Status, Model string
	Priority                  int
	Position                  *int
	Attempt, Run              int
	MaxAttempts               int   `json:"max_attempts"`
	CreatedAt                 int64 `json:"created_at"`
	NotBefore                 int64 `json:"not_before"`
	InProgressAt              int64 `json:"in_progress_at"`
	EndedAt                   int64 `json:"ended_at"`
	ExpiresAt                 int64 `json:"expires_at"`
	Cancelling                bool
	Error                     *struct{ Code, Message string }
	ResponseURL               string `json:"response_url"`
	EventsURL                 string `json:"events_url"`
}

func (j jobState) final() bool {
	return j.Status != "queued" && j.Status != "in_progress"
}

func parseJob(t testing.TB, text string) (j jobState) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatalf("not a job: %v: %q", err, text)
	}
	if j.Object != "overflow.job" || len(j.ID) != 36 || j.CreatedAt == 0 || j.ExpiresAt == 0 ||
		j.ResponseURL != jobsPath+j.ID+"/response" || j.EventsURL != jobsPath+j.ID+"/events" {
		t.Fatalf("not a job: %s", text)
	}
	return j
}

// wantJob fails the test unless a is a 202 with a job that has not ended, and returns that.
func wantJob(t testing.TB, a answer) jobState {
	t.Helper()
	if a.StatusCode != http.StatusAccepted || a.Err != nil {
		t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
	}
	j := parseJob(t, a.Body)
	if v := a.Header.Get("Location"); v != jobsPath+j.ID {
		t.Errorf("Location %q of %s", v, j.ID)
	}
	if n, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After %q, want 1 to 60", a.Header.Get("Retry-After"))
	}
	if v := a.Header.Get("Content-Type"); v != "application/json" {
		t.Errorf("Content-Type %q", v)
	}
	if a.Header.Get("X-Request-Id") == "" {
		t.Error("there is no X-Request-Id")
	}
	return j
}

// divert queues a request for a chat.
func (g *gateway) divert(t testing.TB, body string, headers ...string) jobState {
	t.Helper()
	return wantJob(t, g.post(t, chatPath, body, append([]string{divert}, headers...)...))
}

// job returns a job as it is now.
func (g *gateway) job(t testing.TB, id string, headers ...string) jobState {
	t.Helper()
	a := g.do(t, http.MethodGet, jobsPath+id, "", headers...)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s\n%s", a.StatusCode, a.Body, g.tail())
	}
	if v := a.Header.Get("Cache-Control"); !strings.Contains(v, "no-cache") {
		t.Errorf("Cache-Control %q of a job", v)
	}
	j := parseJob(t, a.Body)
	if (a.Header.Get("Retry-After") == "") != j.final() {
		t.Errorf("Retry-After %q of a job that is %s", a.Header.Get("Retry-After"), j.Status)
	}
	return j
}

// awaitJob returns a job once it has a status.
func (g *gateway) awaitJob(t testing.TB, id, status string, headers ...string) (j jobState) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if j = g.job(t, id, headers...); j.Status == status {
			return j
		}
		if j.final() || time.Now().After(deadline) {
			t.Fatalf("the job is %+v, want %s\n%s", j, status, g.tail())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// response returns what the job's request is answered with, once that is known.
func (g *gateway) response(t testing.TB, id string, headers ...string) answer {
	t.Helper()
	return g.do(t, http.MethodGet, jobsPath+id+"/response?wait=15", "", headers...)
}

// wantServed fails the test unless a job ends with the whole of what hello answers.
func (g *gateway) wantServed(t testing.TB, id, asked string, headers ...string) {
	t.Helper()
	a := g.response(t, id, headers...)
	want := chatJSON(asked, "Hello")
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream") {
		want = chatEvents(asked, "Hello") + doneEvent
	}
	if a.StatusCode != http.StatusOK || a.Err != nil || a.Body != want {
		t.Fatalf("status %d, error %v: %s\n%s", a.StatusCode, a.Err, difference(a.Body, want), g.tail())
	}
}

// delete cancels a job.
func (g *gateway) delete(t testing.TB, id string, headers ...string) jobState {
	t.Helper()
	a := g.do(t, http.MethodDelete, jobsPath+id, "", headers...)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", a.StatusCode, a.Body)
	}
	return parseJob(t, a.Body)
}

// follow opens the stream of a job's events.
func (g *gateway) follow(t testing.TB, id string, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	s := &stream{t: t, cancel: cancel, began: time.Now()}
	res, err := g.send(t, ctx, http.MethodGet, jobsPath+id+"/events", "", headers...)
	if err != nil {
		t.Fatalf("following the job: %v\n%s", err, g.tail())
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if ct := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || ct != "text/event-stream" {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("status %d, Content-Type %q: %s", res.StatusCode, ct, b)
	}
	s.res, s.br = res, bufio.NewReaderSize(res.Body, 1<<20)
	return s
}

// told is an event of those that tell of a job.
type told struct {
	name, data, id string
	plain          string // the block without its id
}

// told returns the next event that says something. The error is io.EOF at a proper end.
func (s *stream) told() (e told, err error) {
	s.t.Helper()
	block, err := s.next()
	if err != nil {
		if block != "" {
			s.t.Fatalf("the stream ends within an event: %q", block)
		}
		return e, err
	}
	for line := range strings.Lines(block) {
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "id":
			e.id = value
			continue
		}
		e.plain += line
	}
	return e, nil
}

// wantTold reads the next event, and wants it to be one of the answer's, with an ID.
func (s *stream) wantTold(block string) told {
	s.t.Helper()
	e, err := s.told()
	if err != nil || e.plain != block || e.id == "" {
		s.t.Fatalf("event %+v (%v)\nwant %q", e, err, block)
	}
	return e
}

// wantState reads the next event, and wants it to say that the job has a status.
func (s *stream) wantState(status string) (jobState, told) {
	s.t.Helper()
	e, err := s.told()
	if err != nil || e.name != "overflow.job" {
		s.t.Fatalf("event %+v (%v)\nwant the job, %s", e, err, status)
	}
	j := parseJob(s.t, e.data)
	if j.Status != status || (e.id == "") == j.final() {
		s.t.Fatalf("event %+v\nwant the job, %s", e, status)
	}
	return j, e
}

// wantOver fails the test unless the stream is at a proper end.
func (s *stream) wantOver() {
	s.t.Helper()
	if e, err := s.told(); err != io.EOF {
		s.t.Fatalf("event %+v (%v), want the end", e, err)
	}
}

// again starts the gateway anew in the home of one that has exited.
func (g *gateway) again(t testing.TB, s setup) *gateway {
	t.Helper()
	next := &gateway{t: t, dir: g.dir, admin: g.admin, site: g.site, exited: make(chan struct{})}
	next.launch(s)
	t.Cleanup(next.finish)
	return next
}

// openRequests returns how many requests are under way.
func (g *gateway) openRequests() int {
	g.t.Helper()
	var status struct {
		Open int `json:"open_requests"`
	}
	if err := json.Unmarshal([]byte(g.adminGet("/runestone/status")), &status); err != nil {
		g.t.Fatal(err)
	}
	return status.Open
}

// queueFile returns what the embedded queue has written.
func (g *gateway) queueFile() string {
	g.t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, "data", "caddy", "runestone", "overflow.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

// failing answers the first calls as told, one each, and the rest with hello.
func failing(first ...func(*exchange)) func(*exchange) {
	next := make(chan func(*exchange), len(first))
	for _, script := range first {
		next <- script
	}
	return func(x *exchange) {
		select {
		case script := <-next:
			script(x)
		default:
			hello(x)
		}
	}
}

// keyOf makes the name of an upstream model of a test's name.
func keyOf(prefix, name string) string {
	return prefix + "-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

func bearer(name string) string { return fmt.Sprint("Authorization: Bearer sk-", name) }
