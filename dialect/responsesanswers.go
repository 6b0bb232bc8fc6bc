package dialect

import (
	"io"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/sse"
)

// responsesAnswers translates answers of chat completions to those of the Responses API.
type responsesAnswers struct {
	out responsesWriter
	chatStream

	kinds   map[string]*responsesTool // by the functions that stand for them
	between bool                      // the chat completions are made from another dialect

	items []*responsesOutput // of which the client has been told, in the order of the output
	calls []*responsesOutput // those of tools, also if they still have no name
	open  *responsesOutput   // the message or reasoning that goes on
	size  int                // bytes of text in them
	texts bool               // one has begun
	early []citation         // that wait for one

	results, citations []byte // the sources beside the answer, as they were told last; see readSources

	begun bool
}

func newResponsesAnswers(model string, echo *responsesEcho, kinds map[string]*responsesTool) *responsesAnswers {
	return &responsesAnswers{kinds: kinds, out: responsesWriter{id: "resp_" + randomID(), model: model, echo: echo, created: time.Now().Unix()}}
}

// Sequence implements [Answers].
func (a *responsesAnswers) Sequence() int64 { return a.out.number }

// Whole implements [Answers].
func (a *responsesAnswers) Whole(dst, body []byte) ([]byte, error) {
	c, err := a.in.whole(body)
	if err != nil {
		return dst, err
	}
	a.usage, a.hasUsage, a.finish = a.in.Usage, true, c.FinishReason
	a.out.tier = a.in.ServiceTier
	// It is what a stream with one event would have been.
	a.takeSources()
	scratch, err := a.delta(nil, c)
	if err != nil {
		return dst, err
	}
	for i := 1; a.between && i < len(a.in.Choices) && a.in.Choices[i].Index == 0; i++ { // what is not in a message's order goes on in another
		if scratch, err = a.delta(scratch, &a.in.Choices[i]); err != nil {
			return dst, err
		}
	}
	if _, err = a.finishItems(scratch); err != nil {
		return dst, err
	}
	w := writer{b: dst}
	a.out.response(&w, a.status(), a.items, &a.usage)
	return w.b, nil
}

// inner returns a JSON string without its quotes.
func inner(quoted []byte) []byte { return quoted[1 : len(quoted)-1] }

// status returns how the answer ends.
func (a *responsesAnswers) status() string {
	switch a.finish {
	case "length", "max_tokens", "model_length":
		a.out.incomplete = "max_output_tokens"
		return "incomplete"
	case "content_filter":
		a.out.incomplete = "content_filter"
		return "incomplete"
	}
	return "completed"
}

// Event implements [Answers].
func (a *responsesAnswers) Event(dst []byte, e sse.Event) ([]byte, error) { return a.event(dst, e, a) }

func (a *responsesAnswers) sayText(dst, text []byte) ([]byte, error) {
	return a.say(dst, "output_text", inner(text), nil)
}

// take translates an event that has been read.
func (a *responsesAnswers) take(dst []byte) ([]byte, error) {
	if a.in.ServiceTier != "" {
		a.out.tier = a.in.ServiceTier
	}
	a.takeSources()
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
	dst, err := a.delta(a.begin(dst), c)
	if err != nil || c.FinishReason == "" {
		return dst, err
	}
	if a.finish = c.FinishReason; a.in.HasUsage {
		return a.end(dst)
	}
	return dst, nil
}

// End implements [Answers].
func (a *responsesAnswers) End(dst []byte) ([]byte, error) {
	if !a.ended && a.finish == "" { // nor was it said to be done
		return dst, io.ErrUnexpectedEOF
	}
	return a.end(dst)
}

func (a *responsesAnswers) begin(dst []byte) []byte {
	if a.begun {
		return dst
	}
	a.begun = true
	for _, kind := range [...]string{"response.created", "response.in_progress"} {
		w := a.out.event(dst, kind)
		w.key("response")
		a.out.response(w, "in_progress", nil, nil)
		dst = a.out.close()
	}
	return dst
}

// end ends the items and the answer.
func (a *responsesAnswers) end(dst []byte) ([]byte, error) {
	if a.ended {
		return dst, nil
	}
	start := len(dst)
	dst, err := a.finishItems(a.begin(dst))
	if err != nil {
		return dst[:start], err
	}
	a.ended = true
	status := a.status()
	w := a.out.event(dst, "response."+status)
	w.key("response")
	a.out.response(w, status, a.items, &a.usage)
	return a.out.close(), nil
}

// finishItems ends the items. The last one is incomplete if the answer is, unless it is a call that has all its
// arguments.
func (a *responsesAnswers) finishItems(dst []byte) ([]byte, error) {
	cut := a.status() == "incomplete"
	for _, call := range a.calls {
		switch {
		case call.told:
			if call.custom() {
				dst = a.addArguments(dst, call, call.input.rest())
			} else if strings.TrimSpace(string(call.text)) == "" && !cut && !call.complete {
				dst = a.addArguments(dst, call, []byte("{}"))
			}
		case call.id != "" || len(call.text) > 0:
			return dst, errNameless
		}
	}
	if !cut && !a.says() { // an empty answer is one as well
		var err error
		if dst, err = a.say(dst, "output_text", nil, nil); err != nil {
			return dst, err
		}
	}
	for i, item := range a.items {
		item.cut = cut && i == len(a.items)-1 && !item.complete && !item.args.done
		dst = a.close(dst, item)
	}
	a.open = nil
	return dst, nil
}

// says reports whether the answer has a message or calls a tool.
func (a *responsesAnswers) says() bool {
	for _, item := range a.items {
		if item.kind != "reasoning" {
			return true
		}
	}
	return false
}

// delta translates what an event adds: reasoning first, then text, then calls, as they come in one event of some servers.
func (a *responsesAnswers) delta(dst []byte, c *ChatChoice) ([]byte, error) {
	var err error
	d := &c.Delta
	if d.Reasoning != "" {
		if dst, err = a.reason(dst, inner(d.reasoningJSON())); err != nil {
			return dst, err
		}
	}
	for _, block := range d.ThinkingBlocks {
		if dst, err = a.sign(dst, block, d.Reasoning != ""); err != nil {
			return dst, err
		}
	}
	if d.Content != "" || c.Logprobs != nil && d.Reasoning == "" && len(d.ToolCalls) == 0 { // a token may be a part of a character
		if dst, err = a.say(dst, "output_text", inner(d.contentJSON()), c.Logprobs); err != nil {
			return dst, err
		}
	}
	for _, annotation := range d.Annotations {
		if cited, ok := readAnnotation(annotation); ok {
			dst = a.note(dst, &cited)
		}
	}
	if d.Refusal != "" {
		if dst, err = a.say(dst, "refusal", inner(appendJSON(nil, d.Refusal)), nil); err != nil {
			return dst, err
		}
	}
	for i := range d.ToolCalls {
		if dst, err = a.call(dst, &d.ToolCalls[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// takeSources keeps the sources that an event tells, which each does again.
func (a *responsesAnswers) takeSources() {
	if a.in.SearchResults != nil || a.in.Citations != nil {
		a.results, a.citations = append(a.results[:0], a.in.SearchResults...), append(a.citations[:0], a.in.Citations...)
	}
}

// grow counts text that is kept until the end, as the last events repeat it.
func (a *responsesAnswers) grow(text []byte) error {
	if a.size += len(text); a.size > maxHeld {
		return unreadable("The provider's answer is too long.")
	}
	return nil
}
