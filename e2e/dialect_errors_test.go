package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestChatErrorsInOtherDialects is what OpenAI's client makes of the errors of Anthropic and Google.
func TestChatErrorsInOtherDialects(t *testing.T) {
	t.Parallel()
	type errorCase struct {
		status                 int
		body                   string
		lines                  []string
		wantStatus             int
		wantType, wantCode     string
		wantMessage, wantAfter string
	}
	const html = "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
	key := geminiError(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}`)
	quota := geminiError(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"39.84s"}`)
	cases := map[string][]errorCase{
		"ant": {
			{400, anthropicError("invalid_request_error", "prompt is too long"), nil, 400, "invalid_request_error", "", "prompt is too long", ""},
			{403, anthropicError("permission_error", "Not for you"), nil, 403, "permission_error", "", "Not for you", ""},
			{404, anthropicError("not_found_error", "model: claude-x"), nil, 404, "invalid_request_error", "model_not_found", "model: claude-x", ""},
			{413, anthropicError("request_too_large", "Request exceeds the maximum size"), nil, 413, "invalid_request_error", "", "Request exceeds the maximum size", ""},
			{500, anthropicError("api_error", "Internal server error"), nil, 500, "server_error", "", "Internal server error", ""},
			{502, html, nil, 502, "server_error", "", "The provider answered with status 502.", ""},
			{529, anthropicError("overloaded_error", "Overloaded"), nil, 503, "server_error", "overloaded", "Overloaded", ""},
			{401, anthropicError("authentication_error", "invalid x-api-key"), nil, 502, "server_error", "provider_credentials", "", ""},
			{429, anthropicError("rate_limit_error", "This request would exceed your rate limit"), []string{"Retry-After: 7"}, 429, "rate_limit_error", "rate_limit_exceeded", "This request would exceed your rate limit", "7"},
		},
		"gem": {
			{400, geminiError(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), nil, 400, "invalid_request_error", "", "Request contains an invalid argument.", ""},
			{400, "[" + geminiError(400, "FAILED_PRECONDITION", "User location is not supported.") + "]", nil, 400, "invalid_request_error", "", "User location is not supported.", ""},
			{403, geminiError(403, "PERMISSION_DENIED", "Not for you"), nil, 403, "permission_error", "", "Not for you", ""},
			{404, geminiError(404, "NOT_FOUND", "models/x is not found"), nil, 404, "invalid_request_error", "model_not_found", "models/x is not found", ""},
			{500, geminiError(500, "INTERNAL", "An internal error has occurred."), nil, 500, "server_error", "", "An internal error has occurred.", ""},
			{503, geminiError(503, "UNAVAILABLE", "The model is overloaded."), nil, 503, "server_error", "overloaded", "The model is overloaded.", ""},
			{504, geminiError(504, "DEADLINE_EXCEEDED", "Deadline expired."), nil, 504, "timeout", "timeout", "Deadline expired.", ""},
			{400, key, nil, 502, "server_error", "provider_credentials", "", ""},
			{429, quota, nil, 429, "rate_limit_error", "rate_limit_exceeded", "You exceeded your current quota.", "40"},
		},
	}
	for provider, family := range map[string]string{"ant": "claude-sonnet-4-5", "gem": "gemini-2.5-flash"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			d := startDialects(t)
			v := map[string]*vendor{"ant": d.ant, "gem": d.gem}[provider]
			client := d.g.sdk(option.WithMaxRetries(0))
			for n, c := range cases[provider] {
				name := fmt.Sprintf("%s-error-%d", family, n)
				v.serve(t, name, refuses(c.status, c.body, c.lines...))
				for _, streamed := range []bool{false, true}[:min(2, 1+(429-c.status)&1)] {
					var err error
					if streamed {
						stream := client.Chat.Completions.NewStreaming(t.Context(), ask(provider+"/"+name))
						for stream.Next() {
							t.Errorf("%s has an event", name)
						}
						err = stream.Err()
					} else {
						_, err = client.Chat.Completions.New(t.Context(), ask(provider+"/"+name))
					}
					var e *openai.Error
					if !errors.As(err, &e) {
						t.Errorf("%d %s: error %v", c.status, c.body, err)
						continue
					}
					if e.StatusCode != c.wantStatus || e.Type != c.wantType || e.Code != c.wantCode || c.wantMessage != "" && e.Message != c.wantMessage {
						t.Errorf("%d %s became %d %s", c.status, c.body, e.StatusCode, e.RawJSON())
					}
					if got := e.Response.Header.Get("Retry-After"); got != c.wantAfter {
						t.Errorf("%d: Retry-After is %q, want %q", c.status, got, c.wantAfter)
					}
					if e.Response.Header.Get("X-Request-Id") == "" || strings.Contains(e.RawJSON(), upstreamKey) {
						t.Errorf("%d: headers %v: %s", c.status, e.Response.Header, e.RawJSON())
					}
				}
			}
		})
	}
}

// brokenStreams are the ways in which a stream of a vendor ends that should not, by where in it that is.
func brokenStreams(v *vendor, r reply, broken string) map[string]answerer {
	ways := map[string]answerer{}
	whole := v.events(r, "x")
	last := len(whole) - 1
	if v.provider == "oai" { // what is missing after the finish is nobody's loss
		last = len(whole) - 3
	}
	for n := 1; n <= last; n++ {
		ways[fmt.Sprintf("the end after %d events", n)] = r.breaksOff(n)
		ways[fmt.Sprintf("an error after %d events", n)] = r.breaksWith(n, broken)
		ways[fmt.Sprintf("half an event after %d", n)] = r.breaksWith(n, whole[n][:len(whole[n])/2])
		ways[fmt.Sprintf("a reset after %d events", n)] = func(v *vendor, x *exchange, model string, _ bool) {
			x.head(http.StatusOK, "Content-Type: "+v.media, "Transfer-Encoding: chunked")
			for _, e := range v.events(r, model)[:n] {
				x.chunk(e)
			}
			x.taken()
			x.reset()
		}
	}
	return ways
}

// TestChatStreamsThatBreak: a stream that is not whole ends with an error, wherever it breaks.
func TestChatStreamsThatBreak(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	client := d.g.sdk(option.WithMaxRetries(0))
	for _, c := range []struct {
		v              *vendor
		family, broken string
	}{
		{d.ant, "claude-sonnet-4-5", anthropicErrorEvent("overloaded_error", "Overloaded just now")},
		{d.gem, "gemini-2.5-flash", "data: " + strings.ReplaceAll(geminiError(503, "UNAVAILABLE", "Overloaded just now"), "\n", "") + "\r\n\r\n"},
	} {
		for name, way := range brokenStreams(c.v, bothTools, c.broken) {
			t.Run(c.v.provider+": "+name, func(t *testing.T) {
				t.Parallel()
				model := c.family + "-" + strings.ReplaceAll(name, " ", "-")
				c.v.serve(t, model, way)
				model = c.v.provider + "/" + model
				stream := client.Chat.Completions.NewStreaming(t.Context(), wantedTools(model))
				for stream.Next() {
					if len(stream.Current().Choices) > 0 && stream.Current().Choices[0].FinishReason != "" {
						t.Errorf("it was finished: %s", stream.Current().RawJSON())
					}
				}
				if stream.Err() == nil {
					t.Error("the SDK saw no error")
				}
				a := d.g.post(t, chatPath, streamBody(model))
				if strings.Contains(a.Body, "[DONE]") || !strings.Contains(tailOf(a.Body), `data: {"error":`) || a.Err != nil {
					t.Errorf("status %d, error %v, the end is %q", a.StatusCode, a.Err, tailOf(a.Body))
				}
				if strings.HasPrefix(name, "an error") && !strings.Contains(tailOf(a.Body), "Overloaded just now") {
					t.Errorf("the end is %q", tailOf(a.Body))
				}
			})
		}
	}
}

// TestStreamsThatBeginWithAnError: an error that is the first event has a status of the client's API, as there is one still.
func TestStreamsThatBeginWithAnError(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	first := func(event string) answerer {
		return func(v *vendor, x *exchange, _ string, _ bool) { v.stream(x, ": hello\n\n", event) }
	}
	google := "data: " + strings.ReplaceAll(geminiError(429, "RESOURCE_EXHAUSTED", "Overloaded just now"), "\n", "") + "\r\n\r\n"
	d.ant.serve(t, "claude-sonnet-4-5-first", first(anthropicErrorEvent("overloaded_error", "Overloaded just now")))
	d.gem.serve(t, "gemini-2.5-flash-first", first(google))
	d.oai.serve(t, "llama-first", first("data: "+errorJSON("Overloaded just now", "server_error", "overloaded")+"\n\n"))
	for path, body := range map[string]string{
		chatPath:       `{"model":"%s","stream":true,"messages":[{"role":"user","content":"a"}]}`,
		responsesPath:  `{"model":"%s","stream":true,"input":"a"}`,
		"/v1/messages": `{"model":"%s","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"a"}]}`,
	} {
		for model, status := range map[string]int{"ant/claude-sonnet-4-5-first": 503, "gem/gemini-2.5-flash-first": 429, "plain/llama-first": 503} {
			a := d.g.post(t, path, fmt.Sprintf(body, model))
			if a.Err != nil || a.StatusCode != status || !strings.Contains(a.Body, "Overloaded just now") || strings.Contains(a.Body, "data:") {
				t.Errorf("%s of %s: status %d, want %d, error %v: %s", path, model, a.StatusCode, status, a.Err, a.Body)
			}
		}
	}
}

// TestRequestsThatCannotBeToldAreNoFailures: what a provider cannot be asked is the client's matter, not the provider's failure.
func TestRequestsThatCannotBeToldAreNoFailures(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	a := d.g.post(t, "/v1/responses", `{"model":"gem/gemini-2.5-flash","input":"a","previous_response_id":"resp_1"}`)
	if a.Err != nil || a.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
	}
	metrics := d.g.adminGet("/metrics")
	if strings.Contains(metrics, `outcome="unreachable"`) || !strings.Contains(metrics, `runestone_upstream_requests_total{outcome="invalid",provider="gem"`) {
		t.Errorf("the metrics call it something else:\n%s", metrics)
	}
	if log := d.g.tail(); strings.Contains(log, "a call to a provider failed") {
		t.Errorf("the log calls it a failure:\n%s", log)
	}
}
