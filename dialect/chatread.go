package dialect

import (
	"bytes"
	"encoding/json"
)

// readChatRequest reads a request of chat completions. What it returns aliases body. Errors are *Error.
func readChatRequest(body []byte) (*ChatRequest, error) {
	r := &chatReader{scanner: scanner{data: bytes.TrimSpace(body), trusted: true}}
	if err := r.whole("body", func() error { return r.eachMember("body", r.member) }); err != nil {
		return nil, err
	}
	switch {
	case r.completion != nil: // max_completion_tokens goes before max_tokens, which it replaces
		r.MaxTokens, r.LimitName = r.completion, "max_completion_tokens"
	case r.MaxTokens != nil:
		r.LimitName = "max_tokens"
	}
	return &r.ChatRequest, nil
}

// fit makes the limit of an answer one that the model can have, of which a larger one is refused. It returns the name of what
// it has changed, "" for nothing.
func (r *ChatRequest) fit(t *Target) string {
	most := int64(t.MaxOutput)
	if most <= 0 || r.MaxTokens == nil || *r.MaxTokens <= most {
		return ""
	}
	r.MaxTokens = &most
	return r.LimitName
}

// chatReader reads a request.
type chatReader struct {
	scanner
	ChatRequest
	completion *int64
	named      map[string]int // calls of functions in the deprecated form, which have no IDs
}

func (r *chatReader) member(name string) error {
	if name == "messages" {
		r.Messages = nil // of a member that is there twice the last counts
		return r.eachElement(name, r.message)
	}
	value, err := r.take()
	if err != nil {
		return err
	}
	switch name {
	case "model":
		r.Model, err = readText(value, name)
	case "tools", "functions":
		err = r.tools(value, name)
	case "tool_choice":
		r.ToolChoice = present(value)
	case "function_call":
		r.ToolChoice, err = toolChoiceOf(value)
	case "response_format":
		r.ResponseFormat = present(value)
	case "parallel_tool_calls":
		r.ParallelToolCalls, err = readBool(value, name)
	case "stop":
		r.Stop, err = readStop(value)
	case "stream":
		err = readFlag(value, name, &r.Stream)
	case "stream_options":
		err = r.streamOptions(value)
	default:
		return r.scalar(name, value)
	}
	return err
}

// scalar reads the members that are one number or word.
func (r *chatReader) scalar(name string, value []byte) (err error) {
	switch name {
	case "max_tokens":
		r.MaxTokens, err = readWhole(value, name)
	case "max_completion_tokens":
		r.completion, err = readWhole(value, name)
	case "temperature":
		r.Temperature, err = readNumber(value, name)
	case "top_p":
		r.TopP, err = readNumber(value, name)
	case "reasoning_effort":
		r.ReasoningEffort, err = readText(value, name)
	case "user":
		r.User, err = readText(value, name)
	case "service_tier":
		r.ServiceTier, err = readText(value, name)
	default:
		if !isNull(value) {
			r.Extra = append(r.Extra, Member{name, value})
		}
	}
	return err
}

func readFlag(value []byte, param string, to *bool) error {
	is, err := readBool(value, param)
	if err == nil && is != nil {
		*to = *is
	}
	return err
}

func (r *chatReader) streamOptions(value []byte) error {
	if isNull(value) {
		return nil
	}
	return eachMember(value, "stream_options", func(name string, value []byte) error {
		if name == "include_usage" {
			return readFlag(value, "stream_options.include_usage", &r.IncludeUsage)
		}
		return nil
	})
}

// readStop reads a sequence or several.
func readStop(value []byte) (stop []string, err error) {
	if isNull(value) {
		return nil, nil
	}
	if value[0] == '"' {
		return []string{string(unquoted(value))}, nil
	}
	err = eachElement(value, "stop", func(i int, value []byte) error {
		text, err := readText(value, index("stop", i))
		stop = append(stop, text)
		return err
	})
	return stop, err
}

// toolChoiceOf returns the tool_choice that a function_call of the deprecated form is.
func toolChoiceOf(value []byte) (json.RawMessage, error) {
	if isNull(value) || value[0] == '"' { // none or auto
		return present(value), nil
	}
	var w writer
	err := eachMember(value, "function_call", func(name string, value []byte) error {
		if name != "name" {
			return nil
		}
		w.b = append(w.b, `{"type":"function","function":{"name":`...)
		w.b = append(append(w.b, value...), "}}"...)
		return nil
	})
	return w.b, err
}

func (r *chatReader) tools(value []byte, param string) error {
	r.Tools = nil
	if isNull(value) {
		return nil
	}
	return eachElement(value, param, func(i int, value []byte) error {
		var tool ChatTool
		at := index(param, i)
		if param == "functions" {
			err := readFunction(value, at, &tool)
			r.Tools = append(r.Tools, tool)
			return err
		}
		kind, found := "", false
		err := eachMember(value, at, func(name string, value []byte) (err error) {
			switch name {
			case "type":
				kind, err = readText(value, at+".type")
			case "function":
				found = true
				err = readFunction(value, at+".function", &tool)
			case "cache_control":
				tool.CacheControl = present(value)
			}
			return err
		})
		if err == nil && (!found || kind != "function") {
			err = Invalid(at+".type", "unsupported_tool", "'"+at+".type' must be function: this model knows no other tools.")
		}
		r.Tools = append(r.Tools, tool)
		return err
	})
}

func readFunction(value []byte, param string, tool *ChatTool) error {
	err := eachMember(value, param, func(name string, value []byte) (err error) {
		switch name {
		case "name":
			tool.Name, err = readText(value, param+".name")
		case "description":
			tool.HasDescription = !isNull(value)
			tool.Description, err = readText(value, param+".description")
		case "parameters":
			if tool.Parameters = present(value); tool.Parameters != nil && value[0] != '{' {
				err = Invalid(param+".parameters", "invalid_type", "'"+param+".parameters' must be an object.")
			}
		case "strict":
			tool.Strict, err = readBool(value, param+".strict")
		}
		return err
	})
	if err == nil && tool.Name == "" {
		return missing(param + ".name")
	}
	return err
}

// readFile reads the file of a part of a message, whose data is a data URL.
func readFile(file []byte, at string) (data, name, id string, err error) {
	err = eachMember(file, at, func(member string, value []byte) (err error) {
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
	return data, name, id, err
}
