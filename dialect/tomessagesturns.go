package dialect

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// block is a block of content, in the parts that it is written of.
type block struct {
	head  []byte          // the object up to its end
	text  json.RawMessage // what ends head, if it is a string of the request, which may be long
	cache json.RawMessage // cache_control

	blank   bool // it is a text of nothing but space
	thought bool // it is thinking, which has no cache_control
}

// turn is what one side says until the other does. Anthropic wants the results of tools first.
type turn struct {
	role    string
	results []block
	said    []block
	empty   string // the parameter in which nothing is said, if there is one
}

// begin begins a block and returns where it does.
func (m *messagesMaker) begin() int {
	m.blocks.comma = false
	return len(m.blocks.b)
}

// end ends the block that was begun at start.
func (m *messagesMaker) end(start int, cache json.RawMessage) block {
	return block{head: m.blocks.b[start:len(m.blocks.b):len(m.blocks.b)], cache: cache}
}

// mark gives the last of the blocks the cache_control of their message.
func mark(blocks []block, cache json.RawMessage) {
	if n := len(blocks) - 1; n >= 0 && blocks[n].cache == nil && !blocks[n].thought {
		blocks[n].cache = cache
	}
}

// in returns the turn of a role that is under way, beginning it if the other side's is.
func (m *messagesMaker) in(role string) *turn {
	if n := len(m.turns); n == 0 || m.turns[n-1].role != role {
		m.turns = append(m.turns, turn{role: role})
	}
	return &m.turns[len(m.turns)-1]
}

// conversation reads the messages.
func (m *messagesMaker) conversation() error {
	for i := range m.r.Messages {
		if err := m.message(&m.r.Messages[i], index("messages", i)); err != nil {
			return err
		}
	}
	if len(m.turns) == 0 { // a conversation needs somebody who speaks
		if len(m.system) == 0 {
			return Invalid("messages", "invalid_value", "'messages' is empty: this model needs something to answer.")
		}
		m.turns, m.system = []turn{{role: "user", said: m.system}}, nil
	}
	for _, t := range m.turns {
		if t.empty != "" && len(t.results)+len(t.said) == 0 {
			return Invalid(t.empty, "invalid_value", "'"+t.empty+"' is empty: this model needs something to answer.")
		}
	}
	m.trimEnd()
	return nil
}

// trimEnd leaves out the space at the end of a conversation that the assistant is to go on with, which Anthropic refuses.
func (m *messagesMaker) trimEnd() {
	t := &m.turns[len(m.turns)-1]
	if t.role != "assistant" {
		return
	}
	for n := len(t.said) - 1; n >= 0 && t.said[n].text != nil; n-- {
		text := string(unquoted(t.said[n].text))
		trimmed := strings.TrimRightFunc(text, unicode.IsSpace)
		if trimmed == text {
			return
		}
		m.adjust(index("messages", len(m.r.Messages)-1) + ".content")
		if trimmed != "" {
			t.said[n].text = appendJSON(nil, trimmed)
			return
		}
		t.said = t.said[:n] // an empty text is refused as well
	}
}

func (m *messagesMaker) message(msg *ChatMessage, at string) error {
	if msg.Name != "" && msg.Role != "tool" {
		m.adjust("messages.name")
	}
	said, err := m.content(msg, at)
	if err != nil {
		return err
	}
	if msg.Role == "assistant" {
		return m.assistantMessage(msg, said, at)
	}
	if msg.Role == "tool" && m.calls[msg.ToolCallID] {
		t := m.in("user")
		t.results = append(t.results, m.toolResult(msg, said))
		return nil
	}
	mark(said, msg.CacheControl)
	if (msg.Role == "system" || msg.Role == "developer") && len(m.turns) == 0 {
		m.system = append(m.system, said...)
		return nil
	}
	// What the system says later keeps its place: that it stands where it does may matter, and what thinking was signed
	// with must not change. The result of a tool that answers no call would be refused.
	if len(said) > 0 || msg.Role == "user" {
		t := m.in("user")
		t.said = append(t.said, said...)
		if len(said) == 0 {
			t.empty = at + ".content"
		}
	}
	return nil
}

// assistantMessage writes what the model has said: its thinking first and as it was, since it is signed.
func (m *messagesMaker) assistantMessage(msg *ChatMessage, said []block, at string) error {
	for _, extra := range msg.Extra {
		if extra.Name == "audio" {
			return unsupported(at+".audio", notSupported)
		}
	}
	var blocks []block
	for _, b := range msg.ThinkingBlocks {
		if signed(b) {
			blocks = append(blocks, block{head: b[:len(b)-1], thought: true})
		}
	}
	blocks = append(blocks, said...)
	if msg.Refusal != "" && len(said) == 0 {
		blocks = append(blocks, textBlock(appendJSON(nil, msg.Refusal), nil))
	}
	for i := range msg.ToolCalls {
		b, err := m.toolUse(&msg.ToolCalls[i], at, i)
		if err != nil {
			return err
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		return nil // nothing was said
	}
	mark(blocks, msg.CacheControl)
	if n := len(m.turns); n == 0 || m.turns[n-1].role != "assistant" {
		clear(m.calls)
	}
	if m.calls == nil {
		m.calls = make(map[string]bool)
	}
	for i := range msg.ToolCalls {
		m.calls[msg.ToolCalls[i].ID] = true
	}
	t := m.in("assistant")
	t.said = append(t.said, blocks...)
	return nil
}

// signed reports whether a block of thinking can be sent back: Anthropic refuses one without its signature, such
// as another model's.
func signed(block []byte) bool {
	kind, signature := "", ""
	_ = eachMember(block, "", func(name string, value []byte) error {
		switch name {
		case "type":
			kind = string(unquoted(value))
		case "signature":
			signature = string(unquoted(value))
		}
		return nil
	})
	return kind == "redacted_thinking" || kind == "thinking" && signature != "" && !strings.HasPrefix(signature, geminiSignature)
}

// geminiSignature begins the signatures of thinking that are Gemini's.
const geminiSignature = "gemini:"

// toolUse writes a call. Its arguments must be an object, which is not changed: numbers stay exact.
func (m *messagesMaker) toolUse(call *ChatToolCall, at string, i int) (block, error) {
	input := strings.TrimSpace(call.Arguments)
	if input == "" {
		input = "{}"
	}
	if Members([]byte(input), all) != nil {
		at = index(at+".tool_calls", i) + ".function.arguments"
		return block{}, Invalid(at, "invalid_value", "'"+at+"' must be a JSON object.")
	}
	start := m.begin()
	w := &m.blocks
	w.literal(`{"type":"tool_use"`)
	w.member("id", toolID(call.ID))
	w.member("name", call.Name)
	w.key("input")
	w.literal(input)
	return m.end(start, nil), nil
}

func all([]byte, Span) bool { return true }

// toolID returns an ID of a call in the letters that Anthropic takes, which are fewer than others make them of. It
// is always the same for the same ID.
func toolID(id string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if strings.Trim(id, plain) == "" {
		return id
	}
	var b strings.Builder
	for _, c := range []byte(id) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// toolResult writes the result of a tool.
func (m *messagesMaker) toolResult(msg *ChatMessage, said []block) block {
	delete(m.calls, msg.ToolCallID) // one result each
	start := m.begin()
	w := &m.blocks
	w.literal(`{"type":"tool_result"`)
	w.member("tool_use_id", toolID(msg.ToolCallID))
	w.key("content")
	if msg.Text {
		w.raw(msg.Content[0].Quoted)
	} else {
		w.blocks(said)
	}
	for _, extra := range msg.Extra {
		if extra.Name == "is_error" && string(extra.Value) == "true" { // an extension
			w.key("is_error")
			w.literal("true")
		}
	}
	return m.end(start, msg.CacheControl)
}

// content writes the parts of a message, without the texts that are empty: Anthropic refuses those, and contents of nothing
// but space.
func (m *messagesMaker) content(msg *ChatMessage, at string) (blocks []block, err error) {
	system := msg.Role == "system" || msg.Role == "developer"
	if msg.Text && msg.Role == "tool" && m.calls[msg.ToolCallID] {
		return nil, nil // it is written as the string that it is
	}
	blank := true
	for i := range msg.Content {
		p := &msg.Content[i]
		isText := p.Type == "text" || p.Type == "refusal"
		if isText && !hasText(p.Quoted) {
			continue
		}
		b, err := m.part(p, at, i)
		switch {
		case err != nil:
			return nil, err
		case system && !isText:
			at = index(at+".content", i)
			return nil, Invalid(at+".type", "unsupported_parameter", "'"+at+".type' must be text in a message of the system.")
		case system && b.blank:
			continue
		}
		blank = blank && b.blank
		blocks = append(blocks, b)
	}
	if blank {
		return nil, nil
	}
	return blocks, nil
}

func (m *messagesMaker) part(p *ChatPart, at string, i int) (block, error) {
	if p.Type == "text" || p.Type == "refusal" {
		return textBlock(p.Quoted, p.CacheControl), nil
	}
	at = index(at+".content", i)
	switch p.Type {
	case "image_url":
		return m.imageBlock(p.URL, p.CacheControl, at+".image_url.url")
	case "file":
		return m.fileBlock(p.File, p.CacheControl, at+".file")
	case "input_audio":
		return block{}, Invalid(at, "unsupported_parameter", "'"+at+"' is sound, which this model does not take.")
	}
	return block{}, Invalid(at+".type", "unsupported_parameter", "'"+at+".type' is of a kind that this model does not take.")
}

var textHead = []byte(`{"type":"text","text":`)

func textBlock(quoted, cache json.RawMessage) block {
	return block{head: textHead, text: quoted, cache: cache, blank: isBlank(quoted)}
}

func (m *messagesMaker) writeTurns() {
	m.w.key("messages")
	m.w.open('[')
	for i := range m.turns {
		t := &m.turns[i]
		m.w.open('{')
		m.w.member("role", t.role)
		m.w.key("content")
		m.w.blocks(append(t.results, t.said...))
		m.w.close('}')
	}
	m.w.close(']')
}

func (w *writer) blocks(blocks []block) {
	w.open('[')
	for i := range blocks {
		b := &blocks[i]
		w.raw(b.head)
		w.b = append(w.b, b.text...)
		w.optional("cache_control", b.cache)
		w.close('}')
	}
	w.close(']')
}

// unfinishedWithoutThinking reports whether the model is to go on with a turn in which it has called tools and that has
// no thinking at its start, as clients lose that which do not know it. Anthropic refuses thinking with a budget then. The
// turn is all that it has said since the user did: it thinks first and calls then, again and again.
func (m *messagesMaker) unfinishedWithoutThinking() bool {
	first := len(m.turns) - 2
	if first < 0 || m.turns[first].role != "assistant" || len(m.turns[first+1].results) == 0 {
		return false
	}
	for first >= 2 && len(m.turns[first-1].results) > 0 && len(m.turns[first-1].said) == 0 {
		first -= 2
	}
	return !m.turns[first].said[0].thought
}
