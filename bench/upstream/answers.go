package upstream

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/bench/wire"
)

// AnswerText is the message of every non-streamed answer.
var AnswerText = strings.Repeat("The quick brown fox jumps over the lazy dog. ", 15)

const (
	// StampMark stands before the stamp in a content chunk.
	StampMark = `"content":"`
	// A stamp is the chunk's number and the time it was written, of fixed
	// width, so that a chunk is sent by patching digits in place and the
	// client can tell a lost chunk from a late one.
	indexDigits = 5
	clockDigits = 19 // nanoseconds since 1970
	// StampLength is what a stamp takes.
	StampLength = indexDigits + 1 + clockDigits
	// MaxChunks is what the index has digits for.
	MaxChunks = 99_999
)

const chunkStart = `{"id":"chatcmpl-CQbenchQbenchQbenchQbenchQbe","object":"chat.completion.chunk",` +
	`"created":1795476824,"model":"` + wire.Model + `","choices":[`

// answers are the upstream's bytes, made once.
type answers struct {
	whole []byte    // non-streamed answer, head and body
	plain streaming // streams whose client did not ask for usage
	usage streaming // streams whose client did
}

type streaming struct {
	opening []byte // head and role chunk
	content []byte // content chunk with a zero stamp
	stamp   int    // where the stamp is in it
	closing []byte // finish chunk, usage chunk, [DONE] and the end of the body
}

func newAnswers() *answers {
	return &answers{whole: wholeAnswer(), plain: newStreaming(false), usage: newStreaming(true)}
}

func wholeAnswer() []byte {
	body := `{"id":"chatcmpl-CQbenchQbenchQbenchQbenchQbe","object":"chat.completion","created":1795476824,` +
		`"model":"` + wire.Model + `","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		AnswerText + `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":256,"completion_tokens":151,"total_tokens":407},"service_tier":"default"}`
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
		"X-Request-Id: req_bench\r\nOpenai-Processing-Ms: 10\r\n\r\n%s", len(body), body)
}

func newStreaming(withUsage bool) streaming {
	tail := "}"
	if withUsage {
		tail = `,"usage":null}` // as OpenAI does on all but the last chunk
	}
	choice := func(delta, finish string) string {
		return chunkStart + `{"index":0,"delta":` + delta + `,"finish_reason":` + finish + `}]` + tail
	}
	content := event(choice(`{"content":"`+strings.Repeat("0", StampLength)+`"}`, "null"))
	closing := event(choice("{}", `"stop"`))
	if withUsage {
		closing = append(closing, event(chunkStart+
			`],"usage":{"prompt_tokens":256,"completion_tokens":100,"total_tokens":356}}`)...)
	}
	closing = append(closing, event("[DONE]")...)
	return streaming{
		opening: append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"+
			"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nX-Request-Id: req_bench\r\n\r\n"),
			event(choice(`{"role":"assistant","content":""}`, "null"))...),
		content: content,
		stamp:   bytes.Index(content, []byte(StampMark)) + len(StampMark),
		closing: append(closing, "0\r\n\r\n"...),
	}
}

// event frames one SSE event as one HTTP chunk.
func event(data string) []byte {
	data = "data: " + data + "\n\n"
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data)
}

// putStamp writes the stamp of chunk number index over the one in dst.
func putStamp(dst []byte, index int, at time.Time) {
	putDigits(dst[:indexDigits], int64(index))
	dst[indexDigits] = ' '
	putDigits(dst[indexDigits+1:StampLength], at.UnixNano())
}

func putDigits(dst []byte, n int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}

// ReadStamp parses a stamp found after StampMark.
func ReadStamp(b []byte) (index int, at time.Time, err error) {
	if len(b) < StampLength || b[indexDigits] != ' ' {
		return 0, time.Time{}, fmt.Errorf("no stamp in %.40q", b)
	}
	n, err := strconv.ParseInt(string(b[:indexDigits]), 10, 64)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("stamp: %w", err)
	}
	ns, err := strconv.ParseInt(string(b[indexDigits+1:StampLength]), 10, 64)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("stamp: %w", err)
	}
	return int(n), time.Unix(0, ns), nil
}
