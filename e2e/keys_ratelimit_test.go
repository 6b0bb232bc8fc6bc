package e2e

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shippedRoute is the route of the example with caddy-ratelimit, with one event an hour for each client and nodes that tell each other.
func shippedRoute(t testing.TB, zone string) string {
	t.Helper()
	text, err := os.ReadFile("../examples/keys-rate-limit.Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\troute {\n")
	route, _, ended := strings.Cut(rest, "\n\t}\n")
	given := strings.NewReplacer("events 20", "events 1", "window 1s", "window 1h", "zone per_", "zone "+zone+"_",
		"rate_limit {", "rate_limit {\ndistributed {\nread_interval 1s\nwrite_interval 100ms\n}").Replace(route)
	if !found || !ended || given == route {
		t.Fatal("the example is not what it was")
	}
	return "route {\n" + given + "\n}\nhandle_errors 429 {\nrunestone {\noverflow opt_in\n}\n}"
}

// TestRateLimitByKey: as the example has it, caddy-ratelimit tells our keys apart by their checksum, and others by their address; it stores no key; and what it refuses is
// a job of its key.
func TestRateLimitByKey(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	s := withKeys(up, "keys {\nstored\n}", deferring())
	s.Site = shippedRoute(t, "by_key")
	g := start(t, s)
	first, second := g.manage(t, http.MethodPost, "", `{"name":"first"}`), g.manage(t, http.MethodPost, "", `{"name":"second"}`)
	for _, secret := range []string{first, second} {
		for i, header := range []string{"Authorization: Bearer " + secret, "X-Api-Key: " + secret, "Authorization: Bearer " + secret} {
			a := g.post(t, chatPath, chatBody("smart", ""), header)
			if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i == 0]; a.StatusCode != want {
				t.Errorf("request %d of a key: %d %s", i, a.StatusCode, a.Body)
			}
		}
	}
	for i, header := range []string{"Authorization: Bearer sk-unknown-0123456789", "X-Api-Key: sk-unknown-9876543210", "X-Nothing: x"} {
		a := g.post(t, chatPath, chatBody("smart", ""), header)
		if want := http.StatusUnauthorized; a.StatusCode != want {
			t.Errorf("request %d without a key: %d %s", i, a.StatusCode, a.Body)
		}
	}
	j := wantJob(t, g.post(t, chatPath, chatBody("smart", ""), "X-Api-Key: "+first, respondAsync))
	eventually(t, patience, "the job is not its key's", func() bool {
		return strings.Contains(g.adminGet("/runestone/jobs"), j.ID) && strings.Contains(g.adminGet("/runestone/jobs"), `key:first`)
	})
	states := ""
	eventually(t, patience, "the states are not stored", func() bool {
		states = ""
		_ = filepath.WalkDir(filepath.Join(g.dir, "data"), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".rlstate") {
				text, _ := os.ReadFile(path)
				states += string(text)
			}
			return err
		})
		return strings.Contains(states, "key "+second[len(second)-6:]) && strings.Contains(states, "address 127.0.0.1")
	})
	marked{"a key": first, "another key": second}.wantNowhere(t, map[string]string{"the state": states})
}
