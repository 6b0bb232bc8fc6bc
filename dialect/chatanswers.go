package dialect

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/runestone-gateway/runestone/sse"
)

// chatAnswers translates answers of chat completions to those of Anthropic's messages.
type chatAnswers struct {
	out      messagesWriter
	names    map[string]string // of tools, by those that the model was told
	estimate int64             // of the tokens that went in

	chatStream

	queue   []*answerBlock // the first is open, or waits for the name of its tool; the others wait for its end
	calls   []*answerBlock
	held    int // bytes of text in queue
	used    int // calls that the client has been told of
	refused bool
}

func newChatAnswers(model string, names map[string]string) *chatAnswers {
	return &chatAnswers{out: messagesWriter{model: model}, names: names}
}

// Sequence implements [Answers].
func (a *chatAnswers) Sequence() int64 { return 0 }

// stopReason returns Anthropic's reason for that of an answer with so many calls of tools. Agents go by tool_use, so
// that it is said if and only if there is one, unless the answer was cut off before the call was complete.
func stopReason(finish string, calls int, refused bool) string {
	switch finish {
	case "length", "max_tokens", "model_length":
		return "max_tokens"
	case "content_filter":
		return "refusal"
	}
	switch {
	case calls > 0:
		return "tool_use"
	case refused:
		return "refusal"
	}
	return "end_turn"
}

// brokenFinish returns the error for a reason that says that the answer is not what it would have been.
func brokenFinish(finish string) *Error {
	switch finish {
	case "error":
		return unreadable("The provider gave up the answer.")
	case "insufficient_system_resource": // DeepSeek
		return &Error{
			Status: http.StatusServiceUnavailable, Type: "server_error", Code: "overloaded",
			Message: "The provider gave up the answer: it has too much to do.",
		}
	}
	return nil
}

// first returns the choice that was asked for, nil if it is not there.
func (a *ChatAnswer) first() *ChatChoice {
	for i := range a.Choices {
		if a.Choices[i].Index == 0 {
			return &a.Choices[i]
		}
	}
	return nil
}

// whole reads a whole answer and returns the choice that was asked for, an empty one if there is none. The error is
// what the answer reports, or that it is none.
func (a *ChatAnswer) whole(body []byte) (*ChatChoice, error) {
	if err := readChatAnswer(body, a); err != nil {
		return nil, err
	}
	switch {
	case a.Error != nil:
		return nil, a.Error
	case !a.HasChoices:
		return nil, ErrNotJSON
	}
	c := a.first()
	if c == nil {
		c = new(ChatChoice)
	}
	if err := brokenFinish(c.FinishReason); err != nil {
		return nil, err
	}
	return c, nil
}

// Whole implements [Answers].
func (a *chatAnswers) Whole(dst, body []byte) ([]byte, error) {
	c, err := a.in.whole(body)
	if err != nil {
		return dst, err
	}
	a.usage = a.in.Usage
	start := len(dst)
	w := writer{b: a.out.message(dst, a.in.ID)}
	writeThinking(&w, &c.Delta)
	for _, text := range []string{c.Delta.Content, c.Delta.Refusal} {
		if text != "" {
			w.open('{')
			w.member("type", "text")
			w.member("text", text)
			w.close('}')
		}
	}
	calls, err := a.writeCalls(&w, c.Delta.ToolCalls)
	if err != nil {
		return dst[:start], err
	}
	w.b = append(w.b, `],"stop_reason":`...)
	w.b = appendJSON(w.b, stopReason(c.FinishReason, calls, c.Delta.Refusal != ""))
	w.b = append(w.b, `,"stop_sequence":null,"usage":`...)
	w.b = appendMessagesUsage(w.b, a.usage, a.in.ServiceTier)
	return append(w.b, '}'), nil
}

// writeThinking writes what the model has thought. Without a signature it cannot be sent back to Anthropic.
func writeThinking(w *writer, d *ChatDelta) {
	for _, block := range d.ThinkingBlocks {
		if b, err := readBlock(block); err == nil && !carried(&b) {
			w.raw(block)
		}
	}
	if len(d.ThinkingBlocks) == 0 && d.Reasoning != "" {
		w.open('{')
		w.member("type", "thinking")
		w.member("thinking", d.Reasoning)
		w.member("signature", "")
		w.close('}')
	}
}

// carried reports whether a block is nothing but a signature of Gemini's. That of a call is in its ID, and that of a
// text is not worth a block of its own, which the client would take for thinking.
func carried(b *contentBlock) bool {
	return b.kind == "thinking" && !hasText(b.thinking) && strings.HasPrefix(string(unquoted(b.signature)), geminiSignature)
}

// writeCalls writes calls as blocks, and returns how many they are.
func (a *chatAnswers) writeCalls(w *writer, calls []ChatToolDelta) (int, error) {
	n := 0
	seen := make(map[string]bool, len(calls))
	for i := range calls {
		call := &calls[i]
		if call.Name == "" {
			if call.ID == "" && call.Arguments == "" {
				continue
			}
			return 0, errNameless
		}
		id := call.ID
		if id == "" || seen[id] {
			id = "toolu_" + randomID()
		}
		seen[id] = true
		n++
		w.open('{')
		w.member("type", "tool_use")
		w.member("id", joinID(id, call.ExtraContent))
		w.member("name", a.clientName(call.Name))
		w.key("input")
		if input := strings.TrimSpace(call.Arguments); Members([]byte(input), all) == nil {
			w.literal(input)
		} else { // cut off, or not what was asked for: the tool will say what it misses
			w.literal("{}")
		}
		w.close('}')
	}
	return n, nil
}

var errNameless = unreadable("The provider's answer has a call of a tool without a name.")

// clientName returns the name that the client has for a tool.
func (a *chatAnswers) clientName(name string) string {
	if long := a.names[name]; long != "" {
		return long
	}
	return name
}

// joinID returns the ID of a call with the signature that is in its extra_content, if any.
func joinID(id string, extra json.RawMessage) string {
	if signature := googleSignature(extra); signature != "" {
		return id + signatureMark + packSignature(signature)
	}
	return id
}

// Event implements [Answers].
func (a *chatAnswers) Event(dst []byte, e sse.Event) ([]byte, error) { return a.event(dst, e, a) }

func (a *chatAnswers) sayText(dst, text []byte) ([]byte, error) { return a.say(dst, "text", text) }

// take translates an event that has been read.
func (a *chatAnswers) take(dst []byte) ([]byte, error) {
	c := a.in.first()
	if c == nil { // nothing but usage, or what Azure says of the prompt
		if a.in.HasUsage && a.finish != "" {
			return a.end(dst)
		}
		return dst, nil
	}
	if err := brokenFinish(c.FinishReason); err != nil {
		return dst, err
	}
	dst = a.begin(dst, a.in.ID)
	dst, err := a.delta(dst, &c.Delta)
	if err != nil {
		return dst, err
	}
	if c.FinishReason != "" {
		a.finish = c.FinishReason
		if dst, err = a.advance(dst, true); err != nil {
			return dst, err
		}
		if a.in.HasUsage {
			return a.end(dst)
		}
	}
	return dst, nil
}

func (a *chatAnswers) begin(dst []byte, id string) []byte {
	if a.out.begun {
		return dst
	}
	return a.out.start(dst, id, a.estimate)
}

// End implements [Answers].
func (a *chatAnswers) End(dst []byte) ([]byte, error) {
	switch {
	case a.ended:
		return dst, nil
	case a.finish == "":
		return dst, io.ErrUnexpectedEOF
	}
	return a.end(dst)
}

// end appends what ends the answer.
func (a *chatAnswers) end(dst []byte) ([]byte, error) {
	if a.ended {
		return dst, nil
	}
	start := len(dst)
	dst, err := a.advance(a.begin(dst, ""), true)
	if err != nil {
		return dst[:start], err
	}
	if len(a.queue) > 0 {
		dst = a.out.close(dst)
		a.queue = a.queue[:0]
	}
	a.ended = true
	u := a.usage
	if !a.hasUsage { // the client must be told something
		u.Input = a.estimate
	}
	return a.out.finish(dst, stopReason(a.finish, a.used, a.refused), u), nil
}
