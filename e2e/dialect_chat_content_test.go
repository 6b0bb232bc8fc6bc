package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
)

func chatImages(t *testing.T, c chatCase) {
	model, seen := c.model(t, "images", say("Two cats.").says)
	data := base64.StdEncoding.EncodeToString(noise(50_000))
	params := ask(model)
	params.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
		openai.TextContentPart("What is this?"),
		openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "https://example.com/cat.png?size=1", Detail: "low"}),
		openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + data}),
	})}
	got, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil || got.Choices[0].Message.Content != "Two cats." {
		t.Fatalf("got %v, error %v", got, err)
	}
	if c.v == c.d.ant {
		seen.want(0, "messages.0.content.1", `{"type":"image","source":{"type":"url","url":"https://example.com/cat.png?size=1"}}`)
		seen.want(0, "messages.0.content.2.source", `{"type":"base64","media_type":"image/png","data":"`+data+`"}`)
	} else {
		seen.want(0, "contents.0.parts.1.fileData.fileUri", `"https://example.com/cat.png?size=1"`)
		seen.want(0, "contents.0.parts.2.inlineData", `{"mimeType":"image/png","data":"`+data+`"}`)
	}
}

func chatPDF(t *testing.T, c chatCase) {
	model, seen := c.model(t, "pdf", say("A contract.").says)
	data := base64.StdEncoding.EncodeToString(noise(10_000))
	params := ask(model)
	params.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
		openai.FileContentPart(openai.ChatCompletionContentPartFileFileParam{
			FileData: openai.String("data:application/pdf;base64," + data), Filename: openai.String("contract.pdf"),
		}),
		openai.TextContentPart("What is this?"),
	})}
	got, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil || got.Choices[0].Message.Content != "A contract." {
		t.Fatalf("got %v, error %v", got, err)
	}
	if c.v == c.d.ant {
		seen.want(0, "messages.0.content.0.source", `{"type":"base64","media_type":"application/pdf","data":"`+data+`"}`)
	} else {
		seen.want(0, "contents.0.parts.0.inlineData", `{"mimeType":"application/pdf","data":"`+data+`"}`)
	}
}

func chatSchema(t *testing.T, c chatCase) {
	const answer = `{"name": "Ada", "age": 36}`
	model, _ := c.model(t, "schema", say(answer[:10], answer[10:]).says)
	params := ask(model)
	params.ResponseFormat.OfJSONSchema = &openai.ResponseFormatJSONSchemaParam{JSONSchema: openai.ResponseFormatJSONSchemaJSONSchemaParam{
		Name: "person", Strict: openai.Bool(true),
		Schema: json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","maxLength":40},"age":{"type":"integer","minimum":0},"mail":{"type":["string","null"]}},"required":["name","age","mail"],"additionalProperties":false}`),
	}}
	got, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil || got.Choices[0].Message.Content != answer || got.Choices[0].FinishReason != "stop" {
		t.Errorf("got %v, error %v", got, err)
	}
	if acc := wantAccumulated(t, t.Context(), c.client, params); acc.Choices[0].Message.Content != answer || acc.Choices[0].FinishReason != "stop" {
		t.Errorf("the stream has %+v", acc.Choices[0])
	}
}

// thinks is a reply that thinks, and then calls a tool.
var thinks = reply{thinking: "The user wants the weather. I shall call the tool.", text: []string{"Let me see."}, calls: []toolUse{{"toolu_9", "get_weather", `{"location":"Oslo"}`}}}

func withEffort(model string) openai.ChatCompletionNewParams {
	params := wantedTools(model)
	params.ReasoningEffort = openai.ReasoningEffortHigh
	return params
}

// replay is a message of an answer, as it was written, for the next request.
func replay(raw string) openai.ChatCompletionMessageParamUnion {
	message := param.Override[openai.ChatCompletionAssistantMessageParam](json.RawMessage(raw))
	return openai.ChatCompletionMessageParamUnion{OfAssistant: &message}
}

func chatThinking(t *testing.T, c chatCase) {
	model, seen := c.model(t, "thinking", thinks.says, say("Cold.").says)
	params := withEffort(model)
	first, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	message := first.Choices[0].Message
	if got := message.JSON.ExtraFields["reasoning_content"].Raw(); got != quote(thinks.thinking) {
		t.Errorf("reasoning_content is %s", got)
	}
	params.Messages = append(params.Messages, replay(message.RawJSON()), openai.ToolMessage("-7", message.ToolCalls[0].ID))
	if _, err := c.client.Chat.Completions.New(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	c.wantThinkingBack(t, seen)
}

// wantThinkingBack looks at the second request for what the vendor has signed.
func (c chatCase) wantThinkingBack(t *testing.T, seen *offer) {
	t.Helper()
	if c.v == c.d.ant {
		seen.want(0, "thinking.type", `"enabled"`)
		seen.want(1, "thinking.type", `"enabled"`)
		seen.want(1, "messages.1.content.0", `{"type":"thinking","thinking":`+quote(thinks.thinking)+`,"signature":"`+signature("anthropic", thinks.thinking)+`"}`)
		return
	}
	seen.want(0, "generationConfig.thinkingConfig", `{"thinkingLevel":"high","includeThoughts":true}`)
	parts, _ := seen.request(1)
	raw, _ := json.Marshal(at(parts, "contents.1.parts"))
	if !strings.Contains(string(raw), signature("gemini", "get_weather")) {
		t.Errorf("the signature has not come back: %s", raw)
	}
}

// chatThinkingStreamed puts the message together from the chunks, as a client that knows of the
// extensions does.
func chatThinkingStreamed(t *testing.T, c chatCase) {
	model, seen := c.model(t, "thinking-stream", thinks.says, say("Cold.").says)
	params := withEffort(model)
	stream := c.client.Chat.Completions.NewStreaming(t.Context(), params)
	var acc openai.ChatCompletionAccumulator
	var thought, extra string
	var blocks []map[string]any
	for stream.Next() {
		acc.AddChunk(stream.Current())
		if len(stream.Current().Choices) == 0 {
			continue
		}
		var delta struct {
			ReasoningContent string           `json:"reasoning_content"`
			ThinkingBlocks   []map[string]any `json:"thinking_blocks"`
			ToolCalls        []struct {
				ExtraContent json.RawMessage `json:"extra_content"`
			} `json:"tool_calls"`
		}
		if err := json.Unmarshal([]byte(stream.Current().Choices[0].Delta.RawJSON()), &delta); err != nil {
			t.Fatal(err)
		}
		thought += delta.ReasoningContent
		blocks = append(blocks, delta.ThinkingBlocks...)
		for _, call := range delta.ToolCalls {
			if len(call.ExtraContent) > 0 {
				extra = `,"extra_content":` + string(call.ExtraContent)
			}
		}
	}
	if stream.Err() != nil || thought != thinks.thinking {
		t.Fatalf("reasoning_content is %q, error %v", thought, stream.Err())
	}
	joined := map[string]any{"type": "thinking", "thinking": thought}
	for _, b := range blocks {
		if s, ok := b["signature"]; ok && s != "" {
			joined["signature"] = s
		}
	}
	raw, _ := json.Marshal([]any{joined})
	call := acc.Choices[0].Message.ToolCalls[0]
	params.Messages = append(params.Messages,
		replay(`{"role":"assistant","content":"Let me see.","thinking_blocks":`+string(raw)+`,"tool_calls":[{"id":`+quote(call.ID)+`,"type":"function","function":{"name":"get_weather","arguments":`+quote(call.Function.Arguments)+`}`+extra+`}]}`),
		openai.ToolMessage("-7", call.ID))
	wantAccumulated(t, t.Context(), c.client, params)
	c.wantThinkingBack(t, seen)
}

// chatThinkingDropped is the official client as it is: it forgets what it does not know.
func chatThinkingDropped(t *testing.T, c chatCase) {
	model, _ := c.model(t, "thinking-dropped", thinks.says, say("Cold.").says)
	params := withEffort(model)
	first, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	message := first.Choices[0].Message
	params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("-7", message.ToolCalls[0].ID))
	second, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil || second.Choices[0].Message.Content != "Cold." {
		t.Errorf("got %v, error %v", second, err)
	}
}

// chatForeign has IDs of calls, reasoning and names that only the other vendor would have made.
func chatForeign(t *testing.T, c chatCase) {
	model, _ := c.model(t, "foreign", say("Yes.").says)
	params := wantedTools(model)
	params.Messages = append(params.Messages,
		replay(`{"role":"assistant","content":null,"reasoning_content":"Hm.","refusal":null,"annotations":[],"tool_calls":[{"id":"call_1:get/weather.0","type":"function","function":{"name":"get_weather","arguments":"{\"location\":\"Oslo\"}"}}]}`),
		openai.ToolMessage("-7", "call_1:get/weather.0"), openai.UserMessage("Is it cold?"))
	if got, err := c.client.Chat.Completions.New(t.Context(), params); err != nil || got.Choices[0].Message.Content != "Yes." {
		t.Errorf("got %v, error %v", got, err)
	}
}

// chatOdd is all that OpenAI takes and others do not: empty texts, turns that do not alternate, a system message
// in the midst, arguments that are empty, results before and after words of the user.
func chatOdd(t *testing.T, c chatCase) {
	model, _ := c.model(t, "odd", say("Well.").says)
	a := c.d.g.post(t, chatPath, `{"model":"`+model+`","tools":[{"type":"function","function":{"name":"now"}},{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object"}}}],"messages":[
		{"role":"system","content":""},{"role":"developer","content":[{"type":"text","text":"Be brief."},{"type":"text","text":""}]},
		{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"What is the time?"}],"name":"ada"},
		{"role":"user","content":"Now!"},
		{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"now","arguments":""}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]},
		{"role":"tool","tool_call_id":"a","content":""},
		{"role":"system","content":"The user is in a hurry."},
		{"role":"user","content":"So?"},
		{"role":"assistant","content":""},
		{"role":"assistant","content":[{"type":"text","text":"Noon."}]},
		{"role":"user","content":"Thanks. And now?"}]}`)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.Body, `"Well."`) {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
}

func chatAdjusted(t *testing.T, c chatCase) {
	model, seen := c.model(t, "adjusted", say("Yes.").says)
	var raw *http.Response
	params := ask(model)
	params.LogitBias = map[string]int64{"1": 5}
	params.Store = openai.Bool(true)
	if c.v == c.d.ant {
		params.Seed, params.PresencePenalty, params.Temperature = openai.Int(7), openai.Float(0.5), openai.Float(1.5)
		params.TopP = openai.Float(0.9)
	}
	if _, err := c.client.Chat.Completions.New(t.Context(), params, option.WithResponseInto(&raw)); err != nil {
		t.Fatal(err)
	}
	if c.v == c.d.ant {
		wantAdjusted(t, raw.Header, "seed", "presence_penalty", "logit_bias", "temperature", "top_p", "store")
		seen.want(0, "temperature", `1`)
	} else {
		wantAdjusted(t, raw.Header, "logit_bias", "store")
	}
}

func chatUnsupported(t *testing.T, c chatCase) {
	model, seen := c.model(t, "unsupported", say("Yes.").says)
	cases := map[string]string{
		"messages[0].content[0]": `{"model":"` + model + `","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"aGk=","format":"wav"}}]}]}`,
	}
	if c.v == c.d.ant {
		cases["n"] = chatBody(model, `,"n":2`)
		cases["logprobs"] = chatBody(model, `,"logprobs":true`)
	} else {
		cases = map[string]string{"seed": chatBody(model, `,"seed":5000000000`)}
	}
	for param, body := range cases {
		var got openai.ChatCompletion
		err := c.client.Post(t.Context(), "chat/completions", json.RawMessage(body), &got)
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != 400 || !strings.HasPrefix(e.Param, param) || e.Type != "invalid_request_error" {
			t.Errorf("%s: error %v", param, err)
		}
	}
	if seen.count() != 0 {
		t.Error("the vendor was asked")
	}
}
