package mock

import (
	"fmt"
	"io"
	"net/http"
)

// transcription is a call of audio/transcriptions: the size of its upload.
type transcription int64

// hearUpload reads the upload to its end and keeps nothing of it. The form is
// not parsed: its boundary is random, and the answer must not be.
func hearUpload(req *http.Request) (endpoint, error) {
	if req.Body == nil {
		return transcription(0), nil
	}
	size, err := io.Copy(io.Discard, req.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the upload: %w", err)
	}
	return transcription(size), nil
}

func (t transcription) prompt() (*prompt, error) {
	if t == 0 {
		return nil, refuse("file", "Missing required parameter: 'file'.")
	}
	return new(prompt), nil
}

func (t transcription) whole(*prompt, []reply) any {
	return struct {
		Text string `json:"text"`
	}{fmt.Sprintf("This is a simulated transcription of an upload of %d bytes.", int64(t))}
}

var _ endpoint = transcription(0)
