package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// messagesToChat translates a request of Anthropic's messages to one of chat completions.
func messagesToChat(body []byte, t *Target) (*Translation, error) {
	m := &messagesReader{t: t}
	if err := m.read(body); err != nil {
		return nil, err
	}
	text, span, adjusted := m.r.append(scratch(len(body)+len(body)/8+512), t)
	answers := newChatAnswers(t.Shown, m.names.long)
	answers.estimate = int64((len(body)-m.media)/bytesPerToken + m.images*imageTokens)
	tr := &Translation{Body: text, ModelSpan: span, Stream: m.r.Stream, Adjusted: m.adjusted(), Answers: answers, names: m.clientNames()}
	tr.Adjusted = tr.alsoAdjusted(adjusted)
	return tr, nil
}

// messagesNames are Anthropic's names for parameters of chat completions.
var messagesNames = map[string]string{
	"max_completion_tokens": "max_tokens", "stop": "stop_sequences", "user": "metadata.user_id", "response_format": "output_config.format",
	"parallel_tool_calls": "tool_choice.disable_parallel_tool_use", "reasoning_effort": "thinking",
}

// clientNames returns the names that the client has for parameters of chat completions.
func (m *messagesReader) clientNames() map[string]string {
	if m.effort == "" {
		return messagesNames
	}
	names := maps.Clone(messagesNames)
	names["reasoning_effort"] = "output_config.effort"
	return names
}

// messagesReader reads a request of Anthropic's messages into one of chat completions.
type messagesReader struct {
	r ChatRequest
	t *Target
	adjustments

	system []ChatPart
	turn   messagesTurn      // what is being said
	calls  map[string]string // the names of the tools that the assistant has called last, by the calls' IDs
	names  toolNames

	thinking json.RawMessage
	kind     string // of thinking
	budget   *int64
	effort   string // of output_config

	media  int // bytes of what is no text
	images int

	inDocument bool // whose content is read
}

// quirk reports whether the server knows an extension of chat completions.
func (m *messagesReader) extension(name string) bool {
	return m.t.Quirks != nil && slices.Contains(m.t.Quirks.Extensions, name)
}

func (m *messagesReader) read(body []byte) error {
	if err := eachMember(body, "body", m.member); err != nil {
		return err
	}
	m.flush()
	switch {
	case m.r.MaxTokens == nil:
		return missing("max_tokens")
	case len(m.r.Messages) == 0:
		return missing("messages")
	}
	if last := m.r.Messages[len(m.r.Messages)-1]; last.Role == "assistant" && !m.t.Between {
		m.adjust("messages") // which Anthropic's models go on with, and others answer
	}
	if len(m.system) > 0 {
		m.r.Messages = slices.Insert(m.r.Messages, 0, ChatMessage{Role: "system", Content: m.system})
	}
	if most := int64(m.t.MaxOutput); most > 0 && *m.r.MaxTokens > most {
		m.r.MaxTokens = &most
		m.adjust("max_tokens")
	}
	if len(m.r.Tools) == 0 {
		m.r.ToolChoice, m.r.ParallelToolCalls = nil, nil
	}
	return m.reason()
}

// missing returns the error for a parameter that is required.
func missing(param string) *Error {
	return Invalid(param, "missing_required_parameter", "Missing required parameter: '"+param+"'.")
}

// unsupported returns the error for what a model that is asked through chat completions cannot do.
func unsupported(param, what string) *Error {
	return Invalid(param, "unsupported_parameter", "'"+param+"' "+what)
}

func (m *messagesReader) member(name string, value []byte) (err error) {
	switch name {
	case "model", "cache_control": // what is cached is up to the server
	case "messages":
		if !isNull(value) {
			err = eachElement(value, name, m.message)
		}
	case "system":
		m.system, err = m.systemParts(value, name)
	case "max_tokens":
		m.r.MaxTokens, err = readWhole(value, name)
	case "temperature":
		m.r.Temperature, err = readNumber(value, name)
	case "top_p":
		m.r.TopP, err = readNumber(value, name)
	case "stream":
		err = readFlag(value, name, &m.r.Stream)
	case "stop_sequences":
		err = m.stopSequences(value)
	case "tools":
		err = m.tools(value)
	case "tool_choice":
		err = m.toolChoice(value)
	default:
		return m.option(name, value)
	}
	return err
}

// option reads the members that few requests have.
func (m *messagesReader) option(name string, value []byte) (err error) {
	if isNull(value) {
		return nil
	}
	switch name {
	case "thinking":
		return m.readThinking(value)
	case "output_config":
		return eachMember(value, name, m.outputConfig)
	case "output_format": // as it was called when it was new
		return m.outputFormat(value, name)
	case "metadata":
		return eachMember(value, name, m.metadata)
	case "service_tier":
		tier, err := readText(value, name)
		switch {
		case err != nil:
			return err
		case tier == "standard_only":
			m.r.ServiceTier = "default"
		case tier != "auto":
			return Invalid(name, "invalid_value", "'service_tier' must be auto or standard_only.")
		case m.t.Between:
			m.r.ServiceTier = tier
		}
		return nil
	case "container", "mcp_servers":
		if string(value) == "[]" {
			return nil
		}
		return unsupported(name, "is not supported by this model: it needs what only Anthropic runs.")
	case "inference_geo":
		if where := string(unquoted(value)); where != "global" {
			return unsupported(name, "is not supported by this model: where it runs cannot be chosen.")
		}
		return nil
	}
	m.r.Extra = append(m.r.Extra, Member{name, value})
	return nil
}

// maxChatStop is how many stop sequences OpenAI takes.
const maxChatStop = 4

func (m *messagesReader) stopSequences(value []byte) error {
	if isNull(value) {
		return nil
	}
	err := eachElement(value, "stop_sequences", func(i int, value []byte) error {
		text, err := readText(value, index("stop_sequences", i))
		m.r.Stop = append(m.r.Stop, text)
		return err
	})
	if err == nil && len(m.r.Stop) > maxChatStop && !m.t.Between {
		return Invalid("stop_sequences", "invalid_value", "'stop_sequences' must have no more than 4 sequences for this model.")
	}
	return err
}

func (m *messagesReader) metadata(name string, value []byte) error {
	if name != "user_id" {
		return nil
	}
	user, err := readText(value, "metadata.user_id")
	if len(user) > maxUser && !m.t.Between {
		// It is to tell users apart, which this does as well, and it is always the same.
		sum := sha256.Sum256([]byte(user))
		user = hex.EncodeToString(sum[:])
		m.adjust("metadata.user_id")
	}
	m.r.User = user
	return err
}

// maxUser is how long the ID of a user may be at OpenAI, in bytes.
const maxUser = 64

func (m *messagesReader) readThinking(value []byte) error {
	m.thinking = value
	err := eachMember(value, "thinking", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			m.kind, err = readText(value, "thinking.type")
		case "budget_tokens":
			m.budget, err = readWhole(value, "thinking.budget_tokens")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case m.kind == "enabled" && m.budget == nil:
		return missing("thinking.budget_tokens")
	case m.kind != "enabled" && m.kind != "disabled" && m.kind != "adaptive" && m.kind != "between_tools":
		return Invalid("thinking.type", "invalid_value", "'thinking.type' must be enabled, disabled or adaptive.")
	}
	return nil
}

func (m *messagesReader) outputConfig(name string, value []byte) (err error) {
	at := "output_config." + name
	switch {
	case isNull(value):
	case name == "format":
		return m.outputFormat(value, at)
	case name == "effort":
		m.effort, err = readText(value, at)
		if err == nil && !slices.Contains([]string{"low", "medium", "high", "xhigh", "max"}, m.effort) {
			err = Invalid(at, "invalid_value", "'output_config.effort' must be one of low, medium, high, xhigh and max.")
		}
	default:
		m.adjust(at)
	}
	return err
}

// outputFormat reads the schema that the answer must follow. OpenAI wants a name for it.
func (m *messagesReader) outputFormat(value []byte, at string) error {
	kind := ""
	var schema []byte
	err := eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "type":
			kind, err = readText(value, at+".type")
		case "schema":
			schema = present(value)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case kind != "json_schema":
		return Invalid(at+".type", "invalid_value", "'"+at+".type' must be json_schema.")
	case schema == nil:
		return missing(at + ".schema")
	}
	var w writer
	w.open('{')
	w.member("type", "json_schema")
	w.key("json_schema")
	w.open('{')
	w.member("name", "answer")
	w.optional("schema", schema)
	w.key("strict")
	w.flag(true)
	w.close('}')
	w.close('}')
	m.r.ResponseFormat = w.b
	return nil
}

// reason decides how much the model thinks. Without a budget or an effort that is its own choice.
func (m *messagesReader) reason() error {
	if m.t.Between {
		if m.thinking != nil {
			m.r.Extra = append(m.r.Extra, Member{"thinking", m.thinking})
		}
		m.r.ReasoningEffort = m.effort
		return nil
	}
	if m.kind != "" && m.extension("thinking") { // as DeepSeek's server has it, which knows no budget
		value := `{"type":"enabled"}`
		if m.kind == "disabled" {
			value = `{"type":"disabled"}`
		}
		m.r.Extra = append(m.r.Extra, Member{"thinking", json.RawMessage(value)})
	}
	switch {
	case m.kind == "disabled":
		if m.effort != "" {
			m.adjust("output_config.effort")
		}
	case m.effort != "":
		m.r.ReasoningEffort = m.effort
	case m.kind == "enabled":
		m.r.ReasoningEffort = effortOfBudget(*m.budget)
	case m.kind == "between_tools": // when it thinks is the model's own choice
		m.adjust("thinking")
	}
	return nil
}

// effortOfBudget returns the effort for a budget of tokens, as [thinkingBudgets] has it. More than high is not
// known to most servers.
func effortOfBudget(budget int64) string {
	switch {
	case budget >= thinkingBudgets["high"]:
		return "high"
	case budget >= thinkingBudgets["medium"]:
		return "medium"
	}
	return "low"
}

// signatureMark is between the ID of a call and Google's signature for it (its extra_content), in base64: Anthropic's
// clients send back an ID as it is, and have no other place for what belongs to a call.
const signatureMark = "__sig_"

// splitID returns the ID of a call and its extra_content, if the ID carries that.
func splitID(id string) (string, json.RawMessage) {
	at := strings.LastIndex(id, signatureMark)
	if at <= 0 {
		return id, nil
	}
	signature, ok := unpackSignature(id[at+len(signatureMark):])
	if !ok {
		return id, nil
	}
	return id[:at], json.RawMessage(`{"google":{"thought_signature":` + Quote(signature) + `}}`)
}
