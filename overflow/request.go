package overflow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
)

// StoredRequest is what is stored of a client's request: as it came, but for headers
// that nobody needs later. It never holds a credential.
type StoredRequest struct {
	Method string `json:"method"`
	// Path, RawPath and Query are as in [net/url.URL].
	Path    string `json:"path"`
	RawPath string `json:"raw_path,omitempty"`
	Query   string `json:"query,omitempty"`
	// Header holds the names in StoredHeaders only.
	Header http.Header `json:"header,omitempty"`
	// Model is as the client named it, "" when it named none.
	Model string `json:"model,omitempty"`
	// Stream is whether the client asked for server-sent events.
	Stream bool `json:"stream,omitempty"`
	// Callback is the URL at which the client wants to be told of the end, or "".
	Callback string `json:"callback,omitempty"`
	// Body is the client's.
	Body []byte `json:"-"`
}

// StoredHeaders are the names of a client's headers that are stored with its request,
// in canonical form: those that adapters pass on. None of them holds a credential.
var StoredHeaders = []string{
	"Accept", "Content-Type", "Openai-Beta", "Anthropic-Beta", "Anthropic-Version", "Traceparent", "Tracestate", "X-Request-Id",
}

// encode returns r as it is stored, before it is sealed: the length of all but the
// body in four bytes, that as JSON, and the body.
func (r *StoredRequest) encode() []byte {
	meta, _ := json.Marshal(r) // strings and a map of them: cannot fail
	b := make([]byte, 0, 4+len(meta)+len(r.Body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = append(b, meta...)
	return append(b, r.Body...)
}

var errBadRequest = errors.New("it cannot be read")

func decodeRequest(b []byte) (*StoredRequest, error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, errBadRequest
	}
	meta, body := b[4:4+binary.BigEndian.Uint32(b)], b[4+binary.BigEndian.Uint32(b):]
	r := new(StoredRequest)
	if json.Unmarshal(meta, r) != nil { // whose error may quote the content
		return nil, errBadRequest
	}
	r.Body = body
	return r, nil
}

// fingerprint tells whether two requests ask for the same.
func (r *StoredRequest) fingerprint() string {
	h := sha256.New()
	for _, part := range []string{r.Method, r.Path, r.RawPath, r.Query} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(r.Body)
	return hex.EncodeToString(h.Sum(nil))
}

// uniqueKey is what a client's Idempotency-Key is in the queue, where those of all clients are.
func uniqueKey(owner, key string) string {
	sum := sha256.Sum256([]byte(owner + "\x00" + key))
	return hex.EncodeToString(sum[:])
}

// head is what is stored of an answer before its body.
type head struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	// Stream is whether the body is a stream of server-sent events.
	Stream bool `json:"stream,omitempty"`
	// Error, unless empty, is the body instead of what was put out.
	Error []byte `json:"error,omitempty"`
}

// errorHead returns the head of an answer that is an error in JSON.
func errorHead(status int, body []byte) head {
	return head{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Error: body}
}

func (h *head) encode() []byte {
	b, _ := json.Marshal(h) // a number, strings and a map of them: cannot fail
	return b
}
