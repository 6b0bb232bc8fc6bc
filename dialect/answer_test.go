package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"
)

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data      string
		usage     *Usage // nil when there is none
		usageOnly bool
		models    []string // as written
	}{
		"chat": {
			data: `{"id":"c","object":"chat.completion","model":"gpt-4o","choices":[{"message":{"content":"hi"}}],
				"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,
				"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":7}}}`,
			usage: &Usage{Input: 10, CachedInput: 4, Output: 20, Reasoning: 7}, models: []string{`"gpt-4o"`},
		},
		"completions": {
			data:  `{"model":"davinci","choices":[{"text":"hi"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
			usage: &Usage{Input: 1, Output: 2}, models: []string{`"davinci"`},
		},
		"embeddings": {
			data:  `{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"ada","usage":{"prompt_tokens":8,"total_tokens":8}}`,
			usage: &Usage{Input: 8}, models: []string{`"ada"`},
		},
		"a response": {
			data: `{"id":"resp_1","model":"o3","output":[],"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":3},
				"output_tokens":6,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":11}}`,
			usage: &Usage{Input: 5, CachedInput: 3, Output: 6, Reasoning: 2}, models: []string{`"o3"`},
		},
		"an event that ends a response": {
			data:  `{"type":"response.completed","sequence_number":9,"response":{"model":"o3","usage":{"input_tokens":5,"output_tokens":6}}}`,
			usage: &Usage{Input: 5, Output: 6}, models: []string{`"o3"`},
		},
		"an event that begins a response": {
			data: `{"type":"response.created","response":{"id":"resp_1","model":"o3","usage":null}}`, models: []string{`"o3"`},
		},
		"an event between": {data: `{"type":"response.output_text.delta","delta":"\"usage\":{\"input_tokens\":9}"}`},
		"a chunk":          {data: `{"model":"m","choices":[{"delta":{"content":"hi"}}]}`, models: []string{`"m"`}},
		"a chunk with usage null": {
			data: `{"model":"m","choices":[{"delta":{}}],"usage":null}`, models: []string{`"m"`},
		},
		"the chunk of usage": {
			data:  `{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
			usage: &Usage{Input: 1, Output: 2}, usageOnly: true, models: []string{`"m"`},
		},
		"the chunk of usage with null": {
			data:  `{"choices":null,"usage":{"prompt_tokens":1}}`,
			usage: &Usage{Input: 1}, usageOnly: true,
		},
		"the chunk of usage with space": {
			data:  "{ \"choices\" : [ \n ] , \"usage\" : { } }",
			usage: &Usage{}, usageOnly: true,
		},
		"a last chunk with usage of its own": {
			data:  `{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`,
			usage: &Usage{Input: 1},
		},
		"usage without choices": {data: `{"usage":{"prompt_tokens":1}}`, usage: &Usage{Input: 1}},
		"Azure's first chunk":   {data: `{"choices":[],"model":"","prompt_filter_results":[]}`, models: []string{`""`}},
		"details that are null": {
			data:  `{"usage":{"prompt_tokens":1,"completion_tokens":null,"prompt_tokens_details":null,"completion_tokens_details":null}}`,
			usage: &Usage{Input: 1},
		},
		"usage under both names": { // the same tokens, for whoever reads either
			data: `{"usage":{"prompt_tokens":5,"input_tokens":5,"completion_tokens":7,"output_tokens":7,
				"prompt_tokens_details":{"cached_tokens":2},"input_tokens_details":{"cached_tokens":2}}}`,
			usage: &Usage{Input: 5, CachedInput: 2, Output: 7},
		},
		"usage below nothing": { // counters cannot go back
			data: `{"usage":{"prompt_tokens":-1,"completion_tokens":-2,"prompt_tokens_details":{"cached_tokens":-3},
				"completion_tokens_details":{"reasoning_tokens":-4}}}`,
			usage: &Usage{},
		},
		"usage in another place":     {data: `{"x":{"usage":{"prompt_tokens":1}},"choices":[{"x":{"usage":{"prompt_tokens":1}}}]}`},
		"usage in a choice":          {data: `{"choices":[{"index":0},{"index":1,"usage":{"prompt_tokens":1}}]}`, usage: &Usage{Input: 1}},
		"usage in a choice as well":  {data: `{"choices":[{"usage":{"prompt_tokens":1}}],"usage":{"prompt_tokens":2}}`, usage: &Usage{Input: 2}},
		"usage that is no object":    {data: `{"usage":[1],"model":7,"response":"x","choices":[]}`},
		"usage that cannot be read":  {data: `{"usage":{"prompt_tokens":"many"}}`, usage: &Usage{}},
		"models at both levels":      {data: `{"model":"a","response":{"x":1, "model":"b","y":{"model":"c"}},"z":0}`, models: []string{`"a"`, `"b"`}},
		"a model in escapes":         {data: `{"model":"a\"b\u0063"}`, models: []string{`"a\"b\u0063"`}},
		"keys in escapes":            {data: `{"mod\u0065l":"a","response":{"\u006dodel":"b","x\"y":1}}`, models: []string{`"a"`, `"b"`}},
		"a model that is not text":   {data: `{"model":null,"response":{"model":{}}}`},
		"a model deeper in response": {data: `{"response":{"response":{"model":"c"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := ReadAnswer([]byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			want := Usage{}
			if test.usage != nil {
				want = *test.usage
			}
			if a.HasUsage != (test.usage != nil) || a.Usage != want || a.UsageOnly != test.usageOnly {
				t.Errorf("got %+v, want %+v", a, test)
			}
			if got := textAt(test.data, a.Models); !slices.Equal(got, test.models) {
				t.Errorf("got models %s, want %s", got, test.models)
			}
			if a.HasUsage && !MayHaveUsage([]byte(test.data)) {
				t.Error("MayHaveUsage says that there is none")
			}
		})
	}
}

func textAt(data string, spans []Span) (all []string) {
	for _, s := range spans {
		all = append(all, data[s.Start:s.End])
	}
	return all
}

func TestReadAnswerOfWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, data := range []string{``, `[DONE]`, `[]`, `"text"`, `{"model":"m"`, `{"model":"m"}}`, `<html>`, `null`} {
		if _, err := ReadAnswer([]byte(data)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%s: got %v", data, err)
		}
	}
}

func TestMayHaveUsage(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{
		``:                                     false,
		`{"choices":[]}`:                       false,
		`{"usage":{}}`:                         true,
		"{\"usage\" \n:\r\t{\"a\":1}}":         true,
		`{"usage":null}`:                       false,
		`{"usage"`:                             false,
		`{"usage":`:                            false,
		`{"usage":null,"x":{"usage":{}}}`:      true,
		`{"content":"\"usage\":{"}`:            false,
		`{"content":"say \"usage\":{} twice"}`: false,
		`{"kind":"usage","usage":{}}`:          true,
		`{"usages":{}}`:                        false,
	} {
		if got := MayHaveUsage([]byte(data)); got != want {
			t.Errorf("%s: got %t", data, got)
		}
	}
}

func TestAppendRenamed(t *testing.T) {
	t.Parallel()
	const answer = `{"model":"a","response":{"model" : "b\"c"},"x":"model"}`
	for name, test := range map[string]struct{ model, want string }{
		"a plain name":    {"smart", `{"model":"smart","response":{"model" : "smart"},"x":"model"}`},
		"an empty name":   {"", `{"model":"","response":{"model" : ""},"x":"model"}`},
		"one with quotes": {`a"\`, `{"model":"a\"\\","response":{"model" : "a\"\\"},"x":"model"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read, err := ReadAnswer([]byte(answer))
			if err != nil {
				t.Fatal(err)
			}
			data := []byte(answer)
			if got := string(AppendRenamed([]byte("data: "), data, read.Models, test.model)); got != "data: "+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if string(data) != answer {
				t.Errorf("the answer itself became %s", data)
			}
		})
	}
	t.Run("no model", func(t *testing.T) {
		t.Parallel()
		if got := string(AppendRenamed(nil, []byte(`{"a":1}`), nil, "smart")); got != `{"a":1}` {
			t.Errorf("got %s", got)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{
		`{"model":"m","choices":[],"usage":{"prompt_tokens":1}}`, `{"response":{"model":"a","usage":{"input_tokens":3}},"model":"b"}`,
		`{"model":"a","model":"b","response":{},"response":{"model":"c"}}`, `{"usage":{},"usage":null}`, `[DONE]`,
	} {
		f.Add([]byte(s), "new")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		a, err := ReadAnswer(data)
		if err != nil {
			if !errors.Is(err, ErrNotJSON) || Members(data, func([]byte, Span) bool { return true }) == nil {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if a.HasUsage && !MayHaveUsage(data) && !bytes.Contains(data, []byte(`\u`)) { // a key in escapes is not looked for
			t.Errorf("%q reports usage, and MayHaveUsage says that it does not", data)
		}
		if a.UsageOnly && !a.HasUsage {
			t.Errorf("%q: only usage, and yet none", data)
		}
		end := 0
		for _, s := range a.Models {
			if s.Start < end || s.End > len(data) || !json.Valid(data[s.Start:s.End]) || data[s.Start] != '"' {
				t.Fatalf("%q: no model at %v of %v", data, s, a.Models)
			}
			end = s.End
		}
		renamed := AppendRenamed(nil, data, a.Models, name)
		again, err := ReadAnswer(renamed)
		if err != nil || len(again.Models) != len(a.Models) || again.Usage != a.Usage {
			t.Fatalf("%q became %q: %v", data, renamed, err)
		}
		for _, s := range again.Models {
			var got string
			if err := json.Unmarshal(renamed[s.Start:s.End], &got); err != nil || got != name && utf8.ValidString(name) {
				t.Errorf("%q: renamed to %q, want %q", data, got, name)
			}
		}
	})
}
