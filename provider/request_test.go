package provider

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
)

func TestEditsAreInTheOrderOfTheBody(t *testing.T) {
	t.Parallel()
	model := Span{Start: 10, End: 15}
	ask := func(start, end int) Edit { return edit(start, end, `{"include_usage":true}`) }
	for name, test := range map[string]struct {
		request Request
		target  string
		usage   bool
		want    []Edit
	}{
		"nothing to change":            {Request{Model: "m", ModelSpan: model}, "", false, []Edit{}},
		"another name":                 {Request{Model: "m", ModelSpan: model}, "gpt", false, []Edit{edit(10, 15, `"gpt"`)}},
		"the same name":                {Request{Model: "m", ModelSpan: model}, "m", false, []Edit{}},
		"a name to quote":              {Request{Model: "m", ModelSpan: model}, "a\"\\\n", false, []Edit{edit(10, 15, `"a\"\\\n"`)}},
		"no name in the body":          {Request{}, "gpt", false, []Edit{}},
		"usage only":                   {Request{Model: "m", ModelSpan: model, AskUsage: ask(15, 15)}, "m", true, []Edit{ask(15, 15)}},
		"usage that is not asked":      {Request{Model: "m", ModelSpan: model, AskUsage: ask(15, 15)}, "gpt", false, []Edit{edit(10, 15, `"gpt"`)}},
		"usage just after the model":   {Request{Model: "m", ModelSpan: model, AskUsage: ask(15, 15)}, "gpt", true, []Edit{edit(10, 15, `"gpt"`), ask(15, 15)}},
		"usage further behind":         {Request{Model: "m", ModelSpan: model, AskUsage: ask(40, 44)}, "gpt", true, []Edit{edit(10, 15, `"gpt"`), ask(40, 44)}},
		"usage before the model":       {Request{Model: "m", ModelSpan: model, AskUsage: ask(2, 4)}, "gpt", true, []Edit{ask(2, 4), edit(10, 15, `"gpt"`)}},
		"usage first, and no new name": {Request{Model: "m", ModelSpan: model, AskUsage: ask(2, 4)}, "", true, []Edit{ask(2, 4)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.request.Edits(Target{Model: test.target}, test.usage); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// What the dialect finds and what the body makes of it fit together.
func TestEditsOfScannedBodies(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"model":"m","stream":true}`:                                       `{"model":"a/b","stream_options":{"include_usage":true},"stream":true}`,
		`{"stream_options":{"x":1},"model":"m"}`:                            `{"stream_options":{"include_usage":true,"x":1},"model":"a/b"}`,
		`{"stream_options":null,"n":1, "model" : "m" }`:                     `{"stream_options":{"include_usage":true},"n":1, "model" : "a/b" }`,
		`{"model":"\u006d","stream_options":{"include_usage":false},"n":1}`: `{"model":"a/b","stream_options":{"include_usage":true},"n":1}`,
	} {
		scan, err := dialect.ScanOpenAI([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		at, text := dialect.AskForUsage([]byte(body), scan.ModelSpan, scan.StreamOptions)
		r := Request{
			Model: scan.Model, ModelSpan: scan.ModelSpan,
			AskUsage: Edit{Span: at, New: text}, Body: NewBody([]byte(body), nil),
		}
		s := r.Body.Splice(r.Edits(Target{Model: "a/b"}, true)...)
		var got []byte
		for _, part := range s.Buffers() {
			got = append(got, part...)
		}
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
		_ = s.Close()
	}
}

func TestCopyHeadersCopiesTheNamedOnly(t *testing.T) {
	t.Parallel()
	src := http.Header{"Accept": {"a", "b"}, "Authorization": {"Bearer secret"}, "Cookie": {"c"}, "X-Empty": {}}
	dst := http.Header{"Accept": {"old"}, "Other": {"kept"}}
	CopyHeaders(dst, src, "Accept", "Content-Type", "X-Empty")
	want := http.Header{"Accept": {"a", "b"}, "Other": {"kept"}, "X-Empty": {}}
	if !reflect.DeepEqual(dst, want) {
		t.Errorf("got %v, want %v", dst, want)
	}
}

func TestSpanIsZeroWhenItMarksNothing(t *testing.T) {
	t.Parallel()
	for span, want := range map[Span]bool{{}: true, {Start: 0, End: 1}: false, {Start: 5, End: 5}: false} {
		if span.IsZero() != want {
			t.Errorf("%v: got %t", span, !want)
		}
	}
}
