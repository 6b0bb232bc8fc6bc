package handler

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/textproto"
	"unicode/utf8"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/provider"
)

// formPeek is how much of an upload is read in search of its model, in bytes.
// A model that comes after a longer file is not found.
const formPeek = 64 << 10

// peekForm reads the beginning of a form to learn which model it is for. The
// rest stays unread.
func (x *exchange) peekForm(boundary string) *dialect.Error {
	buf := gateway.NewBuffer(formPeek - 1)
	var span provider.Span
	for {
		_, err := buf.ReadOnce(x.r.Body)
		if span = formModel(buf.B, boundary); !span.IsZero() || err == io.EOF || len(buf.B) >= formPeek {
			break
		}
		if err != nil {
			buf.Free()
			return unreadable(err)
		}
	}
	x.req.Body = provider.NewBody(buf.B, func([]byte) { buf.Free() })
	if x.req.UploadLength >= 0 {
		x.req.UploadLength -= int64(len(buf.B))
	}
	if span.IsZero() {
		return nil
	}
	x.req.ModelSpan = span
	x.req.Model = string(buf.B[span.Start:span.End])
	if !utf8.ValidString(x.req.Model) {
		return dialect.Invalid("model", "invalid_value", "'model' is not valid UTF-8.")
	}
	if len(x.req.Model) > dialect.MaxModelName {
		return dialect.Invalid("model", "invalid_value", "'model' is too long.")
	}
	return nil
}

// formModel returns where the value of the field "model" stands in the beginning of a
// form (RFC 7578), zero when it is not there, or not whole. It finds none, too, where
// the form is written in a way that servers read differently: what is found here must be
// what the provider finds.
func formModel(head []byte, boundary string) provider.Span {
	delimiter := []byte("\r\n--" + boundary)
	at, kind := endOfDelimiter(bytes.TrimPrefix(head, crlf), delimiter[2:])
	if kind != delimits {
		return provider.Span{}
	}
	at += len(head) - len(bytes.TrimPrefix(head, crlf))
	for {
		part := head[at:]
		end, next, kind := nextDelimiter(part, delimiter)
		if kind != delimits && kind != closes {
			return provider.Span{}
		}
		// A part is its headers, an empty line and its content.
		i := bytes.Index(part[:end], []byte("\r\n\r\n"))
		if bytes.HasPrefix(part, crlf) {
			i = -2 // no headers
		}
		if i == -1 {
			return provider.Span{}
		}
		name, ok := fieldName(part[:i+4])
		switch {
		case !ok:
			return provider.Span{}
		case name == "model":
			return provider.Span{Start: at + i + 4, End: at + end}
		case kind == closes:
			return provider.Span{}
		}
		at += next
	}
}

var crlf = []byte("\r\n")

// What stands where the words of a delimiter are.
type mark int

const (
	neither  mark = iota // content: the beginning of a longer word
	doubtful             // cut off, or read in different ways
	delimits
	closes
)

// nextDelimiter returns where in b the next delimiter begins and ends.
func nextDelimiter(b, delimiter []byte) (begin, end int, kind mark) {
	for at := 0; ; {
		i := bytes.Index(b[at:], delimiter)
		if i < 0 {
			return 0, 0, doubtful
		}
		begin = at + i
		if end, kind = endOfDelimiter(b[begin:], delimiter); kind != neither {
			return begin, begin + end, kind
		}
		at = begin + len(crlf)
	}
}

// endOfDelimiter returns where the delimiter that b begins with ends: with its line, on which
// there may be blanks (RFC 2046, section 5.1.1), or with two dashes.
func endOfDelimiter(b, delimiter []byte) (end int, kind mark) {
	rest, ok := bytes.CutPrefix(b, delimiter)
	if !ok {
		return 0, neither
	}
	rest, dashes := bytes.CutPrefix(rest, []byte("--"))
	line := bytes.TrimLeft(rest, " \t")
	switch {
	case dashes && (len(line) == 0 || bytes.HasPrefix(line, crlf)):
		return 0, closes
	case !dashes && bytes.HasPrefix(line, crlf):
		return len(b) - len(line) + len(crlf), delimits
	case dashes || len(line) < len(rest) || len(line) == 0 || bytes.IndexByte([]byte("\r\n-"), line[0]) >= 0:
		return 0, doubtful
	default:
		return 0, neither
	}
}

// fieldName returns the name of the field that a part with these headers is, "" for a
// file. It reports whether the headers are plain.
func fieldName(headers []byte) (name string, plain bool) {
	if bytes.Count(headers, []byte("\n")) != bytes.Count(headers, crlf) || bytes.IndexByte([]byte(" \t"), headers[0]) >= 0 {
		return "", false
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(headers))).ReadMIMEHeader()
	if err != nil {
		return "", false
	}
	disposition, params, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	if params["filename"] != "" {
		return "", true
	}
	return params["name"], disposition == "form-data" || params["name"] == ""
}
