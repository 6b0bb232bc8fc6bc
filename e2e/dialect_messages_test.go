package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// messagesCase is one vendor as a client of Anthropic's messages sees it.
type messagesCase struct {
	client   *anthropic.Client
	d        *dialects
	v        *vendor
	provider string
	family   string
}

func (c messagesCase) model(t testing.TB, name string, answers ...answerer) (anthropic.Model, *offer) {
	t.Helper()
	name = c.family + "-" + name
	return c.provider + "/" + name, c.v.serve(t, name, answers...)
}

func tell(model anthropic.Model) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: model, MaxTokens: 1000,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello"))},
	}
}

// TestMessagesInOtherDialects has Anthropic's client use what speaks OpenAI's and Google's APIs.
func TestMessagesInOtherDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	cases := map[string]func(*testing.T, messagesCase){
		"a message":                                    messagesWhole,
		"a message that is cut":                        messagesCut,
		"a stream":                                     messagesStreamed,
		"an answer without a word":                     messagesEmpty,
		"a stream of thinking and tools":               messagesThinking,
		"parallel tools, to the final answer":          messagesTools,
		"parallel tools in a stream, to the end":       messagesToolsStreamed,
		"a tool that has to be called":                 messagesToolChoice,
		"images and a PDF":                             messagesMedia,
		"an answer by a schema":                        messagesSchema,
		"tokens are estimated where nobody counts":     messagesCount,
		"what cannot be asked for is a 400 or is told": messagesRefused,
	}
	for _, c := range []messagesCase{
		{v: d.oai, provider: "oai", family: "gpt-4o"},
		{v: d.oai, provider: "direct", family: "gpt-5"},
		{v: d.oai, provider: "plain", family: "llama"},
		{v: d.gem, provider: "gem", family: "gemini-3-pro-preview"},
	} {
		c.d, c.client = d, d.g.claude()
		for name, run := range cases {
			t.Run(c.provider+": "+name, func(t *testing.T) {
				t.Parallel()
				run(t, c)
			})
		}
	}
}

// wantUsage fails the test unless the usage is what a reply says by default, in Anthropic's terms.
func (c messagesCase) wantUsage(t testing.TB, got anthropic.Usage) {
	t.Helper()
	written := int64(usual.written)
	if c.v == c.d.gem { // which does not tell
		written = 0
	}
	want := []int64{int64(usual.in-usual.cached) - written, int64(usual.cached), written, int64(usual.out)}
	if has := []int64{got.InputTokens, got.CacheReadInputTokens, got.CacheCreationInputTokens, got.OutputTokens}; !slices.Equal(has, want) {
		t.Errorf("usage %v, want %v: %s", has, want, got.RawJSON())
	}
}

func messagesWhole(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "whole", say("Grüß ", "Gott \u2028 & <b>\"\\\n🌍").says)
	var raw *http.Response
	params := tell(model)
	params.System = []anthropic.TextBlockParam{
		{Text: "Be brief.", CacheControl: anthropic.NewCacheControlEphemeralParam()}, {Text: "Be kind."},
	}
	params.Messages = append(params.Messages,
		anthropic.NewAssistantMessage(anthropic.NewTextBlock("Hello.")), anthropic.NewUserMessage(anthropic.NewTextBlock("In"), anthropic.NewTextBlock("German")))
	params.Metadata.UserID = anthropic.String("user_" + strings.Repeat("0af9", 16) + "_account__session_" + strings.Repeat("b2", 18))
	params.ServiceTier = anthropic.MessageNewParamsServiceTierAuto
	got, err := c.client.Messages.New(t.Context(), params, option.WithResponseInto(&raw))
	if err != nil {
		t.Fatal(explain(err))
	}
	if len(got.Content) != 1 || got.Content[0].Text != "Grüß Gott \u2028 & <b>\"\\\n🌍" || got.StopReason != anthropic.StopReasonEndTurn {
		t.Errorf("got %s", got.RawJSON())
	}
	if got.Model != model || got.Type != "message" || got.Role != "assistant" || !strings.HasPrefix(got.ID, "msg_") {
		t.Errorf("got %s", got.RawJSON())
	}
	c.wantUsage(t, got.Usage)
	if raw.Header.Get("Request-Id") == "" || raw.Header.Get("Runestone-Provider") != c.provider {
		t.Errorf("headers %v", raw.Header)
	}
	if c.v == c.d.oai {
		seen.want(0, "messages.0.content", `"Be brief.\n\nBe kind."`)
		limit := map[string]string{"oai": "max_tokens", "plain": "max_tokens", "direct": "max_completion_tokens"}[c.provider]
		seen.want(0, limit, `1000`)
	}
}

func messagesCut(t *testing.T, c messagesCase) {
	model, _ := c.model(t, "cut", reply{text: []string{"Once upon"}, cut: true}.says)
	got, err := c.client.Messages.New(t.Context(), tell(model))
	if err != nil || got.StopReason != anthropic.StopReasonMaxTokens {
		t.Errorf("got %v, error %v", got, explain(err))
	}
	if got := accumulate(t, c.client, tell(model)); got.StopReason != anthropic.StopReasonMaxTokens {
		t.Errorf("the stream stops by %s", got.StopReason)
	}
}

// accumulate drains a stream into a message, and holds it to what the strictest readers expect.
func accumulate(t *testing.T, client *anthropic.Client, params anthropic.MessageNewParams, opts ...option.RequestOption) anthropic.Message {
	t.Helper()
	stream := client.Messages.NewStreaming(t.Context(), params, opts...)
	defer stream.Close()
	var m anthropic.Message
	open := int64(-1)
	last := ""
	for stream.Next() {
		event := stream.Current()
		if err := m.Accumulate(event); err != nil {
			t.Fatalf("%v: %s", err, event.RawJSON())
		}
		switch last = event.Type; last {
		case "message_start":
			if event.Message.Model != params.Model || !event.Message.JSON.Usage.Valid() || len(event.Message.Content) != 0 {
				t.Errorf("it starts with %s", event.RawJSON())
			}
		case "content_block_start":
			if open >= 0 {
				t.Errorf("a block starts in another: %s", event.RawJSON())
			}
			open = event.Index
		case "content_block_delta":
			if event.Index != open {
				t.Errorf("a delta is of another block: %s", event.RawJSON())
			}
		case "content_block_stop":
			if event.Index != open {
				t.Errorf("another block stops: %s", event.RawJSON())
			}
			open = -1
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(explain(err))
	}
	if last != "message_stop" || open >= 0 || m.StopReason == "" {
		t.Errorf("the stream ends with %s", last)
	}
	return m
}

func messagesStreamed(t *testing.T, c messagesCase) {
	model, _ := c.model(t, "stream", say("Hel", "lo", " wörld 🌍", "\u2028\n\"quoted\"").says)
	got := accumulate(t, c.client, tell(model))
	if len(got.Content) != 1 || got.Content[0].Text != "Hello wörld 🌍\u2028\n\"quoted\"" || got.StopReason != anthropic.StopReasonEndTurn {
		t.Errorf("got %s", got.RawJSON())
	}
	c.wantUsage(t, got.Usage)
}

func messagesEmpty(t *testing.T, c messagesCase) {
	model, _ := c.model(t, "empty", reply{}.says)
	got, err := c.client.Messages.New(t.Context(), tell(model))
	if err != nil || got.StopReason != anthropic.StopReasonEndTurn || !strings.Contains(got.RawJSON(), `"content":[`) {
		t.Errorf("got %v, error %v", got, explain(err))
	}
	if got := accumulate(t, c.client, tell(model)); got.StopReason != anthropic.StopReasonEndTurn {
		t.Errorf("the stream has %s", got.RawJSON())
	}
}

func messageTools(model anthropic.Model) anthropic.MessageNewParams {
	params := tell(model)
	params.Tools = []anthropic.ToolUnionParam{
		{OfTool: &anthropic.ToolParam{
			Name: "get_weather", Description: anthropic.String("The weather in a place"),
			InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"location": map[string]any{"type": "string"}}, Required: []string{"location"}},
		}},
		{OfTool: &anthropic.ToolParam{Name: "now", InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{}}}},
	}
	return params
}

// checkToolUse compares the calls in a message to bothTools, and returns results for them.
func checkToolUse(t *testing.T, m anthropic.Message) (results []anthropic.ContentBlockParamUnion) {
	t.Helper()
	if m.StopReason != anthropic.StopReasonToolUse || m.Content[0].Text != "Let me see." || len(m.Content) != 1+len(bothTools.calls) {
		t.Fatalf("got %s", m.RawJSON())
	}
	ids := map[string]bool{}
	for i, want := range bothTools.calls {
		got := m.Content[i+1]
		if got.Type != "tool_use" || got.Name != want.name || string(got.Input) != want.input {
			t.Errorf("call %d is %s, want %+v", i, got.RawJSON(), want)
		}
		if ids[got.ID] || !anthropicToolID.MatchString(got.ID) {
			t.Errorf("call %d has the ID %q", i, got.ID)
		}
		ids[got.ID] = true
		results = append(results, anthropic.NewToolResultBlock(got.ID, []string{`{"celsius":7}`, "no such place", "noon"}[i], i == 1))
	}
	return results
}

func messagesTools(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "tools", bothTools.says, say("Warm and cold.").says)
	params := messageTools(model)
	first, err := c.client.Messages.New(t.Context(), params)
	if err != nil {
		t.Fatal(explain(err))
	}
	params.Messages = append(params.Messages, first.ToParam(), anthropic.NewUserMessage(append(checkToolUse(t, *first), anthropic.NewTextBlock("Well?"))...))
	second, err := c.client.Messages.New(t.Context(), params)
	if err != nil || second.Content[0].Text != "Warm and cold." {
		t.Fatalf("got %v, error %v", second, explain(err))
	}
	c.wantCalled(t, seen)
}

// wantCalled looks at the second request of a loop.
func (c messagesCase) wantCalled(t *testing.T, seen *offer) {
	t.Helper()
	body, x := seen.request(1)
	if c.v == c.d.gem {
		if !strings.Contains(string(x.Body), `12345678901234567890`) || !strings.Contains(string(x.Body), `1.10`) {
			t.Errorf("the input of the call is not what it was: %s", x.Body)
		}
		return
	}
	if got := at(body, "messages.1.tool_calls.0.function.arguments"); got != exact {
		t.Errorf("the input of the call is %v, not what it was", got)
	}
	seen.want(1, "messages.2.role", `"tool"`)
	seen.want(1, "messages.4.content", `"noon"`)
}

func messagesToolsStreamed(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "tools-stream", bothTools.says, say("Warm", " and cold.").says)
	params := messageTools(model)
	first := accumulate(t, c.client, params)
	params.Messages = append(params.Messages, first.ToParam(), anthropic.NewUserMessage(checkToolUse(t, first)...))
	if second := accumulate(t, c.client, params); second.Content[0].Text != "Warm and cold." {
		t.Fatalf("got %s", second.RawJSON())
	}
	c.wantCalled(t, seen)
}

// messagesThinking is thinking, words and calls in one stream; what the client sends back is taken.
func messagesThinking(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "thinking", thinks.says, say("Cold.").says)
	params := messageTools(model)
	params.MaxTokens = 16000
	params.Thinking = anthropic.ThinkingConfigParamOfEnabled(4096)
	if c.provider == "oai" { // whose model does not think
		params.Thinking = anthropic.ThinkingConfigParamUnion{OfDisabled: &anthropic.ThinkingConfigDisabledParam{}}
	}
	first := accumulate(t, c.client, params)
	var kinds []string
	for _, b := range first.Content {
		kinds = append(kinds, b.Type)
	}
	if !slices.Equal(kinds, []string{"thinking", "text", "tool_use"}) || first.Content[0].Thinking != thinks.thinking {
		t.Fatalf("got %s", first.RawJSON())
	}
	params.Messages = append(params.Messages, first.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(first.Content[2].ID, "-7", false)))
	second, err := c.client.Messages.New(t.Context(), params, option.WithRequestTimeout(patience))
	if err != nil || second.Content[0].Text != "Cold." {
		t.Fatalf("got %v, error %v", second, explain(err))
	}
	switch c.provider {
	case "direct":
		seen.want(0, "reasoning_effort", `"high"`)
	case "gem":
		body, _ := seen.request(1)
		if raw, _ := json.Marshal(at(body, "contents.1.parts")); !strings.Contains(string(raw), signature("gemini", "get_weather")) {
			t.Errorf("the signature has not come back: %s", raw)
		}
	}
}

func messagesToolChoice(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "choice", reply{calls: []toolUse{{"call_1", "now", "{}"}}}.says)
	for i, choice := range []anthropic.ToolChoiceUnionParam{
		{OfAny: &anthropic.ToolChoiceAnyParam{DisableParallelToolUse: anthropic.Bool(c.v == c.d.oai)}},
		{OfNone: &anthropic.ToolChoiceNoneParam{}},
		anthropic.ToolChoiceParamOfTool("now"),
		{OfAuto: &anthropic.ToolChoiceAutoParam{}},
	} {
		params := messageTools(model)
		params.ToolChoice = choice
		got, err := c.client.Messages.New(t.Context(), params)
		if err != nil {
			t.Fatal(explain(err))
		}
		if string(got.Content[0].Input) != "{}" || got.StopReason != "tool_use" {
			t.Errorf("got %s", got.RawJSON())
		}
		if c.v == c.d.oai {
			seen.want(i, "tool_choice", []string{`"required"`, `"none"`, `{"type":"function","function":{"name":"now"}}`, `"auto"`}[i])
			seen.want(i, "parallel_tool_calls", []string{`false`, `null`, `null`, `null`}[i])
		} else {
			seen.want(i, "toolConfig.functionCallingConfig.mode", []string{`"ANY"`, `"NONE"`, `"ANY"`, `"AUTO"`}[i])
		}
	}
}

func messagesMedia(t *testing.T, c messagesCase) {
	model, seen := c.model(t, "media", say("Two cats and a contract.").says)
	image, pdf := base64.StdEncoding.EncodeToString(noise(20_000)), base64.StdEncoding.EncodeToString(noise(9_000))
	params := tell(model)
	params.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(
		anthropic.NewImageBlockBase64("image/png", image),
		anthropic.NewImageBlock(anthropic.URLImageSourceParam{URL: "https://example.com/cat.png"}),
		anthropic.NewDocumentBlock(anthropic.Base64PDFSourceParam{Data: pdf}),
		anthropic.NewTextBlock("What is this?"))}
	got, err := c.client.Messages.New(t.Context(), params)
	if err != nil || got.Content[0].Text != "Two cats and a contract." {
		t.Fatalf("got %v, error %v", got, explain(err))
	}
	if c.v == c.d.oai {
		seen.want(0, "messages.0.content.0.image_url.url", `"data:image/png;base64,`+image+`"`)
		seen.want(0, "messages.0.content.1.image_url.url", `"https://example.com/cat.png"`)
		seen.want(0, "messages.0.content.2.file.file_data", `"data:application/pdf;base64,`+pdf+`"`)
		seen.want(0, "messages.0.content.3.text", `"What is this?"`)
	}
}

func messagesSchema(t *testing.T, c messagesCase) {
	const answer = `{"name": "Ada"}`
	model, seen := c.model(t, "schema", say(answer).says)
	params := tell(model)
	params.OutputConfig.Format = anthropic.JSONOutputFormatParam{Schema: map[string]any{
		"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}, "required": []string{"name"}, "additionalProperties": false,
	}}
	got, err := c.client.Messages.New(t.Context(), params)
	if err != nil || got.Content[0].Text != answer {
		t.Fatalf("got %v, error %v", got, explain(err))
	}
	if c.v == c.d.oai {
		seen.want(0, "response_format.type", `"json_schema"`)
		seen.want(0, "response_format.json_schema.schema.required", `["name"]`)
	} else {
		seen.want(0, "generationConfig.responseMimeType", `"application/json"`)
	}
}
