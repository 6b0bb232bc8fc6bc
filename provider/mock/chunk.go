package mock

import (
	"strconv"
	"time"
)

// chunks writes the events of a chat or completion. What all of them have in
// common is written once, for a stream has hundreds.
type chunks struct {
	head  []byte // up to the choices
	tail  string // from the end of the choices on
	usage []byte // the event that reports the usage, nil when it was not asked for
}

// newChunks starts every event with the fields of start, such as "id":"...".
func newChunks(q *prompt, replies []reply, start string, includeUsage bool) chunks {
	c := chunks{tail: "]}\n\n"}
	c.head = append(c.head, "data: {"+start+`,"created":`...)
	c.head = strconv.AppendInt(c.head, time.Now().Unix(), 10)
	c.head = append(c.head, `,"model":`...)
	c.head = appendQuoted(c.head, q.model)
	c.head = append(c.head, `,"system_fingerprint":"`+fingerprint+`","choices":[`...)
	if includeUsage {
		c.tail = "],\"usage\":null}\n\n"
		c.usage = append(c.usage, c.head...)
		c.usage = append(c.usage, `],"usage":`...)
		c.usage = append(c.usage, marshal(newUsage(q, replies))...)
		c.usage = append(c.usage, "}\n\n"...)
	}
	return c
}

// done adds the events that end every stream.
func (c *chunks) done(dst []byte) []byte {
	dst = append(dst, c.usage...)
	return append(dst, "data: [DONE]\n\n"...)
}

// chunkError is the event that reports f among chunks.
func chunkError(f *failure) []byte {
	return append(append([]byte("data: "), f.body()...), "\n\n"...)
}
