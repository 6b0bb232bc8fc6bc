package mock

import (
	"encoding/json"
	"strings"
	"testing"
)

const chatTools = `,"tools":[
	{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
		"properties":{"city":{"type":"string","enum":["Oslo"]},"days":{"type":"integer"},"unit":{"type":"string"}},
		"required":["city","days"]}}},
	{"type":"function","function":{"name":"now"}}]`

func TestToolsAreCalledWhenAskedFor(t *testing.T) {
	t.Parallel()
	const weather = `get_weather {"city": "Oslo", "days": 1}`
	tests := []struct {
		name, message, more string
		want                []string // name and arguments; none for an answer in words
	}{
		{"by nobody", "hello", ``, nil},
		{"by name", "please call:get_weather.", ``, []string{weather}},
		{"with arguments", `call:get_weather({"city": "São (Paulo)"}) now`, ``, []string{`get_weather {"city": "São (Paulo)"}`}},
		{"with empty parentheses", `call:get_weather()`, ``, []string{weather}},
		{"in parallel", `call:now({"tz":1}), call:get_weather and call:now`, ``, []string{`now {"tz":1}`, weather, `now {}`}},
		{"in parallel, which is refused", `call:now, call:get_weather`, `,"parallel_tool_calls":false`, []string{`now {}`}},
		{"of a name that is no tool's", "call:me maybe", ``, nil},
		{"within another word", "recall:now", ``, nil},
		{"against tool_choice", "call:now", `,"tool_choice":"none"`, nil},
		{"by tool_choice", "hello", `,"tool_choice":"required"`, []string{weather}},
		{"by tool_choice, and by name", "call:now", `,"tool_choice":"required"`, []string{`now {}`}},
		{"by a named choice", "call:get_weather", `,"tool_choice":{"type":"function","function":{"name":"now"}}`, []string{`now {}`}},
		{"by a named choice, with arguments", `call:now({"tz":1})`, `,"tool_choice":{"type":"function","function":{"name":"now"}}`, []string{`now {"tz":1}`}},
		{"by a choice of some", "hello", `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"now"}}]}}`, []string{`now {}`}},
		{"outside a choice of some", "call:get_weather", `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"now"}}]}}`, nil},
		{"by tool_choice null", "call:now", `,"tool_choice":null`, []string{`now {}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := ask[chatCompletion](t, quick(), "chat/completions", askFor(tt.message, chatTools+tt.more)).Choices[0]
			if len(c.Message.ToolCalls) != len(tt.want) {
				t.Fatalf("got %s", marshal(c))
			}
			if (c.FinishReason == "tool_calls") != (tt.want != nil) || (c.Message.Content == nil) != (tt.want != nil) {
				t.Errorf("got %s", marshal(c))
			}
			ids := make(map[string]bool)
			for i, call := range c.Message.ToolCalls {
				ids[call.ID] = strings.HasPrefix(call.ID, "call_")
				if got := call.Function.Name + " " + call.Function.Arguments; got != tt.want[i] || call.Type != "function" || !ids[call.ID] {
					t.Errorf("got %s, want %s", marshal(call), tt.want[i])
				}
			}
			if len(ids) != len(tt.want) {
				t.Errorf("the calls have %d ids", len(ids))
			}
		})
	}
}

func TestAConversationThatEndsWithAResultIsAnswered(t *testing.T) {
	t.Parallel()
	c := ask[chatCompletion](t, quick(), "chat/completions", `{"model":"m","messages":[
		{"role":"user","content":"call:now"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"now","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"call_1","content":"12:30"}],"tool_choice":"required"`+chatTools+`}`).Choices[0]
	if c.FinishReason != "stop" || !strings.Contains(*c.Message.Content, `The tool returned: "12:30".`) {
		t.Errorf("got %s", marshal(c))
	}
}

func TestAToolChoiceThatCannotBeMetIsRefused(t *testing.T) {
	t.Parallel()
	for more, message := range map[string]string{
		`,"tool_choice":"required"`:                   `'tool_choice' is only allowed when 'tools' are specified.`,
		chatTools + `,"tool_choice":"must"`:           `Invalid 'tool_choice': 'must'; use none, auto, required or a tool.`,
		chatTools + `,"tool_choice":{"name":"other"}`: `Tool choice 'other' not found in 'tools' parameter.`,
	} {
		status, got := post(t, quick(), "chat/completions", askFor("hi", more))
		if status != 400 {
			t.Errorf("%s: status %d", more, status)
		}
		same(t, got, `{"error":{"message":"`+message+`","type":"invalid_request_error","param":"tool_choice","code":null}}`)
	}
	for _, message := range []string{`call:now({"a":}`, `call:now({"a":1}`, `call:now([1])`, `call:now(1)`, `call:now(`} {
		if status, got := post(t, quick(), "chat/completions", askFor(message, chatTools)); status != 400 {
			t.Errorf("%s: status %d, %s", message, status, got)
		}
	}
}

func TestAToolCallIsStreamedInPieces(t *testing.T) {
	t.Parallel()
	_, stream := post(t, quick(), "chat/completions",
		askFor(`call:now({"city":"Ærøskøbing"}) call:get_weather`, chatTools+`,"stream":true`))
	list := events(t, stream)
	want := []string{
		`{"role":"assistant","content":null,"refusal":null}`,
		`{"tool_calls":[{"index":0,"id":"call_...","type":"function","function":{"name":"now","arguments":""}}]}`,
		`{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}`,
		`{"tool_calls":[{"index":0,"function":{"arguments":"\"Ærøsk"}}]}`,
		`{"tool_calls":[{"index":0,"function":{"arguments":"øbing\"}"}}]}`,
		`{"tool_calls":[{"index":1,"id":"call_...","type":"function","function":{"name":"get_weather","arguments":""}}]}`,
		`{"tool_calls":[{"index":1,"function":{"arguments":"{\"city\":"}}]}`,
		`{"tool_calls":[{"index":1,"function":{"arguments":" \"Oslo\","}}]}`,
		`{"tool_calls":[{"index":1,"function":{"arguments":" \"days\":"}}]}`,
		`{"tool_calls":[{"index":1,"function":{"arguments":" 1}"}}]}`,
		`{}`,
	}
	if len(list) != len(want)+1 {
		t.Fatalf("got %d events: %s", len(list), stream)
	}
	for i, delta := range want {
		var chunk struct {
			Choices []struct {
				Delta        json.RawMessage `json:"delta"`
				FinishReason *string         `json:"finish_reason"`
			} `json:"choices"`
		}
		if err := json.Unmarshal([]byte(list[i].data), &chunk); err != nil {
			t.Fatal(err)
		}
		same(t, chunk.Choices[0].Delta, delta)
		if finish := chunk.Choices[0].FinishReason; (finish != nil) != (delta == `{}`) || finish != nil && *finish != "tool_calls" {
			t.Errorf("event %d: %s", i, list[i].data)
		}
	}
}

func FuzzToolCalls(f *testing.F) {
	f.Add(`call:now({"a":"b (c) \"d\" é"}) call:now`)
	f.Add("call:now(call:now(\x80\x80\x80\x80\x80\x80\x80\x80\x80")
	f.Add("call:now({\"\x80\x80\x80\x80\x80\x80\x80\x80\x80\":1})")
	box := toolbox{functions: []function{{Name: "now"}}, mode: "auto"}
	f.Fuzz(func(t *testing.T, text string) {
		calls, err := box.requested(text, new(random))
		if err != nil {
			return
		}
		for _, c := range calls {
			if !json.Valid([]byte(c.arguments)) || strings.Join(c.pieces, "") != c.arguments {
				t.Errorf("%q: %+v", text, c)
			}
		}
	})
}
