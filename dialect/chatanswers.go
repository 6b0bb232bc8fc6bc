package dialect

import (
	"bytes"
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

	in    ChatAnswer
	frame chatFrame

	queue    []*answerBlock // the first is open, or waits for the name of its tool; the others wait for its end
	calls    []*answerBlock
	held     int // bytes of text in queue
	used     int // calls that the client has been told of
	refused  bool
	finish   string
	usage    Usage
	hasUsage bool
	ended    bool
}

func newChatAnswers(model string, names map[string]string) *chatAnswers {
	return &chatAnswers{out: messagesWriter{model: model}, names: names}
}

// Done implements [Answers]. After the reason to finish nothing comes but the usage.
func (a *chatAnswers) Done() bool { return a.ended || a.finish != "" && a.hasUsage }

// Usage implements [Answers].
func (a *chatAnswers) Usage() Usage { return a.usage }

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

// chatFrame is an event that added text and did nothing else, as it is around the text. The next one is
// nearly always the same around it, so that only the text is to be read.
type chatFrame struct{ head, tail []byte }

// learn keeps the frame of an event, if it is one.
func (f *chatFrame) learn(data []byte, in *ChatAnswer) {
	f.head = f.head[:0]
	if len(in.Choices) != 1 || in.HasUsage {
		return
	}
	c := &in.Choices[0]
	d := &c.Delta
	if c.Index != 0 || c.FinishReason != "" || c.Logprobs != nil || len(d.Annotations) > 0 || in.SearchResults != nil || in.Citations != nil || len(d.ContentJSON) <= 2 || d.Refusal != "" || d.Reasoning != "" || len(d.ThinkingBlocks)+len(d.ToolCalls) > 0 {
		return
	}
	start := cap(data) - cap(d.ContentJSON) // it is a part of data
	f.head = append(f.head, data[:start]...)
	f.tail = append(f.tail[:0], data[start+len(d.ContentJSON):]...)
}

// text returns the text of an event with the same frame, quotes included, nil if it has another.
func (f *chatFrame) text(data []byte) []byte {
	if len(f.head) == 0 || !bytes.HasPrefix(data, f.head) || len(data) == len(f.head) || data[len(f.head)] != '"' {
		return nil
	}
	s := scanner{data: data, at: len(f.head)}
	if s.text() != nil || !bytes.Equal(data[s.at:], f.tail) {
		return nil
	}
	return data[len(f.head):s.at]
}

// Event implements [Answers].
func (a *chatAnswers) Event(dst []byte, e sse.Event) ([]byte, error) {
	if text := a.frame.text(e.Data); text != nil && !a.ended {
		return a.say(dst, "text", text)
	}
	switch data := bytes.TrimSpace(e.Data); {
	case len(data) == 0:
		return dst, nil
	case string(data) == "[DONE]":
		return a.end(dst)
	}
	if a.ended && !MayHaveUsage(e.Data) {
		return dst, nil
	}
	err := readChatAnswer(e.Data, &a.in)
	switch {
	case a.ended: // only the usage can still matter
		a.usage.Merge(a.in.Usage)
		return dst, nil
	case err == nil && a.in.Error != nil:
		return dst, a.in.Error
	case string(e.Name) == "error":
		return dst, namedError(e.Data)
	case err != nil:
		return dst, err
	}
	start := len(dst)
	if dst, err = a.take(dst); err != nil {
		return dst[:start], err
	}
	a.frame.learn(e.Data, &a.in)
	return dst, nil
}

// namedError returns the error of an event whose name says that it is one.
func namedError(data []byte) *Error {
	wrapped := append(append([]byte(`{"error":`), data...), '}')
	if e := chatError(wrapped); e != nil {
		return e
	}
	return unreadable("The provider reported an error.")
}

// take translates an event that has been read.
func (a *chatAnswers) take(dst []byte) ([]byte, error) {
	if a.in.HasUsage {
		a.usage.Merge(a.in.Usage)
		a.hasUsage = true
	}
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
