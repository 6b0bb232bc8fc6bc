package dialect

import (
	"encoding/json"
	"slices"
)

// writeTools writes the tools and how the model may choose among them.
func (m *messagesMaker) writeTools() error {
	choice, err := m.toolChoice()
	if err != nil {
		return err
	}
	history := len(m.tools) == 0 && m.jsonTool == "" && m.usesTools()
	if history { // Anthropic wants to know tools that were called, even if none may be
		m.tools = m.calledTools()
		choice = `{"type":"none"}`
	}
	if len(m.tools) == 0 && m.jsonTool == "" && m.search == nil {
		return nil
	}
	m.w.key("tools")
	m.w.open('[')
	for i := range m.tools {
		m.writeTool(&m.tools[i])
	}
	if m.jsonTool != "" {
		m.writeTool(&ChatTool{
			Name: m.jsonTool, Description: "Give the answer through this tool.", HasDescription: true, Parameters: m.schema,
		})
	}
	if m.search != nil {
		m.writeSearch()
	}
	m.w.close(']')
	if choice != "" {
		m.w.key("tool_choice")
		m.w.literal(choice)
	}
	return nil
}

func (m *messagesMaker) usesTools() bool {
	return slices.ContainsFunc(m.r.Messages, func(msg ChatMessage) bool { return len(msg.ToolCalls) > 0 })
}

// calledTools returns the tools that the conversation has called, of which nothing but the name is known.
func (m *messagesMaker) calledTools() (tools []ChatTool) {
	for _, msg := range m.r.Messages {
		for _, call := range msg.ToolCalls {
			if !slices.ContainsFunc(tools, func(t ChatTool) bool { return t.Name == call.Name }) {
				tools = append(tools, ChatTool{Name: call.Name})
			}
		}
	}
	return tools
}

func (m *messagesMaker) writeTool(t *ChatTool) {
	m.w.open('{')
	m.w.member("name", t.Name)
	if t.HasDescription && t.Description != "" {
		m.w.member("description", t.Description)
	}
	m.w.key("input_schema")
	schema := inputSchema(t.Parameters)
	strict := t.Strict != nil && *t.Strict
	if strict {
		schema = claudeSchema(schema)
	}
	m.w.raw(schema)
	if strict {
		m.w.key("strict")
		m.w.literal("true")
	}
	m.w.optional("cache_control", t.CacheControl)
	m.w.close('}')
}

// inputSchema returns a schema with the members that Anthropic requires, and otherwise as it was written.
func inputSchema(schema json.RawMessage) []byte {
	hasType, hasProperties, empty := false, false, true
	if schema != nil {
		_ = eachMember(schema, "", func(name string, value []byte) error {
			empty = false
			hasType = hasType || name == "type" && !isNull(value)
			hasProperties = hasProperties || name == "properties" && !isNull(value)
			return nil
		})
	}
	if hasType && hasProperties {
		return schema
	}
	add := ""
	if !hasType {
		add = `"type":"object"`
	}
	if !hasProperties {
		if add != "" {
			add += ","
		}
		add += `"properties":{}`
	}
	if empty {
		return []byte("{" + add + "}")
	}
	out := append(make([]byte, 0, len(schema)+len(add)+1), '{')
	out = append(append(out, add...), ',')
	return append(out, schema[1:]...)
}

// writeSearch writes Anthropic's own search of the web, for OpenAI's web_search_options.
func (m *messagesMaker) writeSearch() {
	m.w.open('{')
	m.w.member("type", "web_search_20250305")
	m.w.member("name", "web_search")
	_ = eachMember(m.search, "", func(name string, value []byte) error {
		if name != "user_location" || isNull(value) {
			return nil
		}
		return eachMember(value, "", func(name string, value []byte) error {
			if name == "approximate" && value[0] == '{' {
				m.w.key("user_location")
				m.w.open('{')
				m.w.member("type", "approximate")
				_ = eachMember(value, "", func(name string, value []byte) error {
					m.w.optional(name, present(value))
					return nil
				})
				m.w.close('}')
			}
			return nil
		})
	})
	m.w.close('}')
}

// toolChoice returns the value of tool_choice, "" for none, and leaves out tools that are not allowed.
func (m *messagesMaker) toolChoice() (string, error) {
	single := m.r.ParallelToolCalls != nil && !*m.r.ParallelToolCalls
	with := func(choice string) string {
		if single && len(m.tools) > 0 {
			return choice + `,"disable_parallel_tool_use":true}`
		}
		return choice + "}"
	}
	if m.jsonTool != "" {
		if len(m.tools) == 0 {
			return `{"type":"tool","name":` + Quote(m.jsonTool) + `,"disable_parallel_tool_use":true}`, nil
		}
		return with(`{"type":"any"`), nil // one of the others, or the answer
	}
	choice := m.r.ToolChoice
	switch {
	case len(m.tools) == 0:
		return "", nil
	case choice == nil || string(choice) == `"auto"`:
		if choice == nil && !single {
			return "", nil
		}
		return with(`{"type":"auto"`), nil
	case string(choice) == `"none"`:
		return `{"type":"none"}`, nil
	case string(choice) == `"required"`:
		return with(`{"type":"any"`), nil
	case choice[0] != '{':
		return "", Invalid("tool_choice", "invalid_value", "'tool_choice' must be none, auto, required or an object.")
	}
	return m.namedChoice(choice, with)
}

// namedChoice reads a tool_choice that is an object.
func (m *messagesMaker) namedChoice(choice []byte, with func(string) string) (string, error) {
	c, err := readToolChoice(choice)
	if err != nil {
		return "", err
	}
	switch c.kind {
	case "function":
		if c.name == "" {
			return "", Invalid("tool_choice.function.name", "missing_required_parameter", "Missing required parameter: 'tool_choice.function.name'.")
		}
		return with(`{"type":"tool","name":` + Quote(c.name)), nil
	case "allowed_tools":
		allowed := slices.DeleteFunc(slices.Clone(m.tools), func(t ChatTool) bool { return !slices.Contains(c.allowed, t.Name) })
		if len(allowed) > 0 {
			m.tools = allowed
		}
		if c.mode == "required" {
			return with(`{"type":"any"`), nil
		}
		return with(`{"type":"auto"`), nil
	}
	return "", Invalid("tool_choice.type", "unsupported_parameter", "'tool_choice.type' must be function or allowed_tools for this model.")
}

// toolChoice is a tool_choice that is an object.
type toolChoice struct {
	kind    string
	name    string   // of the function
	mode    string   // of allowed_tools: auto or required
	allowed []string // names
}

func readToolChoice(choice []byte) (c toolChoice, err error) {
	function := func(value []byte) (string, error) {
		name := ""
		err := eachMember(value, "tool_choice.function", func(member string, value []byte) (err error) {
			if member == "name" {
				name, err = readText(value, "tool_choice.function.name")
			}
			return err
		})
		return name, err
	}
	err = eachMember(choice, "tool_choice", func(member string, value []byte) (err error) {
		switch member {
		case "type":
			c.kind, err = readText(value, "tool_choice.type")
		case "function":
			c.name, err = function(value)
		case "allowed_tools":
			err = eachMember(value, "tool_choice.allowed_tools", func(member string, value []byte) (err error) {
				switch member {
				case "mode":
					c.mode, err = readText(value, "tool_choice.allowed_tools.mode")
				case "tools":
					err = eachElement(value, "tool_choice.allowed_tools.tools", func(_ int, tool []byte) error {
						return eachMember(tool, "tool_choice.allowed_tools.tools", func(member string, value []byte) error {
							if member != "function" {
								return nil
							}
							name, err := function(value)
							c.allowed = append(c.allowed, name)
							return err
						})
					})
				}
				return err
			})
		}
		return err
	})
	return c, err
}
