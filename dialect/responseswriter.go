package dialect

import (
	"encoding/json"
	"strconv"
)

// responsesWriter writes answers of the Responses API.
type responsesWriter struct {
	id, model  string
	created    int64
	tier       string // the service_tier, "" for the default one
	echo       *responsesEcho
	incomplete string // why the answer is, "" if it is not

	number int64 // of the next event
	w      writer
}

// quoted writes JSON text that has no quotes as a string.
func (w *writer) quoted(text []byte) {
	w.separate()
	w.b = append(append(append(w.b, '"'), text...), '"')
}

// responsesHead begins an event up to its number.
func responsesHead(kind string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\",\"sequence_number\":"
}

// The heads of what nearly all events are.
var (
	textDelta      = responsesHead("response.output_text.delta")
	refusalDelta   = responsesHead("response.refusal.delta")
	summaryDelta   = responsesHead("response.reasoning_summary_text.delta")
	argumentsDelta = responsesHead("response.function_call_arguments.delta")
	inputDelta     = responsesHead("response.custom_tool_call_input.delta")
)

// delta appends an event that adds text to an item.
func (o *responsesWriter) delta(dst []byte, head string, where, text []byte, tail string) []byte {
	dst = append(dst, head...)
	dst = strconv.AppendInt(dst, o.number, 10)
	o.number++
	dst = append(dst, where...)
	dst = append(dst, `,"delta":"`...)
	dst = append(dst, text...)
	return append(append(dst, '"'), tail...)
}

// event begins an event, which [responsesWriter.close] ends.
func (o *responsesWriter) event(dst []byte, kind string) *writer {
	o.w = writer{b: append(dst, responsesHead(kind)...)}
	o.w.whole(o.number)
	o.number++
	return &o.w
}

func (o *responsesWriter) close() []byte {
	o.w.close('}')
	return append(o.w.b, "\n\n"...)
}

// appendWhere appends what tells an item in an event.
func (i *responsesOutput) appendWhere(dst []byte) []byte {
	dst = append(append(append(dst, `,"item_id":"`...), i.itemID...), `","output_index":`...)
	return strconv.AppendInt(dst, int64(i.place), 10)
}

// itemEvent begins an event about an item of the output. withID is for those that do not have the item itself.
func (o *responsesWriter) itemEvent(dst []byte, kind string, item *responsesOutput, withID bool) *writer {
	w := o.event(dst, kind)
	if withID {
		w.b = item.appendWhere(w.b)
		return w
	}
	w.key("output_index")
	w.whole(int64(item.place))
	return w
}

// partIndex returns the place of the last part of a message.
func (i *responsesOutput) partIndex() int64 { return int64(len(i.parts) - 1) }

// textDone appends the event with the text of the last part of a message.
func (o *responsesWriter) textDone(dst []byte, item *responsesOutput) []byte {
	part := &item.parts[item.partIndex()]
	kind, member := "response.output_text.done", "text"
	if part.kind == "refusal" {
		kind, member = "response.refusal.done", "refusal"
	}
	w := o.itemEvent(dst, kind, item, true)
	w.key("content_index")
	w.whole(item.partIndex())
	w.key(member)
	w.quoted(part.text)
	if part.kind == "output_text" {
		part.writeLogprobs(w)
	}
	return o.close()
}

// part appends an event with the last part of a message.
func (o *responsesWriter) part(dst []byte, kind string, item *responsesOutput) []byte {
	w := o.itemEvent(dst, kind, item, true)
	w.key("content_index")
	w.whole(item.partIndex())
	w.key("part")
	item.parts[item.partIndex()].write(w)
	return o.close()
}

// annotation appends the event with the last annotation of the last part of a message.
func (o *responsesWriter) annotation(dst []byte, item *responsesOutput) []byte {
	w := o.itemEvent(dst, "response.output_text.annotation.added", item, true)
	w.key("content_index")
	w.whole(item.partIndex())
	notes := item.parts[item.partIndex()].notes
	w.key("annotation_index")
	w.whole(int64(len(notes) - 1))
	w.key("annotation")
	w.raw(notes[len(notes)-1])
	return o.close()
}

func (p *responsesText) writeLogprobs(w *writer) {
	w.key("logprobs")
	w.literal("[")
	w.b = append(append(w.b, p.logprobs...), ']')
}

func (p *responsesText) write(w *writer) {
	w.open('{')
	w.member("type", p.kind)
	if p.kind == "refusal" {
		w.key("refusal")
		w.quoted(p.text)
	} else {
		w.key("annotations")
		w.open('[')
		for _, note := range p.notes {
			w.raw(note)
		}
		w.close(']')
		p.writeLogprobs(w)
		w.key("text")
		w.quoted(p.text)
	}
	w.close('}')
}

// summaryPart appends an event with the summary of reasoning, which has one part.
func (o *responsesWriter) summaryPart(dst []byte, kind string, item *responsesOutput) []byte {
	w := o.itemEvent(dst, kind, item, true)
	w.key("summary_index")
	w.whole(0)
	w.key("part")
	item.writeSummary(w)
	return o.close()
}

// summaryDone appends the event with the text of the summary.
func (o *responsesWriter) summaryDone(dst []byte, item *responsesOutput) []byte {
	w := o.itemEvent(dst, "response.reasoning_summary_text.done", item, true)
	w.key("summary_index")
	w.whole(0)
	w.key("text")
	w.quoted(item.text)
	return o.close()
}

func (i *responsesOutput) writeSummary(w *writer) {
	w.open('{')
	w.member("type", "summary_text")
	w.key("text")
	w.quoted(i.text)
	w.close('}')
}

// status returns the status of an item, as it is or as it begins.
func (i *responsesOutput) status(whole bool) string {
	switch {
	case !whole:
		return "in_progress"
	case i.cut:
		return "incomplete"
	}
	return "completed"
}

// write writes an item, as it is or as it begins.
func (i *responsesOutput) write(w *writer, whole bool) {
	w.open('{')
	w.member("id", i.itemID)
	if i.custom() {
		w.member("type", "custom_tool_call")
	} else {
		w.member("type", i.kind)
	}
	switch i.kind {
	case "message":
		w.member("status", i.status(whole))
		w.member("role", "assistant")
		w.key("content")
		w.open('[')
		for p := range i.parts {
			i.parts[p].write(w)
		}
		w.close(']')
	case "reasoning":
		w.member("status", i.status(whole))
		w.key("summary")
		w.open('[')
		if len(i.text) > 0 {
			i.writeSummary(w)
		}
		w.close(']')
		if len(i.blocks) > 0 {
			w.member("encrypted_content", carrier(i.blocks))
		}
	case "function_call":
		w.member("status", i.status(whole))
		w.member("call_id", i.callID)
		i.writeTool(w)
		w.key(i.argumentsName())
		if whole {
			w.quoted(i.text)
		} else {
			w.text("")
		}
	}
	w.close('}')
}

// writeTool writes what is called, as the client knows it.
func (i *responsesOutput) writeTool(w *writer) {
	w.member("name", i.calls())
	if i.tool != nil && i.tool.namespace != "" {
		w.member("namespace", i.tool.namespace)
	}
}

// calls returns the name of the tool that a call is of.
func (i *responsesOutput) calls() string {
	if i.tool != nil {
		return i.tool.name
	}
	return i.name
}

// argumentsName returns what the arguments of a call are called.
func (i *responsesOutput) argumentsName() string {
	if i.custom() {
		return "input"
	}
	return "arguments"
}

// argumentsDone appends the event with the arguments of a call.
func (o *responsesWriter) argumentsDone(dst []byte, item *responsesOutput) []byte {
	if item.custom() {
		o.itemEvent(dst, "response.custom_tool_call_input.done", item, true)
	} else {
		o.itemEvent(dst, "response.function_call_arguments.done", item, true)
		o.w.member("name", item.calls())
	}
	o.w.key(item.argumentsName())
	o.w.quoted(item.text)
	return o.close()
}

// response writes the whole response, which repeats the request. OpenAI's defaults stand for what that left out.
func (o *responsesWriter) response(w *writer, status string, items []*responsesOutput, u *Usage) {
	e := o.echo
	or := func(name string, value json.RawMessage, missing string) {
		w.key(name)
		if value == nil {
			w.literal(missing)
		} else {
			w.raw(value)
		}
	}
	w.open('{')
	w.member("id", o.id)
	w.member("object", "response")
	w.key("created_at")
	w.whole(o.created)
	w.member("status", status)
	w.b = append(w.b, `,"background":false,"access_programs":{"cyber":"standard"},"error":null`...)
	if status == "incomplete" {
		or("incomplete_details", json.RawMessage(`{"reason":`+Quote(o.incomplete)+`}`), "")
	} else {
		or("incomplete_details", nil, "null")
	}
	or("instructions", e.instructions, "null")
	or("max_output_tokens", e.maxOutputTokens, "null")
	or("max_tool_calls", e.maxToolCalls, "null")
	or("metadata", e.metadata, "{}")
	w.member("model", o.model)
	w.key("output")
	w.open('[')
	for _, item := range items {
		item.write(w, true)
	}
	w.close(']')
	or("parallel_tool_calls", e.parallelToolCalls, "true")
	w.b = append(w.b, `,"previous_response_id":null`...)
	or("prompt_cache_key", e.promptCacheKey, "null")
	or("reasoning", e.reasoning, `{"effort":null,"summary":null}`)
	or("safety_identifier", e.safetyIdentifier, "null")
	w.key("service_tier")
	w.text(o.serviceTier())
	w.b = append(w.b, `,"store":false`...)
	or("temperature", e.temperature, "1")
	or("text", e.text, `{"format":{"type":"text"}}`)
	or("tool_choice", e.toolChoice, `"auto"`)
	or("tools", e.tools, "[]")
	or("top_logprobs", e.topLogprobs, "0")
	or("top_p", e.topP, "1")
	or("truncation", e.truncation, `"disabled"`)
	w.key("usage")
	if u == nil {
		w.literal("null")
	} else {
		w.raw(appendResponsesUsage(nil, u))
	}
	or("user", e.user, "null")
	w.close('}')
}

// serviceTier returns the one that the provider has named, in OpenAI's words.
func (o *responsesWriter) serviceTier() string {
	switch o.tier {
	case "auto", "default", "flex", "scale", "priority":
		return o.tier
	}
	return "default"
}

func appendResponsesUsage(dst []byte, u *Usage) []byte {
	number := func(name string, n int64) {
		dst = append(append(dst, name...), ':')
		dst = strconv.AppendInt(dst, n, 10)
	}
	number(`{"input_tokens"`, u.Input)
	number(`,"input_tokens_details":{"cached_tokens"`, u.CachedInput)
	number(`,"cache_write_tokens"`, u.CacheWrite)
	number(`},"output_tokens"`, u.Output)
	number(`,"output_tokens_details":{"reasoning_tokens"`, u.Reasoning)
	number(`},"total_tokens"`, u.Input+u.Output)
	return append(dst, '}')
}
