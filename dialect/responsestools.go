package dialect

import "encoding/json"

// tools reads the tools. The answer repeats them with the members that OpenAI always gives them.
func (r *responsesReader) tools(value []byte) error {
	if isNull(value) {
		return nil
	}
	var w writer
	w.open('[')
	partial := false
	err := eachElement(value, "tools", func(i int, value []byte) error {
		more, err := r.tool(value, index("tools", i))
		if err != nil {
			return err
		}
		partial = partial || more != ""
		value = oneLine(value)
		w.raw(value[:len(value)-1])
		w.b = append(append(w.b, more...), '}')
		return nil
	})
	w.close(']')
	r.echo.tools = w.b
	if !partial {
		r.echo.tools = echoed(value)
	}
	return err
}

// tool reads a tool. It returns the members that it lacks.
func (r *responsesReader) tool(value []byte, at string) (more string, err error) {
	kind, err := kindOf(value, at)
	switch {
	case err != nil:
		return "", err
	case kind == "function":
		if err = r.function(value, at); err == nil {
			more = lacking(value)
		}
	case kind == "custom":
		err = r.custom(value, at)
	case kind == "namespace":
		err = r.namespace(value, at)
	case isWebSearch(kind):
		r.search, err = readWebSearch(value, at)
	default:
		err = otherTool(at, kind)
	}
	return more, err
}

func (r *responsesReader) function(value []byte, at string) error {
	var tool ChatTool
	err := readFunction(value, at, &tool)
	r.addTool(tool, at)
	return err
}

func (r *responsesReader) addTool(tool ChatTool, at string) {
	r.r.Tools = append(r.r.Tools, tool)
	r.tooled = append(r.tooled, at)
}

// lacking returns the members that OpenAI always gives a function and this one does not have.
func lacking(function []byte) (more string) {
	parameters, strict := false, false
	_ = eachMember(function, "", func(name string, _ []byte) error {
		parameters = parameters || name == "parameters"
		strict = strict || name == "strict"
		return nil
	})
	if !parameters {
		more = `,"parameters":null`
	}
	if !strict { // what it is with chat completions: OpenAI's default here is another
		more += `,"strict":false`
	}
	return more
}

// responsesChoice is a tool_choice that is an object.
type responsesChoice struct {
	kind, name, mode string
	tools            []string // that are allowed
	search           string   // where a search of the web is among them
}

// toolChoice nests what chat completions have nested.
func (r *responsesReader) toolChoice(value []byte) error {
	switch {
	case isNull(value):
		return nil
	case value[0] == '"':
		r.r.ToolChoice = present(value)
		return nil
	}
	c := responsesChoice{mode: "auto"}
	err := eachMember(value, "tool_choice", func(member string, value []byte) (err error) {
		switch member {
		case "type":
			c.kind, err = readText(value, "tool_choice.type")
		case "name":
			c.name, err = readText(value, "tool_choice.name")
		case "mode":
			c.mode, err = readText(value, "tool_choice.mode")
		case "tools":
			err = eachElement(value, "tool_choice.tools", c.allow)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case (c.kind == "function" || c.kind == "custom") && c.name == "":
		return missing("tool_choice.name")
	case c.kind == "function", c.kind == "custom":
		r.r.ToolChoice = json.RawMessage(`{"type":"function","function":{"name":` + Quote(c.name) + `}}`)
		return nil
	case c.kind != "allowed_tools":
		return unsupported("tool_choice.type", "must be function, custom or allowed_tools with this model.")
	}
	r.allowed = &c
	var w writer
	w.b = append(w.b, `{"type":"allowed_tools","allowed_tools":{"mode":`+Quote(c.mode)+`,"tools":`...)
	w.open('[')
	for _, name := range c.tools {
		w.raw([]byte(`{"type":"function","function":{"name":` + Quote(name) + `}}`))
	}
	w.close(']')
	r.r.ToolChoice = append(w.b, "}}"...)
	return nil
}

// allow reads one of the tools of an allowed_tools.
func (c *responsesChoice) allow(i int, tool []byte) error {
	at := index("tool_choice.tools", i)
	kind, name := "", ""
	err := eachMember(tool, at, func(member string, value []byte) (err error) {
		switch member {
		case "type":
			kind, err = readText(value, at+".type")
		case "name":
			name, err = readText(value, at+".name")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case isWebSearch(kind):
		c.search = at
		return nil
	case kind != "function" && kind != "custom" && kind != "":
		return Invalid(at+".type", "unsupported_tool", "'"+at+"' is not a tool of your own: this model has no others.")
	case name == "":
		return missing(at + ".name")
	}
	c.tools = append(c.tools, name)
	return nil
}
