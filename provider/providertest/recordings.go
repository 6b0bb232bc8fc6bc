package providertest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/sse"
)

//go:embed testdata
var testdata embed.FS

// recording is an answer of a provider. In testdata it is a file .sse or .json in the folder of its
// dialect, and what the client must see of it the file .want beside it.
type recording struct {
	name   string
	body   []byte
	stream bool
	want   expectation
}

// expectation is what becomes of an answer.
type expectation struct {
	outcome
	Usage dialect.Usage
}

// outcome is what a client has of an answer, whatever its dialect.
type outcome struct {
	Text, Reasoning string
	Tools           []tool
	// Finish is OpenAI's finish_reason.
	Finish string
}

type tool struct{ Name, Arguments string }

// recordings returns the answers that are recorded of a dialect.
func recordings(t testing.TB, api dialect.API) []recording {
	t.Helper()
	folder := path.Join("testdata", string(api))
	entries, err := fs.ReadDir(testdata, folder)
	if err != nil {
		t.Logf("nothing is recorded of %s", api)
		return nil
	}
	var all []recording
	for _, entry := range entries {
		name, stream := strings.CutSuffix(entry.Name(), ".sse")
		if !stream && path.Ext(name) != ".json" || name == "errors.json" {
			continue
		}
		r := recording{name: entry.Name(), stream: stream}
		want := read(t, path.Join(folder, strings.TrimSuffix(name, ".json")+".want"))
		if err := json.Unmarshal(want, &r.want); err != nil {
			t.Fatalf("what %s must become: %v", r.name, err)
		}
		r.body = read(t, path.Join(folder, entry.Name()))
		all = append(all, r)
	}
	return all
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := fs.ReadFile(testdata, name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// recordedErrors returns the bodies of errors that are recorded of a dialect.
func recordedErrors(t testing.TB, api dialect.API) [][]byte {
	t.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal(read(t, path.Join("testdata", string(api), "errors.json")), &raw); err != nil {
		t.Fatal(err)
	}
	all := make([][]byte, len(raw))
	for i, body := range raw {
		all[i] = compact(body)
	}
	return all
}

// compact returns JSON without space, or what is none as it is.
func compact(text []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return text
	}
	return b.Bytes()
}

// page is what a proxy answers that is no provider.
var page = []byte("<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n\n<body>\n<h1>Bad Gateway</h1></body></html>\n")

// compressed returns a text as it arrives if it is compressed against our wish.
func compressed(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(text)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// events returns the blocks of a stream.
func (r *recording) events() [][]byte {
	var all [][]byte
	for rest := r.body; len(rest) > 0; {
		n := sse.End(rest)
		if n == 0 {
			n = len(rest)
		}
		all = append(all, rest[:n])
		rest = rest[n:]
	}
	return all
}

// mayEnd reports whether the client loses nothing but counts if the stream ends at a byte: what finishes it has
// arrived.
func (r *recording) mayEnd(at int) bool {
	for _, word := range [...]string{`"finish_reason":"`, "event: message_stop\ndata: {", `"finishReason": "`, `"finishReason":"`} {
		if bytes.Contains(r.body[:at], []byte(word)) {
			return true
		}
	}
	return false
}

// variants returns a stream as other servers would frame it.
func (r *recording) variants(api dialect.API) map[string][]byte {
	swap := func(from, to string) []byte { return bytes.ReplaceAll(r.body, []byte(from), []byte(to)) }
	all := map[string][]byte{
		"lines that end in CRLF":          swap("\n", "\r\n"),
		"lines that end in CR":            swap("\n", "\r"),
		"no space after the colon":        swap("data: ", "data:"),
		"a mark of the byte order":        append([]byte("\xef\xbb\xbf"), r.body...),
		"comments in between":             swap("\n\n", "\n\n: keep-alive\n\n"),
		"comments in the events":          swap("data: ", ": a comment\ndata: "),
		"no blank line at the end":        bytes.TrimRight(r.body, "\n"),
		"an event that is not understood": append([]byte("event: unheard_of\ndata: {\"type\":\"unheard_of\"}\n\n"), r.body...),
		"retry and id":                    append([]byte("retry: 10\nid: 1\n\n"), r.body...),
	}
	switch api {
	case dialect.Chat:
		all["no [DONE]"] = swap("data: [DONE]\n\n", "")
		all["something after [DONE]"] = append(bytes.Clone(r.body), "data: {\"error\":{\"message\":\"late\"}}\n\n"...)
		delete(all, "an event that is not understood")
	case dialect.Messages:
		all["a [DONE]"] = append(bytes.Clone(r.body), "data: [DONE]\n\n"...)
		all["a ping"] = swap("event: message_delta", "event: ping\ndata: {\"type\": \"ping\"}\n\nevent: message_delta")
	case dialect.Gemini:
		delete(all, "an event that is not understood")
	}
	return all
}
