package dialect

import (
	"bytes"
	"slices"
)

const (
	// bindingBeta is the feature of Anthropic's API by which a request says what becomes of thinking that does not follow what
	// it was signed with.
	bindingBeta = "thinking-binding-controls-2026-08-01"
	dropBlock   = `"block_binding":{"prefix_mismatch_behavior":"drop_block"}`
)

// bind has the model drop thinking of its that does not stand where it was signed, where it would refuse the request otherwise
// (platform.claude.com, Preserved thinking: Fix a thinking block bound to a different conversation). A message of chat completions
// has its thinking together, and so it may have been moved; and what else is translated before it can change with a later
// version of this gateway. A model that is told not to think cannot be asked for that: it is not given any thinking back.
func (m *messagesMaker) bind() error {
	if !m.model.bound || !slices.ContainsFunc(m.turns, turn.thinks) {
		return nil
	}
	t := &m.thinking
	switch {
	case t.value == "" || isNull([]byte(t.value)): // adaptive is what it is then
		t.value, t.kind = `{"type":"adaptive",`+dropBlock+"}", "adaptive"
	case !t.on():
		m.forget()
		return nil
	case !bytes.Contains([]byte(t.value), []byte(`"block_binding"`)):
		t.value = t.value[:len(t.value)-1] + "," + dropBlock + "}"
	}
	m.betas = append(m.betas, bindingBeta)
	return nil
}

// thinks reports whether there is thinking in it.
func (t turn) thinks() bool { return slices.ContainsFunc(t.said, isThought) }

func isThought(b block) bool { return b.thought }

// forget leaves out the thinking of the conversation.
func (m *messagesMaker) forget() {
	m.adjust("messages.thinking_blocks")
	m.turns = slices.DeleteFunc(m.turns, func(t turn) bool {
		return t.thinks() && !slices.ContainsFunc(t.said, func(b block) bool { return !b.thought })
	})
	for i := range m.turns {
		m.turns[i].said = slices.DeleteFunc(m.turns[i].said, isThought)
	}
}
