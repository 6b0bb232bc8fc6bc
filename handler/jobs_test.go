package handler

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/telemetry"
)

func TestJobPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][2]string{
		"/v1/overflow/":               {"", ""},
		"/v1/overflow/job_1":          {"job_1", ""},
		"/v1/overflow/job_1/":         {"job_1", ""},
		"/v1/overflow/job_1/response": {"job_1", "response"},
		"/v1/overflow/job_1/events/x": {"job_1", "events/x"},
		"/v1/overflow//events":        {"", "events"},
	} {
		if id, what := jobPath(path); id != want[0] || what != want[1] {
			t.Errorf("%s: %q and %q, want %q", path, id, what, want)
		}
	}
}

// TestDescribe: of each state a client is told what it can use, and no more.
func TestDescribe(t *testing.T) {
	t.Parallel()
	at := func(s int64) time.Time { return time.Unix(s, 999) }
	base := overflow.Job{
		ID: "job_1", Kind: overflow.Request, Owner: "cred_1", Priority: 2, Model: "smart", Lane: "smart",
		CreatedAt: at(100), StartedAt: at(200), Deadline: at(900), Attempt: 1, MaxAttempts: 5, Run: 3, Snoozes: 2,
		Lease: "lease", LeaseUntil: at(230), Unique: "unique", Fingerprint: "print", Payload: []byte("payload"), Head: []byte("head"),
	}
	const always = `"id":"job_1","object":"overflow.job","status":"STATUS","model":"smart","priority":2,"attempt":1,"max_attempts":5,"run":3,"created_at":100,`
	const urls = `"response_url":"/v1/overflow/job_1/response","events_url":"/v1/overflow/job_1/events"`
	for name, test := range map[string]struct {
		change       func(*overflow.Job)
		status, rest string
	}{
		"waiting": {func(j *overflow.Job) { j.State = overflow.Waiting }, "queued", `"expires_at":900,`},
		"scheduled": {func(j *overflow.Job) { j.State, j.RunAt, j.Error = overflow.Scheduled, at(300), "it failed" },
			"queued", `"not_before":300,"expires_at":900,"error":{"code":"attempt_failed","message":"it failed"},`},
		"scheduled to be cancelled": {func(j *overflow.Job) { j.State, j.RunAt, j.CancelAsked = overflow.Scheduled, at(300), true },
			"queued", `"not_before":300,"expires_at":900,"cancelling":true,`},
		"executing": {func(j *overflow.Job) { j.State = overflow.Executing }, "in_progress", `"in_progress_at":200,"expires_at":900,`},
		"being cancelled": {func(j *overflow.Job) { j.State, j.CancelAsked = overflow.Executing, true },
			"in_progress", `"in_progress_at":200,"expires_at":900,"cancelling":true,`},
		"without a deadline": {func(j *overflow.Job) { j.State, j.Deadline = overflow.Executing, time.Time{} }, "in_progress", `"in_progress_at":200,`},
		"completed": {func(j *overflow.Job) {
			j.State, j.EndedAt, j.KeepUntil, j.Error = overflow.Completed, at(400), at(4000), "an earlier run's"
		},
			"completed", `"in_progress_at":200,"ended_at":400,"expires_at":4000,`},
		"cancelled before it ran": {func(j *overflow.Job) {
			j.State, j.StartedAt, j.EndedAt, j.KeepUntil, j.CancelAsked = overflow.Cancelled, time.Time{}, at(400), at(4000), true
		}, "cancelled", `"ended_at":400,"expires_at":4000,`},
		"failed": {func(j *overflow.Job) {
			j.State, j.EndedAt, j.KeepUntil, j.Reason, j.Error = overflow.Discarded, at(400), at(4000), overflow.ReasonAttempts, "the provider up answered 500"
		}, "failed", `"in_progress_at":200,"ended_at":400,"expires_at":4000,"error":{"code":"max_attempts","message":"the provider up answered 500"},`},
		"expired": {func(j *overflow.Job) {
			j.State, j.EndedAt, j.KeepUntil, j.Reason, j.Error = overflow.Discarded, at(400), at(4000), overflow.ReasonExpired, "too late"
		}, "expired", `"in_progress_at":200,"ended_at":400,"expires_at":4000,"error":{"code":"expired","message":"too late"},`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := base
			test.change(&job)
			got, err := json.Marshal((&exchange{}).describe(nil, &job))
			want := "{" + strings.Replace(always, "STATUS", test.status, 1) + test.rest + urls + "}"
			if err != nil || string(got) != want {
				t.Errorf("error %v\n got %s\nwant %s", err, got, want)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		job    overflow.Job
		status int
		code   string
	}{
		"cancelled": {overflow.Job{State: overflow.Cancelled}, http.StatusGone, "cancelled"},
		"corrupt":   {overflow.Job{State: overflow.Discarded, Reason: overflow.ReasonCorrupt}, http.StatusInternalServerError, "corrupt"},
	} {
		told := noAnswer(&test.job)
		if told.Status != test.status || told.Code != test.code || !told.Final || told.Message == "" {
			t.Errorf("%s: %+v", name, told)
		}
	}
}

// TestPostponable: later is no better for what is wrong in itself, nor for whoever has left.
func TestPostponable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcome string
		status  int
		want    bool
	}{
		"a timeout":           {telemetry.OutcomeTimeout, 504, true},
		"no connection":       {telemetry.OutcomeUnreachable, 502, true},
		"no target":           {telemetry.OutcomeUnavailable, 429, true},
		"an error of theirs":  {telemetry.OutcomeError, 502, true},
		"a refusal of theirs": {telemetry.OutcomeError, 400, false},
		"a bad request":       {telemetry.OutcomeInvalid, 400, false},
		"an unknown model":    {telemetry.OutcomeInvalid, 404, false},
		"a client that left":  {telemetry.OutcomeCanceled, 499, false},
	} {
		f := &gateway.Failure{Outcome: test.outcome, Told: &dialect.Error{Status: test.status}}
		if got := postponable(f); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
