package dialect

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultMaxTokens is the max_tokens, which Anthropic requires, of a request that has none and of whose model
// nothing better is known.
const defaultMaxTokens = 4096

// jsonTool is the tool through which a model answers that cannot be held to a schema otherwise.
const jsonTool = "json"

// chatToMessages translates a request of chat completions to one of Anthropic's messages.
func chatToMessages(body []byte, t *Target) (*Translation, error) {
	r, err := readChatRequest(body)
	if err != nil {
		return nil, err
	}
	m := &messagesMaker{r: r, t: t, model: claudeOf(t.Model)}
	if err := m.make(); err != nil {
		return nil, err
	}
	answers := &messagesAnswers{out: newChatWriter(t.Shown, time.Now().Unix(), r.IncludeUsage), jsonTool: m.jsonTool}
	return &Translation{Body: m.w.b, ModelSpan: m.span, Stream: r.Stream, Adjusted: m.adjusted, Answers: answers}, nil
}

// messagesMaker writes a request of Anthropic's messages.
type messagesMaker struct {
	r     *ChatRequest
	t     *Target
	model claude

	w        writer
	span     Span
	adjusted []string

	system   [][]byte // blocks
	turns    []turn
	calls    map[string]bool // the tool calls of the latest turn of the assistant
	tools    []ChatTool
	jsonTool string // the name of the tool for the answer, "" if there is none
	schema   json.RawMessage
	format   json.RawMessage // the schema of output_config.format
	thinking string          // the value of thinking, "" for none
	effort   string          // of output_config
	limit    int64
	topK     json.RawMessage
	search   json.RawMessage
}

func (m *messagesMaker) adjust(name string) {
	if !slices.Contains(m.adjusted, name) {
		m.adjusted = append(m.adjusted, name)
	}
}

func (m *messagesMaker) make() error {
	m.tools = m.r.Tools
	if err := m.extra(); err != nil {
		return err
	}
	for i := range m.r.Messages {
		if err := m.message(&m.r.Messages[i], index("messages", i)); err != nil {
			return err
		}
	}
	if len(m.turns) == 0 && len(m.system) > 0 { // a conversation needs somebody who speaks
		m.turns, m.system = []turn{{role: "user", blocks: m.system}}, nil
	}
	if err := m.responseFormat(); err != nil {
		return err
	}
	if err := m.reason(); err != nil {
		return err
	}
	return m.write()
}

// extra reads the parameters that chat's shape does not name.
func (m *messagesMaker) extra() error {
	for _, e := range m.r.Extra {
		switch e.Name {
		case "n":
			if string(e.Value) != "1" {
				return Invalid("n", "unsupported_parameter", "'n' must be 1: this model gives one answer.")
			}
		case "logprobs":
			if string(e.Value) == "true" {
				return Invalid("logprobs", "unsupported_parameter", "'logprobs' is not supported by this model.")
			}
		case "top_logprobs":
			if string(e.Value) != "0" {
				return Invalid("top_logprobs", "unsupported_parameter", "'top_logprobs' is not supported by this model.")
			}
		case "audio":
			return Invalid("audio", "unsupported_parameter", "'audio' is not supported by this model.")
		case "modalities":
			if strings.Contains(string(e.Value), "audio") {
				return Invalid("modalities", "unsupported_parameter", "This model answers with text only.")
			}
		case "thinking":
			m.thinking = string(e.Value)
		case "top_k":
			m.topK = e.Value
		case "web_search_options":
			m.search = e.Value
		default:
			m.adjust(e.Name)
		}
	}
	return nil
}

// responseFormat has the answer follow a schema, in the way that the model has for it.
func (m *messagesMaker) responseFormat() error {
	if m.r.ResponseFormat == nil {
		return nil
	}
	kind := ""
	var schema json.RawMessage
	err := eachMember(m.r.ResponseFormat, "response_format", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			kind, err = readText(value, "response_format.type")
		case "json_schema":
			err = eachMember(value, "response_format.json_schema", func(name string, value []byte) error {
				if name == "schema" {
					schema = present(value)
				}
				return nil
			})
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case kind == "" || kind == "text":
		return nil
	case kind == "json_object":
		// There is nothing of the kind; the prompt must speak of JSON already, as OpenAI demands that.
		m.adjust("response_format")
		m.system = append(m.system, []byte(`{"type":"text","text":"Answer with one valid JSON object and nothing else, without a code fence."}`))
		return nil
	case kind != "json_schema":
		return Invalid("response_format.type", "invalid_value", "'response_format.type' must be text, json_object or json_schema.")
	case schema == nil:
		return Invalid("response_format.json_schema.schema", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema.schema'.")
	case m.model.structured():
		m.format = schema
	default:
		m.jsonTool, m.schema = m.freeName(jsonTool), schema
	}
	return nil
}

// freeName returns a name that no tool has.
func (m *messagesMaker) freeName(name string) string {
	for slices.ContainsFunc(m.tools, func(t ChatTool) bool { return t.Name == name }) {
		name += "_answer"
	}
	return name
}

// reason decides how long the model thinks, and with it how long the answer may be.
func (m *messagesMaker) reason() error {
	m.limit = defaultMaxTokens
	if m.t.MaxOutput > 0 {
		m.limit = int64(m.t.MaxOutput)
	}
	if m.r.MaxTokens != nil {
		m.limit = *m.r.MaxTokens
	}
	effort := m.r.ReasoningEffort
	if m.thinking == "" && effort != "" {
		if err := m.effortOf(effort); err != nil {
			return err
		}
	}
	if !m.thinks() {
		return nil
	}
	if m.jsonTool != "" { // whose use cannot be demanded then
		m.thinking = ""
		m.adjust("reasoning_effort")
		return nil
	}
	if kind := m.forces(); kind != "" {
		return Invalid("tool_choice", "unsupported_parameter", "'tool_choice' cannot be "+kind+" while this model thinks: leave out 'reasoning_effort' or 'thinking', or let it choose.")
	}
	return nil
}

// effortOf translates reasoning_effort.
func (m *messagesMaker) effortOf(effort string) error {
	budget, known := thinkingBudgets[effort]
	switch {
	case effort == "none":
		if m.model.adaptiveOnly() { // it thinks in any case
			m.effort = "low"
			m.adjust("reasoning_effort")
		}
		return nil
	case !known:
		return Invalid("reasoning_effort", "invalid_value", "'reasoning_effort' must be one of none, minimal, low, medium, high, xhigh and max.")
	case m.model.adaptive():
		m.thinking, m.effort = `{"type":"adaptive"}`, effort
		if effort == "minimal" {
			m.effort = "low"
		}
		return nil
	}
	if m.unfinishedWithoutThinking() {
		m.adjust("reasoning_effort")
		return nil
	}
	// max_completion_tokens bounds the reasoning as well, and Anthropic's max_tokens does.
	if m.r.MaxTokens == nil {
		m.limit = max(m.limit, budget+defaultMaxTokens)
	}
	if budget = min(budget, m.limit-1); budget < 1024 {
		m.adjust("reasoning_effort")
		return nil
	}
	m.thinking = `{"type":"enabled","budget_tokens":` + strconv.FormatInt(budget, 10) + `}`
	return nil
}

// thinks reports whether the model is asked to think.
func (m *messagesMaker) thinks() bool {
	return m.thinking != "" && !strings.Contains(m.thinking, `"disabled"`)
}

// forces returns what a tool_choice demands that leaves the model no choice, "" if it does not.
func (m *messagesMaker) forces() string {
	switch choice := m.r.ToolChoice; {
	case len(m.tools) == 0 || choice == nil:
		return ""
	case string(choice) == `"required"`:
		return "required"
	case choice[0] == '{' && !strings.Contains(string(choice), `"allowed_tools"`):
		return "a function"
	}
	return ""
}

func (m *messagesMaker) write() error {
	w := &m.w
	w.b = make([]byte, 0, 4<<10)
	w.open('{')
	w.key("model")
	start := len(w.b)
	w.text(m.t.Model)
	m.span = Span{start, len(w.b)}
	w.key("max_tokens")
	w.whole(m.limit)
	m.writeSystem()
	m.writeTurns()
	if err := m.writeTools(); err != nil {
		return err
	}
	if err := m.writeSampling(); err != nil {
		return err
	}
	if m.thinking != "" {
		w.key("thinking")
		w.raw([]byte(m.thinking))
	}
	m.writeOutputConfig()
	if len(m.r.Stop) > 0 {
		m.writeStop()
	}
	m.writeRest()
	w.close('}')
	return nil
}

func (m *messagesMaker) writeSystem() {
	if len(m.system) == 0 {
		return
	}
	m.w.key("system")
	m.w.open('[')
	for _, block := range m.system {
		m.w.raw(block)
	}
	m.w.close(']')
}

// writeSampling writes what Anthropic takes of temperature and its like.
func (m *messagesMaker) writeSampling() error {
	none := m.model.adaptiveOnly() || m.thinks()
	if t := m.r.Temperature; t != nil {
		value, err := strconv.ParseFloat(string(t), 64)
		switch {
		case err != nil || math.IsNaN(value):
			return Invalid("temperature", "invalid_type", "'temperature' must be a number.")
		case none && value != 1:
			m.adjust("temperature")
		case none:
		case value > 1: // OpenAI's goes to 2
			m.adjust("temperature")
			m.w.key("temperature")
			m.w.literal("1")
		default:
			m.w.optional("temperature", t)
		}
	}
	for _, p := range []Member{{"top_p", m.r.TopP}, {"top_k", m.topK}} {
		switch {
		case p.Value == nil:
		case p.Name == "top_p" && m.r.Temperature != nil && m.model.eitherSampling():
			if string(p.Value) != "1" {
				m.adjust(p.Name)
			}
		case none && !(p.Name == "top_p" && string(p.Value) == "1"):
			m.adjust(p.Name)
		case !none:
			m.w.optional(p.Name, p.Value)
		}
	}
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
	kept := slices.DeleteFunc(slices.Clone(m.r.Stop), func(s string) bool { return strings.TrimSpace(s) == "" })
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
	if user := m.r.User; user != "" {
		if personal(user) {
			m.adjust("user")
		} else {
			m.w.key("metadata")
			m.w.open('{')
			m.w.member("user_id", user)
			m.w.close('}')
		}
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
