package dialect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
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
	answers := newResponsesAnswers(t.Shown, nil, r.kinds)
	answers.between = t.Between
	echo, origins, tooled := r.echo, r.origins, r.tooled // copies, so that the rest of r can go
	answers.out.echo = &echo
	tr := &Translation{
		Body: text, ModelSpan: span, Stream: r.r.Stream, Adjusted: r.adjusted(),
		Answers: answers, names: responsesNames,
		rename: func(param string) string { return responsesParam(param, origins, tooled) },
	}
	tr.Adjusted = tr.alsoAdjusted(adjusted)
	return tr, nil
}

// responsesNames are the names that the Responses API has for parameters of chat completions.
var responsesNames = map[string]string{
	"messages": "input", "max_completion_tokens": "max_output_tokens", "max_tokens": "max_output_tokens",
	"reasoning_effort": "reasoning.effort", "response_format": "text.format", "verbosity": "text.verbosity", "logprobs": "include",
	"messages.thinking_blocks": "input",
}

// responsesOrigin is what a message is from, as errors name it: an item, and those with the calls in it.
type responsesOrigin struct {
	item  string
	calls []string
	turn  int // the message's
}

// responsesParam returns the client's name for what is in a parameter of chat completions. origins are those of the
// messages, and tooled where each of the tools is from.
func responsesParam(param string, origins []responsesOrigin, tooled []string) string {
	if rest, ok := strings.CutPrefix(param, "response_format.json_schema"); ok {
		return "text.format" + rest
	}
	if rest, ok := strings.CutPrefix(param, "response_format."); ok {
		return "text.format." + rest
	}
	if n, rest, ok := cutIndex(param, "tools["); ok && n < len(tooled) {
		return tooled[n] + strings.TrimPrefix(rest, ".function")
	}
	n, rest, ok := cutIndex(param, "messages[")
	if !ok || n >= len(origins) {
		return param
	}
	from := origins[n]
	if call, rest, ok := cutIndex(rest, ".tool_calls["); ok && call < len(from.calls) {
		return from.calls[call] + strings.TrimPrefix(rest, ".function")
	}
	if !strings.HasPrefix(rest, ".content") || !strings.HasPrefix(from.item, "input[") {
		return from.item
	}
	if end := strings.IndexByte(rest, ']'); end >= 0 { // parts have other members here
		rest = rest[:end+1]
	}
	return from.item + rest
}

// cutIndex returns the number of an element that a parameter names after a prefix, and what follows it.
func cutIndex(param, prefix string) (n int, rest string, ok bool) {
	rest, ok = strings.CutPrefix(param, prefix)
	number, rest, closed := strings.Cut(rest, "]")
	n, err := strconv.Atoi(number)
	return n, rest, ok && closed && err == nil && n >= 0
}

// responsesReader reads a request of the Responses API into one of chat completions.
type responsesReader struct {
	r    ChatRequest
	t    *Target
	echo responsesEcho
	adjustments

	system  *ChatMessage
	origins []responsesOrigin // of the messages

	tooled []string                  // where the tools are from
	about  int                       // bytes of descriptions that they have of their namespaces
	kinds  map[string]*responsesTool // by the functions that stand for them
	search *webSearch

	allowed *responsesChoice // the tool_choice, if it is an allowed_tools

	logprobs bool // they are wanted

	assistant *ChatMessage    // what the assistant is saying: items of several kinds are one message
	from      responsesOrigin // of that
	refusal   joined          // of that as well, like what it has thought
	thought   joined
	turn      int             // of the latest message
	late      []responsesLate // results
	calls     map[string]*responsesCall
	open      int        // calls that have not been answered
	media     []ChatPart // of results, which have no place for them with most servers
	mediaAt   string
}

// responsesEcho is what an answer repeats of its request, as it was written but on one line; nil for what was not. It does
// not alias the request, which may be gone by then.
type responsesEcho struct {
	instructions, maxOutputTokens, maxToolCalls, metadata, parallelToolCalls, promptCacheKey, reasoning, safetyIdentifier,
	temperature, text, toolChoice, tools, topLogprobs, topP, truncation, user json.RawMessage
}

// echoed returns a value as answers repeat it.
func echoed(value []byte) json.RawMessage { return bytes.Clone(oneLine(present(value))) }

// oneLine returns JSON in one line, as the events of a stream are.
func oneLine(value []byte) []byte {
	if bytes.ContainsAny(value, "\r\n") {
		return compact(value)
	}
	return value
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
	if err := r.offerSearch(); err != nil {
		return err
	}
	if r.system != nil {
		r.add(*r.system, responsesOrigin{item: "instructions"})
	}
	switch {
	case input == nil:
		return missing("input")
	case input[0] == '"':
		r.add(ChatMessage{Role: "user", Text: true, Content: []ChatPart{saidPart(input)}}, responsesOrigin{item: "input"})
		return nil
	}
	if err := eachElement(input, "input", r.item); err != nil {
		return err
	}
	r.flush()
	r.showMedia()
	r.settle()
	if r.open > 0 {
		return r.unanswered()
	}
	if len(r.r.Messages) == 0 {
		return Invalid("input", "invalid_value", "'input' is empty: there is nothing to answer.")
	}
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
		return unsupported(name, "is not available with this model, of which nothing is stored: "+instead+".")
	}
	switch name {
	case "model":
		r.r.Model, err = readText(value, name)
	case "instructions":
		err = r.instructions(value)
	case "stream":
		err = readFlag(value, name, &r.r.Stream)
	case "tools":
		err = r.tools(value)
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
			err = unsupported(name, "is not available with this model: send the header Prefer: respond-async to have the request queued.")
		}
	case "include":
		err = r.include(value)
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
		err = r.topLogprobs(value)
	case "safety_identifier":
		r.echo.safetyIdentifier = echoed(value)
		r.extra(name, value)
	case "prompt_cache_key":
		r.echo.promptCacheKey = echoed(value)
		r.extra(name, value)
	case "metadata": // it is for whoever reads the answer
		if r.echo.metadata = echoed(value); !isNull(value) && value[0] != '{' {
			err = Invalid(name, "invalid_type", "'metadata' must be an object.")
		}
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
	case "store", "stream_options": // nothing is stored, and what chunks are padded with is OpenAI's
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

// include reads what else the answer shall have. Reasoning always has what is needed to send it back, and the others are
// of tools that are refused.
func (r *responsesReader) include(value []byte) error {
	if isNull(value) {
		return nil
	}
	return eachElement(value, "include", func(i int, value []byte) error {
		if string(unquoted(value)) == "message.output_text.logprobs" {
			return r.wantLogprobs(index("include", i))
		}
		return nil
	})
}

// topLogprobs reads how many tokens are to be told beside each of the answer's.
func (r *responsesReader) topLogprobs(value []byte) error {
	const name = "top_logprobs"
	r.echo.topLogprobs = echoed(value)
	n, err := readWhole(value, name)
	if err != nil || n == nil || *n == 0 {
		return err
	}
	r.extra(name, value)
	return r.wantLogprobs(name)
}

// wantLogprobs asks for the logprobs of the answer, which a parameter wants, of a server that has them.
func (r *responsesReader) wantLogprobs(param string) error {
	if r.t.Between || r.t.Quirks != nil && slices.Contains(r.t.Quirks.Refused, "logprobs") {
		return unsupported(param, "asks for logprobs, which this model does not tell.")
	}
	if !r.logprobs {
		r.logprobs = true
		r.extra("logprobs", []byte("true"))
	}
	return nil
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
	switch {
	case isNull(value):
		return nil
	case name == "verbosity":
		r.extra("verbosity", value)
		return nil
	case name != "format":
		r.adjust("text." + name)
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
