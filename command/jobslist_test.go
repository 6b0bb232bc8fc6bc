package command

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
)

// jobsAtNoon are jobs in every state, as the API answers them.
const jobsAtNoon = `{"jobs":[
	{"id":"job_07","kind":"request","owner":"cred_1","priority":1,"state":"available","model":"gpt-4o","created_at":"2026-11-25T11:59:59.6Z","attempt":0,"max_attempts":5,"run":0},
	{"id":"job_06","kind":"request","priority":0,"state":"waiting","model":"chat","lane":"chat","created_at":"2026-11-25T11:58:30Z","attempt":0,"max_attempts":5,"run":4,"snoozes":4},
	{"id":"job_05","kind":"request","priority":3,"state":"scheduled","model":"a-model-with-a-name-that-is-too-long-for-the-column","run_at":"2026-11-25T12:00:12Z","created_at":"2026-11-25T11:00:00Z","attempt":2,"max_attempts":5,"run":2,"error":"openai answered 500"},
	{"id":"job_04","kind":"callback","priority":1,"state":"executing","model":"hooks.example.com","created_at":"2026-11-25T11:59:57Z","started_at":"2026-11-25T11:59:58Z","attempt":1,"max_attempts":8,"run":1,"parent":"job_03"},
	{"id":"job_03","kind":"request","priority":1,"state":"executing","model":"\u001b[31mred\n","created_at":"2026-11-25T11:59:00Z","started_at":"2026-11-25T11:59:57Z","attempt":1,"max_attempts":5,"run":1,"cancel_asked":true},
	{"id":"job_02","kind":"request","priority":1,"state":"completed","model":"gpt-4o","created_at":"2026-11-25T11:50:00Z","ended_at":"2026-11-25T11:50:02Z","attempt":1,"max_attempts":5,"run":1},
	{"id":"job_01","kind":"request","priority":1,"state":"discarded","model":"","created_at":"2026-11-24T11:50:00Z","ended_at":"2026-11-24T11:50:02Z","attempt":5,"max_attempts":5,"run":7,"crashes":2,"reason":"max_attempts","error":"openai answered 500: it said so in very many words that do not fit into a line"},
	{"id":"job_00","kind":"request","priority":1,"state":"cancelled","model":"m","created_at":"2026-11-24T11:50:00Z","ended_at":"2026-11-25T11:59:59.5Z","attempt":0,"max_attempts":5,"run":0}
],"next":"job_00"}`

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestJobsTable(t *testing.T) {
	t.Parallel()
	var list gateway.JobList
	if err := json.Unmarshal([]byte(jobsAtNoon), &list); err != nil {
		t.Fatal(err)
	}
	want := `
ID      KIND      STATE      MODEL                             PRIORITY  ATTEMPT  AGE       NOTE
job_07  request   available  gpt-4o                            1         0 of 5   400ms     -
job_06  request   waiting    chat                              0         0 of 5   1m30s     for room at chat
job_05  request   scheduled  a-model-with-a-name-that-is-too…  3         2 of 5   1h0m0s    in 12s: openai answered 500
job_04  callback  executing  hooks.example.com                 1         1 of 8   3s        for 2s
job_03  request   executing  ?[31mred?                         1         1 of 5   1m0s      for 3s, to be cancelled
job_02  request   completed  gpt-4o                            1         1 of 5   10m0s     9m58s ago
job_01  request   discarded  -                                 1         5 of 5   24h10m0s  max_attempts: openai answered 500: it said so in very many words that d…
job_00  request   cancelled  m                                 1         0 of 5   24h10m0s  500ms ago

There may be more: list them with filters, or more with --limit.
`[1:]
	var b strings.Builder
	if err := printJobs(&b, &list, noon); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestJobsTableOfNone(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := printJobs(&b, new(gateway.JobList), noon); err != nil {
		t.Fatal(err)
	}
	if want := "ID  KIND  STATE  MODEL  PRIORITY  ATTEMPT  AGE  NOTE\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestJobShown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ job, want string }{
		"scheduled": {
			`{"id":"job_05","kind":"request","owner":"cred_1","priority":3,"state":"scheduled","model":"gpt-4o","run_at":"2026-11-25T12:00:12Z","created_at":"2026-11-25T11:00:00Z",
				"started_at":"2026-11-25T11:59:00Z","deadline":"2026-11-26T11:00:00Z","attempt":2,"max_attempts":5,"run":3,"crashes":1,"snoozes":2,"error":"openai answered 500"}`, `
ID         job_05
Kind       request
State      scheduled
Error      openai answered 500
Model      gpt-4o
Owner      cred_1
Priority   3
Attempt    2 of 5
Runs       3; 1 ended without a word; the last 2 found nobody to take it
Queued     2026-11-25 11:00:00, 1h0m0s ago
Available  2026-11-25 12:00:12, in 12s
Started    2026-11-25 11:59:00, 1m0s ago
Deadline   2026-11-26 11:00:00, in 23h0m0s
Output     0 B
`},
		"a callback that runs": {
			`{"id":"job_04","kind":"callback","priority":1,"state":"executing","model":"hooks.example.com","created_at":"2026-11-25T11:59:57Z","started_at":"2026-11-25T11:59:58Z",
				"lease_until":"2026-11-25T12:00:28Z","attempt":1,"max_attempts":8,"run":1,"parent":"job_03","cancel_asked":true}`, `
ID            job_04
Kind          callback
State         executing, to be cancelled
Host          hooks.example.com
Owner         -
Tells of      job_03
Priority      1
Attempt       1 of 8
Runs          1
Queued        2026-11-25 11:59:57, 3s ago
Started       2026-11-25 11:59:58, 2s ago
Leased until  2026-11-25 12:00:28, in 28s
Output        0 B
`},
		"discarded": {
			`{"id":"job_01","kind":"request","priority":1,"state":"discarded","reason":"max_attempts","model":"m\tn","created_at":"2026-11-25T11:00:00Z","ended_at":"2026-11-25T11:30:00Z",
				"deadline":"2026-11-26T11:00:00Z","keep_until":"2026-12-02T11:30:00Z","attempt":5,"max_attempts":5,"run":5,"output_size":2048,"error":"no\u0007"}`, `
ID        job_01
Kind      request
State     discarded: max_attempts
Error     no?
Model     m?n
Owner     -
Priority  1
Attempt   5 of 5
Runs      5
Queued    2026-11-25 11:00:00, 1h0m0s ago
Ended     2026-11-25 11:30:00, 30m0s ago
Removed   2026-12-02 11:30:00, in 167h30m0s
Output    2.0 KiB
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var job overflow.Job
			if err := json.Unmarshal([]byte(test.job), &job); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := printJob(&b, &job, noon); err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != test.want[1:] {
				t.Errorf("got\n%s\nwant\n%s", got, test.want[1:])
			}
		})
	}
}
