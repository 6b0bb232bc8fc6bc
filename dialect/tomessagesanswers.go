package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// messagesAnswers translates answers of Anthropic's messages to those of chat completions.
type messagesAnswers struct {
	out      *chatWriter
	jsonTool string // the tool whose input is the answer's text, "" for none
	searches bool   // it may search the web, and cite what it finds

	usage  Usage
	tier   string
	reason string  // stop_reason
	calls  int     // of tools so far
	json   bool    // jsonTool has been called
	bare   *string // the arguments of the call that came last, if they are none
	stream messagesStream
}

// Done implements [Answers].
func (a *messagesAnswers) Done() bool { return a.stream.ended }

// Usage implements [Answers].
func (a *messagesAnswers) Usage() Usage { return a.usage }

// Sequence implements [Answers].
func (a *messagesAnswers) Sequence() int64 { return 0 }

// finishReasons are OpenAI's for those of Anthropic. Any other is stop: end_turn, stop_sequence, pause_turn, and
// whatever is new.
var finishReasons = map[string]string{
	"max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}

func (a *messagesAnswers) finishReason() string {
	if a.reason == "tool_use" && a.calls == 0 && a.json {
		return "stop"
	}
	if reason := finishReasons[a.reason]; reason != "" {
		return reason
	}
	return "stop"
}

// refused is the refusal of an answer that gives no reason.
const refused = "The model refused to answer."

// Whole implements [Answers].
func (a *messagesAnswers) Whole(dst, body []byte) ([]byte, error) {
	parts := []chatMessage{{}}
	m := &parts[0]
	kind, id, refusal := "", "", refused
	err := eachChecked(bytes.TrimSpace(body), "", func(name string, value []byte) error {
		switch name {
		case "type":
			kind = string(unquoted(value))
		case "id":
			id = string(unquoted(value))
		case "content":
			if isNull(value) {
				return nil
			}
			return eachElement(value, "", func(_ int, block []byte) error {
				b, err := readBlock(block)
				if err != nil {
					return ErrNotJSON
				}
				if a.out.chained && m.isPast(b.kind) {
					parts = append(parts, chatMessage{onward: true})
					m = &parts[len(parts)-1]
				}
				a.block(m, &b, block)
				return nil
			})
		case "stop_reason":
			a.reason = string(unquoted(value))
		case "stop_details":
			refusal = explanation(value)
		case "usage":
			a.takeUsage(value)
		}
		return nil
	})
	if err != nil || kind != "message" {
		if told := ErrorIn(body); told != nil {
			return dst, anthropicError(told)
		}
		return dst, ErrNotJSON
	}
	if a.reason == "refusal" {
		m.refusal = refusal
	}
	m.hasContent = m.hasContent || a.calls == 0 && m.refusal == ""
	if a.bare != nil && a.finishReason() == "length" { // it was cut off before them
		*a.bare = ""
	}
	first := &parts[0]
	first.id, first.usage, first.tier = id, a.usage, a.tier
	for i := range parts {
		parts[i].finish = a.finishReason()
	}
	return a.out.whole(dst, parts...), nil
}

// isPast reports whether a block of a kind comes after what follows such blocks in a message: it has thinking first, then text,
// then calls. Anthropic's have them in any order, which matters to the signatures of thinking.
func (m *chatMessage) isPast(kind string) bool {
	switch kind {
	case "thinking", "redacted_thinking":
		return m.hasContent || len(m.tools) > 0
	case "text":
		return len(m.tools) > 0
	}
	return false
}

// explanation returns what a stop_details says of a refusal.
func explanation(details []byte) string {
	text := refused
	if !isNull(details) {
		_ = eachMember(details, "", func(name string, value []byte) error {
			if name == "explanation" && hasText(value) {
				text = string(unquoted(value))
			}
			return nil
		})
	}
	return text
}

// takeUsage reads a usage object. Counts are those so far, and a later one may leave out what an earlier one said.
func (a *messagesAnswers) takeUsage(value []byte) {
	if u, ok := ReadUsage(value); ok {
		a.usage.Merge(u)
	}
	var more struct {
		ServiceTier string `json:"service_tier"`
	}
	if json.Unmarshal(value, &more) == nil && more.ServiceTier != "" {
		if a.tier = more.ServiceTier; a.tier == "standard" {
			a.tier = "default"
		}
	}
}

// block adds a block to a whole answer, b as it has been read. What Anthropic's own tools did is not shown.
func (a *messagesAnswers) block(m *chatMessage, b *contentBlock, block []byte) {
	a.bare = nil
	switch b.kind {
	case "text":
		if !a.json && len(b.text) >= 2 {
			start := 0
			if len(b.citations) > 0 {
				m.characters += characters(m.contentJSON[m.counted:])
				start, m.counted = m.characters, len(m.contentJSON)
			}
			m.contentJSON = append(m.contentJSON, b.text[1:len(b.text)-1]...)
			m.hasContent = true
			if len(b.citations) > 0 && b.citations[0] == '[' {
				m.cite(b.citations, start, start+characters(inner(b.text)))
			}
		}
	case "thinking":
		if hasText(b.thinking) {
			m.reasoningJSON = append(m.reasoningJSON, b.thinking[1:len(b.thinking)-1]...)
		}
		m.thinking = append(m.thinking, block)
	case "redacted_thinking":
		m.thinking = append(m.thinking, block)
	case "tool_use":
		if a.jsonTool == "" || string(b.name) != a.jsonTool {
			a.calls++
			call := ChatToolCall{ID: string(b.id), Name: string(b.name), Arguments: string(b.arguments())}
			if m.tools = append(m.tools, call); call.Arguments == "{}" {
				a.bare = &m.tools[len(m.tools)-1].Arguments
			}
		} else if !a.json {
			a.json = true
			m.contentJSON, m.content, m.hasContent, m.cited = nil, string(b.arguments()), true, nil
			if m.content == "{}" {
				a.bare = &m.content
			}
		}
	}
}

// cite adds Anthropic's citations of a part of the text.
func (m *chatMessage) cite(citations []byte, start, end int) {
	_ = eachElement(citations, "", func(_ int, value []byte) error {
		if c, ok := anthropicCitation(value); ok && len(m.cited) < maxCitations {
			c.start, c.end = start, end
			m.cited = append(m.cited, c)
		}
		return nil
	})
}

// contentBlock is a block, or what an event adds to one. Those that are not texts of the answer are unquoted.
type contentBlock struct {
	kind             string
	id, name         []byte
	input            []byte
	text, thinking   []byte // nil if they are no strings, like the next line's
	partialJSON      []byte
	signature, data  []byte
	citations        []byte // of a text
	citation         []byte // one of them, of a delta
	reason, refusing []byte // stop_reason and stop_details, of the delta of message_delta
}

func readBlock(block []byte) (b contentBlock, err error) {
	err = eachMember(block, "", b.member)
	return b, err
}

func (b *contentBlock) member(name string, value []byte) error {
	switch name {
	case "type":
		b.kind = memberName(value)
	case "id":
		b.id = unquoted(value)
	case "name":
		b.name = unquoted(value)
	case "input":
		b.input = value
	case "text":
		b.text = quoted(value)
	case "thinking":
		b.thinking = quoted(value)
	case "partial_json":
		b.partialJSON = quoted(value)
	case "signature":
		b.signature = quoted(value)
	case "data":
		b.data = quoted(value)
	case "citations":
		b.citations = value
	case "citation":
		b.citation = value
	case "stop_reason":
		b.reason = unquoted(value)
	case "stop_details":
		b.refusing = value
	}
	return nil
}

// quoted returns a value that is a string, and nothing if it is not.
func quoted(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	return value
}

// arguments returns a call's input, of which there need not be any.
func (b *contentBlock) arguments() []byte {
	if isNull(b.input) {
		return []byte("{}")
	}
	return compact(b.input)
}

// hasText reports whether a value is a string with something in it.
func hasText(value []byte) bool { return len(value) > 2 && value[0] == '"' }

// anthropicStatuses are the statuses that Anthropic has for its types of errors.
var anthropicStatuses = map[string]int{
	"invalid_request_error": http.StatusBadRequest, "authentication_error": http.StatusUnauthorized, "billing_error": http.StatusPaymentRequired,
	"permission_error": http.StatusForbidden, "not_found_error": http.StatusNotFound, "conflict_error": http.StatusConflict,
	"request_too_large": http.StatusRequestEntityTooLarge, "rate_limit_error": http.StatusTooManyRequests,
	"api_error": http.StatusInternalServerError, "timeout_error": http.StatusGatewayTimeout, "overloaded_error": statusOverloaded,
}

// anthropicError gives an error that came without a status the one that it would have had.
func anthropicError(told *Error) *Error {
	status := anthropicStatuses[told.Type]
	if status == 0 {
		status = http.StatusBadGateway
	}
	return told.inAnswer(status)
}
