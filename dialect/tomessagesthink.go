package dialect

import (
	"encoding/json"
	"strconv"
)

// defaultMaxTokens is the max_tokens, which Anthropic requires, of a request that has none and of whose model
// nothing better is known.
const defaultMaxTokens = 4096

// thinking is the parameter of that name.
type thinking struct {
	value  string // as it is written, "" for none
	kind   string
	budget int64
	own    bool // the client has given it
}

// readThinking reads Anthropic's parameter, which is sent as it is.
func readThinking(value []byte) (t thinking, err error) {
	t = thinking{value: string(value), own: true}
	err = eachMember(value, "thinking", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			t.kind, err = readText(value, "thinking.type")
		case "budget_tokens":
			var budget *int64
			if budget, err = readWhole(value, "thinking.budget_tokens"); budget != nil {
				t.budget = *budget
			}
		}
		return err
	})
	return t, err
}

// on reports whether the model is asked to think.
func (t thinking) on() bool { return t.kind == "enabled" || t.kind == "adaptive" }

// param is what the client asked for it with.
func (t thinking) param() string {
	if t.own {
		return "thinking"
	}
	return "reasoning_effort"
}

// reason decides how long the model thinks, and with it how long the answer may be.
func (m *messagesMaker) reason() error {
	if name := m.r.fit(m.t); name != "" {
		m.adjust(name)
	}
	m.limit = defaultMaxTokens
	if m.t.MaxOutput > 0 {
		m.limit = int64(m.t.MaxOutput)
	}
	if m.r.MaxTokens != nil {
		m.limit = *m.r.MaxTokens
	}
	if err := m.effortOf(m.r.ReasoningEffort); err != nil {
		return err
	}
	if m.jsonTool != "" && m.thinking.on() { // the answer's tool must be demanded, and then it may not think
		m.adjust(m.thinking.param())
		m.thinking = thinking{}
	}
	if m.r.MaxTokens == nil && m.thinking.budget > 0 { // Anthropic's limit is for both
		m.limit = max(m.limit, m.thinking.budget+defaultMaxTokens)
		if m.t.MaxOutput > 0 {
			m.limit = min(m.limit, int64(m.t.MaxOutput))
		}
	}
	forces := m.choice.forces
	switch {
	case forces == "":
	case m.model.unforced:
		return Invalid("tool_choice", "unsupported_parameter", "'tool_choice' must be auto or none for this model.")
	case m.thinking.kind == "enabled": // beside adaptive thinking a tool can be demanded
		return Invalid("tool_choice", "unsupported_parameter",
			"'tool_choice' cannot be "+forces+" while this model thinks: leave out '"+m.thinking.param()+"', or let it choose.")
	case m.thinking.value == "" && m.model.thinks:
		m.thinking.value = m.model.off
	}
	return nil
}

// effortOf translates reasoning_effort.
func (m *messagesMaker) effortOf(effort string) error {
	budget, known := thinkingBudgets[effort]
	switch {
	case effort == "":
		return nil
	case !known && effort != "none":
		return Invalid("reasoning_effort", "invalid_value", "'reasoning_effort' must be one of none, minimal, low, medium, high, xhigh and max.")
	case m.thinking.own && (!m.model.adaptive || effort == "none" || !m.thinking.on()):
		m.adjust("reasoning_effort")
	case m.thinking.own:
		m.effort = m.effortName(effort)
	case effort == "none":
		m.thinking.value = m.model.off
		if m.model.always {
			m.effort = "low"
			m.adjust("reasoning_effort")
		}
	case m.model.adaptive:
		m.effort = m.effortName(effort)
		m.thinking = thinking{value: `{"type":"adaptive"}`, kind: "adaptive"}
		if !m.model.budget { // the newer ones keep their thoughts to themselves unless they are asked for them
			m.thinking.value = `{"type":"adaptive","display":"summarized"}`
		}
	case !m.model.budget || m.unfinishedWithoutThinking():
		m.adjust("reasoning_effort")
	default:
		m.budgetOf(budget)
	}
	return nil
}

// effortName returns Anthropic's name for an effort.
func (m *messagesMaker) effortName(effort string) string {
	switch {
	case effort == "minimal":
		return "low"
	case effort == "xhigh" && m.model.noXHigh:
		m.adjust("reasoning_effort")
		return "high"
	}
	return effort
}

// budgetOf has the model think with a budget. max_completion_tokens bounds the reasoning as well, and Anthropic's
// max_tokens does, so that a budget which is no smaller than that becomes half of it.
func (m *messagesMaker) budgetOf(budget int64) {
	most := m.limit
	if m.r.MaxTokens == nil {
		most = max(most, budget+defaultMaxTokens)
		if m.t.MaxOutput > 0 {
			most = int64(m.t.MaxOutput)
		}
	}
	if budget >= most {
		budget = max(minBudget, most/2)
		m.adjust("reasoning_effort")
	}
	if budget < most {
		m.thinking = thinking{
			value: `{"type":"enabled","budget_tokens":` + strconv.FormatInt(budget, 10) + `}`, kind: "enabled", budget: budget,
		}
	}
}

// writeSampling writes what Anthropic takes of temperature and its like. Its default of temperature and
// top_p is 1.
func (m *messagesMaker) writeSampling() error {
	none := m.model.sampling == noSampling || m.thinking.on()
	temperature, isOne, err := m.temperature()
	if err != nil {
		return err
	}
	topP := m.r.TopP
	if n, err := strconv.ParseFloat(string(topP), 64); err == nil && n == 1 {
		topP = nil
	}
	if m.model.sampling == oneSampling && !none && temperature != nil && topP != nil {
		if isOne {
			temperature = nil
		} else {
			m.adjust("top_p")
			topP = nil
		}
	}
	for _, p := range []Member{{"temperature", temperature}, {"top_p", topP}, {"top_k", m.topK}} {
		switch {
		case p.Value == nil || p.Name == "temperature" && none && isOne:
		case none:
			m.adjust(p.Name)
		default:
			m.w.optional(p.Name, p.Value)
		}
	}
	return nil
}

// temperature returns the temperature, of which OpenAI's goes to 2 and Anthropic's to 1, and whether it is 1 as the
// client has given it.
func (m *messagesMaker) temperature() (t json.RawMessage, isOne bool, err error) {
	if t = m.r.Temperature; t == nil {
		return nil, false, nil
	}
	n, err := strconv.ParseFloat(string(t), 64)
	switch {
	case err != nil:
		return nil, false, Invalid("temperature", "invalid_value", "'temperature' must be from 0 to 2.")
	case n > 1:
		m.adjust("temperature")
		return json.RawMessage("1"), false, nil
	}
	return t, n == 1, nil
}
