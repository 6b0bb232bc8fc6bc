package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// spending is what answers have cost.
type spending struct{ input, cached, written, output, reasoning int64 }

func (s *spending) add(o spending) {
	s.input, s.cached, s.written = s.input+o.input, s.cached+o.cached, s.written+o.written
	s.output, s.reasoning = s.output+o.output, s.reasoning+o.reasoning
}

// spendingOf is what the answer to the request with a number costs, so that whoever has asked knows it, too. Only
// Anthropic's API tells of what it has written to its cache.
func spendingOf(n int64, anthropic bool) spending {
	s := spending{input: 20 + n, cached: n % 7, output: 5 + n%11, reasoning: n % 3}
	if anthropic {
		s.written, s.reasoning = n%5, 0
	}
	return s
}

// sumsUpstream answers as the names of its models say, and counts.
type sumsUpstream struct {
	url       string
	anthropic bool
	mu        sync.Mutex
	calls     int64
	spent     spending // of the answers that were sent whole
}

func newSumsUpstream(t *testing.T, anthropic, hangsUp bool) *sumsUpstream {
	t.Helper()
	u := &sumsUpstream{anthropic: anthropic}
	server := httptest.NewServer(u)
	// Where one hangs up on a connection that it had answered on before, the gateway has to take it for one that was
	// closed while idle, and repeats the request without counting it: no such connection is there twice.
	server.Config.SetKeepAlivesEnabled(!hangsUp)
	t.Cleanup(server.Close)
	u.url = server.URL
	return u
}

var numberInPrompt = regexp.MustCompile(`number (\d+)`)

func (u *sumsUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.calls++
	u.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var asked struct {
		Model  string
		Stream bool
	}
	found := numberInPrompt.FindSubmatch(body)
	if json.Unmarshal(body, &asked) != nil || found == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	n, _ := strconv.ParseInt(string(found[1]), 10, 64)
	switch {
	case asked.Model == "dead", asked.Model == "flaky" && n%4 == 1:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, broken)
		return
	case asked.Model == "flaky" && n%4 == 2: // it hangs up
		panic(http.ErrAbortHandler)
	case asked.Model == "cut", asked.Model == "endless":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chunk(asked.Model, `{"role":"assistant","content":"Hel"}`, ""))
		_ = http.NewResponseController(w).Flush()
		if asked.Model == "endless" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	case asked.Model == "narrow":
		<-time.After(15 * time.Millisecond)
	}
	cost := spendingOf(n, u.anthropic)
	u.mu.Lock()
	u.spent.add(cost)
	u.mu.Unlock()
	text, media := u.text(r.URL.Path, asked.Model, asked.Stream, cost), "application/json"
	if asked.Stream {
		media = "text/event-stream"
	}
	w.Header().Set("Content-Type", media)
	_, _ = io.WriteString(w, text)
}

// text is a whole answer, or all events of one.
func (u *sumsUpstream) text(path, model string, stream bool, s spending) string {
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}`,
		s.input, s.output, s.input+s.output, s.cached, s.reasoning)
	if u.anthropic {
		usage = fmt.Sprintf(`{"input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":%d,"output_tokens":%d}`,
			s.input-s.cached-s.written, s.cached, s.written, s.output)
	}
	switch {
	case u.anthropic && stream:
		start := strings.Replace(usage, fmt.Sprintf(`"output_tokens":%d`, s.output), `"output_tokens":1`, 1)
		var b strings.Builder
		for _, e := range [...][2]string{
			{"message_start", fmt.Sprintf(`"message":{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"stop_sequence":null,"usage":%s}`, model, start)},
			{"content_block_start", `"index":0,"content_block":{"type":"text","text":""}`},
			{"content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"Hello"}`},
			{"content_block_stop", `"index":0`},
			{"message_delta", fmt.Sprintf(`"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}`, s.output)},
			{"message_stop", ""},
		} {
			fmt.Fprintf(&b, "event: %s\ndata: {\"type\":%q", e[0], e[0])
			if e[1] != "" {
				b.WriteString("," + e[1])
			}
			b.WriteString("}\n\n")
		}
		return b.String()
	case u.anthropic:
		return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":%s}`, model, usage)
	case stream:
		last := strings.TrimSuffix(usageChunk(model, 0, 0), "}\n\n")
		return chatEvents(model, "Hello") + last[:strings.LastIndex(last, `"usage":`)] + `"usage":` + usage + "}\n\n" + doneEvent
	case strings.HasSuffix(path, "/embeddings"):
		text := embeddingJSON(model)
		return text[:strings.LastIndex(text, `"usage":`)] + `"usage":` + usage + "}"
	}
	text := chatJSON(model, "Hello")
	return text[:strings.LastIndex(text, `"usage":`)] + `"usage":` + usage + "}"
}
