package dialect

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/runestone-gateway/runestone/sse"
)

// messagesAnswers translates answers of Anthropic's messages to those of chat completions.
type messagesAnswers struct {
	out      *chatWriter
	jsonTool string // the tool whose input is the answer's text, "" for none

	usage  Usage
	blocks map[int]int // the call's number by its block's, -1 for the text of jsonTool
	calls  int
	empty  map[int]bool // calls without arguments so far
	// thought is the text of the block of thinking that is under way, as JSON without its quotes:
	// the block must be sent back whole, with its signature.
	thought []byte
	reason  string
	tier    string
	ended   bool // message_stop has come
}

// Done implements [Answers].
func (a *messagesAnswers) Done() bool { return a.ended }

// Usage implements [Answers].
func (a *messagesAnswers) Usage() Usage { return a.usage }

// finishReasons are OpenAI's for those of Anthropic.
var finishReasons = map[string]string{
	"max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}

func (a *messagesAnswers) finishReason() string {
	if a.reason == "tool_use" && a.calls == 0 && a.jsonTool != "" {
		return "stop"
	}
	if reason := finishReasons[a.reason]; reason != "" {
		return reason
	}
	return "stop" // end_turn, stop_sequence, pause_turn, and whatever is new
}

// refused is the refusal of an answer that gives no reason.
const refused = "The model refused to answer."

// Whole implements [Answers].
func (a *messagesAnswers) Whole(dst, body []byte) ([]byte, error) {
	var m chatMessage
	var kind string
	err := eachMember(bytes.TrimSpace(body), "", func(name string, value []byte) error {
		switch name {
		case "type":
			kind = string(unquoted(value))
		case "id":
			m.id = string(unquoted(value))
		case "content":
			if isNull(value) {
				return nil
			}
			return eachElement(value, "", func(_ int, block []byte) error { return a.block(&m, block) })
		case "stop_reason":
			a.reason = string(unquoted(value))
		case "stop_details":
			m.refusal = explanation(value)
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
	m.finish, m.usage, m.tier = a.finishReason(), a.usage, a.tier
	switch {
	case a.reason != "refusal":
		m.refusal = ""
	case m.refusal == "":
		m.refusal = refused
	}
	m.hasContent = m.hasContent || a.calls == 0 && m.refusal == ""
	return a.out.whole(dst, m), nil
}

// explanation returns what a stop_details says of a refusal.
func explanation(details []byte) (text string) {
	if !isNull(details) {
		_ = eachMember(details, "", func(name string, value []byte) error {
			if name == "explanation" {
				text = string(unquoted(value))
			}
			return nil
		})
	}
	return text
}

func (a *messagesAnswers) takeUsage(value []byte) {
	if u, ok := ReadUsage(value); ok {
		a.usage.Merge(u)
	}
	var more struct {
		ServiceTier string `json:"service_tier"`
	}
	if json.Unmarshal(value, &more) == nil && more.ServiceTier != "" {
		a.tier = "default"
		if more.ServiceTier != "standard" {
			a.tier = more.ServiceTier
		}
	}
}

// block adds a block to a whole answer.
func (a *messagesAnswers) block(m *chatMessage, block []byte) error {
	b, err := readBlock(block)
	if err != nil {
		return ErrNotJSON
	}
	switch b.kind {
	case "text":
		m.content += string(unquoted(b.text))
		m.hasContent = true
	case "thinking":
		m.reasoning += string(unquoted(b.thinking))
		m.thinking = append(m.thinking, block)
	case "redacted_thinking":
		m.thinking = append(m.thinking, block)
	case "tool_use":
		if a.jsonTool != "" && b.name == a.jsonTool {
			m.content, m.hasContent = string(compact(b.input)), true
			return nil
		}
		a.calls++
		m.tools = append(m.tools, ChatToolCall{ID: b.id, Name: b.name, Arguments: b.arguments()})
	}
	return nil // what Anthropic's own tools did is not shown
}

// contentBlock is a block, or what an event adds to one. The values are as they were written.
type contentBlock struct {
	kind, id, name                     string
	text, thinking, input, partialJSON []byte
	signature, data                    []byte
}

func readBlock(block []byte) (b contentBlock, err error) {
	err = eachMember(block, "", func(name string, value []byte) error {
		switch name {
		case "type":
			b.kind = string(unquoted(value))
		case "id":
			b.id = string(unquoted(value))
		case "name":
			b.name = string(unquoted(value))
		case "text":
			b.text = value
		case "thinking":
			b.thinking = value
		case "input":
			b.input = value
		case "partial_json":
			b.partialJSON = value
		case "signature":
			b.signature = value
		case "data":
			b.data = value
		}
		return nil
	})
	return b, err
}

// arguments returns a call's input as text.
func (b *contentBlock) arguments() string {
	if isNull(b.input) {
		return "{}"
	}
	return string(compact(b.input))
}

// hasText reports whether a value is a string with something in it.
func hasText(value []byte) bool { return len(value) > 2 && value[0] == '"' }

// Event implements [Answers].
func (a *messagesAnswers) Event(dst []byte, e sse.Event) ([]byte, error) {
	if a.ended {
		return dst, nil
	}
	if out, ok := a.textDelta(dst, e.Data); ok {
		return out, nil
	}
	var ev messagesEvent
	if err := ev.read(e.Data); err != nil {
		if string(bytes.TrimSpace(e.Data)) == "[DONE]" { // some servers add it
			return dst, nil
		}
		return dst, ErrNotJSON
	}
	switch ev.kind {
	case "message_start":
		return a.start(dst, ev.message), nil
	case "content_block_start":
		return a.blockStart(a.begun(dst), &ev)
	case "content_block_delta":
		return a.blockDelta(a.begun(dst), &ev)
	case "content_block_stop":
		return a.blockStop(dst, ev.index), nil
	case "message_delta":
		a.messageDelta(&ev)
		if ev.refusal != "" {
			dst = a.out.refusal(a.begun(dst), appendJSON(nil, ev.refusal))
		}
	case "message_stop":
		a.ended = true
		return a.out.finish(a.begun(dst), a.finishReason(), a.usage), nil
	case "error":
		if told := ErrorIn(e.Data); told != nil {
			return dst, anthropicError(told)
		}
		return dst, &Error{Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error", Message: "The provider reported an error."}
	}
	return dst, nil // ping, and whatever is new
}

// End implements [Answers].
func (a *messagesAnswers) End(dst []byte) ([]byte, error) {
	if !a.ended {
		return dst, io.ErrUnexpectedEOF
	}
	return dst, nil
}

// messagesEvent is an event of a stream.
type messagesEvent struct {
	kind    string
	index   int
	message []byte
	block   contentBlock // content_block or delta
	reason  string
	refusal string
	usage   []byte
}

func (ev *messagesEvent) read(data []byte) error {
	return eachMember(bytes.TrimSpace(data), "", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			ev.kind = string(unquoted(value))
		case "index":
			ev.index, _ = strconv.Atoi(string(value))
		case "message":
			ev.message = value
		case "content_block":
			ev.block, err = readBlock(value)
		case "delta":
			if ev.block, err = readBlock(value); err == nil {
				err = ev.readStop(value)
			}
		case "usage":
			ev.usage = value
		}
		return err
	})
}

// readStop reads the delta of a message_delta.
func (ev *messagesEvent) readStop(delta []byte) error {
	return eachMember(delta, "", func(name string, value []byte) error {
		switch name {
		case "stop_reason":
			ev.reason = string(unquoted(value))
		case "stop_details":
			ev.refusal = explanation(value)
		}
		return nil
	})
}

var textDeltaStart, textDeltaMiddle = []byte(`{"type":"content_block_delta","index":`), []byte(`,"delta":{"type":"text_delta","text":`)

// textDelta translates an event that adds text, in the form in which Anthropic writes it. It is what nearly
// all events are.
func (a *messagesAnswers) textDelta(dst, data []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(data, textDeltaStart)
	if !ok || !a.out.begun {
		return dst, false
	}
	digits := 0
	for digits < len(rest) && isDigit(rest[digits]) {
		digits++
	}
	if rest, ok = bytes.CutPrefix(rest[digits:], textDeltaMiddle); !ok || len(rest) == 0 || rest[0] != '"' {
		return dst, false
	}
	s := scanner{data: rest}
	if s.text() != nil {
		return dst, false
	}
	for _, c := range rest[s.at:] {
		if c != '}' && c != ' ' {
			return dst, false
		}
	}
	if s.at == 2 {
		return dst, true // nothing is added
	}
	return a.out.content(dst, rest[:s.at]), true
}

// begun begins the answer if message_start has not.
func (a *messagesAnswers) begun(dst []byte) []byte {
	if a.out.begun {
		return dst
	}
	return a.out.begin(dst, "")
}

func (a *messagesAnswers) start(dst, message []byte) []byte {
	id := ""
	_ = eachMember(message, "", func(name string, value []byte) error {
		switch name {
		case "id":
			id = string(unquoted(value))
		case "usage":
			a.takeUsage(value)
		}
		return nil
	})
	if a.out.begun {
		return dst
	}
	return a.out.begin(dst, id)
}

func (a *messagesAnswers) blockStart(dst []byte, ev *messagesEvent) ([]byte, error) {
	b := &ev.block
	switch b.kind {
	case "text":
		if hasText(b.text) {
			dst = a.out.content(dst, b.text)
		}
	case "thinking":
		a.thought = a.thought[:0]
		dst = a.think(dst, b.thinking)
	case "redacted_thinking":
		dst = a.out.thinkingBlock(dst, redactedBlock(b.data))
	case "tool_use":
		if a.blocks == nil {
			a.blocks, a.empty = make(map[int]int), make(map[int]bool)
		}
		given := !isNull(b.input) && string(compact(b.input)) != "{}"
		if a.jsonTool != "" && b.name == a.jsonTool {
			a.blocks[ev.index] = -1
			if given {
				dst = a.out.content(dst, appendJSON(nil, b.arguments()))
			}
			return dst, nil
		}
		call := ChatToolCall{ID: b.id, Name: b.name}
		if given {
			call.Arguments = b.arguments()
		}
		a.blocks[ev.index] = a.calls
		a.empty[ev.index] = !given
		dst = a.out.toolStart(dst, a.calls, &call)
		a.calls++
	}
	return dst, nil
}

func redactedBlock(data []byte) []byte {
	return append(append([]byte(`{"type":"redacted_thinking","data":`), data...), '}')
}

func (a *messagesAnswers) blockDelta(dst []byte, ev *messagesEvent) ([]byte, error) {
	b := &ev.block
	switch b.kind {
	case "text_delta":
		if hasText(b.text) {
			dst = a.out.content(dst, b.text)
		}
	case "thinking_delta":
		dst = a.think(dst, b.thinking)
	case "signature_delta":
		block := append([]byte(`{"type":"thinking","thinking":"`), a.thought...)
		block = append(append(block, `","signature":`...), b.signature...)
		dst = a.out.thinkingBlock(dst, append(block, '}'))
	case "input_json_delta":
		call, ok := a.blocks[ev.index]
		if !ok || !hasText(b.partialJSON) {
			return dst, nil // of Anthropic's own tools, or nothing
		}
		if call < 0 {
			return a.out.content(dst, b.partialJSON), nil
		}
		a.empty[ev.index] = false
		dst = a.out.toolArguments(dst, call, b.partialJSON)
	}
	return dst, nil
}

// think adds to the thinking.
func (a *messagesAnswers) think(dst, text []byte) []byte {
	if !hasText(text) {
		return dst
	}
	a.thought = append(a.thought, text[1:len(text)-1]...)
	return a.out.reasoning(dst, text)
}

// blockStop ends a block. A call that was given no arguments has an empty object of them.
func (a *messagesAnswers) blockStop(dst []byte, index int) []byte {
	if call, ok := a.blocks[index]; ok && call >= 0 && a.empty[index] {
		a.empty[index] = false
		return a.out.toolArguments(dst, call, []byte(`"{}"`))
	}
	return dst
}

func (a *messagesAnswers) messageDelta(ev *messagesEvent) {
	if ev.reason != "" {
		a.reason = ev.reason
	}
	if ev.usage != nil {
		a.takeUsage(ev.usage)
	}
	if a.reason == "refusal" && ev.refusal == "" {
		ev.refusal = refused
	}
	if a.reason != "refusal" {
		ev.refusal = ""
	}
}

// anthropicStatuses are the statuses that Anthropic has for its types of errors.
var anthropicStatuses = map[string]int{
	"invalid_request_error": http.StatusBadRequest, "authentication_error": http.StatusUnauthorized, "billing_error": http.StatusPaymentRequired,
	"permission_error": http.StatusForbidden, "not_found_error": http.StatusNotFound, "request_too_large": http.StatusRequestEntityTooLarge,
	"rate_limit_error": http.StatusTooManyRequests, "api_error": http.StatusInternalServerError, "timeout_error": http.StatusGatewayTimeout,
	"overloaded_error": statusOverloaded,
}

// anthropicError gives an error that came without a status the one that it would have had.
func anthropicError(told *Error) *Error {
	status := anthropicStatuses[told.Type]
	if status == 0 {
		status = http.StatusBadGateway
	}
	if strings.TrimSpace(told.Message) == "" {
		told.Message = "The provider reported an error."
	}
	told.Status = status
	told.Type, told.Code = openAIType(status, told.Code)
	return told
}
