package mock

import "strconv"

// chatScript writes a chat as it is streamed. The choices are spoken side by
// side: one step is a word of each.
type chatScript struct {
	chunks
	choices []chatVoice
}

// chatVoice is what one choice has yet to say.
type chatVoice struct {
	text   string
	parts  []callPart
	finish string
}

// callPart is one delta of a tool call: its announcement, or some arguments.
type callPart struct {
	index     int
	announces *toolCall // nil for arguments
	arguments string
}

func (c *chat) script(q *prompt, replies []reply) script {
	start := `"id":"` + chatID(q) + `","object":"chat.completion.chunk","service_tier":"default"`
	s := &chatScript{chunks: newChunks(q, replies, start, c.StreamOptions.IncludeUsage)}
	for _, r := range replies {
		s.choices = append(s.choices, chatVoice{text: r.text, parts: callParts(r.calls), finish: r.finish})
	}
	return s
}

func callParts(calls []toolCall) (parts []callPart) {
	for i := range calls {
		parts = append(parts, callPart{index: i, announces: &calls[i]})
		for _, piece := range calls[i].pieces {
			parts = append(parts, callPart{index: i, arguments: piece})
		}
	}
	return parts
}

func (s *chatScript) begin(dst []byte) []byte {
	for i := range s.choices {
		content := `""`
		if s.choices[i].parts != nil {
			content = "null"
		}
		dst = s.openDelta(dst, i)
		dst = append(dst, `"role":"assistant","content":`+content+`,"refusal":null`...)
		dst = s.closeDelta(dst, "")
	}
	return dst
}

func (s *chatScript) word(dst []byte) []byte {
	for i := range s.choices {
		c := &s.choices[i]
		switch {
		case c.text != "":
			var word string
			word, c.text = cutWord(c.text)
			dst = s.openDelta(dst, i)
			dst = append(dst, `"content":`...)
			dst = appendQuoted(dst, word)
			dst = s.closeDelta(dst, "")
		case len(c.parts) > 0:
			dst = s.openDelta(dst, i)
			dst = c.parts[0].delta(dst)
			dst = s.closeDelta(dst, "")
			c.parts = c.parts[1:]
		}
	}
	return dst
}

func (p callPart) delta(dst []byte) []byte {
	dst = append(dst, `"tool_calls":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(p.index), 10)
	if p.announces != nil {
		dst = append(dst, `,"id":"`+p.announces.id+`","type":"function","function":{"name":`...)
		dst = appendQuoted(dst, p.announces.name)
		return append(dst, `,"arguments":""}}]`...)
	}
	dst = append(dst, `,"function":{"arguments":`...)
	dst = appendQuoted(dst, p.arguments)
	return append(dst, "}}]"...)
}

func (s *chatScript) end(dst []byte) []byte {
	for i := range s.choices {
		dst = s.openDelta(dst, i)
		dst = s.closeDelta(dst, s.choices[i].finish)
	}
	return s.done(dst)
}

func (s *chatScript) openDelta(dst []byte, choice int) []byte {
	dst = append(dst, s.head...)
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(choice), 10)
	return append(dst, `,"delta":{`...)
}

// closeDelta ends the delta of a choice, and the choice unless finish is empty.
func (s *chatScript) closeDelta(dst []byte, finish string) []byte {
	dst = append(dst, `},"logprobs":null,"finish_reason":`...)
	dst = appendQuotedOrNull(dst, finish)
	dst = append(dst, '}')
	return append(dst, s.tail...)
}

func (c *chat) errorEvent(f *failure) []byte { return chunkError(f) }

var _ streamer = (*chat)(nil)
