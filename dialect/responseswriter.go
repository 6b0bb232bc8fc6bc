package dialect

import (
	"encoding/json"
	"strconv"
)

// responsesWriter writes answers of the Responses API.
type responsesWriter struct {
	id, model  string
	created    int64
	echo       *responsesEcho
	incomplete string // why the answer is, "" if it is not

	number int // of the next event
	w      writer
}

// quoted writes JSON text that has no quotes as a string.
func (w *writer) quoted(text []byte) {
	w.separate()
	w.b = append(append(append(w.b, '"'), text...), '"')
}

// event begins an event, which [responsesWriter.close] ends.
func (o *responsesWriter) event(dst []byte, kind string) *writer {
	dst = append(append(append(dst, "event: "...), kind...), "\ndata: "...)
	o.w = writer{b: dst}
	o.w.open('{')
	o.w.member("type", kind)
	o.w.key("sequence_number")
	o.w.whole(int64(o.number))
	o.number++
	return &o.w
}

func (o *responsesWriter) close() []byte {
	o.w.close('}')
	return append(o.w.b, "\n\n"...)
}

// itemEvent begins an event about an item of the output. withID is for those that do not have the item itself.
func (o *responsesWriter) itemEvent(dst []byte, kind string, item *responsesOutput, withID bool) *writer {
	w := o.event(dst, kind)
	if withID {
		w.member("item_id", item.id)
	}
	w.key("output_index")
	w.whole(int64(item.index))
	return w
}

// partIndex returns the place of the part that is open in its message.
func (i *responsesOutput) partIndex() int64 {
	if i.part == "refusal" && len(i.text) > 0 {
		return 1
	}
	return 0
}

// textEvent appends an event about the part that is open.
func (o *responsesWriter) textEvent(dst []byte, kind string, item *responsesOutput, member string, quoted []byte) []byte {
	w := o.itemEvent(dst, kind, item, true)
	w.key("content_index")
	w.whole(item.partIndex())
	w.key(member)
	w.raw(quoted)
	if item.part == "output_text" {
		w.key("logprobs")
		w.literal("[]")
	}
	return o.close()
}

// part appends an event with the part that is open.
func (o *responsesWriter) part(dst []byte, kind string, item *responsesOutput) []byte {
	w := o.itemEvent(dst, kind, item, true)
	w.key("content_index")
	w.whole(item.partIndex())
	w.key("part")
	text := item.text
	if item.part == "refusal" {
		text = item.refusal
	}
	writeResponsesPart(w, item.part, text)
	return o.close()
}

func writeResponsesPart(w *writer, kind string, text []byte) {
	w.open('{')
	w.member("type", kind)
	if kind == "refusal" {
		w.key("refusal")
		w.quoted(text)
	} else {
		w.key("text")
		w.quoted(text)
		w.key("annotations")
		w.literal("[]")
		w.key("logprobs")
		w.literal("[]")
	}
	w.close('}')
}

func (o *responsesWriter) summary(dst []byte, kind string, item *responsesOutput, member string, quoted []byte) []byte {
	w := o.itemEvent(dst, kind, item, true)
	w.key("summary_index")
	w.whole(0)
	w.key(member)
	w.raw(quoted)
	return o.close()
}

func (o *responsesWriter) summaryPart(dst []byte, kind string, item *responsesOutput) []byte {
	w := o.itemEvent(dst, kind, item, true)
	w.key("summary_index")
	w.whole(0)
	w.key("part")
	w.open('{')
	w.member("type", "summary_text")
	w.key("text")
	w.quoted(item.text)
	w.close('}')
	return o.close()
}

// write writes an item, as it is or as it begins.
func (i *responsesOutput) write(w *writer, whole bool) {
	status := "in_progress"
	if whole {
		status = "completed"
	}
	if whole && i.cut {
		status = "incomplete"
	}
	w.open('{')
	w.member("id", i.id)
	w.member("type", i.kind)
	switch i.kind {
	case "message":
		w.member("status", status)
		w.member("role", "assistant")
		w.key("content")
		w.open('[')
		if whole && (len(i.text) > 0 || len(i.refusal) == 0) {
			writeResponsesPart(w, "output_text", i.text)
		}
		if whole && len(i.refusal) > 0 {
			writeResponsesPart(w, "refusal", i.refusal)
		}
		w.close(']')
	case "reasoning":
		w.key("summary")
		w.open('[')
		if whole && len(i.text) > 0 {
			w.open('{')
			w.member("type", "summary_text")
			w.key("text")
			w.quoted(i.text)
			w.close('}')
		}
		w.close(']')
		if whole && len(i.blocks) > 0 {
			w.member("encrypted_content", carrier(i.blocks))
		}
	case "function_call":
		w.member("status", status)
		w.member("call_id", i.callID)
		w.member("name", i.name)
		w.key("arguments")
		if whole {
			w.quoted(i.text)
		} else {
			w.text("")
		}
	}
	w.close('}')
}

// response writes the whole response, which repeats the request. OpenAI's defaults stand for what that left out.
func (o *responsesWriter) response(w *writer, status string, items []*responsesOutput, u *Usage, ended bool) {
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
	w.b = append(w.b, `,"background":false,"error":null`...)
	if ended && status == "incomplete" {
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
	w.b = append(w.b, `,"service_tier":"default","store":false`...)
	or("temperature", e.temperature, "1")
	or("text", e.text, `{"format":{"type":"text"}}`)
	or("tool_choice", e.toolChoice, `"auto"`)
	or("tools", e.tools, "[]")
	w.b = append(w.b, `,"top_logprobs":0`...)
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
