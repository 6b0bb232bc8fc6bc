package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendJSON appends s as a JSON string, the same bytes as json.Marshal writes: prompts and answers are written
// with it, so that it has to be quick.
func appendJSON(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // which end a line in JavaScript
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// unquoted returns what a string says, nil when value is none. It may alias value, which the scanner must have
// found valid.
func unquoted(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	return unescaped(value[1 : len(value)-1])
}

// unescaped is unquoted for what is between the quotes.
func unescaped(text []byte) []byte {
	i := bytes.IndexByte(text, '\\')
	if i < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for ; i >= 0; i = bytes.IndexByte(text, '\\') {
		out = append(out, text[:i]...)
		out, text = appendUnescaped(out, text[i:])
	}
	return append(out, text...)
}

var escapes = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '"': '"', '\\': '\\', '/': '/'}

// appendUnescaped appends what the escape says with which text begins, and returns what follows it. Half of a
// surrogate pair becomes the replacement character, as in encoding/json.
func appendUnescaped(dst, text []byte) (out, rest []byte) {
	if len(text) < 2 {
		return dst, nil
	}
	if text[1] != 'u' {
		return append(dst, escapes[text[1]]), text[2:]
	}
	r, rest := codeUnit(text)
	if r < 0 { // it was not checked after all
		return utf8.AppendRune(dst, utf8.RuneError), text[2:]
	}
	if utf16.IsSurrogate(r) {
		low, after := codeUnit(rest)
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			rest = after
		}
	}
	return utf8.AppendRune(dst, r), rest
}

// codeUnit reads the \uXXXX with which text begins; -1 if there is none.
func codeUnit(text []byte) (r rune, rest []byte) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1, text
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1, text
	}
	return rune(n), text[6:]
}

// isBlank reports whether a string, passed as JSON, is of nothing but space. Most are decided by their first letter.
func isBlank(quoted json.RawMessage) bool {
	if len(quoted) < 2 {
		return true
	}
	text := bytes.TrimSpace(quoted[1 : len(quoted)-1])
	switch {
	case len(text) == 0:
		return true
	case text[0] != '\\':
		return false
	}
	return len(bytes.TrimSpace(unquoted(quoted))) == 0
}
