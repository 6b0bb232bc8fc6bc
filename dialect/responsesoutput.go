package dialect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// responsesOutput is an item of the output. Texts are JSON without its quotes.
type responsesOutput struct {
	callMark            // of a call
	kind, itemID string // message, reasoning or function_call
	place        int    // in the output
	text         []byte // of reasoning, or a call's arguments
	parts        []responsesText
	blocks       []json.RawMessage // that reasoning carries
	sealed       int               // how much of the text they are the signatures of
	google       bool              // and one of them of a call, by Gemini
	callID       string            // as the client knows it
	tool         *responsesTool    // that is called, if the model knows it otherwise
	input        customText        // of a tool that takes text, of which this is the text
	extra        json.RawMessage   // of a call, until the client has been told of it
	where        []byte            // what its deltas have between their number and the text
	told         bool              // the client knows of it
	complete     bool              // nothing is added any more, and the client knows
	cut          bool              // the answer was cut off in it
}

// responsesText is a part of a message.
type responsesText struct {
	kind string // output_text or refusal
	text []byte
	done bool

	logprobs []byte   // of the text, as the elements of an array are written
	notes    [][]byte // annotations of the text
}

var errItems = unreadable("The provider's answer has too many parts.")

// item returns the item of a kind that goes on, beginning it if another one does.
func (a *responsesAnswers) item(dst []byte, kind, prefix string) ([]byte, *responsesOutput, error) {
	if a.open != nil && a.open.kind == kind {
		return dst, a.open, nil
	}
	item := &responsesOutput{kind: kind, itemID: prefix + randomID()}
	dst, err := a.tell(dst, item)
	a.open = item
	return dst, item, err
}

// tell tells the client of an item, and that those before it are complete which are. Calls may go on beside others.
func (a *responsesAnswers) tell(dst []byte, item *responsesOutput) ([]byte, error) {
	if len(a.items) == maxCalls {
		return dst, errItems
	}
	for _, before := range a.items {
		if before.kind != "function_call" || before.args.done {
			dst = a.close(dst, before)
		}
	}
	a.open = nil
	item.told, item.place = true, len(a.items)
	a.items = append(a.items, item)
	w := a.out.itemEvent(dst, "response.output_item.added", item, false)
	w.key("item")
	item.write(w, false)
	return a.out.close(), nil
}

// reason adds to the reasoning.
func (a *responsesAnswers) reason(dst, text []byte) ([]byte, error) {
	if err := a.grow(text); err != nil {
		return dst, err
	}
	dst, item, err := a.item(dst, "reasoning", "rs_")
	if err != nil {
		return dst, err
	}
	if len(item.text) == 0 {
		dst = a.out.summaryPart(dst, "response.reasoning_summary_part.added", item)
		item.where = append(item.appendWhere(item.where[:0]), `,"summary_index":0`...)
	}
	item.text = append(item.text, text...)
	return a.out.delta(dst, summaryDelta, item.where, text, "}\n\n"), nil
}

// sign keeps a thinking block, for the model that has thought it to be given back. said is whether the same event has
// told its text.
func (a *responsesAnswers) sign(dst []byte, block json.RawMessage, said bool) ([]byte, error) {
	b, err := readBlock(block)
	if err != nil || b.kind != "thinking" && b.kind != "redacted_thinking" {
		return dst, nil
	}
	signed := b.kind == "redacted_thinking" || hasText(b.signature)
	if hasText(b.thinking) && !said && !(signed && a.open.unsigned()) {
		if dst, err = a.reason(dst, inner(b.thinking)); err != nil {
			return dst, err
		}
	}
	if !signed { // nobody takes it back
		return dst, nil
	}
	if err := a.grow(block); err != nil {
		return dst, err
	}
	dst, item, err := a.item(dst, "reasoning", "rs_")
	if err != nil {
		return dst, err
	}
	if b.kind == "thinking" && !hasText(b.thinking) && !carried(&b) && item.unsigned() { // a signature of what has been told
		block = signedBlock(quote(item.text[item.sealed:]), b.signature)
	}
	item.sealed = len(item.text)
	item.blocks = append(item.blocks, bytes.Clone(oneLine(block)))
	mark := string(unquoted(b.signature))
	item.google = item.google || strings.HasPrefix(mark, callSignature) && !strings.HasPrefix(mark, textSignature)
	return dst, nil
}

// unsigned reports whether it is reasoning that no signature has come for yet.
func (i *responsesOutput) unsigned() bool {
	return i != nil && i.kind == "reasoning" && len(i.text) > i.sealed
}

func quote(text []byte) []byte { return append(append([]byte{'"'}, text...), '"') }

// say adds to a part of a message: its text or its refusal. Of a text there may be an array with its logprobs.
func (a *responsesAnswers) say(dst []byte, kind string, text, logprobs []byte) ([]byte, error) {
	if err := a.grow(text); err != nil {
		return dst, err
	}
	if err := a.grow(logprobs); err != nil {
		return dst, err
	}
	dst, item, err := a.item(dst, "message", "msg_")
	if err != nil {
		return dst, err
	}
	n := len(item.parts)
	if n == 0 || item.parts[n-1].kind != kind {
		if n == maxCalls {
			return dst, errItems
		}
		dst = a.closePart(dst, item)
		item.parts = append(item.parts, responsesText{kind: kind})
		dst = a.out.part(dst, "response.content_part.added", item)
		item.where = append(item.appendWhere(item.where[:0]), `,"content_index":`...)
		item.where = strconv.AppendInt(item.where, item.partIndex(), 10)
		a.texts = a.texts || kind == "output_text"
		early := a.early
		a.early = nil
		for i := range early {
			dst = a.note(dst, &early[i])
		}
	}
	if len(text) == 0 && logprobs == nil {
		return dst, nil
	}
	part := &item.parts[len(item.parts)-1]
	part.text = append(part.text, text...)
	switch {
	case kind == "refusal":
		return a.out.delta(dst, refusalDelta, item.where, text, "}\n\n"), nil
	case logprobs == nil:
		return a.out.delta(dst, textDelta, item.where, text, `,"logprobs":[]}`+"\n\n"), nil
	}
	logprobs = oneLine(logprobs)
	part.addLogprobs(logprobs)
	return a.out.delta(dst, textDelta, item.where, text, `,"logprobs":`+string(logprobs)+"}\n\n"), nil
}

// addLogprobs adds the elements of an array, which has some.
func (p *responsesText) addLogprobs(array []byte) {
	if len(p.logprobs) > 0 {
		p.logprobs = append(p.logprobs, ',')
	}
	p.logprobs = append(p.logprobs, array[1:len(array)-1]...)
}

// note adds a citation to the text that goes on. If none has begun yet it waits for one; what comes after its text has
// ended comes too late, as the client has been told the whole of that.
func (a *responsesAnswers) note(dst []byte, c *citation) []byte {
	if part := a.open.lastText(); part != nil {
		return a.noteIn(dst, a.open, part, c)
	}
	if !a.texts && len(a.early) < maxCitations {
		a.early = append(a.early, *c)
	}
	return dst
}

// lastText returns the part of a message that goes on, if it is text.
func (i *responsesOutput) lastText() *responsesText {
	if i == nil || len(i.parts) == 0 {
		return nil
	}
	if part := &i.parts[i.partIndex()]; part.kind == "output_text" && !part.done {
		return part
	}
	return nil
}

// noteIn adds a citation to the last part of a message. An answer that is too long goes without.
func (a *responsesAnswers) noteIn(dst []byte, item *responsesOutput, part *responsesText, c *citation) []byte {
	var w writer
	w.open('{')
	w.member("type", "url_citation")
	c.write(&w)
	w.close('}')
	if a.grow(w.b) != nil {
		return dst
	}
	part.notes = append(part.notes, w.b)
	return a.out.annotation(dst, item)
}

// noteSources adds the citations of sources that are told beside a text which ends, unless it has annotations that do.
func (a *responsesAnswers) noteSources(dst []byte, item *responsesOutput) []byte {
	part := item.lastText()
	if part == nil || len(part.notes) > 0 || len(a.results)+len(a.citations) == 0 {
		return dst
	}
	all := sourced(string(unescaped(part.text)), readSources(a.results, a.citations))
	a.results, a.citations = nil, nil
	for i := range all {
		dst = a.noteIn(dst, item, part, &all[i])
	}
	return dst
}

// call adds to a call, or begins one. The client is told once the name is known.
func (a *responsesAnswers) call(dst []byte, d *ChatToolDelta) ([]byte, error) {
	item := a.callOf(d)
	if item == nil {
		if len(a.calls) == maxCalls {
			return dst, errItems
		}
		item = &responsesOutput{kind: "function_call", itemID: "fc_" + randomID(), callMark: callMark{index: d.Index, id: d.ID}}
		a.calls = append(a.calls, item)
	}
	if item.name == "" {
		item.name = d.Name
	}
	if item.id == "" {
		item.id = d.ID
	}
	if item.extra == nil && len(d.ExtraContent) > 0 && !item.told {
		item.extra = append(item.extra, d.ExtraContent...)
	}
	var err error
	if item.name != "" && !item.told {
		if dst, err = a.tellCall(dst, item); err != nil {
			return dst, err
		}
	}
	if d.Arguments == "" || item.complete {
		return dst, nil
	}
	item.args.read(d.Arguments)
	if item.custom() {
		if err := a.grow([]byte(d.Arguments)); err != nil {
			return dst, err
		}
		return a.addArguments(dst, item, item.input.add(d.Arguments)), nil
	}
	quoted := []byte(d.ArgumentsJSON)
	if quoted == nil {
		quoted = appendJSON(nil, d.Arguments)
	}
	if err := a.grow(quoted); err != nil {
		return dst, err
	}
	return a.addArguments(dst, item, inner(quoted)), nil
}

// callOf returns the call that an event adds to, nil if it begins one.
func (a *responsesAnswers) callOf(d *ChatToolDelta) *responsesOutput {
	for _, item := range slices.Backward(a.calls) {
		if is, known := item.is(d); known {
			if is {
				return item
			}
			return nil
		}
	}
	return nil
}

// tellCall tells the client of a call and of the arguments that have come before its name.
func (a *responsesAnswers) tellCall(dst []byte, item *responsesOutput) ([]byte, error) {
	if signature := googleSignature(item.extra); signature != "" && !a.signed() {
		var err error
		block := signedBlock([]byte(`""`), appendJSON(nil, geminiSignature+signature))
		if dst, err = a.sign(dst, block, false); err != nil {
			return dst, err
		}
	}
	item.extra = nil
	if item.tool = a.kinds[item.name]; item.custom() {
		item.itemID = "ctc_" + strings.TrimPrefix(item.itemID, "fc_")
	}
	if item.callID = item.id; item.id == "" || a.taken(item) {
		item.callID = "call_" + randomID()
	}
	dst, err := a.tell(dst, item)
	if err != nil {
		return dst, err
	}
	item.where = item.appendWhere(item.where[:0])
	held := item.text
	item.text = nil
	if item.custom() {
		held = item.input.add(string(unescaped(held)))
	}
	return a.addArguments(dst, item, held), nil
}

// custom reports whether it is the call of a tool that takes text.
func (i *responsesOutput) custom() bool { return i.tool != nil && i.tool.custom }

// signed reports whether the calls to come have Google's signature already: of parallel calls, and of those before, the first
// has it.
func (a *responsesAnswers) signed() bool {
	return slices.ContainsFunc(a.items, func(i *responsesOutput) bool { return i.google || i.kind == "function_call" })
}

// taken reports whether another call has the same ID.
func (a *responsesAnswers) taken(item *responsesOutput) bool {
	return slices.ContainsFunc(a.items, func(other *responsesOutput) bool { return other.callID == item.id })
}

// addArguments adds to a call's arguments.
func (a *responsesAnswers) addArguments(dst []byte, item *responsesOutput, text []byte) []byte {
	item.text = append(item.text, text...)
	head := argumentsDelta
	switch {
	case !item.told || len(text) == 0:
		return dst
	case item.custom():
		head = inputDelta
	}
	return a.out.delta(dst, head, item.where, text, "}\n\n")
}

// closePart ends the part of a message that is open.
func (a *responsesAnswers) closePart(dst []byte, item *responsesOutput) []byte {
	n := len(item.parts)
	if n == 0 || item.parts[n-1].done {
		return dst
	}
	dst = a.noteSources(dst, item)
	item.parts[n-1].done = true
	dst = a.out.textDone(dst, item)
	return a.out.part(dst, "response.content_part.done", item)
}

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
			dst = a.out.summaryDone(dst, item)
			dst = a.out.summaryPart(dst, "response.reasoning_summary_part.done", item)
		}
	case "function_call":
		dst = a.out.argumentsDone(dst, item)
	}
	w := a.out.itemEvent(dst, "response.output_item.done", item, false)
	w.key("item")
	item.write(w, true)
	return a.out.close()
}
