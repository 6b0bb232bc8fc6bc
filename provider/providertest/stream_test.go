package providertest

import (
	"bytes"
	"io"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/sse"
)

// passing passes the chunks of chat on as they are, with the client's name for the model.
type passing struct {
	done, finished bool
	usage          dialect.Usage
}

func (p *passing) Whole(dst, body []byte) ([]byte, error) {
	if e := dialect.ErrorIn(body); e != nil {
		return dst, &dialect.Error{Status: 502, Message: e.Message}
	}
	a, err := dialect.ReadAnswer(body)
	if err != nil {
		return dst, err
	}
	p.usage.Merge(a.Usage)
	return append(dst, shown(body)...), nil
}

func (p *passing) Event(dst []byte, e sse.Event) ([]byte, error) {
	if p.done {
		return dst, nil
	}
	if p.done = string(e.Data) == "[DONE]"; p.done {
		return sse.AppendData(dst, e.Data), nil
	}
	out, err := p.Whole(nil, e.Data)
	if err != nil {
		return dst, err
	}
	p.finished = p.finished || bytes.Contains(out, []byte(`"finish_reason":"`))
	return sse.AppendData(dst, out), nil
}

func (p *passing) End(dst []byte) ([]byte, error) {
	if p.done {
		return dst, nil
	}
	if !p.finished {
		return dst, io.ErrUnexpectedEOF
	}
	p.done = true
	return append(dst, "data: [DONE]\n\n"...), nil
}

func (p *passing) Done() bool           { return p.done }
func (p *passing) Usage() dialect.Usage { return p.usage }
func (p *passing) Sequence() int64      { return 0 }

// What translates nothing and is right in everything else passes.
func TestTheSuitePassesWhatIsRight(t *testing.T) {
	t.Parallel()
	p := pair{from: dialect.Chat, to: dialect.Chat, fresh: func() dialect.Answers { return new(passing) }}
	for _, r := range recordings(t, dialect.Chat) {
		switch r.name {
		case "text.sse", "tools.sse":
			t.Run(r.name, func(t *testing.T) { p.stream(t, r) })
		case "whole_text.json", "whole_tools.json":
			t.Run(r.name, func(t *testing.T) { p.whole(t, r) })
		}
	}
	t.Run("errors", p.errors)
}
