package dialect

import "encoding/json"

// flush ends what the assistant is saying. What it has only thought leads nowhere.
func (r *responsesReader) flush() {
	if m := r.assistant; m != nil && (len(m.Content) > 0 || len(m.ToolCalls) > 0 || m.Refusal != "") {
		r.r.Messages = append(r.r.Messages, *m)
	}
	r.assistant = nil
}

// says returns the message in which the assistant is speaking.
func (r *responsesReader) says() *ChatMessage {
	if r.assistant == nil {
		r.assistant = &ChatMessage{Role: "assistant"}
	}
	return r.assistant
}

// responsesItem is an item of the input, with the members that any kind has.
type responsesItem struct {
	kind, role, callID, name, arguments, encrypted string
	content, output, summary                       json.RawMessage
}

func (r *responsesReader) item(i int, value []byte) error {
	at := index("input", i)
	var it responsesItem
	err := eachMember(value, at, func(name string, value []byte) (err error) {
		text := func(to *string) { *to, err = readText(value, at+"."+name) }
		switch name {
		case "type":
			text(&it.kind)
		case "role":
			text(&it.role)
		case "call_id":
			text(&it.callID)
		case "name":
			text(&it.name)
		case "arguments":
			text(&it.arguments)
		case "encrypted_content":
			text(&it.encrypted)
		case "content":
			it.content = present(value)
		case "output":
			it.output = present(value)
		case "summary":
			it.summary = present(value)
		}
		return err
	})
	if err != nil {
		return err
	}
	switch it.kind {
	case "", "message":
		return r.message(&it, at)
	case "function_call":
		return r.functionCall(&it, at)
	case "function_call_output":
		return r.functionOutput(&it, at)
	case "reasoning":
		return r.reasoningItem(&it, at)
	case "item_reference":
		return unsupported(at, "'"+at+"' refers to something stored, and nothing is with this model: send the item itself.")
	}
	return unsupported(at+".type", "'"+at+"' is an item of the type '"+printableWord(it.kind)+"', which this model does not take.")
}

func (r *responsesReader) message(it *responsesItem, at string) error {
	switch it.role {
	case "user", "system", "developer":
		r.flush()
		m := ChatMessage{Role: it.role}
		if err := r.content(&m, it.content, at+".content"); err != nil {
			return err
		}
		r.r.Messages = append(r.r.Messages, m)
		return nil
	case "assistant":
		if r.assistant != nil && len(r.assistant.ToolCalls) > 0 {
			r.flush() // it goes on after its calls
		}
		return r.content(r.says(), it.content, at+".content")
	}
	return Invalid(at+".role", "invalid_value", "'"+at+".role' must be user, assistant, system or developer.")
}

// content adds what a message says.
func (r *responsesReader) content(m *ChatMessage, value json.RawMessage, at string) error {
	if value == nil {
		return Invalid(at, "missing_required_parameter", "Missing required parameter: '"+at+"'.")
	}
	if value[0] == '"' {
		m.Text = len(m.Content) == 0
		m.Content = append(m.Content, saidPart(value))
		return nil
	}
	m.Text = false
	return eachElement(value, at, func(i int, value []byte) error {
		part, err := responsesPart(value, index(at, i))
		if part.Type == "refusal" {
			m.Refusal += part.said()
			return err
		}
		m.Content = append(m.Content, part)
		return err
	})
}

// responsesPart reads a part of a content.
func responsesPart(value []byte, at string) (ChatPart, error) {
	var p ChatPart
	var kind, fileID, data, url, name string
	err := eachMember(value, at, func(member string, value []byte) (err error) {
		text := func(to *string) { *to, err = readText(value, at+"."+member) }
		switch member {
		case "type":
			text(&kind)
		case "text", "refusal":
			if !isNull(value) && value[0] != '"' {
				return Invalid(at+"."+member, "invalid_type", "'"+at+"."+member+"' must be a string.")
			}
			p.Quoted = present(value)
		case "image_url":
			text(&p.URL)
		case "detail":
			text(&p.Detail)
		case "file_id":
			text(&fileID)
		case "file_data":
			text(&data)
		case "file_url":
			text(&url)
		case "filename":
			text(&name)
		}
		return err
	})
	if err != nil {
		return p, err
	}
	if fileID != "" {
		return p, unsupported(at+".file_id", "'"+at+".file_id' is a file at OpenAI, which this model cannot read: send it in the request.")
	}
	switch kind {
	case "input_text", "output_text", "text":
		p.Type = "text"
	case "refusal":
		p.Type = "refusal"
	case "input_image":
		p.Type = "image_url"
	case "input_file":
		return filePart(data, url, name, at)
	default:
		return p, unsupported(at+".type", "'"+at+".type' is of a kind that this model does not take.")
	}
	return p, nil
}

// filePart returns a file as chat completions have it. One with a URL is only known to be understood as an image
// is, by those who can read PDFs so.
func filePart(data, url, name, at string) (ChatPart, error) {
	switch {
	case data == "" && url == "":
		return ChatPart{}, Invalid(at, "missing_required_parameter", "'"+at+"' needs file_data or file_url.")
	case data == "":
		return ChatPart{Type: "image_url", URL: url}, nil
	}
	var w writer
	w.open('{')
	if name != "" {
		w.member("filename", name)
	}
	w.member("file_data", data)
	w.close('}')
	return ChatPart{Type: "file", File: w.b}, nil
}

func (r *responsesReader) functionCall(it *responsesItem, at string) error {
	for _, must := range [...][2]string{{"call_id", it.callID}, {"name", it.name}} {
		if must[1] == "" {
			return Invalid(at+"."+must[0], "missing_required_parameter", "Missing required parameter: '"+at+"."+must[0]+"'.")
		}
	}
	if r.calls == nil {
		r.calls = make(map[string]bool)
	}
	r.calls[it.callID] = true
	m := r.says()
	m.ToolCalls = append(m.ToolCalls, ChatToolCall{ID: it.callID, Name: it.name, Arguments: it.arguments})
	return nil
}

func (r *responsesReader) functionOutput(it *responsesItem, at string) error {
	switch {
	case !r.calls[it.callID]:
		return Invalid(at+".call_id", "invalid_value", "No tool call found for the function call output at '"+at+"': its function_call must come before it.")
	case it.output == nil:
		return Invalid(at+".output", "missing_required_parameter", "Missing required parameter: '"+at+".output'.")
	}
	r.flush()
	m := ChatMessage{Role: "tool", ToolCallID: it.callID}
	if err := r.content(&m, it.output, at+".output"); err != nil {
		return err
	}
	r.r.Messages = append(r.r.Messages, m)
	return nil
}

// reasoningItem reads what the model has thought before. It can go on with that only if it is its own, which
// whoever is asked finds out by the signatures.
func (r *responsesReader) reasoningItem(it *responsesItem, at string) error {
	if r.assistant != nil && len(r.assistant.ToolCalls) > 0 {
		r.flush()
	}
	m := r.says()
	m.ThinkingBlocks = append(m.ThinkingBlocks, carriedBlocks(it.encrypted)...)
	for _, list := range [...]json.RawMessage{it.summary, it.content} {
		if list == nil || m.ReasoningContent != "" {
			continue
		}
		err := eachElement(list, at+".summary", func(_ int, part []byte) error {
			return eachMember(part, at+".summary", func(name string, value []byte) (err error) {
				if name == "text" {
					var text string
					text, err = readText(value, at+".summary")
					m.ReasoningContent += text
				}
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
