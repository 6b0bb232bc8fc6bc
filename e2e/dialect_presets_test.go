package e2e

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
)

// newMistral is OpenAI's dialect as api.mistral.ai has it: IDs of calls are nine letters and digits, "required" is
// "any", and parameters that are not its own are a 422.
func newMistral(t testing.TB) *vendor {
	v := newOpenAI(t)
	v.provider = "mist"
	nine := regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)
	v.inspect = func(_ *exchange, i *inspection) {
		i.members("", i.body, "!model !messages max_tokens temperature top_p stop stream tools tool_choice parallel_tool_calls response_format n random_seed frequency_penalty presence_penalty prediction")
		i.check(i.body["tool_choice"] != "required", "tool_choice", "Input should be 'auto', 'none' or 'any'")
		for n, m := range i.list("messages", i.body["messages"]) {
			path := join("messages", n)
			i.oneOf(path, m, "role", "system user assistant tool")
			for _, call := range i.list(path, m["tool_calls"]) {
				i.matches(path, i.text(path, call, "id"), nine)
			}
			if m["role"] == "tool" {
				i.matches(path, i.text(path, m, "tool_call_id"), nine)
			}
		}
	}
	return v
}

// newDeepSeek is OpenAI's dialect as api.deepseek.com has it: what was thought before a call has to come back.
func newDeepSeek(t testing.TB) *vendor {
	v := newOpenAI(t)
	v.provider = "seek"
	v.inspect = func(_ *exchange, i *inspection) {
		i.check(i.body["max_completion_tokens"] == nil, "max_completion_tokens", "is not known")
		for n, m := range i.list("messages", i.body["messages"]) {
			path := join("messages", n)
			i.oneOf(path, m, "role", "system user assistant tool")
			i.check(m["tool_calls"] == nil || m["reasoning_content"] == thinks.thinking, path, "Missing `reasoning_content` field in the assistant message: %v", m["reasoning_content"])
			i.check(m["thinking_blocks"] == nil, path, "thinking_blocks is not known")
		}
	}
	return v
}

// TestMessagesByPresets: servers that are almost OpenAI's get what they understand.
func TestMessagesByPresets(t *testing.T) {
	t.Parallel()
	mist, seek := newMistral(t), newDeepSeek(t)
	g := start(t, setup{App: fmt.Sprintf(`drain_timeout 2s
		provider mist mistral {
			base_url %s/v1
			api_key %s
		}
		provider seek deepseek {
			base_url %s/v1
			api_key %[2]s
		}
		%[4]s`, mist.up.URL(), upstreamKey, seek.up.URL(), steady)})
	for _, v := range []*vendor{mist, seek} {
		t.Run(v.provider+" for Anthropic's client", func(t *testing.T) {
			t.Parallel()
			seen := v.serve(t, "for-messages", thinks.says, say("Cold.").says)
			params := messageTools(v.provider + "/for-messages")
			params.Temperature, params.TopK, params.Metadata.UserID = anthropic.Float(0.5), anthropic.Int(40), anthropic.String("u1")
			params.ToolChoice.OfAny = &anthropic.ToolChoiceAnyParam{}
			got := accumulate(t, g.claude(), params)
			use := got.Content[len(got.Content)-1]
			params.Messages = append(params.Messages, got.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(use.ID, "-7", false)))
			if got := accumulate(t, g.claude(), params); got.Content[0].Text != "Cold." {
				t.Errorf("got %s", got.RawJSON())
			}
			if v == mist {
				seen.want(0, "tool_choice", `"any"`)
			}
		})
		t.Run(v.provider+" for OpenAI's client", func(t *testing.T) {
			t.Parallel()
			v.serve(t, "for-chat", thinks.says, say("Cold.").says)
			params := wantedTools(v.provider + "/for-chat")
			params.Messages = append([]openai.ChatCompletionMessageParamUnion{openai.DeveloperMessage("Be brief.")}, params.Messages...)
			params.MaxCompletionTokens = openai.Int(100)
			if v == mist {
				params.ToolChoice.OfAuto = openai.String("required")
			}
			got, err := g.sdk().Chat.Completions.New(t.Context(), params)
			if err != nil {
				t.Fatal(explain(err))
			}
			message := got.Choices[0].Message
			params.Messages = append(params.Messages, replay(message.RawJSON()), openai.ToolMessage("-7", message.ToolCalls[0].ID))
			if acc := wantAccumulated(t, t.Context(), g.sdk(), params); acc.Choices[0].Message.Content != "Cold." {
				t.Errorf("got %s", acc.Choices[0].Message.Content)
			}
		})
	}
}
