// Package admintest serves the jobs API of Caddy's admin endpoint, with a queue behind it,
// to the tests of the API and of what asks it. It does not import the gateway, whose own
// tests could not use it then: whoever does hands it the API's routes.
package admintest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// Workers is how many requests a setup of NewSetup runs at a time.
const Workers = 7

// Rig is a queue, and the jobs API of it at an address. Nothing is claimed but by the test
// itself.
type Rig struct {
	*testing.T
	Service *overflow.Service
	Queue   overflow.Queue
	Address string // host:port
}

// New returns a rig of a service, and serves the routes that the jobs API of that service
// consists of, which gateway.JobsAdminRoutes returns.
func New(t *testing.T, service *overflow.Service, routes []caddy.AdminRoute) *Rig {
	t.Helper()
	return &Rig{t, service, service.Queue(), Serve(t, routes)}
}

// NewService returns a service with an empty queue in memory, for as long as the test lasts.
func NewService(t *testing.T) *overflow.Service {
	t.Helper()
	engine := overflow.NewEngine(queuetest.NewQueue(), zap.NewNop())
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return overflow.NewService(engine, NewSetup(t))
}

// noServer serves nothing.
type noServer struct{ overflow.Server }

func (noServer) Error(_ *overflow.StoredRequest, _ int, code, _ string) []byte {
	return fmt.Appendf(nil, `{"error":%q}`, code)
}

// NewSetup returns a setup of Workers workers, which can serve no request.
func NewSetup(t *testing.T) *overflow.Setup {
	t.Helper()
	setup, err := overflow.NewSetup(&overflow.Config{Workers: Workers}, noServer{})
	if err != nil {
		t.Fatal(err)
	}
	return setup
}

// Serve serves routes as Caddy's admin endpoint does, until the test ends, and returns
// the address. It fails the test when an error of theirs is no caddy.APIError.
func Serve(t *testing.T, routes []caddy.AdminRoute) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			if err == nil {
				return
			}
			told, ok := err.(caddy.APIError) //nolint:errorlint // Caddy does not unwrap it either
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

// Submit queues a request, as a client does.
func (r *Rig) Submit(owner, model string) *overflow.Job {
	r.Helper()
	job, _, err := r.Service.Submit(r.Context(), &overflow.Submission{
		Owner: owner, IdempotencyKey: overflow.NewID(time.Now()),
		Request: &overflow.StoredRequest{Method: http.MethodPost, Path: "/v1/chat/completions", Model: model, Body: []byte(`{"secret":"prompt"}`)},
	})
	if err != nil {
		r.Fatal(err)
	}
	return job
}

// Claim has the one available job run.
func (r *Rig) Claim(want *overflow.Job) *overflow.Job {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	jobs, err := r.Queue.Claim(ctx, overflow.Order{Kind: want.Kind, Max: 1, Lease: time.Hour})
	if err != nil || jobs[0].ID != want.ID {
		r.Fatalf("claimed %v, error %v, want %s", jobs, err, want.ID)
	}
	return jobs[0]
}

// Leave queues a request of the owner cred_1 and makes a change of it.
func (r *Rig) Leave(model string, change overflow.Change) *overflow.Job {
	r.Helper()
	job := r.Submit("cred_1", model)
	if change.To == overflow.Available {
		return job
	}
	job = r.Claim(job)
	if change.To == overflow.Executing {
		return job
	}
	change.Keep = time.Hour
	job, err := r.Queue.Apply(r.Context(), overflow.Ref{ID: job.ID, Lease: job.Lease}, change)
	if err != nil {
		r.Fatal(err)
	}
	return job
}

// InState queues a request for the model m and takes it to a state.
func (r *Rig) InState(state overflow.State) *overflow.Job {
	r.Helper()
	return r.Leave("m", overflow.Change{To: state, Lane: "m", After: time.Hour})
}
