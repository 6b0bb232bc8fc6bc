package dialect

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestReadChatRequest(t *testing.T) {
	t.Parallel()
	yes, ten := true, int64(10)
	for name, test := range map[string]struct {
		body string
		want ChatRequest
	}{
		"nothing is given": {` { } `, ChatRequest{}},
		"all is null": {
			`{"messages":[{"role":"user","content":null,"tool_calls":null,"thinking_blocks":null,"name":null,"refusal":null,"cache_control":null,"function_call":null,"other":null}],"tools":null,"functions":null,"tool_choice":null,"function_call":null,"response_format":null,"parallel_tool_calls":null,"stop":null,"stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"temperature":null,"top_p":null,"reasoning_effort":null,"user":null,"service_tier":null,"other":null}`,
			ChatRequest{Messages: []ChatMessage{{Role: "user"}}},
		},
		"parameters": {
			`{"model":"m","tool_choice":"auto","response_format":{"type":"text"},"parallel_tool_calls":true,"stop":["a","b"],"stream":true,"stream_options":{"include_usage":true,"x":1},"max_completion_tokens":10,"max_tokens":20,"temperature":1.0,"top_p":0.50,"reasoning_effort":"low","user":"u","service_tier":"auto","b":[1],"a":2}`,
			ChatRequest{
				Model: "m", ToolChoice: []byte(`"auto"`), ResponseFormat: []byte(`{"type":"text"}`), ParallelToolCalls: &yes, Stop: []string{"a", "b"}, Stream: true, IncludeUsage: true,
				MaxTokens: &ten, LimitName: "max_completion_tokens", Temperature: []byte("1.0"), TopP: []byte("0.50"), ReasoningEffort: "low", User: "u", ServiceTier: "auto", Extra: []Member{{"b", []byte("[1]")}, {"a", []byte("2")}},
			},
		},
		"of what is there twice the last counts": {
			`{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f"}}],"tools":[],"messages":[{"role":"system","content":[{"type":"text","text":"a"}],"content":"d"}]}`,
			ChatRequest{Messages: []ChatMessage{{Role: "system", Text: true, Content: []ChatPart{{Type: "text", Quoted: []byte(`"d"`), Raw: []byte(`"d"`)}}}}},
		},
		"a choice of the deprecated form":   {`{"function_call":"none"}`, ChatRequest{ToolChoice: []byte(`"none"`)}},
		"a function of the deprecated form": {`{"function_call":{"name":"f"}}`, ChatRequest{ToolChoice: []byte(`{"type":"function","function":{"name":"f"}}`)}},
		"a call": {
			`{"messages":[{"role":"assistant","reasoning":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"b\":1}"},"extra_content":{"x":1}}],"x":1},{"role":"tool","tool_call_id":"a","content":[]}]}`,
			ChatRequest{Messages: []ChatMessage{
				{Role: "assistant", ReasoningContent: "hm", ToolCalls: []ChatToolCall{{ID: "a", Name: "f", Arguments: `{"b":1}`, ExtraContent: []byte(`{"x":1}`)}}, Extra: []Member{{"x", []byte("1")}}},
				{Role: "tool", ToolCallID: "a"},
			}},
		},
		"parts": {
			`{"messages":[{"role":"user","content":[{"type":"text","text":"\u0061"},{"type":"image_url","image_url":{"url":"u","detail":"low"}},{"type":"file","file":{"a":1}},{"type":"input_audio","input_audio":{"b":2}},{"type":"x","y":null}]}]}`,
			ChatRequest{Messages: []ChatMessage{{Role: "user", Content: []ChatPart{
				{Type: "text", Quoted: []byte(`"\u0061"`), Raw: []byte(`{"type":"text","text":"\u0061"}`)},
				{Type: "image_url", URL: "u", Detail: "low", Raw: []byte(`{"type":"image_url","image_url":{"url":"u","detail":"low"}}`)},
				{Type: "file", File: []byte(`{"a":1}`), Raw: []byte(`{"type":"file","file":{"a":1}}`)},
				{Type: "input_audio", Audio: []byte(`{"b":2}`), Raw: []byte(`{"type":"input_audio","input_audio":{"b":2}}`)},
				{Type: "x", Raw: []byte(`{"type":"x","y":null}`)},
			}}}},
		},
	} {
		got, err := readChatRequest([]byte(test.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, *got, test.want)
		}
	}
}

// TestChatRequestsOfWrongTypes is that the error names what is wrong, and does not show it.
func TestChatRequestsOfWrongTypes(t *testing.T) {
	t.Parallel()
	message := func(members string) string { return `{"messages":[{"role":"user"},{` + members + `}]}` }
	part := func(members string) string { return message(`"role":"user","content":[{` + members + `}]`) }
	for _, test := range []struct{ param, code, body string }{
		{"body", "invalid_type", `[]`},
		{"body", "invalid_json", `{"a":1`},
		{"model", "invalid_type", `{"model":1}`},
		{"messages", "invalid_type", `{"messages":{}}`},
		{"messages", "invalid_type", `{"messages":null}`},
		{"tools", "invalid_type", `{"tools":{}}`},
		{"tools[0]", "invalid_type", `{"tools":[1]}`},
		{"tools[0].type", "unsupported_tool", `{"tools":[{"type":"custom","custom":{"name":"a"}}]}`},
		{"tools[0].type", "unsupported_tool", `{"tools":[{"type":"web_search"}]}`},
		{"tools[0].function", "invalid_type", `{"tools":[{"type":"function","function":"f"}]}`},
		{"tools[0].function.name", "missing_required_parameter", `{"tools":[{"type":"function","function":{}}]}`},
		{"tools[0].function.description", "invalid_type", `{"tools":[{"type":"function","function":{"name":"f","description":1}}]}`},
		{"tools[0].function.parameters", "invalid_type", `{"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`},
		{"tools[0].function.strict", "invalid_type", `{"tools":[{"type":"function","function":{"name":"f","strict":1}}]}`},
		{"functions[0].name", "missing_required_parameter", `{"functions":[{}]}`},
		{"function_call", "invalid_type", `{"function_call":1}`},
		{"parallel_tool_calls", "invalid_type", `{"parallel_tool_calls":1}`},
		{"stop", "invalid_type", `{"stop":1}`},
		{"stop[1]", "invalid_type", `{"stop":["a",1]}`},
		{"stream", "invalid_type", `{"stream":"true"}`},
		{"stream_options", "invalid_type", `{"stream_options":true}`},
		{"stream_options.include_usage", "invalid_type", `{"stream_options":{"include_usage":1}}`},
		{"max_tokens", "invalid_type", `{"max_tokens":1.5}`},
		{"max_completion_tokens", "invalid_type", `{"max_completion_tokens":"1"}`},
		{"temperature", "invalid_type", `{"temperature":"1"}`},
		{"top_p", "invalid_type", `{"top_p":true}`},
		{"reasoning_effort", "invalid_type", `{"reasoning_effort":1}`},
		{"user", "invalid_type", `{"user":1}`},
		{"messages[0]", "invalid_type", `{"messages":["secret"]}`},
		{"messages[1].role", "missing_required_parameter", message(`"content":"secret"`)},
		{"messages[1].role", "invalid_value", message(`"role":"secret"`)},
		{"messages[1].role", "invalid_type", message(`"role":1`)},
		{"messages[1].name", "invalid_type", message(`"role":"user","name":1`)},
		{"messages[1].content", "invalid_type", message(`"role":"user","content":1`)},
		{"messages[1].content", "invalid_type", message(`"role":"user","content":{"type":"text","text":"secret"}`)},
		{"messages[1].content[0]", "invalid_type", message(`"role":"user","content":["secret"]`)},
		{"messages[1].content[0].type", "missing_required_parameter", part(`"text":"secret"`)},
		{"messages[1].content[0].type", "invalid_type", part(`"type":1`)},
		{"messages[1].content[0].text", "invalid_type", part(`"type":"text","text":["secret"]`)},
		{"messages[1].content[0].image_url", "invalid_type", part(`"type":"image_url","image_url":1`)},
		{"messages[1].content[0].image_url.url", "invalid_type", part(`"type":"image_url","image_url":{"url":1}`)},
		{"messages[1].thinking_blocks", "invalid_type", message(`"role":"assistant","thinking_blocks":"secret"`)},
		{"messages[1].thinking_blocks[0]", "invalid_type", message(`"role":"assistant","thinking_blocks":["secret"]`)},
		{"messages[1].tool_calls", "invalid_type", message(`"role":"assistant","tool_calls":{}`)},
		{"messages[1].tool_calls[0].id", "missing_required_parameter", message(`"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":""}}]`)},
		{"messages[1].tool_calls[0].function.name", "missing_required_parameter", message(`"role":"assistant","tool_calls":[{"id":"a"}]`)},
		{"messages[1].tool_calls[0].function.arguments", "invalid_type", message(`"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":{"secret":1}}}]`)},
		{"messages[1].tool_calls[0].type", "unsupported_tool", message(`"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"f"}}]`)},
		{"messages[1].function_call", "invalid_type", message(`"role":"assistant","function_call":"f"`)},
		{"messages[1].function_call.name", "missing_required_parameter", message(`"role":"assistant","function_call":{}`)},
		{"messages[1].tool_call_id", "missing_required_parameter", message(`"role":"tool","content":"secret"`)},
		{"messages[1].tool_call_id", "invalid_type", message(`"role":"tool","tool_call_id":1`)},
		{"messages[1].name", "missing_required_parameter", message(`"role":"function","content":"secret"`)},
	} {
		_, err := readChatRequest([]byte(test.body))
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != 400 || e.Param != test.param || e.Code != test.code || !strings.Contains(e.Message, "'"+test.param+"'") {
			t.Errorf("%s: %#v, want %s: %s", test.body, err, test.param, test.code)
		} else if strings.Contains(e.Message, "secret") {
			t.Errorf("%s: it says %s", test.body, e.Message)
		}
	}
}
