package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEventsPassThroughOtherWriters: with the response writers of other directives in between, events come at once, whole and in
// their order, the access log counts their bytes, and the connection is good for the next request.
func TestEventsPassThroughOtherWriters(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	next := make(chan struct{})
	events := []string{word("m", "Hello"), word("m", strings.Repeat("long ", 30_000)), word("m", "a"), word("m", strings.Repeat("b", 5000)), chunk("m", `{}`, "stop") + doneEvent}
	up.on("m", func(x *exchange) {
		x.sse()
		for _, e := range events {
			x.chunk(e)
			select {
			case <-next:
			case <-x.gone:
				return
			}
		}
		x.end()
	})
	up.on("whole", playJSON(http.StatusOK, chatJSON("whole", "hi")))
	for name, between := range map[string]string{
		"nothing":             "",
		"a log":               "log {\noutput file LOG\n}",
		"a trace":             "tracing",
		"a compressor":        "encode {\nminimum_length 1\nmatch {\nheader Content-Type *\n}\n}",
		"a late header":       "header >X-Late yes",
		"one that looks":      "intercept {\n@e status 599\nhandle_response @e {\nrespond no\n}\n}",
		"a bit of everything": "log {\noutput file LOG\n}\ntracing\nencode\nheader >X-Late yes",
		"a write timeout":     "SERVERwrite 1h",
		"another timeout":     "SERVERwrite_idle 10s 1",
	} {
		file := filepath.Join(t.TempDir(), "access.log")
		s := oneProvider(up)
		if timeouts, ok := strings.CutPrefix(between, "SERVER"); ok {
			s.Global, between = "servers {\ntimeouts {\n"+timeouts+"\n}\n}", ""
		}
		s.Site = strings.ReplaceAll(between, "LOG", file) + "\nrunestone\nrespond / ok"
		s.Env = []string{"OTEL_TRACES_EXPORTER=none"}
		g := start(t, s)
		_ = os.Truncate(file, 0) // the harness's own probe of the site
		conn := dialRaw(t, g)
		answers := bufio.NewReader(conn)
		ask := func(body string) *http.Response {
			conn.send("POST %s HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, g.site, len(body), body)
			res, err := http.ReadResponse(answers, nil)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v, error %v", name, res, err)
			}
			return res
		}
		size := 0
		for range 2 {
			res := ask(streamBody("up/m"))
			if res.Header.Get("Content-Encoding") != "" {
				t.Fatalf("%s: a stream is compressed", name)
			}
			for i, e := range events {
				want := strings.ReplaceAll(e, `"m"`, `"up/m"`)
				got := make([]byte, len(want))
				if n, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
					t.Fatalf("%s: event %d: %d bytes, error %v", name, i, n, err)
				}
				size += len(want)
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
				t.Errorf("%s: after the end: %q, error %v", name, rest, err)
			}
		}
		if _, err := io.Copy(io.Discard, ask(chatBody("up/whole", "")).Body); err != nil {
			t.Errorf("%s: the next answer: %v", name, err)
		}
		if !strings.Contains(between, "LOG") {
			continue
		}
		for _, line := range readLog(t, file, 3)[:2] {
			if size -= line.Size; line.Size == 0 {
				t.Errorf("%s: %+v", name, line)
			}
		}
		if size != 0 {
			t.Errorf("%s: the log misses %d bytes", name, size)
		}
	}
}
