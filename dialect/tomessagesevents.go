package dialect

import (
	"bytes"
	"io"
	"slices"
	"strconv"

	"github.com/runestone-gateway/runestone/sse"
)

// messagesStream is where a stream is.
type messagesStream struct {
	open  []openCall // calls whose block has not ended
	bare  *openCall  // one that has ended without arguments, if nothing has come since
	ended bool       // message_stop has come

	// thought is the text of the block of thinking that is under way, as JSON without its quotes: it
	// must be sent back whole, with its signature.
	thought   []byte
	endless   bool   // that is more than is kept
	signature []byte // as JSON, until it has been told
	thinking  int    // the block's index, plus one, 0 for none
	refused   bool   // and the client has been told
	scratch   []byte
	event     messagesEvent

	// Where the model searches the web: how many characters of text there are so far, and before the block that is under
	// way, and what that cites.
	said, before int
	cited        []citation
}

// openCall is the call of a tool whose arguments are under way.
type openCall struct {
	index  int // of its block
	number int // of the call, counted from 0
	asText bool
	mute   bool // it is not shown
	empty  bool // no arguments so far
}

// messagesEvent is an event of a stream.
type messagesEvent struct {
	kind    string
	index   int
	message []byte
	block   contentBlock // content_block or delta
	usage   []byte
	failed  bool // it has an error
}

func (ev *messagesEvent) member(name string, value []byte) error {
	switch name {
	case "type":
		ev.kind = memberName(value)
	case "index":
		ev.index, _ = strconv.Atoi(string(value))
	case "message":
		ev.message = value
	case "content_block", "delta":
		return eachMember(value, "", ev.block.member)
	case "usage":
		ev.usage = value
	case "error":
		ev.failed = !isNull(value)
	}
	return nil
}

// Event implements [Answers].
func (a *messagesAnswers) Event(dst []byte, e sse.Event) ([]byte, error) {
	data := bytes.TrimSpace(e.Data)
	if a.stream.ended || len(data) == 0 || string(data) == "[DONE]" { // which some servers add
		return dst, nil
	}
	if index, kind, text := plainDelta(data); kind != "" && a.out.begun {
		return a.delta(dst, index, kind, text), nil
	}
	ev := &a.stream.event
	*ev = messagesEvent{}
	if eachChecked(data, "", ev.member) != nil {
		return dst, ErrNotJSON
	}
	if ev.kind == "error" || ev.failed {
		told := ErrorIn(data)
		if told == nil {
			told = &Error{}
		}
		return dst, anthropicError(told)
	}
	switch ev.kind {
	case "message_start":
		return a.start(dst, ev.message)
	case "content_block_start":
		if len(a.stream.open) == maxCalls {
			return dst, errItems
		}
		return a.blockStart(a.begun(dst), ev), nil
	case "content_block_delta":
		b := &ev.block
		if b.kind == "citations_delta" {
			a.cite(b.citation)
			return dst, nil
		}
		text := b.text
		for _, other := range [][]byte{b.thinking, b.partialJSON, b.signature} {
			if text == nil {
				text = other
			}
		}
		return a.delta(a.begun(dst), ev.index, b.kind, text), nil
	case "content_block_stop":
		return a.blockStop(dst, ev.index), nil
	case "message_delta":
		return a.messageDelta(dst, ev), nil
	case "message_stop":
		dst = a.begun(dst)
		for len(a.stream.open) > 0 {
			dst = a.blockStop(dst, a.stream.open[0].index)
		}
		if a.finishReason() != "length" { // else it was cut off before them
			dst = a.settle(dst)
		}
		a.stream.ended = true
		return a.out.finish(dst, a.finishReason(), a.usage), nil
	}
	return dst, nil // ping, and whatever is new
}

// End implements [Answers].
func (a *messagesAnswers) End(dst []byte) ([]byte, error) {
	if !a.stream.ended {
		return dst, io.ErrUnexpectedEOF
	}
	return dst, nil
}

// plainDelta reads an event that adds a text to a block, in the form in which Anthropic writes it. It is what nearly all
// events are. kind is "" for any other.
func plainDelta(data []byte) (index int, kind string, text []byte) {
	const start, middle, member = `{"type":"content_block_delta","index":`, `,"delta":{"type":"`, `","`
	if len(data) < len(start) || string(data[:len(start)]) != start {
		return 0, "", nil
	}
	rest := data[len(start):]
	for len(rest) > 0 && isDigit(rest[0]) && index < 1e6 {
		index = 10*index + int(rest[0]-'0')
		rest = rest[1:]
	}
	if len(rest) < len(middle) || string(rest[:len(middle)]) != middle {
		return 0, "", nil
	}
	rest = rest[len(middle):]
	n := bytes.IndexByte(rest, '"')
	if n < 0 {
		return 0, "", nil
	}
	for _, name := range [...]struct{ kind, member string }{
		{"text_delta", `","text":`}, {"input_json_delta", `","partial_json":`}, {"thinking_delta", `","thinking":`},
	} {
		if string(rest[:n]) == name.kind && bytes.HasPrefix(rest[n:], []byte(name.member)) {
			kind, text = name.kind, rest[n+len(name.member):]
			break
		}
	}
	if len(text) == 0 || text[0] != '"' {
		return 0, "", nil
	}
	s := scanner{data: text}
	if s.text() != nil {
		return 0, "", nil
	}
	braces := 0
	for _, c := range text[s.at:] {
		switch c {
		case '}':
			braces++
		case ' ': // it is padded against guesses from its length
		default:
			return 0, "", nil
		}
	}
	if braces != 2 {
		return 0, "", nil
	}
	return index, kind, text[:s.at]
}

// begun begins the answer if message_start has not.
func (a *messagesAnswers) begun(dst []byte) []byte {
	if a.out.begun {
		return dst
	}
	return a.out.begin(dst, "")
}

func (a *messagesAnswers) start(dst, message []byte) ([]byte, error) {
	id := ""
	err := eachMember(message, "", func(name string, value []byte) error {
		switch name {
		case "id":
			id = string(unquoted(value))
		case "usage":
			a.takeUsage(value)
		}
		return nil
	})
	switch {
	case err != nil:
		return dst, ErrNotJSON
	case a.out.begun:
		return dst, nil
	}
	return a.out.begin(dst, id), nil
}

func (a *messagesAnswers) blockStart(dst []byte, ev *messagesEvent) []byte {
	s, b := &a.stream, &ev.block
	dst = a.settle(a.blockStop(dst, ev.index)) // in case that it has not been
	switch b.kind {
	case "text":
		s.before = s.said
		if hasText(b.text) {
			dst = a.say(dst, b.text)
		}
	case "thinking":
		s.thinking = ev.index + 1
		s.thought, s.endless = s.thought[:0], false
		s.signature = append(s.signature[:0], b.signature...)
		dst = a.think(dst, b.thinking)
	case "redacted_thinking":
		if b.data != nil {
			s.scratch = append(append(append(s.scratch[:0], `{"type":"redacted_thinking","data":`...), b.data...), '}')
			dst = a.out.thinkingBlock(dst, s.scratch)
		}
	case "tool_use":
		dst = a.callStart(dst, ev)
	}
	return dst // what Anthropic's own tools do is not shown
}

// callStart begins the call of a tool. Calls are numbered by themselves, not like the blocks.
func (a *messagesAnswers) callStart(dst []byte, ev *messagesEvent) []byte {
	b := &ev.block
	var given []byte
	if arguments := b.arguments(); string(arguments) != "{}" {
		given = arguments
	}
	call := openCall{index: ev.index, number: a.calls, empty: given == nil}
	if a.jsonTool != "" && string(b.name) == a.jsonTool {
		call.asText, call.mute = true, a.json // a second answer is none
		a.json = true
		if given != nil && !call.mute {
			dst = a.out.content(dst, appendJSON(nil, string(given)))
		}
	} else {
		a.calls++
		dst = a.out.toolStart(dst, call.number, &ChatToolCall{ID: string(b.id), Name: string(b.name), Arguments: string(given)})
	}
	a.stream.open = append(a.stream.open, call)
	return dst
}

// delta adds a text to a block.
func (a *messagesAnswers) delta(dst []byte, index int, kind string, text []byte) []byte {
	if !hasText(text) {
		return dst
	}
	dst = a.settle(dst)
	switch kind {
	case "text_delta":
		return a.say(dst, text)
	case "thinking_delta":
		return a.think(dst, text)
	case "signature_delta":
		a.stream.signature = append(a.stream.signature[:0], text...)
		return a.sign(dst)
	case "input_json_delta":
		for i := range a.stream.open {
			if call := &a.stream.open[i]; call.index == index {
				call.empty = false
				return a.arguments(dst, call, text)
			}
		}
	}
	return dst
}

func (a *messagesAnswers) arguments(dst []byte, call *openCall, text []byte) []byte {
	switch {
	case call.mute:
		return dst
	case call.asText:
		return a.out.content(dst, text)
	}
	return a.out.toolArguments(dst, call.number, text)
}

// say adds to the text.
func (a *messagesAnswers) say(dst, text []byte) []byte {
	if a.searches {
		a.stream.said += characters(inner(text))
	}
	return a.out.content(dst, text)
}

// cite keeps a citation until its block ends, and with it the text that it is of.
func (a *messagesAnswers) cite(value []byte) {
	if s := &a.stream; a.searches && len(value) > 0 && value[0] == '{' && len(s.cited) < maxCitations {
		if c, ok := anthropicCitation(value); ok {
			s.cited = append(s.cited, c)
		}
	}
}

// think adds to the thinking.
func (a *messagesAnswers) think(dst, text []byte) []byte {
	if !hasText(text) {
		return dst
	}
	if s := &a.stream; !s.endless {
		if s.thought = append(s.thought, inner(text)...); len(s.thought) > maxHeld {
			s.thought, s.endless, a.out.lists.lost = nil, true, true
		}
	}
	return a.out.reasoning(dst, text)
}

// sign appends the block of thinking that is under way, if it has a signature that has not been told.
func (a *messagesAnswers) sign(dst []byte) []byte {
	s := &a.stream
	if !hasText(s.signature) || s.endless {
		return dst
	}
	s.scratch = append(append(s.scratch[:0], `{"type":"thinking","thinking":"`...), s.thought...)
	s.scratch = append(append(append(s.scratch, `","signature":`...), s.signature...), '}')
	s.signature, s.thought = s.signature[:0], s.thought[:0]
	return a.out.thinkingBlock(dst, s.scratch)
}

// settle gives the call that has ended without arguments an empty object of them, which is certain once something follows it.
func (a *messagesAnswers) settle(dst []byte) []byte {
	call := a.stream.bare
	if call == nil {
		return dst
	}
	a.stream.bare = nil
	return a.arguments(dst, call, []byte(`"{}"`))
}

// blockStop ends a block. A call that was given no arguments may have been cut off before them.
func (a *messagesAnswers) blockStop(dst []byte, index int) []byte {
	s := &a.stream
	if len(s.cited) > 0 {
		for i := range s.cited {
			s.cited[i].start, s.cited[i].end = s.before, s.said
		}
		dst = a.out.annotations(dst, s.cited)
		s.cited = s.cited[:0]
	}
	if s.thinking == index+1 {
		s.thinking = 0
		return a.sign(dst)
	}
	i := slices.IndexFunc(s.open, func(c openCall) bool { return c.index == index })
	if i < 0 {
		return dst
	}
	if call := s.open[i]; call.empty {
		dst = a.settle(dst)
		s.bare = &call
	}
	s.open = slices.Delete(s.open, i, i+1)
	return dst
}

func (a *messagesAnswers) messageDelta(dst []byte, ev *messagesEvent) []byte {
	if len(ev.block.reason) > 0 {
		a.reason = string(ev.block.reason)
	}
	if ev.usage != nil {
		a.takeUsage(ev.usage)
	}
	if a.reason == "refusal" && !a.stream.refused {
		a.stream.refused = true
		return a.out.refusal(a.begun(dst), appendJSON(nil, explanation(ev.block.refusing)))
	}
	return dst
}
