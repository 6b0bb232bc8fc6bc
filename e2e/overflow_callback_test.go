package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// hook is a client's server.
type hook struct {
	*httptest.Server
	calls chan hookCall
}

// hookCall is what it was told.
type hookCall struct {
	at     time.Time
	method string
	header http.Header
	body   []byte
}

// newHook starts one that answers each call with the next of these statuses, and then with 204.
func newHook(t *testing.T, statuses ...int) *hook {
	t.Helper()
	next := make(chan int, len(statuses))
	for _, status := range statuses {
		next <- status
	}
	h := &hook{calls: make(chan hookCall, 100)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.calls <- hookCall{time.Now(), r.Method, r.Header, body}
		select {
		case status := <-next:
			w.WriteHeader(status)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) next(t *testing.T) hookCall {
	t.Helper()
	select {
	case c := <-h.calls:
		return c
	case <-time.After(patience):
		t.Fatal("the client's server was not told")
		return hookCall{}
	}
}

// hookSecret returns a secret for signatures; another for another n.
func hookSecret(n byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32))
}

// calling is the block callback, for servers on this machine.
func calling(secrets ...string) string {
	text := "callback {\nallow 127.0.0.1 hooks.example.com\nallow_private 127.0.0.1/32\n"
	for _, secret := range secrets {
		text += "secret " + secret + "\n"
	}
	return text + "}"
}

// callbackEvent is the body of a call.
type callbackEvent struct {
	ID, Object, Type string
	CreatedAt        int64 `json:"created_at"`
	Data             struct {
		ID, Status, URL string
		Response        *struct {
			StatusCode int `json:"status_code"`
			Body       json.RawMessage
		}
	}
}

// wantSigned verifies a call with the specification's own library and with OpenAI's SDK, for each secret.
func (c hookCall) wantSigned(t *testing.T, secrets ...string) (e callbackEvent) {
	t.Helper()
	for _, secret := range secrets {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(c.body, c.header); err != nil {
			t.Errorf("the specification's library: %v", err)
		}
		client := openai.NewClient(option.WithAPIKey("sk-x"), option.WithWebhookSecret(secret))
		event, err := client.Webhooks.Unwrap(c.body, c.header)
		if err != nil {
			t.Fatalf("OpenAI's SDK: %v", err)
		}
		if err := json.Unmarshal(c.body, &e); err != nil {
			t.Fatal(err)
		}
		if event.Type != e.Type || event.Data.ID != e.Data.ID || event.CreatedAt != e.CreatedAt {
			t.Errorf("OpenAI's SDK reads %s of %s", event.RawJSON(), c.body)
		}
	}
	if other, err := standardwebhooks.NewWebhook(hookSecret(99)); err != nil || other.Verify(c.body, c.header) == nil {
		t.Errorf("a secret that is none verifies it, or error %v", err)
	}
	if c.method != http.MethodPost || c.header.Get("Content-Type") != "application/json" || c.header.Get("Authorization") != "" {
		t.Errorf("%s, %v", c.method, c.header)
	}
	if e.Object != "event" || c.header.Get("Webhook-Id") != e.ID {
		t.Errorf("webhook-id %q of %s", c.header.Get("Webhook-Id"), c.body)
	}
	return e
}

// TestCallbacks: a client's server is told of each end that a job can have, signed with every secret.
func TestCallbacks(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	old, now := hookSecret(1), hookSecret(2)
	s := diverted(oneProvider(up, deferring("max_attempts 1", calling("{env.HOOK_SECRET_NOW}", "{env.HOOK_SECRET_OLD}"))))
	s.Env = []string{"HOOK_SECRET_NOW=" + now, "HOOK_SECRET_OLD=" + old}
	g := start(t, s)
	stuck := up.on("stuck", (*exchange).hang)
	long := `{"model":"long","data":"` + strings.Repeat("x", 70_000) + `"}`
	for name, c := range map[string]struct {
		script func(*exchange)
		stream bool
		kind   string
		code   int
		body   string // "" for none
	}{
		"done":     {playJSON(200, "{\n\"n\": 1.0, \"s\":\"<&>\"}"), false, "completed", 200, `{"n":1.0,"s":"<&>"}`},
		"refused":  {playJSON(400, errorJSON("No.", "t", "nope")), false, "failed", 400, errorJSON("No.", "t", "nope")},
		"failed":   {playJSON(500, broken), false, "failed", 500, broken},
		"long":     {playJSON(200, long), false, "completed", 200, ""},
		"streamed": {playSSE(chatEvents("streamed", "a"), doneEvent), true, "completed", 200, ""},
		"stuck":    {nil, false, "cancelled", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.script != nil {
				up.on(name, c.script)
			}
			h := newHook(t)
			j := g.divert(t, asking("up/"+name, c.stream), "Runestone-Callback: "+h.URL+"/jobs?x=1", bearer("owner"))
			if c.kind == "cancelled" {
				stuck.next(t)
				g.delete(t, j.ID, bearer("owner"))
			}
			e := h.next(t).wantSigned(t, now, old)
			if e.Type != "response."+c.kind || e.Data.ID != j.ID || e.Data.Status != c.kind || e.Data.URL != j.ResponseURL || e.CreatedAt == 0 {
				t.Errorf("the event is %+v", e)
			}
			switch r := e.Data.Response; {
			case c.body == "" && r != nil, c.body != "" && r == nil:
				t.Errorf("the response is %+v", r)
			case r != nil && (r.StatusCode != c.code || !jsonEqual(string(r.Body), c.body) || strings.Contains(c.body, "1.0") && !strings.Contains(string(r.Body), "1.0")):
				t.Errorf("the response is %d %s", r.StatusCode, r.Body)
			}
			// By then the job's end is recorded, and there is no job by the callback's own ID.
			if state := g.job(t, j.ID, bearer("owner")); state.Status != c.kind {
				t.Errorf("the job is %+v", state)
			}
			id := "job_" + strings.TrimPrefix(e.ID, "evt_")
			g.do(t, http.MethodGet, jobsPath+id, "", bearer("owner")).wantError(t, 404)
			if len(h.calls) != 0 {
				t.Error("it was told twice")
			}
		})
	}
}

// TestCallbackIsRepeated: with the same ID, another time, and signed with what holds by then.
func TestCallbackIsRepeated(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	with := func(secret string) setup { return diverted(oneProvider(up, deferring(calling(secret)))) }
	g := start(t, with(hookSecret(1)))
	h := newHook(t, http.StatusFound, http.StatusServiceUnavailable)
	g.divert(t, chatBody("smart", ""), "Runestone-Callback: "+h.URL)
	first := h.next(t)
	before := first.wantSigned(t, hookSecret(1))
	g.reload(with(hookSecret(2)))
	second := h.next(t)
	if after := second.wantSigned(t, hookSecret(2)); after.ID != before.ID || !bytes.Equal(first.body, second.body) {
		t.Errorf("the events are %s and %s", first.body, second.body)
	}
	if wait := second.at.Sub(first.at); wait < 3*time.Second || wait > 10*time.Second {
		t.Errorf("it was repeated after %v", wait)
	}
}

// TestCallbackWithRoom: whoever is served at once has the answer, and is not told of it again.
func TestCallbackWithRoom(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	g := start(t, diverted(oneProvider(up, deferring(calling(hookSecret(1))))))
	h := newHook(t)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), respondAsync, "Runestone-Callback: "+h.URL), "smart", "up", 1)
	g.divert(t, chatBody("smart", ""), "Runestone-Callback: "+h.URL+"/second")
	h.next(t)
	if len(h.calls) != 0 {
		t.Error("it was told of an answer that its client has")
	}
}

// TestCallbacksThatAreRefused: at once, before anything is asked or queued.
func TestCallbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	route := up.on("gpt-upstream", hello)
	g := start(t, oneProvider(up, deferring(calling(hookSecret(1)))))
	public := start(t, oneProvider(up, deferring("callback {\nallow *\nsecret "+hookSecret(1)+"\n}")))
	none := start(t, oneProvider(up))
	for _, c := range []struct {
		g    *gateway
		url  string
		code string
		also []string
	}{
		{g, "https://other.example.com/", "invalid_callback", []string{respondAsync}},
		{g, "https://user:sesame@hooks.example.com/", "invalid_callback", []string{respondAsync}},
		{g, "https://hooks.example.com/#x", "invalid_callback", []string{respondAsync}},
		{g, "ftp://hooks.example.com/", "invalid_callback", []string{respondAsync}},
		{g, "hooks", "invalid_callback", []string{respondAsync}},
		{g, "https://127.0.0.2/", "invalid_callback", []string{respondAsync}},
		{g, "https://hooks.example.com/" + strings.Repeat("x", 2048), "invalid_callback", []string{respondAsync}},
		{public, "http://hooks.example.com/", "invalid_callback", []string{respondAsync}},
		{public, "https://127.0.0.1/", "invalid_callback", []string{respondAsync}},
		{public, "https://[::1]/", "invalid_callback", []string{respondAsync}},
		{public, "https://10.0.0.1/", "invalid_callback", []string{respondAsync}},
		{public, "https://169.254.169.254/latest/meta-data", "invalid_callback", []string{respondAsync}},
		{public, "https://[64:ff9b::7f00:1]/", "invalid_callback", []string{respondAsync}},
		{public, "https://0x7f000001/", "invalid_callback", []string{respondAsync}},
		{public, "https://hooks.example.com:22/", "invalid_callback", []string{respondAsync}},
		{none, "https://hooks.example.com/", "invalid_callback", []string{respondAsync}},
		{none, "https://hooks.example.com/", "callback_without_job", nil},
		{g, "https://hooks.example.com/", "callback_without_job", nil},
		{g, "https://hooks.example.com/", "callback_without_job", []string{"Prefer: wait=1"}},
	} {
		a := c.g.post(t, chatPath, chatBody("smart", ""), append(c.also, "Runestone-Callback: "+c.url)...)
		e := a.wantError(t, http.StatusBadRequest)
		if e.code() != c.code || deref(e.Param) != "Runestone-Callback" || strings.Contains(e.Message, "sesame") {
			t.Errorf("%s: code %q: %s", c.url, e.code(), a.Body)
		}
	}
	if len(route.seen) != 0 {
		t.Errorf("the provider was asked %d times", len(route.seen))
	}
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), respondAsync, "Runestone-Callback: https://hooks.example.com/"), "smart", "up", 1)
}
