package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

// recordedChat is a stream with a bit of everything, as bytes.
var recordedChat = func() []byte {
	var b []byte
	for _, c := range []string{
		`{"id":"","model":"","choices":[],"prompt_filter_results":[]}`, deltaChunk(`{"role":"assistant","content":""}`), deltaChunk(`{"reasoning_content":"h\u00e9m"}`),
		deltaChunk(`{"content":"Grüß "}`), deltaChunk(`{"content":"Gott 🌍"}`), toolChunk("0", "call_1", "f", ``), toolChunk("0", "", "", `{"a`), toolChunk("1", "call_2", "g", `{}`),
		toolChunk("0", "", "", `":"é"}`), finishChunk("tool_calls"), chatUsageChunk, "[DONE]",
	} {
		b = sse.AppendData(b, []byte(c))
	}
	return b
}()

const recordedSummary = `message +thinking hém - +text Grüß  Gott 🌍 - +tool_use:call_1:f {"a ":"é"} - +tool_use:call_2:g {} - tool_use stop`

// pump has a stream of bytes translated that arrives in pieces.
func pump(a Answers, stream io.Reader) (out []byte, err error) {
	r := sse.NewReader(stream)
	defer r.Release()
	for {
		blocks, err := r.Next()
		if err == io.EOF {
			return a.End(out)
		}
		if err != nil {
			return out, err
		}
		for len(blocks) > 0 {
			n := sse.End(blocks)
			if n == 0 {
				n = len(blocks)
			}
			e := sse.Parse(blocks[:n])
			blocks = blocks[n:]
			if !e.HasData {
				continue
			}
			if out, err = a.Event(out, e); err != nil {
				return out, err
			}
		}
	}
}

func TestChatStreamInTwoPieces(t *testing.T) {
	t.Parallel()
	want, err := pump(newChatAnswers("smart", nil), bytes.NewReader(recordedChat))
	if got, bad := summary(want); err != nil || bad != nil || got != recordedSummary {
		t.Fatalf("%v, %v, %s", err, bad, got)
	}
	for ends, step := range map[string]int{"\n": 1, "\r\n": 3, "\r": 5} {
		stream := bytes.ReplaceAll(recordedChat, []byte("\n"), []byte(ends))
		for i := 0; i < len(stream); i += step {
			got, err := pump(newChatAnswers("smart", nil), io.MultiReader(bytes.NewReader(stream[:i]), bytes.NewReader(stream[i:])))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("cut at byte %d: %v, %s", i, err, got)
			}
		}
	}
}

// TestChatStreamCutOff: a stream that ends before its reason to is an error; what has come until then has been passed
// on; and after the reason nothing is missing but the usage.
func TestChatStreamCutOff(t *testing.T) {
	t.Parallel()
	events := bytes.SplitAfter(recordedChat, []byte("\n\n"))
	finished := slices.IndexFunc(events, func(e []byte) bool { return bytes.Contains(e, []byte(`"finish_reason":"tool_calls"`)) })
	for n := range events {
		a := newChatAnswers("smart", nil)
		out, err := pump(a, bytes.NewReader(bytes.Join(events[:n], nil)))
		if n <= finished {
			if !errors.Is(err, io.ErrUnexpectedEOF) || a.Done() || bytes.Contains(out, []byte("message_stop")) {
				t.Errorf("after %d events: %v, %s", n, err, out)
			}
			continue
		}
		if got, bad := summary(out); err != nil || bad != nil || got != recordedSummary {
			t.Errorf("after %d events: %v, %v, %s", n, err, bad, got)
		}
	}
}

// TestChatStreamAtOnce is that each event becomes the client's when it comes, also when calls follow each other.
func TestChatStreamAtOnce(t *testing.T) {
	t.Parallel()
	a := newChatAnswers("smart", nil)
	for i, step := range []struct{ chunk, want string }{
		{deltaChunk(`{"role":"assistant","content":""}`), "message_start"},
		{deltaChunk(`{"content":"a"}`), `"text":"a"`}, {deltaChunk(`{"content":"b"}`), `"text":"b"`},
		{toolChunk("0", "call_1", "f", `{"a"`), `{\"a\"`}, {toolChunk("0", "", "", `:1}`), `:1}`},
		{toolChunk("1", "call_2", "g", ""), `call_2`}, {toolChunk("1", "", "", `{`), `"{"`}, {finishChunk("tool_calls"), ""}, {chatUsageChunk, "message_stop"},
	} {
		out, err := a.Event(nil, sse.Event{Data: []byte(step.chunk), HasData: true})
		if err != nil || !strings.Contains(string(out), step.want) {
			t.Errorf("event %d: %v, %s", i, err, out)
		}
	}
}

// TestChatStreamIsBounded is that a provider cannot have the gateway keep as much as it likes.
func TestChatStreamIsBounded(t *testing.T) {
	t.Parallel()
	a := newChatAnswers("smart", nil)
	_, err := feedChat(a, toolChunk("0", "call_1", "f", "{"), toolChunk("1", "call_2", "g", ""))
	a.held = maxHeld - 5 // as if so much waited
	if err == io.ErrUnexpectedEOF {
		_, err = feedChat(a, toolChunk("1", "", "", "xxx"), toolChunk("1", "", "", "xxx"))
	}
	if told, ok := errors.AsType[*Error](err); !ok || told.Status != 502 {
		t.Errorf("held text: %v", err)
	}
	a = newChatAnswers("smart", nil)
	for i := range maxCalls + 1 {
		if _, err = a.Event(nil, sse.Event{Data: []byte(toolChunk(fmt.Sprint(i), "", "f", "{}")), HasData: true}); err != nil {
			break
		}
	}
	if told, ok := errors.AsType[*Error](err); !ok || told.Status != 502 {
		t.Errorf("calls: %v", err)
	}
}
