package anthropic

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// TestThinkingOfOthersIsLeftOut, and the model is still renamed, wherever it stands.
func TestThinkingOfOthersIsLeftOut(t *testing.T) {
	t.Parallel()
	const (
		messages = `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"signature":"","type":"thinking","thinking":"b"}, {"type":"text","text":"y"}]}]`
		left     = `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"y"}]}]`
	)
	for _, order := range []string{`{"model":"M", ` + messages + `}`, `{` + messages + `, "model":"M"}`} {
		text := strings.ReplaceAll(order, `"M"`, `"smart"`)
		at := strings.Index(text, `"smart"`)
		r := &provider.Request{
			API: dialect.Messages, Method: http.MethodPost, Path: "/v1/messages", Model: "smart", Thought: true,
			Body: provider.NewBody([]byte(text), nil), ModelSpan: provider.Span{Start: at, End: at + len(`"smart"`)},
		}
		req, err := load(t, `{}`).NewRequest(t.Context(), r, provider.Target{Model: "claude"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		want := strings.Replace(strings.ReplaceAll(order, `"M"`, `"claude"`), messages, left, 1)
		if err != nil || string(got) != want || req.ContentLength != int64(len(want)) {
			t.Errorf("error %v, length %d\n got %s\nwant %s", err, req.ContentLength, got, want)
		}
	}
}
