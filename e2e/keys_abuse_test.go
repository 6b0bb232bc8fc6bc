package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// resident returns how much memory the gateway's process has, in bytes.
func (g *gateway) resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err != nil {
		t.Skip("This test needs Linux: it reads the gateway's memory from /proc.")
	}
	var all, resident int
	if _, err := fmt.Sscan(string(text), &all, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// TestManyKeysAreTried: from one address. Each costs as much as the next, none leaves anything behind, and whoever has a valid key notices nothing.
func TestManyKeysAreTried(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("good", "limits {\nrequests 100000 1h\n}"), keyLine("off", "disabled"), "keys {\nstored\n}")
	s.Env = keyEnv("good", "off")
	g := start(t, s)
	conn := dialRaw(t, g)
	answers := bufio.NewReader(conn)
	try := func(secret string) time.Duration {
		t.Helper()
		began := time.Now()
		_ = conn.SetDeadline(began.Add(patience))
		conn.send("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n", chatPath, g.site, secret)
		res, err := http.ReadResponse(answers, nil)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%v, error %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return time.Since(began)
	}
	// Other tests run beside this one, so that only the quickest tell what the gateway takes.
	quick := func(took []time.Duration) time.Duration {
		slices.Sort(took)
		return took[len(took)/20]
	}
	unknown := func(i int) string { return fmt.Sprintf("rs_%049d", i) }
	for i := range 200 {
		try(unknown(i))
	}
	memory, lines, series := g.resident(t), strings.Count(g.stderr.String(), "\n"), len(scrape(t, g))
	var strange, disabled []time.Duration
	for i := range 1000 {
		strange = append(strange, try(unknown(1_000_000+i)))
		disabled = append(disabled, try(secretOf("off")))
	}
	first, later, off := quick(strange[:500]), quick(strange[500:]), quick(disabled)
	t.Logf("an unknown key takes %v, %v after a thousand, one that is turned off %v", first, later, off)
	if max(first, later, off) > 3*min(first, later, off) { // a bound for what grows, not for what a clock can tell
		t.Errorf("an unknown key takes %v, %v after a thousand, one that is turned off %v", first, later, off)
	}
	if grown := g.resident(t) - memory; grown > 32<<20 {
		t.Errorf("the gateway has %d bytes more", grown)
	}
	if more := strings.Count(g.stderr.String(), "\n") - lines; more > 100 {
		t.Errorf("the log has %d lines more", more)
	}
	if more := len(scrape(t, g)) - series; more > 20 {
		t.Errorf("there are %d series more", more)
	}
	wantMetric(t, g, 2200, "runestone_requests_total", "status=401")
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("good")), "smart", "up", 1)
}

// TestHeadersFlood: too much of a head is refused, and a great deal that is not too much makes nobody anybody.
func TestHeadersFlood(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := withKeys(up, keyLine("good"))
	s.Env = keyEnv("good")
	g := start(t, s)
	for name, c := range map[string]struct {
		head     string
		statuses []int // 0 for an end of the connection, which may overtake the answer
	}{
		"two megabytes in a field": {"X-Long: " + strings.Repeat("x", 2<<20) + "\r\n", []int{431, 0}},
		"a hundred thousand":       {strings.Repeat("X-Many: some more of this\r\n", 100_000), []int{431, 0}},
		"as many keys":             {strings.Repeat("X-Api-Key: "+secretOf("good")+"\r\n", 100), []int{401}},
		"a long key":               {"Authorization: Bearer " + strings.Repeat("x", 10_000) + "\r\n", []int{401}},
		"blanks":                   {"Authorization: Bearer" + strings.Repeat(" ", 10_000) + "x\r\n", []int{401}},
	} {
		conn := dialRaw(t, g)
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\n\r\n", chatPath, g.site, c.head)
		if status := conn.status(); !slices.Contains(c.statuses, status) {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

// TestSlowBodies: who has a key may send as slowly as it likes; that takes neither a place of its limits nor anybody's time.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("slow", "limits {\nconcurrency 1\nrequests 3 1h\n}"), keyLine("good"))
	s.Env = keyEnv("slow", "good")
	g := start(t, s)
	memory := g.resident(t)
	body := chatBody("smart", "")
	var conns []rawConn
	for range 40 {
		conn := dialRaw(t, g)
		conn.send("POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n%s", chatPath, g.site, auth("slow"), body[:20])
		conns = append(conns, conn)
	}
	eventually(t, patience, "they have not come", func() bool { return g.openRequests() == 40 })
	if grown := g.resident(t) - memory; grown > 100<<20 {
		t.Errorf("what 40 clients have announced takes %d bytes", grown)
	}
	for _, key := range []string{"slow", "good"} {
		wantHello(t, g.post(t, chatPath, body, auth(key)), "smart", "up", 1)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, patience, "who has gone is still there", func() bool { return g.openRequests() == 0 })
	if left := g.post(t, chatPath, body, auth("slow")).remaining(t, "Requests"); left != 1 {
		t.Errorf("of three requests %d are left, although only two were made", left)
	}
}

// TestDeepJSON: as deep as a body may be long, in all places and both APIs, is refused or passed on in a moment, and kills nobody.
func TestDeepJSON(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, keyLine("a", "models smart"))
	s.Env = keyEnv("a")
	g := start(t, s)
	const depth = 1_000_000
	lists, objects := strings.Repeat("[", depth), strings.Repeat(`{"a":`, depth)
	for name, body := range map[string]string{
		"lists":              lists,
		"objects":            objects,
		"closed":             lists + strings.Repeat("]", depth),
		"a message":          `{"model":"smart","max_tokens":5,"messages":` + lists + strings.Repeat("]", depth) + `}`,
		"a message's text":   `{"model":"smart","max_tokens":5,"messages":[{"role":"user","content":` + lists + strings.Repeat("]", depth) + `}]}`,
		"a tool's schema":    `{"model":"smart","max_tokens":5,"messages":[],"tools":[{"name":"f","input_schema":` + objects + `1` + strings.Repeat("}", depth) + `}]}`,
		"what nobody knows":  `{"model":"smart","max_tokens":5,"messages":[],"x":` + objects + `1` + strings.Repeat("}", depth) + `}`,
		"the options":        `{"model":"smart","stream":true,"stream_options":` + objects + `1` + strings.Repeat("}", depth) + `}`,
		"the model":          `{"model":` + lists + strings.Repeat("]", depth) + `}`,
		"a number of digits": `{"model":"smart","max_tokens":` + strings.Repeat("9", depth) + `,"messages":[]}`,
	} {
		for _, path := range []string{chatPath, messagesPath, "/v1/responses", "/v1/images/generations"} {
			began := time.Now()
			a := g.post(t, path, body, auth("a"))
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%s of %s: status %d after %v", name, path, a.StatusCode, took)
			}
			if a.StatusCode >= http.StatusInternalServerError {
				t.Errorf("%s of %s: status %d %s", name, path, a.StatusCode, a.Body)
			}
		}
	}
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("a")), "smart", "up", 1)
}

// TestNamesFlood: whatever clients call models, calls, keys and requests, the metrics and the memory of the limits do not grow by it.
func TestNamesFlood(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := withKeys(up, keyLine("a", "limits {\nrequests 2000 1h\n}", "model_limits smart {\nrequests 1000 1h\n}"), "keys {\nmodel_limits smart {\ntokens 100000 1h\n}\n}", deferring())
	s.Env = keyEnv("a")
	g := start(t, s)
	for _, model := range []string{"gpt-upstream", "/v1/made/up"} {
		up.on(model, hello)
	}
	g.post(t, chatPath, chatBody("up/made-up", ""), auth("a"))
	before, memory := len(scrape(t, g)), g.resident(t)
	for i := range 600 {
		name := fmt.Sprintf("made-up-%d", i)
		more := []string{"X-Request-Id: " + name, "Idempotency-Key: " + name, auth("a"), "X-Api-Key: " + name}
		g.post(t, chatPath, chatBody([]string{name, "up/" + name, "nobody/" + name}[i%3], ""), more...)
		g.post(t, "/v1/"+name, "{}", more...)
		g.do(t, http.MethodGet, "/v1/models/"+name, "", more...)
		g.post(t, chatPath, chatBody("smart", ""), "X-Api-Key: "+name)
	}
	all := scrape(t, g)
	for _, sample := range all {
		for label, value := range sample.labels {
			if strings.HasPrefix(sample.name, "runestone_") && strings.Contains(value, "made") {
				t.Fatalf("%s has the label %s=%q of a client's making", sample.name, label, value)
			}
		}
	}
	if more := len(all) - before; more > 400 {
		t.Errorf("there are %d series more", more)
	}
	if grown := g.resident(t) - memory; grown > 48<<20 {
		t.Errorf("the gateway has %d bytes more", grown)
	}
}

// TestLogsAreNotInjected: whatever clients and keys are called, a line of the log is one JSON object that says what it says.
func TestLogsAreNotInjected(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	file := filepath.Join(t.TempDir(), "access.log")
	s := logged(up, file)
	s.App += "\n" + keyLine("a", `metadata team "a\n{\"level\":\"fake\"}"`) + "\nkeys {\nstored\n}"
	s.Env, s.Global = keyEnv("a"), "debug\n"
	g := start(t, s)
	const evil = "x\n{\"level\":\"fake\"}\r\n\u2028\x1b[31m\u0000"
	for _, name := range []string{evil, "a\nb", "..", "a/b", "a b", strings.Repeat("a", 65), "ключ", ""} {
		body, _ := json.Marshal(map[string]string{"name": name})
		res, err := probe.Post("http://"+g.admin+"/runestone/keys", "application/json", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("a key may be called %q: %d", name, res.StatusCode)
		}
	}
	meta, _ := json.Marshal(map[string]any{"name": "stored", "metadata": map[string]string{evil: evil}, "models": []string{evil, "smart"}})
	secret := g.manage(t, http.MethodPost, "", string(meta))
	model, _ := json.Marshal(evil)
	n := 1 // the harness's own probe
	for _, header := range []string{auth("a"), "Authorization: Bearer " + secret} {
		for _, body := range []string{chatBody("smart", ""), `{"model":` + string(model) + `,"messages":[]}`, `{"model":"smart","messages":"` + "\\u000a" + `"}`, "\x1b[31m"} {
			for _, id := range []string{`{"level":"fake"}`, "a b", "\x1b[31m", strings.Repeat("x", 200), `"`, "%0a%0d", "ü"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.site+chatPath, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				name, value, _ := strings.Cut(header, ": ")
				req.Header = http.Header{name: {value}, "X-Request-Id": {id}, "Content-Type": {"application/json"}, "User-Agent": {id}}
				res, err := g.shared().Do(req)
				if err != nil { // Go itself refuses to send it
					continue
				}
				n++
				_ = res.Body.Close()
				if got := res.Header.Get("X-Request-Id"); got == id || !strings.HasPrefix(got, "req_") {
					t.Errorf("the request ID %q is taken for one", got)
				}
			}
		}
	}
	readLog(t, file, n)
	text, _ := os.ReadFile(file)
	for where, log := range map[string]string{"the access log": string(text), "the log": g.stderr.String()} {
		if strings.ContainsAny(log, "\x1b\x00\r") {
			t.Errorf("%s has what a terminal or a reader obeys", where)
		}
		for line := range strings.Lines(log) {
			var l struct{ Level, Msg string }
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.Level == "fake" || l.Msg == "" {
				t.Errorf("%s: %v: %q", where, err, line)
			}
		}
	}
}
