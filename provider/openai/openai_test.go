package openai

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/provider"
)

// load has Caddy load and provision a provider from its JSON configuration.
func load(t testing.TB, config string) (*Provider, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("runestone.providers.openai", json.RawMessage(config))
	if err != nil {
		return nil, err
	}
	return module.(*Provider), nil
}

func mustLoad(t testing.TB, config string) *Provider {
	t.Helper()
	p, err := load(t, config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ask builds the upstream call for r.
func ask(t testing.TB, p *Provider, r *provider.Request, target provider.Target) *http.Request {
	t.Helper()
	req, err := p.NewRequest(t.Context(), r, target)
	if err != nil {
		t.Fatal(err)
	}
	if req.Body != nil {
		t.Cleanup(func() { _ = req.Body.Close() })
	}
	return req
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		base           string // "" for the default
		path, raw, qry string // path defaults to chat's
		want           string
	}{
		"the default":                  {"", "", "", "", "https://api.openai.com/v1/chat/completions"},
		"a base":                       {"http://localhost:11434/v1", "", "", "", "http://localhost:11434/v1/chat/completions"},
		"a base that ends in a slash":  {"http://localhost:11434/v1/", "", "", "", "http://localhost:11434/v1/chat/completions"},
		"a base without a path":        {"https://api.deepseek.com", "", "", "", "https://api.deepseek.com/chat/completions"},
		"a base with a longer path":    {"https://api.groq.com/openai/v1", "/v1/models", "", "", "https://api.groq.com/openai/v1/models"},
		"a base with another version":  {"https://h/v1beta/openai/", "", "", "", "https://h/v1beta/openai/chat/completions"},
		"a base on IPv6":               {"http://[::1]:8080/v1", "", "", "", "http://[::1]:8080/v1/chat/completions"},
		"a query":                      {"", "/v1/files", "", "limit=2&after=a%26b", "https://api.openai.com/v1/files?limit=2&after=a%26b"},
		"a base with a query":          {"https://h/openai/v1?api-version=preview", "", "", "", "https://h/openai/v1/chat/completions?api-version=preview"},
		"both with a query":            {"https://h/v1?api-version=1", "", "", "a=b", "https://h/v1/chat/completions?api-version=1&a=b"},
		"a slash in escapes":           {"", "/v1/models/org/name", "/v1/models/org%2Fname", "", "https://api.openai.com/v1/models/org%2Fname"},
		"an escaped slash over a base": {"http://h/a%2Fb/v1", "/v1/models/org/name", "/v1/models/org%2Fname", "", "http://h/a%2Fb/v1/models/org%2Fname"},
		"an escaped slash in a base":   {"http://h/a%2Fb/v1/", "", "", "", "http://h/a%2Fb/v1/chat/completions"},
		"a slash before a query":       {"http://h/v1/?k=v", "", "", "a=b", "http://h/v1/chat/completions?k=v&a=b"},
		"the version in escapes":       {"http://h/api", "/v1/x/y", "/%761/x%2Fy", "", "http://h/api/x/y"}, // an encoding that does not fit the path is not used
		"a version further on":         {"", "/v1/files/v1", "", "", "https://api.openai.com/v1/files/v1"},
		"what must be escaped":         {"", "/v1/models/a b?c#d", "", "", "https://api.openai.com/v1/models/a%20b%3Fc%23d"},
		"a slash at the end":           {"", "/v1/models/", "", "", "https://api.openai.com/v1/models/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustLoad(t, `{"base_url":"`+test.base+`"}`)
			if test.path == "" {
				test.path = "/v1/chat/completions"
			}
			req := ask(t, p, &provider.Request{Method: http.MethodGet, Path: test.path, RawPath: test.raw, Query: test.qry}, provider.Target{})
			if got := req.URL.String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if req.Host != req.URL.Host || req.Method != http.MethodGet || req.Body != nil || req.ContentLength != 0 {
				t.Errorf("got %+v", req)
			}
			if _, err := http.NewRequest(req.Method, req.URL.String(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnlyWhatIsKnownToBeHarmlessTravels(t *testing.T) {
	t.Parallel()
	client := http.Header{}
	travels := []string{"Accept", "Content-Type", "Openai-Beta", "Traceparent", "Tracestate", "Content-Encoding"}
	for _, name := range travels {
		client.Set(name, "client's "+name)
	}
	client["Openai-Beta"] = []string{"assistants=v2", "realtime=v1"}
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie", "Accept-Encoding", "User-Agent",
		"Host", "Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect", "Forwarded",
		"X-Forwarded-For", "X-Real-Ip", "Origin", "Referer", "Openai-Organization", "Openai-Project", "X-Request-Id",
		"X-Stainless-Lang", "Idempotency-Key", "Runestone-Anything",
	} {
		client.Set(name, "client's "+name)
	}
	before := client.Clone()
	p := mustLoad(t, `{}`)
	got := ask(t, p, &provider.Request{Method: http.MethodPost, Path: "/v1/x", Header: client}, provider.Target{}).Header

	want := http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"runestone"}}
	for _, name := range travels {
		want[name] = before[name]
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("got %q, want %q", names, slices.Sorted(maps.Keys(want)))
	}
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			t.Errorf("%s is %q, want %q", name, got[name], values)
		}
	}
	got.Set("Accept", "changed")
	got.Add("Openai-Beta", "changed")
	if !maps.EqualFunc(client, before, slices.Equal) {
		t.Error("the client's headers have changed")
	}
}

func TestCredentialAndConfiguredHeaders(t *testing.T) {
	t.Parallel()
	client := http.Header{"Authorization": {"Bearer client"}, "Accept": {"*/*"}, "Openai-Beta": {"client"}}
	for name, test := range map[string]struct {
		config, credential string
		want               map[string]string // "" for none
	}{
		"no credential":       {`{}`, "", map[string]string{"Authorization": ""}},
		"a credential":        {`{}`, "sk-1", map[string]string{"Authorization": "Bearer sk-1"}},
		"a header":            {`{"headers":{"OpenAI-Organization":"org"}}`, "sk-1", map[string]string{"Openai-Organization": "org", "Authorization": "Bearer sk-1"}},
		"over the client's":   {`{"headers":{"openai-beta":"mine","Accept":"text/plain"}}`, "", map[string]string{"Openai-Beta": "mine", "Accept": "text/plain"}},
		"over the credential": {`{"headers":{"Authorization":"Key k"}}`, "sk-1", map[string]string{"Authorization": "Key k"}},
		"over the gateway's":  {`{"headers":{"User-Agent":"me","Accept-Encoding":"gzip"}}`, "", map[string]string{"User-Agent": "me", "Accept-Encoding": "gzip"}},
		"from a placeholder":  {`{"headers":{"X-A":"{env.RUNESTONE_TEST_NOT_SET}b"}}`, "", nil},
		"one with a comma":    {`{"headers":{"X-Title":"a, b"}}`, "", map[string]string{"X-Title": "a, b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := load(t, test.config)
			if test.want == nil {
				if err == nil {
					t.Error("a placeholder without a value is accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			req := ask(t, p, &provider.Request{Method: http.MethodPost, Path: "/v1/x", Header: client}, provider.Target{Credential: test.credential})
			for name, value := range test.want {
				var values []string
				if value != "" {
					values = []string{value}
				}
				if !slices.Equal(req.Header[name], values) {
					t.Errorf("%s is %q, want %q", name, req.Header[name], values)
				}
			}
		})
	}
}

func TestPlaceholdersAreResolvedAtLoad(t *testing.T) {
	t.Setenv("RUNESTONE_TEST_HOST", "example.com")
	p := mustLoad(t, `{"base_url":"https://{env.RUNESTONE_TEST_HOST}/v1","headers":{"X-Host":"at {env.RUNESTONE_TEST_HOST}"}}`)
	t.Setenv("RUNESTONE_TEST_HOST", "other.example")
	req := ask(t, p, &provider.Request{Method: http.MethodGet, Path: "/v1/models"}, provider.Target{})
	if req.URL.Host != "example.com" || req.Header.Get("X-Host") != "at example.com" {
		t.Errorf("got %s with %q", req.URL, req.Header)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ config, want string }{
		"another scheme":           {`{"base_url":"ftp://h/v1"}`, "base_url must be an http:// or https:// URL"},
		"no scheme":                {`{"base_url":"api.openai.com/v1"}`, "base_url must be"},
		"no host":                  {`{"base_url":"http:///v1"}`, "base_url must be"},
		"only a scheme":            {`{"base_url":"https:"}`, "base_url must be"},
		"a bad escape":             {`{"base_url":"http://h/%zz"}`, "base_url must be"},
		"a bad port":               {`{"base_url":"http://h:port/v1"}`, "base_url must be"},
		"a password":               {`{"base_url":"https://u:secret@h/v1"}`, "neither credentials nor a fragment"},
		"a password and no port":   {`{"base_url":"https://u:secret@h:port/v1"}`, "neither credentials nor a fragment"},
		"a password and no scheme": {`{"base_url":"htp://u:secret@h/v1"}`, "neither credentials nor a fragment"},
		"a fragment":               {`{"base_url":"https://h/v1#a"}`, "neither credentials nor a fragment"},
		"an unknown placeholder":   {`{"base_url":"https://{no.such}/v1"}`, "base_url: "},
		"a placeholder left empty": {`{"base_url":"{env.RUNESTONE_TEST_NOT_SET}"}`, "base_url: "},
		"a line end in a header":   {`{"headers":{"X-A":"a\r\nX-B: b"}}`, "header X-A: its value has a line end"},
		"a NUL in a header":        {`{"headers":{"X-A":"a\u0000"}}`, "header X-A"},
		"a control in a header":    {`{"headers":{"X-A":"a\u0001"}}`, "header X-A"},
		"a space in a name":        {`{"headers":{"X Y":"v"}}`, `"X Y" cannot be set`},
		"a line end in a name":     {`{"headers":{"X\r\nY":"v"}}`, `"X\r\nY" cannot be set`},
		"a header without a name":  {`{"headers":{"":"v"}}`, `"" cannot be set`},
		"another host":             {`{"headers":{"host":"h"}}`, `"host" cannot be set`},
		"another length":           {`{"headers":{"Content-Length":"1"}}`, `"Content-Length" cannot be set`},
		"a header in two cases":    {`{"headers":{"X-A":"1","x-a":"2"}}`, "header X-A is given twice"},
		"an unknown member":        {`{"base":"http://h"}`, `unknown field "base"`},
		"a word for stream_usage":  {`{"stream_usage":"off"}`, "stream_usage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestEnvKeyIsForOpenAIsOwnServerOnly(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{}`:                          "OPENAI_API_KEY",
		`{"base_url":"http://h/v1"}`:  "",
		`{"headers":{"X-Title":"a"}}`: "OPENAI_API_KEY",
	} {
		if got := mustLoad(t, config).EnvKey(); got != want {
			t.Errorf("%s: got %q, want %q", config, got, want)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const body = `{"stream":true,"model":"smart","messages":[{"role":"user","content":"smart\u0021"}]}`
	at := strings.Index(body, `"smart"`)
	model := provider.Span{Start: at, End: at + len(`"smart"`)}
	usage := provider.Edit{Span: provider.Span{Start: model.End, End: model.End}, New: `,"stream_options":{"include_usage":true}`}
	for name, test := range map[string]struct {
		config, target string
		usage          provider.Edit
		want           string
		adds           bool
	}{
		"nothing to change":         {`{}`, "", provider.Edit{}, body, false},
		"another model":             {`{}`, "gpt-4o", provider.Edit{}, strings.Replace(body, `"smart"`, `"gpt-4o"`, 1), false},
		"usage":                     {`{}`, "", usage, strings.Replace(body, `"smart"`, `"smart"`+usage.New, 1), true},
		"usage and another model":   {`{}`, "gpt-4o", usage, strings.Replace(body, `"smart"`, `"gpt-4o"`+usage.New, 1), true},
		"stream_usage on":           {`{"stream_usage":true}`, "", usage, strings.Replace(body, `"smart"`, `"smart"`+usage.New, 1), true},
		"stream_usage off":          {`{"stream_usage":false}`, "gpt-4o", usage, strings.Replace(body, `"smart"`, `"gpt-4o"`, 1), false},
		"the name that it has":      {`{}`, "smart", provider.Edit{}, body, false},
		"a name that wants quoting": {`{}`, `a"b`, provider.Edit{}, strings.Replace(body, `"smart"`, `"a\"b"`, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			freed := 0
			p := mustLoad(t, test.config)
			r := &provider.Request{
				Method: http.MethodPost, Path: "/v1/chat/completions", Model: "smart", Stream: true, ModelSpan: model,
				AskUsage: test.usage, Body: provider.NewBody([]byte(body), func([]byte) { freed++ }),
			}
			req := ask(t, p, r, provider.Target{Model: test.target})
			r.Body.Release()
			got, err := io.ReadAll(req.Body)
			if err != nil || string(got) != test.want || req.ContentLength != int64(len(test.want)) {
				t.Errorf("got %s of %d bytes and %v, want %s", got, req.ContentLength, err, test.want)
			}
			if p.AddsUsage(r) != test.adds {
				t.Errorf("AddsUsage is %t", !test.adds)
			}
			if _ = req.Body.Close(); freed != 1 {
				t.Errorf("the body was freed %d times", freed)
			}
		})
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	p := mustLoad(t, `{}`)
	r := &provider.Request{
		Method: http.MethodPost, Path: "/v1/audio/transcriptions", Model: "smart", ModelSpan: provider.Span{Start: 2, End: 7},
		Body: provider.NewBody([]byte("--smart--"), nil), Upload: strings.NewReader("file"), UploadLength: 4,
	}
	req := ask(t, p, r, provider.Target{Model: "whisper-1"})
	if got, err := io.ReadAll(req.Body); err != nil || string(got) != "--whisper-1--file" || req.ContentLength != int64(len(got)) {
		t.Errorf("got %q of %d bytes and %v", got, req.ContentLength, err)
	}
	r.UploadLength, r.Upload, r.Body = -1, strings.NewReader("file"), nil
	if req = ask(t, p, r, provider.Target{}); req.ContentLength != -1 {
		t.Errorf("got %d bytes, want it unknown", req.ContentLength)
	}
}
