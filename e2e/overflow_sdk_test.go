package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestSDKAndJobs: the official client, unmodified, gets jobs when its options ask for that, and otherwise
// what it knows.
func TestSDKAndJobs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, deferring(), "line {\nwait off\n}")
	opted := o.g.sdk(option.WithHeader("Prefer", "respond-async"), option.WithHeader("Idempotency-Key", "sdk-1"))

	var raw *http.Response
	if _, err := opted.Chat.Completions.New(t.Context(), ask("smart"), option.WithResponseInto(&raw)); err != nil {
		t.Fatal(err)
	}
	if raw.StatusCode != http.StatusAccepted || raw.Header.Get("Location") == "" {
		t.Fatalf("status %d, %v", raw.StatusCode, raw.Header)
	}
	// The job and its answer, by the same client.
	location := raw.Header.Get("Location")[len("/v1/"):]
	var j jobState
	if err := opted.Get(t.Context(), location, nil, &j); err != nil || j.ID == "" || j.final() {
		t.Errorf("the job is %+v, error %v", j, err)
	}
	var again *http.Response
	if _, err := opted.Chat.Completions.New(t.Context(), ask("smart"), option.WithResponseInto(&again)); err != nil || again.Header.Get("Location") != raw.Header.Get("Location") {
		t.Errorf("a repeat: %v, %v", err, again)
	}

	statuses := make(chan int, 10)
	var waits []time.Time
	plain := o.g.sdk(option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		waits = append(waits, time.Now())
		res, err := next(r)
		if err == nil {
			statuses <- res.StatusCode
		}
		return res, err
	}))
	done := make(chan error, 1)
	go func() {
		got, err := plain.Chat.Completions.New(t.Context(), ask("smart"))
		if err == nil && got.Choices[0].Message.Content != "Hello" {
			err = errors.New(got.RawJSON())
		}
		done <- err
	}()
	if status := <-statuses; status != http.StatusTooManyRequests {
		t.Errorf("the client that asks for nothing got %d", status)
	}
	o.release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := waits[1].Sub(waits[0]); took < 900*time.Millisecond {
		t.Errorf("it came back after %v", took)
	}

	var completion openai.ChatCompletion
	if err := opted.Get(t.Context(), location+"/response?wait=10", nil, &completion); err != nil || completion.Choices[0].Message.Content != "Hello" {
		t.Errorf("the answer is %s, error %v", completion.RawJSON(), err)
	}
	// A stream that becomes a job: the raw response again.
	got, err := opted.Chat.Completions.New(t.Context(), ask("smart"))
	if err != nil || got.Choices[0].Message.Content != "Hello" {
		t.Errorf("the stored answer: %v, %v", got, err)
	}
}

// TestSDKAndFailedJobs: a job's failure is an error to the official client as it would have been
// live, and one that stays is not tried again.
func TestSDKAndFailedJobs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("refused", playJSON(400, errorJSON("No.", "invalid_request_error", "nope")))
	stuck := up.on("stuck", (*exchange).hang)
	g := start(t, diverted(oneProvider(up, deferring())))
	tries := 0
	client := g.sdk(option.WithHeader("Divert", "yes"), option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		tries++
		return next(r)
	}))
	queue := func(model string) string {
		var raw *http.Response
		if _, err := client.Chat.Completions.New(t.Context(), ask(model), option.WithResponseInto(&raw)); err != nil {
			t.Fatal(err)
		}
		return raw.Header.Get("Location")[len("/v1/"):]
	}
	var e *openai.Error
	if err := client.Get(t.Context(), queue("up/refused")+"/response?wait=10", nil, new(openai.ChatCompletion)); !errors.As(err, &e) || e.StatusCode != 400 || e.Code != "nope" {
		t.Errorf("error %v", err)
	}
	location := queue("up/stuck")
	stuck.next(t)
	var j jobState
	if err := client.Delete(t.Context(), location, nil, &j); err != nil {
		t.Errorf("cancelling: %v", err)
	}
	tries = 0
	if err := client.Get(t.Context(), location+"/response?wait=10", nil, new(openai.ChatCompletion)); !errors.As(err, &e) || e.StatusCode != 410 || e.Code != "cancelled" {
		t.Errorf("error %v", err)
	}
	if err := client.Get(t.Context(), jobsPath[len("/v1/"):]+"job_01a2143cdd1fbe8fee69465443a9be12", nil, &j); !errors.As(err, &e) || e.StatusCode != 404 || e.Code != "job_not_found" {
		t.Errorf("error %v", err)
	}
	if tries != 2 {
		t.Errorf("what is final was asked for %d times", tries)
	}
}
