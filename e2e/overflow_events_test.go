package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFollow: whoever follows a job sees its states and what it puts out while it runs, and goes on
// after a broken connection exactly where it was.
func TestFollow(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring("workers 1"))))
	busy := newStepped(up, "busy")
	model := newStepped(up, "live")
	before := g.divert(t, streamBody("up/busy"))
	busy.route.next(t)

	j := g.divert(t, streamBody("up/live"), bearer("a"))
	one, two := g.follow(t, j.ID, bearer("a")), g.follow(t, j.ID, bearer("a"))
	for _, s := range []*stream{one, two} {
		if state, _ := s.wantState("queued"); state.Position == nil || *state.Position != 0 {
			t.Errorf("the job is %+v", state)
		}
	}
	close(busy.steps)
	g.awaitJob(t, before.ID, "completed")
	for _, s := range []*stream{one, two} {
		s.wantState("in_progress")
	}
	var ids []string
	for i := range 5 {
		text := fmt.Sprint("word ", i)
		model.send(t, word("live", text))
		e := one.wantTold(word("up/live", text))
		if again := two.wantTold(word("up/live", text)); again != e {
			t.Errorf("two who follow see %+v and %+v", e, again)
		}
		ids = append(ids, e.id)
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 5 {
		t.Errorf("the IDs are %q", ids)
	}
	wantJob(t, g.do(t, http.MethodGet, j.ResponseURL, "", bearer("a")))
	two.cancel()

	// From each place, and from the beginning.
	for i := -1; i < 5; i++ {
		headers := []string{bearer("a")}
		if i >= 0 {
			headers = append(headers, "Last-Event-ID: "+ids[i])
		}
		late := g.follow(t, j.ID, headers...)
		late.wantState("in_progress")
		for k := i + 1; k < 5; k++ {
			late.wantTold(word("up/live", fmt.Sprint("word ", k)))
		}
		late.cancel()
	}
	late := g.follow(t, j.ID, bearer("a"), "Last-Event-ID: "+ids[4])
	late.wantState("in_progress")
	close(model.steps)
	var last string
	for _, s := range []*stream{one, late} {
		s.wantTold(chunk("up/live", `{}`, "stop"))
		s.wantTold(doneEvent)
		state, e := s.wantState("completed")
		if state.Attempt != 1 || state.Run != 1 {
			t.Errorf("the job is %+v", state)
		}
		s.wantOver()
		last = e.id
	}

	// After the end: again from anywhere, and no more after the last event.
	whole := g.follow(t, j.ID, bearer("a"))
	for k := range 5 {
		whole.wantTold(word("up/live", fmt.Sprint("word ", k)))
	}
	whole.wantTold(chunk("up/live", `{}`, "stop"))
	whole.wantTold(doneEvent)
	whole.wantState("completed")
	whole.wantOver()
	a := g.do(t, http.MethodGet, j.EventsURL, "", bearer("a"), "Last-Event-ID: "+last)
	if a.StatusCode != http.StatusNoContent || a.Body != "" {
		t.Errorf("after the last event: status %d: %s", a.StatusCode, a.Body)
	}
	a = g.do(t, http.MethodHead, j.EventsURL, "", bearer("a"))
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("X-Accel-Buffering") != "no" ||
		!strings.Contains(a.Header.Get("Cache-Control"), "no-transform") {
		t.Errorf("HEAD: status %d, %v", a.StatusCode, a.Header)
	}
}

// TestFollowWithBreaks: a client whose connection breaks all the time misses nothing and gets nothing twice.
func TestFollowWithBreaks(t *testing.T) {
	t.Parallel()
	const events = 400
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring())))
	paced := make(chan struct{}, events)
	up.on("many", func(x *exchange) {
		x.sse()
		for i := range events {
			<-paced
			x.chunk(word("many", fmt.Sprint(i)))
		}
		x.chunk(chunk("many", `{}`, "stop") + doneEvent)
		x.end()
	})
	paced <- struct{}{}
	j := g.divert(t, streamBody("up/many"))
	var all strings.Builder
	last, connections := "", 0
	for status := ""; status != "completed"; connections++ {
		for range 20 {
			select {
			case paced <- struct{}{}:
			default:
			}
		}
		s := g.follow(t, j.ID, "Last-Event-ID: "+last)
		for n := 0; n < 13 && status != "completed"; {
			e, err := s.told()
			if err != nil {
				t.Fatal(err)
			}
			if e.name == "overflow.job" {
				status = parseJob(t, e.data).Status
				continue
			}
			n++
			all.WriteString(e.plain)
			last = e.id
		}
		s.cancel()
	}
	want := g.response(t, j.ID).Body
	if all.String() != want || strings.Count(want, "data: ") != events+2 {
		t.Error(difference(all.String(), want))
	}
	t.Logf("%d connections", connections)
}

// TestFollowARepeatedRun: when a stream breaks and is repeated, its followers see the new run from its beginning.
func TestFollowARepeatedRun(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring())))
	seen := make(chan struct{})
	up.on("breaks", failing(func(x *exchange) {
		x.sse()
		x.chunk(word("breaks", "Hel"))
		<-seen
		x.reset()
	}))
	j := g.divert(t, streamBody("up/breaks"))
	s := g.follow(t, j.ID)
	e, err := s.told()
	for e.name == "overflow.job" && err == nil { // queued and in progress, or the latter only
		e, err = s.told()
	}
	if e.plain != word("up/breaks", "Hel") {
		t.Fatalf("event %+v, %v", e, err)
	}
	first := e.id
	close(seen)
	// It may be queued again, and run again, too quickly to be seen.
	var run int
	for e.plain != chunk("up/breaks", `{"role":"assistant","content":"","refusal":null}`, "") {
		if e, err = s.told(); err != nil {
			t.Fatal(err)
		}
		if e.name == "overflow.job" {
			run = parseJob(t, e.data).Run
		}
	}
	if run != 2 {
		t.Errorf("the new run's events begin without the job saying so: run %d", run)
	}
	s.wantTold(word("up/breaks", "Hello"))
	s.wantTold(chunk("up/breaks", `{}`, "stop"))
	s.wantTold(doneEvent)
	if state, _ := s.wantState("completed"); state.Attempt != 2 || state.Run != 2 {
		t.Errorf("the job is %+v", state)
	}
	s.wantOver()
	// Whoever has the first run's events only gets all of the second's.
	s = g.follow(t, j.ID, "Last-Event-ID: "+first)
	if rest, err := s.rest(); err != nil || strings.Count(rest, "data: ") != 5 || strings.Contains(rest, `"Hel"`) {
		t.Errorf("error %v: %q", err, rest)
	}
	g.wantServed(t, j.ID, "up/breaks")
}

// TestFollowOtherAnswers: what is no stream is told in one event, and so are failures.
func TestFollowOtherAnswers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring("max_attempts 1"))))
	odd := "{\r\n \"model\": \"KEY\",\r \"a\": 1.0\n}\n"
	for name, c := range map[string]struct {
		script func(*exchange)
		data   string
		status string
		stream bool
	}{
		"an answer":            {playJSON(200, chatJSON("KEY", "hi")), chatJSON("KEY", "hi"), "completed", false},
		"one of several lines": {playJSON(200, odd), `{ "model": "KEY", "a": 1.0}`, "completed", false},
		"a refusal":            {playJSON(400, errorJSON("No.", "t", "nope")), errorJSON("No.", "t", "nope"), "failed", true},
		"an error":             {playJSON(500, broken), broken, "failed", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := keyOf("told", name)
			up.on(key, c.script)
			data := strings.ReplaceAll(c.data, "KEY", "up/"+key)
			j := g.divert(t, asking("up/"+key, c.stream))
			g.response(t, j.ID)
			s := g.follow(t, j.ID)
			e, err := s.told()
			// The data are what a client makes of them, but for the line ends.
			if err != nil || e.name != "overflow.response" || e.data != data || e.id != "" {
				t.Errorf("event %+v, %v", e, err)
			}
			s.wantState(c.status)
			s.wantOver()
		})
	}
}

// TestFollowSound: what is no text is not put into an event.
func TestFollowSound(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring())))
	const sound = "ID3\x00\xff\xfe\r\n\x01"
	up.on("sound", func(x *exchange) { x.answer(200, "audio/mpeg", sound) })
	j := wantJob(t, g.post(t, "/v1/audio/speech", `{"model":"up/sound","input":"hi"}`, divert))
	if a := g.response(t, j.ID); a.Body != sound || a.Header.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("the answer is %q", a.Body)
	}
	s := g.follow(t, j.ID)
	s.wantState("completed")
	s.wantOver()
}

// TestFollowHeartbeats: a client that has nothing to be told of knows that it is not forgotten,
// and how the line before its job moves on.
func TestFollowHeartbeats(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, diverted(oneProvider(up, deferring("workers 1"))))
	held := hold(up, "held")
	defer close(held.letGo)
	g.divert(t, chatBody("up/held", ""))
	held.next(t)
	first := g.divert(t, chatBody("up/held", ""))
	s := g.follow(t, g.divert(t, chatBody("up/held", "")).ID)
	if j, _ := s.wantState("queued"); j.Position == nil || *j.Position != 1 {
		t.Errorf("the job is %+v", j)
	}
	g.delete(t, first.ID)
	began := time.Now()
	line, err := s.br.ReadString('\n')
	if took := time.Since(began); err != nil || !strings.HasPrefix(line, ":") || took < 10*time.Second || took > 20*time.Second {
		t.Errorf("after %v there is %q, error %v", took, line, err)
	}
	if j, _ := s.wantState("queued"); j.Position == nil || *j.Position != 0 {
		t.Errorf("the job is %+v", j)
	}
}

// TestFollowOverReloadAndExit: a reload does not disturb those who follow or wait; an exit tells them at once.
func TestFollowOverReloadAndExit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := diverted(oneProvider(up, deferring("shutdown_grace 300ms")))
	g := start(t, s)
	model := newStepped(up, "live")
	j := g.divert(t, streamBody("up/live"))
	follower := g.follow(t, j.ID)
	model.send(t, word("live", "before"))
	for e, err := follower.told(); e.plain != word("up/live", "before"); e, err = follower.told() {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		s.App += fmt.Sprintf("\nalias other-%d smart", i)
		g.reload(s)
		text := fmt.Sprint("after reload ", i)
		model.send(t, word("live", text))
		follower.wantTold(word("up/live", text))
	}
	waits := make(chan answer, 2)
	for _, what := range []string{"?wait=30", "/response?wait=30"} {
		go func() {
			res, err := g.send(t, t.Context(), http.MethodGet, jobsPath+j.ID+what, "")
			if err != nil {
				waits <- answer{Err: err}
				return
			}
			waits <- answerOf(res)
		}()
	}
	eventually(t, patience, "the waits have not arrived", func() bool {
		return g.openRequests() == 3
	})
	began := time.Now()
	g.terminate()
	for range 2 {
		if a := <-waits; a.Err != nil || a.StatusCode != 200 && a.StatusCode != 202 || parseJob(t, a.Body).final() {
			t.Errorf("a wait ended with %+v", a)
		}
	}
	rest, err := follower.rest()
	if err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	if e := wantErrorEvent(t, rest); e.code() != "shutting_down" {
		t.Errorf("the follower is told %q", e.code())
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v to tell them", took)
	}
	if code := g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
