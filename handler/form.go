package handler

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/textproto"

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
	if len(x.req.Model) > dialect.MaxModelName {
		return dialect.Invalid("model", "invalid_value", "'model' is too long.")
	}
	return nil
}

// formModel returns where the value of the field "model" stands in the beginning of a
// form (RFC 7578), zero when it is not there, or not whole.
func formModel(head []byte, boundary string) provider.Span {
	delimiter := []byte("\r\n--" + boundary)
	first := delimiter[2:] // the form may begin with it
	at := 0
	if bytes.HasPrefix(head, first) {
		at = len(first)
	} else if i := bytes.Index(head, delimiter); i >= 0 {
		at = i + len(delimiter)
	} else {
		return provider.Span{}
	}
	for {
		end := bytes.Index(head[at:], delimiter)
		if end < 0 {
			return provider.Span{}
		}
		part := head[at : at+end]
		// A part is CRLF, its headers, an empty line and its content.
		if i := bytes.Index(part, []byte("\r\n\r\n")); i >= 0 && fieldName(part[:i+4]) == "model" {
			return provider.Span{Start: at + i + 4, End: at + end}
		}
		at += end + len(delimiter)
	}
}

func fieldName(headers []byte) string {
	headers = bytes.TrimLeft(headers, " \t\r\n")
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(headers))).ReadMIMEHeader()
	if err != nil {
		return ""
	}
	_, params, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	if params["filename"] != "" {
		return ""
	}
	return params["name"]
}
