package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// messagesTurn is what one side says until the other does: Anthropic takes several messages of one role for one.
type messagesTurn struct {
	role     string
	parts    []ChatPart
	results  []ChatMessage // of tools, which come first
	media    []ChatPart    // of results, which have no place for them
	calls    []ChatToolCall
	thinking []json.RawMessage
	reasons  joined
}

// in begins the turn of a role if another is under way.
func (m *messagesReader) in(role string) {
	if m.turn.role != role {
		m.flush()
		m.turn.role = role
	}
}

// flush writes the turn that is under way.
func (m *messagesReader) flush() {
	t := &m.turn
	switch t.role {
	case "assistant":
		m.calls = make(map[string]string, len(t.calls))
		for _, call := range t.calls {
			m.calls[call.ID] = call.Name
		}
		if len(t.parts) > 0 || len(t.calls) > 0 || len(t.thinking) > 0 && m.t.Between {
			m.r.Messages = append(m.r.Messages, ChatMessage{
				Role: "assistant", Content: t.parts, ToolCalls: t.calls, ThinkingBlocks: t.thinking, ReasoningContent: t.reasons.String(),
			})
		}
	case "user":
		m.r.Messages = append(m.r.Messages, t.results...)
		if parts := slices.Concat(t.media, t.parts); len(parts) > 0 || len(t.results) == 0 {
			m.r.Messages = append(m.r.Messages, ChatMessage{Role: "user", Content: parts})
		}
	}
	m.turn = messagesTurn{}
}

func (m *messagesReader) message(i int, value []byte) error {
	at := index("messages", i)
	role := ""
	var content []byte
	err := eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "role":
			role, err = readText(value, at+".role")
		case "content":
			content = value
		}
		return err
	})
	if err != nil {
		return err
	}
	at += ".content"
	switch role {
	case "user", "assistant":
		m.in(role)
		return m.content(content, at)
	case "system": // which Anthropic does not have, but some of its clients do
		parts, err := m.systemParts(content, at)
		if len(parts) > 0 {
			m.flush()
			m.r.Messages = append(m.r.Messages, ChatMessage{Role: "system", Content: parts})
		}
		return err
	}
	return Invalid(index("messages", i)+".role", "invalid_value", "'"+index("messages", i)+".role' must be user or assistant.")
}

// content reads what a message says: a string or blocks.
func (m *messagesReader) content(value []byte, at string) error {
	switch {
	case isNull(value):
		return missing(at)
	case value[0] == '"':
		m.say(cachedText(value, nil))
		return nil
	case value[0] != '[':
		return Invalid(at, "invalid_type", "'"+at+"' must be a string or an array of blocks.")
	}
	return eachElement(value, at, func(i int, value []byte) error {
		at := index(at, i)
		b, err := readMessagesBlock(value, at)
		if err != nil {
			return err
		}
		if m.turn.role == "assistant" {
			return m.assistantBlock(&b, at)
		}
		if b.kind == "tool_result" {
			return m.toolResult(&b, at)
		}
		parts, err := m.userParts(&b, at)
		m.say(parts...)
		return err
	})
}

// say adds parts to the turn, without texts that are empty.
func (m *messagesReader) say(parts ...ChatPart) {
	for _, p := range parts {
		if p.Type != "text" || len(p.Quoted) > 2 {
			m.turn.parts = append(m.turn.parts, p)
		}
	}
}

func cachedText(quoted, cache json.RawMessage) ChatPart {
	return ChatPart{Type: "text", Quoted: quoted, CacheControl: cache}
}

// messagesBlock is a block of content. The values are as they were written.
type messagesBlock struct {
	raw                                       []byte
	kind, id, name, toolUseID                 string
	text, thinking, input, content, source    []byte
	title, context, citations, cache, isError []byte
}

func readMessagesBlock(value []byte, at string) (b messagesBlock, err error) {
	b.raw = value
	err = eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "type":
			b.kind, err = readText(value, at+".type")
		case "id":
			b.id, err = readText(value, at+".id")
		case "name":
			b.name, err = readText(value, at+".name")
		case "tool_use_id":
			b.toolUseID, err = readText(value, at+".tool_use_id")
		case "text":
			b.text, err = stringOf(value, at+".text")
		case "thinking":
			b.thinking, err = stringOf(value, at+".thinking")
		case "input":
			b.input = present(value)
		case "content":
			b.content = present(value)
		case "source":
			b.source = present(value)
		case "title":
			b.title, err = stringOf(value, at+".title")
		case "context":
			b.context, err = stringOf(value, at+".context")
		case "citations":
			b.citations = present(value)
		case "cache_control":
			b.cache = present(value)
		case "is_error":
			b.isError = value
		}
		return err
	})
	if err == nil && b.kind == "" {
		err = missing(at + ".type")
	}
	return b, err
}

// stringOf returns a string as it was written, nothing for null.
func stringOf(value []byte, param string) ([]byte, error) {
	if isNull(value) {
		return nil, nil
	}
	if value[0] != '"' {
		return nil, Invalid(param, "invalid_type", "'"+param+"' must be a string.")
	}
	return value, nil
}

// noBlock returns the error for a block that has no counterpart.
func noBlock(b *messagesBlock, at string) *Error {
	return Invalid(at+".type", "unsupported_parameter", "'"+at+"' is a block that this model does not take: only Anthropic's know "+known(b.kind)+".")
}

// known returns the type of a block or a tool for an error, unless it is too odd for one.
func known(kind string) string {
	if len(kind) > 64 || !utf8.ValidString(kind) {
		return "it"
	}
	return Quote(kind)
}

func (m *messagesReader) assistantBlock(b *messagesBlock, at string) error {
	switch b.kind {
	case "text":
		if b.text == nil {
			return missing(at + ".text")
		}
		m.say(cachedText(b.text, b.cache))
	case "thinking", "redacted_thinking":
		m.turn.thinking = append(m.turn.thinking, b.raw)
		if m.t.Quirks != nil && m.t.Quirks.ReasoningBack {
			m.turn.reasons.add(string(unquoted(b.thinking)))
		}
	case "tool_use":
		return m.toolUse(b, at)
	default:
		return noBlock(b, at)
	}
	return nil
}

func (m *messagesReader) toolUse(b *messagesBlock, at string) error {
	switch {
	case b.id == "":
		return missing(at + ".id")
	case b.name == "":
		return missing(at + ".name")
	case b.input != nil && b.input[0] != '{':
		return Invalid(at+".input", "invalid_type", "'"+at+".input' must be an object.")
	}
	call := ChatToolCall{Name: m.names.short(b.name), Arguments: "{}"}
	call.ID, call.ExtraContent = splitID(b.id)
	if b.input != nil {
		call.Arguments = string(compact(b.input))
	}
	m.turn.calls = append(m.turn.calls, call)
	return nil
}

// toolResult reads a result. One of a call that is not the assistant's latest becomes something that the user says, as
// servers refuse it otherwise.
func (m *messagesReader) toolResult(b *messagesBlock, at string) error {
	if b.toolUseID == "" {
		return missing(at + ".tool_use_id")
	}
	parts, err := m.resultParts(b, at)
	if err != nil {
		return err
	}
	if string(b.isError) == "true" {
		parts = asError(parts)
	}
	id, _ := splitID(b.toolUseID)
	name, called := m.calls[id]
	if !called {
		m.say(parts...)
		return nil
	}
	delete(m.calls, id) // one result each
	result := ChatMessage{Role: "tool", ToolCallID: id, Content: parts, CacheControl: b.cache}
	if !m.t.Between {
		var media []ChatPart
		result.Content, media = apart(parts, name)
		m.turn.media = append(m.turn.media, media...)
	}
	m.turn.results = append(m.turn.results, result)
	return nil
}

// apart returns what the message of a tool has room for of a result, which is text, and the rest, for the user to show.
func apart(parts []ChatPart, name string) (result, media []ChatPart) {
	if !slices.ContainsFunc(parts, func(p ChatPart) bool { return p.Type != "text" }) {
		return parts, nil
	}
	media = append(media, cachedText(appendJSON(nil, "The result of "+name+":"), nil))
	for _, p := range parts {
		if p.Type == "text" {
			result = append(result, p)
		} else {
			media = append(media, p)
		}
	}
	if len(result) == 0 {
		result = []ChatPart{cachedText(json.RawMessage(`"The result is in the message that follows."`), nil)}
	}
	return result, media
}

func (m *messagesReader) resultParts(b *messagesBlock, at string) (parts []ChatPart, err error) {
	at += ".content"
	switch {
	case b.content == nil:
		return nil, nil
	case b.content[0] == '"':
		return []ChatPart{cachedText(b.content, nil)}, nil
	}
	err = eachElement(b.content, at, func(i int, value []byte) error {
		at := index(at, i)
		b, err := readMessagesBlock(value, at)
		if err != nil {
			return err
		}
		more, err := m.userParts(&b, at)
		parts = append(parts, more...)
		return err
	})
	return parts, err
}

// asError marks a result as the failure that is_error says it is, for which a tool's message has no place.
func asError(parts []ChatPart) []ChatPart {
	i := slices.IndexFunc(parts, func(p ChatPart) bool { return p.Type == "text" })
	if i < 0 {
		return slices.Insert(parts, 0, cachedText(json.RawMessage(`"Error"`), nil))
	}
	parts[i].Quoted = append([]byte(`"Error: `), parts[i].Quoted[1:]...)
	return parts
}

// systemParts reads what the system says. Blocks with which Anthropic's clients tell it whom to bill are left out: they
// change from one request to the next.
func (m *messagesReader) systemParts(value []byte, at string) (parts []ChatPart, err error) {
	add := func(quoted, cache []byte) {
		if len(quoted) > 2 && !bytes.HasPrefix(quoted, []byte(`"x-anthropic-billing-header:`)) {
			parts = append(parts, cachedText(quoted, cache))
		}
	}
	switch {
	case isNull(value):
		return nil, nil
	case value[0] == '"':
		add(value, nil)
		return parts, nil
	case value[0] != '[':
		return nil, Invalid(at, "invalid_type", "'"+at+"' must be a string or an array of blocks.")
	}
	err = eachElement(value, at, func(i int, value []byte) error {
		at := index(at, i)
		b, err := readMessagesBlock(value, at)
		switch {
		case err != nil:
			return err
		case b.kind != "text":
			return Invalid(at+".type", "unsupported_parameter", "'"+at+".type' must be text.")
		}
		add(b.text, b.cache)
		return nil
	})
	return parts, err
}

// packSignature writes a signature with the letters that an ID may have, and unpackSignature reads it.
func packSignature(signature string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(signature))
}

func unpackSignature(packed string) (string, bool) {
	signature, err := base64.RawURLEncoding.DecodeString(packed)
	return string(signature), err == nil && len(signature) > 0 && utf8.Valid(signature)
}
