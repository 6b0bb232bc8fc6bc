package dialect

import (
	"encoding/json"
	"strconv"
)

// readChatAnswer reads a whole answer of chat completions or an event of a stream into a, whose memory is used
// again: what is raw in it aliases data. What is null or not of the type that it should be counts as not there, since
// servers differ much. An error that is reported is in a.Error. The error is [ErrNotJSON] for what is no
// object.
func readChatAnswer(data []byte, a *ChatAnswer) error {
	if a.walk == nil {
		a.walk = newChatWalk(a)
	}
	w := a.walk
	a.Choices, a.HasChoices = a.Choices[:0], false
	a.Usage, a.HasUsage = Usage{}, false
	a.Created, a.Error = nil, nil
	a.SearchResults, a.Citations = nil, nil
	w.scanner = scanner{data: data}
	w.failed, w.id, w.model, w.tier = false, false, false, false
	if err := w.document(w.visitRoot); err != nil {
		if a.Error = chatError(data); a.Error != nil { // in an array, as Google's server has it
			return nil
		}
		return ErrNotJSON
	}
	if !w.id {
		a.ID = ""
	}
	if !w.model {
		a.Model = ""
	}
	if !w.tier {
		a.ServiceTier = ""
	}
	if w.failed {
		if a.Error = chatError(data); a.Error == nil {
			a.Error = unreadable("The provider reported an error.")
		}
	}
	return nil
}

// chatWalk reads an answer in one walk.
type chatWalk struct {
	scanner
	a *ChatAnswer

	failed          bool // an error is reported
	id, model, tier bool // they have been seen

	choice *ChatChoice // being read
	call   *ChatToolDelta
	part   chatPiece

	said, thought joined // of content that is an array

	visitRoot, visitChoice, visitDelta, visitCall, visitFunction, visitPart, visitGroq, visitLogprobs func(key []byte) error

	eachChoice, eachCall, eachPart, eachThought, eachBlock, eachAnnotation func() error
}

func newChatWalk(a *ChatAnswer) *chatWalk {
	w := &chatWalk{a: a}
	// They are made once, not with each object.
	w.visitRoot, w.visitChoice, w.visitDelta = w.root, w.choiceMember, w.deltaMember
	w.visitCall, w.visitFunction = w.callMember, w.function
	w.visitPart, w.visitGroq, w.visitLogprobs = w.partMember, w.groq, w.logprobs
	w.eachChoice, w.eachCall, w.eachPart, w.eachThought, w.eachBlock = w.oneChoice, w.oneCall, w.onePart, w.oneThought, w.oneBlock
	w.eachAnnotation = w.oneAnnotation
	return w
}

// next reads a value.
func (w *chatWalk) next() ([]byte, error) {
	start := w.at
	err := w.value()
	return w.data[start:w.at], err
}

// quoted reads a string, nil for anything else.
func (w *chatWalk) quoted() ([]byte, error) {
	value, err := w.next()
	if err != nil || value[0] != '"' {
		return nil, err
	}
	return value, nil
}

// keep reads a string that is mostly the same as in the event before.
func (w *chatWalk) keep(text *string) error {
	value, err := w.quoted()
	if said := unquoted(value); string(said) != *text {
		*text = string(said)
	}
	return err
}

// word reads a string.
func (w *chatWalk) word(text *string) error {
	value, err := w.quoted()
	*text = string(unquoted(value))
	return err
}

// truthy reads a value and reports whether it says anything, as JavaScript has it.
func (w *chatWalk) truthy() (bool, error) {
	value, err := w.next()
	switch string(value) {
	case "null", "false", "0", `""`, "[]":
		return false, err
	}
	return err == nil, err
}

func (w *chatWalk) object(visit func(key []byte) error) error {
	if w.peek() == '{' {
		return w.scanner.object(visit)
	}
	return w.value()
}

func (w *chatWalk) array(visit func() error) error {
	if w.peek() == '[' {
		return w.scanner.array(visit)
	}
	return w.value()
}

func (w *chatWalk) root(key []byte) error {
	switch string(unquoted(key)) {
	case "id":
		w.id = true
		return w.keep(&w.a.ID)
	case "model":
		w.model = true
		return w.keep(&w.a.Model)
	case "service_tier":
		w.tier = true
		return w.keep(&w.a.ServiceTier)
	case "created":
		value, err := w.next()
		w.a.Created = present(value)
		return err
	case "object":
		value, err := w.next()
		w.failed = w.failed || string(value) == `"error"`
		return err
	case "choices":
		w.a.HasChoices = w.a.HasChoices || w.peek() == '['
		return w.array(w.eachChoice)
	case "usage":
		return w.usage()
	case "x_groq":
		return w.object(w.visitGroq)
	case "search_results":
		return w.list(&w.a.SearchResults)
	case "citations":
		return w.list(&w.a.Citations)
	case "error":
		failed, err := w.truthy()
		w.failed = w.failed || failed
		return err
	}
	return w.value()
}

// list reads an array as it is.
func (w *chatWalk) list(to *json.RawMessage) error {
	value, err := w.next()
	if err == nil && value[0] == '[' && !isEmpty(value) {
		*to = value
	}
	return err
}

func (w *chatWalk) usage() error {
	value, err := w.next()
	if err != nil || value[0] != '{' {
		return err
	}
	if u, ok := ReadUsage(value); ok {
		w.a.Usage.Merge(u)
		w.a.HasUsage = true
	}
	return nil
}

// groq reads x_groq, where Groq's streams have the usage and errors.
func (w *chatWalk) groq(key []byte) error {
	switch string(unquoted(key)) {
	case "usage":
		return w.usage()
	case "error":
		failed, err := w.truthy()
		w.failed = w.failed || failed
		return err
	}
	return w.value()
}

func (w *chatWalk) oneChoice() error {
	if w.peek() != '{' {
		return w.value()
	}
	n := len(w.a.Choices)
	if n < cap(w.a.Choices) { // what the last one there had is used again
		w.a.Choices = w.a.Choices[:n+1]
		c := &w.a.Choices[n]
		*c = ChatChoice{Delta: ChatDelta{ToolCalls: c.Delta.ToolCalls[:0], ThinkingBlocks: c.Delta.ThinkingBlocks[:0], Annotations: c.Delta.Annotations[:0]}}
	} else {
		w.a.Choices = append(w.a.Choices, ChatChoice{})
	}
	w.choice = &w.a.Choices[n]
	return w.object(w.visitChoice)
}

func (w *chatWalk) choiceMember(key []byte) error {
	switch string(unquoted(key)) {
	case "index":
		n, err := w.number(0)
		w.choice.Index = n
		return err
	case "delta", "message":
		return w.object(w.visitDelta)
	case "finish_reason":
		return w.word(&w.choice.FinishReason)
	case "logprobs":
		return w.object(w.visitLogprobs)
	case "usage": // Moonshot's
		return w.usage()
	case "error":
		failed, err := w.truthy()
		w.failed = w.failed || failed
		return err
	}
	return w.value()
}

func (w *chatWalk) logprobs(key []byte) error {
	if string(unquoted(key)) == "content" {
		return w.list(&w.choice.Logprobs)
	}
	return w.value()
}

// number reads an index, other for what is none.
func (w *chatWalk) number(other int) (int, error) {
	value, err := w.next()
	if n, bad := strconv.Atoi(string(value)); bad == nil && n >= 0 {
		return n, err
	}
	return other, err
}

func (w *chatWalk) deltaMember(key []byte) error {
	d := &w.choice.Delta
	switch string(unquoted(key)) {
	case "role":
		return w.keep(&d.Role)
	case "content":
		if w.peek() == '[' { // Mistral's models that think
			return w.parts()
		}
		value, err := w.quoted()
		d.Content, d.ContentJSON = string(unquoted(value)), value
		return err
	case "refusal":
		return w.word(&d.Refusal)
	case "reasoning_content", "reasoning":
		value, err := w.quoted()
		if d.Reasoning == "" && len(value) > 2 { // some write both
			d.Reasoning, d.ReasoningJSON = string(unquoted(value)), value
		}
		return err
	case "thinking_blocks":
		return w.array(w.eachBlock)
	case "tool_calls":
		return w.array(w.eachCall)
	case "annotations":
		return w.array(w.eachAnnotation)
	case "function_call":
		if w.peek() != '{' {
			return w.value()
		}
		w.newCall(0)
		return w.object(w.visitFunction)
	}
	return w.value()
}

func (w *chatWalk) oneBlock() error {
	block, err := w.next()
	if err == nil && block[0] == '{' {
		w.choice.Delta.ThinkingBlocks = append(w.choice.Delta.ThinkingBlocks, block)
	}
	return err
}

func (w *chatWalk) oneAnnotation() error {
	annotation, err := w.next()
	if err == nil && annotation[0] == '{' {
		w.choice.Delta.Annotations = append(w.choice.Delta.Annotations, annotation)
	}
	return err
}

func (w *chatWalk) newCall(index int) {
	d := &w.choice.Delta
	d.ToolCalls = append(d.ToolCalls, ChatToolDelta{Index: index})
	w.call = &d.ToolCalls[len(d.ToolCalls)-1]
}

func (w *chatWalk) oneCall() error {
	if w.peek() != '{' {
		return w.value()
	}
	w.newCall(-1)
	return w.object(w.visitCall)
}

func (w *chatWalk) callMember(key []byte) error {
	switch string(unquoted(key)) {
	case "index":
		n, err := w.number(-1)
		w.call.Index = n
		return err
	case "id":
		return w.word(&w.call.ID)
	case "function":
		return w.object(w.visitFunction)
	case "extra_content":
		value, err := w.next()
		w.call.ExtraContent = present(value)
		return err
	}
	return w.value()
}

func (w *chatWalk) function(key []byte) error {
	switch string(unquoted(key)) {
	case "name":
		return w.word(&w.call.Name)
	case "arguments":
		value, err := w.next()
		switch {
		case err != nil:
		case value[0] == '"':
			w.call.Arguments, w.call.ArgumentsJSON = string(unquoted(value)), value
		case value[0] == '{': // not as text, which some servers get wrong
			w.call.Arguments = string(value)
		}
		return err
	}
	return w.value()
}
