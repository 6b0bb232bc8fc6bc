package command

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/gateway/admintest"
	"github.com/runestone-gateway/runestone/overflow"
)

// runJobs runs caddy runestone jobs with these arguments.
func runJobs(t *testing.T, address string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return runJobsUntil(t.Context(), address, args...)
}

func runJobsUntil(ctx context.Context, address string, args ...string) (stdout, stderr string, err error) {
	var out, errs strings.Builder
	cmd := newJobsCommand()
	cmd.SilenceUsage = true // as Caddy has it
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append(args, "--address", address))
	err = cmd.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// jobsRig is the jobs API, and a queue in memory behind it.
type jobsRig struct{ *admintest.Rig }

func newJobsRig(t *testing.T) *jobsRig {
	t.Helper()
	service := admintest.NewService(t)
	routes := gateway.JobsAdminRoutes(func() (*overflow.Service, error) { return service, nil })
	return &jobsRig{admintest.New(t, service, routes)}
}

// run runs a command that succeeds.
func (r *jobsRig) run(args ...string) string {
	r.Helper()
	stdout, stderr, err := runJobs(r.T, r.Address, args...)
	if err != nil || stderr != "" {
		r.Fatalf("jobs %v: %v\n%s", args, err, stderr)
	}
	return stdout
}

// wantState fails the test unless the job is in a state.
func (r *jobsRig) wantState(job *overflow.Job, want overflow.State) {
	r.Helper()
	if now, err := r.Queue.Get(r.Context(), job.ID); err != nil || now.State != want {
		r.Errorf("%v, error %v, want it %s", now, err, want)
	}
}

func TestJobsListCommand(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	waiting := r.Leave("chat", overflow.Change{To: overflow.Waiting, Lane: "chat"})
	discarded := r.Leave("fast", overflow.Change{To: overflow.Discarded, Reason: overflow.ReasonRefused})
	theirs := r.Submit("cred_2", "fast")
	for args, want := range map[string][]*overflow.Job{
		"":                                   {theirs, discarded, waiting},
		"list":                               {theirs, discarded, waiting},
		"--state waiting":                    {waiting},
		"list --state waiting,discarded":     {discarded, waiting},
		"list -s waiting -s discarded":       {discarded, waiting},
		"list --model fast":                  {theirs, discarded},
		"list --model fast --owner cred_2":   {theirs},
		"list --kind callback":               {},
		"list --owner cred_2 --limit 1":      {theirs},
		"list -m fast -o cred_1 -k request":  {discarded},
		"list --state discarded --limit 1":   {discarded},
		"list --model not-there --limit 100": {},
	} {
		table := r.run(strings.Fields(args)...)
		var list gateway.JobList
		if err := json.Unmarshal([]byte(r.run(append(strings.Fields(args), "--json")...)), &list); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		if len(list.Jobs) != len(want) || strings.Count(table, "job_") != len(want) {
			t.Errorf("%s: got\n%s and %d as JSON, want %d", args, table, len(list.Jobs), len(want))
			continue
		}
		// Of two in one millisecond either may be the newer.
		slices.SortFunc(want, func(a, b *overflow.Job) int { return strings.Compare(b.ID, a.ID) })
		at := 0
		for _, job := range want {
			i := strings.Index(table[at:], "\n"+job.ID)
			if i < 0 {
				t.Errorf("%s: got\n%s, want %v in this order", args, table, want)
			}
			at += max(0, i)
		}
		if more := strings.Contains(table, "There may be more"); more != (list.Next != "") || more != strings.HasSuffix(args, "--limit 1") {
			t.Errorf("%s: it says that there may be more: %t, next is %q", args, more, list.Next)
		}
	}
}

// A list is longer than a page.
func TestJobsListCommandFollowsPages(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	for range gateway.MaxPageSize + 5 {
		r.Submit("cred_1", "m")
	}
	for limit, want := range map[string]int{"1001": 1001, "3000": gateway.MaxPageSize + 5} {
		if got := strings.Count(r.run("list", "--limit", limit), "\njob_"); got != want {
			t.Errorf("%d of %s are listed, want %d", got, limit, want)
		}
	}
	if got := r.run("cancel", "--all", "--model", "m"); got != "1,005 jobs were cancelled\n" {
		t.Errorf("it says %q", got)
	}
}

func TestJobsShowCommand(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	job := r.Leave("chat", overflow.Change{To: overflow.Waiting, Lane: "chat"})
	if got := r.run("show", job.ID); !strings.Contains(got, job.ID+"\n") || !strings.Contains(got, "waiting for room at chat\n") {
		t.Errorf("it shows\n%s", got)
	}
	var got overflow.Job
	if text := r.run("show", "--json", job.ID); json.Unmarshal([]byte(text), &got) != nil || got.ID != job.ID {
		t.Errorf("as JSON it shows\n%s", text)
	}
}

func TestJobsActionCommands(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	waiting := r.Leave("chat", overflow.Change{To: overflow.Waiting, Lane: "chat"})
	running := r.InState(overflow.Executing)
	discarded := r.InState(overflow.Discarded)
	if got, want := r.run("cancel", running.ID, waiting.ID), running.ID+" is executing, to be cancelled\n"+waiting.ID+" is cancelled\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	r.wantState(waiting, overflow.Cancelled)
	var job overflow.Job
	if text := r.run("retry", "--json", waiting.ID); json.Unmarshal([]byte(text), &job) != nil || job.State != overflow.Available {
		t.Errorf("as JSON it says %s", text)
	}
	if got, want := r.run("discard", waiting.ID), waiting.ID+" is discarded: operator\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}

	// What cannot be done does not keep the rest from being done.
	unknown := overflow.NewID(time.Now())
	stdout, stderr, err := runJobs(t, r.Address, "retry", running.ID, unknown, discarded.ID)
	if stdout != discarded.ID+" is available\n" ||
		!strings.HasPrefix(stderr, running.ID+" is executing and cannot be retried, only cancelled\nthere is no job "+unknown+", or no longer\n") ||
		err == nil || err.Error() != "2 of 3 jobs could not be retried" {
		t.Errorf("it says %q and %q, error %v", stdout, stderr, err)
	}
	r.wantState(discarded, overflow.Available)
}

func TestJobsActionCommandsOnAll(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	done := r.InState(overflow.Completed)
	gone := r.Leave("a", overflow.Change{To: overflow.Cancelled})
	var old []*overflow.Job
	for range 3 {
		old = append(old, r.Leave("a", overflow.Change{To: overflow.Discarded}))
	}
	other := r.Leave("b", overflow.Change{To: overflow.Discarded})
	for _, step := range []struct{ args, want string }{
		{"retry --all --model a", "3 jobs were retried\n"},
		{"retry --all --model a", "0 jobs were retried\n"},
		{"discard --all --state available,waiting --model a", "3 jobs were discarded\n"},
		{"retry --all --state discarded", "4 jobs were retried\n"},
		{"cancel --all --owner cred_1 --model b", "1 job was cancelled\n"},
		{"cancel --all --owner cred_1 --json", `{"changed":3,"skipped":0,"next":""}` + "\n"},
		{"retry --all --owner cred_1 --state cancelled,waiting", "5 jobs were retried\n"},
	} {
		if got := r.run(strings.Fields(step.args)...); got != step.want {
			t.Errorf("%s: it says %q, want %q", step.args, got, step.want)
		}
	}
	for _, job := range append(old, other, gone) {
		r.wantState(job, overflow.Available)
	}
	r.wantState(done, overflow.Completed)
}

func TestJobsPauseCommands(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	r.InState(overflow.Executing)
	r.Submit("cred_1", "m")
	r.Submit("cred_1", "m")
	for _, step := range []struct {
		args, want string
		paused     bool
	}{
		{"pause", "paused: no further requests are taken from the queue (1 still running)\n", true},
		{"resume", "resumed: requests are taken from the queue again (2 available)\n", false},
	} {
		got := r.run(step.args)
		if stats, err := r.Queue.Stats(t.Context()); got != step.want || err != nil || stats.Paused != step.paused {
			t.Errorf("%s: it says %q, the queue is paused: %t, error %v", step.args, got, stats.Paused, err)
		}
	}
	var q gateway.QueueStatus
	if text := r.run("pause", "--json"); json.Unmarshal([]byte(text), &q) != nil || !q.Paused {
		t.Errorf("as JSON it says %s", text)
	}
}

func TestJobsCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	id := r.InState(overflow.Completed).ID
	off := admintest.Serve(t, gateway.JobsAdminRoutes(new(gateway.App).Deferrals))
	site := serveText(t, http.StatusOK, "hello")
	plain := serveText(t, http.StatusNotFound, "404 page not found")
	none := serveText(t, http.StatusNotFound, `{"error":"`+gateway.ErrNotRunning.Error()+`: no app"}`)
	host := serveText(t, http.StatusForbidden, `{"error":"host not allowed: x"}`)
	for name, test := range map[string]struct{ address, args, says string }{
		"an unknown command":        {r.Address, "nonsense", `unknown command "nonsense"`},
		"an unknown state":          {r.Address, "list --state done", `state is "done"; give available, waiting`},
		"an empty filter":           {r.Address, "list --model=", `model is empty; leave it out`},
		"no limit":                  {r.Address, "list --limit 0", "--limit is at least 1"},
		"a filtered watch":          {r.Address, "--watch --state waiting", "--watch is of the whole queue"},
		"a limited watch":           {r.Address, "list --watch --limit 5", "--watch is of the whole queue"},
		"show nothing":              {r.Address, "show", "accepts 1 arg(s), received 0"},
		"show no ID":                {r.Address, "show ../queue", `"../queue" is no job's ID`},
		"show an unknown job":       {r.Address, "show job_" + strings.Repeat("0", 32), "there is no job job_000"},
		"retry nothing":             {r.Address, "retry", "give IDs of jobs, or --all and filters"},
		"retry no ID":               {r.Address, "retry x", `"x" is no job's ID`},
		"retry what has completed":  {r.Address, "retry " + id, id + " is completed and cannot be retried; nothing can be done"},
		"filters without --all":     {r.Address, "retry --model m", "filters are for --all"},
		"filters and IDs":           {r.Address, "cancel --model m " + id, "filters are for --all"},
		"all and IDs":               {r.Address, "cancel --all --model m " + id, "give either IDs of jobs or --all"},
		"all of all":                {r.Address, "discard --all", "say which jobs are to be discarded: give --state, --model or --owner"},
		"all that cannot be":        {r.Address, "discard --all --state executing", "jobs that are executing cannot be discarded"},
		"pause something":           {r.Address, "pause now", `unknown command "now"`},
		"it is off":                 {off, "list", "overflow is off in the configuration"},
		"it is off, for the watch":  {off, "--watch", "overflow is off in the configuration"},
		"it is off, for more":       {off, "retry " + id + " " + id, "overflow is off in the configuration"},
		"no admin endpoint":         {site, "list", "what answers at " + site + " is not the admin endpoint"},
		"no Runestone":              {plain, "list", "what answers at " + plain + " runs no gateway"},
		"no app":                    {none, "pause", "what answers at " + none + " runs no gateway"},
		"another host than allowed": {host, "list", "asking " + host + ": caddy responded with error: HTTP 403"},
		"nobody listens":            {"127.0.0.1:1", "list", "no answer from the admin endpoint at 127.0.0.1:1; start Caddy"},
		"no configuration":          {"", "list --config /does/not/exist", "finding the admin endpoint's address: reading config"},
	} {
		stdout, _, err := runJobs(t, test.address, strings.Fields(test.args)...)
		if err == nil || !strings.Contains(err.Error(), test.says) || stdout != "" {
			t.Errorf("%s: it prints %q, error %v, want %q", name, stdout, err, test.says)
		}
	}
}

// serveText returns the address of a server that answers always the same.
func serveText(t *testing.T, status int, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A watch goes on while the gateway is away.
func TestJobsWatchCommand(t *testing.T) {
	t.Parallel()
	r := newJobsRig(t)
	r.Submit("cred_1", "m")
	api := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address})
	for name, test := range map[string]struct {
		args       []string
		says, errs string
	}{
		"text": {[]string{"--watch"}, "  0 of 1 done (0%)  ", ""},
		"JSON": {[]string{"list", "-w", "--json"}, `{"paused":false,`, "the gateway is away\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				switch asked.Add(1) {
				case 2:
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, `{"error":"the gateway is away"}`)
					return
				case 3:
					stop()
				}
				api.ServeHTTP(w, req)
			}))
			defer server.Close()
			stdout, stderr, err := runJobsUntil(ctx, server.Listener.Addr().String(), test.args...)
			if err != nil || stderr != test.errs {
				t.Errorf("error %v, stderr %q", err, stderr)
			}
			lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
			if test.errs == "" {
				if len(lines) != 3 || !strings.HasSuffix(lines[1], "  the gateway is away") {
					t.Fatalf("it prints\n%s", stdout)
				}
				lines = []string{lines[0], lines[2]}
			}
			if len(lines) != 2 || !strings.Contains(lines[0], test.says) || !strings.Contains(lines[1], test.says) {
				t.Errorf("it prints\n%s", stdout)
			}
		})
	}
}
