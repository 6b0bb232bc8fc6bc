package dialect

import (
	"strconv"
	"strings"
)

func (r *chatReader) message(i int) error {
	m := &messageReader{scanner: &r.scanner, param: index("messages", i)}
	if err := m.eachMember(m.param, m.member); err != nil {
		return err
	}
	if m.call != nil {
		if r.named == nil {
			r.named = make(map[string]int)
		}
		r.named[m.call.Name]++
		m.call.ID = r.functionID(m.call.Name)
		m.ToolCalls = append(m.ToolCalls, *m.call)
	}
	switch m.Role {
	case "system", "developer", "user", "assistant":
	case "tool":
		if m.ToolCallID == "" {
			return missing(m.param + ".tool_call_id")
		}
	case "function": // the answer to a function_call
		if m.Name == "" {
			return missing(m.param + ".name")
		}
		m.Role, m.ToolCallID, m.Name = "tool", r.functionID(m.Name), ""
	case "":
		return missing(m.param + ".role")
	default:
		return Invalid(m.param+".role", "invalid_value", "'"+m.param+".role' must be one of system, developer, user, assistant and tool.")
	}
	r.Messages = append(r.Messages, m.ChatMessage)
	return nil
}

// functionID returns the ID of the latest call of a function in the deprecated form: each has another, as providers want it.
func (r *chatReader) functionID(name string) string {
	if n := r.named[name]; n > 1 {
		return "call_" + name + "_" + strconv.Itoa(n)
	}
	return "call_" + name
}

// messageReader reads a message.
type messageReader struct {
	*scanner
	ChatMessage
	param string
	call  *ChatToolCall // function_call, which is deprecated
}

func (m *messageReader) member(name string) error {
	at := m.param + "." + name
	if name == "content" && m.peek() == '[' {
		return m.parts(at)
	}
	value, err := m.take()
	if err != nil {
		return err
	}
	switch name {
	case "role":
		m.Role, err = readText(value, at)
	case "name":
		m.Name, err = readText(value, at)
	case "content":
		err = m.content(value, at)
	case "tool_calls":
		err = m.toolCalls(value, at)
	case "function_call":
		err = m.functionCall(value, at)
	case "tool_call_id":
		m.ToolCallID, err = readText(value, at)
	case "refusal":
		m.Refusal, err = readText(value, at)
	case "reasoning_content", "reasoning":
		var text string
		if len(value) > 0 && value[0] == '"' {
			text, err = readText(value, at)
		}
		if text != "" {
			m.ReasoningContent = text
		}
	case "thinking_blocks":
		if !isNull(value) {
			err = eachElement(value, at, func(i int, block []byte) error {
				if block[0] != '{' {
					return Invalid(index(at, i), "invalid_type", "'"+index(at, i)+"' must be an object.")
				}
				m.ThinkingBlocks = append(m.ThinkingBlocks, block)
				return nil
			})
		}
	case "cache_control":
		m.CacheControl = present(value)
	default:
		if !isNull(value) {
			m.Extra = append(m.Extra, Member{name, value})
		}
	}
	return err
}

func (m *messageReader) content(value []byte, at string) error {
	m.Content, m.Text = nil, false
	switch {
	case isNull(value):
		return nil
	case value[0] == '"':
		m.Text = true
		m.Content = append(m.Content, ChatPart{Type: "text", Quoted: value, Raw: value})
		return nil
	}
	return Invalid(at, "invalid_type", "'"+at+"' must be a string or an array of parts.")
}

// parts reads a content that is an array.
func (m *messageReader) parts(at string) error {
	m.Content, m.Text = nil, false
	return m.eachElement(at, func(i int) error {
		part, err := m.part(at, i)
		if part.Type == "thinking" || part.Type == "redacted_thinking" { // as some clients send Anthropic's blocks back
			m.ThinkingBlocks = append(m.ThinkingBlocks, part.Raw)
			return err
		}
		m.Content = append(m.Content, part)
		return err
	})
}

// part reads the part with a number of a message's content.
func (m *messageReader) part(in string, i int) (part ChatPart, err error) {
	start := m.at
	if m.peek() != '{' {
		return part, Invalid(index(in, i), "invalid_type", "'"+index(in, i)+"' must be an object.")
	}
	err = m.eachMember(in, func(name string) error {
		value, err := m.take()
		if err != nil {
			return err
		}
		return part.member(name, value, in, i)
	})
	part.Raw = m.data[start:m.at]
	if err == nil && part.Type == "" {
		err = missing(index(in, i) + ".type")
	}
	return part, err
}

func (p *ChatPart) member(name string, value []byte, in string, i int) (err error) {
	switch name {
	case "type", "text", "refusal":
		if isNull(value) {
			return nil
		}
		if value[0] != '"' {
			at := index(in, i) + "." + name
			return Invalid(at, "invalid_type", "'"+at+"' must be a string.")
		}
		if name == "type" {
			p.Type = string(unquoted(value))
			return nil
		}
		p.Quoted = value
	case "image_url":
		err = p.readImage(value, index(in, i)+".image_url")
	case "file":
		p.File = present(value)
	case "input_audio":
		p.Audio = present(value)
	case "cache_control":
		p.CacheControl = present(value)
	}
	return err
}

func (p *ChatPart) readImage(value []byte, at string) (err error) {
	if len(value) > 0 && value[0] == '"' { // not OpenAI's, but common
		p.URL = string(unquoted(value))
		return nil
	}
	return eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "url":
			p.URL, err = readText(value, at+".url")
		case "detail":
			p.Detail, err = readText(value, at+".detail")
		}
		return err
	})
}

func (m *messageReader) toolCalls(value []byte, at string) error {
	if isNull(value) {
		return nil
	}
	return eachElement(value, at, func(i int, value []byte) error {
		var call ChatToolCall
		at := index(at, i)
		kind := ""
		err := eachMember(value, at, func(name string, value []byte) (err error) {
			switch name {
			case "type":
				kind, err = readText(value, at+".type")
			case "id":
				call.ID, err = readText(value, at+".id")
			case "function":
				err = call.readFunction(value, at+".function")
			case "extra_content":
				call.ExtraContent = present(value)
			}
			return err
		})
		switch {
		case err != nil:
		case kind != "" && kind != "function":
			err = Invalid(at+".type", "unsupported_tool", "'"+at+".type' must be function: this model knows no other tools.")
		case call.ID == "":
			err = missing(at + ".id")
		case call.Name == "":
			err = missing(at + ".function.name")
		}
		m.ToolCalls = append(m.ToolCalls, call)
		return err
	})
}

func (c *ChatToolCall) readFunction(value []byte, at string) error {
	err := eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "name":
			c.Name, err = readText(value, at+".name")
		case "arguments":
			c.Arguments, err = readText(value, at+".arguments")
		}
		return err
	})
	if err == nil && c.Name == "" {
		err = missing(at + ".name")
	}
	return err
}

func (m *messageReader) functionCall(value []byte, at string) error {
	if isNull(value) {
		return nil
	}
	m.call = new(ChatToolCall)
	return m.call.readFunction(value, at)
}

// said returns the text of a part.
func (p *ChatPart) said() string { return string(unquoted(p.Quoted)) }

// text returns what a message says, its parts of text joined.
func (m *ChatMessage) text() string {
	if len(m.Content) == 1 {
		return m.Content[0].said()
	}
	var b strings.Builder
	for _, p := range m.Content {
		b.WriteString(p.said())
	}
	return b.String()
}
