package dialect

import (
	"strings"
	"testing"
	"time"
)

const (
	chatCite      = `{"type":"url_citation","url_citation":{"start_index":2,"end_index":5,"title":"A \"page\"","url":"https://a/?b=1"}}`
	responsesCite = `{"type":"url_citation","start_index":2,"end_index":5,"url":"https://a/?b=1","title":"A \"page\""}`
)

// A client of the Responses API sees what pages an answer cites, however a server of chat completions tells it.
func TestChatAnnotationsToResponses(t *testing.T) {
	t.Parallel()
	cite := func(start, end, url, title string) string {
		return `{"type":"url_citation","start_index":` + start + `,"end_index":` + end + `,"url":"` + url + `","title":"` + title + `"}`
	}
	const sources = `"citations":["https://a","https://b","https://c"],"search_results":[{"title":"A","url":"https://a","date":null},{"title":"B","url":"https://b"},{"title":"C","url":"https://c"}]`
	beside := func(chunk, more string) string { return strings.TrimSuffix(chunk, "}") + "," + more + "}" }
	for _, test := range []struct {
		name   string
		chunks []string
		want   string
	}{
		{"after the text", []string{deltaChunk(`{"content":"x"}`), deltaChunk(`{"annotations":[` + chatCite + `,` + chatCite + `]}`), finishChunk("stop")}, responsesCite + "," + responsesCite},
		{"with the text, and more of it", []string{deltaChunk(`{"content":"x","annotations":[` + chatCite + `]}`), deltaChunk(`{"content":"y"}`), finishChunk("stop")}, responsesCite},
		{"before any text", []string{deltaChunk(`{"annotations":[` + chatCite + `]}`), deltaChunk(`{"content":"x"}`), finishChunk("stop")}, responsesCite},
		{"OpenRouter's of files, and others, are none", []string{deltaChunk(`{"content":"x","annotations":[{"type":"file","file":{"hash":"h"}},{"type":"url_citation"},{"type":"url_citation","url_citation":null},null,5]}`), finishChunk("stop")}, ""},
		{"without where", []string{deltaChunk(`{"content":"x","annotations":[{"type":"url_citation","url_citation":{"url":"u","start_index":-1,"title":null}}]}`), finishChunk("stop")}, cite("0", "0", "u", "")},
		{"Perplexity's, which the text refers to by number", []string{beside(deltaChunk(`{"content":"é[2] a[1]"}`), sources), beside(deltaChunk(`{"content":" [2][9][x]"}`), sources), beside(finishChunk("stop"), sources)},
			cite("1", "4", "https://b", "B") + "," + cite("6", "9", "https://a", "A") + "," + cite("10", "13", "https://b", "B") + "," + cite("19", "19", "https://c", "C")},
		{"only URLs", []string{beside(deltaChunk(`{"content":"x[1]"}`), `"citations":["https://a"],"search_results":null`), finishChunk("stop")}, cite("1", "4", "https://a", "")},
		{"Perplexity's, of a text that is not the end", []string{beside(deltaChunk(`{"content":"x[1]"}`), `"citations":["https://a"]`), toolChunk("0", "x", "f", "{}"), finishChunk("tool_calls")}, cite("1", "4", "https://a", "")},
		{"too late", []string{deltaChunk(`{"content":"x"}`), toolChunk("0", "x", "f", "{}"), deltaChunk(`{"annotations":[` + chatCite + `]}`), finishChunk("tool_calls")}, ""},
		{"annotations and the same beside them", []string{beside(deltaChunk(`{"content":"x[1]","annotations":[`+chatCite+`]}`), sources), finishChunk("stop")}, responsesCite},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := feedChat(responsesOf(t, ""), append(test.chunks, "[DONE]")...)
			f, bad := follow(out)
			if err != nil || bad != nil || f.whole() != nil {
				t.Fatalf("%v, %v, %v: %s", err, bad, f.whole(), out)
			}
			got := f.last.Output[0].RawJSON()
			if !strings.Contains(got, `"annotations":[`+test.want+`]`) {
				t.Errorf("got\n%s, want\n%s", got, test.want)
			}
			if n, want := strings.Count(string(out), "event: response.output_text.annotation.added"), strings.Count(test.want, `"type"`); n != want {
				t.Errorf("%d events tell of annotations, want %d", n, want)
			}
		})
	}
	whole := strings.TrimSuffix(wholeChat(`{"content":"x[1]","annotations":[`+chatCite+`]}`, "stop"), "}") + "," + sources + "}"
	for body, want := range map[string]string{whole: responsesCite, strings.Replace(whole, chatCite, "", 1): cite("1", "4", "https://a", "A")} {
		got, err := responsesOf(t, "").Whole(nil, []byte(body))
		if err != nil || !strings.Contains(string(got), `"annotations":[`+want) {
			t.Errorf("whole: %v, %s", err, got)
		}
		wantResponse(t, got)
	}
}

// The logprobs of a text are told with each piece of it, at its end, and in the whole.
func TestChatLogprobsToResponses(t *testing.T) {
	t.Parallel()
	token := func(text string) string {
		return `{"token":"` + text + `","logprob":-0.10,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1e0,"bytes":[98]}]}`
	}
	chunk := func(delta, logprobs string) string {
		return chatChunk(`{"index":0,"delta":` + delta + `,"logprobs":` + logprobs + `,"finish_reason":null}`)
	}
	out, err := feedChat(responsesOf(t, `,"include":["message.output_text.logprobs"],"top_logprobs":1`),
		chunk(`{"role":"assistant","content":""}`, "null"), chunk(`{"content":"a"}`, `{"content":[`+token("a")+`],"refusal":null}`), chunk(`{"content":""}`, `{"content":[`+token("b")+"]}"),
		chunk(`{"content":"c"}`, "null"), chunk(`{"reasoning":"hm"}`, `{"content":[`+token("r")+`]}`), finishChunk("stop"), "[DONE]")
	f, bad := follow(out)
	if err != nil || bad != nil || f.whole() != nil {
		t.Fatalf("%v, %v, %s", err, bad, out)
	}
	for want, n := range map[string]int{
		`"delta":"a","logprobs":[` + token("a") + "]": 1, `"delta":"","logprobs":[` + token("b") + "]": 1, `"delta":"c","logprobs":[]`: 1,
		`"logprobs":[` + token("a") + "," + token("b") + "]": 4, token("r"): 0, `"top_logprobs":1,`: 3,
	} {
		if got := strings.Count(string(out), want); got != n {
			t.Errorf("%s is there %d times, want %d: %s", want, got, n, out)
		}
	}
	whole, err := responsesOf(t, "").Whole(nil, []byte(strings.Replace(wholeChat(`{"content":"ab"}`, "stop"), `"finish_reason"`, `"logprobs":{"content":[`+token("a")+",\n"+token("b")+`]},"finish_reason"`, 1)))
	if err != nil || !strings.Contains(string(whole), `"logprobs":[`+token("a")+","+token("b")+`],"text":"ab"`) {
		t.Errorf("%v: %s", err, whole)
	}
	wantResponse(t, whole)
}

func TestCitationsAreFoundInTime(t *testing.T) {
	t.Parallel()
	start := time.Now()
	text := strings.Repeat("[1", 1<<20) + strings.Repeat("[1]é", 1<<18)
	if n := len(sourced(text, make([]citation, 1<<16))); n != 0 {
		t.Errorf("%d sources without a URL are cited", n)
	}
	sourced(text, []citation{{url: "u"}})
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
}

// What Gemini's search has found is cited where the text says what it supports.
func TestGeminiGroundingToChat(t *testing.T) {
	t.Parallel()
	const grounding = `"groundingMetadata":{"webSearchQueries":["q"],"groundingChunks":[{"web":{"uri":"https://a","title":"a.org"}},{"retrievedContext":{}}],
		"groundingSupports":[{"segment":{"startIndex":3,"endIndex":6,"text":"yes"},"groundingChunkIndices":[0,1,7,-1]},{"segment":{"endIndex":2,"text":"é"},"groundingChunkIndices":[0]},{"segment":{"startIndex":5,"endIndex":99},"groundingChunkIndices":[0]}]}`
	const want = `"annotations":[{"type":"url_citation","url_citation":{"start_index":2,"end_index":5,"url":"https://a","title":"a.org"}},{"type":"url_citation","url_citation":{"start_index":0,"end_index":1,"url":"https://a","title":"a.org"}},{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://a","title":"a.org"}}]`
	part := func(text, more string) string {
		return `{"candidates":[{"content":{"parts":[{"text":"` + text + `"}]}` + more + `}]}`
	}
	for asks, cites := range map[string]int{`,"web_search_options":{}`: 1, ``: 0} {
		fresh := func() Answers {
			tr, err := Translate(Chat, Gemini, []byte(`{"model":"m","messages":[{"role":"user","content":"hi"}]`+asks+`}`), &Target{Model: "gemini-2.5-flash", Shown: "smart"})
			if err != nil {
				t.Fatal(err)
			}
			return tr.Answers
		}
		whole, err := fresh().Whole(nil, []byte(part("é yes", `,"finishReason":"STOP",`+grounding)))
		if err != nil || strings.Count(string(whole), want) != cites {
			t.Errorf("whole, asked with %q: %v, %s", asks, err, whole)
		}
		stream, err := pump(fresh(), strings.NewReader("data: "+part("é ", "")+"\n\ndata: "+part("yes", `,"finishReason":"STOP",`+strings.ReplaceAll(grounding, "\n", ""))+"\n\n"))
		if err != nil || strings.Count(string(stream), `"delta":{`+want+`}`) != cites {
			t.Errorf("stream, asked with %q: %v, %s", asks, err, stream)
		}
	}
	// And from there to a client of the Responses API.
	tr, err := Translate(Responses, Gemini, []byte(`{"model":"m","input":"hi","tools":[{"type":"web_search"}]}`), &Target{Model: "gemini-2.5-flash", Shown: "smart"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tr.Answers.Whole(nil, []byte(part("é yes", `,"finishReason":"STOP",`+grounding)))
	if err != nil || !strings.Contains(string(got), `"annotations":[{"type":"url_citation","start_index":2,"end_index":5,"url":"https://a","title":"a.org"}`) {
		t.Errorf("%v, %s", err, got)
	}
}
