package overflow

import (
	"fmt"
	"io"
	"net/http"
)

const (
	// maxOutput bounds what is kept of an answer, in bytes.
	maxOutput = 64 << 20
	// maxChunk bounds what is stored as one piece, in bytes, unless it is of a stream.
	maxChunk = 256 << 10
)

var errTooLong = &Failure{
	Status: http.StatusBadGateway, Message: fmt.Sprintf("the answer is longer than %d MiB", maxOutput>>20),
}

// output is what a run puts out.
type output struct {
	run     *run
	stream  bool
	pending []byte // not yet stored
	chunks  int    // stored
	size    int
}

// read takes an answer to its end. What a stream brings is stored as it arrives.
func (o *output) read(body Body) error {
	if o.stream {
		return o.follow(body)
	}
	for {
		p, err := body.Next()
		if o.size += len(p); o.size > maxOutput {
			return errTooLong
		}
		o.pending = append(o.pending, p...)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rest returns what is to be stored with the end of the run, sealed. No event of a
// stream is torn.
func (o *output) rest() [][]byte {
	var chunks [][]byte
	for p := o.pending; len(p) > 0; {
		n := len(p)
		if !o.stream {
			n = min(n, maxChunk)
		}
		chunks = append(chunks, o.seal(p[:n]))
		p = p[n:]
	}
	return chunks
}

func (o *output) seal(p []byte) []byte {
	sealed := o.run.setup.sealer.seal(p, outputContext(o.run.job.ID, o.run.job.Run, o.chunks))
	o.chunks++
	return sealed
}

// small returns the answer's body if a callback may carry it.
func (o *output) small() []byte {
	if o.stream || o.size > maxCallbackInline {
		return nil
	}
	return o.pending
}
