package handler

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/textproto"
	"unicode/utf8"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/provider"
)

// formPeek is how much of an upload is read in search of its model, in bytes,
// where the API has no model in such a form.
const formPeek = 64 << 10

// modelForms are the forms that say which model they are for. Some SDKs write the
// file first, so that these are read as far as a JSON body would be.
var modelForms = map[string]bool{
	"/v1/audio/transcriptions": true, "/v1/audio/translations": true,
	"/v1/images/edits": true, "/v1/images/variations": true,
}

// peekForm reads the beginning of a form to learn which model it is for. The
// rest stays unread. limit is how much is read of one that has a model.
func (x *exchange) peekForm(boundary string, limit int64) *dialect.Error {
	// A key that is bound to models must not be able to hide one. Files have none, and may be large.
	hasModel := modelForms[x.r.URL.Path] || x.caller.Restricted() && x.r.URL.Path != "/v1/files"
	if !hasModel {
		limit = formPeek
	}
	buf := gateway.NewBuffer(formPeek - 1)
	scan := newFormScanner(boundary)
	for {
		_, err := buf.ReadOnce(x.r.Body)
		if err != nil && err != io.EOF {
			buf.Free()
			return unreadable(err)
		}
		if scan.look(buf.B, err == io.EOF); scan.done || err == io.EOF {
			break
		}
		if int64(len(buf.B)) >= limit {
			if !hasModel {
				break
			}
			buf.Free()
			told := tooLarge(limit)
			told.Message = fmt.Sprintf("The form has no model in its first %d bytes: send 'model' before the file.", limit)
			return told
		}
	}
	x.req.Body = provider.NewBody(buf.B, func([]byte) { buf.Free() })
	if x.req.UploadLength >= 0 {
		x.req.UploadLength -= int64(len(buf.B))
	}
	if scan.model.IsZero() {
		return nil
	}
	x.req.ModelSpan = scan.model
	x.req.Model = string(buf.B[scan.model.Start:scan.model.End])
	if !utf8.ValidString(x.req.Model) {
		return dialect.Invalid("model", "invalid_value", "'model' is not valid UTF-8.")
	}
	if len(x.req.Model) > dialect.MaxModelName {
		return dialect.Invalid("model", "invalid_value", "'model' is too long.")
	}
	return nil
}

// formScanner looks for the value of the field "model" in the beginning of a form
// (RFC 7578), as more and more of it arrives. It finds none, too, where the form is written in
// a way that servers read differently: what is found must be what the provider finds.
type formScanner struct {
	model provider.Span // zero unless found
	done  bool          // more of the form will not change model

	delimiter []byte
	part      int // where the present part begins, 0 before the first
	from      int // where to look on for its end
}

func newFormScanner(boundary string) *formScanner {
	return &formScanner{delimiter: []byte("\r\n--" + boundary)}
}

// look looks on in head, which is what has arrived so far, the whole form or a beginning of it.
func (f *formScanner) look(head []byte, whole bool) {
	if f.done {
		return
	}
	f.done = whole
	if f.part == 0 {
		rest := bytes.TrimPrefix(head, crlf)
		if len(rest) < len(f.delimiter) {
			return
		}
		end, kind := endOfDelimiter(rest, f.delimiter[len(crlf):], whole)
		if kind == delimits {
			f.part = len(head) - len(rest) + end
			f.from = f.part
		} else {
			f.done = whole || kind != cutOff
			return
		}
	}
	for f.next(head, whole) {
	}
}

// next reads the present part if all of it has arrived and reports whether there is another.
func (f *formScanner) next(head []byte, whole bool) bool {
	i := bytes.Index(head[f.from:], f.delimiter)
	if i < 0 {
		f.from = max(f.part, len(head)-len(f.delimiter)+1)
		return false
	}
	f.from += i
	end, kind := endOfDelimiter(head[f.from:], f.delimiter, whole)
	switch kind {
	case cutOff:
		return false
	case neither:
		f.from += len(crlf)
		return true
	case doubtful:
		f.done = true
		return false
	}
	// A part is its headers, an empty line and its content.
	part := head[f.part:f.from]
	blank := bytes.Index(part, []byte("\r\n\r\n"))
	if bytes.HasPrefix(head[f.part:], crlf) {
		blank = -2 // no headers
	}
	if blank == -1 {
		f.done = true
		return false
	}
	name, plain := fieldName(head[f.part : f.part+blank+4])
	if plain && name == "model" {
		f.model = provider.Span{Start: f.part + blank + 4, End: f.from}
	}
	if !plain || name == "model" || kind == closes {
		f.done = true
		return false
	}
	f.part = f.from + end
	f.from = f.part
	return true
}

var crlf = []byte("\r\n")

// What stands where the words of a delimiter are.
type mark int

const (
	neither  mark = iota // content: the beginning of a longer word
	cutOff               // what tells has not arrived
	doubtful             // read in different ways
	delimits
	closes
)

// endOfDelimiter returns where the delimiter that b begins with ends: with its line, on which
// there may be blanks (RFC 2046, section 5.1.1), or with two dashes. whole says that nothing follows b.
func endOfDelimiter(b, delimiter []byte, whole bool) (end int, kind mark) {
	rest, ok := bytes.CutPrefix(b, delimiter)
	if !ok {
		return 0, neither
	}
	rest, dashes := bytes.CutPrefix(rest, []byte("--"))
	line := bytes.TrimLeft(rest, " \t")
	switch {
	case !whole && (len(line) == 0 || string(line) == "\r" || string(rest) == "-"):
		return 0, cutOff
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
