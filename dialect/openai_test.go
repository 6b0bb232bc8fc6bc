package dialect

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestScanOpenAIReadsWhatTheGatewayActsOn(t *testing.T) {
	t.Parallel()
	type want struct {
		model, modelText string // as read, as written
		stream, usage    bool
		options          string // as written
	}
	for name, test := range map[string]struct {
		body string
		want want
	}{
		"nothing of it":              {`{"messages":[]}`, want{}},
		"a model":                    {`{"model":"gpt-4o"}`, want{model: "gpt-4o", modelText: `"gpt-4o"`}},
		"space round a model":        {"{ \"model\" :\n \"m\" }", want{model: "m", modelText: `"m"`}},
		"a model in escapes":         {`{"model":"a\/b\u0020\"c\" \ud83d\ude00"}`, want{model: `a/b "c" 😀`, modelText: `"a\/b\u0020\"c\" \ud83d\ude00"`}},
		"a model above ASCII":        {`{"model":"modèle"}`, want{model: "modèle", modelText: `"modèle"`}},
		"a key in escapes":           {`{"mod\u0065l":"m","\u0073tream":true}`, want{model: "m", modelText: `"m"`, stream: true}},
		"a model after the messages": {`{"messages":[{"model":"x","stream":true}],"model":"m"}`, want{model: "m", modelText: `"m"`}},
		"other cases only":           {`{"Model":"a","STREAM":true,"Stream_options":{"include_usage":true}}`, want{}}, // OpenAI's server does not know them
		"a nested model only":        {`{"metadata":{"model":"x"}}`, want{}},
		"a key that begins alike":    {`{"models":"x","streams":1,"model_":2,"stream_option":3,"mode":4}`, want{}},
		"stream":                     {`{"model":"m","stream":true}`, want{model: "m", modelText: `"m"`, stream: true}},
		"stream off":                 {`{"model":"m","stream":false}`, want{model: "m", modelText: `"m"`}},
		"stream null":                {`{"model":"m","stream":null}`, want{model: "m", modelText: `"m"`}},
		"options null":               {`{"stream_options":null}`, want{options: `null`}},
		"options empty":              {`{"stream_options":{ }}`, want{options: `{ }`}},
		"options with usage":         {`{"stream_options":{"include_usage":true}}`, want{options: `{"include_usage":true}`, usage: true}},
		"options without usage":      {`{"stream_options":{"include_usage":false}}`, want{options: `{"include_usage":false}`}},
		"usage null":                 {`{"stream_options":{"include_usage":null}}`, want{options: `{"include_usage":null}`}},
		"usage in escapes":           {`{"stream_options":{"include\u005fusage":true}}`, want{options: `{"include\u005fusage":true}`, usage: true}},
		"options with others":        {`{"stream_options":{"include_obfuscation":false,"include_usage":true}}`, want{options: `{"include_obfuscation":false,"include_usage":true}`, usage: true}},
		"usage nested deeper":        {`{"stream_options":{"x":{"include_usage":true}}}`, want{options: `{"x":{"include_usage":true}}`}},
		"the longest model":          {`{"model":"` + strings.Repeat("m", MaxModelName) + `"}`, want{model: strings.Repeat("m", MaxModelName), modelText: `"` + strings.Repeat("m", MaxModelName) + `"`}},
		"the longest in escapes":     {`{"model":"` + strings.Repeat(`\u006d`, MaxModelName) + `"}`, want{model: strings.Repeat("m", MaxModelName), modelText: `"` + strings.Repeat(`\u006d`, MaxModelName) + `"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ScanOpenAI([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			got := want{
				r.Model, test.body[r.ModelSpan.Start:r.ModelSpan.End], r.Stream, r.IncludeUsage,
				test.body[r.StreamOptions.Start:r.StreamOptions.End],
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestScanOpenAIRefuses(t *testing.T) {
	t.Parallel()
	const duplicate, mistyped, value, syntax = "duplicate_parameter", "invalid_type", "invalid_value", "invalid_json"
	for name, test := range map[string]struct{ body, param, code string }{
		"two models":                       {`{"model":"a","model":"b"}`, "model", duplicate},
		"two equal models":                 {`{"model":"a","model":"a"}`, "model", duplicate},
		"a second model in escapes":        {`{"model":"a","mod\u0065l":"b"}`, "model", duplicate},
		"a first model in escapes":         {`{"mod\u0065l":"a","model":"b"}`, "model", duplicate},
		"a second model in another case":   {`{"model":"a","Model":"b"}`, "model", duplicate},
		"a first model in another case":    {`{"MODEL":"a","model":"b"}`, "model", duplicate},
		"two models, both in another case": {`{"Model":"a","MODEL":"b"}`, "model", duplicate},
		"another case in escapes":          {`{"model":"a","\u004dodel":"b"}`, "model", duplicate},
		"two streams":                      {`{"model":"a","stream":true,"stream":false}`, "stream", duplicate},
		"a second stream in a long s":      {`{"stream":true,"ſtream":false}`, "stream", duplicate}, // Go servers fold it
		"two stream options":               {`{"stream_options":null,"stream_options":{}}`, "stream_options", duplicate},
		"options in another case":          {`{"stream_options":{},"Stream_Options":{}}`, "stream_options", duplicate},
		"two wishes for usage":             {`{"stream_options":{"include_usage":true,"include_usage":false}}`, "stream_options.include_usage", duplicate},

		"a second wish in escapes": {`{"stream_options":{"include_usag\u0065":true,"include_usage":false}}`, "stream_options.include_usage", duplicate},

		"a model that is half a pair":        {`{"model":"\ud83d"}`, "model", value},
		"a model that is null":               {`{"model":null}`, "model", mistyped},
		"a model that is a number":           {`{"model":4}`, "model", mistyped},
		"a model that is an array":           {`{"model":["a"]}`, "model", mistyped},
		"a model that is an object":          {`{"model":{"id":"a"}}`, "model", mistyped},
		"an empty model":                     {`{"model":""}`, "model", value},
		"a model that is too long":           {`{"model":"` + strings.Repeat("m", MaxModelName+1) + `"}`, "model", value},
		"a model in bytes that are no UTF-8": {"{\"model\":\"a\xff\"}", "model", value},
		"the same beside an escape":          {"{\"model\":\"\\n\xc0\xaf\"}", "model", value},

		"a stream that is a string":  {`{"stream":"true"}`, "stream", mistyped},
		"a stream that is a number":  {`{"stream":1}`, "stream", mistyped},
		"a stream that is an object": {`{"stream":{}}`, "stream", mistyped},
		"options that are a string":  {`{"stream_options":"include_usage"}`, "stream_options", mistyped},
		"options that are true":      {`{"stream_options":true}`, "stream_options", mistyped},
		"options that are an array":  {`{"stream_options":[{"include_usage":true}]}`, "stream_options", mistyped},
		"usage that is a string":     {`{"stream_options":{"include_usage":"true"}}`, "stream_options.include_usage", mistyped},
		"usage that is a number":     {`{"stream_options":{"include_usage":1}}`, "stream_options.include_usage", mistyped},

		"nothing":                        {``, "", syntax},
		"an array":                       {`[{"model":"a"}]`, "", syntax},
		"bytes after the object":         {`{"model":"a"}]`, "", syntax},
		"a second object":                {`{"model":"a"}{"model":"b"}`, "", syntax},
		"the end too early":              {`{"model":"a","messages":[`, "", syntax},
		"a line end in the model":        {"{\"model\":\"a\nb\"}", "", syntax},
		"a NUL in a prompt":              {"{\"model\":\"a\",\"messages\":\"\x00\"}", "", syntax},
		"nesting too deep":               {`{"model":"a","x":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`, "", syntax},
		"an unknown escape in the model": {`{"model":"\a"}`, "", syntax},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ScanOpenAI([]byte(test.body))
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if bad.Param != test.param || bad.Code != test.code {
				t.Errorf("got %s of %q, want %s of %q: %s", bad.Code, bad.Param, test.code, test.param, bad)
			}
			if bad.Status != http.StatusBadRequest || bad.Type != "invalid_request_error" || !bad.Final || bad.Message == "" {
				t.Errorf("got %+v", bad)
			}
		})
	}
}

// What is refused for one member is refused although the rest is unread.
func TestScanOpenAINeverAcceptsWhatItHasNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"a\"b"}]}`
	for i := range len(body) {
		if _, err := ScanOpenAI([]byte(body[:i])); err == nil {
			t.Errorf("%s passed", body[:i])
		}
	}
}

func FuzzScanOpenAI(f *testing.F) {
	for _, s := range []string{
		`{"model":"m"}`, `{"model":"a","mod\u0065l":"b"}`, `{"Model":"a"}`, `{"model":"","stream":null}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":false,"x":[1]}}`, `{"ſtream":true,"model":"\ud800"}`,
		`{"model":"m","stream":true,"stream_options":null}`, `{"stream_options":{},"model":"m","stream":true}`, "{\"model\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ScanOpenAI(body)
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) || bad.Status != http.StatusBadRequest || !json.Valid(bad.AppendOpenAI(nil)) {
				t.Fatalf("%q: %#v", body, err)
			}
			return
		}
		if !isObject(body) {
			t.Fatalf("%q passed", body)
		}
		seen, named := map[string]string{}, map[string]bool{}
		all, _ := standardMembers(t, body)
		for _, m := range all {
			for _, name := range fields {
				if strings.EqualFold(m.key, name) {
					if named[name] {
						t.Fatalf("%q passed with two of %s", body, name)
					}
					if named[name] = true; m.key == name {
						seen[name] = m.value
					}
				}
			}
		}
		if got := string(body[r.ModelSpan.Start:r.ModelSpan.End]); got != seen["model"] {
			t.Errorf("%q: the span of the model has %q, want %q", body, got, seen["model"])
		}
		var model string
		if text := seen["model"]; text != "" && json.Unmarshal([]byte(text), &model) != nil {
			t.Errorf("%q passed with a model that is no string", body)
		}
		if r.Model != model || (model == "") != (r.ModelSpan == Span{}) || r.Stream != (seen["stream"] == "true") {
			t.Errorf("%q: got %+v", body, r)
		}
		if got := string(body[r.StreamOptions.Start:r.StreamOptions.End]); got != seen["stream_options"] {
			t.Errorf("%q: the span of the options has %q, want %q", body, got, seen["stream_options"])
		}
		// Options in another case only are nobody's, and stay beside the ones that are added.
		if strange := named["stream_options"] && seen["stream_options"] == ""; r.Model != "" && !r.IncludeUsage && !strange {
			checkAskForUsage(t, body, r)
		}
	})
}
