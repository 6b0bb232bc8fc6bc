package dialect

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/sse"
)

// responsesAnswers translates answers of chat completions to those of the Responses API.
type responsesAnswers struct {
	out responsesWriter
	in  ChatAnswer

	items []*responsesOutput       // in the order of the output
	open  *responsesOutput         // a message or reasoning that goes on
	calls map[int]*responsesOutput // by the index that the provider gives them
	begun bool
	ended bool

	finish   string
	usage    Usage
	hasUsage bool
}

// responsesOutput is an item of the output. Texts are JSON without its quotes.
type responsesOutput struct {
	kind     string // message, reasoning or function_call
	id       string
	index    int
	told     bool // the client has been told that it is there
	text     []byte
	refusal  []byte
	part     string // the part of a message that is open: output_text or refusal, "" for none
	blocks   []json.RawMessage
	callID   string
	name     string
	complete bool
	cut      bool // the answer was cut off in it
}

func newResponsesAnswers(model string, echo *responsesEcho) *responsesAnswers {
	return &responsesAnswers{
		out:   responsesWriter{id: "resp_" + randomID(), model: model, echo: echo, created: time.Now().Unix()},
		calls: make(map[int]*responsesOutput),
	}
}

// Done implements [Answers].
func (a *responsesAnswers) Done() bool { return a.ended || a.finish != "" && a.hasUsage }

// Usage implements [Answers].
func (a *responsesAnswers) Usage() Usage { return a.usage }

// add adds an item to the output.
func (a *responsesAnswers) add(kind, prefix string) *responsesOutput {
	item := &responsesOutput{kind: kind, id: prefix + randomID(), index: len(a.items)}
	a.items = append(a.items, item)
	return item
}

// Whole implements [Answers].
func (a *responsesAnswers) Whole(dst, body []byte) ([]byte, error) {
	if err := readChatAnswer(body, &a.in); err != nil {
		return dst, err
	}
	switch {
	case a.in.Error != nil:
		return dst, a.in.Error
	case !a.in.HasChoices:
		return dst, ErrNotJSON
	}
	var none ChatChoice
	c := a.in.first()
	if c == nil {
		c = &none
	}
	if err := brokenFinish(c.FinishReason); err != nil {
		return dst, err
	}
	a.usage, a.hasUsage, a.finish = a.in.Usage, true, c.FinishReason
	d := &c.Delta
	if d.Reasoning != "" || len(d.ThinkingBlocks) > 0 {
		item := a.add("reasoning", "rs_")
		item.text, item.blocks = inner(appendJSON(nil, d.Reasoning)), d.ThinkingBlocks
	}
	if d.Content != "" || d.Refusal != "" {
		item := a.add("message", "msg_")
		item.text, item.refusal = inner(appendJSON(nil, d.Content)), inner(appendJSON(nil, d.Refusal))
	}
	for i := range d.ToolCalls {
		item := a.add("function_call", "fc_")
		call := &d.ToolCalls[i]
		item.callID, item.name, item.text = callID(call.ID), call.Name, inner(appendJSON(nil, call.Arguments))
	}
	for _, item := range a.items {
		item.complete = true
	}
	status := a.status()
	a.cut(status)
	w := writer{b: dst}
	a.out.response(&w, status, a.items, &a.usage, true)
	return w.b, nil
}

// cut marks the last item of an answer that is incomplete.
func (a *responsesAnswers) cut(status string) {
	if n := len(a.items); status == "incomplete" && n > 0 {
		a.items[n-1].cut = true
	}
}

// inner returns a JSON string without its quotes.
func inner(quoted []byte) []byte { return quoted[1 : len(quoted)-1] }

// callID returns the ID of a call, one of our own if the provider has given none.
func callID(id string) string {
	if id == "" {
		return "call_" + randomID()
	}
	return id
}

// status returns how the answer has ended.
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
func (a *responsesAnswers) Event(dst []byte, e sse.Event) ([]byte, error) {
	switch data := bytes.TrimSpace(e.Data); {
	case len(data) == 0:
		return dst, nil
	case string(data) == "[DONE]":
		return a.end(dst)
	}
	err := readChatAnswer(e.Data, &a.in)
	switch {
	case a.ended: // only the usage can still matter
		if err == nil {
			a.usage.Merge(a.in.Usage)
		}
		return dst, nil
	case err == nil && a.in.Error != nil:
		return dst, a.in.Error
	case string(e.Name) == "error":
		return dst, namedError(e.Data)
	case err != nil:
		return dst, err
	}
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
	dst = a.delta(a.begin(dst), &c.Delta)
	if c.FinishReason != "" {
		a.finish = c.FinishReason
		if a.in.HasUsage {
			return a.end(dst)
		}
	}
	return dst, nil
}

// End implements [Answers].
func (a *responsesAnswers) End(dst []byte) ([]byte, error) {
	switch {
	case a.ended:
		return dst, nil
	case a.finish == "":
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
		a.out.response(w, "in_progress", nil, nil, false)
		dst = a.out.close()
	}
	return dst
}

// end ends the items and the answer.
func (a *responsesAnswers) end(dst []byte) ([]byte, error) {
	switch {
	case a.ended:
		return dst, nil
	case a.finish == "": // [DONE] without a reason
		return dst, io.ErrUnexpectedEOF
	}
	dst = a.begin(dst)
	status := a.status()
	a.cut(status)
	for _, item := range a.items {
		dst = a.close(dst, item)
	}
	a.open, a.ended = nil, true
	w := a.out.event(dst, "response."+status)
	w.key("response")
	a.out.response(w, status, a.items, &a.usage, true)
	return a.out.close(), nil
}

// delta translates what an event adds: reasoning first, then text, then calls, as they come in one event of some servers.
func (a *responsesAnswers) delta(dst []byte, d *ChatDelta) []byte {
	if d.Reasoning != "" || len(d.ThinkingBlocks) > 0 {
		dst = a.reasoning(dst, d)
	}
	if d.Content != "" {
		dst = a.text(dst, "output_text", quotedOr(d.ContentJSON, d.Content))
	}
	if d.Refusal != "" {
		dst = a.text(dst, "refusal", appendJSON(nil, d.Refusal))
	}
	for i := range d.ToolCalls {
		dst = a.call(dst, &d.ToolCalls[i])
	}
	return dst
}

func quotedOr(quoted json.RawMessage, text string) []byte {
	if quoted != nil {
		return quoted
	}
	return appendJSON(nil, text)
}

// item returns the item that goes on, of a kind, beginning it if another one does.
func (a *responsesAnswers) item(dst []byte, kind, prefix string) ([]byte, *responsesOutput) {
	if a.open != nil && a.open.kind == kind {
		return dst, a.open
	}
	if a.open != nil {
		dst = a.close(dst, a.open)
	}
	a.open = a.add(kind, prefix)
	return a.tell(dst, a.open), a.open
}

// tell tells the client of an item.
func (a *responsesAnswers) tell(dst []byte, item *responsesOutput) []byte {
	item.told = true
	w := a.out.itemEvent(dst, "response.output_item.added", item, false)
	w.key("item")
	item.write(w, false)
	return a.out.close()
}

func (a *responsesAnswers) reasoning(dst []byte, d *ChatDelta) []byte {
	dst, item := a.item(dst, "reasoning", "rs_")
	if d.Reasoning != "" {
		if len(item.text) == 0 {
			dst = a.out.summaryPart(dst, "response.reasoning_summary_part.added", item)
		}
		text := quotedOr(d.ReasoningJSON, d.Reasoning)
		item.text = append(item.text, inner(text)...)
		dst = a.out.summary(dst, "response.reasoning_summary_text.delta", item, "delta", text)
	}
	for _, block := range d.ThinkingBlocks { // what they alias is overwritten by the next event
		item.blocks = append(item.blocks, bytes.Clone(block))
	}
	return dst
}

// text adds to a part of a message: its text or its refusal.
func (a *responsesAnswers) text(dst []byte, part string, quoted []byte) []byte {
	dst, item := a.item(dst, "message", "msg_")
	if item.part != part {
		dst = a.closePart(dst, item)
		item.part = part
		dst = a.out.part(dst, "response.content_part.added", item)
	}
	name := "response.output_text.delta"
	if part == "refusal" {
		name = "response.refusal.delta"
		item.refusal = append(item.refusal, inner(quoted)...)
	} else {
		item.text = append(item.text, inner(quoted)...)
	}
	return a.out.textEvent(dst, name, item, "delta", quoted)
}

// call adds to a call, beginning it if it is new. Some servers give all calls one index, and IDs of their own.
func (a *responsesAnswers) call(dst []byte, d *ChatToolDelta) []byte {
	item := a.calls[d.Index]
	if item == nil || d.ID != "" && item.callID != "" && d.ID != item.callID {
		if a.open != nil {
			dst = a.close(dst, a.open)
			a.open = nil
		}
		item = a.add("function_call", "fc_")
		a.calls[d.Index] = item
	}
	if d.ID != "" {
		item.callID = d.ID
	}
	if d.Name != "" && !item.told {
		item.name = d.Name
	}
	held := len(item.text)
	if d.Arguments != "" {
		item.text = append(item.text, inner(quotedOr(d.ArgumentsJSON, d.Arguments))...)
	}
	if item.name == "" {
		return dst // it is told of once it has a name
	}
	if !item.told {
		item.callID = callID(item.callID)
		held = 0
		dst = a.tell(dst, item)
	}
	if len(item.text) == held {
		return dst
	}
	w := a.out.itemEvent(dst, "response.function_call_arguments.delta", item, true)
	w.key("delta")
	w.quoted(item.text[held:])
	return a.out.close()
}

// closePart ends the part of a message that is open.
func (a *responsesAnswers) closePart(dst []byte, item *responsesOutput) []byte {
	switch item.part {
	case "":
		return dst
	case "refusal":
		dst = a.out.textEvent(dst, "response.refusal.done", item, "refusal", quote(item.refusal))
	default:
		dst = a.out.textEvent(dst, "response.output_text.done", item, "text", quote(item.text))
	}
	dst = a.out.part(dst, "response.content_part.done", item)
	item.part = ""
	return dst
}

func quote(text []byte) []byte { return append(append([]byte{'"'}, text...), '"') }

// close ends an item.
func (a *responsesAnswers) close(dst []byte, item *responsesOutput) []byte {
	if item.complete {
		return dst
	}
	item.complete = true
	switch item.kind {
	case "message":
		dst = a.closePart(dst, item)
	case "reasoning":
		if len(item.text) > 0 {
			dst = a.out.summary(dst, "response.reasoning_summary_text.done", item, "text", quote(item.text))
			dst = a.out.summaryPart(dst, "response.reasoning_summary_part.done", item)
		}
	case "function_call":
		if strings.TrimSpace(string(item.text)) == "" {
			item.text = []byte("{}")
		}
		if !item.told { // it never got a name
			item.callID = callID(item.callID)
			dst = a.tell(dst, item)
		}
		w := a.out.itemEvent(dst, "response.function_call_arguments.done", item, true)
		w.member("name", item.name)
		w.key("arguments")
		w.quoted(item.text)
		dst = a.out.close()
	}
	w := a.out.itemEvent(dst, "response.output_item.done", item, false)
	w.key("item")
	item.write(w, true)
	return a.out.close()
}
