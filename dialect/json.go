// Package dialect knows the wire formats that clients and providers speak. It
// does no I/O.
//
// Bodies are scanned, not decoded: [Members] checks that a body is JSON and says
// where its members are, so that the few that matter can be read and replaced
// while every other byte stays as it was written.
package dialect

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// MaxDepth is how deep a JSON value may nest before it is refused.
const MaxDepth = 512

// Span is the half-open range [Start, End) of a body's bytes.
type Span struct{ Start, End int }

// SyntaxError says where a body stops being JSON (RFC 8259).
type SyntaxError struct {
	Offset int
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
}

// Members calls visit with the key, quotes included, and the place of the value of each
// member of the object that data holds, in order. It returns a *SyntaxError when data is not
// one valid JSON object. When visit returns false the rest is neither visited nor checked.
func Members(data []byte, visit func(key []byte, value Span) bool) error {
	s := scanner{data: data}
	s.space()
	if s.at == len(data) {
		return s.fail("the body is empty")
	}
	if data[s.at] != '{' {
		return s.fail("the body is not a JSON object")
	}
	more, err := s.object(visit)
	if err != nil || !more {
		return err
	}
	if s.space(); s.at < len(data) {
		return s.fail("there is something after the JSON object")
	}
	return nil
}

// scanner walks JSON text, checking it on the way.
type scanner struct {
	data  []byte
	at    int
	depth int
}

func (s *scanner) fail(reason string) error {
	return &SyntaxError{Offset: s.at, Reason: reason}
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

// object reads an object whose brace is next. visit may be nil.
func (s *scanner) object(visit func([]byte, Span) bool) (more bool, err error) {
	if s.depth++; s.depth > MaxDepth {
		return false, s.fail(fmt.Sprintf("the body nests deeper than %d levels", MaxDepth))
	}
	s.at++
	if s.space(); s.peek() == '}' {
		s.at++
		s.depth--
		return true, nil
	}
	for {
		key := Span{Start: s.at}
		if s.peek() != '"' {
			return false, s.fail("expected a key in double quotes")
		}
		if err := s.text(); err != nil {
			return false, err
		}
		key.End = s.at
		if s.space(); s.peek() != ':' {
			return false, s.fail("expected ':' after a key")
		}
		s.at++
		s.space()
		value := Span{Start: s.at}
		if err := s.value(); err != nil {
			return false, err
		}
		value.End = s.at
		if visit != nil && !visit(s.data[key.Start:key.End], value) {
			return false, nil
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case '}':
			s.at++
			s.depth--
			return true, nil
		default:
			return false, s.fail("expected ',' or '}' in an object")
		}
	}
}

func (s *scanner) array() error {
	if s.depth++; s.depth > MaxDepth {
		return s.fail(fmt.Sprintf("the body nests deeper than %d levels", MaxDepth))
	}
	s.at++
	if s.space(); s.peek() == ']' {
		s.at++
		s.depth--
		return nil
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case ']':
			s.at++
			s.depth--
			return nil
		default:
			return s.fail("expected ',' or ']' in an array")
		}
	}
}

func (s *scanner) value() error {
	switch c := s.peek(); c {
	case '"':
		return s.text()
	case '{':
		_, err := s.object(nil)
		return err
	case '[':
		return s.array()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || isDigit(c) {
			return s.number()
		}
		return s.fail("expected a value")
	}
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.at < len(word) || string(s.data[s.at:s.at+len(word)]) != word {
		return s.fail("expected a value")
	}
	s.at += len(word)
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return s.fail("expected a digit")
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.fail("expected a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.fail("expected a digit")
		}
	}
	return nil
}

// digits passes over digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// text reads a string whose quote is next.
func (s *scanner) text() error {
	s.at++
	for {
		s.plain()
		switch c := s.peek(); {
		case s.at == len(s.data):
			return s.fail("a string has no end")
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			return s.fail("a control character in a string is not escaped")
		}
	}
}

// plain passes over the bytes of a string that mean themselves, eight at a
// time: prompts are mostly long strings.
func (s *scanner) plain() {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(s.data)-s.at >= 8 {
		v := binary.LittleEndian.Uint64(s.data[s.at:])
		// A byte's high bit is set where the byte is a quote, a backslash or below 0x20.
		// Borrows can set it falsely only above the lowest byte that is one, which is the one looked for.
		quote := v ^ ones*'"'
		slash := v ^ ones*'\\'
		stop := ((quote-ones)&^quote | (slash-ones)&^slash | (v-ones*0x20)&^v) & highs
		if stop != 0 {
			s.at += bits.TrailingZeros64(stop) / 8
			return
		}
		s.at += 8
	}
	for s.at < len(s.data) {
		if c := s.data[s.at]; c == '"' || c == '\\' || c < 0x20 {
			return
		}
		s.at++
	}
}

func (s *scanner) escape() error {
	s.at++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
		for i := 1; i <= 4; i++ {
			if s.at+i >= len(s.data) || !isHex(s.data[s.at+i]) {
				return s.fail("expected four hexadecimal digits after \\u")
			}
		}
		s.at += 5
		return nil
	default:
		return s.fail("unknown escape in a string")
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
