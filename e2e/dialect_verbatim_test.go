package e2e

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// TestMessagesVerbatim: between Anthropic's client and Anthropic's API nothing changes, save the model's name.
func TestMessagesVerbatim(t *testing.T) {
	t.Parallel()
	d := startDialects(t, "model smart {\ntarget ant/claude-sonnet-4-5-smart {\nprice 3 15 0.3\n}\n}")
	c := messagesCase{client: d.g.claude(), d: d, v: d.ant, provider: "ant", family: "claude-sonnet-4-5"}
	for name, run := range map[string]func(*testing.T, messagesCase){
		"a beta message and its answer are the same bytes": verbatimBeta,
		"a stream is the same bytes":                       verbatimStream,
		"tools and signed thinking come back as they were": verbatimThinking,
		"tokens are counted by the one who knows":          verbatimCount,
		"an error is the same bytes":                       verbatimError,
		"a stream that breaks off ends with an error":      verbatimTruncated,
		"an alias is what answers show":                    verbatimAlias,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, c)
		})
	}
}

// eavesdrop has the SDK's request bodies kept.
func eavesdrop(sent *[]string) option.RequestOption {
	return option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		*sent = append(*sent, string(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		return next(r)
	})
}

func verbatimBeta(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "beta", say("Hi.").says)
	var sent []string
	var raw *http.Response
	got, err := c.client.Beta.Messages.New(t.Context(), anthropic.BetaMessageNewParams{
		Model: model, MaxTokens: 100, Temperature: anthropic.Float(0.30000000000000004),
		Betas:    []anthropic.AnthropicBeta{"context-management-2025-06-27", "fine-grained-tool-streaming-2025-05-14"},
		Messages: []anthropic.BetaMessageParam{anthropic.NewBetaUserMessage(anthropic.NewBetaTextBlock("<&>\u2028"))},
	}, eavesdrop(&sent), option.WithResponseInto(&raw))
	if err != nil {
		t.Fatal(explain(err))
	}
	_, x := seen.request(0)
	own := strings.TrimPrefix(model, "ant/")
	if want := strings.Replace(sent[0], model, own, 1); string(x.Body) != want {
		t.Errorf("the request: %s", difference(string(x.Body), want))
	}
	if x.Req.URL.RawQuery != "beta=true" {
		t.Errorf("the query is %q", x.Req.URL.RawQuery)
	}
	if got := strings.Join(x.Req.Header.Values("Anthropic-Beta"), ","); got != "context-management-2025-06-27,fine-grained-tool-streaming-2025-05-14" {
		t.Errorf("anthropic-beta is %q", got)
	}
	if want := strings.Replace(say("Hi.").anthropic(own), own, model, 1); got.RawJSON() != want {
		t.Errorf("the answer: %s", difference(got.RawJSON(), want))
	}
	if raw.Header.Get("Request-Id") != anthropicRequest || raw.Header.Get("Anthropic-Ratelimit-Requests-Limit") != "4000" {
		t.Errorf("headers %v", raw.Header)
	}
}

func verbatimStream(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "stream", thinks.says)
	body := `{ "max_tokens" : 16000,"model":"` + model + `","stream":true, "tools":[{"name":"get_weather","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"a\u0062"}]}`
	a := c.d.g.post(t, "/v1/messages", body)
	own := strings.TrimPrefix(model, "ant/")
	want := strings.Replace(strings.Join(thinks.anthropicEvents(own), ""), own, model, 1)
	if a.StatusCode != 200 || a.Err != nil || a.Body != want {
		t.Errorf("status %d, error %v: %s", a.StatusCode, a.Err, difference(a.Body, want))
	}
	if _, x := seen.request(0); string(x.Body) != strings.Replace(body, model, own, 1) {
		t.Errorf("the request became %s", x.Body)
	}
}

func verbatimThinking(t *testing.T, c messagesCase) {
	model, _ := c.model(t, "thinking", thinks.says, say("Cold.").says)
	params := messageTools(model)
	params.MaxTokens = 16000
	params.Thinking = anthropic.ThinkingConfigParamOfEnabled(4096)
	first := accumulate(t, c.client, params)
	params.Messages = append(params.Messages, first.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(first.Content[2].ID, "-7", false)))
	if second := accumulate(t, c.client, params); second.Content[0].Text != "Cold." {
		t.Errorf("got %s", second.RawJSON())
	}
}

func verbatimCount(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "count", refuses(200, `{"input_tokens":2095}`))
	var raw *http.Response
	got, err := c.client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model: model, Messages: tell(model).Messages,
	}, option.WithResponseInto(&raw))
	if err != nil || got.InputTokens != 2095 || raw.Header.Get("Runestone-Estimated") != "" {
		t.Errorf("got %v, error %v, headers %v", got, explain(err), raw.Header)
	}
	if _, x := seen.request(0); x.Req.URL.Path != "/v1/messages/count_tokens" {
		t.Errorf("the vendor was asked at %s", x.Req.URL.Path)
	}
}

func verbatimError(t *testing.T, c messagesCase) {
	want := anthropicError("invalid_request_error", "max_tokens: 900000 > 64000, which is the maximum")
	model, _ := c.model(t, "error", refuses(400, want, "request-id: "+anthropicRequest, "x-should-retry: false"))
	_, err := c.client.Messages.New(t.Context(), tell(model))
	e := wantClaudeError(t, err, 400, "invalid_request_error")
	if e.RawJSON() != want || e.RequestID != anthropicRequest {
		t.Errorf("request %s: %s", e.RequestID, difference(e.RawJSON(), want))
	}
	// That it is the gateway whose key is wrong is not the client's to repair.
	model, _ = c.model(t, "locked", refuses(401, anthropicError("authentication_error", "invalid x-api-key")))
	_, err = c.client.Messages.New(t.Context(), tell(model), option.WithMaxRetries(0))
	wantClaudeError(t, err, 502, "api_error")
}

func verbatimTruncated(t *testing.T, c messagesCase) {
	for name, way := range brokenStreams(c.d.ant, bothTools, anthropicErrorEvent("overloaded_error", "Overloaded just now")) {
		model, _ := c.model(t, strings.ReplaceAll(name, " ", "-"), way)
		wantBrokenMessage(t, c, name, model)
	}
}

// wantBrokenMessage fails the test unless the stream of a model ends with an error and not as if it were whole.
func wantBrokenMessage(t *testing.T, c messagesCase, name string, model anthropic.Model) {
	t.Helper()
	stream := c.client.Messages.NewStreaming(t.Context(), tell(model))
	for stream.Next() {
		if stream.Current().Type == "message_stop" {
			t.Errorf("%s: the message was whole", name)
		}
	}
	if stream.Err() == nil {
		t.Errorf("%s: the SDK saw no error", name)
	} else if strings.HasPrefix(name, "an error") && !strings.Contains(explain(stream.Err()), "Overloaded just now") {
		t.Errorf("%s: error %v", name, explain(stream.Err()))
	}
	a := c.d.g.post(t, "/v1/messages", `{"model":"`+model+`","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"a"}]}`)
	last := a.Body[max(0, strings.LastIndex(strings.TrimRight(a.Body, "\n"), "\n\n")):]
	if !strings.HasPrefix(strings.TrimLeft(last, "\n"), "event: error\ndata: {\"type\":\"error\",\"error\":{") || !strings.HasSuffix(a.Body, "\n\n") || a.Err != nil {
		t.Errorf("%s: status %d, error %v, the end is %q", name, a.StatusCode, a.Err, tailOf(a.Body))
	}
}

func verbatimAlias(t *testing.T, c messagesCase) {
	c.d.ant.serve(t, "claude-sonnet-4-5-smart", say("Hi.").says)
	got, err := c.client.Messages.New(t.Context(), tell("smart"))
	if err != nil || got.Model != "smart" {
		t.Errorf("got %v, error %v", got, explain(err))
	}
	if got := accumulate(t, c.client, tell("smart")); got.Model != "smart" {
		t.Errorf("the stream names %s", got.Model)
	}
	// Two calls, each 30 tokens fresh, 10 written to the cache and 60 from it, and 20 out.
	wantMetric(t, c.d.g, 200, "runestone_tokens_total", "input", "model=smart")
	wantMetric(t, c.d.g, 40, "runestone_tokens_total", "output", "model=smart")
	wantCost(t, c.d.g, "model=smart", 2*(40*3+60*0.3+20*15)/1e6)
}
