package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// responsesToChat translates a request of OpenAI's Responses API to one of chat completions: the part of that API
// that needs nothing stored.
func responsesToChat(body []byte, t *Target) (*Translation, error) {
	r := &responsesReader{t: t}
	if err := r.read(body); err != nil {
		return nil, err
	}
	text, span, adjusted := r.r.append(scratch(len(body)+len(body)/8+512), t)
	tr := &Translation{
		Body: text, ModelSpan: span, Stream: r.r.Stream, Adjusted: r.adjusted,
		Answers: newResponsesAnswers(t.Shown, &r.echo), names: responsesNames,
	}
	for _, name := range adjusted {
		tr.Adjusted = append(tr.Adjusted, tr.clientName(name))
	}
	return tr, nil
}

// responsesNames are the names that the Responses API has for parameters of chat completions.
var responsesNames = map[string]string{
	"messages": "input", "max_completion_tokens": "max_output_tokens", "max_tokens": "max_output_tokens",
	"reasoning_effort": "reasoning.effort", "response_format": "text.format", "verbosity": "text.verbosity",
}

// responsesReader reads a request of the Responses API into one of chat completions.
type responsesReader struct {
	r        ChatRequest
	t        *Target
	echo     responsesEcho
	adjusted []string

	system    *ChatMessage
	assistant *ChatMessage    // what the assistant is saying: items of several kinds are one message
	calls     map[string]bool // IDs that have been called
}

// responsesEcho is what an answer repeats of its request, as it was written; nil for what was not.
type responsesEcho struct {
	instructions, maxOutputTokens, maxToolCalls, metadata, parallelToolCalls, promptCacheKey, reasoning, safetyIdentifier,
	temperature, text, toolChoice, tools, topP, truncation, user json.RawMessage
}

// echoed returns a value as answers repeat it: in one line, as the events of a stream are.
func echoed(value []byte) json.RawMessage {
	if bytes.ContainsAny(value, "\r\n") {
		return compact(value)
	}
	return present(value)
}

func (r *responsesReader) adjust(name string) {
	if !slices.Contains(r.adjusted, name) {
		r.adjusted = append(r.adjusted, name)
	}
}

func (r *responsesReader) read(body []byte) error {
	input := json.RawMessage(nil)
	err := eachMember(body, "body", func(name string, value []byte) error {
		if name == "input" {
			input = present(value)
			return nil
		}
		return r.member(name, value)
	})
	if err != nil {
		return err
	}
	if r.system != nil {
		r.r.Messages = append(r.r.Messages, *r.system)
	}
	switch {
	case input == nil:
		return Invalid("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	case input[0] == '"':
		r.r.Messages = append(r.r.Messages, ChatMessage{Role: "user", Text: true, Content: []ChatPart{saidPart(input)}})
		return nil
	}
	if err := eachElement(input, "input", r.item); err != nil {
		return err
	}
	r.flush()
	return nil
}

// saidPart returns a part that says a JSON string.
func saidPart(quoted json.RawMessage) ChatPart {
	return ChatPart{Type: "text", Quoted: quoted, Raw: quoted}
}

// stateful are parameters that need something stored at the provider.
var stateful = map[string]string{
	"previous_response_id": "send the whole conversation as input",
	"conversation":         "send the whole conversation as input",
	"prompt":               "send what it says as instructions and input",
}

func (r *responsesReader) member(name string, value []byte) (err error) {
	if instead, ok := stateful[name]; ok {
		if isNull(value) {
			return nil
		}
		return unsupported(name, "'"+name+"' is not available with this model, of which nothing is stored: "+instead+".")
	}
	switch name {
	case "model":
		r.r.Model, err = readText(value, name)
	case "instructions":
		err = r.instructions(value)
	case "stream":
		err = readFlag(value, name, &r.r.Stream)
	case "tools":
		r.echo.tools = echoed(value)
		if !isNull(value) {
			err = eachElement(value, name, r.tool)
		}
	case "tool_choice":
		r.echo.toolChoice = echoed(value)
		err = r.toolChoice(value)
	case "text":
		r.echo.text = echoed(value)
		if !isNull(value) {
			err = eachMember(value, name, r.textMember)
		}
	case "reasoning":
		r.echo.reasoning = echoed(value)
		if !isNull(value) {
			err = eachMember(value, name, r.reasoningMember)
		}
	case "background":
		var is bool
		if err = readFlag(value, name, &is); is {
			err = unsupported(name, "'background' is not available with this model: send the header Prefer: respond-async to have the request queued.")
		}
	default:
		err = r.scalar(name, value)
	}
	return err
}

// scalar reads the members that are one number or word.
func (r *responsesReader) scalar(name string, value []byte) (err error) {
	switch name {
	case "max_output_tokens":
		r.echo.maxOutputTokens = echoed(value)
		r.r.MaxTokens, err = readWhole(value, name)
	case "temperature":
		r.echo.temperature = echoed(value)
		r.r.Temperature, err = readNumber(value, name)
	case "top_p":
		r.echo.topP = echoed(value)
		r.r.TopP, err = readNumber(value, name)
	case "parallel_tool_calls":
		r.echo.parallelToolCalls = echoed(value)
		r.r.ParallelToolCalls, err = readBool(value, name)
	case "user":
		r.echo.user = echoed(value)
		r.r.User, err = readText(value, name)
	case "service_tier":
		r.r.ServiceTier, err = readText(value, name)
	case "top_logprobs":
		if !isNull(value) && string(value) != "0" {
			err = unsupported(name, "'top_logprobs' is not supported with this model.")
		}
	case "safety_identifier":
		r.echo.safetyIdentifier = echoed(value)
		r.extra(name, value)
	case "prompt_cache_key":
		r.echo.promptCacheKey = echoed(value)
		r.extra(name, value)
	case "metadata":
		r.echo.metadata = echoed(value) // it is for whoever reads the answer
	case "truncation":
		r.echo.truncation = echoed(value)
		if string(value) == `"auto"` {
			r.adjust(name)
		}
	case "max_tool_calls":
		r.echo.maxToolCalls = echoed(value)
		if !isNull(value) {
			r.adjust(name)
		}
	case "store", "include", "stream_options": // nothing is stored, and there is nothing more to include
	default:
		r.extra(name, value)
	}
	return err
}

func (r *responsesReader) extra(name string, value []byte) {
	if !isNull(value) {
		r.r.Extra = append(r.r.Extra, Member{name, value})
	}
}

func (r *responsesReader) instructions(value []byte) error {
	r.echo.instructions = echoed(value)
	switch {
	case isNull(value) || string(value) == `""`:
		return nil
	case value[0] != '"':
		return Invalid("instructions", "invalid_type", "'instructions' must be a string.")
	}
	r.system = &ChatMessage{Role: "system", Text: true, Content: []ChatPart{saidPart(value)}}
	return nil
}

// textMember reads how the answer's text shall be.
func (r *responsesReader) textMember(name string, value []byte) error {
	if name == "verbosity" {
		r.extra("verbosity", value)
		return nil
	}
	if name != "format" || isNull(value) {
		return nil
	}
	kind := ""
	w := writer{}
	w.b = append(w.b, `{"type":"json_schema","json_schema":`...)
	w.open('{')
	err := eachMember(value, "text.format", func(name string, value []byte) (err error) {
		if name == "type" {
			kind, err = readText(value, "text.format.type")
		} else {
			w.optional(name, present(value))
		}
		return err
	})
	w.close('}')
	w.b = append(w.b, '}')
	switch {
	case err != nil:
		return err
	case kind == "json_schema":
		r.r.ResponseFormat = w.b
	case kind == "json_object":
		r.r.ResponseFormat = json.RawMessage(`{"type":"json_object"}`)
	case kind != "text":
		return Invalid("text.format.type", "invalid_value", "'text.format.type' must be text, json_schema or json_object.")
	}
	return nil
}

func (r *responsesReader) reasoningMember(name string, value []byte) (err error) {
	if name == "effort" {
		r.r.ReasoningEffort, err = readText(value, "reasoning.effort")
	}
	return err // a summary comes whenever the model shows its reasoning
}

// tool reads a tool, which must be a function: others are run by OpenAI.
func (r *responsesReader) tool(i int, value []byte) error {
	at := index("tools", i)
	kind := ""
	err := eachMember(value, at, func(name string, value []byte) (err error) {
		if name == "type" {
			kind, err = readText(value, at+".type")
		}
		return err
	})
	if err != nil {
		return err
	}
	if kind != "function" {
		return unsupported(at+".type", "'"+at+"' is a tool of the type '"+printableWord(kind)+"', which OpenAI runs itself: this model can be given functions only.")
	}
	var tool ChatTool
	err = readFunction(value, at, &tool)
	r.r.Tools = append(r.r.Tools, tool)
	return err
}

// printableWord returns a word of the client's that may be shown to it: what is no plain word is not.
func printableWord(word string) string {
	if len(word) > 64 || strings.IndexFunc(word, func(c rune) bool { return c != '_' && c != '-' && !isAlphanumeric(c) }) >= 0 {
		return "?"
	}
	return word
}

// toolChoice nests what chat completions have nested.
func (r *responsesReader) toolChoice(value []byte) error {
	if isNull(value) || value[0] != '{' {
		r.r.ToolChoice = present(value)
		return nil
	}
	kind, name, mode := "", "", "auto"
	var tools []string
	err := eachMember(value, "tool_choice", func(member string, value []byte) (err error) {
		switch member {
		case "type":
			kind, err = readText(value, "tool_choice.type")
		case "name":
			name, err = readText(value, "tool_choice.name")
		case "mode":
			mode, err = readText(value, "tool_choice.mode")
		case "tools":
			err = eachElement(value, "tool_choice.tools", func(_ int, tool []byte) error {
				return eachMember(tool, "tool_choice.tools", func(member string, value []byte) error {
					if member != "name" {
						return nil
					}
					name, err := readText(value, "tool_choice.tools")
					tools = append(tools, name)
					return err
				})
			})
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case kind == "function":
		r.r.ToolChoice = json.RawMessage(`{"type":"function","function":{"name":` + Quote(name) + `}}`)
		return nil
	case kind != "allowed_tools":
		return unsupported("tool_choice.type", "'tool_choice.type' must be function or allowed_tools with this model.")
	}
	var w writer
	w.b = append(w.b, `{"type":"allowed_tools","allowed_tools":{"mode":`+Quote(mode)+`,"tools":`...)
	w.open('[')
	for _, name := range tools {
		w.raw([]byte(`{"type":"function","function":{"name":` + Quote(name) + `}}`))
	}
	w.close(']')
	r.r.ToolChoice = append(w.b, "}}"...)
	return nil
}

// carrierPrefix begins an encrypted_content of ours. What follows is base64 of an array of thinking blocks, which
// have signatures of their own: a client that sends reasoning back, as it has to with OpenAI's models, has the
// model that has thought it go on with it.
const carrierPrefix = "runestone1."

// carrier returns an encrypted_content with thinking blocks.
func carrier(blocks []json.RawMessage) string {
	var w writer
	w.open('[')
	for _, block := range blocks {
		w.raw(block)
	}
	w.close(']')
	return carrierPrefix + base64.RawURLEncoding.EncodeToString(w.b)
}

// carriedBlocks returns the thinking blocks of an encrypted_content, nil if it is not ours.
func carriedBlocks(content string) (blocks []json.RawMessage) {
	text, ours := strings.CutPrefix(content, carrierPrefix)
	if !ours {
		return nil
	}
	list, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	err = Elements(list, func(at Span) bool { // which checks it
		blocks = append(blocks, list[at.Start:at.End])
		return true
	})
	if err != nil {
		return nil
	}
	return blocks
}
