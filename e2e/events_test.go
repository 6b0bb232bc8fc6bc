package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEventsRunCommands: what the operator has written is run when a breaker opens, with the event's data, after a
// reload as well.
func TestEventsRunCommands(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", playJSON(500, broken))
	dir := t.TempDir()
	s := serving(up, quick, "breaker {\nfailures 1\nopen_for 200ms\nmax_open_for 200ms\n}", "line {\nwait off\n}")
	s.Global = "events {\non runestone_breaker_open runestone_exec mkdir -p " + dir + "/{event.data.provider}-{event.data.open_for} {\ntimeout 5s\n}\n" +
		"on runestone_breaker_open runestone_exec false\n}"
	g := start(t, s)
	opened := func() {
		t.Helper()
		eventually(t, patience, "the command was not run", func() bool {
			g.post(t, chatPath, chatBody("smart", ""))
			made, err := filepath.Glob(filepath.Join(dir, "up-*"))
			return err == nil && len(made) > 0
		})
	}
	opened()
	g.reload(s)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	<-time.After(300 * time.Millisecond) // as long as the breaker is open
	opened()
	if log := g.stderr.String(); !strings.Contains(log, "handler error") || !strings.Contains(log, "running false") {
		t.Error("the log does not tell of a command that failed")
	}
	if a := g.do(t, http.MethodGet, "/health/live", ""); a.StatusCode != http.StatusOK {
		t.Errorf("the gateway does not live: %d", a.StatusCode)
	}
}
