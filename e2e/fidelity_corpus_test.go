package e2e

import (
	"fmt"
	"strings"
)

// answerCase is an answer as some provider might send it. @M@ stands for the model
// name, which the client sees as the one it asked for, and @N@ for the provider's
// name in places where it must stay. What stands between @USAGE[ and ]@ is the
// event that only a client that asked for usage may see.
type answerCase struct {
	path string // default chatPath
	body string
	long bool // too long to be split at every byte
	asks bool // the client asks for usage
	// tail is what the gateway may add: ends of lines that the provider left out.
	tail string
}

const role = `data: {"id":"c","object":"chat.completion.chunk","model":"@M@","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`

const finish = `data: {"id":"c","model":"@M@","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`

const usage = `data: {"id":"c","model":"@M@","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`

// lines joins lines of an event stream, each ended by end.
func lines(end string, ls ...string) string { return strings.Join(ls, end) + end }

// streamCorpus is answered to requests with "stream":true.
var streamCorpus = map[string]answerCase{
	"as OpenAI sends it":              {body: lines("\n", role, "", word1("Hi"), "", finish, "", "@USAGE["+usage, "", "]@data: [DONE]", "")},
	"as OpenAI sends it, usage asked": {asks: true, body: lines("\n", role, "", finish, "", usage, "", "data: [DONE]", "")},
	"CRLF line ends":                  {body: lines("\r\n", role, "", word1("Hi"), "", finish, "", "@USAGE["+usage, "", "]@data: [DONE]", "")},
	"lone CR line ends":               {body: lines("\r", role, "", word1("Hi"), "", finish, "", "@USAGE["+usage, "", "]@data: [DONE]", "")},
	"mixed line ends":                 {body: role + "\r\n\n" + word1("Hi") + "\n\r\n" + word1("you") + "\r\r" + finish + "\n\n" + "@USAGE[" + usage + "\r\n\r\n]@data: [DONE]\n\n"},
	"no space after the colon":        {body: lines("\n", strings.Replace(role, ": ", ":", 1), "", strings.Replace(finish, ": ", ":", 1), "", "@USAGE["+strings.Replace(usage, ": ", ":", 1), "", "]@data:[DONE]", "")},
	"two spaces after the colon":      {body: lines("\n", strings.Replace(role, ": ", ":  ", 1), "", finish, "", "data: [DONE]", "")},
	"comments everywhere":             {body: lines("\n", ": OPENROUTER PROCESSING", "", ": OPENROUTER PROCESSING", "", ":", "", role, ": inside", "", ":x", "", finish, "", ": keep-alive", "", "data: [DONE]", "")},
	"fields of every kind":            {body: lines("\n", "event: message", "id: 41", role, "", "retry: 3000", "unknown: field", "id", finish, "vendor", "", "data: [DONE]", "")},
	"JSON over several data lines": {body: lines("\n", `data: {`, `data:   "model":`, `data: "@M@"`, `data: ,"choices":[`, `data: {"index":0,"delta":{"content":"x"},"finish_reason":null}`, `data:]}`, "",
		finish, "", `@USAGE[data: {"choices":[],`, `data: "usage":{"prompt_tokens":1,`, `data: "completion_tokens":2}}`, "", "]@data: [DONE]", "")},
	"decoys of the model":          {body: lines("\n", `data: {"choices":[{"index":0,"delta":{"content":"\"model\":\"@N@\"","model":"@N@"},"finish_reason":null}],"x":{"model":"@N@","usage":{}},"model":"@M@"}`, "", finish, "", "data: [DONE]", "")},
	"escapes around the model":     {body: lines("\n", `data: {"a":"\\","mod\u0065l":"@M@","choices":[{"index":0,"delta":{"content":"\ud83c\udf0d\ud800 \"\\"},"finish_reason":null}]}`, "", finish, "", "data: [DONE]", "")},
	"raw unicode":                  {body: lines("\n", `data: {"model":"@M@","choices":[{"index":0,"delta":{"content":"é漢🌍`+"\u2028\u2029"+`"},"finish_reason":null}]}`, "", finish, "", "data: [DONE]", "")},
	"numbers that no float holds":  {body: lines("\n", `data: {"n":12345678901234567890123,"m":1e400,"o":-0.0,"model":"@M@","choices":[{"index":0,"delta":{},"logprobs":{"x":-1.5e-400},"finish_reason":null}]}`, "", finish, "", "data: [DONE]", "")},
	"no model at all":              {body: lines("\n", `data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`, "", "data: [DONE]", "")},
	"a null model":                 {body: lines("\n", `data: {"model":null,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`, "", "data: [DONE]", "")},
	"an empty model":               {body: lines("\n", `data: {"id":"","model":"@M@","choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, "", finish, "", "data: [DONE]", "")},
	"no choices but no usage":      {body: lines("\n", `data: {"model":"@M@","choices":[],"usage":null}`, "", finish, "", "data: [DONE]", "")},
	"usage beside the last choice": {body: lines("\n", `data: {"model":"@M@","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`, "", "data: [DONE]", "")},
	"usage in another key order":   {body: lines("\n", role, "", finish, "", `@USAGE[data: { "usage" : { "prompt_tokens" : 1 } , "choices" : [ ] }`, "", "]@data: [DONE]", "")},
	"usage without choices":        {body: lines("\n", role, "", finish, "", `@USAGE[data: {"id":"c","model":"@M@","usage":{"prompt_tokens":1}}`, "", "]@data: [DONE]", "")},
	"usage with null for choices":  {body: lines("\n", role, "", finish, "", `@USAGE[data: {"choices":null,"model":"@M@","usage":{"prompt_tokens":1}}`, "", "]@data: [DONE]", "")},
	"a bare data line":             {body: lines("\n", "data", `data: {"model":"@M@","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}`, "data", "", finish, "", "data: [DONE]", "")},
	"an error in mid-stream":       {body: lines("\n", role, "", `data: {"type": "error", "error": {"message": "no", "code": 500}}`, "")},
	"an error event":               {body: lines("\n", role, "", "event: error", `data: {"message": "no"}`, "")},
	"talk of errors":               {body: lines("\n", `data: {"error":null,"model":"@M@","choices":[{"index":0,"delta":{"content":"\"error\": {}"},"finish_reason":null}]}`, "", finish, "", "data: [DONE]", "")},
	"no blank line after DONE":     {body: lines("\n", role, "", finish, "", "data: [DONE]"), tail: "\n"},
	"no line end after DONE":       {body: strings.TrimSuffix(lines("\n", role, "", finish, "", "data: [DONE]"), "\n"), tail: "\n\n"},
	"many blank lines":             {body: lines("\n", "", "", role, "", "", "", finish, "", "", "data: [DONE]", "")},
	"a chunk that is no object":    {body: lines("\n", `data: ["x"]`, "", "data: 17", "", finish, "", "data: [DONE]", "")},
	"a megabyte in one event":      {long: true, body: lines("\n", role, "", word1(strings.Repeat("naïve 🌍 漢 \\\"q\\\" ", 50_000)), "", finish, "", "@USAGE["+usage, "", "]@data: [DONE]", "")},
	"a thousand events":            {long: true, body: strings.Repeat(word1("é🌍 ")+"\n\n", 1000) + lines("\n", finish, "", "@USAGE["+usage, "", "]@data: [DONE]", "")},
	"a thousand CRLF events":       {long: true, body: strings.Repeat(word1("漢 ")+"\r\n\r\n", 1000) + lines("\r\n", finish, "", "@USAGE["+usage, "", "]@data: [DONE]", "")},
	"a legacy completion":          {path: completionsPath, body: lines("\n", `data: {"id":"c","object":"text_completion","choices":[{"text":"x","index":0,"logprobs":null,"finish_reason":"length"}],"model":"@M@"}`, "", `@USAGE[data: {"id":"c","choices":[],"model":"@M@","usage":{"total_tokens":3}}`, "", "]@data: [DONE]", "")},
	"a response":                   {path: responsesPath, body: responseText()},
	"a whole response":             {path: responsesPath, long: true, body: strings.ReplaceAll(strings.Join(responseEvents("@M@", "Hel", "lo 🌍"), ""), `"item":{`, `"item":{"model":"@N@",`)},
}

func word1(content string) string {
	return fmt.Sprintf(`data: {"id":"c","model":"@M@","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}`, content)
}

func responseText() string {
	return lines("\n",
		"event: response.created", `data: {"type":"response.created","sequence_number":0,"response":{"id":"r","model":"@M@","x":{"model":"@N@"}}}`, "",
		"event: response.output_text.delta", `data: {"type":"response.output_text.delta","sequence_number":1,"delta":"é","item":{"model":"@N@"}}`, "",
		"event: response.completed", `data: {"type":"response.completed","sequence_number":2,"response":{"model":"@M@","status":"completed","usage":{"input_tokens":1,"output_tokens":2}}}`, "")
}

// plainCorpus is answered, as JSON, to requests that do not stream.
var plainCorpus = map[string]answerCase{
	"compact":                 {body: `{"id":"c","model":"@M@","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`},
	"pretty-printed":          {body: "{\r\n\t\"id\" : \"c\" ,\r\n\t\"choices\" : [ ] ,\r\n\t\"model\" : \"@M@\"\r\n}\r\n"},
	"the model first":         {body: `{"model":"@M@","usage":{"prompt_tokens":1}}`},
	"decoys":                  {body: `{"choices":[{"message":{"content":"{\"model\":\"@N@\"}","model":"@N@"}}],"x":[{"model":"@N@"}],"Model":"@N@","model":"@M@","y":"model"}`},
	"big numbers and escapes": {body: `{"n":12345678901234567890123,"m":1e400,"s":"\ud800\u0000\/é🌍","mod\u0065l":"@M@"}`},
	"no model":                {body: `{"object":"list","data":[]}`},
	"a null model":            {body: `{"model":null}`},
	"an array":                {body: `[{"model":"@N@"}]`},
	"not JSON at all":         {body: `{"model":"@N@`},
	"a large answer":          {long: true, body: `{"data":[{"embedding":[` + strings.Repeat("0.0023064255,-0.009327292,", 80_000) + `1]}],"model":"@M@","usage":{"prompt_tokens":8}}`},
	"an embedding":            {path: embeddingsPath, body: `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1e-7,-0.009327292]}],"model":"@M@","usage":{"prompt_tokens":8,"total_tokens":8}}`},
	"a legacy completion":     {path: completionsPath, body: `{"id":"c","choices":[{"text":"x","index":0,"finish_reason":"stop"}],"model":"@M@"}`},
	"a response":              {path: responsesPath, body: `{"id":"r","object":"response","model":"@M@","output":[{"type":"message","model":"@N@"}],"usage":{"input_tokens":1,"output_tokens":2}}`},
}

// sent is the answer as the provider named model sends it.
func (c answerCase) sent(model string) string {
	return strings.NewReplacer("@M@", model, "@N@", model, "@USAGE[", "", "]@", "").Replace(c.body)
}

// received is the answer as a client that asked for asked has to get it.
func (c answerCase) received(model, asked string) string {
	body := c.body
	for {
		before, rest, found := strings.Cut(body, "@USAGE[")
		if !found {
			break
		}
		_, after, _ := strings.Cut(rest, "]@")
		body = before + after
	}
	return strings.NewReplacer("@M@", asked, "@N@", model).Replace(body)
}

// request is a body that asks model for the answer.
func (c answerCase) request(model string, stream bool) string {
	more := ""
	if stream {
		more = `,"stream":true`
	}
	if c.asks {
		more += `,"stream_options":{"include_usage":true}`
	}
	return fmt.Sprintf(`{"model":%q,"input":"hi","prompt":"hi","messages":[]%s}`, model, more)
}
