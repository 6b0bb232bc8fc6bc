package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
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

// Each field of a job is shown or not on purpose.
func TestJobsAPIShowsAJob(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	id := r.inState(overflow.Executing).ID
	var got map[string]any
	status, text := r.ask(http.MethodGet, "/runestone/jobs/"+id, &got)
	if status != http.StatusOK || got["id"] != id || got["owner"] != "cred_1" || got["state"] != "executing" {
		t.Errorf("status %d: %s", status, text)
	}
	if strings.Contains(text, "prompt") {
		t.Errorf("it shows what was asked: %s", text)
	}
	var full overflow.Job
	fill(reflect.ValueOf(&full).Elem())
	text2, err := json.Marshal(shown(&full))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text2, &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"attempt", "cancel_asked", "crashes", "created_at", "deadline", "ended_at", "error", "id", "keep_until", "kind", "lane",
		"lease_until", "max_attempts", "model", "output_size", "owner", "parent", "priority", "reason", "run", "run_at", "snoozes", "started_at", "state",
	}
	if names := slices.Sorted(maps.Keys(fields)); !slices.Equal(names, want) {
		t.Errorf("it shows\n%v, want\n%v", names, want)
	}
}

// fill gives each field a value other than zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Type() == reflect.TypeFor[time.Time]():
			f.Set(reflect.ValueOf(time.Unix(1, 0)))
		case f.Kind() == reflect.String:
			f.SetString("x")
		case f.CanInt():
			f.SetInt(1)
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Kind() == reflect.Slice:
			f.SetBytes([]byte("x"))
		}
	}
}

func TestJobsAPILists(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	waiting := r.leave("a", overflow.Change{To: overflow.Waiting, Lane: "a"})
	discarded := r.leave("b", overflow.Change{To: overflow.Discarded, Reason: overflow.ReasonAttempts})
	other := r.submit("cred_2", "a")
	running := r.claim(other)
	available := r.submit("cred_1", "b")
	ids := func(jobs ...*overflow.Job) (ids []string) {
		for _, job := range jobs {
			ids = append(ids, job.ID)
		}
		slices.Sort(ids)
		slices.Reverse(ids)
		return ids
	}
	all := ids(waiting, discarded, running, available)
	for query, want := range map[string][]string{
		"":                         all,
		"?kind=request":            all,
		"?kind=callback":           nil,
		"?state=waiting":           ids(waiting),
		"?state=waiting,discarded": ids(waiting, discarded),
		"?state=waiting&state=executing,available": ids(waiting, running, available),
		"?owner=cred_2":            ids(running),
		"?model=b":                 ids(discarded, available),
		"?model=b&state=available": ids(available),
		"?before=" + all[1]:        all[2:],
		"?limit=1000":              all,
	} {
		var list JobList
		status, text := r.ask(http.MethodGet, "/runestone/jobs"+query, &list)
		if got := ids(list.Jobs...); status != http.StatusOK || !slices.Equal(got, want) || list.Next != "" {
			t.Errorf("%s: status %d, jobs %v, want %v, next %q", query, status, got, want, list.Next)
		}
		if !strings.HasPrefix(text, `{"jobs":[`) || strings.Contains(text, "lease\"") || strings.Contains(text, "unique") {
			t.Errorf("%s: %s", query, text)
		}
	}
	var got []string
	for next, pages := "", 0; ; pages++ {
		var list JobList
		query := "?limit=2"
		if next != "" {
			query += "&before=" + next
		}
		r.ask(http.MethodGet, "/runestone/jobs"+query, &list)
		got = append(got, ids(list.Jobs...)...)
		if next = list.Next; next == "" {
			break
		}
		if pages > 5 {
			t.Fatal("there is no end of pages")
		}
	}
	if !slices.Equal(got, all) {
		t.Errorf("by pages it is %v, want %v", got, all)
	}
}

func TestJobsAPISaysWhatToWrite(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	id := r.inState(overflow.Available).ID
	for request, want := range map[string]struct {
		status int
		says   string
	}{
		"GET /runestone/jobs?kind=x":                           {400, `kind is \"x\"; give request or callback`},
		"GET /runestone/jobs?state=waiting,":                   {400, `state is \"\"; give available, waiting, scheduled, executing, completed, discarded or cancelled, or several`},
		"GET /runestone/jobs?state=done":                       {400, `state is \"done\"`},
		"GET /runestone/jobs?state=":                           {400, `state is empty`},
		"GET /runestone/jobs?owner=":                           {400, `owner is empty; leave it out for any`},
		"GET /runestone/jobs?model=a&model=b":                  {400, `model is given 2 times; give it once`},
		"GET /runestone/jobs?before=x":                         {400, `before is \"x\"; give the ID of a job`},
		"GET /runestone/jobs?limit=0":                          {400, `limit is \"0\"; give a number from 1 to 1000`},
		"GET /runestone/jobs?limit=1001":                       {400, `limit is`},
		"GET /runestone/jobs?limit=x":                          {400, `limit is`},
		"GET /runestone/jobs?page=2":                           {400, `there is no \"page\" to ask for; there is kind, state`},
		"GET /runestone/jobs?%zz":                              {400, `the query cannot be read`},
		"POST /runestone/jobs":                                 {405, `use GET, not POST`},
		"GET /runestone/jobs/" + id + "x":                      {404, `is no job's ID`},
		"GET /runestone/jobs/job_" + strings.Repeat("0", 32):   {404, `there is no job job_0`},
		"DELETE /runestone/jobs/" + id:                         {405, `use GET, not DELETE`},
		"GET /runestone/jobs/" + id + "/cancel":                {405, `use POST, not GET`},
		"POST /runestone/jobs/nonsense/cancel":                 {404, `is no job's ID`},
		"POST /runestone/jobs/cancel":                          {400, `say which jobs are to be cancelled: give state, model or owner`},
		"POST /runestone/jobs/cancel?kind=request":             {400, `say which jobs are to be cancelled`},
		"POST /runestone/jobs/discard?state=waiting,executing": {400, `jobs that are executing cannot be discarded; give state as available, waiting or scheduled`},
		"POST /runestone/jobs/retry?state=x":                   {400, `state is \"x\"`},
		"GET /runestone/queue/pause":                           {405, `use POST, not GET`},
		"POST /runestone/queue":                                {405, `use GET, not POST`},
	} {
		method, uri, _ := strings.Cut(request, " ")
		if status, text := r.ask(method, uri, nil); status != want.status || !strings.Contains(text, want.says) {
			t.Errorf("%s: status %d %s want %d and %q", request, status, text, want.status, want.says)
		}
	}
	if job, err := r.queue.Get(t.Context(), id); err != nil || job.State != overflow.Available {
		t.Errorf("the job has become %v, error %v", job, err)
	}
}

// What an action is said to be possible from is what the queue allows.
func TestJobsAPIChangesAJob(t *testing.T) {
	t.Parallel()
	can := map[string]map[overflow.State]overflow.State{
		"retry": {
			overflow.Waiting: overflow.Available, overflow.Scheduled: overflow.Available,
			overflow.Discarded: overflow.Available, overflow.Cancelled: overflow.Available,
		},
		"cancel": {
			overflow.Available: overflow.Cancelled, overflow.Waiting: overflow.Cancelled,
			overflow.Scheduled: overflow.Cancelled, overflow.Executing: overflow.Executing,
		},
		"discard": {overflow.Available: overflow.Discarded, overflow.Waiting: overflow.Discarded, overflow.Scheduled: overflow.Discarded},
	}
	says := map[overflow.State]string{
		overflow.Available: "only cancelled or discarded", overflow.Waiting: "", overflow.Scheduled: "",
		overflow.Executing: "only cancelled", overflow.Completed: "nothing can be done with it any more",
		overflow.Discarded: "only retried", overflow.Cancelled: "only retried",
	}
	for i := range jobActions {
		action := &jobActions[i]
		for _, state := range overflow.States {
			t.Run(action.name+" "+string(state), func(t *testing.T) {
				t.Parallel()
				r := newJobsRig(t)
				job := r.inState(state)
				var got overflow.Job
				status, text := r.ask(http.MethodPost, "/runestone/jobs/"+job.ID+"/"+action.name, &got)
				if to, ok := can[action.name][state]; ok {
					now, err := r.queue.Get(t.Context(), job.ID)
					if status != http.StatusOK || got.State != to || err != nil || now.State != to || now.CancelAsked != (to == overflow.Executing) {
						t.Errorf("status %d, %s, now %v, error %v, want it %s", status, text, now, err, to)
					}
					if strings.Contains(text, "unique") || strings.Contains(text, `"lease"`) {
						t.Errorf("it shows too much: %s", text)
					}
					return
				}
				_, err := action.apply(r.service, t.Context(), job)
				if !errors.Is(err, overflow.ErrState) {
					t.Errorf("the queue would allow it: %v", err)
				}
				want := fmt.Sprintf("%s is %s and cannot be %s", job.ID, state, action.done)
				if status != http.StatusConflict || !strings.Contains(text, want) || !strings.Contains(text, says[state]) {
					t.Errorf("status %d %s want %q and %q", status, text, want, says[state])
				}
			})
		}
	}
}

func TestJobsAPIChangesMany(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	var old []*overflow.Job
	for range 150 {
		old = append(old, r.leave("a", overflow.Change{To: overflow.Discarded, Reason: overflow.ReasonAttempts}))
	}
	kept := r.leave("b", overflow.Change{To: overflow.Discarded})
	cancelled := r.inState(overflow.Cancelled)
	var changed, calls int
	for next := ""; ; {
		query := "?model=a&limit=100"
		if next != "" {
			query += "&before=" + next
		}
		var batch JobBatch
		if status, text := r.ask(http.MethodPost, "/runestone/jobs/retry"+query, &batch); status != http.StatusOK || batch.Skipped != 0 {
			t.Fatalf("status %d: %s", status, text)
		}
		changed += batch.Changed
		if next = batch.Next; next == "" {
			break
		}
		if calls++; calls > 3 {
			t.Fatal("there is no end of it")
		}
	}
	if changed != len(old) {
		t.Errorf("%d are said to be changed, want %d", changed, len(old))
	}
	for _, job := range old {
		if now, err := r.queue.Get(t.Context(), job.ID); err != nil || now.State != overflow.Available {
			t.Fatalf("%v, error %v, want it available", now, err)
		}
	}
	for _, job := range []*overflow.Job{kept, cancelled} {
		if now, err := r.queue.Get(t.Context(), job.ID); err != nil || now.State != job.State {
			t.Errorf("%v, error %v, want it %s", now, err, job.State)
		}
	}
}
