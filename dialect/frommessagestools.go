package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// toolNames are the names of tools that are longer than OpenAI takes, half as long as Anthropic does.
type toolNames struct {
	long map[string]string // by the shorter ones
}

// maxToolName is how long the name of a function may be at OpenAI, in bytes.
const maxToolName = 64

// short returns the name by which the model knows a tool. It is made from the name alone, so that it is the same in
// every request of a conversation.
func (n *toolNames) short(name string) string {
	if len(name) <= maxToolName {
		return name
	}
	if n.long == nil {
		n.long = make(map[string]string)
	}
	short := shortened(name)
	n.long[short] = name
	return short
}

// shortened returns a name that OpenAI takes, made from a longer one.
func shortened(name string) string {
	if len(name) <= maxToolName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash := "_" + hex.EncodeToString(sum[:4])
	return strings.ToValidUTF8(name[:maxToolName-len(hash)], "") + hash
}

func (m *messagesReader) tools(value []byte) error {
	if isNull(value) {
		return nil
	}
	return eachElement(value, "tools", func(i int, value []byte) error {
		return m.tool(value, index("tools", i))
	})
}

func (m *messagesReader) tool(value []byte, at string) error {
	var t ChatTool
	kind := "custom"
	err := eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "type":
			if !isNull(value) {
				kind, err = readText(value, at+".type")
			}
		case "name":
			t.Name, err = readText(value, at+".name")
		case "description":
			t.Description, err = readText(value, at+".description")
			t.HasDescription = t.Description != ""
		case "input_schema":
			if t.Parameters = present(value); t.Parameters != nil && value[0] != '{' {
				err = Invalid(at+".input_schema", "invalid_type", "'"+at+".input_schema' must be an object.")
			}
		case "strict":
			t.Strict, err = readBool(value, at+".strict")
		case "cache_control":
			t.CacheControl = present(value)
		case "input_examples":
			if !isNull(value) {
				m.adjust(at + ".input_examples")
			}
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case kind != "custom":
		return Invalid(at+".type", "unsupported_tool", "The tool '"+at+"' is one that only Anthropic runs, "+known(kind)+": this model can be given tools of your own only.")
	case t.Name == "":
		return missing(at + ".name")
	case t.Parameters == nil:
		return missing(at + ".input_schema")
	}
	t.Name = m.names.short(t.Name)
	t.Parameters = inputSchema(t.Parameters)
	m.r.Tools = append(m.r.Tools, t)
	return nil
}

func (m *messagesReader) toolChoice(value []byte) error {
	if isNull(value) {
		return nil
	}
	kind, name := "", ""
	single := false
	err := eachMember(value, "tool_choice", func(member string, value []byte) (err error) {
		switch member {
		case "type":
			kind, err = readText(value, "tool_choice.type")
		case "name":
			name, err = readText(value, "tool_choice.name")
		case "disable_parallel_tool_use":
			err = readFlag(value, "tool_choice.disable_parallel_tool_use", &single)
		}
		return err
	})
	if err != nil {
		return err
	}
	switch kind {
	case "auto":
		m.r.ToolChoice = json.RawMessage(`"auto"`)
	case "any":
		m.r.ToolChoice = json.RawMessage(`"required"`)
	case "none":
		m.r.ToolChoice = json.RawMessage(`"none"`)
		single = false
	case "tool":
		if name == "" {
			return missing("tool_choice.name")
		}
		m.r.ToolChoice = json.RawMessage(`{"type":"function","function":{"name":` + Quote(m.names.short(name)) + `}}`)
	default:
		return Invalid("tool_choice.type", "invalid_value", "'tool_choice.type' must be auto, any, tool or none.")
	}
	if single {
		parallel := false
		m.r.ParallelToolCalls = &parallel
	}
	return nil
}
