package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// newOpenAI returns an upstream that validates and answers chat completions as api.openai.com does.
func newOpenAI(t testing.TB) *vendor {
	return &vendor{
		provider: "oai", up: newUpstream(t),
		routes:  func(model string) []string { return []string{model} },
		inspect: inspectOpenAI,
		refusal: func(f offence) (int, string, []string) {
			return 400, indented(fmt.Sprintf(`{"error":{"message":%s,"type":"invalid_request_error","param":%s,"code":"invalid_value"}}`, quote(f.path+": "+f.says), quote(f.path))), nil
		},
		streams: func(_ *exchange, body map[string]any) bool { return body["stream"] == true },
		whole:   reply.chat, events: reply.chatEvents,
		media: "text/event-stream; charset=utf-8",
		lines: []string{"x-request-id: req_9f2c", "openai-processing-ms: 412", "x-ratelimit-limit-requests: 10000", "x-ratelimit-remaining-requests: 9999"},
	}
}

var (
	openAIName     = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	reasoningModel = regexp.MustCompile(`^(o\d|gpt-5)`)
)

const openAIParameters = "!model !messages audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options"

func inspectOpenAI(x *exchange, i *inspection) {
	i.header(x, "Authorization", "Bearer "+upstreamKey)
	i.header(x, "X-Api-Key", "")
	i.header(x, "Anthropic-Version", "")
	i.header(x, "Anthropic-Beta", "")
	i.header(x, "Content-Type", "application/json")
	if !i.check(x.Req.URL.Path == "/v1/chat/completions", "path", "is %s", x.Req.URL.Path) {
		return
	}
	i.check(x.Req.URL.RawQuery == "", "query", "is %q", x.Req.URL.RawQuery)
	i.members("", i.body, openAIParameters)
	o := &openAIInspection{inspection: i, reasoning: reasoningModel.MatchString(i.text("", i.body, "model"))}
	o.tools()
	o.messages()
	o.sampling()
	o.rest()
}

type openAIInspection struct {
	*inspection
	reasoning bool
}

func (o *openAIInspection) tools() {
	tools := o.list("tools", o.body["tools"])
	_, has := o.body["tools"]
	o.check(!has || len(tools) > 0 && len(tools) <= 128, "tools", "between 1 and 128 tools, not %d", len(tools))
	var names []string
	for n, tool := range tools {
		path := join("tools", n)
		o.members(path, tool, "!type !function")
		o.oneOf(path, tool, "type", "function")
		path = join(path, "function")
		f := o.object(path, tool["function"])
		o.members(path, f, "!name description parameters strict")
		o.matches(join(path, "name"), o.text(path, f, "name"), openAIName)
		o.text(path, f, "description")
		if p, ok := f["parameters"]; ok {
			schema := o.object(join(path, "parameters"), p)
			o.check(schema["type"] == "object", join(path, "parameters"), "schema must be a JSON Schema of 'type: \"object\"'")
			o.noNulls(join(path, "parameters"), schema, "enum", "const", "default", "examples")
		}
		names = append(names, fmt.Sprint(f["name"]))
	}
	if choice, ok := o.body["tool_choice"]; ok {
		o.check(has, "tool_choice", "'tool_choice' is only allowed when 'tools' are specified.")
		if s, ok := choice.(string); ok {
			o.check(slices.Contains([]string{"none", "auto", "required"}, s), "tool_choice", "not %q", s)
		} else {
			o.check(slices.Contains(names, fmt.Sprint(at(choice, "function.name"))), "tool_choice", "names no tool")
		}
	}
	_, parallel := o.body["parallel_tool_calls"]
	o.check(has || !parallel, "parallel_tool_calls", "'parallel_tool_calls' is only allowed when 'tools' are specified.")
}

// messages checks that every call of a tool is answered at once, and nothing else is.
func (o *openAIInspection) messages() {
	all := o.list("messages", o.body["messages"])
	o.check(len(all) > 0, "messages", "[] is too short")
	var open []string
	for n, m := range all {
		path := join("messages", n)
		role := o.oneOf(path, m, "role", "developer system user assistant tool")
		if role == "tool" {
			o.members(path, m, "!role !content !tool_call_id")
			id := o.text(path, m, "tool_call_id")
			at := slices.Index(open, id)
			if o.check(at >= 0, path, "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.") {
				open = slices.Delete(open, at, at+1)
			}
			o.content(join(path, "content"), m["content"], "text")
			continue
		}
		o.check(len(open) == 0, path, "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. %v", open)
		switch role {
		case "user":
			o.members(path, m, "!role !content name")
			o.content(join(path, "content"), m["content"], "text image_url input_audio file")
		case "assistant":
			open = o.assistant(path, m)
		default:
			o.members(path, m, "!role !content name")
			o.content(join(path, "content"), m["content"], "text")
		}
	}
	o.check(len(open) == 0, "messages", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. %v", open)
}

// assistant returns the IDs of the calls.
func (o *openAIInspection) assistant(path string, m map[string]any) (ids []string) {
	o.members(path, m, "!role content name refusal audio annotations tool_calls")
	calls := o.list(join(path, "tool_calls"), m["tool_calls"])
	_, has := m["tool_calls"]
	o.check(!has || len(calls) > 0, join(path, "tool_calls"), "[] is too short")
	if m["content"] == nil {
		o.check(has || m["refusal"] != nil, join(path, "content"), "Invalid value for 'content': expected a string, got null.")
	} else {
		o.content(join(path, "content"), m["content"], "text refusal")
	}
	for n, call := range calls {
		path := fmt.Sprintf("%s.tool_calls.%d", path, n)
		o.members(path, call, "!id !type !function")
		o.oneOf(path, call, "type", "function")
		f := o.object(join(path, "function"), call["function"])
		o.members(join(path, "function"), f, "!name !arguments")
		o.matches(join(path, "function.name"), o.text(path, f, "name"), openAIName)
		o.text(join(path, "function"), f, "arguments")
		ids = append(ids, o.text(path, call, "id"))
	}
	return ids
}

// content checks what a message says.
func (o *openAIInspection) content(path string, content any, kinds string) {
	if _, ok := content.(string); ok {
		return
	}
	parts := o.list(path, content)
	o.check(len(parts) > 0, path, "Expected an array with minimum length 1, or a string")
	for n, p := range parts {
		path := join(path, n)
		switch kind := o.oneOf(path, p, "type", kinds); kind {
		case "text", "refusal":
			o.members(path, p, "type !"+kind)
			o.text(path, p, kind)
		case "image_url":
			o.members(path, p, "type !image_url")
			image := o.object(path, p["image_url"])
			o.members(join(path, "image_url"), image, "!url detail")
			url := o.text(path, image, "url")
			if meta, data, ok := strings.Cut(url, ","); ok && strings.HasPrefix(url, "data:") {
				o.check(slices.Contains([]string{"data:image/png;base64", "data:image/jpeg;base64", "data:image/gif;base64", "data:image/webp;base64"}, meta), path, "unsupported image %s", meta)
				o.base64(path, data)
			} else {
				o.check(strings.HasPrefix(url, "http"), path, "Invalid image URL")
			}
		case "file":
			o.members(path, p, "type !file")
			o.members(join(path, "file"), o.object(path, p["file"]), "file_data file_id filename")
		}
	}
}

func (o *openAIInspection) sampling() {
	t, warm := o.number("", o.body, "temperature", 0, 2, false)
	top, tops := o.number("", o.body, "top_p", 0, 1, false)
	if o.reasoning {
		_, old := o.body["max_tokens"]
		o.check(!old, "max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
		o.check(!warm || t == 1, "temperature", "Unsupported value: only the default (1) value is supported")
		o.check(!tops || top == 1, "top_p", "Unsupported parameter")
		o.check(o.body["stop"] == nil, "stop", "Unsupported parameter: 'stop' is not supported with this model.")
	} else if strings.HasPrefix(o.text("", o.body, "model"), "gpt-") {
		o.check(o.body["reasoning_effort"] == nil, "reasoning_effort", "Unsupported parameter: 'reasoning_effort' is not supported with this model")
	}
	o.number("", o.body, "max_tokens", 1, 1e6, true)
	o.number("", o.body, "max_completion_tokens", 1, 1e6, true)
	o.number("", o.body, "frequency_penalty", -2, 2, false)
	o.number("", o.body, "presence_penalty", -2, 2, false)
	o.number("", o.body, "n", 1, 128, true)
	o.number("", o.body, "seed", -9e18, 9e18, true)
	o.oneOf("", o.body, "reasoning_effort", "none minimal low medium high xhigh")
	switch stop := o.body["stop"].(type) {
	case nil, string:
	case []any:
		o.check(len(stop) > 0 && len(stop) <= 4, "stop", "Expected an array with maximum length 4, but got %d", len(stop))
	default:
		o.fault("stop", "Expected a string or an array")
	}
}

func (o *openAIInspection) rest() {
	o.flag("", o.body, "parallel_tool_calls")
	stream := o.flag("", o.body, "stream")
	if raw, ok := o.body["stream_options"]; ok {
		o.check(stream, "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
		o.members("stream_options", o.object("stream_options", raw), "include_usage include_obfuscation")
	}
	o.oneOf("", o.body, "service_tier", "auto default flex scale priority")
	for _, key := range []string{"user", "safety_identifier", "prompt_cache_key"} {
		s := o.text("", o.body, key)
		o.check(len(s) <= 64, key, "string too long. Expected a string with maximum length 64, but got a string with length %d instead.", len(s))
	}
	raw, ok := o.body["response_format"]
	if !ok {
		return
	}
	format := o.object("response_format", raw)
	if o.oneOf("response_format", format, "type", "text json_object json_schema") == "json_schema" {
		o.members("response_format", format, "type !json_schema")
		inner := o.object("response_format.json_schema", format["json_schema"])
		o.members("response_format.json_schema", inner, "!name schema strict description")
		o.matches("response_format.json_schema.name", o.text("response_format", inner, "name"), openAIName)
		if inner["strict"] == true {
			o.check(at(inner, "schema.additionalProperties") == false, "response_format.json_schema.schema", "'additionalProperties' is required to be supplied and to be false.")
			properties, _ := at(inner, "schema.properties").(map[string]any)
			required, _ := at(inner, "schema.required").([]any)
			o.check(len(properties) == len(required), "response_format.json_schema.schema", "'required' is required to be supplied and to be an array including every key in properties.")
		}
	}
}
