package e2e

import (
	"fmt"
	"strconv"
	"strings"
)

// What an OpenAI server answers, in the shape and the key order that it uses.

// chatJSON is a chat.completion with 9 prompt and 3 completion tokens.
func chatJSON(model, content string) string {
	return fmt.Sprintf(`{"id":"chatcmpl-C1","object":"chat.completion","created":1764000000,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_1"}`, model, content)
}

// chunk is one event of a chat stream with this delta and finish reason.
func chunk(model, delta, finish string) string {
	if finish == "" {
		finish = "null"
	} else {
		finish = strconv.Quote(finish)
	}
	return fmt.Sprintf("data: {\"id\":\"chatcmpl-C1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":%q,\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}]}\n\n", model, delta, finish)
}

// word is a chunk whose delta is content.
func word(model, content string) string {
	return chunk(model, fmt.Sprintf(`{"content":%q}`, content), "")
}

// usageChunk is the event that stream_options.include_usage adds.
func usageChunk(model string, prompt, completion int) string {
	return fmt.Sprintf("data: {\"id\":\"chatcmpl-C1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":%q,\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n", model, prompt, completion, prompt+completion)
}

const doneEvent = "data: [DONE]\n\n"

// chatEvents is a whole chat stream, without a usage chunk.
func chatEvents(model string, words ...string) string {
	var b strings.Builder
	b.WriteString(chunk(model, `{"role":"assistant","content":"","refusal":null}`, ""))
	for _, w := range words {
		b.WriteString(word(model, w))
	}
	b.WriteString(chunk(model, `{}`, "stop"))
	return b.String()
}

// completionJSON is a legacy text completion; as an event of a stream it has the same shape.
func completionJSON(model, text, finish string) string {
	return fmt.Sprintf(`{"id":"cmpl-1","object":"text_completion","created":1764000000,"model":%q,"choices":[{"text":%q,"index":0,"logprobs":null,"finish_reason":%s}],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}`, model, text, finish)
}

func embeddingJSON(model string) string {
	return fmt.Sprintf(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.0023064255,-0.009327292,-0.0028842222]},{"object":"embedding","index":1,"embedding":[1e-7,0.5,-1]}],"model":%q,"usage":{"prompt_tokens":8,"total_tokens":8}}`, model)
}

// responseJSON is a response of the Responses API with one message.
func responseJSON(model, status, text string) string {
	output := "[]"
	usage := "null"
	if status == "completed" {
		output = fmt.Sprintf(`[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":%q}]}]`, text)
		usage = `{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":43}`
	}
	return fmt.Sprintf(`{"id":"resp_1","object":"response","created_at":1764000000,"status":%q,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":%q,"output":%s,"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":%s,"user":null,"metadata":{}}`, status, model, output, usage)
}

// responseEvents is a whole stream of the Responses API, one string an event.
func responseEvents(model string, words ...string) []string {
	var events []string
	add := func(kind, rest string) {
		events = append(events, fmt.Sprintf("event: %s\ndata: {\"type\":%q,\"sequence_number\":%d,%s}\n\n", kind, kind, len(events), rest))
	}
	text := strings.Join(words, "")
	add("response.created", `"response":`+responseJSON(model, "in_progress", ""))
	add("response.in_progress", `"response":`+responseJSON(model, "in_progress", ""))
	add("response.output_item.added", `"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}`)
	add("response.content_part.added", `"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}`)
	for _, w := range words {
		add("response.output_text.delta", fmt.Sprintf(`"item_id":"msg_1","output_index":0,"content_index":0,"delta":%q,"logprobs":[]`, w))
	}
	add("response.output_text.done", fmt.Sprintf(`"item_id":"msg_1","output_index":0,"content_index":0,"text":%q,"logprobs":[]`, text))
	add("response.content_part.done", fmt.Sprintf(`"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":%q}`, text))
	add("response.output_item.done", fmt.Sprintf(`"output_index":0,"item":{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":%q}],"role":"assistant"}`, text))
	add("response.completed", `"response":`+responseJSON(model, "completed", text))
	return events
}

// errorJSON is an error as OpenAI words it.
func errorJSON(message, kind, code string) string {
	quoted := "null"
	if code != "" {
		quoted = strconv.Quote(code)
	}
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%s}}`, message, kind, quoted)
}

// playJSON answers with a JSON body.
func playJSON(status int, body string, lines ...string) func(*exchange) {
	return func(x *exchange) { x.json(status, body, lines...) }
}

// playSSE answers with an event stream, each piece a chunk of its own.
func playSSE(pieces ...string) func(*exchange) {
	return func(x *exchange) {
		x.sse()
		for _, p := range pieces {
			x.chunk(p)
		}
		x.end()
	}
}

// chatBody asks for a chat completion; more is further JSON members, comma first.
func chatBody(model, more string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Say hello"}]%s}`, model, more)
}

// streamBody asks for a chat stream without its usage.
func streamBody(model string) string { return chatBody(model, `,"stream":true`) }
