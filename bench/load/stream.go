package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runestone-gateway/runestone/bench/upstream"
)

var (
	dataField   = []byte("data:")
	doneMarker  = []byte("[DONE]")
	chunkObject = []byte(`"object":"chat.completion.chunk"`)
	stampMark   = []byte(upstream.StampMark)
	finishMark  = []byte(`"finish_reason":"stop"`)
	usageMark   = []byte(`"total_tokens":`)
)

// tally counts the events of one stream by their kind.
type tally struct {
	role, content, finish, usage int
	done                         bool
}

// stream does one streamed exchange; opened is called when the first event is
// there.
func (c *client) stream(ctx context.Context, opened func()) error {
	began := time.Now()
	if err := c.begin(ctx); err != nil {
		return err
	}
	if !c.head.EventStream {
		return errors.New("the answer is not an event stream")
	}
	c.lines.Reset(&c.body)
	var seen tally
	for {
		line, err := c.lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("the stream is cut off after %d chunks: %w", seen.content, err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 || line[0] == ':' { // end of an event, or a heartbeat
			continue
		}
		data, found := bytes.CutPrefix(line, dataField)
		if !found {
			return fmt.Errorf("unexpected line in the stream: %.300q", line)
		}
		if err := c.event(bytes.TrimPrefix(data, []byte(" ")), &seen); err != nil {
			return err
		}
		if opened != nil && seen.role == 1 {
			opened()
			opened = nil
		}
	}
	c.latencies = append(c.latencies, time.Since(began))
	c.chunks += seen.content
	return c.plan.checkTally(seen)
}

// event counts one event. It looks for marks instead of parsing, which is all
// that a client beside a busy gateway can afford; strict parses as well.
func (c *client) event(data []byte, seen *tally) error {
	switch {
	case seen.done:
		return fmt.Errorf("event after [DONE]: %.300q", data)
	case bytes.Equal(data, doneMarker):
		seen.done = true
		return nil
	case !bytes.Contains(data, chunkObject):
		return fmt.Errorf("not a chunk: %.300q", data)
	case c.strict && !json.Valid(data):
		return fmt.Errorf("not JSON: %.300q", data)
	}
	if _, text, found := bytes.Cut(data, stampMark); found {
		if len(text) > 0 && text[0] == '"' { // the role chunk's empty content
			seen.role++
			return nil
		}
		index, written, err := upstream.ReadStamp(text)
		if err != nil {
			return err
		}
		if index != seen.content {
			return fmt.Errorf("chunk %d arrived where %d was expected", index, seen.content)
		}
		seen.content++
		c.chunkDelays = append(c.chunkDelays, max(0, time.Since(written)))
		return nil
	}
	switch {
	case bytes.Contains(data, usageMark):
		seen.usage++
	case bytes.Contains(data, finishMark):
		seen.finish++
	default:
		return fmt.Errorf("unexpected chunk: %.300q", data)
	}
	return nil
}

func (p *Plan) checkTally(seen tally) error {
	want := tally{role: 1, content: p.Chunks, finish: 1, done: true}
	if p.IncludeUsage {
		want.usage = 1
	}
	if seen != want {
		return fmt.Errorf("incomplete stream: got %+v, want %+v", seen, want)
	}
	return nil
}
