package upstream

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/runestone-gateway/runestone/bench/wire"
)

// newMessages returns what the upstream answers where it is asked through Anthropic's API: as
// much as through OpenAI's, in Anthropic's form.
func newMessages() *answers {
	stream := newMessageStream()
	return &answers{whole: wholeMessage(), plain: stream, usage: stream}
}

func wholeMessage() []byte {
	body := `{"id":"msg_01benchbenchbenchbenchbe","type":"message","role":"assistant","model":"` + wire.Model +
		`","content":[{"type":"text","text":"` + AnswerText + `"}],"stop_reason":"end_turn","stop_sequence":null,` +
		`"usage":{"input_tokens":256,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":151,"service_tier":"standard"}}`
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
		"Request-Id: req_bench\r\nAnthropic-Organization-Id: bench\r\n\r\n%s", len(body), body)
}

func newMessageStream() streaming {
	const mark = `"text":"`
	opening := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" +
		"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nRequest-Id: req_bench\r\n\r\n")
	opening = append(opening, namedEvent("message_start", `,"message":{"id":"msg_01benchbenchbenchbenchbe","type":"message",`+
		`"role":"assistant","model":"`+wire.Model+`","content":[],"stop_reason":null,"stop_sequence":null,`+
		`"usage":{"input_tokens":256,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}`)...)
	opening = append(opening, namedEvent("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)...)
	content := namedEvent("content_block_delta",
		`,"index":0,"delta":{"type":"text_delta",`+mark+strings.Repeat("0", StampLength)+`"}`)
	closing := namedEvent("content_block_stop", `,"index":0`)
	closing = append(closing, namedEvent("message_delta",
		`,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":100}`)...)
	closing = append(closing, namedEvent("message_stop", "")...)
	return streaming{
		opening: opening, content: content,
		stamp:   bytes.Index(content, []byte(mark)) + len(mark),
		closing: append(closing, "0\r\n\r\n"...),
	}
}

// namedEvent frames one of Anthropic's events as one HTTP chunk. more are its members after the type.
func namedEvent(name, more string) []byte {
	text := "event: " + name + "\ndata: {\"type\":\"" + name + `"` + more + "}\n\n"
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text)
}
