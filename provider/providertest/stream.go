package providertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/sse"
)

// inPieces is a stream that arrives in the given pieces.
type inPieces [][]byte

// Read implements [io.Reader].
func (p *inPieces) Read(b []byte) (int, error) {
	for len(*p) > 0 && len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	(*p)[0] = (*p)[0][n:]
	return n, nil
}

// play has a stream translated as the gateway does, and returns what the client gets.
func play(answers dialect.Answers, pieces [][]byte) (out []byte, err error) {
	source := inPieces(pieces)
	reader := sse.NewReader(&source)
	defer reader.Release()
	for {
		blocks, err := reader.Next()
		if err == io.EOF {
			return answers.End(out)
		}
		if err != nil {
			return out, err
		}
		for len(blocks) > 0 {
			n := sse.End(blocks)
			if n == 0 {
				n = len(blocks)
			}
			if out, err = playEvent(answers, out, blocks[:n]); err != nil {
				return out, err
			}
			blocks = blocks[n:]
		}
	}
}

// playEvent has an event translated. The event's memory is of no use afterwards, as is
// the gateway's.
func playEvent(answers dialect.Answers, out, block []byte) ([]byte, error) {
	lent := bytes.Clone(block)
	e := sse.Parse(lent)
	if !e.HasData {
		return out, nil
	}
	out, err := answers.Event(out, e)
	for i := range lent {
		lent[i] = '#'
	}
	return out, err
}

// stream checks a streamed answer in every way that it may arrive.
func (p pair) stream(t *testing.T, r recording) {
	answers := p.answersTo(t, true)
	want, err := play(answers, [][]byte{r.body})
	if err != nil {
		t.Fatalf("%v after %s", err, want)
	}
	got, err := readStream(p.from, want)
	if err != nil {
		t.Fatalf("%v: %s", err, want)
	}
	if !answers.Done() {
		t.Error("the stream is not done at its end")
	}
	r.compare(t, got, answers.Usage())
	want = normal(want)

	t.Run("framed otherwise", func(t *testing.T) {
		for name, body := range r.variants(p.to) {
			if out, err := play(p.answersTo(t, true), [][]byte{body}); err != nil || !bytes.Equal(normal(out), want) {
				t.Errorf("%s: %v, and the client gets\n%s\nwant\n%s", name, err, out, want)
			}
		}
	})
	t.Run("in two pieces, wherever it is split", func(t *testing.T) {
		for at := range len(r.body) + 1 {
			out, err := play(p.answersTo(t, true), [][]byte{bytes.Clone(r.body[:at]), bytes.Clone(r.body[at:])})
			if err != nil || !bytes.Equal(normal(out), want) {
				t.Fatalf("at byte %d: %v, and the client gets\n%s\nwant\n%s", at, err, out, want)
			}
		}
	})
	t.Run("broken off", func(t *testing.T) { p.brokenOff(t, r) })
	t.Run("with an error in it", func(t *testing.T) { p.withError(t, r) })
}

// brokenOff checks that a stream that breaks off is told from one that is complete.
func (p pair) brokenOff(t *testing.T, r recording) {
	for at := range len(r.body) {
		answers := p.answersTo(t, true)
		out, err := play(answers, [][]byte{r.body[:at]})
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			if answers.Done() {
				t.Fatalf("at byte %d the stream is broken and done", at)
			}
		case err != nil:
			// Half an event is no JSON.
			if _, ok := errors.AsType[*dialect.Error](err); !ok && !errors.Is(err, dialect.ErrNotJSON) {
				t.Fatalf("at byte %d: %v", at, err)
			}
		default:
			if _, err := readStream(p.from, out); err != nil {
				t.Fatalf("at byte %d the client is told that it is complete, and it is not: %v: %s", at, err, out)
			}
			if !r.mayEnd(at) {
				t.Fatalf("at byte %d the client is told that it is complete, and it is not: %s", at, out)
			}
		}
	}
}

// withError checks that an error after the status is passed on, wherever it comes.
func (p pair) withError(t *testing.T, r recording) {
	for i, failure := range recordedErrors(t, p.to) {
		for k, events := 0, r.events(); k < len(events); k++ {
			answers := p.answersTo(t, true)
			var out []byte
			var err error
			for _, event := range events[:k] {
				if out, err = playEvent(answers, out, event); err != nil {
					t.Fatal(err)
				}
			}
			if answers.Done() || r.mayEnd(len(bytes.Join(events[:k], nil))) {
				break // what comes now is nobody's loss
			}
			before := len(out)
			out, err = playEvent(answers, out, asEvent(p.to, failure))
			told, ok := errors.AsType[*dialect.Error](err)
			if !ok || told.Status < http.StatusBadRequest || told.Message == "" {
				t.Errorf("error %d after %d events: got %v and %s", i, k, err, out[before:])
			}
		}
	}
}

// asEvent returns an error as an event of a stream.
func asEvent(api dialect.API, body []byte) []byte {
	name := ""
	if api.Anthropic() {
		name = "event: error\n"
	}
	return append([]byte(name), sse.AppendData(nil, body)...)
}

// normal returns a stream with the times and IDs replaced that are made up anew for
// every answer.
func normal(stream []byte) []byte {
	for _, name := range [...]string{"created", "created_at", "completed_at"} {
		stream = replaced(stream, `"`+name+`":`, ",}", func(string) string { return "0" })
	}
	numbers := map[string]string{}
	for _, name := range [...]string{"id", "item_id", "call_id", "response_id"} {
		stream = replaced(stream, `"`+name+`":"`, `"`, func(id string) string {
			if numbers[id] == "" {
				numbers[id] = "#" + strconv.Itoa(len(numbers))
			}
			return numbers[id]
		})
	}
	return stream
}

// replaced returns text with what is between before and any of the bytes of after replaced.
func replaced(text []byte, before, after string, by func(string) string) []byte {
	if !bytes.Contains(text, []byte(before)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for {
		at := bytes.Index(text, []byte(before))
		if at < 0 {
			return append(out, text...)
		}
		at += len(before)
		n := max(0, bytes.IndexAny(text[at:], after))
		out = append(append(out, text[:at]...), by(string(text[at:at+n]))...)
		text = text[at+n:]
	}
}

// compare checks what a client has seen, and what is counted, against what was recorded.
func (r *recording) compare(t *testing.T, got outcome, usage dialect.Usage) {
	t.Helper()
	if want := fmt.Sprintf("%+v", r.want.outcome); fmt.Sprintf("%+v", got) != want {
		t.Errorf("the client sees %+v, want %s", got, want)
	}
	if usage != r.want.Usage {
		t.Errorf("the usage is %+v, want %+v", usage, r.want.Usage)
	}
}
