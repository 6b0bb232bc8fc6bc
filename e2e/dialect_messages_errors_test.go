package e2e

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// wantClaudeError fails the test unless err is an error in Anthropic's shape.
func wantClaudeError(t testing.TB, err error, status int, kind string) *anthropic.Error {
	t.Helper()
	var e *anthropic.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %T: %v", err, err)
	}
	if e.StatusCode != status || string(e.Type()) != kind || !strings.HasPrefix(e.RawJSON(), `{"type":"error","error":{"type":`) {
		t.Errorf("got %d %s, want %d %s", e.StatusCode, e.RawJSON(), status, kind)
	}
	if e.RequestID == "" || !strings.Contains(e.RawJSON(), `"request_id":"`+e.RequestID+`"`) {
		t.Errorf("the header names the request %q: %s", e.RequestID, e.RawJSON())
	}
	if strings.Contains(e.RawJSON(), upstreamKey) {
		t.Errorf("the error shows the key: %s", e.RawJSON())
	}
	return e
}

// wantCost fails the test unless what is under a label has cost this, in USD.
func wantCost(t testing.TB, g *gateway, label string, usd float64) {
	t.Helper()
	var got float64
	eventuallyOr(t, func() bool {
		got = scrape(t, g).sum("runestone_cost_usd_total", label)
		return math.Abs(got-usd) < 1e-9
	}, func() string { return fmt.Sprintf("%s has cost %v, want %v", label, got, usd) })
}

// TestMessagesErrorsInOtherDialects is what Anthropic's client makes of the errors of OpenAI and Google, and of
// the gateway's own.
func TestMessagesErrorsInOtherDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t, "strict_models", "model known {\ntarget oai/gpt-4o-known\n}", "model other {\ntarget gem/gemini-2.5-flash-other\n}")
	client := d.g.claude(option.WithMaxRetries(0))
	for _, c := range []struct {
		model   anthropic.Model
		status  int
		body    string
		lines   []string
		want    int
		kind    string
		message string
		after   string
	}{
		{"known", 400, errorJSON("'temperature' does not go with this model", "invalid_request_error", "unsupported_value"), nil, 400, "invalid_request_error", "'temperature' does not go with this model", ""},
		{"known", 403, errorJSON("Not for you", "request_forbidden", "x"), nil, 403, "permission_error", "Not for you", ""},
		{"known", 404, errorJSON("No such model", "invalid_request_error", "model_not_found"), nil, 404, "not_found_error", "No such model", ""},
		{"known", 413, "<html>too large</html>", nil, 413, "request_too_large", "The provider answered with status 413.", ""},
		{"known", 500, errorJSON("The server had an error", "server_error", ""), nil, 500, "api_error", "The server had an error", ""},
		{"known", 503, errorJSON("Overloaded", "server_error", ""), nil, 503, "overloaded_error", "Overloaded", ""},
		{"known", 401, errorJSON("Incorrect API key", "invalid_request_error", "invalid_api_key"), nil, 502, "api_error", "", ""},
		{"known", 429, errorJSON("Rate limit reached", "requests", "rate_limit_exceeded"), []string{"Retry-After: 3"}, 429, "rate_limit_error", "Rate limit reached", "3"},
		{"other", 400, geminiError(400, "INVALID_ARGUMENT", "An invalid argument"), nil, 400, "invalid_request_error", "An invalid argument", ""},
		{"other", 503, geminiError(503, "UNAVAILABLE", "The model is overloaded."), nil, 503, "overloaded_error", "The model is overloaded.", ""},
	} {
		for _, v := range []*vendor{d.oai, d.gem} {
			v.serve(t, map[anthropic.Model]string{"known": "gpt-4o-known", "other": "gemini-2.5-flash-other"}[c.model], refuses(c.status, c.body, c.lines...))
		}
		_, err := client.Messages.New(t.Context(), tell(c.model))
		e := wantClaudeError(t, err, c.want, c.kind)
		if c.message != "" && !strings.Contains(e.RawJSON(), quote(c.message)) || e.Response.Header.Get("Retry-After") != c.after {
			t.Errorf("%d %s became %s, Retry-After %q", c.status, c.body, e.RawJSON(), e.Response.Header.Get("Retry-After"))
		}
	}
	_, err := client.Messages.New(t.Context(), tell("unknown"))
	wantClaudeError(t, err, 404, "not_found_error")
	_, err = client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "unknown", Messages: tell("x").Messages})
	wantClaudeError(t, err, 404, "not_found_error")
	stream := client.Messages.NewStreaming(t.Context(), tell("unknown"))
	if stream.Next() {
		t.Error("an unknown model streams")
	}
	wantClaudeError(t, stream.Err(), 404, "not_found_error")
	params := tell("other") // the other one rests
	params.Messages = nil
	_, err = client.Messages.New(t.Context(), params)
	wantClaudeError(t, err, 400, "invalid_request_error")
}

// TestMessagesStreamsThatBreak is [TestChatStreamsThatBreak] for Anthropic's client.
func TestMessagesStreamsThatBreak(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	for _, c := range []struct {
		messagesCase
		broken string
	}{
		{messagesCase{v: d.oai, provider: "oai", family: "gpt-4o"}, "data: " + errorJSON("Overloaded just now", "server_error", "overloaded") + "\n\n"},
		{messagesCase{v: d.gem, provider: "gem", family: "gemini-2.5-flash"}, "data: " + strings.ReplaceAll(geminiError(503, "UNAVAILABLE", "Overloaded just now"), "\n", "") + "\r\n\r\n"},
	} {
		c.d, c.client = d, d.g.claude(option.WithMaxRetries(0))
		for name, way := range brokenStreams(c.v, bothTools, c.broken) {
			t.Run(c.provider+": "+name, func(t *testing.T) {
				t.Parallel()
				model, _ := c.model(t, strings.ReplaceAll(name, " ", "-"), way)
				wantBrokenMessage(t, c.messagesCase, name, model)
			})
		}
	}
}

func messagesCount(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "count", say("x").says)
	var raw *http.Response
	got, err := c.client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model:    model,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(strings.Repeat("These are ten words, and then a few of them. ", 100)))},
	}, option.WithResponseInto(&raw))
	if err != nil {
		t.Fatal(explain(err))
	}
	if got.InputTokens < 700 || got.InputTokens > 2000 || raw.Header.Get("Runestone-Estimated") != "input_tokens" {
		t.Errorf("got %d, Runestone-Estimated %q", got.InputTokens, raw.Header.Get("Runestone-Estimated"))
	}
	if seen.count() != 0 {
		t.Error("the vendor was asked")
	}
}

// messagesRefused is that what has no counterpart is never left out in silence.
func messagesRefused(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "refused", say("x").says)
	for param, more := range map[string]string{
		"top_k":                `"top_k":40`,
		"stop_sequences":       `"stop_sequences":["a","b","c","d","e","f"]`,
		"tools[0].type":        `"tools":[{"type":"web_search_20250305","name":"web_search"}]`,
		"container":            `"container":"container_1"`,
		"messages[0].content":  `"messages":[{"role":"user","content":[{"type":"container_upload","file_id":"x"}]}]`,
		"messages[1].content":  `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]},{"role":"user","content":"b"}]`,
		"output_config.effort": `"output_config":{"effort":"galactic"}`,
	} {
		body := `{"model":"` + model + `","max_tokens":10,` + more
		if !strings.Contains(more, `"messages"`) {
			body += `,"messages":[{"role":"user","content":"a"}]`
		}
		if c.provider == "plain" && param == "top_k" {
			continue // it has one
		}
		before := seen.count()
		a := c.d.g.post(t, "/v1/messages", body+"}", "anthropic-version: 2023-06-01")
		name, _, _ := strings.Cut(param, "[")
		name, _, _ = strings.Cut(name, ".")
		switch {
		case a.StatusCode == 400 && strings.Contains(a.Body, `"type":"invalid_request_error"`) && strings.Contains(a.Body, name) && seen.count() == before:
		case a.StatusCode == 200 && strings.Contains(a.Header.Get("Runestone-Adjusted"), name):
		case a.StatusCode == 200 && c.provider == "gem" && (param == "top_k" || param == "messages[1].content"):
		default:
			t.Errorf("%s: status %d, Runestone-Adjusted %q: %s", param, a.StatusCode, a.Header.Get("Runestone-Adjusted"), a.Body)
		}
	}
}
