package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/sse"
)

// eventStream is a streamed answer. What it returns are the provider's own
// bytes, save the model's name, an event that the gateway asked for and the client
// did not, and what no client may get to see (see filter).
type eventStream struct {
	call   *call
	body   io.Closer
	reader *sse.Reader
	api    dialect.API
	rename string // the model name to show, "" for the provider's

	dropUsage bool // the usage event was not asked for by the client
	first     bool // an event with data has been seen
	ended     bool // the stream has said that it is complete
	done      bool // it has ended in [DONE]
	failed    bool // it has reported an error of its own
	cutLF     bool // the LF of a line end whose CR has been left out may follow
	held      []byte
	err       error
}

func newEventStream(t *attempt, body io.ReadCloser) *eventStream {
	s := &eventStream{
		call: t.call, body: body, reader: sse.NewReader(body), api: t.api, rename: t.rename(),
		// Of other calls nothing tells a complete stream from one that broke off in time.
		ended: t.api == dialect.Other,
	}
	if adder, ok := t.call.up.provider.(provider.UsageAdder); ok {
		s.dropUsage = adder.AddsUsage(t.r)
	}
	return s
}

var doneBlock = []byte("data: [DONE]\n\n")

// next implements source.
func (s *eventStream) next() ([]byte, error) {
	if s.held != nil {
		held := s.held
		s.held = nil
		return held, nil
	}
	for s.err == nil {
		blocks, err := s.reader.Next()
		if err != nil {
			return s.finish(err)
		}
		s.call.progress()
		if out := s.filter(blocks); len(out) > 0 {
			return out, nil
		}
	}
	return nil, s.err
}

// finish says how the stream ended.
func (s *eventStream) finish(err error) ([]byte, error) {
	s.err = err
	switch {
	case s.failed:
		s.err = io.EOF // the client has been told
	case s.ended && (err == io.EOF || s.done):
		// What comes after the end, a reset included, is nobody's loss.
		s.err = io.EOF
		if !s.done && (s.api == dialect.Chat || s.api == dialect.Completions) {
			s.done = true
			return doneBlock, nil
		}
	case err == io.EOF:
		s.err = errTruncated
	}
	return nil, s.err
}

// peek waits for the first event with data, so that a stream which begins
// with an error, or ends before it began, is a failure and not an answer.
func (s *eventStream) peek() error {
	for !s.first {
		blocks, err := s.reader.Next()
		if err == io.EOF {
			err = errTruncated
		}
		if err != nil {
			return err
		}
		if told := firstError(blocks); told != nil {
			return s.call.reported(told)
		}
		if out := s.filter(blocks); s.first || len(s.held)+len(out) <= maxHeld {
			s.held = append(s.held, out...)
		}
	}
	s.call.streams()
	return nil
}

// maxHeld bounds what is kept of the comments before the first event of a stream, in bytes. The rest of them says
// nothing either.
const maxHeld = 64 << 10

// firstError returns the error that the first event with data reports, if it does.
func firstError(blocks []byte) error {
	for len(blocks) > 0 {
		n := sse.End(blocks)
		if n == 0 {
			n = len(blocks)
		}
		e := sse.Parse(blocks[:n])
		blocks = blocks[n:]
		if !e.HasData {
			continue
		}
		if !bytes.Contains(e.Data, []byte(`"error"`)) {
			return nil
		}
		if told := dialect.ErrorIn(e.Data); told != nil {
			told.Status = statusOf(told)
			return told
		}
		return nil
	}
	return nil
}

// statusOf returns the status that an error would have had, had the provider
// known it in time.
func statusOf(e *dialect.Error) int {
	is := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(e.Type, w) || strings.Contains(e.Code, w) {
				return true
			}
		}
		return false
	}
	switch {
	case is("rate_limit", "429", "insufficient_quota", "too_many_requests"):
		return http.StatusTooManyRequests
	case is("overloaded", "503", "529", "unavailable"):
		return http.StatusServiceUnavailable
	case is("invalid_request", "400", "context_length_exceeded"):
		return http.StatusBadRequest
	default:
		return http.StatusBadGateway
	}
}

// filter returns blocks as the client gets them. They are the same bytes unless
// an event has to be changed or left out.
func (s *eventStream) filter(blocks []byte) []byte {
	if s.cutLF && len(blocks) > 0 {
		s.cutLF = false
		blocks = bytes.TrimPrefix(blocks, []byte("\n"))
	}
	var out []byte
	changed := false
	kept := 0 // blocks before it are in out
	for at := 0; at < len(blocks); {
		n := sse.End(blocks[at:])
		whole := n > 0
		if !whole {
			n = len(blocks) - at
		}
		block := blocks[at : at+n]
		replaced, same := s.event(block, whole)
		if !same {
			if !changed {
				// What a change costs is borne by the streams that have one.
				out, changed = make([]byte, 0, len(blocks)+64), true
			}
			out = append(append(out, blocks[kept:at]...), replaced...)
			kept = at + n
			s.cutLF = len(replaced) == 0 && kept == len(blocks) && block[n-1] == '\r'
		}
		at += n
	}
	if !changed {
		return blocks
	}
	return append(out, blocks[kept:]...)
}

// event reads one event. Unless it is to stay the same, it returns what takes its place.
func (s *eventStream) event(block []byte, whole bool) (replaced []byte, same bool) {
	data, single := oneLine(block)
	if !single {
		e := sse.Parse(block)
		if !e.HasData {
			// SDKs take a block with fields and no data for a broken event.
			return nil, !e.Fields && whole
		}
		data = e.Data
		if string(e.Name) == "error" {
			s.failed = true
		}
	}
	if !whole {
		// The stream ended without the blank line that clients wait for. What is
		// not an event in itself has been cut off, and is better not shown.
		if string(data) != "[DONE]" && dialect.Members(data, all) != nil {
			return nil, false
		}
		block = append(append(make([]byte, 0, len(block)+2), bytes.TrimRight(block, "\r\n")...), "\n\n"...)
	}
	s.first = true
	s.call.events++
	if string(data) == "[DONE]" {
		s.ended, s.done = true, true
		return block, whole
	}
	replaced, same = s.read(block, data, single)
	if s.failed {
		s.call.mask(block)
		s.call.mask(replaced)
	}
	if same && !whole {
		return block, false
	}
	return replaced, same
}

func all([]byte, dialect.Span) bool { return true }

// oneLine returns the data of a block that is one line of data and the blank
// line, which is how providers write nearly all of them.
func oneLine(block []byte) ([]byte, bool) {
	if !bytes.HasPrefix(block, []byte("data:")) {
		return nil, false
	}
	line := block[len("data:"):]
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		return nil, false
	}
	if cr := bytes.IndexByte(line[:end], '\r'); cr >= 0 && cr != end-1 {
		return nil, false
	}
	if rest := line[end+1:]; len(rest) > 0 && string(rest) != "\n" && string(rest) != "\r\n" {
		return nil, false
	}
	return bytes.TrimSuffix(bytes.TrimPrefix(line[:end], []byte(" ")), []byte("\r")), true
}

// read takes from an event what the gateway needs to know and renames its model.
func (s *eventStream) read(block, data []byte, single bool) (replaced []byte, same bool) {
	if s.api == dialect.Other {
		return nil, true
	}
	usage := false
	if s.api != dialect.Chat && s.api != dialect.Completions || !isDelta(data) {
		if !s.ended {
			s.ended = s.ends(data)
		}
		if !s.failed {
			s.failed = reportsError(data)
		}
		usage = dialect.MayHaveUsage(data)
	}
	if !usage && s.rename == "" {
		return nil, true
	}
	answer, err := dialect.ReadAnswer(data)
	if err != nil {
		return nil, true
	}
	if answer.HasUsage {
		if s.api == dialect.Messages {
			s.call.usage.Merge(answer.Usage)
		} else {
			s.call.usage = answer.Usage
		}
		if s.dropUsage && !s.failed && (answer.UsageOnly || !bytes.Contains(data, choices)) {
			return nil, false
		}
	}
	if s.rename == "" || len(answer.Models) == 0 {
		return nil, true
	}
	spans := answer.Models
	for i, span := range spans {
		at := dataOffset(block, span.Start, single)
		spans[i] = dialect.Span{Start: at, End: at + span.End - span.Start}
	}
	return dialect.AppendRenamed(nil, block, spans, s.rename), false
}

// dataOffset returns where in a block the byte at offset i of its data stands.
func dataOffset(block []byte, i int, single bool) int {
	at := 0
	for {
		line := block[at:]
		end := bytes.IndexAny(line, "\r\n")
		if end < 0 {
			end = len(line)
		}
		value, ok := bytes.CutPrefix(line[:end], []byte("data:"))
		if !ok && string(value) == "data" { // without a colon it is an empty line
			value, ok = value[len(value):], true
		}
		if ok {
			value = bytes.TrimPrefix(value, []byte(" "))
			if single || i < len(value) {
				return at + end - len(value) + i
			}
			i -= len(value) + 1
		}
		at += end + 1
	}
}

var choices = []byte(`"choices"`)

var finishReason = []byte(`"finish_reason"`)

var (
	unfinished = []byte(`"finish_reason":null`)
	noUsage    = []byte(`"usage":null`)
)

// isDelta reports, from its end alone, whether the data of an event has neither a
// finish reason nor usage. It knows the form in which OpenAI, and those who follow
// it to the letter, write nearly all events when usage is asked for.
func isDelta(data []byte) bool {
	i := bytes.LastIndex(data, unfinished)
	return i >= 0 && bytes.Contains(data[i:], noUsage)
}

// hasType reports whether the data of an event is of a type.
func hasType(data []byte, name string) bool {
	i := bytes.Index(data, []byte(`"`+name+`"`))
	return i > 0 && bytes.HasSuffix(bytes.TrimRight(data[:i], " :"), []byte(`"type"`))
}

// ends reports whether an event says that the answer is complete: with a finish
// reason, or, of a response or a message, with its terminal event.
func (s *eventStream) ends(data []byte) bool {
	switch s.api {
	case dialect.Messages:
		return hasType(data, "message_stop")
	case dialect.Responses:
		for _, name := range [...]string{"completed", "incomplete", "failed"} {
			if bytes.Contains(data, []byte(`"response.`+name+`"`)) {
				return true
			}
		}
		return hasType(data, "error")
	}
	for {
		i := bytes.Index(data, finishReason)
		if i < 0 {
			return false
		}
		data = data[i+len(finishReason):]
		value := bytes.TrimLeft(data, " \t\r\n:")
		if len(value) > 0 && value[0] == '"' {
			return true
		}
	}
}

// reportsError reports whether the data of an event is an error, in place of a part of the answer.
func reportsError(data []byte) bool {
	return bytes.Contains(data, []byte(`"error"`)) && !bytes.Contains(data, choices) && dialect.ErrorIn(data) != nil
}

func (s *eventStream) reportedError() bool { return s.failed }

func (s *eventStream) release() {
	_ = s.body.Close()
	s.reader.Release()
}
