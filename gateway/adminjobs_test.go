package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/gateway/admintest"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// Each field of a job is shown or not on purpose.
func TestJobsAPIShowsAJob(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	id := r.InState(overflow.Executing).ID
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
	for _, f := range v.Fields() {
		switch {
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
	waiting := r.Leave("a", overflow.Change{To: overflow.Waiting, Lane: "a"})
	discarded := r.Leave("b", overflow.Change{To: overflow.Discarded, Reason: overflow.ReasonAttempts})
	other := r.Submit("cred_2", "a")
	running := r.Claim(other)
	available := r.Submit("cred_1", "b")
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
	id := r.InState(overflow.Available).ID
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
	if job, err := r.Queue.Get(t.Context(), id); err != nil || job.State != overflow.Available {
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
	for i := range JobActions {
		action := &JobActions[i]
		for _, state := range overflow.States {
			t.Run(action.Name+" "+string(state), func(t *testing.T) {
				t.Parallel()
				r := newJobsRig(t)
				job := r.InState(state)
				var got overflow.Job
				status, text := r.ask(http.MethodPost, "/runestone/jobs/"+job.ID+"/"+action.Name, &got)
				if to, ok := can[action.Name][state]; ok {
					now, err := r.Queue.Get(t.Context(), job.ID)
					if status != http.StatusOK || got.State != to || err != nil || now.State != to || now.CancelAsked != (to == overflow.Executing) {
						t.Errorf("status %d, %s, now %v, error %v, want it %s", status, text, now, err, to)
					}
					if strings.Contains(text, "unique") || strings.Contains(text, `"lease"`) {
						t.Errorf("it shows too much: %s", text)
					}
					return
				}
				_, err := action.apply(r.Service, t.Context(), job)
				if !errors.Is(err, overflow.ErrState) {
					t.Errorf("the queue would allow it: %v", err)
				}
				want := fmt.Sprintf("%s is %s and cannot be %s", job.ID, state, action.Done)
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
		old = append(old, r.Leave("a", overflow.Change{To: overflow.Discarded, Reason: overflow.ReasonAttempts}))
	}
	kept := r.Leave("b", overflow.Change{To: overflow.Discarded})
	cancelled := r.InState(overflow.Cancelled)
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
		if now, err := r.Queue.Get(t.Context(), job.ID); err != nil || now.State != overflow.Available {
			t.Fatalf("%v, error %v, want it available", now, err)
		}
	}
	for _, job := range []*overflow.Job{kept, cancelled} {
		if now, err := r.Queue.Get(t.Context(), job.ID); err != nil || now.State != job.State {
			t.Errorf("%v, error %v, want it %s", now, err, job.State)
		}
	}
}

// slowQueue takes a second for each change.
type slowQueue struct{ overflow.Queue }

func (q slowQueue) Apply(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
	time.Sleep(time.Second)
	return q.Queue.Apply(ctx, ref, change)
}

// A batch that takes long is ended early, and says where to go on.
func TestJobsAPIEndsLongBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := slowQueue{queuetest.NewQueue()}
		service := overflow.NewService(overflow.NewEngine(queue, zap.NewNop()), admintest.NewSetup(t))
		for range 10 * batchWidth {
			if _, err := queue.Enqueue(t.Context(), &overflow.Job{ID: overflow.NewID(time.Now()), Kind: overflow.Request}, 0); err != nil {
				t.Fatal(err)
			}
		}
		page, err := listJobs(t.Context(), queue, overflow.Filter{Limit: MaxPageSize})
		if err != nil {
			t.Fatal(err)
		}
		gone := page.Jobs[3]
		if _, err := queue.Queue.Apply(t.Context(), overflow.Ref{ID: gone.ID}, overflow.Change{To: overflow.Cancelled, Keep: time.Hour}); err != nil {
			t.Fatal(err)
		}
		var sum JobBatch
		var calls int
		for ; len(page.Jobs) > 0; calls++ {
			began := time.Now()
			batch, err := JobActions[1].doAll(t.Context(), service, page)
			if took := time.Since(began); err != nil || took > batchLimit+time.Second {
				t.Fatalf("it took %s, error %v", took, err)
			}
			sum.Changed += batch.Changed
			sum.Skipped += batch.Skipped
			if batch.Next == "" {
				break
			}
			if page, err = listJobs(t.Context(), queue, overflow.Filter{Limit: MaxPageSize, Before: batch.Next}); err != nil {
				t.Fatal(err)
			}
		}
		if sum.Changed != 10*batchWidth-1 || sum.Skipped != 1 || calls < 1 {
			t.Errorf("%d are changed and %d skipped in %d further calls", sum.Changed, sum.Skipped, calls)
		}
	})
}
