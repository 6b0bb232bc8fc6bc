package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/bench/load"
	"github.com/runestone-gateway/runestone/bench/upstream"
	"github.com/runestone-gateway/runestone/bench/wire"
)

const testChunks = 7

func startTestUpstream(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := upstream.Serve(ln, upstream.Options{Chunks: testChunks, Every: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.Addr()
}

func testPlan(kind load.Kind, addr string) load.Plan {
	return load.Plan{
		Kind:        kind,
		Addr:        addr,
		Connections: 3,
		WarmUp:      6,
		Total:       30,
		PromptBytes: 20 << 10,
		Chunks:      testChunks,
		Stagger:     5 * time.Millisecond,
		Timeout:     5 * time.Second,
	}
}

func TestLoadAgainstUpstream(t *testing.T) {
	addr := startTestUpstream(t)
	for _, kind := range []load.Kind{load.Requests, load.Streams} {
		for _, withUsage := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/usage=%v", kind, withUsage), func(t *testing.T) {
				plan := testPlan(kind, addr)
				plan.IncludeUsage = withUsage
				result, err := load.Run(t.Context(), plan, nil)
				if err != nil {
					t.Fatal(err)
				}
				if result.Done != plan.Total || result.Latency.P50 <= 0 {
					t.Errorf("got %+v", result)
				}
				if kind == load.Streams && result.Chunks != plan.Total*testChunks {
					t.Errorf("%d chunks", result.Chunks)
				}
			})
		}
	}
}

func TestOpenStreams(t *testing.T) {
	plan := testPlan(load.Open, startTestUpstream(t))
	plan.Stagger = 0
	opened := false
	result, err := load.Run(t.Context(), plan, func() { opened = true })
	if err != nil {
		t.Fatal(err)
	}
	if !opened || result.Done != plan.Connections || result.Chunks != plan.Connections*testChunks {
		t.Errorf("opened %v, got %+v", opened, result)
	}
	plan.Hold = time.Second // longer than the streams last
	if _, err := load.Run(t.Context(), plan, nil); err == nil {
		t.Error("streams that end before they are sampled must be an error")
	}
}

// capture returns the bytes of one answer of the real upstream.
func capture(t *testing.T, kind load.Kind) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", startTestUpstream(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"stream":` + fmt.Sprint(kind == load.Streams) + `,"messages":"` + wire.PromptEnd + `"}`
	// "Connection: close" has the upstream end the connection after it.
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", wire.Path, len(body), body)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// serveAnswer answers every request with the same bytes, then closes.
func serveAnswer(t *testing.T, answer []byte) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			var (
				br   = bufio.NewReader(conn)
				head wire.Head
				body wire.Body
			)
			if head.Read(br) == nil {
				body.Reset(br, &head)
				_, _ = io.Copy(io.Discard, &body)
				_, _ = conn.Write(answer)
			}
			_ = conn.Close()
		}
	}()
	return ln.Addr().String()
}

// withoutEvent removes the event, and its HTTP chunk, that contains mark.
func withoutEvent(t *testing.T, answer []byte, mark string) []byte {
	t.Helper()
	at := bytes.Index(answer, []byte(mark))
	if at < 0 {
		t.Fatalf("no %q in the answer", mark)
	}
	data := bytes.LastIndex(answer[:at], []byte("data: "))
	first := bytes.LastIndex(answer[:data-2], []byte("\r\n")) + 2
	end := at + bytes.Index(answer[at:], []byte("\n\n\r\n")) + 4
	return append(bytes.Clone(answer[:first]), answer[end:]...)
}

func TestWrongAnswersFail(t *testing.T) {
	whole, stream := capture(t, load.Requests), capture(t, load.Streams)
	replaced := func(answer []byte, old, by string) []byte {
		if !bytes.Contains(answer, []byte(old)) {
			t.Fatalf("no %q in the answer", old)
		}
		return bytes.Replace(answer, []byte(old), []byte(by), 1)
	}
	const terminator = "0\r\n\r\n"
	cases := map[string]struct {
		kind   load.Kind
		answer []byte
		want   string // in the error; "" if the answer is right
	}{
		"whole":              {load.Requests, whole, ""},
		"whole, cut":         {load.Requests, whole[:len(whole)-10], "cut off"},
		"whole, none":        {load.Requests, nil, "no answer"},
		"whole, error":       {load.Requests, replaced(whole, "200 OK", "503 No"), "503"},
		"whole, other text":  {load.Requests, replaced(whole, "lazy", "lame"), "not the upstream's"},
		"whole, other model": {load.Requests, replaced(whole, `"model":"b`, `"model":"B`), "not the upstream's"},
		"whole, bad JSON":    {load.Requests, replaced(whole, `"usage":{`, `"usage":[`), "not JSON"},
		"whole, closing":     {load.Requests, replaced(whole, "X-Request-Id: req_bench", "Connection: close"), "alive"},

		"stream":               {load.Streams, stream, ""},
		"stream, cut":          {load.Streams, stream[:len(stream)/2], "cut off"},
		"stream, no end":       {load.Streams, bytes.TrimSuffix(stream, []byte(terminator)), "cut off"},
		"stream, no [DONE]":    {load.Streams, withoutEvent(t, stream, "[DONE]"), "incomplete"},
		"stream, no finish":    {load.Streams, withoutEvent(t, stream, `"finish_reason":"stop"`), "incomplete"},
		"stream, no role":      {load.Streams, withoutEvent(t, stream, `"role"`), "incomplete"},
		"stream, lost chunk":   {load.Streams, withoutEvent(t, stream, `"content":"00003 `), "chunk 4 arrived"},
		"stream, last lost":    {load.Streams, withoutEvent(t, stream, `"content":"00006 `), "incomplete"},
		"stream, error event":  {load.Streams, replaced(stream, "chat.completion.chunk", "server_error_occurred"), "not a chunk"},
		"stream, wrong type":   {load.Streams, replaced(stream, "text/event-stream", "application/json "), "event stream"},
		"stream, whole answer": {load.Streams, whole, "event stream"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			plan := testPlan(c.kind, serveAnswer(t, c.answer))
			plan.Connections, plan.WarmUp, plan.Total = 1, 0, 1
			_, err := load.Run(t.Context(), plan, nil)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("a right answer was refused: %v", err)
			case c.want != "" && err == nil:
				t.Error("a wrong answer was accepted")
			case c.want != "" && !strings.Contains(err.Error(), c.want):
				t.Errorf("got %q, want it to mention %q", err, c.want)
			}
		})
	}
}

func TestInterruptEndsLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	plan := testPlan(load.Streams, startTestUpstream(t))
	plan.Total = 100_000
	began := time.Now()
	if _, err := load.Run(ctx, plan, nil); err == nil {
		t.Error("an interrupted run must not have a result")
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("ending took %v", took)
	}
}

func TestRatios(t *testing.T) {
	cost := column{"cost", 1, func(r load.Result) float64 { return float64(r.Done) }}
	o := newOutcome(&scenario{name: "test", columns: []column{cost}}, []mode{reverseProxy, runestone})
	for _, round := range []struct{ base, ours int }{{100, 50}, {200, 150}, {300, 75}} {
		o.add(reverseProxy, load.Result{Done: round.base})
		o.add(runestone, load.Result{Done: round.ours})
	}
	o.finish()
	ours := o.of(runestone)
	if ours.Ratio != 0.375 || fmt.Sprint(ours.RoundRatios) != "[0.5 0.75 0.25]" {
		t.Errorf("ratio %v, by round %v", ours.Ratio, ours.RoundRatios)
	}
	var table strings.Builder
	if err := o.print(&table); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "0.250..0.750") {
		t.Errorf("the table lacks the spread:\n%s", table.String())
	}
}
