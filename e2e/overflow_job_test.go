package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestJobAnswers: what a job is answered with is what its request would have been: status, headers
// and body, to the byte.
func TestJobAnswers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring("max_attempts 2", "job_timeout 3s"))))
	const odd = "{\n  \"model\" : \"KEY\",\r\n\t\"b\":1.0e+2, \"a\":12345678901234567890, \"x\":{\"z\":\"\\u0041\\/\",\"y\":[ ]} }\n\n"
	long := `{"model":"KEY","data":"` + strings.Repeat("0123456789abcdef", 90_000) + `"}` // more than is read at a time
	weird := ": hello\n\nid: 7\r\nevent: x\r\ndata: {\"model\":\"KEY\",\"n\":1.0}\r\n\r\n" + chatEvents("KEY", "a", "b") + doneEvent
	for name, c := range map[string]struct {
		script func(*exchange)
		stream bool
		path   string

		status  string // of the job
		reason  string
		code    int
		body    string // with KEY for the name of the model
		problem string // the code of the gateway's own error, in place of a body
		calls   int
	}{
		"an answer": {script: func(x *exchange) {
			x.json(200, strings.ReplaceAll(odd, "KEY", modelOf(x.Body)), "X-Custom: kept", "Set-Cookie: no", "Openai-Organization: org-secret")
		}, status: "completed", code: 200, body: odd, calls: 1},
		"a long answer": {script: func(x *exchange) { x.json(200, strings.ReplaceAll(long, "KEY", modelOf(x.Body))) },
			status: "completed", code: 200, body: long, calls: 1},
		"an empty answer": {path: "/v1/other", script: func(x *exchange) { x.head(204) },
			status: "completed", code: 204, calls: 1},
		"no JSON": {path: "/v1/audio/speech", script: func(x *exchange) { x.answer(200, "audio/mpeg", "\x00\xff\r\n\n\x00") },
			status: "completed", code: 200, body: "\x00\xff\r\n\n\x00", calls: 1},
		"a stream": {stream: true, script: func(x *exchange) {
			playSSE(strings.ReplaceAll(weird, "KEY", modelOf(x.Body)))(x)
		}, status: "completed", code: 200, body: weird, calls: 1},
		"a refusal": {script: playJSON(400, " {\"error\":{\"message\":\"No.\",\"type\":\"t\",\"param\":null,\"code\":\"nope\"} }\n"),
			status: "failed", reason: "refused", code: 400, body: " {\"error\":{\"message\":\"No.\",\"type\":\"t\",\"param\":null,\"code\":\"nope\"} }\n", calls: 1},
		"an error that stays": {script: playJSON(500, broken),
			status: "failed", reason: "max_attempts", code: 500, body: broken, calls: 2},
		"an error in HTML that stays": {script: func(x *exchange) { x.answer(502, "text/html", page) },
			status: "failed", reason: "max_attempts", code: 502, problem: "max_attempts", calls: 2},
		"a stream that breaks each time": {stream: true, script: func(x *exchange) { x.sse(); x.chunk(word("KEY", "a")); x.taken(); x.fin() },
			status: "failed", reason: "max_attempts", code: 502, problem: "interrupted", calls: 2},
		"silence": {script: (*exchange).hang,
			status: "failed", reason: "max_attempts", code: 504, problem: "max_attempts", calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := keyOf("job", name)
			as := "up/" + key
			route := up.on(key, c.script)
			path := chatPath
			if c.path != "" {
				path = c.path
			}
			j := wantJob(t, g.post(t, path, asking(as, c.stream), divert))
			a := g.response(t, j.ID)
			if a.StatusCode != c.code || a.Err != nil {
				t.Fatalf("status %d, error %v: %.2000s", a.StatusCode, a.Err, a.Body)
			}
			if c.problem != "" {
				if e := a.wantError(t, c.code); e.code() != c.problem {
					t.Errorf("the code is %q: %s", e.code(), a.Body)
				}
			} else if want := strings.ReplaceAll(c.body, "KEY", as); a.Body != want {
				t.Error(difference(a.Body, want))
			}
			done := g.job(t, j.ID)
			if done.Status != c.status || done.EndedAt == 0 || done.InProgressAt == 0 || done.Attempt != c.calls {
				t.Errorf("the job is %+v", done)
			}
			if reason := done.Error; (reason == nil) != (c.reason == "") || reason != nil && (reason.Code != c.reason || reason.Message == "") {
				t.Errorf("the job's error is %+v", reason)
			}
			if n := len(route.seen); n != c.calls {
				t.Errorf("the provider was asked %d times, want %d", n, c.calls)
			}
			if c.status == "completed" {
				live := g.post(t, path, asking(as, c.stream))
				wantSameHeaders(t, a, live)
				if live.Body != a.Body {
					t.Errorf("live it is otherwise: %s", difference(a.Body, live.Body))
				}
			}
			if a := g.do(t, http.MethodHead, jobsPath+j.ID+"/response", ""); a.StatusCode != c.code || a.Body != "" {
				t.Errorf("HEAD: status %d, %d bytes", a.StatusCode, len(a.Body))
			}
		})
	}
}

// wantSameHeaders compares a job's answer with that of the same request when it is not queued.
func wantSameHeaders(t *testing.T, a, live answer) {
	t.Helper()
	own := map[string]bool{"Date": true, "X-Request-Id": true, "Content-Length": true, "Cache-Control": true}
	for name, values := range live.Header {
		if got := a.Header[name]; !own[name] && fmt.Sprint(got) != fmt.Sprint(values) {
			t.Errorf("%s: %q, and live %q", name, got, values)
		}
	}
	for name, values := range a.Header {
		if _, ok := live.Header[name]; !ok && !own[name] {
			t.Errorf("%s: %q, and live there is none", name, values)
		}
	}
}

// TestJobStates: a job goes from queued to its end, and can be waited for.
func TestJobStates(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring("workers 2", "max_age 1h", "keep_results 2h"))))
	held := hold(up, "held")
	failed := make(chan struct{})
	up.on("fails", failing(playJSON(500, broken), func(x *exchange) { <-failed; hello(x) }))

	first := g.divert(t, streamBody("up/held"))
	second := g.divert(t, chatBody("up/held", ""))
	held.next(t)
	held.next(t) // both workers have something to do
	var queue []jobState
	for _, priority := range []string{"2", "2", "0", "3"} {
		queue = append(queue, g.divert(t, chatBody("up/held", ""), "Runestone-Priority: "+priority))
	}
	for i, position := range []int{1, 2, 0, 3} {
		j := g.job(t, queue[i].ID)
		if j.Status != "queued" || j.Position == nil || *j.Position != position || j.Attempt != 0 || j.InProgressAt != 0 {
			t.Errorf("the %d. job is %+v, position %v, want %d", i, j, j.Position, position)
		}
		if left := j.ExpiresAt - j.CreatedAt; left < 3599 || left > 3601 {
			t.Errorf("it expires %d seconds after its creation", left)
		}
	}
	j := g.job(t, first.ID)
	if j.Status != "in_progress" || j.Position != nil || j.Attempt != 1 || j.Run != 1 || j.InProgressAt < j.CreatedAt || j.EndedAt != 0 {
		t.Errorf("the job that runs is %+v", j)
	}
	if a := g.do(t, http.MethodHead, jobsPath+first.ID, ""); a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: status %d, %v", a.StatusCode, a.Header)
	}

	// A wait that is over before the job is.
	began := time.Now()
	if j := parseJob(t, g.do(t, http.MethodGet, jobsPath+first.ID+"?wait=1", "").Body); j.Status != "in_progress" {
		t.Errorf("the job is %+v", j)
	}
	wantJob(t, g.do(t, http.MethodGet, jobsPath+first.ID+"/response?wait=0", ""))
	if took := time.Since(began); took < time.Second || took > 3*time.Second {
		t.Errorf("the waits took %v", took)
	}
	// One that is not, from several clients.
	ended := make(chan answer, 3)
	for _, what := range []string{"?wait=15", "/response?wait=100000", "?wait=15"} {
		go func() {
			res, err := g.send(t, t.Context(), http.MethodGet, jobsPath+second.ID+what, "")
			if err == nil {
				defer res.Body.Close()
			}
			ended <- answer{Response: res, Err: err}
		}()
	}
	close(held.letGo)
	for range 3 {
		if a := <-ended; a.Err != nil || a.StatusCode != 200 || a.Header.Get("Retry-After") != "" {
			t.Errorf("the wait ended with %+v", a)
		}
	}
	for _, job := range append(queue, first, second) {
		g.wantServed(t, job.ID, "up/held")
	}
	j = g.job(t, first.ID)
	if left := j.ExpiresAt - j.EndedAt; j.Status != "completed" || j.Error != nil || left < 7199 || left > 7201 || j.InProgressAt == 0 {
		t.Errorf("the job that has ended is %+v", j)
	}

	// One that failed and is to be tried again.
	j = g.divert(t, chatBody("up/fails", ""))
	eventually(t, patience, "the job does not fail", func() bool {
		j = g.job(t, j.ID)
		return j.Error != nil
	})
	if j.Error.Code != "attempt_failed" || !strings.Contains(j.Error.Message, "500") || j.final() {
		t.Errorf("after an attempt the job is %+v, %+v", j, j.Error)
	}
	close(failed)
	g.wantServed(t, j.ID, "up/fails")
	if j = g.job(t, j.ID); j.Attempt != 2 || j.Run != 2 || j.Error != nil {
		t.Errorf("the job is %+v, %+v", j, j.Error)
	}
}

// TestJobIsItsOwners: for anybody else there is no such job, whatever they ask.
func TestJobIsItsOwners(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	g := start(t, diverted(oneProvider(up, deferring())))
	owners := [][]string{{bearer("a")}, {bearer("b")}, {"X-Api-Key: sk-c"}, {"X-Api-Key: sk-d"}, nil}
	for i, owner := range owners {
		j := g.divert(t, chatBody("smart", ""), owner...)
		g.wantServed(t, j.ID, "smart", owner...)
		for k, other := range owners {
			if i == k {
				continue
			}
			for what, method := range map[string]string{"": "GET", "?wait=1": "GET", "/response": "GET", "/events": "GET", "?x": "DELETE"} {
				a := g.do(t, method, jobsPath+j.ID+what, "", other...)
				if e := a.wantError(t, http.StatusNotFound); e.code() != "job_not_found" || a.Header.Get("X-Should-Retry") != "false" {
					t.Errorf("%s %s: code %q, %v", method, what, e.code(), a.Header)
				}
			}
		}
		if j := g.job(t, j.ID, owner...); j.Status != "completed" {
			t.Errorf("the job is %+v", j)
		}
	}
}

// TestJobPaths: what is no job, and what cannot be done with one.
func TestJobPaths(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	g := start(t, diverted(oneProvider(up, deferring())))
	j := g.divert(t, chatBody("smart", ""))
	g.wantServed(t, j.ID, "smart")
	calls := up.requests()
	unknown := "job_01a2143cdd1fbe8fee69465443a9be12"
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", jobsPath + unknown, 404, ""},
		{"DELETE", jobsPath + unknown, 404, ""},
		{"GET", jobsPath + unknown + "/response?wait=5", 404, ""},
		{"GET", jobsPath + unknown + "/events", 404, ""},
		{"GET", jobsPath + strings.ToUpper(j.ID), 404, ""},
		{"GET", jobsPath + j.ID[:35], 404, ""},
		{"GET", jobsPath + j.ID + "0", 404, ""},
		{"GET", jobsPath + "job_%2e%2e%2f", 404, ""},
		{"GET", jobsPath + strings.Repeat("x", 5000), 404, ""},
		{"GET", jobsPath, 404, ""},
		{"GET", strings.TrimSuffix(jobsPath, "/"), 404, ""},
		{"POST", strings.TrimSuffix(jobsPath, "/"), 404, ""},
		{"GET", jobsPath + j.ID + "/", 200, ""},
		{"GET", jobsPath + j.ID + "/respons", 404, ""},
		{"GET", jobsPath + j.ID + "/response/", 404, ""},
		{"GET", jobsPath + j.ID + "/response/x", 404, ""},
		{"GET", jobsPath + j.ID + "/events/1", 404, ""},
		{"GET", jobsPath + j.ID + "//response", 400, ""},
		{"GET", jobsPath + j.ID + "/../" + j.ID, 400, ""},
		{"POST", jobsPath + j.ID, 405, "GET, HEAD, DELETE"},
		{"PUT", jobsPath + j.ID, 405, "GET, HEAD, DELETE"},
		{"DELET", jobsPath + j.ID, 405, "GET, HEAD, DELETE"},
		{"G", jobsPath + j.ID, 405, "GET, HEAD, DELETE"},
		{"POST", jobsPath + j.ID + "/response", 405, "GET, HEAD"},
		{"DELETE", jobsPath + j.ID + "/response", 405, "GET, HEAD"},
		{"DELETE", jobsPath + j.ID + "/events", 405, "GET, HEAD"},
		{"PATCH", jobsPath + unknown, 405, "GET, HEAD, DELETE"},
		{"GET", jobsPath + j.ID + "?wait=-1", 400, ""},
		{"GET", jobsPath + j.ID + "?wait=1s", 400, ""},
		{"GET", jobsPath + j.ID + "?wait=1.5", 400, ""},
		{"GET", jobsPath + j.ID + "?wait=99999999999", 400, ""},
		{"GET", jobsPath + j.ID + "/response?wait=x", 400, ""},
		{"GET", jobsPath + j.ID + "?wait=", 200, ""},
		{"GET", jobsPath + j.ID + "?wait=2147483647", 200, ""},
	} {
		a := g.do(t, c.method, c.path, "")
		if a.StatusCode != c.status || a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %.80s: status %d, Allow %q: %s", c.method, c.path, a.StatusCode, a.Header.Get("Allow"), a.Body)
		} else if c.status >= 400 {
			a.wantError(t, c.status)
		}
	}
	if up.requests() != calls {
		t.Error("something of that was relayed")
	}
}

// TestCancel: a job is cancelled in whatever state it is, once and for all.
func TestCancel(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := &occupied{held: hold(up, "gpt-upstream")}
	s := one(up, "max_concurrency 1", deferring("workers 3"))
	o.g = start(t, diverted(s))
	o.call = o.g.begin(t, chatBody("smart", ""))
	o.held.next(t)
	stuck := up.on("stuck", (*exchange).hang)
	up.on("done", hello)
	g := o.g

	waits := g.divert(t, chatBody("smart", ""))
	eventually(t, patience, "the job does not wait", func() bool {
		waits = g.job(t, waits.ID)
		return waits.Run > 0 && waits.Status == "queued"
	})
	if waits.InProgressAt != 0 || waits.Attempt != 0 || waits.Position != nil {
		t.Errorf("a job that waits for room is %+v", waits)
	}
	wantCancelled(t, g, waits.ID)
	for range 10 { // before, while or after it is found out that there is no room
		j := g.divert(t, chatBody("smart", ""))
		g.delete(t, j.ID)
		g.awaitCancelled(t, j.ID)
	}

	runs := g.divert(t, streamBody("up/stuck"))
	x := stuck.next(t)
	if j := g.delete(t, runs.ID); j.Status != "in_progress" && j.Status != "cancelled" || !j.Cancelling && j.Status == "in_progress" {
		t.Errorf("a job that is told to stop is %+v", j)
	}
	began := time.Now()
	if j := g.awaitCancelled(t, runs.ID); j.Cancelling || j.EndedAt == 0 {
		t.Errorf("the job that ran is %+v", j)
	}
	if _, ok := x.leftAt(patience); !ok || time.Since(began) > 4*time.Second {
		t.Errorf("the provider was left after %v: %t", time.Since(began), ok)
	}
	wantCancelled(t, g, runs.ID)

	done := g.divert(t, chatBody("up/done", ""))
	g.wantServed(t, done.ID, "up/done")
	if j := g.delete(t, done.ID); j.Status != "completed" {
		t.Errorf("a job that was done is %+v", j)
	}
	g.wantServed(t, done.ID, "up/done")

	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	g.awaitRoom(t)
	if n := len(o.held.seen); n != 0 {
		t.Error("the cancelled job was run")
	}
}

// awaitCancelled returns a job that was cancelled just now once that is done.
func (g *gateway) awaitCancelled(t *testing.T, id string) jobState {
	t.Helper()
	j := parseJob(t, g.do(t, http.MethodGet, jobsPath+id+"?wait=10", "").Body)
	if j.Status != "cancelled" {
		t.Errorf("the job is %+v, want cancelled", j)
	}
	return j
}

// wantCancelled cancels a job that does not run, twice.
func wantCancelled(t *testing.T, g *gateway, id string) {
	t.Helper()
	for range 2 {
		if j := g.delete(t, id); j.Status != "cancelled" || j.EndedAt == 0 {
			t.Errorf("the job is %+v", j)
		}
	}
	a := g.response(t, id)
	if e := a.wantError(t, http.StatusGone); e.code() != "cancelled" || a.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("code %q, %v", e.code(), a.Header)
	}
	s := g.follow(t, id)
	s.wantState("cancelled")
	s.wantOver()
}

// TestExpiry: a job that is not done in time is given up, and its client told.
func TestExpiry(t *testing.T) {
	t.Parallel()
	o := occupy(t, newUpstream(t), deferring("max_age 1s"))
	j := wantJob(t, o.g.post(t, chatPath, chatBody("smart", ""), respondAsync))
	a := o.g.response(t, j.ID)
	if e := a.wantError(t, http.StatusGatewayTimeout); e.code() != "expired" {
		t.Errorf("code %q: %s", e.code(), a.Body)
	}
	if j := o.g.job(t, j.ID); j.Status != "expired" || j.Error == nil || j.Error.Code != "expired" {
		text, _ := json.Marshal(j)
		t.Errorf("the job is %s", text)
	}
	o.release()
}
