package gateway

import (
	"maps"
	"net/http"
	"slices"
	"testing"
)

func TestWithBetas(t *testing.T) {
	t.Parallel()
	const other = "Content-Type"
	for name, test := range map[string]struct {
		client, betas []string
		want          []string
	}{
		"none":                               {nil, nil, nil},
		"the client's":                       {[]string{"a", "b"}, nil, []string{"a", "b"}},
		"one that is needed":                 {nil, []string{"x"}, []string{"x"}},
		"besides the client's":               {[]string{"a, b", "c"}, []string{"x", "y"}, []string{"a, b,c,x,y"}},
		"that the client asks for as well":   {[]string{"a, x"}, []string{"x"}, []string{"a, x"}},
		"of which one begins like another's": {[]string{"x-2"}, []string{"x"}, []string{"x-2,x"}},
	} {
		header := http.Header{other: {"j"}}
		if test.client != nil {
			header["Anthropic-Beta"] = test.client
		}
		before := maps.Clone(header)
		got := withBetas(header, test.betas)
		if !slices.Equal(got["Anthropic-Beta"], test.want) || got.Get(other) != "j" {
			t.Errorf("%s: %q", name, got)
		}
		if !maps.EqualFunc(header, before, slices.Equal) {
			t.Errorf("%s: the client's header has become %q", name, header)
		}
	}
	if got := withBetas(nil, []string{"x"}); got.Get("Anthropic-Beta") != "x" {
		t.Errorf("without a header: %q", got)
	}
}
