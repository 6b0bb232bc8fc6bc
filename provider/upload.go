package provider

import (
	"io"
)

// NewUpload returns the body of an upstream call for a request with an Upload:
// what stands before it, with the model's name replaced by the target's, and
// then the Upload as it arrives. The length is -1 when unknown.
func NewUpload(r *Request, t Target) (body io.ReadCloser, length int64) {
	u := &upload{rest: r.Upload}
	length = r.UploadLength
	if r.Body != nil {
		var edits []Edit
		if t.Model != "" && !r.ModelSpan.IsZero() {
			edits = []Edit{{Span: r.ModelSpan, New: t.Model}}
		}
		u.head = r.Body.Splice(edits...)
		if length >= 0 {
			length += u.head.Len()
		}
	}
	return u, length
}

// upload is a head in memory and the rest from the client. Closing it leaves the
// client's body open: that is the server's to close.
type upload struct {
	head *Splice
	rest io.Reader
}

func (u *upload) Read(p []byte) (int, error) {
	if u.head != nil {
		if n, err := u.head.Read(p); err != io.EOF {
			return n, err
		}
	}
	return u.rest.Read(p)
}

func (u *upload) Close() error {
	if u.head != nil {
		return u.head.Close()
	}
	return nil
}
