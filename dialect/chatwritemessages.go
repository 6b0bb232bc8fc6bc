package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// writeMessages writes the conversation. The results of tools directly follow their calls, so that a system message
// between the two comes after them.
func (m *chatMaker) writeMessages() {
	w := &m.w
	w.key("messages")
	w.open('[')
	all := m.r.Messages
	if m.quirks.OneSystem {
		all = m.writeOneSystem()
	}
	if m.quirks.Alternate {
		all = takingTurns(all)
	}
	var held []*ChatMessage
	last := ""
	results := resultsAhead{all: all}
	for i := range all {
		msg := &all[i]
		role := m.role(msg)
		if isSystem(msg.Role) && i+1 < len(all) && (len(held) > 0 || i > 0) && results.follow(i) {
			held = append(held, msg)
			continue
		}
		if role != "tool" {
			for _, h := range held {
				last = m.writeMessage(h, m.role(h), last)
			}
			held = held[:0]
		}
		last = m.writeMessage(msg, role, last)
	}
	for _, h := range held {
		last = m.writeMessage(h, m.role(h), last)
	}
	w.close(']')
}

// takingTurns returns messages of which no two of users, or of an assistant that calls no tools, follow each other. A system message
// after the first of them is what the user says, and does not part a call from its result.
func takingTurns(all []ChatMessage) (turns []ChatMessage) {
	merged := -1 // the last turn that is of several messages, so that its content is a copy
	var refusal joined
	end := func() {
		if merged >= 0 && merged == len(turns)-1 {
			turns[merged].Refusal = refusal.String()
		}
	}
	put := func(msg ChatMessage) {
		n := len(turns)
		if n == 0 || turns[n-1].Role != msg.Role || msg.Role != "user" && msg.Role != "assistant" || len(turns[n-1].ToolCalls)+len(msg.ToolCalls) > 0 {
			end()
			turns = append(turns, msg)
			return
		}
		last := &turns[n-1]
		if merged != n-1 {
			merged, last.Content, last.Text = n-1, slices.Clip(last.Content), false
			refusal = joined{one: last.Refusal}
		}
		last.Content = append(last.Content, msg.Content...)
		refusal.add(msg.Refusal)
	}
	var held []ChatMessage
	results := resultsAhead{all: all}
	for i, msg := range all {
		if isSystem(msg.Role) && len(turns) > 0 && !isSystem(turns[len(turns)-1].Role) {
			msg.Role = "user"
			if results.follow(i) {
				held = append(held, msg)
				continue
			}
		}
		if msg.Role != "tool" {
			for _, h := range held {
				put(h)
			}
			held = held[:0]
		}
		put(msg)
	}
	for _, h := range held {
		put(h)
	}
	end()
	return turns
}

// resultsAhead tells of each message in turn what comes after it.
type resultsAhead struct {
	all  []ChatMessage
	next int // the first after the latest that is not the system's
}

// follow reports whether the first message after the one with a number that is not the system's is the result of a tool.
func (r *resultsAhead) follow(i int) bool {
	for r.next = max(r.next, i+1); r.next < len(r.all) && isSystem(r.all[r.next].Role); {
		r.next++
	}
	return r.next < len(r.all) && r.all[r.next].Role == "tool"
}

func isSystem(role string) bool { return role == "system" || role == "developer" }

// role returns the role that a message is given. Where there may be one system message, which has been written,
// a later one is what the user says: it keeps its place, which may matter.
func (m *chatMaker) role(msg *ChatMessage) string {
	switch {
	case isSystem(msg.Role) && m.quirks.OneSystem:
		return "user"
	case msg.Role == "developer" && m.quirks.SystemRole:
		return "system"
	}
	return msg.Role
}

// writeOneSystem writes the system messages with which a conversation begins as one, and returns the others.
func (m *chatMaker) writeOneSystem() []ChatMessage {
	all := m.r.Messages
	n := 0
	var parts []ChatPart
	for n < len(all) && isSystem(all[n].Role) {
		parts = append(parts, all[n].Content...)
		n++
	}
	if n > 0 {
		_ = m.writeMessage(&ChatMessage{Role: "system", Content: parts}, "system", "")
	}
	return all[n:]
}

// writeMessage writes a message after one of the role last, and returns its role.
func (m *chatMaker) writeMessage(msg *ChatMessage, role, last string) string {
	w := &m.w
	if m.quirks.NoUserAfterTool && last == "tool" && role == "user" {
		w.literal(`{"role":"assistant","content":"OK."}`)
	}
	w.open('{')
	w.member("role", role)
	if msg.Name != "" {
		w.member("name", msg.Name)
	}
	w.key("content")
	m.writeContent(msg)
	if msg.ToolCallID != "" {
		w.member("tool_call_id", m.toolID(msg.ToolCallID))
	}
	if msg.Refusal != "" {
		w.member("refusal", msg.Refusal)
	}
	m.writeReasoning(msg)
	if len(msg.ToolCalls) > 0 {
		w.key("tool_calls")
		w.open('[')
		for i := range msg.ToolCalls {
			m.writeToolCall(&msg.ToolCalls[i])
		}
		w.close(']')
	}
	if m.t.Between {
		w.optional("cache_control", msg.CacheControl)
		w.members(msg.Extra)
	}
	w.close('}')
	return role
}

// writeReasoning writes what an assistant has thought, which most servers refuse.
func (m *chatMaker) writeReasoning(msg *ChatMessage) {
	w := &m.w
	switch {
	case m.t.Between:
		if msg.ReasoningContent != "" {
			w.member("reasoning_content", msg.ReasoningContent)
		}
		if len(msg.ThinkingBlocks) > 0 {
			w.key("thinking_blocks")
			w.open('[')
			for _, block := range msg.ThinkingBlocks {
				w.raw(block)
			}
			w.close(']')
		}
	case m.quirks.ReasoningBack && len(msg.ToolCalls) > 0: // even that there is none is better said
		w.member("reasoning_content", msg.ReasoningContent)
	}
}

func (m *chatMaker) writeToolCall(call *ChatToolCall) {
	w := &m.w
	w.open('{')
	w.member("id", m.toolID(call.ID))
	w.member("type", "function")
	w.key("function")
	w.open('{')
	w.member("name", call.Name)
	w.member("arguments", call.Arguments)
	w.close('}')
	if m.t.Between || slices.Contains(m.quirks.Extensions, "extra_content") {
		w.optional("extra_content", call.ExtraContent)
	}
	w.close('}')
}

// maxToolID is how long the ID of a call may be at OpenAI, in bytes.
const maxToolID = 40

// toolID returns the ID by which the server knows a call. Where that cannot be the client's it is made from it, so
// that it is the same wherever it stands, in this request and in later ones.
func (m *chatMaker) toolID(id string) string {
	switch {
	case m.quirks.ToolIDs9:
		if len(id) == 9 && strings.IndexFunc(id, func(r rune) bool { return !isAlphanumeric(r) }) < 0 {
			return id
		}
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(id))
		digits := strconv.FormatUint(hash.Sum64(), 36) // of which the last are evenly spread
		return strings.Repeat("0", max(0, 9-len(digits))) + digits[max(0, len(digits)-9):]
	case len(id) > maxToolID && !m.t.Between:
		sum := sha256.Sum256([]byte(id))
		return "call_" + hex.EncodeToString(sum[:12])
	}
	return id
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// writeContent writes what a message says: as a string if it is text, which every server takes, else as parts.
func (m *chatMaker) writeContent(msg *ChatMessage) {
	w := &m.w
	switch {
	case len(msg.Content) == 0:
		if msg.Role == "assistant" && (len(msg.ToolCalls) > 0 || msg.Refusal != "") {
			w.literal("null")
		} else {
			w.text("")
		}
	case m.isText(msg):
		w.separate()
		w.b = append(w.b, '"')
		for i := range msg.Content {
			if i > 0 && msg.Role != "assistant" { // whose texts are pieces of one
				w.b = append(w.b, `\n\n`...)
			}
			quoted := msg.Content[i].quoted()
			w.b = append(w.b, quoted[1:len(quoted)-1]...)
		}
		w.b = append(w.b, '"')
	default:
		w.open('[')
		for i := range msg.Content {
			m.writePart(&msg.Content[i])
		}
		w.close(']')
	}
}

// isText reports whether a message is written as a string. Between two translations parts stay apart.
func (m *chatMaker) isText(msg *ChatMessage) bool {
	if m.t.Between && !msg.Text {
		return false
	}
	return !slices.ContainsFunc(msg.Content, func(p ChatPart) bool { return p.Type != "text" })
}

// quoted returns the text of a part as JSON.
func (p *ChatPart) quoted() json.RawMessage {
	if len(p.Quoted) > 0 {
		return p.Quoted
	}
	return json.RawMessage(`""`)
}

func (m *chatMaker) writePart(p *ChatPart) {
	w := &m.w
	if p.Type == "image_url" && p.URL == "" || p.Type != "text" && p.Type != "refusal" && p.Type != "image_url" && p.Type != "file" && p.Type != "input_audio" {
		w.raw(p.Raw)
		return
	}
	w.open('{')
	w.member("type", p.Type)
	switch p.Type {
	case "text", "refusal":
		w.optional(p.Type, p.quoted())
	case "image_url":
		w.key("image_url")
		w.open('{')
		w.member("url", p.URL)
		if p.Detail != "" {
			w.member("detail", p.Detail)
		}
		w.close('}')
	case "file":
		w.optional("file", p.File)
	case "input_audio":
		w.optional("input_audio", p.Audio)
	}
	if m.t.Between {
		w.optional("cache_control", p.CacheControl)
	}
	w.close('}')
}
