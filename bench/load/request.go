package load

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/runestone-gateway/runestone/bench/wire"
)

// largestMessage splits long prompts into a conversation, which is how they
// come about.
const largestMessage = 5 << 10

// passage has what real prompts have and a JSON scanner must step over: line
// ends, quotes and letters outside ASCII.
const passage = "Summarise the \"annual report\" for the board.\n" +
	"- Umsätze in München: 12,5 % über Plan\n- café, naïve, 東京\n" +
	"The figures below are provisional; do not quote them outside the company.\n"

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// newRequest returns the bytes of a request, head and body. Fields and header
// are those of openai-python, which puts "messages" before "model".
func newRequest(plan *Plan, streamed bool) ([]byte, error) {
	type options struct {
		IncludeUsage bool `json:"include_usage"`
	}
	request := struct {
		Messages      []message `json:"messages"`
		Model         string    `json:"model"`
		MaxTokens     int       `json:"max_tokens"`
		Stream        bool      `json:"stream,omitempty"`
		StreamOptions *options  `json:"stream_options,omitempty"`
		Temperature   float64   `json:"temperature"`
	}{
		Messages:    conversation(plan.PromptBytes),
		Model:       wire.Model,
		MaxTokens:   512,
		Stream:      streamed,
		Temperature: 0.7,
	}
	if streamed && plan.IncludeUsage {
		request.StreamOptions = &options{IncludeUsage: true}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\n"+
		"Host: %s\r\n"+
		"Accept: application/json\r\n"+
		"Accept-Encoding: gzip, deflate\r\n"+
		"Content-Type: application/json\r\n"+
		"User-Agent: OpenAI/Python 2.8.0\r\n"+
		"X-Stainless-Lang: python\r\n"+
		"X-Stainless-Package-Version: 2.8.0\r\n"+
		"X-Stainless-Os: Linux\r\n"+
		"X-Stainless-Runtime: CPython\r\n"+
		"X-Stainless-Retry-Count: 0\r\n"+
		"Authorization: Bearer sk-client-0123456789abcdef0123456789abcdef\r\n"+
		"Content-Length: %d\r\n\r\n%s", wire.Path, plan.Addr, len(body), body), nil
}

// conversation returns messages whose contents are size bytes together.
func conversation(size int) []message {
	text := strings.Repeat(passage, size/len(passage)+1)
	text = strings.ToValidUTF8(text[:max(0, size-len(wire.PromptEnd))], "?") + wire.PromptEnd
	messages := make([]message, 0, size/largestMessage+1)
	for len(text) > largestMessage {
		cut := largestMessage
		for text[cut]&0xC0 == 0x80 { // not inside a letter
			cut--
		}
		role := "user"
		if len(messages)%2 == 1 {
			role = "assistant"
		}
		messages = append(messages, message{Role: role, Content: text[:cut]})
		text = text[cut:]
	}
	return append(messages, message{Role: "user", Content: text})
}
