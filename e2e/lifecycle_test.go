package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stepped is an upstream model that sends an event whenever the test says so.
type stepped struct {
	key   string
	steps chan string // the next event; closed for a proper end
	route *route
}

func newStepped(up *upstream, key string) *stepped {
	s := &stepped{key: key, steps: make(chan string)}
	s.route = up.on(key, func(x *exchange) {
		x.sse()
		for {
			select {
			case text, open := <-s.steps:
				if !open {
					x.chunk(chunk(key, `{}`, "stop") + doneEvent)
					x.end()
					return
				}
				x.chunk(text)
			case <-x.gone:
				x.done = true
				return
			case <-x.u.stop:
				return
			}
		}
	})
	return s
}

// say has the upstream send a word and s deliver it.
func (st *stepped) say(t *testing.T, s *stream, as, text string) {
	t.Helper()
	st.send(t, word(st.key, text))
	s.want(word(as, text))
}

func (st *stepped) send(t *testing.T, text string) {
	t.Helper()
	select {
	case st.steps <- text:
	case <-time.After(patience):
		t.Fatal("the upstream's stream is not open any more")
	}
}

// begin opens a stream of the model and has it say its first word.
func (st *stepped) begin(t *testing.T, g *gateway, as string) *stream {
	t.Helper()
	began := make(chan struct{})
	go func() {
		defer close(began)
		select { // the headers come with the first event
		case st.steps <- word(st.key, "first"):
		case <-time.After(patience):
		}
	}()
	s := g.open(t, chatPath, streamBody(as))
	<-began
	s.want(word(as, "first"))
	return s
}

// finish ends the upstream's stream and wants the client's to end just so.
func (st *stepped) finish(t *testing.T, s *stream, as string) {
	t.Helper()
	close(st.steps)
	if rest, err := s.rest(); err != nil || rest != chunk(as, `{}`, "stop")+doneEvent {
		t.Errorf("the stream ends with %q, error %v", rest, err)
	}
}

// TestStreamOutlivesReloads: nothing that a reload changes, be it the address of the
// provider or that there is such a model at all, touches a stream that is open.
func TestStreamOutlivesReloads(t *testing.T) {
	t.Parallel()
	up, other := newUpstream(t), newUpstream(t)
	old := oneProvider(up)
	g := start(t, old)
	model := newStepped(up, "gpt-upstream")
	other.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "from the other")))
	s := model.begin(t, g, "smart")

	moved := oneProvider(other)
	gone := setup{App: "provider other openai {\nbase_url " + other.URL() + "/v1\n}\nstrict_models\nmodel new {\ntarget other/gpt-upstream\n}"}
	for i, next := range []setup{moved, gone, old} {
		model.say(t, s, "smart", fmt.Sprint("before reload ", i))
		g.reload(next)
		model.say(t, s, "smart", fmt.Sprint("after reload ", i))
		switch i {
		case 0:
			if a := g.post(t, chatPath, chatBody("smart", "")); !strings.Contains(a.Body, "from the other") {
				t.Errorf("after the reload: status %d: %s", a.StatusCode, a.Body)
			}
		case 1:
			g.post(t, chatPath, chatBody("smart", "")).wantError(t, 404)
		}
	}
	model.finish(t, s, "smart")
}

// TestRefusedReloadKeepsServing is that a configuration with a mistake changes nothing.
func TestRefusedReloadKeepsServing(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	model := newStepped(up, "open")
	s := model.begin(t, g, "up/open")
	up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "hi")))
	for name, bad := range map[string]setup{
		"an unknown provider":       {App: "model smart {\ntarget nobody/x\n}\nprovider up openai {\nbase_url " + up.URL() + "\n}"},
		"an unknown option":         oneProvider(up, "no_such_option"),
		"a missing secret":          {App: "provider up openai {\nbase_url " + up.URL() + "\napi_key {env.RUNESTONE_E2E_NOT_SET}\n}"},
		"an address that is in use": {App: oneProvider(up).App, Global: "servers {\n}\n", Site: "runestone\n}\nhttp://" + up.ln.Addr().String() + " {\nrunestone"},
	} {
		if status, body, err := g.load(bad); err != nil || status < 400 {
			t.Errorf("%s: status %d, error %v: %s", name, status, err, body)
		}
		if a := g.post(t, chatPath, chatBody("smart", "")); a.StatusCode != 200 {
			t.Errorf("after %s: status %d: %s", name, a.StatusCode, a.Body)
		}
		model.say(t, s, "up/open", "after "+name)
		if m := scrape(t, g); m.sum("runestone_requests_total") == 0 {
			t.Errorf("after %s the metrics are gone", name)
		}
	}
	model.finish(t, s, "up/open")
}

// TestCaddyStop is the exit by command.
func TestCaddyStop(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	gen := twoGenerations(t, up, draining(up, "500ms", "10s"))
	if out, err := gen.g.command("stop", "--address", gen.g.admin).CombinedOutput(); err != nil {
		t.Errorf("caddy stop: %v: %s", err, out)
	}
	for i, s := range gen.open {
		rest, err := s.rest()
		if wantErrorEvent(t, rest); err != nil {
			t.Errorf("generation %d was cut: %v", i, err)
		}
	}
	if code := gen.g.awaitExit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestValidateLeavesNothing: it dials nobody, writes nothing and ends.
func TestValidateLeavesNothing(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := prepare(t)
	file := filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(oneProvider(up).render(g.admin, g.site)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := g.command("validate", "--config", file, "--adapter", "caddyfile").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err = filepath.WalkDir(g.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != file {
			t.Errorf("it left %s behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if up.requests() != 0 {
		t.Error("it called the provider")
	}
}

// TestValidateSaysWhatIsMissing: of what only the environment can tell.
func TestValidateSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ app, want string }{
		"a key's variable that is not set": {
			"provider a openai {\napi_key {env.RUNESTONE_TEST_NONE}\n}",
			"providers.a: api_key {env.RUNESTONE_TEST_NONE} is empty: set the variable",
		},
		"a placeholder that there is not": {
			"provider a openai {\napi_key {RUNESTONE_TEST_NONE}\n}",
			"providers.a: api_key {RUNESTONE_TEST_NONE} is not a placeholder that is known: write one such as {env.OPENAI_API_KEY}",
		},
		"the variable of an adapter": {
			"provider a groq",
			"providers.a: it has no api_key, and the variable GROQ_API_KEY, which it takes then, is not set",
		},
		"a provider that the environment would bring": {
			"model chat {\ntarget openai/gpt-5\n}",
			"there is mock; write provider openai, or if no provider is configured, set OPENAI_API_KEY",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := prepare(t)
			file := filepath.Join(g.dir, "Caddyfile")
			if err := os.WriteFile(file, []byte(setup{App: c.app}.render(g.admin, g.site)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := g.command("validate", "--config", file, "--adapter", "caddyfile").CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestMisspeltCommand is an error.
func TestMisspeltCommand(t *testing.T) {
	t.Parallel()
	g := prepare(t)
	out, err := g.command("runestone", "nonsense").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `unknown command "nonsense"`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := g.command("runestone").CombinedOutput(); err != nil || !strings.Contains(string(out), "Available Commands:") {
		t.Errorf("%v: %s", err, out)
	}
}
