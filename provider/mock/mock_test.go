package mock

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

// quick is a provider that knows no pauses.
func quick() *Provider { return &Provider{WordsPerSecond: unlimited} }

// send makes a call the way the gateway does. It checks that the provider lets
// go of the body.
func send(ctx context.Context, t *testing.T, p *Provider, method, path, body string) (*http.Response, error) {
	t.Helper()
	freed := false
	held := provider.NewBody([]byte(body), func([]byte) { freed = true })
	r := &provider.Request{Method: method, Path: "/v1/" + path, Body: held}
	if body == "" {
		r.Body = nil
	}
	req, err := p.NewRequest(ctx, r, provider.Target{Credential: "unused"})
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	resp, err := p.RoundTrip(req)
	if held.Release(); !freed {
		t.Error("RoundTrip left the request's body open")
	}
	if err == nil && resp.Request != req {
		t.Error("the response names another request")
	}
	return resp, err
}

// post returns the status and the body of a call that must be answered.
func post(t *testing.T, p *Provider, path, body string) (int, []byte) {
	t.Helper()
	resp, err := send(t.Context(), t, p, http.MethodPost, path, body)
	if err != nil {
		t.Fatalf("RoundTrip: %v", err)
	}
	return resp.StatusCode, readAll(t, resp)
}

func readAll(t *testing.T, resp *http.Response) []byte {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return b
}

// ask posts and decodes the answer, which must be a success.
func ask[T any](t *testing.T, p *Provider, path, body string) (answer T) {
	t.Helper()
	status, b := post(t, p, path, body)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, b)
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatalf("decoding %s: %v", b, err)
	}
	return answer
}

// askFor is a call of chat/completions with one message of the user and more
// fields, such as `,"n":2`.
func askFor(message, more string) string {
	return `{"model":"mock-small","messages":[{"role":"user","content":` + string(marshal(message)) + `}]` + more + `}`
}

// same compares JSON with what it should be, where "any" stands for a string
// or number that differs from call to call.
func same(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("decoding %s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("decoding %s: %v", want, err)
	}
	if !matches(g, w) {
		t.Errorf("got  %s\nwant %s", marshal(g), marshal(w))
	}
}

func matches(got, want any) bool {
	switch w := want.(type) {
	case string:
		if w == "any" {
			return got != nil && got != ""
		}
		if prefix, ok := strings.CutSuffix(w, "..."); ok {
			s, isString := got.(string)
			return isString && strings.HasPrefix(s, prefix) && len(s) > len(prefix)
		}
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for name, v := range w {
			if one, ok := g[name]; !ok || !matches(one, v) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !matches(g[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(got, want)
}

// event is one server-sent event.
type event struct{ name, data string }

func events(t *testing.T, stream []byte) (list []event) {
	t.Helper()
	text, ok := strings.CutSuffix(string(stream), "\n\n")
	if !ok {
		t.Fatalf("the stream ends within an event: %q", stream)
	}
	for block := range strings.SplitSeq(text, "\n\n") {
		var e event
		for line := range strings.SplitSeq(block, "\n") {
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				e.name = name
			} else if data, ok := strings.CutPrefix(line, "data: "); ok {
				e.data = data
			} else {
				t.Fatalf("unexpected line %q", line)
			}
		}
		list = append(list, e)
	}
	return list
}

func TestTheTargetsModelReplacesTheClients(t *testing.T) {
	t.Parallel()
	const body = `{"messages":[{"role":"user","content":"hi"}],"model": "smart","stream":false}`
	start := strings.Index(body, `"smart"`)
	r := &provider.Request{
		Method: http.MethodPost, Path: "/v1/chat/completions", Model: "smart",
		Header:    http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer client"}},
		Body:      provider.NewBody([]byte(body), nil),
		ModelSpan: provider.Span{Start: start, End: start + len(`"smart"`)},
	}
	for model, want := range map[string]string{
		"":         body,
		`mock "x"`: strings.Replace(body, `"smart"`, `"mock \"x\""`, 1),
	} {
		req, err := quick().NewRequest(t.Context(), r, provider.Target{Model: model})
		if err != nil {
			t.Fatal(err)
		}
		sent, err := io.ReadAll(req.Body)
		if err != nil {
			t.Fatal(err)
		}
		if string(sent) != want || req.ContentLength != int64(len(want)) {
			t.Errorf("sent %d bytes, %s\nwant %d bytes, %s", req.ContentLength, sent, len(want), want)
		}
		if req.Header.Get("Authorization") != "" {
			t.Error("the client's credential was passed on")
		}
		req.Body.Close()
	}
}

func TestAnUploadIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	upload := bytes.NewReader(make([]byte, 100_000))
	r := &provider.Request{
		Method: http.MethodPost, Path: "/v1/audio/transcriptions",
		Header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}},
		Upload: upload, UploadLength: -1,
	}
	p := quick()
	req, err := p.NewRequest(t.Context(), r, provider.Target{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	same(t, readAll(t, resp), `{"text":"This is a simulated transcription of an upload of 100000 bytes."}`)
	if upload.Len() != 0 {
		t.Errorf("%d bytes of the upload were not read", upload.Len())
	}
}

func TestModelsAreListedAndAnyNameIsOne(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"models": `{"object":"list","data":[
			{"id":"mock-small","object":"model","created":1767225600,"owned_by":"runestone"},
			{"id":"mock-large","object":"model","created":1767225600,"owned_by":"runestone"}]}`,
		"models/mock-large":   `{"id":"mock-large","object":"model","created":1767225600,"owned_by":"runestone"}`,
		"models/acme/gpt-99b": `{"id":"acme/gpt-99b","object":"model","created":1767225600,"owned_by":"runestone"}`,
	} {
		resp, err := send(t.Context(), t, quick(), http.MethodGet, path, "")
		if err != nil {
			t.Fatal(err)
		}
		same(t, readAll(t, resp), want)
	}
}

func TestWhatMakesNoSenseIsRefusedInOpenAIsShape(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"an unknown path", "POST", "images/generations", `{}`, 404,
			`{"error":{"message":"any","type":"invalid_request_error","param":null,"code":"unknown_url"}}`},
		{"an unknown method", "GET", "chat/completions", ``, 404,
			`{"error":{"message":"any","type":"invalid_request_error","param":null,"code":"unknown_url"}}`},
		{"no JSON", "POST", "chat/completions", `model=x`, 400,
			`{"error":{"message":"The body of your request could not be parsed as JSON: ...","type":"invalid_request_error","param":null,"code":null}}`},
		{"no body", "POST", "chat/completions", ``, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":null,"code":null}}`},
		{"no model", "POST", "chat/completions", `{"messages":[]}`, 400,
			`{"error":{"message":"You must provide a model parameter.","type":"invalid_request_error","param":"model","code":null}}`},
		{"no messages", "POST", "chat/completions", `{"model":"m"}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"messages","code":null}}`},
		{"a wrong type", "POST", "chat/completions", `{"model":"m","messages":[{"role":"user","content":5}]}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"messages.content","code":null}}`},
		{"no replies", "POST", "chat/completions", askFor("hi", `,"n":0`), 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"n","code":null}}`},
		{"no tokens", "POST", "completions", `{"model":"m","prompt":"hi","max_tokens":0}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"max_tokens","code":null}}`},
		{"an unknown format", "POST", "chat/completions", askFor("hi", `,"response_format":{"type":"xml"}`), 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"response_format","code":null}}`},
		{"a schema that is missing", "POST", "chat/completions", askFor("hi", `,"response_format":{"type":"json_schema"}`), 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"response_format","code":null}}`},
		{"no input", "POST", "embeddings", `{"model":"m","input":[]}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"input","code":null}}`},
		{"an input of another kind", "POST", "embeddings", `{"model":"m","input":true}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":null,"code":null}}`},
		{"too many dimensions", "POST", "embeddings", `{"model":"m","input":"a","dimensions":9999}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"dimensions","code":null}}`},
		{"an unknown encoding", "POST", "embeddings", `{"model":"m","input":"a","encoding_format":"hex"}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"encoding_format","code":null}}`},
		{"no input of a response", "POST", "responses", `{"model":"m"}`, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"input","code":null}}`},
		{"an empty upload", "POST", "audio/transcriptions", ``, 400,
			`{"error":{"message":"any","type":"invalid_request_error","param":"file","code":null}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, err := send(t.Context(), t, quick(), tt.method, tt.path, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got status %d and type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			same(t, readAll(t, resp), tt.want)
		})
	}
}
