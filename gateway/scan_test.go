package gateway

import (
	"net/http"
	"testing"

	"github.com/runestone-gateway/runestone/provider"
)

// TestStoredRequestsAreReadAlike: what routing needs of a request is the same before it is queued and after.
func TestStoredRequestsAreReadAlike(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path, body string
		code       string // of the error, if it is one
	}{
		"a chat":                      {"/v1/chat/completions", `{"messages":[],"model":"smart"}`, ""},
		"a stream":                    {"/v1/chat/completions", `{"model":"smart","stream":true,"messages":[]}`, ""},
		"a stream with its usage":     {"/v1/chat/completions", `{"model":"smart","stream":true,"stream_options":{"include_usage":true}}`, ""},
		"one that needs a lot":        {"/v1/chat/completions", `{"model":"m","tools":[{}],"response_format":{"type":"json_schema"},"max_tokens":10}`, ""},
		"a response without a model":  {"/v1/responses", `{"prompt":{"id":"p"}}`, ""},
		"an embedding":                {"/v1/embeddings", `{"model":"e","input":"x"}`, ""},
		"another call":                {"/v1/images/generations", `{"model":"i","prompt":"x"}`, ""},
		"another call that is broken": {"/v1/moderations", `{"input":`, ""},
		"a chat without a model":      {"/v1/chat/completions", `{"messages":[]}`, "missing_required_parameter"},
		"a chat that is broken":       {"/v1/chat/completions", `{"model":`, "invalid_json"},
		"two models":                  {"/v1/moderations", `{"model":"a","model":"b"}`, "duplicate_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &provider.Request{
				Method: http.MethodPost, Path: test.path, RawPath: test.path, Query: "a=1",
				Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer sk-secret"}, "Cookie": {"secret"}},
				Body:   provider.NewBody([]byte(test.body), nil),
			}
			told := Scan(APIOf(r.Path), r)
			if told != nil || test.code != "" {
				if told == nil || told.Code != test.code {
					t.Fatalf("error %+v, want the code %q", told, test.code)
				}
				return
			}
			again, told := restored(Stored(r))
			if told != nil {
				t.Fatalf("it is an error later: %+v", told)
			}
			if again.Method != r.Method || again.Path != r.Path || again.RawPath != r.RawPath || again.Query != r.Query || string(again.Body.Bytes()) != test.body {
				t.Errorf("%+v became %+v", r, again)
			}
			if again.Model != r.Model || again.ModelSpan != r.ModelSpan || again.Stream != r.Stream || again.Needs != r.Needs ||
				again.AskUsage.Span != r.AskUsage.Span || again.AskUsage.New != r.AskUsage.New {
				t.Errorf("%+v is read as %+v", r, again)
			}
			if len(again.Header) != 1 || again.Header.Get("Content-Type") != "application/json" {
				t.Errorf("the headers are %v", again.Header)
			}
		})
	}
}
