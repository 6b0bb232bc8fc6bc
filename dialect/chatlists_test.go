package dialect

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

const (
	citesA = `"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":4,"url":"https://a","title":"A"}},` +
		`{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://b","title":"B"}}]`
	thoughtTwice = `"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s1"},{"type":"thinking","thinking":"b","signature":"s2"}]`
)

// citedTwice, thinksTwice and both are streams with more than one block that has an element of a list.
var (
	citedTwice  = cited(0, "One.", "a") + cited(1, "2", "b")
	thinksTwice = thinks(2, "a", "s1") + blockBegins(3, `"type":"text","text":"Hm."`) + blockEnds(3) + thinks(4, "b", "s2")
)

func thinks(i int, text, signature string) string {
	return blockBegins(i, `"type":"thinking","thinking":"","signature":""`) + adds(i, "thinking_delta", "thinking", text) + adds(i, "signature_delta", "signature", signature) + blockEnds(i)
}

func cited(i int, text, page string) string {
	return blockBegins(i, `"type":"text","text":"","citations":[]`) + adds(i, "text_delta", "text", text) +
		event("content_block_delta", `,"index":0,"delta":{"type":"citations_delta","citation":{"url":"https://`+page+`","title":"`+strings.ToUpper(page)+`"}}`) + blockEnds(i)
}

// OpenAI's SDKs put a stream together: to a list they can add only what has an index, which neither thinking_blocks nor
// annotations have.
func TestListsAreToldOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, stream string
		chunks       []string
	}{
		{"pages that two blocks cite", citedTwice + ends("end_turn", `{}`), []string{delta(`"content":"One."`), delta(`"content":"2"`), delta(citesA), finished("stop")}},
		{"two blocks of thinking", thinksTwice + ends("end_turn", `{}`), []string{delta(`"reasoning_content":"a"`), delta(`"content":"Hm."`), delta(`"reasoning_content":"b"`), delta(thoughtTwice), finished("stop")}},
		{"both, and the answer is cut off", citedTwice + thinksTwice + ends("max_tokens", `{}`), []string{
			delta(`"content":"One."`), delta(`"content":"2"`), delta(`"reasoning_content":"a"`), delta(`"content":"Hm."`), delta(`"reasoning_content":"b"`), delta(thoughtTwice + "," + citesA), finished("length"),
		}},
		{"both, and it is refused", thinks(0, "a", "s1") + thinks(1, "b", "s2") + ends("refusal", `{}`), []string{
			delta(`"reasoning_content":"a"`), delta(`"reasoning_content":"b"`), delta(`"refusal":"The model refused to answer."`), delta(thoughtTwice), finished("content_filter"),
		}},
	} {
		got, err := translateStream(newMessagesAnswers(t, `,"web_search_options":{}`), started(`{}`)+test.stream)
		if want := chunksOf(append([]string{delta(roleChunk)}, test.chunks...)); err != nil || string(got) != want {
			t.Errorf("%s (%v)\n got %s\nwant %s", test.name, err, got, want)
		}
	}
}

func TestListsOfAStreamThatBreaksOffAreNotTold(t *testing.T) {
	t.Parallel()
	got, err := translateStream(newMessagesAnswers(t, `,"web_search_options":{}`), started(`{}`)+citedTwice+thinksTwice)
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(string(got), "thinking_blocks") || strings.Contains(string(got), "annotations") {
		t.Errorf("%v, %s", err, got)
	}
	got, err = translateStream(newMessagesAnswers(t, ""), started(`{}`)+thinksTwice+event("error", `,"error":{"type":"overloaded_error","message":"M"}`))
	if err == nil || strings.Contains(string(got), "thinking_blocks") {
		t.Errorf("%v, %s", err, got)
	}
}

// What is translated once more has to know them at once, in their order.
func TestListsInAChainAreToldAtOnce(t *testing.T) {
	t.Parallel()
	x, err := Translate(Responses, Messages, []byte(`{"model":"m","input":"hi","stream":true,"tools":[{"type":"web_search"}]}`), &Target{Model: "claude-opus-5-5"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := translateStream(x.Answers, started(`{}`)+citedTwice+thinksTwice+ends("end_turn", `{}`))
	var kinds []string
	for line := range strings.SplitSeq(string(got), "\n") {
		if kind, ok := strings.CutPrefix(line, "event: response."); ok && (strings.HasSuffix(kind, "item.added") || strings.HasSuffix(kind, "item.done") || strings.HasSuffix(kind, "annotation.added")) {
			kinds = append(kinds, kind)
		}
	}
	want := []string{
		"output_item.added", "output_text.annotation.added", "output_text.annotation.added", "output_item.done",
		"output_item.added", "output_item.done", "output_item.added", "output_item.done", "output_item.added", "output_item.done",
	}
	if err != nil || !slices.Equal(kinds, want) {
		t.Errorf("%v, %q: %s", err, kinds, got)
	}
}

// Too many blocks of thinking are none, as a part of them would be refused when it comes back.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	w := newChatWriter(&Target{Shown: "smart"}, false)
	_ = w.begin(nil, "x")
	block := slices.Repeat([]byte{' '}, maxHeld/2)
	var out []byte
	for range 4 {
		out = w.thinkingBlock(out, block)
	}
	for range 3 {
		out = w.annotations(out, make([]citation, maxCitations-1))
	}
	if len(out) > 0 || len(w.lists.blocks) > 0 || len(w.lists.cited) != maxCitations {
		t.Errorf("%d bytes told, %d kept, %d citations", len(out), len(w.lists.blocks), len(w.lists.cited))
	}
	if out = w.finish(out, "stop", Usage{}); strings.Contains(string(out), "thinking_blocks") || !strings.Contains(string(out), "annotations") {
		t.Errorf("%.1000s", out)
	}

	a := newMessagesAnswers(t, "")
	a.stream.thought = slices.Repeat([]byte{'x'}, maxHeld)
	_ = a.begun(nil)
	_ = a.think(nil, []byte(`"y"`))
	a.stream.signature = []byte(`"s"`)
	_ = a.sign(nil)
	_ = a.think(nil, []byte(`"y"`))
	if len(a.stream.thought) > 0 || len(a.out.lists.blocks) > 0 {
		t.Errorf("%d bytes of thinking and %d of blocks are kept", len(a.stream.thought), len(a.out.lists.blocks))
	}
}
