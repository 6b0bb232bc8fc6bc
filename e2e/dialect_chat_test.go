package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestChatInOtherDialects has OpenAI's client use what speaks Anthropic's and Google's APIs.
func TestChatInOtherDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	cases := map[string]func(*testing.T, chatCase){
		"a chat":                                       chatWhole,
		"a chat whose answer is cut":                   chatCut,
		"a stream":                                     chatStreamed,
		"a stream with its usage":                      chatStreamedUsage,
		"parallel tools, to the final answer":          chatTools,
		"parallel tools in a stream, to the end":       chatToolsStreamed,
		"a tool that takes nothing":                    chatToolWithoutInput,
		"a tool that has to be called":                 chatToolChoice,
		"images by URL and in the request":             chatImages,
		"a PDF":                                        chatPDF,
		"an answer by a schema":                        chatSchema,
		"effort, with thinking that comes back":        chatThinking,
		"a stream of thinking that comes back":         chatThinkingStreamed,
		"thinking that the client drops":               chatThinkingDropped,
		"a conversation that another model has begun":  chatForeign,
		"a conversation with all kinds of odd turns":   chatOdd,
		"parameters that the vendor does not have":     chatAdjusted,
		"parameters that cannot be left out are a 400": chatUnsupported,
	}
	for _, c := range []chatCase{
		{v: d.ant, family: "claude-sonnet-4-5"},
		{v: d.gem, family: "gemini-3-pro-preview"},
	} {
		c.d, c.client = d, d.g.sdk()
		for name, run := range cases {
			t.Run(c.v.provider+": "+name, func(t *testing.T) {
				t.Parallel()
				run(t, c)
			})
		}
	}
}

func chatWhole(t *testing.T, c chatCase) {
	model, seen := c.model(t, "whole", say("Grüß ", "Gott \u2028 & <b>\"\\\n🌍").says)
	var raw *http.Response
	got, err := c.client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: model,
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("Be brief."), openai.DeveloperMessage("Be kind."), openai.UserMessage("Say hello"),
			openai.AssistantMessage("Hello."), openai.UserMessage("In German"),
		},
		Temperature: openai.Float(0.25), MaxCompletionTokens: openai.Int(300),
		Stop: openai.ChatCompletionNewParamsStopUnion{OfStringArray: []string{"END", "STOP"}},
	}, option.WithResponseInto(&raw))
	if err != nil {
		t.Fatal(err)
	}
	choice := got.Choices[0]
	if choice.Message.Content != "Grüß Gott \u2028 & <b>\"\\\n🌍" || choice.FinishReason != "stop" || choice.Message.Role != "assistant" {
		t.Errorf("got %s", got.RawJSON())
	}
	if got.Model != model || got.Object != "chat.completion" || got.ID == "" || got.Created == 0 || len(choice.Message.ToolCalls) != 0 {
		t.Errorf("got %s", got.RawJSON())
	}
	c.wantUsage(t, got.Usage)
	wantAdjusted(t, raw.Header)
	if raw.Header.Get("Runestone-Provider") != c.v.provider || raw.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", raw.Header)
	}
	if c.v == c.d.ant {
		seen.want(0, "max_tokens", `300`)
		seen.want(0, "temperature", `0.25`)
		seen.want(0, "stop_sequences", `["END","STOP"]`)
	} else {
		seen.want(0, "generationConfig.maxOutputTokens", `300`)
		seen.want(0, "generationConfig.temperature", `0.25`)
		seen.want(0, "generationConfig.stopSequences", `["END","STOP"]`)
	}
}

func chatCut(t *testing.T, c chatCase) {
	model, _ := c.model(t, "cut", reply{text: []string{"Once upon"}, cut: true}.says)
	got, err := c.client.Chat.Completions.New(t.Context(), ask(model))
	if err != nil || got.Choices[0].FinishReason != "length" || got.Choices[0].Message.Content != "Once upon" {
		t.Errorf("got %v, error %v", got, err)
	}
	acc := wantAccumulated(t, t.Context(), c.client, ask(model))
	if acc.Choices[0].FinishReason != "length" {
		t.Errorf("the stream is finished by %q", acc.Choices[0].FinishReason)
	}
}

func chatStreamed(t *testing.T, c chatCase) {
	model, seen := c.model(t, "stream", say("Hel", "lo", " wörld 🌍", "\u2028\n\"quoted\"").says)
	acc := wantAccumulated(t, t.Context(), c.client, ask(model))
	if got := acc.Choices[0]; got.Message.Content != "Hello wörld 🌍\u2028\n\"quoted\"" || got.FinishReason != "stop" || got.Message.Role != "assistant" {
		t.Errorf("got %q, finished by %q", got.Message.Content, got.FinishReason)
	}
	if acc.Usage.TotalTokens != 0 {
		t.Error("the client got a usage chunk that it had not asked for")
	}
	if _, x := seen.request(0); x.Req.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("the vendor may compress: %q", x.Req.Header.Get("Accept-Encoding"))
	}
	// The bytes: constant id and created, [DONE] at the end.
	a := c.d.g.post(t, chatPath, streamBody(model))
	if !strings.HasSuffix(a.Body, "\n\n"+doneEvent) || a.Header.Get("Content-Type") != "text/event-stream" || a.Err != nil {
		t.Errorf("the stream ends in %q, Content-Type %q, error %v", tailOf(a.Body), a.Header.Get("Content-Type"), a.Err)
	}
	var head string
	for line := range strings.Lines(a.Body) {
		data, ok := strings.CutPrefix(line, "data: {")
		if !ok {
			continue
		}
		start, _, _ := strings.Cut(data, `"choices"`)
		if head == "" {
			head = start
		}
		if start != head {
			t.Errorf("a chunk begins with %q, another with %q", start, head)
		}
	}
}

func tailOf(s string) string { return s[max(0, len(s)-300):] }

func chatStreamedUsage(t *testing.T, c chatCase) {
	model, _ := c.model(t, "stream-usage", say("Hello").says)
	params := ask(model)
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	acc := wantAccumulated(t, t.Context(), c.client, params)
	c.wantUsage(t, acc.Usage)
}

// wantedTools are two tools and a request that has them called at once.
func wantedTools(model string) openai.ChatCompletionNewParams {
	params := ask(model)
	params.Tools = []openai.ChatCompletionToolUnionParam{weatherTool(), openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "now"})}
	return params
}

// exact has a number that no float64 can hold, in an order and with spaces that no map keeps.
const exact = `{"zone":"A","location":"Paris","id":12345678901234567890,"price":1.10}`

var bothTools = reply{text: []string{"Let me see."}, calls: []toolUse{
	{"toolu_01A09q90qw90lq917835lq9", "get_weather", exact}, {"toolu_01B", "get_weather", `{"location":"Oslo"}`}, {"toolu_01C", "now", `{}`},
}}

// checkCalls compares what the client got to bothTools and returns the results for it.
func checkCalls(t *testing.T, choice openai.ChatCompletionChoice) (results []openai.ChatCompletionMessageParamUnion) {
	t.Helper()
	got := choice.Message.ToolCalls
	if len(got) != len(bothTools.calls) || choice.FinishReason != "tool_calls" {
		t.Fatalf("%d calls, finished by %q", len(got), choice.FinishReason)
	}
	ids := map[string]bool{}
	for i, want := range bothTools.calls {
		if got[i].Function.Name != want.name || got[i].Function.Arguments != want.input || got[i].Type != "function" {
			t.Errorf("call %d: %+v, want %+v", i, got[i].Function, want)
		}
		if ids[got[i].ID] || got[i].ID == "" {
			t.Errorf("call %d has the ID %q", i, got[i].ID)
		}
		ids[got[i].ID] = true
		results = append(results, openai.ToolMessage([]string{`{"celsius":7}`, "cold", ""}[i], got[i].ID))
	}
	return results
}

func chatTools(t *testing.T, c chatCase) {
	model, seen := c.model(t, "tools", bothTools.says, say("Warm and cold.").says)
	params := wantedTools(model)
	first, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if first.Choices[0].Message.Content != "Let me see." {
		t.Errorf("content %q", first.Choices[0].Message.Content)
	}
	params.Messages = append(params.Messages, first.Choices[0].Message.ToParam())
	params.Messages = append(params.Messages, checkCalls(t, first.Choices[0])...)
	params.Messages = append(params.Messages, openai.UserMessage("Well?"))
	second, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil || second.Choices[0].Message.Content != "Warm and cold." {
		t.Fatalf("got %v, error %v", second, err)
	}
	c.wantResults(t, seen)
}

// wantResults looks at the second request of a loop.
func (c chatCase) wantResults(t *testing.T, seen *offer) {
	t.Helper()
	body, x := seen.request(1)
	if !strings.Contains(string(x.Body), exact) {
		t.Errorf("the input of the call is not what it was: %s", x.Body)
	}
	if c.v == c.d.ant {
		seen.want(1, "messages.1.content.1.id", `"toolu_01A09q90qw90lq917835lq9"`)
		seen.want(1, "messages.2.content.1.tool_use_id", `"toolu_01B"`)
		return
	}
	for i, want := range []string{"get_weather", "get_weather", "now"} {
		if got := at(body, "contents.2.parts").([]any)[i]; at(got, "functionResponse.name") != want {
			t.Errorf("result %d is %v", i, got)
		}
	}
}

func chatToolsStreamed(t *testing.T, c chatCase) {
	model, seen := c.model(t, "tools-stream", bothTools.says, say("Warm", " and cold.").says)
	params := wantedTools(model)
	acc := wantAccumulated(t, t.Context(), c.client, params)
	params.Messages = append(params.Messages, acc.Choices[0].Message.ToParam())
	params.Messages = append(params.Messages, checkCalls(t, acc.Choices[0])...)
	if acc = wantAccumulated(t, t.Context(), c.client, params); acc.Choices[0].Message.Content != "Warm and cold." {
		t.Errorf("got %q", acc.Choices[0].Message.Content)
	}
	c.wantResults(t, seen)
}

func chatToolWithoutInput(t *testing.T, c chatCase) {
	model, _ := c.model(t, "no-input", reply{calls: []toolUse{{"toolu_1", "now", "{}"}}}.says)
	got, err := c.client.Chat.Completions.New(t.Context(), wantedTools(model))
	if err != nil {
		t.Fatal(err)
	}
	if call := got.Choices[0].Message.ToolCalls[0]; call.Function.Arguments != "{}" || !strings.Contains(got.RawJSON(), `"content":null`) {
		t.Errorf("got %s", got.RawJSON())
	}
	acc := wantAccumulated(t, t.Context(), c.client, wantedTools(model))
	if call := acc.Choices[0].Message.ToolCalls[0]; call.Function.Arguments != "{}" || call.Function.Name != "now" {
		t.Errorf("the stream has %+v", call)
	}
}

func chatToolChoice(t *testing.T, c chatCase) {
	model, seen := c.model(t, "choice", reply{calls: []toolUse{{"toolu_1", "now", "{}"}}}.says)
	for i, choice := range []string{"required", "none", "now", "auto"} {
		params := wantedTools(model)
		if c.v == c.d.ant {
			params.ParallelToolCalls = openai.Bool(false)
		}
		if choice == "now" {
			params.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: choice})
		} else {
			params.ToolChoice.OfAuto = openai.String(choice)
		}
		if _, err := c.client.Chat.Completions.New(t.Context(), params); err != nil {
			t.Fatal(explain(err))
		}
		if c.v == c.d.ant {
			seen.want(i, "tool_choice", []string{`{"type":"any","disable_parallel_tool_use":true}`, `{"type":"none"}`, `{"type":"tool","name":"now","disable_parallel_tool_use":true}`, `{"type":"auto","disable_parallel_tool_use":true}`}[i])
		} else {
			seen.want(i, "toolConfig.functionCallingConfig.mode", []string{`"ANY"`, `"NONE"`, `"ANY"`, `"AUTO"`}[i])
		}
	}
}
