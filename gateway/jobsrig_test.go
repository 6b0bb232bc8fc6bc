package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// jobsRig is an app with a queue in memory, and the jobs API of it at an address.
type jobsRig struct {
	*testing.T
	app     *App
	service *overflow.Service
	queue   overflow.Queue
	address string
}

// noServer serves nothing: nothing is claimed in these tests but by themselves.
type noServer struct{ overflow.Server }

func (noServer) Error(_ *overflow.StoredRequest, _ int, code, _ string) []byte {
	return fmt.Appendf(nil, `{"error":%q}`, code)
}

// testOpener is an opener.
type testOpener struct {
	key  string // no other test's
	open func() (overflow.Queue, error)
}

func (o testOpener) Key() string                              { return o.key }
func (o testOpener) Open(*zap.Logger) (overflow.Queue, error) { return o.open() }

// newQueueApp returns an app whose queue open opens.
func newQueueApp(t *testing.T, open func() (overflow.Queue, error)) *App {
	t.Helper()
	setup, err := overflow.NewSetup(&overflow.Config{Workers: 7}, noServer{})
	if err != nil {
		t.Fatal(err)
	}
	app := &App{logger: zap.NewNop(), jobs: deferral{setup: setup, opener: testOpener{t.Name() + overflow.NewID(time.Now()), open}}}
	t.Cleanup(func() {
		if err := app.releaseOverflow(); err != nil {
			t.Error(err)
		}
	})
	return app
}

// serveJobs returns the address of the jobs API of an app, as Caddy's admin endpoint has it.
func serveJobs(t *testing.T, app *App) string {
	t.Helper()
	api := &jobsAPI{app.Deferrals}
	mux := http.NewServeMux()
	for _, route := range api.routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			if err == nil {
				return
			}
			told, ok := err.(caddy.APIError) // so does Caddy
			if !ok {
				t.Errorf("%s %s: %v is no APIError", r.Method, r.URL, err)
			}
			w.WriteHeader(told.HTTPStatus)
			if told.Message == "" {
				told.Message = told.Err.Error()
			}
			_ = json.NewEncoder(w).Encode(told)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func newJobsRig(t *testing.T) *jobsRig {
	t.Helper()
	app := newQueueApp(t, func() (overflow.Queue, error) { return queuetest.NewQueue(), nil })
	service, err := app.Deferrals()
	if err != nil {
		t.Fatal(err)
	}
	return &jobsRig{t, app, service, service.Queue(), serveJobs(t, app)}
}

// submit queues a request, as a client does.
func (r *jobsRig) submit(owner, model string) *overflow.Job {
	r.Helper()
	job, _, err := r.service.Submit(r.Context(), &overflow.Submission{
		Owner: owner, IdempotencyKey: overflow.NewID(time.Now()),
		Request: &overflow.StoredRequest{Method: http.MethodPost, Path: "/v1/chat/completions", Model: model, Body: []byte(`{"secret":"prompt"}`)},
	})
	if err != nil {
		r.Fatal(err)
	}
	return job
}

// claim has the one available job run.
func (r *jobsRig) claim(want *overflow.Job) *overflow.Job {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	jobs, err := r.queue.Claim(ctx, overflow.Order{Kind: want.Kind, Max: 1, Lease: time.Hour})
	if err != nil || jobs[0].ID != want.ID {
		r.Fatalf("claimed %v, error %v, want %s", jobs, err, want.ID)
	}
	return jobs[0]
}

// leave queues a request and takes it to a state.
func (r *jobsRig) leave(model string, change overflow.Change) *overflow.Job {
	r.Helper()
	job := r.submit("cred_1", model)
	if change.To == overflow.Available {
		return job
	}
	job = r.claim(job)
	if change.To == overflow.Executing {
		return job
	}
	change.Keep = time.Hour
	job, err := r.queue.Apply(r.Context(), overflow.Ref{ID: job.ID, Lease: job.Lease}, change)
	if err != nil {
		r.Fatal(err)
	}
	return job
}

// inState queues a request and takes it to a state.
func (r *jobsRig) inState(state overflow.State) *overflow.Job {
	r.Helper()
	return r.leave("m", overflow.Change{To: state, Lane: "m", After: time.Hour})
}

// ask asks the API, and reads what it answers into v unless that is nil.
func (r *jobsRig) ask(method, uri string, v any) (status int, text string) {
	r.Helper()
	return askAt(r.T, r.address, method, uri, v)
}

func askAt(t *testing.T, address, method, uri string, v any) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil && res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, v); err != nil {
			t.Fatalf("%s: %s", err, body)
		}
	}
	return res.StatusCode, string(body)
}
