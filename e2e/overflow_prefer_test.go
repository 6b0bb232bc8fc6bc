package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// oddBody is a request whose every byte matters, but for the name of the model.
const oddBody = "{ \"messages\" : [{\"role\":\"user\",\"content\":\"Say \\u0068ello\"}],\r\n\t\"temperature\":1.0e-0, \"unknown\":{\"b\":1,\"a\":12345678901234567890}, \"model\":%q }"

// TestRespondAsync: a client to which a job will do gets its answer when there is room, and a job when
// there is none.
func TestRespondAsync(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, deferring(), "line {\nwait 20s\n}")
	body := fmt.Sprintf(oddBody, "smart")
	a, took := o.g.timed(t, body, respondAsync)
	j := wantJob(t, a)
	if v := a.Header.Values("Preference-Applied"); len(v) != 1 || v[0] != "respond-async" || took > 5*time.Second {
		t.Errorf("Preference-Applied %q after %v", v, took)
	}
	if j.Status != "queued" || j.Model != "smart" || j.Priority != 1 || j.MaxAttempts != 5 || j.InProgressAt != 0 || j.EndedAt != 0 {
		t.Errorf("the job is %+v", j)
	}
	streamed := wantJob(t, o.g.post(t, chatPath, streamBody("smart"), "Prefer: foo, Respond-Async ; x=y"))
	responses := o.g.do(t, http.MethodGet, j.ResponseURL, "")
	if again := wantJob(t, responses); again.ID != j.ID || again.Status == "completed" {
		t.Errorf("before its end the response is %+v", again)
	}

	// In line first.
	late := o.g.begin(t, chatBody("smart", ""), "Prefer: respond-async, wait=1")
	o.g.awaitLine(t, 1)
	a = late.wait()
	waited := wantJob(t, a)
	if v := a.Header.Values("Preference-Applied"); len(v) != 1 || v[0] != "respond-async, wait=1" {
		t.Errorf("Preference-Applied %q after a wait", v)
	}
	if late.took < time.Second || late.took > 3*time.Second {
		t.Errorf("it took %v, want 1s", late.took)
	}

	inTime := o.g.begin(t, chatBody("smart", ""), "Prefer: wait=15, respond-async")
	o.g.awaitLine(t, 1)
	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	a = inTime.wait()
	wantHello(t, a, "smart", "up", 1)
	if v := a.Header.Values("Preference-Applied"); len(v) != 1 || v[0] != "wait=15" || a.Header.Get("Location") != "" {
		t.Errorf("served in line: Preference-Applied %q, Location %q", v, a.Header.Get("Location"))
	}
	for _, job := range []jobState{j, streamed, waited} {
		o.g.wantServed(t, job.ID, "smart")
	}
	for want, seen := strings.Replace(body, "smart", "gpt-upstream", 1), false; !seen; {
		seen = string(o.held.next(t).Body) == want // or the test fails for want of a next one
	}
	o.g.awaitRoom(t)
	a = o.g.post(t, chatPath, chatBody("smart", ""), respondAsync)
	wantHello(t, a, "smart", "up", 1)
	if a.Header.Get("Preference-Applied") != "" || a.Header.Get("Location") != "" {
		t.Errorf("served at once: %v", a.Header)
	}
}

// awaitRoom returns once the one target has no call.
func (g *gateway) awaitRoom(t testing.TB) {
	t.Helper()
	eventually(t, patience, "the target is not free", func() bool { return g.target("up/gpt-upstream").InFlight == 0 })
}

const formOfFile = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nsmart\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nxyz\r\n--b--\r\n"

// TestOnlyWhoAsksIsQueued: without the preference everything is as it is without overflow, and
// what cannot be stored is refused as always.
func TestOnlyWhoAsksIsQueued(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]string{"on": deferring(), "left out": "", "off": "overflow off"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := occupy(t, newUpstream(t), option, "line {\nwait 200ms\n}")
			for what, headers := range map[string][]string{
				"nothing said": nil, "wait alone": {"Prefer: wait=0"}, "another preference": {"Prefer: respond-sync, return=minimal"},
				"a key alone": {"Idempotency-Key: k1"}, "a priority alone": {"Runestone-Priority: 0"},
			} {
				for _, stream := range []bool{false, true} {
					a := o.g.post(t, chatPath, asking("smart", stream), headers...)
					wantRefusal(t, a, http.StatusTooManyRequests, "rate_limit_exceeded")
					if a.Header.Get("Location") != "" {
						t.Errorf("%s: there is a Location", what)
					}
				}
			}
			a := o.g.do(t, http.MethodPost, "/v1/audio/transcriptions", formOfFile, "Content-Type: multipart/form-data; boundary=b", respondAsync)
			wantRefusal(t, a, http.StatusTooManyRequests, "rate_limit_exceeded")
			if option == "overflow off" {
				wantRefusal(t, o.g.post(t, chatPath, chatBody("smart", ""), respondAsync), http.StatusTooManyRequests, "rate_limit_exceeded")
				a := o.g.do(t, http.MethodGet, jobsPath+"job_01a2143cdd1fbe8fee69465443a9be12", "")
				if e := a.wantError(t, http.StatusNotFound); e.code() != "job_not_found" {
					t.Errorf("the code is %q", e.code())
				}
			} else {
				wantJob(t, o.g.post(t, chatPath, chatBody("smart", ""), respondAsync))
			}
			o.release()
		})
	}
}

// TestWhatIsWrongIsNotQueued: a job is no way around a refusal.
func TestWhatIsWrongIsNotQueued(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("picky", playJSON(400, errorJSON("No.", "invalid_request_error", "nope")))
	route := up.on("/v1/chat/completions", playJSON(503, broken, "Retry-After: 1"))
	g := start(t, oneProvider(up, deferring("default async")))
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		"no model":                  {body: `{"messages":[]}`, status: 400, code: "missing_required_parameter"},
		"no JSON":                   {body: `{`, status: 400, code: "invalid_json"},
		"an unknown model":          {body: chatBody("nobody/x", ""), status: 404, code: "no_route"},
		"the provider's refusal":    {body: chatBody("up/picky", ""), status: 400, code: "nope"},
		"a method":                  {method: http.MethodPut, body: chatBody("smart", ""), status: 405, code: "method_not_allowed"},
		"a key that is too long":    {headers: []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, status: 400, code: "invalid_idempotency_key"},
		"an empty key":              {headers: []string{"Idempotency-Key: "}, status: 400, code: "invalid_idempotency_key"},
		"a priority that is none":   {headers: []string{"Runestone-Priority: 4"}, status: 400, code: "invalid_priority"},
		"a priority that is a word": {headers: []string{"Runestone-Priority: high"}, status: 400, code: "invalid_priority"},
		"a callback without any":    {headers: []string{"Runestone-Callback: https://hooks.example.com/"}, status: 400, code: "invalid_callback"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodPost
			}
			if c.body == "" {
				c.body = chatBody("smart", "")
			}
			a := g.do(t, c.method, chatPath, c.body, append(c.headers, "Content-Type: application/json", respondAsync)...)
			e := a.wantError(t, c.status)
			if e.code() != c.code {
				t.Errorf("the code is %q, want %q", e.code(), c.code)
			}
			if a.Header.Get("Location") != "" {
				t.Error("there is a Location")
			}
		})
	}
	a := g.do(t, http.MethodGet, chatPath, "", respondAsync) // which is never stored
	if a.StatusCode != http.StatusServiceUnavailable || a.Body != broken || len(route.seen) != 1 {
		t.Errorf("a GET: status %d after %d calls: %s", a.StatusCode, len(route.seen), a.Body)
	}
}

// TestDefaultAsync: where the configuration says so, nobody has to ask.
func TestDefaultAsync(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	o := occupy(t, up, deferring("default async", "priority 2"), "line {\nwait 20s\n}")
	a, took := o.g.timed(t, chatBody("smart", ""))
	j := wantJob(t, a)
	if a.Header.Get("Preference-Applied") != "" || took > 5*time.Second || j.Priority != 2 {
		t.Errorf("Preference-Applied %q after %v; %+v", a.Header.Get("Preference-Applied"), took, j)
	}
	a, took = o.g.timed(t, streamBody("smart"), "Prefer: wait=1")
	wantJob(t, a)
	if a.Header.Get("Preference-Applied") != "wait=1" || took < time.Second {
		t.Errorf("Preference-Applied %q after %v", a.Header.Get("Preference-Applied"), took)
	}
	o.release()
	o.g.wantServed(t, j.ID, "smart")
}

// TestFailuresAreQueued: an error that may pass is no answer to a client that can wait.
func TestFailuresAreQueued(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	cases := []struct {
		name  string
		fails []func(*exchange)
	}{
		{"429", []func(*exchange){playJSON(429, tooMany)}},
		{"429 with Retry-After", []func(*exchange){playJSON(429, tooMany, "Retry-After: 1")}},
		{"503", []func(*exchange){playJSON(503, broken)}},
		{"503 with Retry-After", []func(*exchange){playJSON(503, broken, "Retry-After: 1")}},
		{"529", []func(*exchange){playJSON(529, broken)}},
		{"500", []func(*exchange){playJSON(500, broken)}},
		{"502 with HTML", []func(*exchange){func(x *exchange) { x.answer(502, "text/html", page) }}},
		{"no answer", slices.Repeat([]func(*exchange){(*exchange).reset}, 6)},
		{"silence", []func(*exchange){(*exchange).hang}},
		{"an error as the first event", []func(*exchange){playSSE("data: " + errorJSON("Overloaded", "server_error", "overloaded") + "\n\n")}},
	}
	more := []string{deferring(), "timeouts {\nfirst_byte 1s\n}"}
	for i := range cases { // a key that is told to pause pauses for all of its provider's models
		more = append(more, fmt.Sprintf("provider p%d openai {\nbase_url %s/v1\napi_key sk-%d\n}", i, up.URL(), i))
	}
	g := start(t, oneProvider(up, more...))
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			key := keyOf("fails", c.name)
			as := fmt.Sprintf("p%d/%s", i, key)
			up.on(key, failing(c.fails...))
			body := streamBody(as)
			if strings.HasPrefix(c.name, "5") {
				body = chatBody(as, "")
			}
			j := wantJob(t, g.post(t, chatPath, body, respondAsync))
			g.wantServed(t, j.ID, as)
			if done := g.job(t, j.ID); done.Attempt > len(c.fails) {
				t.Errorf("the job is %+v", done)
			}
		})
	}
}
