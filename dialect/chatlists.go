package dialect

// chatLists are what a client of chat completions is told once in a stream, when all of it is known: OpenAI's SDKs add text to
// text and calls to calls, but of a list whose elements have no index they take the first delta and refuse another, or keep the
// last.
type chatLists struct {
	blocks []byte // of thinking, as the elements of an array are written
	lost   bool   // they are too many to be kept
	cited  []citation
}

// thinkingBlock appends an event with a block of Anthropic's kind if that is translated once more, and keeps it otherwise. A
// client sends all of them back as they are, or none: if they are more than maxHeld bytes it gets none.
func (w *chatWriter) thinkingBlock(dst, block []byte) []byte {
	if w.chained {
		return append(append(append(append(dst, w.head...), `{"thinking_blocks":[`...), block...), "]}"+string(w.tail)...)
	}
	l := &w.lists
	if l.lost = l.lost || len(l.blocks)+len(block) > maxHeld; l.lost {
		l.blocks = nil
		return dst
	}
	if len(l.blocks) > 0 {
		l.blocks = append(l.blocks, ',')
	}
	l.blocks = append(l.blocks, block...)
	return dst
}

// annotations appends an event with citations, of which there are some, if that is translated once more, and keeps
// them otherwise, maxCitations at most.
func (w *chatWriter) annotations(dst []byte, all []citation) []byte {
	if w.chained {
		return w.text(dst, "annotations", chatAnnotations(all))
	}
	l := &w.lists
	l.cited = append(l.cited, all[:min(len(all), maxCitations-len(l.cited))]...)
	return dst
}

// appendLists appends the event with what has been kept, if there is something.
func (w *chatWriter) appendLists(dst []byte) []byte {
	l := &w.lists
	if len(l.blocks)+len(l.cited) == 0 {
		return dst
	}
	delta := writer{b: append(dst, w.head...)}
	delta.open('{')
	if len(l.blocks) > 0 {
		delta.key("thinking_blocks")
		delta.open('[')
		delta.raw(l.blocks)
		delta.close(']')
	}
	if len(l.cited) > 0 {
		delta.key("annotations")
		delta.raw(chatAnnotations(l.cited))
	}
	delta.close('}')
	*l = chatLists{}
	return append(delta.b, w.tail...)
}
