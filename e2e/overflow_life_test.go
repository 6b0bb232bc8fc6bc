package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestJobsOutliveReloads: jobs that run and jobs that wait are done once, however often the
// configuration changes.
func TestJobsOutliveReloads(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	held := hold(up, "held")
	s := diverted(oneProvider(up, deferring("workers 1")))
	g := start(t, s)
	jobs := []jobState{g.divert(t, chatBody("up/held", "")), g.divert(t, chatBody("up/held", "")), g.divert(t, streamBody("up/held"))}
	held.next(t)
	for i := range 4 {
		s.App = strings.Replace(s.App, fmt.Sprint("workers ", i+1), fmt.Sprint("workers ", i+2), 1)
		g.reload(s)
	}
	held.next(t) // the other workers are there
	held.next(t)
	close(held.letGo)
	for _, j := range jobs {
		g.wantServed(t, j.ID, "up/held")
		if done := g.job(t, j.ID); done.Attempt != 1 || done.Run != 1 {
			t.Errorf("the job is %+v", done)
		}
	}
	if up.requests() != 3 {
		t.Errorf("the provider was asked %d times", up.requests())
	}
}

// TestJobsOutliveTheProcess: what was accepted before is done after, also when the configuration
// says nothing of overflow any more; what runs at the exit gets its time and loses no attempt.
func TestJobsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := diverted(oneProvider(up, deferring("shutdown_grace 1s", "workers 3")))
	g := start(t, s)
	stuck := up.on("stuck", failing((*exchange).hang))
	ending := hold(up, "ending")
	stays := up.on("stays", func(x *exchange) { x.sse(); x.chunk(word("stays", "Hel")); x.hang() })
	up.on("later", hello)
	one := g.divert(t, chatBody("up/stuck", ""), bearer("a"), "Idempotency-Key: k")
	two := g.divert(t, chatBody("up/ending", ""))
	three := g.divert(t, streamBody("up/stays"))
	four := g.divert(t, chatBody("up/later", ""), "Runestone-Priority: 3")
	ran := []*exchange{stuck.next(t), ending.next(t), stays.next(t)}

	began := time.Now()
	g.terminate()
	<-time.After(time.Until(began.Add(300 * time.Millisecond))) // within the grace
	close(ending.letGo)
	if code := g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("the exit took %v", took)
	}
	for i, x := range ran {
		if _, ok := x.leftAt(patience); !ok {
			t.Errorf("the connection of the %d. job is open", i)
		}
	}

	up.on("stays", hello)
	calls := up.requests()
	next := oneProvider(up)
	g = g.again(t, next)
	g.wantServed(t, one.ID, "up/stuck", bearer("a"))
	g.wantServed(t, two.ID, "up/ending")
	g.wantServed(t, three.ID, "up/stays")
	g.wantServed(t, four.ID, "up/later")
	for id, runs := range map[string]int{one.ID: 2, two.ID: 1, three.ID: 2, four.ID: 1} {
		var owner []string
		if id == one.ID {
			owner = []string{bearer("a")}
		}
		if j := g.job(t, id, owner...); j.Attempt != 1 || j.Run != runs || j.Status != "completed" {
			t.Errorf("the job is %+v, want %d runs", j, runs)
		}
	}
	if n := up.requests() - calls; n != 3 {
		t.Errorf("after the restart the provider was asked %d times", n)
	}
	a := g.post(t, chatPath, chatBody("up/stuck", ""), bearer("a"), "Idempotency-Key: k")
	if a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the key is forgotten: %d %v", a.StatusCode, a.Header)
	}
}

// TestWaitingAtExit: who waits in line and would take a job gets one when the gateway exits.
func TestWaitingAtExit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := one(up, "max_concurrency 1", deferring(), "line {\nwait 20s\n}")
	o := &occupied{g: start(t, s), held: hold(up, "gpt-upstream")}
	o.call = o.g.begin(t, chatBody("smart", ""))
	o.held.next(t)
	p := o.g.begin(t, chatBody("smart", ""), "Prefer: respond-async, wait=15")
	plain := o.g.begin(t, chatBody("smart", ""))
	o.g.awaitLine(t, 2)
	o.g.terminate()
	j := wantJob(t, p.wait())
	wantRefusal(t, plain.wait(), http.StatusServiceUnavailable, "shutting_down")
	o.release()
	wantHello(t, o.call.wait(), "smart", "up", 1)
	if code := o.g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	o.g.again(t, s).wantServed(t, j.ID, "smart")
}

// TestOverflowKeepsSecrets: neither keys nor what was said is in anything that the gateway writes or
// shows, nor, encrypted, in the file of the queue.
func TestOverflowKeepsSecrets(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	file := filepath.Join(t.TempDir(), "access.log")
	s := logged(up, file)
	s.App = strings.Replace(s.App, upstreamKey, "{env.RUNESTONE_E2E_SECRET}", 1) +
		deferring("encrypt {env.QUEUE_KEY}", "max_attempts 2", calling("{env.HOOK_SECRET}"))
	s.Site = strings.Replace(s.Site, "\trunestone", "\t"+diverted(s).Site, 1)
	// Caddy logs headers as they came; a callback's URL may have a token in it.
	s.Site = strings.Replace(s.Site, "format filter {", "format filter {\nrequest>headers>Runestone-Callback delete", 1)
	hookKey := hookSecret(7)
	s.Env = []string{"RUNESTONE_E2E_SECRET=MARKED-provider-key", "QUEUE_KEY=MARKED-queue-key-0123456789", "HOOK_SECRET=" + hookKey}
	s.Global = "debug\n"
	g := start(t, s)
	_ = os.Truncate(file, 0)
	up.on("ok", playJSON(200, chatJSON("ok", "MARKED-completion")))
	up.on("stream", playSSE(chatEvents("stream", "MARKED-completion"), doneEvent))
	up.on("refused", playJSON(400, errorJSON("MARKED-error", "invalid_request_error", "")))
	up.on("fails", playJSON(500, errorJSON("MARKED-error", "server_error", "")))
	up.on("cut", func(x *exchange) { x.sse(); x.chunk(word("cut", "MARKED-completion")); x.taken(); x.reset() })
	stuck := up.on("stuck", (*exchange).hang)
	h := newHook(t, 500)
	owner := []string{"Authorization: Bearer MARKED-bearer", "X-Api-Key: MARKED-x", "Cookie: session=MARKED-cookie"}
	headers := append([]string{divert, "Runestone-Callback: " + h.URL + "/MARKED-path?token=MARKED-token"}, owner...)
	n := 0
	for i, model := range []string{"ok", "stream", "refused", "fails", "cut", "stuck"} {
		body := strings.Replace(asking("up/"+model, model == "stream" || model == "cut"), "Say hello", "MARKED-prompt", 1)
		j := g.divert(t, body, append(headers, fmt.Sprint("Idempotency-Key: key-", i))...)
		if model == "stuck" {
			stuck.next(t)
			g.delete(t, j.ID, owner...)
			n++
		}
		g.response(t, j.ID, owner...)
		_, _ = g.follow(t, j.ID, owner...).rest()
		h.next(t).wantSigned(t, hookKey)
		n += 3
	}
	lines := readLog(t, file, n)
	access, _ := os.ReadFile(file)
	for line := range strings.Lines(string(access)) {
		var entry struct {
			Request   struct{ URI string }
			Runestone struct{ Job string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || len(entry.Runestone.Job) != 36 ||
			strings.HasPrefix(entry.Request.URI, jobsPath) && !strings.Contains(entry.Request.URI, entry.Runestone.Job) {
			t.Errorf("a line without its job: %s (%v)", line, err)
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines", len(lines))
	}
	for where, text := range map[string]string{
		"stderr": g.stderr.String(), "stdout": g.stdout.String(), "the access log": string(access),
		"/metrics": g.adminGet("/metrics"), "/config/": g.adminGet("/config/"), "the queue": g.queueFile(),
	} {
		for _, secret := range []string{"MARKED", hookKey, hookKey[6:30]} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s: …%q", where, text[max(0, i-200):min(len(text), i+60)])
			}
		}
	}
}

// TestQueueFileHasNoKeys: unencrypted, the queue's file holds what is to be done, but nobody's key.
func TestQueueFileHasNoKeys(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	hookKey := hookSecret(8)
	s := diverted(oneProvider(up, deferring(calling("{env.HOOK_SECRET}"))))
	s.Env = []string{"HOOK_SECRET=" + hookKey}
	g := start(t, s)
	h := newHook(t)
	headers := []string{"Authorization: Bearer MARKED-bearer", "X-Api-Key: MARKED-x", "Api-Key: MARKED-azure", "X-Goog-Api-Key: MARKED-goog",
		"Cookie: session=MARKED-cookie", "Proxy-Authorization: Basic MARKED-proxy", "Idempotency-Key: MARKED-key", "Openai-Organization: MARKED-org"}
	j := g.divert(t, chatBody("smart", ""), append(headers, "Runestone-Callback: "+h.URL)...)
	g.wantServed(t, j.ID, "smart", headers...)
	h.next(t)
	text := g.queueFile()
	if !strings.Contains(text, "Say hello") {
		t.Error("the request is not there: is it the right file?")
	}
	for _, secret := range []string{"MARKED", upstreamKey, hookKey, hookKey[6:30]} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("…%q", text[max(0, i-200):min(len(text), i+60)])
		}
	}
}
