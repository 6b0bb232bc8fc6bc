package dialect

import (
	"bytes"
	"slices"
)

// ForeignThinking returns which bytes of a request of Anthropic's messages to leave out, in order, so that Anthropic does
// not refuse it: the thinking of other models, which a conversation may have that was answered by several. Such
// thinking has no signature, or one that says whose it is. If the latest turn of the assistant has thought so, the
// request to think goes as well: Anthropic would want that turn to begin with thinking of its own. With that goes
// what context_management says of thinking (clear_thinking_...), which Anthropic takes only while the model thinks.
func ForeignThinking(body []byte) []Span {
	f := foreignThinking{body: body, thinking: -1, management: -1}
	next := bytes.IndexByte(body, '{') + 1
	_ = Members(body, func(key []byte, value Span) bool {
		f.member(key, value)
		f.members = append(f.members, Span{next, value.End})
		if comma := bytes.IndexByte(body[value.End:], ','); comma >= 0 {
			next = value.End + comma + 1
		}
		return true
	})
	if f.latest && f.thinking >= 0 {
		out := make([]bool, len(f.members))
		out[f.thinking] = true
		if f.management >= 0 {
			out[f.management] = f.unclear()
		}
		f.gone = cut(f.gone, f.members, out)
		slices.SortFunc(f.gone, func(a, b Span) int { return a.Start - b.Start })
	}
	return f.gone
}

// foreignThinking is what of a request has been looked at.
type foreignThinking struct {
	body    []byte
	gone    []Span
	members []Span // of the request, each from the comma before it or the brace
	latest  bool   // something of the latest turn of the assistant is gone

	thinking   int  // which member asks for it with a budget, -1 for none
	management int  // and which is context_management
	managed    Span // the value of that
}

func (f *foreignThinking) member(key []byte, value Span) {
	text := f.body[value.Start:value.End]
	switch string(key) {
	case `"messages"`:
		f.each(value, f.message)
	case `"thinking"`:
		if text[0] == '{' && bytes.Contains(text, []byte(`"enabled"`)) {
			f.thinking = len(f.members)
		}
	case `"context_management"`:
		f.management, f.managed = len(f.members), value
	}
}

// each visits the elements of an array, if it is one.
func (f *foreignThinking) each(array Span, visit func(element Span)) {
	if value := f.body[array.Start:array.End]; value[0] == '[' {
		_ = Elements(value, func(element Span) bool {
			visit(Span{array.Start + element.Start, array.Start + element.End})
			return true
		})
	}
}

func (f *foreignThinking) message(message Span) {
	before, assistant := len(f.gone), false
	_ = Members(f.body[message.Start:message.End], func(key []byte, value Span) bool {
		value = Span{message.Start + value.Start, message.Start + value.End}
		switch string(key) {
		case `"role"`:
			assistant = string(f.body[value.Start:value.End]) == `"assistant"`
		case `"content"`:
			_ = f.without(value, func(block []byte) bool {
				return bytes.Contains(block, []byte(`"thinking"`)) && isThinking(block) && !signed(block)
			})
		}
		return true
	})
	if assistant {
		f.latest = len(f.gone) > before
	}
}

// unclear leaves out what context_management says of thinking. It reports whether that is all of it, and leaves it then.
func (f *foreignThinking) unclear() bool {
	others := false
	var edits Span
	if f.body[f.managed.Start] != '{' {
		return false
	}
	_ = Members(f.body[f.managed.Start:f.managed.End], func(key []byte, value Span) bool {
		if string(key) == `"edits"` {
			edits = Span{f.managed.Start + value.Start, f.managed.Start + value.End}
		} else {
			others = true
		}
		return true
	})
	if edits.IsZero() {
		return false
	}
	before := len(f.gone)
	all := f.without(edits, func(edit []byte) bool {
		clears := false
		if edit[0] == '{' {
			_ = Members(edit, func(key []byte, value Span) bool {
				clears = clears || string(key) == `"type"` && bytes.HasPrefix(edit[value.Start:value.End], []byte(`"clear_thinking_`))
				return true
			})
		}
		return clears
	})
	if all && !others && len(f.gone) > before {
		f.gone = f.gone[:before]
		return true
	}
	return false
}

// without leaves out elements of an array, and reports whether those are all of them.
func (f *foreignThinking) without(array Span, leave func(element []byte) bool) bool {
	var elements []Span
	var out []bool
	f.each(array, func(element Span) {
		elements = append(elements, element)
		out = append(out, leave(f.body[element.Start:element.End]))
	})
	f.gone = cut(f.gone, elements, out)
	return !slices.Contains(out, false)
}

// cut appends those of elements that are out, each with a comma beside it.
func cut(gone, elements []Span, out []bool) []Span {
	kept := -1 // the last one before that stays
	for i := range elements {
		switch {
		case !out[i]:
			kept = i
		case kept >= 0: // with what is between it and the one before
			gone = append(gone, Span{elements[i-1].End, elements[i].End})
		case i+1 < len(elements):
			gone = append(gone, Span{elements[i].Start, elements[i+1].Start})
		default:
			gone = append(gone, elements[i])
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
