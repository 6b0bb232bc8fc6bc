package mock

import (
	"cmp"
	"encoding/json"
	"time"
)

// chat is a call of chat/completions.
type chat struct {
	Model               string          `json:"model"`
	Messages            []chatMessage   `json:"messages"`
	Stream              bool            `json:"stream"`
	StreamOptions       streamOptions   `json:"stream_options"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	N                   *int            `json:"n"`
	Stop                stopSequences   `json:"stop"`
	Seed                json.RawMessage `json:"seed"`
	ResponseFormat      format          `json:"response_format"`
	Tools               []tool          `json:"tools"`
	ToolChoice          toolChoice      `json:"tool_choice"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
}

type chatMessage struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

func (c *chat) prompt() (*prompt, error) {
	q, err := newPrompt(c.Model)
	if err != nil {
		return nil, err
	}
	if len(c.Messages) == 0 {
		return nil, refuse("messages", "Missing required parameter: 'messages'.")
	}
	q.asked = []string{""} // there is a reply even if no user said anything
	for _, m := range c.Messages {
		q.hear(m.Role, string(m.Content))
	}
	q.count("seed", string(c.Seed), 0)
	q.stream, q.stop, q.format = c.Stream, c.Stop, c.ResponseFormat
	q.n, q.limit = valueOr(c.N, 1), cmp.Or(c.MaxCompletionTokens, c.MaxTokens)
	if q.tools, err = newToolbox(c.Tools, c.ToolChoice, c.ParallelToolCalls); err != nil {
		return nil, err
	}
	return q, q.checkCounts("max_completion_tokens")
}

func valueOr[T any](p *T, missing T) T {
	if p == nil {
		return missing
	}
	return *p
}

// chatCompletion is the answer of chat/completions that is not streamed.
type chatCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []chatChoice `json:"choices"`
	Usage             usage        `json:"usage"`
	ServiceTier       string       `json:"service_tier"`
	SystemFingerprint string       `json:"system_fingerprint"`
}

type chatChoice struct {
	Index        int       `json:"index"`
	Message      chatReply `json:"message"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

type chatReply struct {
	Role        string         `json:"role"`
	Content     *string        `json:"content"`
	ToolCalls   []chatToolCall `json:"tool_calls,omitempty"`
	Refusal     *string        `json:"refusal"`
	Annotations []struct{}     `json:"annotations"`
}

type chatToolCall struct {
	ID       string           `json:"id"`
	Type     string           `json:"type"`
	Function chatFunctionCall `json:"function"`
}

type chatFunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// usage counts the tokens of a chat or a completion.
type usage struct {
	PromptTokens            int               `json:"prompt_tokens"`
	CompletionTokens        int               `json:"completion_tokens"`
	TotalTokens             int               `json:"total_tokens"`
	PromptTokensDetails     promptDetails     `json:"prompt_tokens_details"`
	CompletionTokensDetails completionDetails `json:"completion_tokens_details"`
}

type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
	AudioTokens  int `json:"audio_tokens"`
}

type completionDetails struct {
	ReasoningTokens          int `json:"reasoning_tokens"`
	AudioTokens              int `json:"audio_tokens"`
	AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
	RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
}

func newUsage(q *prompt, replies []reply) usage {
	spoken, _ := totalTokens(replies)
	return usage{PromptTokens: q.words, CompletionTokens: spoken, TotalTokens: q.words + spoken}
}

const (
	fingerprint = "fp_runestone_mock"
	idOfAnswer  = -1 // apart from the replies, which are numbered from 0
)

func chatID(q *prompt) string { return q.random(idOfAnswer).id("chatcmpl-", 29) }

func (c *chat) whole(q *prompt, replies []reply) any {
	answer := chatCompletion{
		ID:                chatID(q),
		Object:            "chat.completion",
		Created:           time.Now().Unix(),
		Model:             q.model,
		Usage:             newUsage(q, replies),
		ServiceTier:       "default",
		SystemFingerprint: fingerprint,
	}
	for i, r := range replies {
		message := chatReply{Role: "assistant", Annotations: []struct{}{}}
		if r.calls == nil {
			message.Content = &r.text
		}
		for _, call := range r.calls {
			message.ToolCalls = append(message.ToolCalls, chatToolCall{
				ID:       call.id,
				Type:     "function",
				Function: chatFunctionCall{Name: call.name, Arguments: call.arguments},
			})
		}
		answer.Choices = append(answer.Choices, chatChoice{Index: i, Message: message, FinishReason: r.finish})
	}
	return answer
}
