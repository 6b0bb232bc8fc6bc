package dialect

import (
	"slices"
	"strconv"
)

// append appends the request as a server of chat completions takes it, with the target's model, and returns
// where the name of that is, and the names of the parameters (chat's) that were left out or changed. A stream always
// reports its usage, if the server can be asked to.
func (r *ChatRequest) append(dst []byte, t *Target) (body []byte, model Span, adjusted []string) {
	m := &chatMaker{r: r, t: t, w: writer{b: dst}}
	if t.Quirks != nil {
		m.quirks = *t.Quirks
	}
	m.write()
	return m.w.b, m.span, m.adjusted()
}

// chatMaker writes a request of chat completions.
type chatMaker struct {
	r      *ChatRequest
	t      *Target
	quirks Quirks

	w    writer
	span Span
	adjustments
}

// takes reports whether the server takes a parameter of OpenAI's.
func (m *chatMaker) takes(name string) bool {
	if slices.Contains(m.quirks.Refused, name) {
		m.adjust(name)
		return false
	}
	return true
}

func (m *chatMaker) write() {
	w := &m.w
	w.open('{')
	w.key("model")
	start := len(w.b)
	w.text(m.t.Model)
	m.span = Span{start, len(w.b)}
	m.writeMessages()
	m.writeTools()
	m.writeSampling()
	m.writeExtra()
	if m.r.Stream {
		w.key("stream")
		w.literal("true")
		if !m.quirks.NoStreamOptions {
			w.key("stream_options")
			w.literal(`{"include_usage":true}`)
		}
	}
	w.close('}')
}

func (m *chatMaker) writeTools() {
	w := &m.w
	switch {
	case m.t.Between && slices.ContainsFunc(m.r.Extra, func(e Member) bool { return e.Name == "web_search_options" }):
	case len(m.r.Tools) == 0 || !m.takes("tools"):
		return // the others are refused without them
	}
	if len(m.r.Tools) > 0 {
		w.key("tools")
		w.open('[')
		for i := range m.r.Tools {
			m.writeTool(&m.r.Tools[i])
		}
		w.close(']')
	}
	if choice := m.r.ToolChoice; choice != nil && m.takes("tool_choice") {
		w.key("tool_choice")
		if m.quirks.RequiredIsAny && string(choice) == `"required"` {
			w.text("any")
		} else {
			w.raw(choice)
		}
	}
	if parallel := m.r.ParallelToolCalls; parallel != nil && m.takes("parallel_tool_calls") {
		w.key("parallel_tool_calls")
		w.flag(*parallel)
	}
}

func (m *chatMaker) writeTool(t *ChatTool) {
	w := &m.w
	w.open('{')
	w.member("type", "function")
	w.key("function")
	w.open('{')
	w.member("name", t.Name)
	if t.HasDescription {
		w.member("description", t.Description)
	}
	w.optional("parameters", t.Parameters)
	if t.Strict != nil {
		w.key("strict")
		w.flag(*t.Strict)
	}
	w.close('}')
	if m.t.Between {
		w.optional("cache_control", t.CacheControl)
	}
	w.close('}')
}

func (m *chatMaker) writeSampling() {
	w, r := &m.w, m.r
	if r.MaxTokens != nil {
		if m.quirks.MaxTokens && !newLimit(m.t.Model) {
			w.key("max_tokens")
		} else {
			w.key("max_completion_tokens")
		}
		w.whole(*r.MaxTokens)
	}
	for _, p := range [...]Member{{"temperature", r.Temperature}, {"top_p", r.TopP}} {
		switch {
		case p.Value == nil:
		case !m.t.Between && fixedSampling(m.t.Model, r.ReasoningEffort):
			if n, err := strconv.ParseFloat(string(p.Value), 64); err != nil || n != 1 {
				m.adjust(p.Name)
			}
		case m.takes(p.Name):
			w.optional(p.Name, p.Value)
		}
	}
	if len(r.Stop) > 0 && !m.t.Between && stopless(m.t.Model) {
		m.adjust("stop")
	} else if len(r.Stop) > 0 && m.takes("stop") {
		w.key("stop")
		w.open('[')
		for _, s := range r.Stop {
			w.text(s)
		}
		w.close(']')
	}
	if r.ResponseFormat != nil && m.takes("response_format") {
		w.optional("response_format", r.ResponseFormat)
	}
	if r.ReasoningEffort != "" && m.takes("reasoning_effort") {
		m.writeEffort()
	}
	for _, p := range [...]struct{ name, value string }{{"user", r.User}, {"service_tier", r.ServiceTier}} {
		if p.value != "" && m.takes(p.name) {
			w.member(p.name, p.value)
		}
	}
}

func (m *chatMaker) writeEffort() {
	effort := m.r.ReasoningEffort
	switch {
	case m.t.Between:
	case thoughtless(m.t.Model):
		if effort != "none" {
			m.adjust("reasoning_effort")
		}
		return
	case m.quirks.EffortHigh && effort != "none" && effort != "high":
		effort = "high"
		m.adjust("reasoning_effort")
	}
	m.w.member("reasoning_effort", effort)
}

// chatParameters are those of OpenAI's chat completions that [ChatRequest] does not name (its OpenAPI description).
var chatParameters = map[string]bool{
	"audio": true, "frequency_penalty": true, "logit_bias": true, "logprobs": true, "metadata": true, "modalities": true, "moderation": true, "n": true,
	"prediction": true, "presence_penalty": true, "prompt_cache_key": true, "prompt_cache_options": true, "prompt_cache_retention": true,
	"safety_identifier": true, "seed": true, "store": true, "top_logprobs": true, "verbosity": true, "web_search_options": true,
}

// writeExtra writes the others: those of OpenAI's unless the server refuses them, and extensions if it knows them.
func (m *chatMaker) writeExtra() {
	for _, e := range m.r.Extra {
		switch {
		case m.t.Between, slices.Contains(m.quirks.Extensions, e.Name), chatParameters[e.Name] && m.takes(e.Name):
			m.w.optional(e.Name, e.Value)
		default:
			m.adjust(e.Name)
		}
	}
}
