package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// reply is what a model answers, in no dialect. Each vendor writes it in its own.
type reply struct {
	thinking string
	text     []string // as the stream cuts it
	calls    []toolUse
	cut      bool // the longest answer allowed was too short for it
	usage    tokens
}

// toolUse is a call of a tool. What it is given arrives in pieces where the vendor has it so.
type toolUse struct{ id, name, input string }

// tokens are counts as OpenAI counts: the input has cached and written in it, the output
// the reasoning.
type tokens struct{ in, cached, written, out, reasoning int }

// usual is the usage of a reply that does not matter.
var usual = tokens{in: 100, cached: 60, written: 10, out: 20, reasoning: 5}

func (r reply) tokens() tokens {
	if r.usage == (tokens{}) {
		return usual
	}
	return r.usage
}

// say is a reply of text, cut as given.
func say(text ...string) reply { return reply{text: text} }

// quote is s as JSON.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// signature is what a vendor signs its thinking with: it can tell whether that comes back
// as it was.
func signature(vendor, text string) string {
	sum := sha256.Sum256([]byte(vendor + "\x00" + text))
	return base64.StdEncoding.EncodeToString(append([]byte("Ep"), sum[:]...))
}

// halves cuts s in two, to the byte.
func halves(s string) []string { return []string{s[:len(s)/2], s[len(s)/2:]} }

// anthropicUsage is a usage as Anthropic counts, with these output tokens.
func (u tokens) anthropicUsage(output int) string {
	return fmt.Sprintf(`{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation":{"ephemeral_5m_input_tokens":%[2]d,"ephemeral_1h_input_tokens":0},"output_tokens":%[4]d,"output_tokens_details":{"thinking_tokens":%[5]d},"service_tier":"standard","inference_geo":"not_available"}`,
		u.in-u.cached-u.written, u.written, u.cached, output, min(u.reasoning, output))
}

func (r reply) anthropicStop() string {
	switch {
	case r.cut:
		return "max_tokens"
	case len(r.calls) > 0:
		return "tool_use"
	}
	return "end_turn"
}

const anthropicID = "msg_01XFDUDYJgAACzvnptvVoYEL"

// anthropic is the reply as Anthropic's API answers.
func (r reply) anthropic(model string) string {
	var blocks []string
	if r.thinking != "" {
		blocks = append(blocks, fmt.Sprintf(`{"type":"thinking","thinking":%s,"signature":%q}`, quote(r.thinking), signature("anthropic", r.thinking)))
	}
	if len(r.text) > 0 {
		blocks = append(blocks, `{"type":"text","text":`+quote(strings.Join(r.text, ""))+`}`)
	}
	for _, c := range r.calls {
		blocks = append(blocks, fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%q,"input":%s}`, c.id, c.name, c.input))
	}
	u := r.tokens()
	return fmt.Sprintf(`{"model":%q,"id":%q,"type":"message","role":"assistant","content":[%s],"stop_reason":%q,"stop_sequence":null,"usage":%s}`,
		model, anthropicID, strings.Join(blocks, ","), r.anthropicStop(), u.anthropicUsage(u.out))
}

// anthropicEvent is an event with the spaces with which Anthropic hides the length of what is in it.
func anthropicEvent(kind, rest string) string {
	if rest != "" {
		rest = "," + rest
	}
	pad := strings.Repeat(" ", 3+len(rest)%9)
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + rest + pad + "}\n\n"
}

// anthropicEvents is the reply as Anthropic's API streams it.
func (r reply) anthropicEvents(model string) []string {
	u := r.tokens()
	events := []string{anthropicEvent("message_start", fmt.Sprintf(`"message":{"model":%q,"id":%q,"type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":%s}`,
		model, anthropicID, u.anthropicUsage(1)))}
	n := 0
	block := func(start string, deltas ...string) {
		events = append(events, anthropicEvent("content_block_start", fmt.Sprintf(`"index":%d,"content_block":%s`, n, start)))
		if n == 0 {
			events = append(events, "event: ping\ndata: {\"type\": \"ping\"}\n\n")
		}
		for _, d := range deltas {
			events = append(events, anthropicEvent("content_block_delta", fmt.Sprintf(`"index":%d,"delta":%s`, n, d)))
		}
		events = append(events, anthropicEvent("content_block_stop", fmt.Sprintf(`"index":%d`, n)))
		n++
	}
	if r.thinking != "" {
		cut := halves(r.thinking)
		block(`{"type":"thinking","thinking":"","signature":""}`,
			`{"type":"thinking_delta","thinking":`+quote(cut[0])+`}`, `{"type":"thinking_delta","thinking":`+quote(cut[1])+`}`,
			`{"type":"signature_delta","signature":`+quote(signature("anthropic", r.thinking))+`}`)
	}
	if len(r.text) > 0 {
		var deltas []string
		for _, s := range r.text {
			deltas = append(deltas, `{"type":"text_delta","text":`+quote(s)+`}`)
		}
		block(`{"type":"text","text":""}`, deltas...)
	}
	for _, c := range r.calls {
		deltas := []string{`{"type":"input_json_delta","partial_json":""}`}
		if c.input != "{}" {
			for _, s := range halves(c.input) {
				deltas = append(deltas, `{"type":"input_json_delta","partial_json":`+quote(s)+`}`)
			}
		}
		block(fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%q,"input":{}}`, c.id, c.name), deltas...)
	}
	return append(events,
		anthropicEvent("message_delta", fmt.Sprintf(`"delta":{"stop_reason":%q,"stop_sequence":null},"usage":%s`, r.anthropicStop(), u.anthropicUsage(u.out))),
		anthropicEvent("message_stop", ""))
}

// chatUsage is a usage as OpenAI counts.
func (u tokens) chatUsage() string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,"audio_tokens":0,"cache_write_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
		u.in, u.out, u.in+u.out, u.cached, u.written, u.reasoning)
}

func (r reply) chatFinish() string {
	switch {
	case r.cut:
		return "length"
	case len(r.calls) > 0:
		return "tool_calls"
	}
	return "stop"
}

// chat is the reply as OpenAI's API answers, indented as that does it.
func (r reply) chat(model string) string {
	content, calls, reasoning := "null", "", ""
	if len(r.text) > 0 {
		content = quote(strings.Join(r.text, ""))
	}
	if r.thinking != "" { // OpenAI's own models keep it to themselves, others say it
		reasoning = `,"reasoning_content":` + quote(r.thinking)
	}
	for i, c := range r.calls {
		if i > 0 {
			calls += ","
		}
		calls += fmt.Sprintf(`{"id":%q,"type":"function","function":{"name":%q,"arguments":%s}}`, c.id, c.name, quote(c.input))
	}
	if calls != "" {
		calls = `,"tool_calls":[` + calls + `]`
	}
	return indented(fmt.Sprintf(`{"id":"chatcmpl-D1","object":"chat.completion","created":1764000000,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%s%s%s,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":%q}],"usage":%s,"service_tier":"default","system_fingerprint":"fp_1"}`,
		model, content, reasoning, calls, r.chatFinish(), r.tokens().chatUsage()))
}

// chatEvents is the reply as OpenAI's API streams it.
func (r reply) chatEvents(model string) []string {
	head := fmt.Sprintf(`data: {"id":"chatcmpl-D1","object":"chat.completion.chunk","created":1764000000,"model":%q,"service_tier":"default","system_fingerprint":"fp_1"`, model)
	var events []string
	add := func(delta, finish string) {
		events = append(events, head+`,"choices":[{"index":0,"delta":`+delta+`,"logprobs":null,"finish_reason":`+finish+`}],"usage":null,"obfuscation":"`+strings.Repeat("x", len(delta)%7)+"\"}\n\n")
	}
	add(`{"role":"assistant","content":"","refusal":null}`, "null")
	if r.thinking != "" {
		for _, s := range halves(r.thinking) {
			add(`{"reasoning_content":`+quote(s)+`}`, "null")
		}
	}
	for _, s := range r.text {
		add(`{"content":`+quote(s)+`}`, "null")
	}
	for i, c := range r.calls {
		add(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]}`, i, c.id, c.name), "null")
		for _, s := range halves(c.input) {
			add(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, i, quote(s)), "null")
		}
	}
	add(`{}`, quote(r.chatFinish()))
	return append(events, head+`,"choices":[],"usage":`+r.tokens().chatUsage()+",\"obfuscation\":\"\"}\n\n", doneEvent)
}

// geminiParts are the parts of the reply. The stream has one text part for each cut.
func (r reply) geminiParts() (parts []string) {
	if r.thinking != "" {
		parts = append(parts, `{"text":`+quote(r.thinking)+`,"thought":true}`)
	}
	for _, s := range r.text {
		parts = append(parts, `{"text":`+quote(s)+`}`)
	}
	for i, c := range r.calls {
		part := fmt.Sprintf(`{"functionCall":{"name":%q,"args":%s}`, c.name, c.input)
		if i == 0 { // of parallel calls the first is signed for all
			part += `,"thoughtSignature":` + quote(signature("gemini", c.name))
		}
		parts = append(parts, part+"}")
	}
	return parts
}

// geminiAnswer is a GenerateContentResponse with these parts.
func (r reply) geminiAnswer(model, finish string, parts ...string) string {
	u := r.tokens()
	if finish != "" {
		finish = `"finishReason":` + quote(finish) + `,`
	}
	return fmt.Sprintf(`{"candidates":[{"content":{"parts":[%s],"role":"model"},%s"index":0}],"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d,"cachedContentTokenCount":%d,"promptTokensDetails":[{"modality":"TEXT","tokenCount":%[3]d}],"thoughtsTokenCount":%[7]d},"modelVersion":%[8]q,"responseId":"mAITaLmkHPPlz7IPvtfUqQ4"}`,
		strings.Join(parts, ","), finish, u.in, u.out-u.reasoning, u.in+u.out, u.cached, u.reasoning, model)
}

func (r reply) geminiFinish() string {
	if r.cut {
		return "MAX_TOKENS"
	}
	return "STOP"
}

// gemini is the reply as Google's API answers, indented as that does it.
func (r reply) gemini(model string) string {
	r.text = []string{strings.Join(r.text, "")}
	if r.text[0] == "" {
		r.text = nil
	}
	return indented(r.geminiAnswer(model, r.geminiFinish(), r.geminiParts()...))
}

// geminiEvents is the reply as Google's API streams it: what is called comes whole, the end with the
// last part or with an empty text.
func (r reply) geminiEvents(model string) (events []string) {
	parts := r.geminiParts()
	if len(r.calls) == 0 {
		parts = append(parts, `{"text":""}`)
	}
	for i, p := range parts {
		finish := ""
		if i == len(parts)-1 {
			finish = r.geminiFinish()
		}
		events = append(events, "data: "+r.geminiAnswer(model, finish, p)+"\r\n\r\n")
	}
	return events
}

func indented(compact string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(compact), "", "  "); err != nil {
		panic(err)
	}
	return b.String() + "\n"
}
