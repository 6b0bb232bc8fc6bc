package dialect

import (
	"bytes"
	"slices"
)

// ForeignThinking returns which bytes of a request of Anthropic's messages to leave out, in order, so that Anthropic does
// not refuse it: the thinking of other models, which a conversation may have that was answered by several. Such
// thinking has no signature, or one that says whose it is. If the latest turn of the assistant has thought so, the
// request to think goes as well: Anthropic would want that turn to begin with thinking of its own.
func ForeignThinking(body []byte) []Span {
	var gone []Span
	var thinking Span // with a comma beside it
	latest := false   // whether something of the latest turn of the assistant is gone
	end := 0          // of the member before
	inArray := func(array Span, visit func(element Span)) {
		if value := body[array.Start:array.End]; value[0] == '[' {
			_ = Elements(value, func(element Span) bool {
				visit(Span{array.Start + element.Start, array.Start + element.End})
				return true
			})
		}
	}
	_ = Members(body, func(key []byte, messages Span) bool {
		switch string(key) {
		case `"messages"`:
			inArray(messages, func(message Span) {
				before, assistant := len(gone), false
				_ = Members(body[message.Start:message.End], func(key []byte, value Span) bool {
					value = Span{message.Start + value.Start, message.Start + value.End}
					switch string(key) {
					case `"role"`:
						assistant = string(body[value.Start:value.End]) == `"assistant"`
					case `"content"`:
						gone = appendForeign(gone, body, value, inArray)
					}
					return true
				})
				if assistant {
					latest = len(gone) > before
				}
			})
		case `"thinking"`:
			if value := body[messages.Start:messages.End]; value[0] == '{' && bytes.Contains(value, []byte(`"enabled"`)) {
				thinking = messages
				if end > 0 {
					thinking.Start = end // with the comma and the name
				} else if next := bytes.IndexByte(body[messages.End:], ','); next >= 0 {
					thinking = Span{bytes.IndexByte(body, '{') + 1, messages.End + next + 1}
				}
			}
		}
		end = messages.End
		return true
	})
	if latest && !thinking.IsZero() {
		gone = append(gone, thinking)
		slices.SortFunc(gone, func(a, b Span) int { return a.Start - b.Start })
	}
	return gone
}

// appendForeign appends the blocks of a content that are to go, each with a comma beside it.
func appendForeign(gone []Span, body []byte, content Span, inArray func(Span, func(Span))) []Span {
	var blocks []Span
	var foreign []bool
	inArray(content, func(block Span) {
		text := body[block.Start:block.End]
		blocks = append(blocks, block)
		foreign = append(foreign, bytes.Contains(text, []byte(`"thinking"`)) && isThinking(text) && !signed(text))
	})
	kept := -1 // the last block before that stays
	for i := range blocks {
		switch {
		case !foreign[i]:
			kept = i
		case kept >= 0: // with what is between it and the one before
			gone = append(gone, Span{blocks[i-1].End, blocks[i].End})
		case i+1 < len(blocks):
			gone = append(gone, Span{blocks[i].Start, blocks[i+1].Start})
		default:
			gone = append(gone, blocks[i])
		}
	}
	return gone
}

// isThinking reports whether a block is one of thinking.
func isThinking(block []byte) bool {
	is := false
	_ = eachMember(block, "", func(name string, value []byte) error {
		is = is || name == "type" && string(unquoted(value)) == "thinking"
		return nil
	})
	return is
}
