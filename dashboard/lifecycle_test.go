package dashboard_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// freePort returns a port of this machine that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// run has Caddy run a site, in place of what it runs.
func run(t *testing.T, site string) {
	t.Helper()
	text := []byte("{\n admin off\n auto_https off\n grace_period 5s\n runestone {\n provider mock {\n words_per_second -1\n }\n }\n}\n" + site)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
}

// tick is what this test reads of one.
type tick struct {
	Began   int64 `json:"began"`
	Targets []struct {
		Provider string `json:"provider"`
	} `json:"targets"`
	Scopes []struct {
		Kind  string `json:"kind"`
		Total struct {
			Requests int `json:"requests"`
		} `json:"total"`
	} `json:"scopes"`
}

func (k tick) requests() int {
	for _, s := range k.Scopes {
		if s.Kind == "all" {
			return s.Total.Requests
		}
	}
	return -1
}

// watch opens the stream of events.
func watch(t *testing.T, port string) *bufio.Reader {
	t.Helper()
	resp, err := http.Get("http://localhost:" + port + "/data/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream is answered with %s", resp.Status)
	}
	return bufio.NewReader(resp.Body)
}

// until reads ticks until one is as it should be.
func until(t *testing.T, stream *bufio.Reader, enough func(tick) bool) tick {
	t.Helper()
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		data, ok := strings.CutPrefix(line, "data: {\"now\"")
		if !ok {
			continue
		}
		var k tick
		if err := json.Unmarshal([]byte("{\"now\""+data), &k); err != nil {
			t.Fatal(err)
		}
		if enough(k) {
			return k
		}
	}
}

// A reload ends the stream as a stream ends, and resets nothing; without a dashboard nothing is kept.
func TestReload(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	port, gateway := freePort(t), freePort(t)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	api := ":" + gateway + " {\n bind 127.0.0.1\n runestone\n}\n"
	dashboard := ":" + port + " {\n bind 127.0.0.1\n runestone_dashboard\n}\n"
	ask := func() {
		post := func() (*http.Response, error) {
			return http.Post("http://127.0.0.1:"+gateway+"/v1/chat/completions", "application/json",
				strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"mock:words=2 hello"}]}`))
		}
		resp, err := post()
		for tries := 0; err != nil && tries < 3; tries++ {
			resp, err = post() // a reload closes connections that are idle, and drops what is still to be accepted
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("asking: %v, %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}

	run(t, api+dashboard)
	ask()
	stream := watch(t, port)
	first := until(t, stream, func(k tick) bool { return k.requests() == 1 })
	if len(first.Targets) == 0 || first.Targets[0].Provider != "mock" {
		t.Errorf("the targets are %+v", first.Targets)
	}

	began := time.Now()
	run(t, api+dashboard)
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the stream ended %v after the reload", took)
	}
	ask()
	second := until(t, watch(t, port), func(k tick) bool { return k.requests() == 2 })
	if second.Began != first.Began {
		t.Error("the reload began to count anew")
	}

	run(t, api)
	ask()
	run(t, api+dashboard)
	if third := until(t, watch(t, port), func(tick) bool { return true }); third.requests() != 0 || third.Began == first.Began {
		t.Errorf("%d requests were counted while there was no dashboard", third.requests())
	}
}
