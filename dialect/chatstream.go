package dialect

import (
	"bytes"

	"github.com/runestone-gateway/runestone/sse"
)

// chatStream reads a stream of chat completions, for those that translate it.
type chatStream struct {
	in    ChatAnswer // the latest event
	frame chatFrame

	finish   string
	usage    Usage
	hasUsage bool
	ended    bool
}

// chatSink makes another dialect of it. What it does is appended to dst.
type chatSink interface {
	// sayText says text, which is quoted, and nothing else.
	sayText(dst, text []byte) ([]byte, error)
	// take says what is in the event that has been read.
	take(dst []byte) ([]byte, error)
	end(dst []byte) ([]byte, error)
}

// Done implements [Answers]. After the reason to finish nothing comes but the usage.
func (s *chatStream) Done() bool { return s.ended || s.finish != "" && s.hasUsage }

// Usage implements [Answers].
func (s *chatStream) Usage() Usage { return s.usage }

// event has an event translated.
func (s *chatStream) event(dst []byte, e sse.Event, to chatSink) ([]byte, error) {
	if text := s.frame.text(e.Data); text != nil && !s.ended {
		return to.sayText(dst, text)
	}
	switch data := bytes.TrimSpace(e.Data); {
	case len(data) == 0:
		return dst, nil
	case string(data) == "[DONE]":
		return to.end(dst)
	}
	if s.ended && !MayHaveUsage(e.Data) {
		return dst, nil
	}
	err := readChatAnswer(e.Data, &s.in)
	switch {
	case s.ended: // only the usage can still matter
		s.usage.Merge(s.in.Usage)
		return dst, nil
	case err == nil && s.in.Error != nil:
		return dst, s.in.Error
	case string(e.Name) == "error":
		return dst, namedError(e.Data)
	case err != nil:
		return dst, err
	}
	if s.in.HasUsage {
		s.usage.Merge(s.in.Usage)
		s.hasUsage = true
	}
	start := len(dst)
	if dst, err = to.take(dst); err != nil {
		return dst[:start], err
	}
	s.frame.learn(e.Data, &s.in)
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
