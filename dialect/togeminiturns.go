package dialect

import (
	"slices"
	"strings"
)

// geminiTurn is what one side says until the other does. Results of functions come first, each where its call
// is among those that they answer, as Gemini tells them apart by their order.
type geminiTurn struct {
	role    string
	results [][]byte // nil for a call without one
	parts   [][]byte
	calls   []geminiCall         // of the model
	waiting map[string]callQueue // the calls by their IDs, once they are searched and many
	queued  int                  // calls that are in it
	empty   string               // the parameter in which nothing is said, if there is one
}

type geminiCall struct {
	id, name string
	answered bool
	next     int // the next call with the same ID
}

// callQueue are the calls with one ID that wait for their results.
type callQueue struct{ first, last int }

// searchedCalls is up to how many calls a search is quicker than a map.
const searchedCalls = 16

// take returns the first call with an ID that has no result yet, which it gets now; -1 if there is none.
func (t *geminiTurn) take(id string) int {
	if len(t.calls) <= searchedCalls {
		slot := slices.IndexFunc(t.calls, func(c geminiCall) bool { return c.id == id && !c.answered })
		if slot >= 0 {
			t.calls[slot].answered = true
		}
		return slot
	}
	if t.waiting == nil {
		t.waiting = make(map[string]callQueue, len(t.calls))
	}
	for ; t.queued < len(t.calls); t.queued++ {
		queue, ok := t.waiting[t.calls[t.queued].id]
		if ok {
			t.calls[queue.last].next = t.queued
		} else {
			queue.first = t.queued
		}
		queue.last = t.queued
		t.waiting[t.calls[t.queued].id] = queue
	}
	queue, ok := t.waiting[id]
	switch {
	case !ok:
		return -1
	case queue.first == queue.last:
		delete(t.waiting, id)
	default:
		t.waiting[id] = callQueue{t.calls[queue.first].next, queue.last}
	}
	return queue.first
}

// in returns the turn of a role that is under way, beginning it if the other side's is: turns must alternate.
func (g *geminiMaker) in(role string) *geminiTurn {
	if n := len(g.turns); n == 0 || g.turns[n-1].role != role {
		g.turns = append(g.turns, geminiTurn{role: role})
	}
	return &g.turns[len(g.turns)-1]
}

func (g *geminiMaker) message(m *ChatMessage, at string) error {
	switch m.Role {
	case "assistant":
		return g.assistantMessage(m, at)
	case "tool":
		return g.toolMessage(m, at)
	}
	parts, err := g.parts(m, at, false)
	switch {
	case err != nil:
		return err
	case m.Role == "user" && len(parts) == 0: // others may have said something in the same turn
		g.in("user").empty = at + ".content"
	case m.Role != "user" && len(g.turns) == 0:
		g.system = append(g.system, parts...)
	case len(parts) > 0:
		// A system message in the midst keeps its place, as something that the user says: it matters to what it is about.
		turn := g.in("user")
		turn.parts = append(turn.parts, parts...)
	}
	return nil
}

// skipSignature is what Google documents for calls of another model, or whose signature is lost
// (ai.google.dev/gemini-api/docs/thought-signatures).
const skipSignature = "skip_thought_signature_validator"

// Signatures of what Gemini has said travel in thinking_blocks, marked so that they are not taken for
// Anthropic's. That of a call also has a place of its own, which Google's server for OpenAI's dialect has made up.
const (
	callSignature = geminiSignature
	textSignature = geminiSignature + "text:"
)

// signatures returns those of a call and of a text that the thinking blocks of a message carry.
func signatures(m *ChatMessage) (call, text string) {
	for _, block := range m.ThinkingBlocks {
		_ = eachMember(block, "", func(name string, value []byte) error {
			if name != "signature" {
				return nil
			}
			signature := string(unquoted(value))
			if rest, ok := strings.CutPrefix(signature, textSignature); ok {
				text = rest
			} else if rest, ok := strings.CutPrefix(signature, callSignature); ok && call == "" {
				call = rest
			}
			return nil
		})
	}
	return call, text
}

// assistantMessage writes what the model has said. Its thoughts are not sent back: Gemini goes by their signatures.
func (g *geminiMaker) assistantMessage(m *ChatMessage, at string) error {
	parts, err := g.parts(m, at, false)
	if err != nil {
		return err
	}
	if m.Refusal != "" && len(parts) == 0 {
		parts = append(parts, geminiText(appendJSON(nil, m.Refusal)))
	}
	callSigned, textSigned := signatures(m)
	if n := len(parts); n > 0 && textSigned != "" {
		parts[n-1] = sign(parts[n-1], textSigned)
	}
	if len(parts) == 0 && len(m.ToolCalls) == 0 {
		return nil // nothing was said
	}
	turn := g.in("model")
	turn.parts = append(turn.parts, parts...)
	for i := range m.ToolCalls {
		call := &m.ToolCalls[i]
		part, err := g.functionCall(call, index(at+".tool_calls", i))
		if err != nil {
			return err
		}
		signature := googleSignature(call.ExtraContent)
		if len(turn.calls) == 0 { // of parallel calls the first is signed for all
			if signature == "" {
				signature = callSigned
			}
			if signature == "" && g.model.signs() {
				signature = skipSignature
			}
		}
		if signature != "" {
			part = sign(part, signature)
		}
		turn.calls = append(turn.calls, geminiCall{id: call.ID, name: call.Name})
		turn.parts = append(turn.parts, part)
	}
	return nil
}

// googleSignature returns google.thought_signature of an extra_content, "" if there is none.
func googleSignature(extra []byte) (signature string) {
	if len(extra) == 0 {
		return ""
	}
	_ = eachMember(extra, "", func(name string, value []byte) error {
		if name != "google" {
			return nil
		}
		return eachMember(value, "", func(name string, value []byte) error {
			if name == "thought_signature" {
				signature = string(unquoted(value))
			}
			return nil
		})
	})
	return signature
}

// sign adds a signature to a part, which is an object with members.
func sign(part []byte, signature string) []byte {
	part = append(part[:len(part)-1], `,"thoughtSignature":`...)
	return append(appendJSON(part, signature), '}')
}

// functionCall writes a call. Its arguments must be an object.
func (g *geminiMaker) functionCall(call *ChatToolCall, at string) ([]byte, error) {
	args := strings.TrimSpace(call.Arguments)
	if args == "" {
		args = "{}"
	}
	if Members([]byte(args), all) != nil {
		return nil, Invalid(at+".function.arguments", "invalid_value", "'"+at+".function.arguments' must be a JSON object.")
	}
	w := writer{b: make([]byte, 0, len(args)+128)}
	w.open('{')
	w.key("functionCall")
	w.open('{')
	g.writeID(&w, call.ID)
	w.member("name", call.Name)
	w.key("args")
	w.literal(args)
	w.close('}')
	w.close('}')
	return w.b, nil
}

// writeID writes the ID of a call for models that have them.
func (g *geminiMaker) writeID(w *writer, id string) {
	if g.model.signs() {
		w.member("id", id)
	}
}

// toolMessage writes the result of a call. One of a call that is not among the model's latest becomes something that
// the user says, as Gemini refuses it otherwise.
func (g *geminiMaker) toolMessage(m *ChatMessage, at string) error {
	last := len(g.turns) - 1
	if last >= 0 && g.turns[last].role == "user" {
		last--
	}
	slot := -1
	if last >= 0 {
		slot = g.turns[last].take(m.ToolCallID)
	}
	parts, err := g.parts(m, at, slot >= 0)
	if err != nil {
		return err
	}
	if slot < 0 {
		if len(parts) > 0 {
			turn := g.in("user")
			turn.parts = append(turn.parts, parts...)
		}
		return nil
	}
	calls := g.turns[last].calls
	turn := g.in("user")
	if turn.results == nil {
		turn.results = make([][]byte, len(calls))
	}
	turn.results[slot] = g.functionResponse(&calls[slot], m)
	turn.parts = append(turn.parts, parts...) // what a result cannot hold follows it
	return nil
}

// functionResponse writes a result. It must be an object, but what a tool has said stays the text that it was: of
// an object Gemini would read the numbers as floating-point ones.
func (g *geminiMaker) functionResponse(call *geminiCall, m *ChatMessage) []byte {
	w := writer{}
	w.open('{')
	w.key("functionResponse")
	w.open('{')
	g.writeID(&w, call.id)
	w.member("name", call.name)
	w.key("response")
	w.open('{')
	w.key("output")
	if m.Text {
		w.raw(m.Content[0].Quoted)
	} else {
		w.text(m.text())
	}
	w.close('}')
	w.close('}')
	w.close('}')
	return w.b
}

func (g *geminiMaker) writeTurns() {
	g.w.key("contents")
	g.w.open('[')
	for i := range g.turns {
		turn := &g.turns[i]
		g.w.open('{')
		g.w.member("role", turn.role)
		g.writeParts(turn.results, turn.parts)
		g.w.close('}')
	}
	g.w.close(']')
}

// writeParts writes parts, of which some may be nil.
func (g *geminiMaker) writeParts(lists ...[][]byte) {
	g.w.key("parts")
	g.w.open('[')
	for _, parts := range lists {
		for _, part := range parts {
			if part != nil {
				g.w.raw(part)
			}
		}
	}
	g.w.close(']')
}
