package dialect

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

func embeddings(t testing.TB, body string) *Translation {
	t.Helper()
	got, err := Translate(Embeddings, GeminiEmbed, []byte(body), &Target{Model: "gemini-embedding-001", Shown: "shown"})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return got
}

func TestEmbeddingsToGemini(t *testing.T) {
	t.Parallel()
	request := func(text, more string) string {
		return `{"model":"models/gemini-embedding-001","content":{"parts":[{"text":` + text + `}]}` + more + `}`
	}
	for _, test := range []struct{ body, want, adjusted string }{
		{`"input":"h\u0069"`, request(`"h\u0069"`, ``), ""},
		{`"input":["a","b"],"dimensions":256,"encoding_format":"float"`, request(`"a"`, `,"outputDimensionality":256`) + `,` + request(`"b"`, `,"outputDimensionality":256`), ""},
		{`"input":["a"],"dimensions":null,"encoding_format":null,"user":"u","x":null`, request(`"a"`, ``), "user"},
	} {
		got := embeddings(t, `{"model":"m",`+test.body+`}`)
		if want := `{"requests":[` + test.want + `]}`; string(got.Body) != want || strings.Join(got.Adjusted, ",") != test.adjusted || got.Stream || !got.ModelSpan.IsZero() {
			t.Errorf("%s: got %s and %q, want %s", test.body, got.Body, got.Adjusted, want)
		}
	}
	embeddings(t, `{"input":[`+strings.TrimSuffix(strings.Repeat(`"a",`, maxEmbeddings), ",")+`]}`)
}

func TestEmbeddingsThatGeminiCannotMake(t *testing.T) {
	t.Parallel()
	for body, param := range map[string]string{
		`"input":[1,2,3]`:                           "input[0]",
		`"input":[[1,2],[3]]`:                       "input[0]",
		`"input":["a",7]`:                           "input[1]",
		`"input":["a",""]`:                          "input[1]",
		`"input":""`:                                "input",
		`"input":[]`:                                "input",
		`"input":null`:                              "input",
		`"input":{"a":1}`:                           "input",
		`"user":"u"`:                                "input",
		`"input":"a","dimensions":1.5`:              "dimensions",
		`"input":"a","encoding_format":"int8"`:      "encoding_format",
		`"input":"a","encoding_format":7`:           "encoding_format",
		`"input":[` + many(101, `"a%d"`) + `]`:      "input",
		`"input":["a"],"dimensions":"256","user":1`: "dimensions",
	} {
		_, err := Translate(Embeddings, GeminiEmbed, []byte(`{"model":"m",`+body+`}`), &Target{Model: "m"})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != http.StatusBadRequest || told.Param != param {
			t.Errorf("%s: got %+v, want an error of %s", body, err, param)
		}
	}
}

func TestGeminisEmbeddings(t *testing.T) {
	t.Parallel()
	const answer = `{
  "embeddings": [
    {"values": [ -0.022374554, 1,
      2.5e-3 ]},
    {"statistics": {}, "values": []}
  ], "usageMetadata": {"promptTokenCount": 9}
}
`
	const usage = `],"model":"shown","usage":{"prompt_tokens":9,"total_tokens":9}}`
	for format, want := range map[string]string{
		"float":  `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.022374554,1,2.5e-3]},{"object":"embedding","index":1,"embedding":[]}` + usage,
		"base64": `{"object":"list","data":[{"object":"embedding","index":0,"embedding":"10q3vAAAgD8K1yM7"},{"object":"embedding","index":1,"embedding":""}` + usage,
	} {
		answers := embeddings(t, `{"input":["a","b"],"encoding_format":"`+format+`"}`).Answers
		got, err := answers.Whole([]byte("x"), []byte(answer))
		if err != nil || string(got) != "x"+want {
			t.Errorf("%s: got %s and %v, want %s", format, got, err, want)
		}
		if answers.Usage() != (Usage{Input: 9}) || answers.Done() {
			t.Errorf("the usage is %+v", answers.Usage())
		}
	}
}

func TestGeminisEmbeddingsThatAreErrors(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		`{"error":{"code":429,"message":"Quota."}}`:        429,
		`[{"error":{"code":503,"message":"Overloaded."}}]`: 503,
		`{"embeddings":[]}`:                                502,
		`{"embeddings":[{"values":[1]},{"values":[1]}]}`:   502,
		`{"embeddings":[{"values":["1"]}]}`:                502,
		`{"embeddings":[{"values":[null]}]}`:               502,
		`{"embeddings":[{}]}`:                              502,
		`{"embeddings":[7]}`:                               502,
		`{"embeddings":7}`:                                 502,
		`{"embeddings":[{"values":[1`:                      502,
		`{}`:                                               502,
		`null`:                                             502,
		``:                                                 502,
		`{"embeddings":[{"values":[1]}],"usageMetadata":{"prompt"`:  502,
		`{"embeddings":[{"values":[1]}],"error":{"message":"Odd"}}`: 502,
	} {
		got, err := embeddings(t, `{"input":"a"}`).Answers.Whole([]byte("x"), []byte(body))
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != status || string(got) != "x" {
			t.Errorf("%s: got %s and %+v, want status %d", body, got, err, status)
		}
	}
	answers := embeddings(t, `{"input":"a"}`).Answers
	if _, err := answers.Event(nil, sse.Event{Data: []byte(`{"embeddings":[]}`)}); err == nil {
		t.Error("embeddings are streamed")
	}
	if _, err := answers.End(nil); err == nil {
		t.Error("a stream of embeddings ends well")
	}
}
