package mock

import "strconv"

// responseScript writes a response as it is streamed: one item of its output
// after the other.
type responseScript struct {
	started, finished responseObject
	status            string
	items             []outputItem // what is left to say, the current one first
	index             int          // of the current item
	open              bool         // the current item has been announced
	text              string       // what is left of a message
	pieces            []string     // what is left of a call's arguments
	sequence          int64        // of the next event
}

func (r *response) script(q *prompt, replies []reply) script {
	items := outputItems(q, replies[0])
	started := r.started(q)
	return &responseScript{
		started:  started,
		finished: started.finished(q, replies[0], items),
		status:   replies[0].status(),
		items:    items,
	}
}

func (s *responseScript) begin(dst []byte) []byte {
	for _, event := range []string{"response.created", "response.in_progress"} {
		dst = s.event(dst, event)
		dst = s.field(dst, "response", s.started)
		dst = s.close(dst)
	}
	return dst
}

func (s *responseScript) word(dst []byte) []byte {
	if len(s.items) == 0 {
		return dst
	}
	if item := s.items[0]; item.call != nil {
		return s.callWord(dst)
	}
	if !s.open {
		dst = s.openItem(dst)
	}
	var word string
	word, s.text = cutWord(s.text)
	dst = s.itemEvent(dst, "response.output_text.delta")
	dst = append(dst, `,"content_index":0,"delta":`...)
	dst = appendQuoted(dst, word)
	dst = append(dst, `,"logprobs":[]`...)
	dst = s.close(dst)
	if s.text == "" {
		dst = s.closeItem(dst)
	}
	return dst
}

// callWord announces a call, or sends a piece of its arguments.
func (s *responseScript) callWord(dst []byte) []byte {
	if !s.open {
		return s.openItem(dst)
	}
	dst = s.itemEvent(dst, "response.function_call_arguments.delta")
	dst = append(dst, `,"delta":`...)
	dst = appendQuoted(dst, s.pieces[0])
	dst = s.close(dst)
	if s.pieces = s.pieces[1:]; len(s.pieces) == 0 {
		dst = s.closeItem(dst)
	}
	return dst
}

func (s *responseScript) openItem(dst []byte) []byte {
	item := s.items[0]
	dst = s.event(dst, "response.output_item.added")
	dst = s.field(dst, "output_index", s.index)
	dst = s.field(dst, "item", item.object("in_progress"))
	dst = s.close(dst)
	s.open = true
	if item.call != nil {
		s.pieces = item.call.pieces
		return dst
	}
	s.text = item.text
	dst = s.itemEvent(dst, "response.content_part.added")
	dst = s.field(dst, "content_index", 0)
	dst = s.field(dst, "part", newOutputText(""))
	return s.close(dst)
}

func (s *responseScript) closeItem(dst []byte) []byte {
	item := s.items[0]
	if item.call != nil {
		dst = s.itemEvent(dst, "response.function_call_arguments.done")
		dst = s.field(dst, "name", item.call.name)
		dst = s.field(dst, "arguments", item.call.arguments)
		dst = s.close(dst)
	} else {
		dst = s.itemEvent(dst, "response.output_text.done")
		dst = append(dst, `,"content_index":0,"logprobs":[]`...)
		dst = s.field(dst, "text", item.text)
		dst = s.close(dst)
		dst = s.itemEvent(dst, "response.content_part.done")
		dst = s.field(dst, "content_index", 0)
		dst = s.field(dst, "part", newOutputText(item.text))
		dst = s.close(dst)
	}
	dst = s.event(dst, "response.output_item.done")
	dst = s.field(dst, "output_index", s.index)
	dst = s.field(dst, "item", item.object(s.status))
	dst = s.close(dst)
	s.items, s.open = s.items[1:], false
	s.index++
	return dst
}

func (s *responseScript) end(dst []byte) []byte {
	dst = s.event(dst, "response."+s.status)
	dst = s.field(dst, "response", s.finished)
	return s.close(dst)
}

// event begins an event; field adds to it and close ends it.
func (s *responseScript) event(dst []byte, name string) []byte {
	dst = append(append(dst, "event: "...), name...)
	dst = append(append(dst, "\ndata: {\"type\":\""...), name...)
	dst = append(dst, `","sequence_number":`...)
	dst = strconv.AppendInt(dst, s.sequence, 10)
	s.sequence++
	return dst
}

// itemEvent begins an event about the current item.
func (s *responseScript) itemEvent(dst []byte, name string) []byte {
	dst = s.event(dst, name)
	dst = append(append(dst, `,"item_id":"`...), s.items[0].id...)
	dst = append(dst, `","output_index":`...)
	return strconv.AppendInt(dst, int64(s.index), 10)
}

func (s *responseScript) field(dst []byte, name string, value any) []byte {
	dst = append(dst, `,"`+name+`":`...)
	return append(dst, marshal(value)...)
}

func (s *responseScript) close(dst []byte) []byte { return append(dst, "}\n\n"...) }

func (r *response) errorEvent(f *failure) []byte {
	dst := append([]byte(nil), `event: error`+"\n"+`data: {"type":"error","sequence_number":0,"code":`...)
	dst = appendQuotedOrNull(dst, f.code)
	dst = append(dst, `,"message":`...)
	dst = appendQuoted(dst, f.message)
	dst = append(dst, `,"param":`...)
	dst = appendQuotedOrNull(dst, f.param)
	return append(dst, "}\n\n"...)
}

var _ streamer = (*response)(nil)
