package dialect

import (
	"encoding/json"
	"slices"
)

// responsesCall is a call that the assistant has made.
type responsesCall struct {
	at, name string
	turn     int
	answered bool
}

// responsesLate is a result that comes after something that was said after its call.
type responsesLate struct {
	m    ChatMessage
	from responsesOrigin
}

// add adds a message to the conversation.
func (r *responsesReader) add(m ChatMessage, from responsesOrigin) {
	if m.Role != "tool" {
		r.turn = r.nextTurn(m.Role)
	}
	from.turn = r.turn
	r.r.Messages = append(r.r.Messages, m)
	r.origins = append(r.origins, from)
}

// nextTurn returns the turn of a message that is added next: results follow the turn with their calls. To Anthropic, what the
// assistant says one after the other is one.
func (r *responsesReader) nextTurn(role string) int {
	n := len(r.r.Messages)
	if r.t.Beyond == Messages && role == "assistant" && n > 0 && r.r.Messages[n-1].Role == role {
		return r.turn
	}
	return r.turn + 1
}

// addResult adds the result of a call. One that is late waits for [responsesReader.settle].
func (r *responsesReader) addResult(turn int, m ChatMessage, from responsesOrigin) {
	if turn == r.turn {
		r.add(m, from)
		return
	}
	from.turn = turn
	r.late = append(r.late, responsesLate{m, from})
}

// settle puts the results that are late behind the turns with their calls.
func (r *responsesReader) settle() {
	late := r.late
	if len(late) == 0 {
		return
	}
	slices.SortStableFunc(late, func(a, b responsesLate) int { return a.from.turn - b.from.turn })
	n := len(r.r.Messages) + len(late)
	messages, origins := make([]ChatMessage, 0, n), make([]responsesOrigin, 0, n)
	for i, m := range r.r.Messages {
		for len(late) > 0 && late[0].from.turn < r.origins[i].turn {
			messages, origins = append(messages, late[0].m), append(origins, late[0].from)
			late = late[1:]
		}
		messages, origins = append(messages, m), append(origins, r.origins[i])
	}
	for _, l := range late {
		messages, origins = append(messages, l.m), append(origins, l.from)
	}
	r.r.Messages, r.origins = messages, origins
}

// flush ends what the assistant is saying. What it has only thought leads nowhere, unless it is a signature for
// what it has said before.
func (r *responsesReader) flush() {
	m := r.assistant
	r.assistant = nil
	if m == nil {
		return
	}
	m.Refusal, m.ReasoningContent = r.refusal.String(), r.thought.String()
	if len(m.Content) > 0 || len(m.ToolCalls) > 0 || m.Refusal != "" {
		r.add(*m, r.from)
		return
	}
	if n := len(r.r.Messages); n > 0 && r.r.Messages[n-1].Role == "assistant" {
		for _, block := range m.ThinkingBlocks {
			if b, err := readBlock(block); err == nil && carried(&b) {
				r.r.Messages[n-1].ThinkingBlocks = append(r.r.Messages[n-1].ThinkingBlocks, block)
			}
		}
	}
}

// says returns the message in which the assistant is speaking, which the item at goes on with.
func (r *responsesReader) says(at string) *ChatMessage {
	if r.assistant == nil {
		r.showMedia()
		r.assistant, r.from = &ChatMessage{Role: "assistant"}, responsesOrigin{item: at}
		r.refusal, r.thought = joined{}, joined{}
	}
	return r.assistant
}

// hasSpoken reports whether the assistant has said something and called nothing yet.
func (r *responsesReader) hasSpoken() bool {
	m := r.assistant
	return m != nil && len(m.ToolCalls) == 0 && (len(m.Content) > 0 || !r.refusal.empty())
}

// showMedia has the user show what the results of tools have no place for.
func (r *responsesReader) showMedia() {
	if len(r.media) > 0 {
		r.add(ChatMessage{Role: "user", Content: r.media}, responsesOrigin{item: r.mediaAt})
		r.media = nil
	}
}

// responsesItem is an item of the input, with the members that any kind has.
type responsesItem struct {
	kind, role, callID, namespace, name, arguments, input, encrypted string
	content, output, summary                                         json.RawMessage
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
		case "namespace":
			text(&it.namespace)
		case "arguments":
			text(&it.arguments)
		case "input":
			text(&it.input)
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
	case "custom_tool_call":
		it.arguments = customArguments(it.input)
		return r.functionCall(&it, at)
	case "function_call_output", "custom_tool_call_output":
		return r.functionOutput(&it, at)
	case "web_search_call": // it has the query, and what was found is in what was said
		r.adjust(at)
		return nil
	case "reasoning":
		return r.reasoningItem(&it, at)
	case "item_reference":
		return unsupported(at, "refers to something stored, and nothing is with this model: send the item itself.")
	}
	return unsupported(at+".type", "is "+known(it.kind)+", of which this model knows nothing.")
}

func (r *responsesReader) message(it *responsesItem, at string) error {
	switch it.role {
	case "user", "system", "developer":
		r.flush()
		m := ChatMessage{Role: it.role}
		if err := r.content(&m, it.content, at+".content"); err != nil {
			return err
		}
		if it.role == "user" && len(r.media) > 0 {
			m.Content, m.Text = append(r.media, m.Content...), false
			r.media = nil
		}
		r.add(m, responsesOrigin{item: at})
		return nil
	case "assistant":
		if r.hasSpoken() {
			r.flush() // that was another message
		}
		m := r.says(at)
		r.from.item = at
		return r.content(m, it.content, at+".content")
	}
	return Invalid(at+".role", "invalid_value", "'"+at+".role' must be user, assistant, system or developer.")
}

// content adds what a message says.
func (r *responsesReader) content(m *ChatMessage, value json.RawMessage, at string) error {
	if value == nil {
		return missing(at)
	}
	if value[0] == '"' {
		m.Text = len(m.Content) == 0
		m.Content = append(m.Content, saidPart(value))
		return nil
	}
	m.Text = false
	return eachElement(value, at, func(i int, value []byte) error {
		part, err := r.part(value, index(at, i))
		if part.Type == "refusal" && m.Role == "assistant" {
			r.refusal.add(part.said())
			return err
		}
		m.Content = append(m.Content, part)
		return err
	})
}

func (r *responsesReader) functionCall(it *responsesItem, at string) error {
	switch {
	case it.callID == "":
		return missing(at + ".call_id")
	case it.name == "":
		return missing(at + ".name")
	}
	if was := r.calls[it.callID]; was != nil && !was.answered {
		return Invalid(at+".call_id", "invalid_value", "'"+at+".call_id' is that of the call at '"+was.at+"'.")
	}
	if r.calls == nil {
		r.calls = make(map[string]*responsesCall)
	}
	r.open++
	m := r.says(at)
	r.calls[it.callID] = &responsesCall{at: at, name: it.name, turn: r.nextTurn("assistant")}
	m.ToolCalls = append(m.ToolCalls, ChatToolCall{ID: it.callID, Name: standInName(it.namespace, it.name), Arguments: it.arguments})
	r.from.calls = append(r.from.calls, at)
	if len(m.ToolCalls) == 1 && !r.t.Between {
		m.ToolCalls[0].ExtraContent = googleExtra(m)
	}
	return nil
}

// googleExtra returns the extra_content that Google's server wants with the first call after what its model has thought.
func googleExtra(m *ChatMessage) json.RawMessage {
	signature, _ := signatures(m)
	if signature == "" {
		return nil
	}
	return json.RawMessage(`{"google":{"thought_signature":` + Quote(signature) + `}}`)
}

// functionOutput reads the result of a call, which must follow it directly, whatever came between.
func (r *responsesReader) functionOutput(it *responsesItem, at string) error {
	call := r.calls[it.callID]
	switch {
	case it.callID == "":
		return missing(at + ".call_id")
	case call == nil:
		return Invalid(at+".call_id", "invalid_value", "'"+at+"' is the output of a call that is not there: its function_call must come before it.")
	case call.answered:
		return Invalid(at+".call_id", "invalid_value", "'"+at+"' is the output of a call that has one already.")
	case it.output == nil:
		return missing(at + ".output")
	}
	call.answered = true
	r.open--
	r.flush()
	m := ChatMessage{Role: "tool", ToolCallID: it.callID}
	if err := r.content(&m, it.output, at+".output"); err != nil {
		return err
	}
	if !r.t.Between {
		var media []ChatPart
		if m.Content, media = apart(m.Content, call.name); len(media) > 0 {
			r.media, r.mediaAt = append(r.media, media...), at
		}
	}
	r.addResult(call.turn, m, responsesOrigin{item: at})
	return nil
}

// unanswered returns the error for a call without an output, which OpenAI refuses as well.
func (r *responsesReader) unanswered() error {
	at := ""
	for _, call := range r.calls {
		if !call.answered && (at == "" || len(call.at) < len(at) || len(call.at) == len(at) && call.at < at) {
			at = call.at
		}
	}
	return Invalid(at, "invalid_value", "There is no output for the call at '"+at+"': a function_call_output with its call_id must follow it.")
}

// reasoningItem reads what the model has thought before. It can go on with that only if it is its own, which
// whoever is asked finds out by the signatures.
func (r *responsesReader) reasoningItem(it *responsesItem, at string) error {
	// Its place matters to who has signed it. Google wants the signature of parallel calls with the first of them.
	if r.t.Between && r.hasSpoken() || r.t.Beyond == Messages && r.assistant != nil && len(r.assistant.ToolCalls) > 0 {
		r.flush()
	}
	m := r.says(at)
	m.ThinkingBlocks = append(m.ThinkingBlocks, carriedBlocks(it.encrypted)...)
	said, name := it.content, ".content" // the reasoning itself goes before a summary of it
	if said == nil {
		said, name = it.summary, ".summary"
	}
	if said == nil {
		return nil
	}
	return eachElement(said, at+name, func(i int, part []byte) error {
		at := index(at+name, i)
		return eachMember(part, at, func(name string, value []byte) error {
			if name != "text" {
				return nil
			}
			text, err := readText(value, at+".text")
			r.thought.add(text)
			return err
		})
	})
}
