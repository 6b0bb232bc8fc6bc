package dialect

import (
	"slices"
)

// writeTools writes the functions and how the model may choose among them.
func (g *geminiMaker) writeTools() error {
	mode, allowed, err := g.toolChoice()
	if err != nil {
		return err
	}
	if mode == "NONE" && g.r.ResponseFormat != nil && g.model.version < 30 {
		g.tools, mode = nil, "" // the two do not go together, and nobody is to be called
	}
	if g.search != nil {
		if err := g.checkSearch(); err != nil {
			return err
		}
	}
	if len(g.tools) == 0 && g.search == nil {
		return nil
	}
	w := &g.w
	w.key("tools")
	w.open('[')
	if len(g.tools) > 0 {
		w.open('{')
		w.key("functionDeclarations")
		w.open('[')
		place := 0 // among the request's, of which all with a name are there or none
		for i := range g.tools {
			for g.r.Tools[place].Name != g.tools[i].Name {
				place++
			}
			if err := g.writeTool(&g.tools[i], place); err != nil {
				return err
			}
			place++
		}
		w.close(']')
		w.close('}')
	}
	if g.search != nil {
		w.literal(`{"googleSearch":{}}`)
	}
	w.close(']')
	if mode == "" {
		return nil
	}
	w.key("toolConfig")
	w.open('{')
	w.key("functionCallingConfig")
	w.open('{')
	w.member("mode", mode)
	if len(allowed) > 0 {
		w.key("allowedFunctionNames")
		w.open('[')
		for _, name := range allowed {
			w.text(name)
		}
		w.close(']')
	}
	w.close('}')
	w.close('}')
	return nil
}

// checkSearch reads web_search_options. Google's search has no options.
func (g *geminiMaker) checkSearch() error {
	options := false
	err := eachMember(g.search, "web_search_options", func(string, []byte) error {
		options = true
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(g.tools) > 0 && g.model.version < 30:
		return Invalid("web_search_options", "unsupported_parameter", "'web_search_options' cannot be used together with tools on this model.")
	case options:
		g.adjust("web_search_options")
	}
	return nil
}

// writeTool writes a function, which has a place among the request's. One without parameters has no schema.
func (g *geminiMaker) writeTool(t *ChatTool, place int) error {
	w := &g.w
	w.open('{')
	w.member("name", t.Name)
	if t.Description != "" {
		w.member("description", t.Description)
	}
	if len(t.Parameters) > 0 && !isEmptySchema(t.Parameters) {
		at := index("tools", place) + ".function.parameters"
		if g.model.jsonSchema() {
			w.key("parametersJsonSchema")
			w.raw(t.Parameters)
		} else if err := g.writeSchema("parameters", t.Parameters, at, false); err != nil {
			return err
		}
	}
	w.close('}')
	return nil
}

// toolChoice returns the mode of the calls, "" for the model's own, and the functions to which it is bound. It
// leaves out tools that are not allowed.
func (g *geminiMaker) toolChoice() (mode string, allowed []string, err error) {
	if len(g.tools) == 0 {
		return "", nil, nil
	}
	if g.r.ParallelToolCalls != nil && !*g.r.ParallelToolCalls {
		g.adjust("parallel_tool_calls")
	}
	choice := g.r.ToolChoice
	switch {
	case choice == nil || string(choice) == `"auto"`:
		return g.auto(choice != nil), nil, nil
	case string(choice) == `"none"`:
		return "NONE", nil, nil
	case string(choice) == `"required"`:
		return "ANY", nil, nil
	case choice[0] != '{':
		return "", nil, Invalid("tool_choice", "invalid_value", "'tool_choice' must be none, auto, required or an object.")
	}
	c, err := readToolChoice(choice)
	switch {
	case err != nil:
		return "", nil, err
	case c.kind == "function":
		if !slices.ContainsFunc(g.r.Tools, func(t ChatTool) bool { return t.Name == c.name }) {
			return "", nil, Invalid("tool_choice.function.name", "invalid_value", "'tool_choice.function.name' must be the name of one of the tools.")
		}
		return "ANY", []string{c.name}, nil
	case c.kind != "allowed_tools":
		return "", nil, Invalid("tool_choice.type", "unsupported_parameter", "'tool_choice.type' must be function or allowed_tools for this model.")
	}
	names := nameSet{list: c.allowed}
	known := slices.DeleteFunc(slices.Clone(g.tools), func(t ChatTool) bool { return !names.has(t.Name) })
	if len(known) == 0 {
		return "", nil, Invalid("tool_choice.allowed_tools.tools", "invalid_value", "'tool_choice.allowed_tools.tools' must name one of the tools.")
	}
	g.tools = known
	if c.mode == "required" {
		return "ANY", nil, nil
	}
	return g.auto(true), nil, nil
}

// auto returns the mode in which the model chooses itself. Where tools are strict its calls are held to the schemas.
func (g *geminiMaker) auto(said bool) string {
	strict := func(t ChatTool) bool { return t.Strict != nil && *t.Strict }
	switch {
	case g.model.jsonSchema() && slices.ContainsFunc(g.tools, strict):
		return "VALIDATED"
	case said:
		return "AUTO"
	}
	return ""
}
