package dialect

import (
	"encoding/json"
	"slices"
)

// writeTools writes the tools and how the model may choose among them.
func (m *messagesMaker) writeTools() error {
	if err := m.allow(); err != nil {
		return err
	}
	choice := m.toolChoice()
	if len(m.tools) == 0 && m.jsonTool == "" && m.search == nil {
		if m.tools = m.calledTools(); len(m.tools) == 0 {
			return nil
		}
		choice = `{"type":"none"}` // Anthropic wants to know tools that were called, even if none may be
	}
	if m.search != nil && choice == `{"type":"none"}` { // it forbids that as well
		m.adjust("web_search_options")
		m.search = nil
	}
	m.w.key("tools")
	m.w.open('[')
	for i := range m.tools {
		m.writeTool(&m.tools[i])
	}
	if m.jsonTool != "" {
		m.writeTool(&ChatTool{Name: m.jsonTool, Description: "Give the answer through this tool.", Parameters: m.schema})
	}
	if m.search != nil {
		if err := m.writeSearch(); err != nil {
			return err
		}
	}
	m.w.close(']')
	if choice != "" {
		m.w.key("tool_choice")
		m.w.literal(choice)
	}
	return nil
}

// calledTools returns the tools that the conversation has called, of which nothing but the name is known.
func (m *messagesMaker) calledTools() (tools []ChatTool) {
	var seen nameSet
	for _, msg := range m.r.Messages {
		for _, call := range msg.ToolCalls {
			if seen.add(call.Name) {
				tools = append(tools, ChatTool{Name: call.Name})
			}
		}
	}
	return tools
}

func (m *messagesMaker) writeTool(t *ChatTool) {
	m.w.open('{')
	m.w.member("name", t.Name)
	if t.Description != "" {
		m.w.member("description", t.Description)
	}
	m.w.key("input_schema")
	schema := inputSchema(t.Parameters)
	strict := t.Strict != nil && *t.Strict && m.model.structured
	if strict {
		schema = claudeSchema(schema)
	}
	m.w.raw(schema)
	if strict {
		m.w.key("strict")
		m.w.literal("true")
	} else if t.Strict != nil && *t.Strict {
		m.adjust("tools.strict")
	}
	m.w.optional("cache_control", t.CacheControl)
	m.w.close('}')
}

// inputSchema returns a schema with the members that Anthropic requires, and otherwise as it was written.
func inputSchema(schema json.RawMessage) []byte {
	if schema == nil {
		return []byte(`{"type":"object","properties":{}}`)
	}
	hasType, hasProperties := false, false
	_ = Members(schema, func(key []byte, at Span) bool {
		given := !isNull(schema[at.Start:at.End])
		hasType = hasType || given && string(key) == `"type"`
		hasProperties = hasProperties || given && string(key) == `"properties"`
		return true
	})
	if hasType && hasProperties {
		return schema
	}
	w := writer{b: make([]byte, 0, len(schema)+40)}
	w.open('{')
	if !hasType {
		w.member("type", "object")
		if !hasProperties {
			w.key("properties")
			w.literal("{}")
		}
	}
	_ = eachMember(schema, "", func(name string, value []byte) error {
		if name != "type" && name != "properties" || !isNull(value) {
			w.key(name)
			w.raw(value)
		}
		return nil
	})
	if hasType {
		w.key("properties")
		w.literal("{}")
	}
	w.close('}')
	return w.b
}

// writeSearch writes Anthropic's own search of the web, for OpenAI's web_search_options.
func (m *messagesMaker) writeSearch() error {
	m.w.open('{')
	m.w.member("type", "web_search_20250305")
	m.w.member("name", "web_search")
	err := eachMember(m.search, "web_search_options", func(name string, value []byte) error {
		switch {
		case name == "search_context_size":
			m.adjust("web_search_options.search_context_size")
		case name == "user_location" && !isNull(value):
			return eachMember(value, "web_search_options.user_location", m.writeLocation)
		}
		return nil
	})
	m.w.close('}')
	return err
}

func (m *messagesMaker) writeLocation(name string, value []byte) error {
	if name != "approximate" || isNull(value) {
		return nil
	}
	m.w.key("user_location")
	m.w.open('{')
	m.w.member("type", "approximate")
	err := eachMember(value, "web_search_options.user_location.approximate", func(name string, value []byte) error {
		switch name {
		case "city", "country", "region", "timezone":
			m.w.optional(name, present(value))
		}
		return nil
	})
	m.w.close('}')
	return err
}

// toolChoice is a tool_choice.
type toolChoice struct {
	kind    string   // auto, none, required, function or allowed_tools
	name    string   // of the function
	mode    string   // of allowed_tools: auto or required
	allowed []string // names
	// forces is what it demands that leaves the model no choice, "" if it does not.
	forces string
}

// readChoice reads the tool_choice. Without tools it says nothing, unless it demands one.
func (m *messagesMaker) readChoice() error {
	raw := m.r.ToolChoice
	if raw == nil {
		return nil
	}
	c := &m.choice
	if raw[0] == '"' {
		c.kind = string(unquoted(raw))
	} else {
		var err error
		if *c, err = readToolChoice(raw); err != nil {
			return err
		}
	}
	switch {
	case c.kind == "auto" || c.kind == "none":
	case c.kind == "required":
		c.forces = "required"
	case c.kind == "function" && raw[0] == '{':
		if c.name == "" {
			return missing("tool_choice.function.name")
		}
		c.forces = "a function"
	case c.kind == "allowed_tools" && raw[0] == '{':
		if c.mode == "required" {
			c.forces = "required"
		}
	case raw[0] == '{':
		return Invalid("tool_choice.type", "unsupported_parameter", "'tool_choice.type' must be function or allowed_tools for this model.")
	default:
		return Invalid("tool_choice", "invalid_value", "'tool_choice' must be none, auto, required or an object.")
	}
	search := m.search != nil && m.t.Behind != "" && c.kind == "required" // it is one of the tools there
	if c.forces != "" && len(m.tools) == 0 && !search {
		return Invalid("tool_choice", "invalid_value", "'tool_choice' demands a tool, and there is none in 'tools'.")
	}
	return nil
}

// readToolChoice reads a tool_choice that is an object.
func readToolChoice(choice []byte) (c toolChoice, err error) {
	err = eachMember(choice, "tool_choice", c.member)
	return c, err
}

func (c *toolChoice) member(member string, value []byte) (err error) {
	switch member {
	case "type":
		c.kind, err = readText(value, "tool_choice.type")
	case "function":
		c.name, err = functionName(value, "tool_choice.function")
	case "allowed_tools":
		err = eachMember(value, "tool_choice.allowed_tools", c.allowedMember)
	}
	return err
}

func (c *toolChoice) allowedMember(member string, value []byte) (err error) {
	switch member {
	case "mode":
		c.mode, err = readText(value, "tool_choice.allowed_tools.mode")
	case "tools":
		const at = "tool_choice.allowed_tools.tools"
		err = eachElement(value, at, func(i int, tool []byte) error {
			return eachMember(tool, index(at, i), func(member string, value []byte) error {
				if member != "function" {
					return nil
				}
				name, err := functionName(value, index(at, i)+".function")
				c.allowed = append(c.allowed, name)
				return err
			})
		})
	}
	return err
}

func functionName(function []byte, at string) (name string, err error) {
	err = eachMember(function, at, func(member string, value []byte) (err error) {
		if member == "name" {
			name, err = readText(value, at+".name")
		}
		return err
	})
	return name, err
}

// allow leaves out the tools that are not among allowed_tools.
func (m *messagesMaker) allow() error {
	if m.choice.kind != "allowed_tools" || len(m.tools) == 0 {
		return nil
	}
	allowed := nameSet{list: m.choice.allowed}
	m.tools = slices.DeleteFunc(m.tools, func(t ChatTool) bool { return !allowed.has(t.Name) })
	if len(m.tools) == 0 {
		return Invalid("tool_choice.allowed_tools.tools", "invalid_value", "'tool_choice.allowed_tools.tools' names none of 'tools'.")
	}
	return nil
}

// toolChoice returns the value of tool_choice, "" for none.
func (m *messagesMaker) toolChoice() string {
	end := "}"
	if m.r.ParallelToolCalls != nil && !*m.r.ParallelToolCalls {
		end = `,"disable_parallel_tool_use":true}`
	}
	kind := m.choice.kind
	switch {
	case m.jsonTool != "" && (len(m.tools) == 0 || kind == "none"):
		return `{"type":"tool","name":` + Quote(m.jsonTool) + `,"disable_parallel_tool_use":true}`
	case m.jsonTool != "": // one of the others, or the answer
		return `{"type":"any"` + end
	case len(m.tools) == 0 && m.choice.forces == "":
		return ""
	case kind == "none":
		return `{"type":"none"}`
	case kind == "function":
		return `{"type":"tool","name":` + Quote(m.choice.name) + end
	case m.choice.forces != "":
		return `{"type":"any"` + end
	case kind == "" && end == "}":
		return ""
	}
	return `{"type":"auto"` + end
}
