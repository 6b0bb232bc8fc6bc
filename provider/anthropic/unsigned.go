package anthropic

import (
	"bytes"
	"slices"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// The signatures that the gateway gives to the thinking of other providers' models: none, or one that says whose it is.
var foreign = [][]byte{[]byte(`"signature":""`), []byte(`"signature": ""`), []byte(`"signature":"gemini:`), []byte(`"signature": "gemini:`)}

// unsigned returns edits with the ones that leave out the thinking which Anthropic has not signed, and would refuse the
// conversation for: that of a turn which another provider's model has had in the same conversation. All else stays
// byte for byte.
func unsigned(body []byte, edits []provider.Edit) []provider.Edit {
	if !slices.ContainsFunc(foreign, func(mark []byte) bool { return bytes.Contains(body, mark) }) {
		return edits
	}
	before := len(edits)
	_ = dialect.Members(body, func(key []byte, value dialect.Span) bool {
		if string(key) != `"messages"` {
			return true
		}
		elements(body, value, func(message dialect.Span) {
			if content := member(body, message, "content"); !content.IsZero() {
				edits = leaveOut(body, content, edits)
			}
		})
		return true
	})
	if len(edits) > before {
		slices.SortFunc(edits, func(a, b provider.Edit) int { return a.Start - b.Start })
	}
	return edits
}

// leaveOut appends the edits for one content.
func leaveOut(body []byte, content dialect.Span, edits []provider.Edit) []provider.Edit {
	var blocks []dialect.Span
	var out []bool
	elements(body, content, func(block dialect.Span) {
		blocks = append(blocks, block)
		out = append(out, isForeign(body, block))
	})
	last := len(blocks) // the first of those at the end that go
	for last > 0 && out[last-1] {
		last--
	}
	for i := range last {
		if out[i] { // with the comma after it
			edits = append(edits, provider.Edit{Span: dialect.Span{Start: blocks[i].Start, End: blocks[i+1].Start}})
		}
	}
	if last < len(blocks) {
		start := blocks[last].Start
		if last > 0 { // with the comma before it
			start = blocks[last-1].End
		}
		edits = append(edits, provider.Edit{Span: dialect.Span{Start: start, End: blocks[len(blocks)-1].End}})
	}
	return edits
}

// isForeign reports whether a block is thinking that Anthropic has not signed.
func isForeign(body []byte, block dialect.Span) bool {
	if kind := member(body, block, "type"); string(body[kind.Start:kind.End]) != `"thinking"` {
		return false
	}
	span := member(body, block, "signature")
	signature := string(body[span.Start:span.End])
	return signature == `""` || strings.HasPrefix(signature, `"gemini:`)
}

// member returns where an object has the value of a member, zero if it is none or has none.
func member(body []byte, object dialect.Span, name string) (found dialect.Span) {
	_ = dialect.Members(body[object.Start:object.End], func(key []byte, value dialect.Span) bool {
		if string(key[1:len(key)-1]) == name {
			found = dialect.Span{Start: object.Start + value.Start, End: object.Start + value.End}
		}
		return found.IsZero()
	})
	return found
}

// elements calls visit with where the elements of an array are, if it is one.
func elements(body []byte, array dialect.Span, visit func(dialect.Span)) {
	_ = dialect.Elements(body[array.Start:array.End], func(e dialect.Span) bool {
		visit(dialect.Span{Start: array.Start + e.Start, End: array.Start + e.End})
		return true
	})
}
