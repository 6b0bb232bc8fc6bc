package dashboard

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/telemetry"
)

func serve(t *testing.T, h *Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.ServeHTTP(w, r, notFound); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// watch opens the stream of events.
func watch(t *testing.T, server *httptest.Server) *bufio.Scanner {
	t.Helper()
	resp, err := server.Client().Get(server.URL + "/data/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("got %s %s", resp.Status, body)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return lines
}

// next returns the data of the next event of a name.
func next(t *testing.T, lines *bufio.Scanner, name string) string {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == "event: "+name && lines.Scan() {
			return strings.TrimPrefix(lines.Text(), "data: ")
		}
	}
	t.Fatalf("the stream ended before %s: %v", name, lines.Err())
	return ""
}

func TestEventsGoToEveryViewer(t *testing.T) {
	t.Parallel()
	h, end := newHandler(t)
	server := serve(t, h)
	viewers := []*bufio.Scanner{watch(t, server), watch(t, server)}
	for _, v := range viewers {
		for _, name := range []string{"tick", "errors", "breakers"} { // the present state, at once
			next(t, v, name)
		}
	}
	h.collector.requestStop(answered("openai", "smart"))
	h.collector.requestStop(failed("openai", "smart", 502, telemetry.OutcomeUnreachable))
	h.collector.second(1)
	for _, v := range viewers {
		if got := next(t, v, "tick"); !strings.Contains(got, `"name":"openai"`) {
			t.Errorf("the tick is %s", got)
		}
		if got := next(t, v, "errors"); !strings.Contains(got, `"status":502`) {
			t.Errorf("the errors are %s", got)
		}
	}
	end() // as a reload does
	for _, v := range viewers {
		for v.Scan() {
			if strings.HasPrefix(v.Text(), "event: ") && v.Text() != "event: tick" {
				t.Errorf("what has not changed is sent again: %s", v.Text())
			}
		}
		if v.Err() != nil {
			t.Errorf("the stream did not end as it should: %v", v.Err())
		}
	}
}

// Who reads slowly is let go of, and costs nothing but what fits in its channel.
func TestASlowViewerIsDropped(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	slow, quick := c.watch(start), c.watch(start)
	for i := range behind + 1 {
		<-quick.updates
		c.second(i)
	}
	if len(c.hub.viewers) != 1 {
		t.Errorf("%d viewers are left, want the quick one", len(c.hub.viewers))
	}
	n := 0
	for range slow.updates { // ends, as it is closed
		n++
	}
	if n != behind {
		t.Errorf("%d updates were kept for it, want %d", n, behind)
	}
	c.unwatch(slow)
	c.unwatch(quick)
	if c.hub.watched() {
		t.Error("somebody watches still")
	}
}

func TestViewersAreBounded(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	for range maxViewers {
		if h.collector.watch(start) == nil {
			t.Fatal("too few may watch")
		}
	}
	w := answer(t, h, request("GET", "/data/events"))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d", w.Code)
	}
}

// All viewers of one second get the same bytes.
func TestViewersShareASnapshot(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	one, two := c.watch(start), c.watch(start)
	a, b := <-one.updates, <-two.updates
	if &a[frameTick].event[0] != &b[frameTick].event[0] {
		t.Error("the first is encoded twice")
	}
	c.second(1)
	a, b = <-one.updates, <-two.updates
	if &a[frameTick].event[0] != &b[frameTick].event[0] {
		t.Error("the second is encoded twice")
	}
}
