package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxModelName is the longest model name in bytes that is looked up.
const MaxModelName = 512

// OpenAIRequest is what the gateway reads of a request in OpenAI's dialect.
type OpenAIRequest struct {
	Model         string // "" when there is none
	ModelSpan     Span   // the value, quotes included
	Stream        bool
	StreamOptions Span // the value, zero when there is none
	IncludeUsage  bool // stream_options.include_usage

	// What the request needs of a model.
	Tools      bool // there are tools or functions to call
	Vision     bool // there is an image to look at
	Audio      bool // there is sound to listen to, or speech is wanted
	JSONSchema bool // the answer must follow a schema

	// Thought is whether the conversation has thinking of a model.
	Thought bool

	// InputTokens estimates the text that goes to the model, and its images. It is 0
	// when there is neither.
	InputTokens int
	// Background is whether the answer is to be made later, and asked for by its ID.
	Background bool
	// Fallbacks is whether further models are named, for a provider to choose from (OpenRouter's models).
	Fallbacks bool
	// OutputTokens is the most that the client wants, 0 when it does not say.
	OutputTokens int
}

// ScanOpenAI reads the members of a request that the gateway acts on, and
// checks that the whole body is valid JSON. Of the model and the stream's members, one that
// occurs twice, or again in another case, is refused: servers differ in which one they take,
// and what is checked here must be what the provider sees. What the request needs is
// read from any shape without complaint, since that is the provider's to check, and whatever
// is given twice counts twice. Errors are *Error.
func ScanOpenAI(body []byte) (OpenAIRequest, error) {
	s := requestScanner{scanner: scanner{data: body}}
	if err := s.document(s.member); err != nil {
		if bad, ok := errors.AsType[*Error](err); ok {
			return s.request, bad
		}
		return s.request, Invalid("", "invalid_json", "The request body is not valid JSON: "+err.Error()+".")
	}
	s.request.InputTokens = (s.input+bytesPerToken-1)/bytesPerToken + s.images*imageTokens
	return s.request, nil
}

func modelName(value []byte) (string, *Error) {
	if value[0] != '"' {
		return "", Invalid("model", "invalid_type", "'model' must be a string.")
	}
	name, err := unquote(value)
	switch {
	case err != nil || !utf8.Valid(value) || strings.ContainsRune(name, utf8.RuneError): // half of a surrogate pair
		return "", Invalid("model", "invalid_value", "'model' is not valid UTF-8.")
	case name == "":
		return "", Invalid("model", "invalid_value", "'model' is empty.")
	case len(name) > MaxModelName:
		return "", Invalid("model", "invalid_value", fmt.Sprintf("'model' is longer than %d bytes.", MaxModelName))
	}
	return name, nil
}

func unquote(value []byte) (string, error) {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

func boolean(name string, value []byte) (bool, *Error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false", "null":
		return false, nil
	default:
		return false, Invalid(name, "invalid_type", fmt.Sprintf("'%s' must be true or false.", name))
	}
}

func includeUsage(value []byte) (include bool, bad *Error) {
	if string(value) == "null" {
		return false, nil
	}
	seen := false
	err := Members(value, func(key []byte, v Span) bool {
		if name, err := unquote(key); err != nil || name != "include_usage" {
			return true
		}
		if seen {
			bad = Invalid("stream_options.include_usage", "duplicate_parameter", "'stream_options.include_usage' is given more than once.")
			return false
		}
		seen = true
		include, bad = boolean("stream_options.include_usage", value[v.Start:v.End])
		return bad == nil
	})
	if err != nil {
		return false, Invalid("stream_options", "invalid_type", "'stream_options' must be an object.")
	}
	return include, bad
}

// OpenAIAnswer is what the gateway reads of an answer, or of one event of a
// streamed answer, in OpenAI's dialect or Anthropic's.
type OpenAIAnswer struct {
	Usage     Usage
	HasUsage  bool
	UsageOnly bool   // no choices: the extra chunk of stream_options.include_usage
	Models    []Span // the values of model, quotes included
}

var (
	usageKey    = []byte(`"usage"`)
	modelKey    = []byte(`"model"`)
	responseKey = []byte(`"response"`)
	messageKey  = []byte(`"message"`)
)

// ErrNotJSON says that an answer could not be read.
var ErrNotJSON = errors.New("not a JSON object")

// ReadAnswer reads the model names and the usage of an answer, or of the data of
// one event. In the events of the Responses API both are in "response", and in the first one of
// Anthropic's messages in "message".
func ReadAnswer(data []byte) (a OpenAIAnswer, err error) {
	choices := Span{}
	visit := func(key []byte, value Span) {
		if bytes.IndexByte(key, '\\') >= 0 {
			if name, err := unquote(key); err == nil {
				key = []byte(Quote(name))
			}
		}
		text := data[value.Start:value.End]
		switch {
		case bytes.Equal(key, modelKey) && text[0] == '"':
			a.Models = append(a.Models, value)
		case bytes.Equal(key, usageKey):
			if u, ok := ReadUsage(text); ok {
				a.Usage, a.HasUsage = u, true
			}
		}
	}
	err = Members(data, func(key []byte, value Span) bool {
		visit(key, value)
		text := data[value.Start:value.End]
		switch {
		case string(key) == `"choices"`:
			choices = value
		case (bytes.Equal(key, responseKey) || bytes.Equal(key, messageKey)) && text[0] == '{':
			_ = Members(text, func(key []byte, inner Span) bool {
				visit(key, Span{value.Start + inner.Start, value.Start + inner.End})
				return true
			})
		}
		return true
	})
	if err != nil {
		return a, ErrNotJSON
	}
	if !a.HasUsage && choices.End > 0 {
		a.Usage, a.HasUsage = choiceUsage(data[choices.Start:choices.End])
	}
	a.UsageOnly = a.HasUsage && choices.End > 0 && isEmpty(data[choices.Start:choices.End])
	return a, nil
}

// isEmpty reports whether a value is null or an array without elements.
func isEmpty(v []byte) bool {
	return string(v) == "null" || v[0] == '[' && len(bytes.TrimSpace(v[1:len(v)-1])) == 0
}

// AppendRenamed appends data with the values at spans replaced by name.
func AppendRenamed(dst, data []byte, spans []Span, name string) []byte {
	at := 0
	for _, s := range spans {
		dst = append(dst, data[at:s.Start]...)
		dst = appendJSON(dst, name)
		at = s.End
	}
	return append(dst, data[at:]...)
}
