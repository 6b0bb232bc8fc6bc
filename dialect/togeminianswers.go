package dialect

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/runestone-gateway/runestone/sse"
)

// geminiAnswers translates answers of Gemini's generateContent to those of chat completions.
type geminiAnswers struct {
	out   *chatWriter
	in    *geminiAnswer
	calls int    // so far in the stream
	end   string // why the stream has ended, "" before it has
	ended bool   // and the client has been told

	// Where the model searches the web, its citations come last and are of the text so far.
	searches  bool
	said      []byte
	grounding []byte
}

func (a *geminiAnswers) reader() *geminiAnswer {
	if a.in == nil {
		a.in = newGeminiAnswer()
	}
	return a.in
}

// Done implements [Answers]. The reason to finish comes with the last event, but does not end the stream: Gemini has no
// event that does.
func (a *geminiAnswers) Done() bool { return a.end != "" }

// Usage implements [Answers].
func (a *geminiAnswers) Usage() Usage { return a.reader().usage }

// Sequence implements [Answers].
func (a *geminiAnswers) Sequence() int64 { return 0 }

// read reads an answer or an event. Errors that it reports are returned as such.
func (a *geminiAnswers) read(data []byte) error {
	in := a.reader()
	err := in.read(data)
	if err != nil || in.failed {
		return geminiError(data)
	}
	for i := range in.candidates {
		if reason := string(unquoted(in.candidates[i].finish)); brokenReasons[reason] {
			return &Error{
				Status: http.StatusBadGateway, Type: "server_error", Code: strings.ToLower(reason),
				Message: "The model gave an answer that is none (" + reason + ").",
			}
		}
	}
	return nil
}

// brokenReasons are those for which Gemini gives up an answer that would have been something else than what it gave: a
// call that cannot be read most of all. A client that was told "stop" would take the rest for all, so that it is an
// error, after which another try may do better.
var brokenReasons = map[string]bool{
	"MALFORMED_FUNCTION_CALL": true, "UNEXPECTED_TOOL_CALL": true, "TOO_MANY_TOOL_CALLS": true, "MALFORMED_RESPONSE": true,
	"MISSING_THOUGHT_SIGNATURE": true, "NO_IMAGE": true, "IMAGE_OTHER": true,
}

// geminiReasons are OpenAI's for those of Gemini. Any other is stop: STOP itself, and what only says that
// there was another.
var geminiReasons = map[string]string{
	"MAX_TOKENS": "length",
	"SAFETY":     "content_filter", "RECITATION": "content_filter", "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter",
	"SPII": "content_filter", "IMAGE_SAFETY": "content_filter", "IMAGE_PROHIBITED_CONTENT": "content_filter", "IMAGE_RECITATION": "content_filter",
	"MODEL_ARMOR": "content_filter",
}

func geminiReason(reason []byte, calls int) string {
	if known := geminiReasons[string(unquoted(reason))]; known != "" {
		return known
	}
	if calls > 0 {
		return "tool_calls"
	}
	return "stop"
}

// Whole implements [Answers].
func (a *geminiAnswers) Whole(dst, body []byte) ([]byte, error) {
	if err := a.read(body); err != nil {
		return dst, err
	}
	in := a.in
	id := string(unquoted(in.id))
	if len(in.candidates) == 0 {
		if in.blocked == nil {
			return dst, unreadable("The provider's answer has no candidates.")
		}
		return a.out.whole(dst, chatMessage{id: id, finish: "content_filter", usage: in.usage}), nil
	}
	slices.SortStableFunc(in.candidates, func(x, y geminiCandidate) int { return x.index - y.index })
	messages := make([]chatMessage, len(in.candidates))
	for i := range in.candidates {
		c := &in.candidates[i]
		m := &messages[i]
		m.id, m.usage = id, in.usage
		var said, thought joined
		for p := c.start; p < c.end; p++ {
			if err := addPart(m, &in.parts[p], &said, &thought); err != nil {
				return dst, err
			}
		}
		m.content, m.reasoning = said.String(), thought.String()
		if len(m.thinking) > 0 { // the thoughts belong to the first signature
			m.thinking[0] = signedBlock(appendJSON(nil, m.reasoning), m.thinking[0])
			for k, signature := range m.thinking[1:] {
				m.thinking[k+1] = signedBlock([]byte(`""`), signature)
			}
		}
		if a.searches {
			m.cited = groundingCitations(c.grounding, m.content)
		}
		m.finish = geminiReason(c.finish, len(m.tools))
		m.hasContent = m.hasContent || len(m.tools) == 0 && m.finish != "content_filter"
	}
	return a.out.whole(dst, messages...), nil
}

// addPart adds a part to a whole answer. Of thinking there are the signatures only, and texts go to what has been said and
// thought.
func addPart(m *chatMessage, p *geminiPart, said, thought *joined) error {
	if signature := p.marked(nil); signature != nil {
		m.thinking = append(m.thinking, signature)
	}
	switch {
	case p.call:
		call, err := p.toolCall()
		if err != nil {
			return err
		}
		m.tools = append(m.tools, call)
	case p.inline.data != nil:
		text, err := p.inline.markdown()
		if err != nil {
			return err
		}
		said.add(text)
		m.hasContent = true
	case p.thought:
		thought.add(string(unquoted(p.text)))
	case p.text != nil:
		said.add(string(unquoted(p.text)))
		m.hasContent = true
	}
	return nil
}

// marked appends the signature of a part as thinking blocks carry it, as JSON.
func (p *geminiPart) marked(dst []byte) []byte {
	if !hasText(p.signature) {
		return dst
	}
	mark := textSignature
	if p.call {
		mark = callSignature
	}
	dst = append(append(dst, '"'), mark...)
	return append(dst, p.signature[1:]...)
}

// signedBlock returns a block of thinking of Anthropic's kind. Both texts are passed as JSON.
func signedBlock(thinking, signature []byte) []byte {
	block := append([]byte(`{"type":"thinking","thinking":`), thinking...)
	return append(append(append(block, `,"signature":`...), signature...), '}')
}

// toolCall returns a call. Older models have no IDs for them.
func (p *geminiPart) toolCall() (call ChatToolCall, err error) {
	call = ChatToolCall{ID: string(unquoted(p.id)), Name: string(unquoted(p.name)), Arguments: "{}"}
	if call.Name == "" {
		return call, unreadable("The provider's answer has a call of a function without a name.")
	}
	if call.ID == "" {
		call.ID = "call_" + randomID()
	}
	if p.args != nil {
		call.Arguments = string(compact(p.args))
	}
	if hasText(p.signature) {
		extra := append(make([]byte, 0, len(p.signature)+40), `{"google":{"thought_signature":`...)
		call.ExtraContent = append(append(extra, p.signature...), "}}"...)
	}
	return call, nil
}

// markdown returns an image as text that shows it: chat completions have no place of their own for one.
func (b *geminiBlob) markdown() (string, error) {
	media := string(unquoted(b.media))
	if !strings.HasPrefix(media, "image/") {
		return "", unreadable("The provider's answer has a part that is neither text nor an image.")
	}
	return "![image](data:" + media + ";base64," + string(unquoted(b.data)) + ")", nil
}

// Event implements [Answers].
func (a *geminiAnswers) Event(dst []byte, e sse.Event) ([]byte, error) {
	data := bytes.TrimSpace(e.Data)
	if len(data) == 0 || string(data) == "[DONE]" || a.ended {
		return dst, nil
	}
	if err := a.read(data); err != nil {
		return dst, err
	}
	in := a.in
	if len(in.candidates) == 0 && in.blocked == nil {
		return dst, nil // nothing but usage
	}
	start := len(dst)
	if !a.out.begun {
		dst = a.out.begin(dst, string(unquoted(in.id)))
	}
	if in.blocked != nil && len(in.candidates) == 0 {
		a.end = "content_filter"
	}
	for i := range in.candidates {
		c := &in.candidates[i]
		if c.index != 0 {
			continue // one was asked for
		}
		for p := c.start; p < c.end; p++ {
			var err error
			if dst, err = a.part(dst, &in.parts[p]); err != nil {
				return dst[:start], err
			}
		}
		if a.searches && len(c.grounding) > 0 && c.grounding[0] == '{' {
			a.grounding = append(a.grounding[:0], c.grounding...)
		}
		if c.finish != nil {
			a.end = geminiReason(c.finish, a.calls)
		}
	}
	return dst, nil
}

// part appends the events for a part.
func (a *geminiAnswers) part(dst []byte, p *geminiPart) ([]byte, error) {
	switch {
	case p.call:
		call, err := p.toolCall()
		if err != nil {
			return dst, err
		}
		dst = a.sign(dst, p)
		a.calls++
		return a.out.toolStart(dst, a.calls-1, &call), nil
	case p.inline.data != nil:
		text, err := p.inline.markdown()
		if err != nil {
			return dst, err
		}
		dst = a.out.content(dst, appendJSON(nil, text))
	case !hasText(p.text):
	case p.thought:
		dst = a.out.reasoning(dst, p.text)
	default:
		if a.searches && len(a.said) < maxHeld {
			a.said = append(a.said, unquoted(p.text)...)
		}
		dst = a.out.content(dst, p.text)
	}
	return a.sign(dst, p), nil
}

// sign appends the event with a part's signature, if it has one.
func (a *geminiAnswers) sign(dst []byte, p *geminiPart) []byte {
	if signature := p.marked(nil); signature != nil {
		return a.out.thinkingBlock(dst, signedBlock([]byte(`""`), signature))
	}
	return dst
}

// End implements [Answers]. Until then the reason to finish is held back, since an event with the usage may follow it.
func (a *geminiAnswers) End(dst []byte) ([]byte, error) {
	switch {
	case a.ended:
		return dst, nil
	case a.end == "":
		return dst, io.ErrUnexpectedEOF
	}
	a.ended = true
	if cited := groundingCitations(a.grounding, string(a.said)); len(cited) > 0 {
		dst = a.out.annotations(dst, cited)
	}
	return a.out.finish(dst, a.end, a.in.usage), nil
}
