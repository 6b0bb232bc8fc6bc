package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

const messagesPath = "/v1/messages"

// TestQueuedMessages: a job of Anthropic's API is answered as that API answers, whoever serves it, and so is
// its failure.
func TestQueuedMessages(t *testing.T) {
	t.Parallel()
	d := startDialectsAs(t, diverted, deferring("max_attempts 2"))
	for name, c := range map[string]struct {
		v      *vendor
		model  string
		answer answerer
		status int
		want   []string
	}{
		"served by Anthropic": {d.ant, "claude-sonnet-4-5-job", say("Hi.").says, 200, []string{`"type":"message"`, `"text":"Hi."`, `"model":"ant/claude-sonnet-4-5-job"`, `"stop_reason":"end_turn"`}},
		"served by OpenAI":    {d.oai, "gpt-4o-job", say("Hi.").says, 200, []string{`"type":"message"`, `"text":"Hi."`, `"model":"oai/gpt-4o-job"`, `"stop_reason":"end_turn"`, `"cache_read_input_tokens":60`}},
		"served by Google":    {d.gem, "gemini-3-pro-job", say("Hi.").says, 200, []string{`"type":"message"`, `"text":"Hi."`, `"model":"gem/gemini-3-pro-job"`}},
		"refused by OpenAI":   {d.oai, "gpt-4o-no", refuses(400, errorJSON("No.", "invalid_request_error", "nope")), 400, []string{`{"type":"error","error":{"type":"invalid_request_error","message":"No."}`}},
		"refused by Google":   {d.gem, "gemini-3-pro-no", refuses(400, geminiError(400, "INVALID_ARGUMENT", "No.")), 400, []string{`{"type":"error","error":{"type":"invalid_request_error","message":"No."}`}},
		"OpenAI being down":   {d.oai, "gpt-4o-down", refuses(500, errorJSON("Down.", "server_error", "")), 500, []string{`{"type":"error","error":{"type":"api_error","message":`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.v.serve(t, c.model, c.answer)
			for _, streamed := range []string{"false", "true"} {
				if name != "served by OpenAI" && streamed == "true" {
					continue
				}
				body := `{"model":"` + c.v.provider + "/" + c.model + `","max_tokens":100,"stream":` + streamed + `,"messages":[{"role":"user","content":"Say hello"}]}`
				j := wantJob(t, d.g.post(t, messagesPath, body, divert))
				a := d.g.response(t, j.ID)
				if a.StatusCode != c.status || a.Err != nil {
					t.Errorf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
				}
				if streamed == "true" {
					if !strings.HasPrefix(a.Body, "event: message_start\ndata: {") || !strings.Contains(tailOf(a.Body), "event: message_stop\n") {
						t.Errorf("the answer is %s", a.Body)
					}
					continue
				}
				for _, want := range c.want {
					if !strings.Contains(a.Body, want) {
						t.Errorf("there is no %s in %s", want, a.Body)
					}
				}
			}
		})
	}
}

// TestRespondAsyncForMessages: Anthropic's client, for which a job will do, gets one where there is no room, and its
// answer as a message.
func TestRespondAsyncForMessages(t *testing.T) {
	t.Parallel()
	d := startDialects(t, deferring(), "model busy {\ntarget one/gpt-4o-busy\n}")
	release := make(chan struct{})
	seen := d.oai.serve(t, "gpt-4o-busy", func(v *vendor, x *exchange, model string, stream bool) {
		select {
		case <-release:
		case <-x.gone:
		}
		say("Hi.").says(v, x, model, stream)
	})
	held := make(chan answer, 1)
	body := `{"model":"busy","max_tokens":100,"messages":[{"role":"user","content":"Say hello"}]}`
	go func() { held <- d.g.post(t, messagesPath, body) }()
	eventually(t, patience, "the vendor was not asked", func() bool { return seen.count() == 1 })

	// Who asks for nothing is refused, in Anthropic's words and with what its clients go by.
	a := d.g.post(t, messagesPath, body)
	if a.StatusCode != http.StatusTooManyRequests || !strings.HasPrefix(a.Body, `{"type":"error","error":{"type":"rate_limit_error"`) || a.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, headers %v: %s", a.StatusCode, a.Header, a.Body)
	}
	var raw *http.Response
	client := d.g.claude(option.WithHeader("Prefer", "respond-async"), option.WithMaxRetries(0))
	_, err := client.Messages.New(t.Context(), tell("busy"), option.WithResponseInto(&raw))
	if err != nil || raw.StatusCode != http.StatusAccepted {
		t.Fatalf("error %v, %v", explain(err), raw)
	}
	close(release)
	if a := <-held; a.StatusCode != http.StatusOK || !strings.Contains(a.Body, `"text":"Hi."`) {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	var message anthropic.Message
	if err := client.Get(t.Context(), strings.TrimPrefix(raw.Header.Get("Location"), "/")+"/response?wait=10", nil, &message); err != nil {
		t.Fatal(explain(err))
	}
	if message.Content[0].Text != "Hi." || message.Model != "busy" || message.StopReason != anthropic.StopReasonEndTurn {
		t.Errorf("the answer is %s", message.RawJSON())
	}
}

// TestMessagesThatAreWrong: what is wrong in itself is told in Anthropic's words.
func TestMessagesThatAreWrong(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	for body, headers := range map[string][]string{
		`{"model":"ant/x","max_tokens":1,"messages":[]`: {respondAsync},
		`{"max_tokens":1,"messages":[]}`:                nil,
		`{"model":"ant/x","model":"ant/y"}`:             nil,
		`[]`:                                            nil,
	} {
		a := d.g.post(t, messagesPath, body, headers...)
		if a.StatusCode != http.StatusBadRequest || !strings.HasPrefix(a.Body, `{"type":"error","error":{"type":"invalid_request_error"`) || a.Header.Get("Request-Id") == "" {
			t.Errorf("%s: status %d, headers %v: %s", body, a.StatusCode, a.Header, a.Body)
		}
	}
	if a := d.g.do(t, http.MethodGet, messagesPath, ""); a.StatusCode != http.StatusMethodNotAllowed || !strings.HasPrefix(a.Body, `{"type":"error"`) {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
}
