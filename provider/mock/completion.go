package mock

import (
	"encoding/json"
	"strconv"
	"time"
)

// completion is a call of the older endpoint, completions.
type completion struct {
	Model         string          `json:"model"`
	Prompt        inputs          `json:"prompt"`
	Stream        bool            `json:"stream"`
	StreamOptions streamOptions   `json:"stream_options"`
	MaxTokens     *int            `json:"max_tokens"`
	N             *int            `json:"n"`
	Stop          stopSequences   `json:"stop"`
	Seed          json.RawMessage `json:"seed"`
}

func (c *completion) prompt() (*prompt, error) {
	q, err := newPrompt(c.Model)
	if err != nil {
		return nil, err
	}
	for _, in := range c.Prompt {
		q.count("prompt", in.text, in.tokens)
		q.asked = append(q.asked, in.text)
	}
	if q.asked == nil {
		q.asked = []string{""} // a prompt may be left out
	}
	q.count("seed", string(c.Seed), 0)
	q.stream, q.stop = c.Stream, c.Stop
	q.n, q.limit = valueOr(c.N, 1), c.MaxTokens
	return q, q.checkCounts("max_tokens")
}

type textCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []textChoice `json:"choices"`
	Usage             usage        `json:"usage"`
	SystemFingerprint string       `json:"system_fingerprint"`
}

type textChoice struct {
	Text         string    `json:"text"`
	Index        int       `json:"index"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

func completionID(q *prompt) string { return q.random(idOfAnswer).id("cmpl-", 29) }

func (c *completion) whole(q *prompt, replies []reply) any {
	answer := textCompletion{
		ID:                completionID(q),
		Object:            "text_completion",
		Created:           time.Now().Unix(),
		Model:             q.model,
		Usage:             newUsage(q, replies),
		SystemFingerprint: fingerprint,
	}
	for i, r := range replies {
		answer.Choices = append(answer.Choices, textChoice{Text: r.text, Index: i, FinishReason: r.finish})
	}
	return answer
}

// completionScript writes a completion as it is streamed.
type completionScript struct {
	chunks
	replies []reply // with the text that is left to say
}

func (c *completion) script(q *prompt, replies []reply) script {
	start := `"id":"` + completionID(q) + `","object":"text_completion"`
	return &completionScript{newChunks(q, replies, start, c.StreamOptions.IncludeUsage), replies}
}

func (s *completionScript) begin(dst []byte) []byte { return dst }

func (s *completionScript) word(dst []byte) []byte {
	for i := range s.replies {
		if r := &s.replies[i]; r.text != "" {
			var word string
			word, r.text = cutWord(r.text)
			dst = s.choice(dst, i, word, "")
		}
	}
	return dst
}

func (s *completionScript) end(dst []byte) []byte {
	for i, r := range s.replies {
		dst = s.choice(dst, i, "", r.finish)
	}
	return s.done(dst)
}

func (s *completionScript) choice(dst []byte, index int, text, finish string) []byte {
	dst = append(dst, s.head...)
	dst = append(dst, `{"text":`...)
	dst = appendQuoted(dst, text)
	dst = append(dst, `,"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"logprobs":null,"finish_reason":`...)
	dst = appendQuotedOrNull(dst, finish)
	dst = append(dst, '}')
	return append(dst, s.tail...)
}

func (c *completion) errorEvent(f *failure) []byte { return chunkError(f) }

var _ streamer = (*completion)(nil)
