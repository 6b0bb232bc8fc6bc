package dialect

import (
	"encoding/json"
	"fmt"
	"strings"
)

// turn is what one side says until the other does. Anthropic wants the results of tools first.
type turn struct {
	role    string
	results [][]byte
	blocks  [][]byte
}

// in returns the turn of a role that is under way, beginning it if the other side's is.
func (m *messagesMaker) in(role string) *turn {
	if n := len(m.turns); n == 0 || m.turns[n-1].role != role {
		m.turns = append(m.turns, turn{role: role})
	}
	return &m.turns[len(m.turns)-1]
}

func (m *messagesMaker) message(msg *ChatMessage, at string) error {
	switch msg.Role {
	case "system", "developer":
		return m.systemMessage(msg, at)
	case "user":
		return m.userMessage(msg, at)
	case "assistant":
		return m.assistantMessage(msg, at)
	default:
		return m.toolMessage(msg, at)
	}
}

// systemMessage puts what comes before the conversation into system. Later it keeps its place, as something that
// the user says: that it stands where it does may matter, and what thinking was signed with must not change.
func (m *messagesMaker) systemMessage(msg *ChatMessage, at string) error {
	blocks, err := m.content(msg, at)
	if err != nil {
		return err
	}
	if len(m.turns) == 0 {
		m.system = append(m.system, blocks...)
		return nil
	}
	if len(blocks) > 0 {
		t := m.in("user")
		t.blocks = append(t.blocks, blocks...)
	}
	return nil
}

func (m *messagesMaker) userMessage(msg *ChatMessage, at string) error {
	blocks, err := m.content(msg, at)
	if err != nil {
		return err
	}
	if len(blocks) == 0 {
		return Invalid(at+".content", "invalid_value", "'"+at+".content' is empty: this model needs something to answer.")
	}
	t := m.in("user")
	t.blocks = append(t.blocks, blocks...)
	return nil
}

// assistantMessage writes what the model has said: its thinking first and as it was, since it is signed.
func (m *messagesMaker) assistantMessage(msg *ChatMessage, at string) error {
	var blocks [][]byte
	for _, block := range msg.ThinkingBlocks {
		if signed(block) {
			blocks = append(blocks, block)
		}
	}
	content, err := m.content(msg, at)
	if err != nil {
		return err
	}
	blocks = append(blocks, content...)
	if msg.Refusal != "" && len(content) == 0 {
		blocks = append(blocks, textBlock(appendJSON(nil, msg.Refusal), nil))
	}
	calls := make(map[string]bool, len(msg.ToolCalls))
	for i := range msg.ToolCalls {
		call := &msg.ToolCalls[i]
		block, err := toolUse(call, index(at+".tool_calls", i))
		if err != nil {
			return err
		}
		calls[call.ID] = true
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		return nil // nothing was said
	}
	if n := len(m.turns); n == 0 || m.turns[n-1].role != "assistant" {
		m.calls = calls
	} else {
		for id := range calls {
			m.calls[id] = true
		}
	}
	t := m.in("assistant")
	t.blocks = append(t.blocks, blocks...)
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

// toolUse writes a call. Its arguments must be an object.
func toolUse(call *ChatToolCall, at string) ([]byte, error) {
	input := strings.TrimSpace(call.Arguments)
	if input == "" {
		input = "{}"
	}
	if Members([]byte(input), all) != nil {
		return nil, Invalid(at+".function.arguments", "invalid_value", "'"+at+".function.arguments' must be a JSON object.")
	}
	w := writer{b: make([]byte, 0, len(input)+100)}
	w.open('{')
	w.member("type", "tool_use")
	w.member("id", toolID(call.ID))
	w.member("name", call.Name)
	w.key("input")
	w.raw([]byte(input))
	w.close('}')
	return w.b, nil
}

func all([]byte, Span) bool { return true }

// toolID returns an ID of a call in the letters that Anthropic takes, which are fewer than others make them of. It
// is always the same for the same ID, and another for another.
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

// toolMessage writes the result of a tool. One of a call that is not the assistant's latest becomes something that
// the user says, as Anthropic refuses it otherwise.
func (m *messagesMaker) toolMessage(msg *ChatMessage, at string) error {
	last := len(m.turns) - 1
	if last >= 0 && m.turns[last].role == "user" {
		last--
	}
	blocks, err := m.content(msg, at)
	if err != nil {
		return err
	}
	if last < 0 || !m.calls[msg.ToolCallID] {
		if len(blocks) > 0 {
			t := m.in("user")
			t.blocks = append(t.blocks, blocks...)
		}
		return nil
	}
	delete(m.calls, msg.ToolCallID) // one result each
	w := writer{}
	w.open('{')
	w.member("type", "tool_result")
	w.member("tool_use_id", toolID(msg.ToolCallID))
	w.key("content")
	if msg.Text {
		w.raw(msg.Content[0].Quoted)
	} else {
		w.open('[')
		for _, block := range blocks {
			w.raw(block)
		}
		w.close(']')
	}
	w.optional("cache_control", msg.CacheControl)
	w.close('}')
	t := m.in("user")
	t.results = append(t.results, w.b)
	return nil
}

// content writes the parts of a message, without the texts that are empty: Anthropic refuses those.
func (m *messagesMaker) content(msg *ChatMessage, at string) (blocks [][]byte, err error) {
	for i := range msg.Content {
		p := &msg.Content[i]
		if (p.Type == "text" || p.Type == "refusal") && p.Text == "" {
			continue
		}
		cache := p.CacheControl
		if cache == nil && i == len(msg.Content)-1 && msg.Role != "tool" {
			cache = msg.CacheControl
		}
		partAt := at + ".content"
		if !msg.Text {
			partAt = index(partAt, i)
		}
		block, err := m.part(p, cache, partAt)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
	}
	if len(blocks) == 1 && strings.TrimSpace(msg.text()) == "" && isText(blocks[0]) {
		return nil, nil // nothing but space is refused as well
	}
	return blocks, nil
}

func isText(block []byte) bool { return strings.HasPrefix(string(block), `{"type":"text"`) }

func (m *messagesMaker) part(p *ChatPart, cache json.RawMessage, at string) ([]byte, error) {
	switch p.Type {
	case "text", "refusal":
		return textBlock(p.Quoted, cache), nil
	case "image_url":
		return imageBlock(p.URL, cache, at+".image_url.url")
	case "file":
		return fileBlock(p.File, cache, at+".file")
	case "input_audio":
		return nil, Invalid(at, "unsupported_parameter", "'"+at+"' is sound, which this model does not take.")
	}
	return nil, Invalid(at+".type", "unsupported_parameter", "'"+at+".type' is of a kind that this model does not take.")
}

func textBlock(quoted, cache json.RawMessage) []byte {
	w := writer{b: make([]byte, 0, len(quoted)+32)}
	w.open('{')
	w.member("type", "text")
	w.key("text")
	w.raw(quoted)
	w.optional("cache_control", cache)
	w.close('}')
	return w.b
}

// imageTypes are the images that Anthropic takes (base64_image_source_param).
var imageTypes = map[string]bool{"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true}

// dataURL splits a data URL with base64 into its media type and data.
func dataURL(url string) (media, data string, ok bool) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return "", "", false
	}
	head, data, ok := strings.Cut(rest, ",")
	media, encoded := strings.CutSuffix(head, ";base64")
	media, _, _ = strings.Cut(media, ";")
	return strings.ToLower(media), data, ok && encoded
}

func imageBlock(url string, cache json.RawMessage, at string) ([]byte, error) {
	media, data, ok := dataURL(url)
	switch {
	case ok && media == "application/pdf":
		return sourceBlock("document", "base64", media, data, "", cache), nil
	case ok && imageTypes[media]:
		return sourceBlock("image", "base64", media, data, "", cache), nil
	case ok, strings.HasPrefix(url, "data:"):
		return nil, Invalid(at, "invalid_value", "'"+at+"' must be an image of the type JPEG, PNG, GIF or WebP, or a PDF, in base64.")
	case !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://"):
		return nil, Invalid(at, "invalid_value", "'"+at+"' must begin with https:// or data:.")
	}
	path, _, _ := strings.Cut(url, "?")
	if strings.HasSuffix(strings.ToLower(path), ".pdf") {
		return sourceBlock("document", "url", "", url, "", cache), nil
	}
	return sourceBlock("image", "url", "", url, "", cache), nil
}

// sourceBlock writes an image or a document.
func sourceBlock(kind, source, media, data, title string, cache json.RawMessage) []byte {
	w := writer{b: make([]byte, 0, len(data)+128)}
	w.open('{')
	w.member("type", kind)
	w.key("source")
	w.open('{')
	w.member("type", source)
	if source == "url" {
		w.member("url", data)
	} else {
		w.member("media_type", media)
		w.member("data", data)
	}
	w.close('}')
	if title != "" {
		w.member("title", title)
	}
	w.optional("cache_control", cache)
	w.close('}')
	return w.b
}

func fileBlock(file, cache json.RawMessage, at string) ([]byte, error) {
	var data, name, id string
	err := eachMember(file, at, func(member string, value []byte) (err error) {
		switch member {
		case "file_data":
			data, err = readText(value, at+".file_data")
		case "filename":
			name, err = readText(value, at+".filename")
		case "file_id":
			id, err = readText(value, at+".file_id")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	media, encoded, ok := dataURL(data)
	switch {
	case id != "" && data == "":
		return nil, Invalid(at+".file_id", "unsupported_parameter", "'"+at+".file_id' is a file at OpenAI, which this model cannot read: send file_data.")
	case ok && media == "application/pdf":
		return sourceBlock("document", "base64", media, encoded, name, cache), nil
	case ok && imageTypes[media]:
		return sourceBlock("image", "base64", media, encoded, "", cache), nil
	}
	return nil, Invalid(at+".file_data", "invalid_value", "'"+at+".file_data' must be a data URL with a PDF in base64.")
}

func (m *messagesMaker) writeTurns() {
	m.w.key("messages")
	m.w.open('[')
	for i := range m.turns {
		t := &m.turns[i]
		m.w.open('{')
		m.w.member("role", t.role)
		m.w.key("content")
		m.w.open('[')
		for _, block := range t.results {
			m.w.raw(block)
		}
		for _, block := range t.blocks {
			m.w.raw(block)
		}
		m.w.close(']')
		m.w.close('}')
	}
	m.w.close(']')
}

// unfinishedWithoutThinking reports whether the model is to go on with a turn in which it has called tools and that has
// no thinking at its start, as clients lose that which do not know it. Anthropic refuses thinking with a budget then.
func (m *messagesMaker) unfinishedWithoutThinking() bool {
	last := len(m.turns) - 2
	if last < 0 || m.turns[last].role != "assistant" || len(m.turns[last+1].results) == 0 {
		return false
	}
	return !signed(m.turns[last].blocks[0])
}
