package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Member is a member of an object. Value is JSON, as it was written.
type Member struct {
	Name  string
	Value json.RawMessage
}

// eachMember calls visit with each member of an object, named without its quotes. An error of visit
// ends it. param names the object in errors. The data must be known to be JSON, such as a request that
// was scanned, or part of what was checked: its strings are passed over without a look.
func eachMember(data []byte, param string, visit func(name string, value []byte) error) error {
	s := scanner{data: data, trusted: true}
	return s.visitMembers(param, visit)
}

// eachChecked is eachMember for data of which nothing is known.
func eachChecked(data []byte, param string, visit func(name string, value []byte) error) error {
	s := scanner{data: data}
	return s.visitMembers(param, visit)
}

func (s *scanner) visitMembers(param string, visit func(name string, value []byte) error) error {
	return s.whole(param, func() error {
		return s.eachMember(param, func(name string) error {
			value, err := s.take()
			if err != nil {
				return err
			}
			return visit(name, value)
		})
	})
}

// whole has read read the data, which is nothing but what it reads.
func (s *scanner) whole(param string, read func() error) error {
	err := read()
	if err == nil {
		if s.space(); s.at < len(s.data) {
			err = s.fail("there is something after the value")
		}
	}
	if _, broken := errors.AsType[*SyntaxError](err); broken {
		return Invalid(param, "invalid_json", "'"+param+"' is not valid JSON.")
	}
	return err
}

// take reads a value.
func (s *scanner) take() ([]byte, error) {
	start := s.at
	err := s.value()
	return s.data[start:s.at], err
}

// eachMember has visit read the value of each member of the object that is next, so that what is long is walked once, however
// deep it is.
func (s *scanner) eachMember(param string, visit func(name string) error) error {
	if s.peek() != '{' {
		return Invalid(param, "invalid_type", "'"+param+"' must be an object.")
	}
	return s.object(func(key []byte) error { return visit(memberName(key)) })
}

// eachElement has visit read each element of the array that is next.
func (s *scanner) eachElement(param string, visit func(i int) error) error {
	if s.peek() != '[' {
		return Invalid(param, "invalid_type", "'"+param+"' must be an array.")
	}
	i := -1
	return s.array(func() error {
		i++
		return visit(i)
	})
}

// memberNames are the names that nearly all members have, and kinds of what is in answers.
var memberNames = func() map[string]string {
	names := make(map[string]string)
	for name := range strings.FieldsSeq(`additionalProperties arguments cache_control content content_block data delta description
		enum error finish_reason function id image_url index input items max_completion_tokens max_tokens message messages model
		name parameters partial_json parts properties refusal required role signature stop stop_details stop_reason stop_sequence strict
		text thinking thinking_blocks title tool_call_id tool_calls tool_choice tools type url usage
		content_block_delta content_block_start content_block_stop input_json_delta message_delta message_start message_stop ping
		redacted_thinking signature_delta text_delta thinking_delta tool_result tool_use`) {
		names[name] = name
	}
	return names
}()

// memberName returns what a key says. Those that are well known take no memory.
func memberName(key []byte) string {
	name := unquoted(key)
	if known, ok := memberNames[string(name)]; ok {
		return known
	}
	return string(name)
}

// eachElement calls visit with each element of an array, and its number. The data must be known to be JSON.
func eachElement(data []byte, param string, visit func(i int, value []byte) error) error {
	s := scanner{data: data, trusted: true}
	return s.whole(param, func() error {
		return s.eachElement(param, func(i int) error {
			value, err := s.take()
			if err != nil {
				return err
			}
			return visit(i, value)
		})
	})
}

// index returns the name of an element of an array, as errors show it.
func index(param string, i int) string { return param + "[" + strconv.Itoa(i) + "]" }

// isNull reports whether a value is null or not there.
func isNull(value []byte) bool { return len(value) == 0 || string(value) == "null" }

// readText reads a string; null is none.
func readText(value []byte, param string) (string, error) {
	switch {
	case isNull(value):
		return "", nil
	case value[0] != '"':
		return "", Invalid(param, "invalid_type", "'"+param+"' must be a string.")
	}
	return string(unquoted(value)), nil
}

// readBool reads true or false; null is none.
func readBool(value []byte, param string) (*bool, error) {
	switch string(value) {
	case "true", "false":
		is := string(value) == "true"
		return &is, nil
	case "null":
		return nil, nil
	}
	return nil, Invalid(param, "invalid_type", "'"+param+"' must be true or false.")
}

// readNumber checks that a value is a number and returns it as it is, so that it stays exact; null is none.
func readNumber(value []byte, param string) (json.RawMessage, error) {
	switch {
	case isNull(value):
		return nil, nil
	case value[0] == '-' || isDigit(value[0]):
		return value, nil
	}
	return nil, Invalid(param, "invalid_type", "'"+param+"' must be a number.")
}

// readWhole reads a whole number; null is none.
func readWhole(value []byte, param string) (*int64, error) {
	if isNull(value) {
		return nil, nil
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return nil, Invalid(param, "invalid_type", "'"+param+"' must be a whole number.")
	}
	return &n, nil
}

// present returns a value, or nothing if it is null.
func present(value []byte) json.RawMessage {
	if isNull(value) {
		return nil
	}
	return value
}

// compact returns JSON without the space between its tokens. Text that is none is returned as it is.
func compact(value []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return value
	}
	return b.Bytes()
}
