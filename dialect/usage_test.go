package dialect

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestReadUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		object string
		want   Usage
	}{
		"xAI's reasoning, beside the completion": {
			`{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}`,
			Usage{Input: 32, Output: 103, Reasoning: 94},
		},
		"OpenAI's reasoning, within it": {
			`{"prompt_tokens":32,"completion_tokens":103,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}`,
			Usage{Input: 32, Output: 103, Reasoning: 94},
		},
		"a total without what it is made of": {
			`{"total_tokens":94,"completion_tokens_details":{"reasoning_tokens":90}}`, Usage{Reasoning: 90},
		},
		"Anthropic's writes for an hour": {
			`{"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}`,
			Usage{Input: 31, CacheWrite: 30, CacheWriteHour: 20, Output: 2},
		},
		"DeepSeek's cache": {
			`{"prompt_tokens":100,"completion_tokens":3,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}`,
			Usage{Input: 100, CachedInput: 64, Output: 3},
		},
		"numbers with a fraction": {`{"prompt_tokens":12.0,"completion_tokens":3e1}`, Usage{Input: 12, Output: 30}},
		"numbers in strings":      {`{"prompt_tokens":"12","completion_tokens":3}`, Usage{Input: 12, Output: 3}},
		"details of another type": {`{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":[]}`, Usage{Input: 12, Output: 3}},
		"a count beyond all":      {`{"prompt_tokens":12,"completion_tokens":99999999999999999999}`, Usage{Input: 12}},
		"negative counts":         {`{"prompt_tokens":-1,"completion_tokens":-1.5,"cache_read_input_tokens":-3}`, Usage{}},
		"null, and other things":  {`{"prompt_tokens":null,"completion_tokens":true,"iterations":{},"total_tokens":{}}`, Usage{}},
	} {
		if got, ok := ReadUsage([]byte(test.object)); got != test.want || !ok {
			t.Errorf("%s: got %+v (%t), want %+v", name, got, ok, test.want)
		}
	}
	for _, object := range []string{``, `null`, `[]`, `7`, `{"prompt_tokens":1`} {
		if got, ok := ReadUsage([]byte(object)); ok {
			t.Errorf("%s: got %+v", object, got)
		}
	}
}

// spliced returns body with one replacement.
func spliced(body []byte, at Span, text string) []byte {
	return slices.Concat(body[:at.Start], []byte(text), body[at.End:])
}

func TestAskForUsageChangesNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"no options": {
			`{"model":"m","stream":true}`,
			`{"model":"m","stream_options":{"include_usage":true},"stream":true}`,
		},
		"no options and the model last": {
			`{"stream":true, "model": "m" }`,
			`{"stream":true, "model": "m","stream_options":{"include_usage":true} }`,
		},
		"options null": {
			`{"model":"m","stream_options": null }`,
			`{"model":"m","stream_options": {"include_usage":true} }`,
		},
		"options empty": {
			`{"stream_options":{},"model":"m"}`,
			`{"stream_options":{"include_usage":true},"model":"m"}`,
		},
		"options with space": {
			"{\"stream_options\":{ \n},\"model\":\"m\"}",
			"{\"stream_options\":{\"include_usage\":true \n},\"model\":\"m\"}",
		},
		"other options": {
			`{"model":"m","stream_options":{ "include_obfuscation":false }}`,
			`{"model":"m","stream_options":{"include_usage":true, "include_obfuscation":false }}`,
		},
		"usage false": {
			`{"model":"m","stream_options":{"include_usage": false}}`,
			`{"model":"m","stream_options":{"include_usage": true}}`,
		},
		"usage null between others": {
			`{"model":"m","stream_options":{"a":[1],"include_usage":null,"b":{}}}`,
			`{"model":"m","stream_options":{"a":[1],"include_usage":true,"b":{}}}`,
		},
		"usage false in escapes": {
			`{"model":"m","stream_options":{"include_usag\u0065":false}}`,
			`{"model":"m","stream_options":{"include_usag\u0065":true}}`,
		},
		"usage false within another": {
			`{"model":"m","stream_options":{"x":{"include_usage":false}}}`,
			`{"model":"m","stream_options":{"include_usage":true,"x":{"include_usage":false}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := []byte(test.body)
			r, err := ScanOpenAI(body)
			if err != nil {
				t.Fatal(err)
			}
			at, text := AskForUsage(body, r.ModelSpan, r.StreamOptions)
			if got := string(spliced(body, at, text)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			checkAskForUsage(t, body, r)
		})
	}
}

// checkAskForUsage checks that a body, asked for its usage, is the same but for that.
func checkAskForUsage(t *testing.T, body []byte, r OpenAIRequest) {
	t.Helper()
	at, text := AskForUsage(body, r.ModelSpan, r.StreamOptions)
	within := r.StreamOptions
	if within.End == 0 {
		within = Span{r.ModelSpan.End, r.ModelSpan.End}
	}
	if at.Start > at.End || at.Start < within.Start || at.End > within.End {
		t.Fatalf("%q: the edit at %v is outside of %v", body, at, within)
	}
	asked := spliced(body, at, text)
	again, err := ScanOpenAI(asked)
	if err != nil {
		t.Fatalf("%q became %q: %v", body, asked, err)
	}
	if !json.Valid(asked) || !again.IncludeUsage || again.Model != r.Model || again.Stream != r.Stream {
		t.Fatalf("%q became %q", body, asked)
	}
	others := func(data []byte, name string) (all []member, found string) {
		members, err := membersOf(data)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for _, m := range members {
			if strings.EqualFold(keyOf(t, m), name) {
				found = m.value
			} else {
				all = append(all, m)
			}
		}
		return all, found
	}
	before, oldOptions := others(body, "stream_options")
	after, newOptions := others(asked, "stream_options")
	if !slices.Equal(before, after) {
		t.Errorf("%q became %q", body, asked)
	}
	if oldOptions == "" || oldOptions == "null" {
		oldOptions = "{}"
	}
	exact := func(data string) (all []member) {
		members, err := membersOf([]byte(data))
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		return slices.DeleteFunc(members, func(m member) bool { return keyOf(t, m) == "include_usage" })
	}
	if !slices.Equal(exact(oldOptions), exact(newOptions)) {
		t.Errorf("%q became %q", body, asked)
	}
}

// keyOf returns a member's key as it is meant.
func keyOf(t *testing.T, m member) (key string) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.key), &key); err != nil {
		t.Fatal(err)
	}
	return key
}

// Whatever the order of the members and the space between them.
func TestAskForUsageOnAnyBody(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	space := func() string { return pick("", "", " ", "\n\t", "\r\n  ") }
	object := func(members []string) string {
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		var b strings.Builder
		b.WriteString("{" + space())
		for i, m := range members {
			if i > 0 {
				b.WriteString("," + space())
			}
			key, value, _ := strings.Cut(m, "=")
			b.WriteString(Quote(key) + space() + ":" + space() + value + space())
		}
		return b.String() + "}"
	}
	for range 5000 {
		members := []string{"model=" + pick(`"m"`, `"a\/b"`, `"modèle"`), "stream=true"}
		for i := range random.IntN(3) {
			members = append(members, pick("messages", "tools", "x")+string(rune('0'+i))+"="+
				pick(`[{"role":"user","content":"\"stream_options\":null"}]`, `{"include_usage":false}`, `1e3`, `"}"`, `[]`))
		}
		switch random.IntN(4) {
		case 0: // none
		case 1:
			members = append(members, "stream_options=null")
		default:
			var options []string
			for i := range random.IntN(3) {
				options = append(options, "o"+string(rune('0'+i))+"="+pick(`{"include_usage":null}`, `"include_usage"`, `false`, `[{}]`))
			}
			if random.IntN(2) == 0 {
				options = append(options, pick("include_usage", "Include_Usage")+"="+pick("false", "null"))
			}
			members = append(members, "stream_options="+object(options))
		}
		body := []byte(space() + object(members) + space())
		r, err := ScanOpenAI(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		checkAskForUsage(t, body, r)
	}
}
