package dialect

import (
	"encoding/json"
	"slices"
	"strings"
)

// jsonTool is the tool through which a model answers that cannot be held to a schema otherwise.
const jsonTool = "json"

// chatToMessages translates a request of chat completions to one of Anthropic's messages.
func chatToMessages(body []byte, t *Target) (*Translation, error) {
	r, err := readChatRequest(body)
	if err != nil {
		return nil, err
	}
	m := &messagesMaker{r: r, t: t, model: claudeOf(t.Model), blocks: writer{b: scratch(0)}}
	m.w.b = scratch(len(body) + 1024)
	defer func() { Recycle(m.blocks.b) }() // its blocks are in the body by then
	if err := m.make(); err != nil {
		return nil, err
	}
	answers := &messagesAnswers{out: newChatWriter(t, r.IncludeUsage), jsonTool: m.jsonTool, searches: m.search != nil}
	return &Translation{Body: m.w.b, ModelSpan: m.span, Stream: r.Stream, Adjusted: m.adjusted(), Betas: m.betas, Answers: answers}, nil
}

// messagesMaker writes a request of Anthropic's messages.
type messagesMaker struct {
	r     *ChatRequest
	t     *Target
	model claude

	w    writer
	span Span
	adjustments

	blocks writer // holds the blocks until it is known where they go
	system []block
	turns  []turn
	calls  map[string]bool // the tool calls of the latest turn of the assistant that have no result yet

	tools    []ChatTool
	choice   toolChoice
	jsonTool string          // the name of the tool for the answer, "" if there is none
	schema   json.RawMessage // its parameters
	format   json.RawMessage // the schema of output_config.format
	thinking thinking
	effort   string // of output_config
	limit    int64
	topK     json.RawMessage
	search   json.RawMessage
	betas    []string // features that the request needs
}

func (m *messagesMaker) make() error {
	m.tools = m.r.Tools
	for _, read := range []func() error{m.extra, m.conversation, m.readChoice, m.responseFormat, m.reason, m.bind} {
		if err := read(); err != nil {
			return err
		}
	}
	return m.write()
}

// extra reads the parameters that chat's shape does not name.
func (m *messagesMaker) extra() (err error) {
	for _, e := range m.r.Extra {
		switch e.Name {
		case "n":
			if string(e.Value) != "1" {
				return Invalid("n", "unsupported_parameter", "'n' must be 1: this model gives one answer.")
			}
		case "logprobs":
			if string(e.Value) != "false" {
				return unsupported("logprobs", notSupported)
			}
		case "top_logprobs":
			if string(e.Value) != "0" {
				return unsupported("top_logprobs", notSupported)
			}
		case "audio":
			return unsupported("audio", notSupported)
		case "modalities":
			if strings.Contains(string(e.Value), `"audio"`) {
				return Invalid("modalities", "unsupported_parameter", "'modalities' must be text: this model gives no other answer.")
			}
		case "thinking":
			m.thinking, err = readThinking(e.Value)
		case "top_k":
			m.topK, err = readNumber(e.Value, "top_k")
		case "web_search_options":
			m.search = e.Value
		default:
			m.adjust(e.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const notSupported = "is not supported by this model."

// jsonObject is what the system says for response_format json_object, which Anthropic has nothing of. The prompt speaks of
// JSON already, as OpenAI demands that.
const jsonObject = `"Answer with one valid JSON object and nothing else, without a code fence."`

// responseFormat has the answer follow a schema, in the way that the model has for it.
func (m *messagesMaker) responseFormat() error {
	if m.r.ResponseFormat == nil {
		return nil
	}
	kind, schema, err := readFormat(m.r.ResponseFormat)
	switch {
	case err != nil:
		return err
	case kind == "text":
		return nil
	case kind == "json_object":
		m.adjust("response_format")
		m.system = append(m.system, textBlock(json.RawMessage(jsonObject), nil))
		return nil
	case kind != "json_schema":
		return Invalid("response_format.type", "invalid_value", "'response_format.type' must be text, json_object or json_schema.")
	case schema == nil:
		return missing("response_format.json_schema.schema")
	case m.model.structured:
		m.format = schema
	case m.choice.forces == "": // else the answer is the call of a tool
		m.jsonTool, m.schema = m.freeName(jsonTool), schema
	}
	return nil
}

func readFormat(format []byte) (kind string, schema json.RawMessage, err error) {
	err = eachMember(format, "response_format", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			kind, err = readText(value, "response_format.type")
		case "json_schema":
			err = eachMember(value, "response_format.json_schema", func(name string, value []byte) error {
				if name != "schema" {
					return nil
				}
				if schema = present(value); schema != nil && value[0] != '{' {
					return Invalid("response_format.json_schema.schema", "invalid_type", "'response_format.json_schema.schema' must be an object.")
				}
				return nil
			})
		}
		return err
	})
	return kind, schema, err
}

// freeName returns a name that no tool has.
func (m *messagesMaker) freeName(name string) string {
	taken := make(map[string]bool)
	for i := range m.tools { // no other can be the one that is returned
		if strings.HasPrefix(m.tools[i].Name, name) {
			taken[m.tools[i].Name] = true
		}
	}
	for taken[name] {
		name += "_answer"
	}
	return name
}

func (m *messagesMaker) write() error {
	w := &m.w
	w.open('{')
	w.key("model")
	start := len(w.b)
	w.text(m.t.Model)
	m.span = Span{start, len(w.b)}
	w.key("max_tokens")
	w.whole(m.limit)
	if len(m.system) > 0 {
		w.key("system")
		w.blocks(m.system)
	}
	m.writeTurns()
	if err := m.writeTools(); err != nil {
		return err
	}
	if err := m.writeSampling(); err != nil {
		return err
	}
	if m.thinking.value != "" {
		w.key("thinking")
		w.literal(m.thinking.value)
	}
	m.writeOutputConfig()
	m.writeStop()
	m.writeRest()
	w.close('}')
	return nil
}

func (m *messagesMaker) writeOutputConfig() {
	if m.format == nil && m.effort == "" {
		return
	}
	m.w.key("output_config")
	m.w.open('{')
	if m.effort != "" {
		m.w.member("effort", m.effort)
	}
	if m.format != nil {
		m.w.key("format")
		m.w.open('{')
		m.w.member("type", "json_schema")
		m.w.key("schema")
		m.w.raw(claudeSchema(m.format))
		m.w.close('}')
	}
	m.w.close('}')
}

func (m *messagesMaker) writeStop() {
	kept := slices.DeleteFunc(m.r.Stop, func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(kept) < len(m.r.Stop) { // which Anthropic refuses
		m.adjust("stop")
	}
	if len(kept) == 0 {
		return
	}
	m.w.key("stop_sequences")
	m.w.open('[')
	for _, s := range kept {
		m.w.text(s)
	}
	m.w.close(']')
}

func (m *messagesMaker) writeRest() {
	if m.r.Stream {
		m.w.key("stream")
		m.w.literal("true")
	}
	switch user := m.r.User; {
	case user == "":
	case personal(user):
		m.adjust("user")
	default:
		m.w.key("metadata")
		m.w.open('{')
		m.w.member("user_id", user)
		m.w.close('}')
	}
	switch m.r.ServiceTier {
	case "":
	case "auto":
		m.w.member("service_tier", "auto")
	case "default":
		m.w.member("service_tier", "standard_only")
	default:
		m.adjust("service_tier")
	}
}
