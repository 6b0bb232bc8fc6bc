package dialect

import (
	"strconv"
	"time"
)

// chatWriter writes answers of chat completions: whole ones, and the events of a stream. In a stream
// id, created, model and what frames a delta are the same in every event, so that they are made once. Texts
// are passed as JSON strings, quotes included, as they are on the other side as well.
type chatWriter struct {
	id, model string
	created   int64
	usage     bool // the client wants the usage of a stream
	chained   bool // what it writes is translated once more

	head, tail []byte // of an event with a delta
	begun      bool   // the role has been sent

	lists chatLists
}

// newChatWriter returns a writer of answers from a target. usage is stream_options.include_usage.
func newChatWriter(t *Target, usage bool) *chatWriter {
	return &chatWriter{model: t.Shown, created: time.Now().Unix(), usage: usage, chained: t.Behind != ""}
}

func (w *chatWriter) appendHead(dst []byte, object string) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendJSON(dst, w.id)
	dst = append(dst, `,"object":"`...)
	dst = append(dst, object...)
	dst = append(dst, `","created":`...)
	dst = strconv.AppendInt(dst, w.created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendJSON(dst, w.model)
	return append(dst, `,"choices":[`...)
}

// begin appends the first event, which has the role: SDKs want it. The ID is the provider's, or "" for one
// that is made from it.
func (w *chatWriter) begin(dst []byte, id string) []byte {
	w.begun = true
	w.id = chatID(id)
	w.head = w.appendHead(append(w.head[:0], "data: "...), "chat.completion.chunk")
	w.head = append(w.head, `{"index":0,"delta":`...)
	w.tail = append(w.tail[:0], `,"logprobs":null,"finish_reason":null}]`...)
	if w.usage {
		w.tail = append(w.tail, `,"usage":null`...)
	}
	w.tail = append(w.tail, "}\n\n"...)
	return w.delta(dst, `{"role":"assistant","content":""}`)
}

// chatID returns the ID of an answer that the provider has given one.
func chatID(id string) string {
	if id == "" {
		return "chatcmpl-" + randomID()
	}
	return id
}

func (w *chatWriter) delta(dst []byte, delta string) []byte {
	dst = append(append(dst, w.head...), delta...)
	return append(dst, w.tail...)
}

// text appends an event with a delta whose one member is a text.
func (w *chatWriter) text(dst []byte, member string, text []byte) []byte {
	dst = append(append(dst, w.head...), `{"`...)
	dst = append(append(dst, member...), `":`...)
	dst = append(append(dst, text...), '}')
	return append(dst, w.tail...)
}

func (w *chatWriter) content(dst, text []byte) []byte { return w.text(dst, "content", text) }
func (w *chatWriter) refusal(dst, text []byte) []byte { return w.text(dst, "refusal", text) }
func (w *chatWriter) reasoning(dst, text []byte) []byte {
	return w.text(dst, "reasoning_content", text)
}

// toolStart appends the event that begins the call of a tool. index counts calls from 0; extra is
// its extra_content, if any.
func (w *chatWriter) toolStart(dst []byte, index int, call *ChatToolCall) []byte {
	dst = append(append(dst, w.head...), `{"tool_calls":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, ',')
	dst = appendToolCall(dst, call)
	dst = append(dst, "]}"...)
	return append(dst, w.tail...)
}

// appendToolCall appends the members of a call after its brace, and the brace that ends it.
func appendToolCall(dst []byte, call *ChatToolCall) []byte {
	dst = append(dst, `"id":`...)
	dst = appendJSON(dst, call.ID)
	dst = append(dst, `,"type":"function","function":{"name":`...)
	dst = appendJSON(dst, call.Name)
	dst = append(dst, `,"arguments":`...)
	dst = append(appendJSON(dst, call.Arguments), '}')
	if len(call.ExtraContent) > 0 {
		dst = append(dst, `,"extra_content":`...)
		dst = append(dst, call.ExtraContent...)
	}
	return append(dst, '}')
}

// toolArguments appends the event with more of a call's arguments.
func (w *chatWriter) toolArguments(dst []byte, index int, text []byte) []byte {
	dst = append(append(dst, w.head...), `{"tool_calls":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"function":{"arguments":`...)
	dst = append(append(dst, text...), "}}]}"...)
	return append(dst, w.tail...)
}

// finish appends the last events: the one with the reason, the usage if the client wants it, and [DONE].
func (w *chatWriter) finish(dst []byte, reason string, u Usage) []byte {
	dst = w.appendLists(dst)
	dst = append(append(dst, w.head...), `{},"logprobs":null,"finish_reason":`...)
	dst = append(appendJSON(dst, reason), "}]"...)
	if w.usage {
		dst = append(dst, `,"usage":null}`...)
		dst = append(dst, "\n\ndata: "...)
		dst = w.appendHead(dst, "chat.completion.chunk")
		dst = append(dst, `],"usage":`...)
		dst = appendChatUsage(dst, u)
	}
	return append(dst, "}\n\ndata: [DONE]\n\n"...)
}

// appendChatUsage appends a usage object. Its input includes what was cached.
func appendChatUsage(dst []byte, u Usage) []byte {
	number := func(name string, n int64) {
		dst = append(append(dst, name...), ':')
		dst = strconv.AppendInt(dst, n, 10)
	}
	number(`{"prompt_tokens"`, u.Input)
	number(`,"completion_tokens"`, u.Output)
	number(`,"total_tokens"`, u.Input+u.Output)
	number(`,"prompt_tokens_details":{"cached_tokens"`, u.CachedInput)
	if u.CacheWrite > 0 {
		number(`,"cache_write_tokens"`, u.CacheWrite)
	}
	number(`},"completion_tokens_details":{"reasoning_tokens"`, u.Reasoning)
	return append(dst, "}}"...)
}

// chatMessage is an answer to be written whole.
type chatMessage struct {
	id         string
	content    string
	hasContent bool
	refusal    string
	reasoning  string
	// contentJSON and reasoningJSON are the two as JSON without its quotes, instead of them.
	contentJSON, reasoningJSON []byte
	// characters are those of the part of contentJSON that has been counted.
	characters, counted int

	thinking [][]byte // blocks of Anthropic's kind
	cited    []citation
	tools    []ChatToolCall
	finish   string
	tier     string
	usage    Usage

	// onward: it goes on with the choice before it, which only what translates it once more can read.
	onward bool
}

// whole appends a whole answer.
func (w *chatWriter) whole(dst []byte, choices ...chatMessage) []byte {
	w.id = chatID(choices[0].id)
	dst = w.appendHead(dst, "chat.completion")
	index := -1
	for i := range choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !choices[i].onward {
			index++
		}
		dst = choices[i].append(dst, index)
	}
	dst = append(dst, `],"usage":`...)
	dst = appendChatUsage(dst, choices[0].usage)
	if tier := choices[0].tier; tier != "" {
		dst = append(dst, `,"service_tier":`...)
		dst = appendJSON(dst, tier)
	}
	return append(dst, '}')
}

func (m *chatMessage) append(dst []byte, index int) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"message":{"role":"assistant","content":`...)
	switch {
	case m.contentJSON != nil:
		dst = append(append(append(dst, '"'), m.contentJSON...), '"')
	case m.hasContent:
		dst = appendJSON(dst, m.content)
	default:
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"refusal":`...)
	dst = appendOptional(dst, m.refusal)
	switch {
	case m.reasoningJSON != nil:
		dst = append(append(append(dst, `,"reasoning_content":"`...), m.reasoningJSON...), '"')
	case m.reasoning != "":
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendJSON(dst, m.reasoning)
	}
	if len(m.thinking) > 0 {
		dst = append(dst, `,"thinking_blocks":[`...)
		for i, block := range m.thinking {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, block...)
		}
		dst = append(dst, ']')
	}
	if len(m.cited) > 0 {
		dst = append(append(dst, `,"annotations":`...), chatAnnotations(m.cited)...)
	}
	if len(m.tools) > 0 {
		dst = append(dst, `,"tool_calls":[`...)
		for i := range m.tools {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendToolCall(append(dst, '{'), &m.tools[i])
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `},"logprobs":null,"finish_reason":`...)
	return append(appendJSON(dst, m.finish), '}')
}
