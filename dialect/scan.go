package dialect

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// How the tokens of a request are estimated. OpenAI's rule of thumb is four characters of
// English a token. Taken as bytes of UTF-8 it holds for other scripts too, since characters that take
// more tokens take more bytes. Measured on a few sentences in each of 14 languages with
// o200k_base (GPT-4o and later), cl100k_base (GPT-4) and DeepSeek's tokenizer, most
// took 2.5 to 7 bytes a token; the extremes were Hebrew with 1.8 (cl100k_base) and Hindi with 9.6
// (o200k_base). JSON Schema took 4.5, code 3.
//
// An image of 1024 by 1024 pixels is 765 tokens to GPT-4o and about 1400 (width times
// height by 750) to Claude, and both scale larger ones down to not much more than that.
const (
	bytesPerToken = 4
	imageTokens   = 1000
)

// requestScanner reads a request in one walk.
type requestScanner struct {
	scanner
	request OpenAIRequest
	input   int // bytes of text for the model
	images  int

	seen, other [len(fields)]bool // exactly, and in another case
}

// member reads a member of the request.
func (s *requestScanner) member(key []byte) error {
	key = unquoted(key)
	switch string(key) {
	case "messages", "input": // chat; responses and embeddings
		return s.counted(s.part)
	case "prompt", "instructions", "system": // completions; responses; messages
		return s.counted(s.value)
	case "tools", "functions":
		return s.counted(s.tools)
	case "modalities":
		return s.modalities()
	case "audio":
		return s.speech()
	case "response_format": // chat
		return s.format()
	case "text": // responses
		return s.textFormat()
	case "output_config": // messages
		return s.textFormat()
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		return s.limit()
	case "background":
		start := s.at
		err := s.value()
		s.request.Background = s.request.Background || string(s.data[start:s.at]) == "true"
		return err
	case "models":
		s.request.Fallbacks = true
		return s.value()
	default:
		return s.field(key)
	}
}

// field reads a member that is one of fields, or that says nothing to the gateway.
func (s *requestScanner) field(key []byte) error {
	start := s.at
	if err := s.value(); err != nil {
		return err
	}
	field, exact := fieldOf(key)
	if field < 0 {
		return nil
	}
	var bad *Error
	value := Span{start, s.at}
	text := s.data[start:s.at]
	name := fields[field]
	twice := s.seen[field] || s.other[field]
	switch {
	case twice:
		bad = Invalid(name, "duplicate_parameter", fmt.Sprintf("'%s' is given more than once.", name))
	case !exact:
		s.other[field] = true
		return nil
	case field == modelField:
		s.request.ModelSpan = value
		s.request.Model, bad = modelName(text)
	case field == streamField:
		s.request.Stream, bad = boolean(name, text)
	case field == streamOptionsField:
		s.request.StreamOptions = value
		s.request.IncludeUsage, bad = includeUsage(text)
	}
	s.seen[field] = true
	if bad != nil {
		return bad
	}
	return nil
}

const (
	modelField = iota
	streamField
	streamOptionsField
)

var fields = [...]string{"model", "stream", "stream_options"}

// fieldOf returns which of fields a key names, in any case, or -1, and whether it
// does so exactly.
func fieldOf(key []byte) (field int, exact bool) {
	for i, name := range fields {
		if exact = string(key) == name; exact || bytes.EqualFold(key, []byte(name)) {
			return i, exact
		}
	}
	return -1, false
}

// counted reads a value whose text goes to the model. Its keys count as well: they are
// about as long as what a message or a tool is framed in.
func (s *requestScanner) counted(read func() error) error {
	before := s.size
	err := read()
	s.input += s.size - before
	return err
}

// part reads the messages of a chat, the input items of a response, one of either, what it
// contains or puts out, or a part of that. They are told apart by their members alone, so
// that whatever nests in whatever is found. Text that speaks of images is inside a string.
func (s *requestScanner) part() error {
	switch s.peek() {
	case '[':
		return s.array(s.part)
	case '{':
		return s.object(s.partMember)
	default:
		return s.value()
	}
}

func (s *requestScanner) partMember(key []byte) error {
	switch string(unquoted(key)) {
	case "content", "output":
		return s.part()
	case "type":
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		switch string(unquoted(s.data[start:s.at])) {
		case "image_url", "input_image", "computer_screenshot", "image":
			s.images++
			s.request.Vision = true
		case "input_audio":
			s.request.Audio = true
		case "thinking":
			s.request.Thought = true
		}
		return nil
	case "image_url", "input_audio", "file", "file_data", "source", "result": // the last of an image_generation_call
		// This is data, base64 mostly.
		before := s.size
		err := s.value()
		s.size = before
		return err
	default:
		return s.value()
	}
}

// tools reads the tools or functions.
func (s *requestScanner) tools() error {
	if s.peek() != '[' {
		return s.value()
	}
	return s.array(func() error {
		s.request.Tools = true
		return s.value()
	})
}

// modalities reads what the answer may be: text, audio or both.
func (s *requestScanner) modalities() error {
	if s.peek() != '[' {
		return s.value()
	}
	return s.array(func() error {
		start := s.at
		err := s.value()
		s.request.Audio = s.request.Audio || string(unquoted(s.data[start:s.at])) == "audio"
		return err
	})
}

// speech reads how a voice shall sound.
func (s *requestScanner) speech() error {
	s.request.Audio = s.request.Audio || s.peek() == '{'
	return s.value()
}

// format reads the format of the answer.
func (s *requestScanner) format() error {
	return s.members(func(key []byte) error {
		start := s.at
		err := s.value()
		if string(unquoted(key)) == "type" && string(unquoted(s.data[start:s.at])) == "json_schema" {
			s.request.JSONSchema = true
		}
		return err
	})
}

// textFormat reads the text member of a response, which holds the format.
func (s *requestScanner) textFormat() error {
	return s.members(func(key []byte) error {
		if string(unquoted(key)) == "format" {
			return s.format()
		}
		return s.value()
	})
}

// limit reads the most tokens that the answer may have.
func (s *requestScanner) limit() error {
	start := s.at
	isNumber := isDigit(s.peek())
	if err := s.value(); err != nil || !isNumber {
		return err
	}
	n, _ := strconv.ParseFloat(string(s.data[start:s.at]), 64) // beyond the range it is infinite
	s.request.OutputTokens = max(s.request.OutputTokens, int(min(n, math.MaxInt32)))
	return nil
}

// members reads a value, calling member as [scanner.object] does if it is an object.
func (s *requestScanner) members(member func(key []byte) error) error {
	if s.peek() != '{' {
		return s.value()
	}
	return s.object(member)
}
