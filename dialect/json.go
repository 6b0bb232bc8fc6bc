// Package dialect knows the wire formats that clients and providers speak. It
// does no I/O.
//
// Bodies are scanned, not decoded: [Members] checks that a body is JSON and says
// where its members are, so that the few that matter can be read and replaced
// while every other byte stays as it was written.
package dialect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// MaxDepth is how deep a JSON value may nest before it is refused.
const MaxDepth = 512

// Span is the half-open range [Start, End) of a body's bytes.
type Span struct{ Start, End int }

// IsZero reports whether s marks nothing.
func (s Span) IsZero() bool { return s.End == 0 }

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
	err := s.document(func(key []byte) error {
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		if !visit(key, Span{start, s.at}) {
			return errStop
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}

// errStop ends a walk before the end of the data.
var errStop = errors.New("stop")

// scanner walks JSON text, checking it on the way.
type scanner struct {
	data  []byte
	at    int
	depth int
	// trusted says that the data is known to be JSON, so that strings are passed over without being checked.
	trusted bool

	// size is how many bytes the strings, keys and numbers passed so far have, quotes
	// and escapes undone.
	size int
}

// document reads data, which is one object.
func (s *scanner) document(member func(key []byte) error) error {
	s.space()
	if s.at == len(s.data) {
		return s.fail("the body is empty")
	}
	if s.data[s.at] != '{' {
		return s.fail("the body is not a JSON object")
	}
	if err := s.object(member); err != nil {
		return err
	}
	if s.space(); s.at < len(s.data) {
		return s.fail("there is something after the JSON object")
	}
	return nil
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

// object reads an object whose brace is next. member is called with each key, quotes
// included, and must read the value. The default is [scanner.value].
func (s *scanner) object(member func(key []byte) error) error {
	if s.depth++; s.depth > MaxDepth {
		return s.fail(fmt.Sprintf("the body nests deeper than %d levels", MaxDepth))
	}
	s.at++
	if s.space(); s.peek() == '}' {
		s.at++
		s.depth--
		return nil
	}
	for {
		key := s.at
		if s.peek() != '"' {
			return s.fail("expected a key in double quotes")
		}
		if err := s.text(); err != nil {
			return err
		}
		end := s.at
		if s.space(); s.peek() != ':' {
			return s.fail("expected ':' after a key")
		}
		s.at++
		s.space()
		var err error
		if member == nil {
			err = s.value()
		} else {
			err = member(s.data[key:end])
		}
		if err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case '}':
			s.at++
			s.depth--
			return nil
		default:
			return s.fail("expected ',' or '}' in an object")
		}
	}
}

// array reads an array whose bracket is next. element is called for each value and must
// read it. The default is [scanner.value].
func (s *scanner) array(element func() error) error {
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
		var err error
		if element == nil {
			err = s.value()
		} else {
			err = element()
		}
		if err != nil {
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
		return s.object(nil)
	case '[':
		return s.array(nil)
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
	start := s.at
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
	s.size += s.at - start
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

// pass passes over a string whose quote is next and which is known to be one.
func (s *scanner) pass() error {
	for i := s.at + 1; ; i++ {
		n := bytes.IndexByte(s.data[i:], '"')
		if n < 0 {
			return s.fail("a string has no end")
		}
		i += n
		escapes := i
		for s.data[escapes-1] == '\\' { // the quote that begins the string ends this
			escapes--
		}
		if (i-escapes)%2 == 0 {
			s.at = i + 1
			return nil
		}
	}
}

// text reads a string whose quote is next.
func (s *scanner) text() error {
	if s.trusted {
		return s.pass()
	}
	s.at++
	start := s.at
	for {
		s.plain()
		switch c := s.peek(); {
		case s.at == len(s.data):
			return s.fail("a string has no end")
		case c == '"':
			s.size += s.at - start
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
		s.size-- // two bytes for one
		return nil
	case 'u':
		for i := 1; i <= 4; i++ {
			if s.at+i >= len(s.data) || !isHex(s.data[s.at+i]) {
				return s.fail("expected four hexadecimal digits after \\u")
			}
		}
		s.size -= len(`\u0000`) - sizeUTF8(s.data[s.at+1:s.at+4])
		s.at += 5
		return nil
	default:
		return s.fail("unknown escape in a string")
	}
}

// sizeUTF8 returns how many bytes a UTF-16 code unit takes as UTF-8, half of a surrogate
// pair being half of the pair's four. hex holds its first three digits.
func sizeUTF8(hex []byte) int {
	switch {
	case hex[0] == '0' && hex[1] == '0' && hex[2] < '8': // below 0x80
		return 1
	case hex[0] == '0' && hex[1] < '8': // below 0x800
		return 2
	case hex[0]|0x20 == 'd' && hex[1] > '7': // 0xd800 to 0xdfff
		return 2
	default:
		return 3
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
