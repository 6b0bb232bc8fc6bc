package e2e

import (
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
)

func sdkChatStream(t *testing.T, up *upstream, client *openai.Client) {
	route := up.on("chat-stream", playSSE(
		chatEvents("chat-stream", "Hel", "lo", " wörld 🌍")+usageChunk("chat-stream", 9, 3), doneEvent))
	acc := wantAccumulated(t, t.Context(), client, ask("up/chat-stream"))
	if got := acc.Choices[0].Message.Content; got != "Hello wörld 🌍" || acc.Choices[0].FinishReason != "stop" {
		t.Errorf("got %q, finished by %q", got, acc.Choices[0].FinishReason)
	}
	if acc.Usage.TotalTokens != 0 {
		t.Error("the client got a usage chunk that it had not asked for")
	}
	if body := string(route.next(t).Body); !strings.Contains(body, `"include_usage":true`) {
		t.Errorf("the gateway did not ask the upstream for the usage: %s", body)
	}
}

func sdkChatStreamUsage(t *testing.T, up *upstream, client *openai.Client) {
	up.on("chat-usage", playSSE(chatEvents("chat-usage", "Hello"), usageChunk("chat-usage", 9, 3), doneEvent))
	params := ask("up/chat-usage")
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	acc := wantAccumulated(t, t.Context(), client, params)
	if acc.Usage.PromptTokens != 9 || acc.Usage.CompletionTokens != 3 {
		t.Errorf("usage %s", acc.Usage.RawJSON())
	}
}

func weatherTool() openai.ChatCompletionToolUnionParam {
	return openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name:        "get_weather",
		Description: openai.String("The weather in a place"),
		Parameters: openai.FunctionParameters{
			"type": "object", "required": []string{"location"},
			"properties": map[string]any{"location": map[string]any{"type": "string"}},
		},
	})
}

func sdkTools(t *testing.T, up *upstream, client *openai.Client) {
	up.on("tools", playJSON(200, `{"id":"chatcmpl-T","object":"chat.completion","created":1764000000,"model":"tools","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{\"location\":\"Paris\"}"}},{"id":"call_b","type":"function","function":{"name":"get_weather","arguments":"{\"location\":\"Oslo\"}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":30,"completion_tokens":20,"total_tokens":50}}`))
	params := ask("up/tools")
	params.Tools = []openai.ChatCompletionToolUnionParam{weatherTool()}
	got, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	wantWeatherCalls(t, got.Choices[0])
}

func sdkToolsStream(t *testing.T, up *upstream, client *openai.Client) {
	call := func(delta string) string { return chunk("tools-stream", `{"tool_calls":[`+delta+`]}`, "") }
	up.on("tools-stream", playSSE(
		chunk("tools-stream", `{"role":"assistant","content":null}`, ""),
		call(`{"index":0,"id":"call_a","type":"function","function":{"name":"get_weather","arguments":""}}`),
		call(`{"index":0,"function":{"arguments":"{\"locat"}}`),
		call(`{"index":0,"function":{"arguments":"ion\":\"Paris\"}"}}`),
		call(`{"index":1,"id":"call_b","type":"function","function":{"name":"get_weather","arguments":""}}`),
		call(`{"index":1,"function":{"arguments":"{\"location\":\"Oslo\"}"}}`),
		chunk("tools-stream", `{}`, "tool_calls"), usageChunk("tools-stream", 30, 20), doneEvent))
	params := ask("up/tools-stream")
	params.Tools = []openai.ChatCompletionToolUnionParam{weatherTool()}
	acc := wantAccumulated(t, t.Context(), client, params)
	wantWeatherCalls(t, acc.Choices[0])
}

func wantWeatherCalls(t *testing.T, choice openai.ChatCompletionChoice) {
	t.Helper()
	calls := choice.Message.ToolCalls
	if len(calls) != 2 || choice.FinishReason != "tool_calls" {
		t.Fatalf("%d calls, finished by %q", len(calls), choice.FinishReason)
	}
	for i, place := range []string{"Paris", "Oslo"} {
		if calls[i].Function.Name != "get_weather" || calls[i].Function.Arguments != `{"location":"`+place+`"}` {
			t.Errorf("call %d: %+v", i, calls[i].Function)
		}
	}
	if calls[0].ID != "call_a" || calls[1].ID != "call_b" {
		t.Errorf("ids %q and %q", calls[0].ID, calls[1].ID)
	}
}

func sdkToolResult(t *testing.T, up *upstream, client *openai.Client) {
	route := up.on("tools-second", playJSON(200, chatJSON("tools-second", "Cold.")))
	params := ask("up/tools-second")
	params.Messages = append(params.Messages,
		openai.ChatCompletionMessageParamUnion{OfAssistant: &openai.ChatCompletionAssistantMessageParam{
			ToolCalls: []openai.ChatCompletionMessageToolCallUnionParam{{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
				ID:       "call_a",
				Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "get_weather", Arguments: `{"location":"Oslo"}`},
			}}},
		}},
		openai.ToolMessage(`{"celsius":-7}`, "call_a"))
	if _, err := client.Chat.Completions.New(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	params.Model = "tools-second"
	want, err := params.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(route.next(t).Body); !jsonEqual(got, string(want)) {
		t.Errorf("the upstream got\n%s\nand not\n%s", got, want)
	}
}
