package dialect

import "strconv"

// messagesWriter writes answers of Anthropic's messages: whole ones, and the events of a stream, in which one block is
// open at a time. Each event has a line with its name, by which Anthropic's SDKs go. Texts are passed as JSON
// strings, quotes included, as they are on the other side as well.
type messagesWriter struct {
	model string
	begun bool
	index int  // of the block that is open or comes next
	text  bool // the one that is open is of text

	head []byte // of an event that adds text
}

const (
	eventHead  = "event: "
	eventData  = "\ndata: {\"type\":\""
	eventTail  = "}\n\n"
	deltaEvent = "content_block_delta"
)

func (w *messagesWriter) event(dst []byte, kind string) []byte {
	dst = append(append(dst, eventHead...), kind...)
	dst = append(append(dst, eventData...), kind...)
	return append(dst, '"')
}

// messagesID returns the ID of a message, which begins with msg_, from the provider's for the answer.
func messagesID(id string) string {
	for i := range len(id) {
		if c := rune(id[i]); !isAlphanumeric(c) && c != '_' && c != '-' {
			id = ""
			break
		}
	}
	switch {
	case id == "" || len(id) > 128:
		return "msg_" + randomID()
	case len(id) > 4 && id[:4] == "msg_":
		return id
	case len(id) > 9 && id[:9] == "chatcmpl-":
		return "msg_" + id[9:]
	}
	return "msg_" + id
}

func (w *messagesWriter) message(dst []byte, id string) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendJSON(dst, messagesID(id))
	dst = append(dst, `,"type":"message","role":"assistant","model":`...)
	dst = appendJSON(dst, w.model)
	return append(dst, `,"content":[`...)
}

// start appends message_start, with an estimate of what went in.
func (w *messagesWriter) start(dst []byte, id string, input int64) []byte {
	w.begun = true
	dst = append(w.event(dst, "message_start"), `,"message":`...)
	dst = append(w.message(dst, id), `],"stop_reason":null,"stop_sequence":null,"usage":`...)
	dst = appendMessagesUsage(dst, Usage{Input: input}, "")
	return append(append(dst, '}'), eventTail...)
}

// open appends content_block_start. The block is what it is without its content.
func (w *messagesWriter) open(dst []byte, block string) []byte {
	dst = append(w.event(dst, "content_block_start"), `,"index":`...)
	dst = strconv.AppendInt(dst, int64(w.index), 10)
	dst = append(append(dst, `,"content_block":`...), block...)
	return append(dst, eventTail...)
}

func (w *messagesWriter) openTool(dst []byte, id, name string) []byte {
	dst = append(w.event(dst, "content_block_start"), `,"index":`...)
	dst = strconv.AppendInt(dst, int64(w.index), 10)
	dst = append(dst, `,"content_block":{"type":"tool_use","id":`...)
	dst = appendJSON(dst, id)
	dst = append(dst, `,"name":`...)
	dst = appendJSON(dst, name)
	return append(append(dst, `,"input":{}}`...), eventTail...)
}

// delta appends content_block_delta with a text under the name that its kind has for it.
func (w *messagesWriter) delta(dst []byte, kind, member string, text []byte) []byte {
	dst = append(w.event(dst, deltaEvent), `,"index":`...)
	dst = strconv.AppendInt(dst, int64(w.index), 10)
	dst = append(append(dst, `,"delta":{"type":"`...), kind...)
	dst = append(append(dst, `","`...), member...)
	dst = append(append(dst, `":`...), text...)
	return append(append(dst, '}'), eventTail...)
}

// textDelta appends content_block_delta with text. It is what nearly all events are.
func (w *messagesWriter) textDelta(dst, text []byte) []byte {
	if !w.text {
		w.text = true
		w.head = append(w.event(w.head[:0], deltaEvent), `,"index":`...)
		w.head = strconv.AppendInt(w.head, int64(w.index), 10)
		w.head = append(w.head, `,"delta":{"type":"text_delta","text":`...)
	}
	dst = append(append(dst, w.head...), text...)
	return append(dst, "}}\n\n"...)
}

// close appends content_block_stop.
func (w *messagesWriter) close(dst []byte) []byte {
	dst = append(w.event(dst, "content_block_stop"), `,"index":`...)
	dst = strconv.AppendInt(dst, int64(w.index), 10)
	w.index++
	w.text = false
	return append(dst, eventTail...)
}

// finish appends message_delta and message_stop.
func (w *messagesWriter) finish(dst []byte, reason string, u Usage) []byte {
	dst = append(w.event(dst, "message_delta"), `,"delta":{"stop_reason":`...)
	dst = append(appendJSON(dst, reason), `,"stop_sequence":null},"usage":`...)
	dst = append(appendMessagesUsage(dst, u, ""), eventTail...)
	return append(w.event(dst, "message_stop"), eventTail...)
}

// appendMessagesUsage appends a usage object, in which the input leaves out what the cache was read and written for.
func appendMessagesUsage(dst []byte, u Usage, tier string) []byte {
	number := func(name string, n int64) {
		dst = append(dst, name...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	number(`{"input_tokens":`, max(0, u.Input-u.CachedInput-u.CacheWrite))
	number(`,"cache_creation_input_tokens":`, u.CacheWrite)
	number(`,"cache_read_input_tokens":`, u.CachedInput)
	number(`,"output_tokens":`, u.Output)
	if u.Reasoning > 0 {
		number(`,"output_tokens_details":{"thinking_tokens":`, u.Reasoning)
		dst = append(dst, '}')
	}
	switch tier {
	case "default":
		dst = append(dst, `,"service_tier":"standard"`...)
	case "priority":
		dst = append(dst, `,"service_tier":"priority"`...)
	}
	return append(dst, '}')
}
