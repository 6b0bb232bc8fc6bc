package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/runestone-gateway/runestone/provider"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		base, path, raw, query string
		want                   string
	}{
		"a path":                       {"https://h/v1", "/v1/models", "", "", "https://h/v1/models"},
		"a base without a path":        {"https://h", "/v1/models", "", "", "https://h/models"},
		"both queries":                 {"https://h/v1?a=b", "/v1/models", "", "c=d", "https://h/v1/models?a=b&c=d"},
		"an escaped slash":             {"https://h/v1", "/v1/models/a/b", "/v1/models/a%2Fb", "", "https://h/v1/models/a%2Fb"},
		"an escaped slash in the base": {"https://h/a%2Fb", "/v1/models", "", "", "https://h/a%2Fb/models"},
		"a host with a port":           {"http://[::1]:80/", "/v1/x", "", "", "http://[::1]:80/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, err := ParseURL("base_url", test.base, "")
			if err != nil {
				t.Fatal(err)
			}
			before := *base
			if got := Join(base, &provider.Request{Path: test.path, RawPath: test.raw, Query: test.query}).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if *base != before {
				t.Error("the base has changed")
			}
		})
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "h", "h:80", "ftp://h", "http://", "http:///x", "https://u:secret@h", "https://secret@h:x", "https://h/#secret", "http://h/%zz"} {
		_, err := ParseURL("base_url", raw, "https://example.com")
		if err == nil || !strings.HasPrefix(err.Error(), "base_url must ") {
			t.Errorf("%q: got %v", raw, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestHeadersGoInTheirOrder(t *testing.T) {
	t.Parallel()
	o := Options{Headers: map[string]string{"x-mine": "configured", "Accept": "text/plain"}}
	if err := o.Load("https://h/v1"); err != nil {
		t.Fatal(err)
	}
	r := &provider.Request{Method: http.MethodPost, Path: "/v1/x", Body: provider.NewBody([]byte("{}"), nil), Header: http.Header{
		"Accept": {"*/*"}, "X-Named": {"a", "b"}, "X-Other": {"no"}, "Authorization": {"no"}, "X-Mine": {"the client's"},
	}}
	header := o.Header(r, "X-Named")
	header["X-Mine"] = []string{"the adapter's"}
	req := o.Request(t.Context(), r, provider.Target{}, Join(o.Base(), r), header, nil)
	defer req.Body.Close()
	want := http.Header{
		"Accept": {"text/plain"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/json"}, "User-Agent": {"runestone"},
		"X-Mine": {"configured"}, "X-Named": {"a", "b"},
	}
	for name, values := range want {
		if !slices.Equal(req.Header[name], values) {
			t.Errorf("%s is %q, want %q", name, req.Header[name], values)
		}
	}
	if len(req.Header) != len(want) {
		t.Errorf("got %q", req.Header)
	}
}

func TestContentTypeIsTheClients(t *testing.T) {
	t.Parallel()
	var o Options
	body := provider.NewBody([]byte("{}"), nil)
	for name, test := range map[string]struct {
		r    provider.Request
		want []string
	}{
		"given":          {provider.Request{Body: body, Header: http.Header{"Content-Type": {"text/x"}}}, []string{"text/x"}},
		"not given":      {provider.Request{Body: body}, []string{"application/json"}},
		"without a body": {provider.Request{}, nil},
		"of an upload":   {provider.Request{Body: body, Upload: strings.NewReader("")}, nil},
	} {
		if got := o.Header(&test.r)["Content-Type"]; !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestUnmarshalKnowsItsOptionsOnly(t *testing.T) {
	t.Parallel()
	type values struct {
		word, choice, url string
		on                *bool
	}
	unmarshal := func(block string, v *values) error {
		return Unmarshal(caddyfile.NewTestDispenser(block), "an x", map[string]Option{
			"word": Text(&v.word, "a word"), "choice": OneOf(&v.choice, "a", "b"), "switch": Switch(&v.on), "url": URLOption(&v.url, "https://h"),
		})
	}
	var v values
	if err := unmarshal("x {\n\tword one\n\tchoice b\n\tswitch off\n\turl {env.NONE}\n}", &v); err != nil || v.word != "one" || v.choice != "b" || v.on == nil || *v.on {
		t.Errorf("got %+v and %v", v, err)
	}
	for block, want := range map[string]string{
		"x y":                             "unexpected 'y': the options of x go in a block { }",
		"x {\n\tword {\n\t}\n}":           "word needs a word",
		"x {\n\tother\n}":                 "unknown option 'other' of an x: it knows choice, switch, url and word",
		"x {\n\tword two\n\tword two\n}":  "word is given twice: remove one",
		"x {\n\tswitch on\n\tswitch b\n}": "switch is given twice: remove one",
		"x {\n\tswitch b\n}":              "switch is on or off, not 'b'",
		"x {\n\tchoice c\n}":              "choice is a or b, not 'c'",
		"x {\n\turl h\n}":                 "url must be an http:// or https:// URL such as https://h",
		"x {\n\turl \"\"\n}":              "url has an empty value",
	} {
		if err := unmarshal(block, new(values)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", block, err, want)
		}
	}
}
