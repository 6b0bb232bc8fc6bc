package dialect

import (
	"encoding/json"
	"slices"
)

// answerBlock is a block of an answer while it arrives.
type answerBlock struct {
	callMark         // of a call
	kind      string // text, thinking, redacted_thinking or tool_use
	shown     string // the ID that the client is told
	extra     json.RawMessage
	text      []byte // what waits to be said, as JSON without its quotes
	signature []byte // of thinking, which waits as well
	sealed    bool   // nothing is added to it any more
	open      bool   // the client has been told of it
}

// What an answer may be, since it is kept in memory: maxHeld is how much may wait for another block to end, in bytes,
// and maxCalls how many calls of tools there may be.
const (
	maxHeld  = 32 << 20
	maxCalls = 1024
)

var errHeld = unreadable("The provider's answer mixes its parts so much that they cannot be told one after the other.")

// delta translates what an event adds, in the order in which Anthropic has it.
func (a *chatAnswers) delta(dst []byte, d *ChatDelta) ([]byte, error) {
	var err error
	if d.Reasoning != "" {
		if dst, err = a.say(dst, "thinking", d.reasoningJSON()); err != nil {
			return dst, err
		}
	}
	for _, block := range d.ThinkingBlocks {
		if dst, err = a.thinkingBlock(dst, block, d.Reasoning != ""); err != nil {
			return dst, err
		}
	}
	if d.Content != "" {
		if dst, err = a.say(dst, "text", d.contentJSON()); err != nil {
			return dst, err
		}
	}
	if d.Refusal != "" {
		a.refused = true
		if dst, err = a.say(dst, "text", appendJSON(nil, d.Refusal)); err != nil {
			return dst, err
		}
	}
	for i := range d.ToolCalls {
		if dst, err = a.toolDelta(dst, &d.ToolCalls[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (d *ChatDelta) contentJSON() []byte {
	if d.ContentJSON != nil {
		return d.ContentJSON
	}
	return appendJSON(nil, d.Content)
}

func (d *ChatDelta) reasoningJSON() []byte {
	if d.ReasoningJSON != nil {
		return d.ReasoningJSON
	}
	return appendJSON(nil, d.Reasoning)
}

// last returns the block that is said last, nil if there is none.
func (a *chatAnswers) last() *answerBlock {
	if len(a.queue) == 0 {
		return nil
	}
	return a.queue[len(a.queue)-1]
}

// say adds to the text or the thinking, which is passed as JSON.
func (a *chatAnswers) say(dst []byte, kind string, text []byte) ([]byte, error) {
	if !hasText(text) {
		return dst, nil
	}
	b := a.last()
	if b == nil || b.kind != kind || b.sealed {
		b = &answerBlock{kind: kind}
		a.queue = append(a.queue, b)
		var err error
		if dst, err = a.advance(dst, false); err != nil {
			return dst, err
		}
	}
	return a.add(dst, b, text)
}

// add adds to a block, at once if it is open.
func (a *chatAnswers) add(dst []byte, b *answerBlock, text []byte) ([]byte, error) {
	if !b.open {
		b.text = append(b.text, text[1:len(text)-1]...)
		if a.held += len(text) - 2; a.held > maxHeld {
			return dst, errHeld
		}
		return dst, nil
	}
	switch b.kind {
	case "text":
		return a.out.textDelta(dst, text), nil
	case "thinking":
		return a.out.delta(dst, "thinking_delta", "thinking", text), nil
	}
	return a.out.delta(dst, "input_json_delta", "partial_json", text), nil
}

// thinkingBlock adds one of Anthropic's blocks, or the signature of the thinking that has been said. said is whether the
// same event has told the thinking as text.
func (a *chatAnswers) thinkingBlock(dst, block []byte, said bool) ([]byte, error) {
	b, err := readBlock(block)
	if err != nil {
		return dst, nil
	}
	last := a.last()
	switch {
	case b.kind == "redacted_thinking" && !hasText(b.data):
		return dst, nil
	case b.kind == "redacted_thinking":
		last = &answerBlock{kind: b.kind, text: append([]byte(nil), b.data...)}
		a.queue = append(a.queue, last)
		a.held += len(last.text)
	case b.kind != "thinking" || said && !hasText(b.signature):
		return dst, nil
	case !hasText(b.signature):
		return a.say(dst, "thinking", b.thinking)
	case last != nil && last.kind == "thinking" && !last.sealed:
	case carried(&b):
		return dst, nil
	default:
		if dst, err = a.say(dst, "thinking", b.thinking); err != nil {
			return dst, err
		}
		if last = a.last(); last == nil || last.kind != "thinking" { // it shows nothing of what it thinks
			last = &answerBlock{kind: "thinking"}
			a.queue = append(a.queue, last)
		}
	}
	last.sealed = true
	if last.signature = append(last.signature, b.signature...); last.open && hasText(last.signature) {
		dst = a.out.delta(dst, "signature_delta", "signature", last.signature)
	}
	return a.advance(dst, false)
}

// toolDelta adds to a call, or begins one.
func (a *chatAnswers) toolDelta(dst []byte, call *ChatToolDelta) ([]byte, error) {
	b := a.callOf(call)
	if b == nil {
		if len(a.calls) == maxCalls {
			return dst, errHeld
		}
		b = &answerBlock{kind: "tool_use", callMark: callMark{index: call.Index, id: call.ID}}
		a.calls = append(a.calls, b)
		a.queue = append(a.queue, b)
	}
	if b.name == "" {
		b.name = call.Name
	}
	if b.id == "" {
		b.id = call.ID
	}
	if b.extra == nil && len(call.ExtraContent) > 0 {
		b.extra = append(b.extra, call.ExtraContent...)
	}
	dst, err := a.advance(dst, false)
	if err != nil || call.Arguments == "" || b.sealed {
		return dst, err
	}
	b.args.read(call.Arguments)
	text := []byte(call.ArgumentsJSON)
	if text == nil {
		text = appendJSON(nil, call.Arguments)
	}
	if dst, err = a.add(dst, b, text); err != nil {
		return dst, err
	}
	return a.advance(dst, false)
}

// callOf returns the call that an event adds to, nil if it begins one.
func (a *chatAnswers) callOf(call *ChatToolDelta) *answerBlock {
	for _, b := range slices.Backward(a.calls) {
		if is, known := b.is(call); known {
			if is {
				return b
			}
			return nil
		}
	}
	return nil
}

// advance opens the first block, and ends it if others wait and nothing is added to it any more, which is certain
// at the end.
func (a *chatAnswers) advance(dst []byte, end bool) ([]byte, error) {
	for len(a.queue) > 0 {
		b := a.queue[0]
		if !b.open {
			if b.kind == "tool_use" && b.name == "" {
				switch {
				case !end:
					return dst, nil
				case b.id != "" || len(b.text) > 0:
					return dst, errNameless
				}
				a.queue = a.queue[1:]
				continue
			}
			dst = a.openBlock(dst, b)
		}
		if len(a.queue) == 1 || b.kind == "tool_use" && !b.args.done && !end {
			return dst, nil
		}
		dst = a.out.close(dst)
		b.sealed = true
		a.queue = a.queue[1:]
	}
	return dst, nil
}

// openBlock begins a block and says what waits.
func (a *chatAnswers) openBlock(dst []byte, b *answerBlock) []byte {
	b.open = true
	a.held -= len(b.text)
	switch b.kind {
	case "text":
		dst = a.out.open(dst, `{"type":"text","text":""}`)
	case "thinking":
		dst = a.out.open(dst, `{"type":"thinking","thinking":"","signature":""}`)
	case "redacted_thinking":
		return a.out.open(dst, `{"type":"redacted_thinking","data":`+string(b.text)+`}`)
	default:
		a.used++
		if b.shown = b.id; b.id == "" || a.taken(b) {
			b.shown = "toolu_" + randomID()
		}
		dst = a.out.openTool(dst, joinID(b.shown, b.extra), a.clientName(b.name))
	}
	if len(b.text) > 0 {
		text := make([]byte, 0, len(b.text)+2)
		text = append(append(append(text, '"'), b.text...), '"')
		b.text = nil
		dst, _ = a.add(dst, b, text) // it is open, so that nothing is held
	}
	if hasText(b.signature) {
		dst = a.out.delta(dst, "signature_delta", "signature", b.signature)
	}
	return dst
}

// taken reports whether another call has the same ID.
func (a *chatAnswers) taken(b *answerBlock) bool {
	for _, other := range a.calls {
		if other != b && other.open && other.shown == b.id {
			return true
		}
	}
	return false
}

// callMark is by what a call is known while it arrives. Servers differ in how they tell calls apart: some
// give each the index 0 and another ID, some give none.
type callMark struct {
	index    int // as the provider counts; -1 if it does not
	id, name string
	args     jsonProgress
}

// is reports whether an event adds to the call. It is known either way if what they have in common is enough
// to tell.
func (c *callMark) is(call *ChatToolDelta) (is, known bool) {
	switch {
	case call.Index >= 0 && c.index != call.Index, call.Index < 0 && call.ID != "" && c.id != call.ID:
		return false, false
	case call.Name == "", c.name == "": // it goes on
		return true, true
	case call.ID != "" && c.id != call.ID: // another one with the same index
		return false, true
	case call.ID == "" && (call.Index < 0 || c.args.done && call.Arguments != ""): // one without an ID whose name is said again
		return false, true
	}
	return true, true
}

// jsonProgress tells when text that arrives in pieces is a complete JSON object.
type jsonProgress struct {
	depth           int
	inside, escaped bool // in a string, after a backslash
	done            bool
}

func (p *jsonProgress) read(text string) {
	for i := 0; i < len(text) && !p.done; i++ {
		switch c := text[i]; {
		case p.escaped:
			p.escaped = false
		case p.inside:
			p.escaped, p.inside = c == '\\', c != '"'
		case c == '"':
			p.inside = true
		case c == '{' || c == '[':
			p.depth++
		case c == '}' || c == ']':
			p.depth--
			p.done = p.depth == 0
		}
	}
}
