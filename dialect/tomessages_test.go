package dialect

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

const (
	asked     = `"messages":[{"role":"user","content":"Hi"}]`
	askedAs   = `"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
	user      = `{"role":"user","content":"Hi"}`
	userAs    = `{"role":"user","content":[{"type":"text","text":"Hi"}]}`
	askedTool = asked + `,"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]`
	toolsAs   = `"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}},{"name":"g","input_schema":{"type":"object","properties":{}}}]`
	calledF   = `{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	calledFAs = `{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{}}]}`
	historyAs = `"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"none"}`
	schemaF   = `"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"b":{"type":"integer"},"a":{"const":1.50}},"additionalProperties":false}}}`
	schemaAs  = `{"type":"object","properties":{"b":{"type":"integer"},"a":{"const":1.50}},"additionalProperties":false}`
)

// toMessages is a request of chat completions, without its braces, and what becomes of it. In want {} are added, and
// the model and max_tokens 4096 unless it has a max_tokens.
type toMessages struct {
	name, body, want string
	adjusted         []string
}

func checkToMessages(t *testing.T, target Target, tests []toMessages) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Translate(Chat, Messages, []byte("\n {"+test.body+"} "), &target)
			if err != nil {
				t.Fatalf("%v (%#v)", err, err)
			}
			want := `{"model":"` + target.Model + `",`
			if !strings.HasPrefix(test.want, `"max_tokens"`) {
				want += `"max_tokens":4096,`
			}
			want += test.want + `}`
			if string(got.Body) != want {
				t.Errorf("\n got %s\nwant %s", got.Body, want)
			}
			if !slices.Equal(got.Adjusted, test.adjusted) {
				t.Errorf("adjusted %q, want %q", got.Adjusted, test.adjusted)
			}
			if name := got.Body[got.ModelSpan.Start:got.ModelSpan.End]; string(name) != Quote(target.Model) {
				t.Errorf("the model is at %s", name)
			}
			if !json.Valid(got.Body) {
				t.Error("it is not JSON")
			}
		})
	}
}

// TestChatToMessagesTurns has a row or more for each of protocols.md a.1 that is about messages.
func TestChatToMessagesTurns(t *testing.T) {
	t.Parallel()
	checkToMessages(t, Target{Model: "claude-sonnet-4-5"}, []toMessages{
		{"a string", asked, askedAs, nil},
		{"what the system says first", `"messages":[{"role":"system","content":"A"},{"role":"developer","content":[{"type":"text","text":"B","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"Hi"}]`,
			`"system":[{"type":"text","text":"A"},{"type":"text","text":"B","cache_control":{"type":"ephemeral"}}],` + askedAs, nil},
		{"what the system says later keeps its place", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"},{"role":"system","content":"S"},{"role":"user","content":"U"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"Ho"}]},{"role":"user","content":[{"type":"text","text":"S"},{"type":"text","text":"U"}]}]`, nil},
		{"ISS: the system between a call and its result", `"messages":[` + calledF + `,{"role":"system","content":"S"},{"role":"tool","tool_call_id":"c1","content":"R"}]`,
			`"messages":[` + calledFAs + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"R"},{"type":"text","text":"S"}]}],` + historyAs, nil},
		{"ISS: empty texts of the system", `"messages":[{"role":"system","content":""},{"role":"system","content":"  "},{"role":"system","content":[{"type":"text","text":""},{"type":"text","text":"A"},{"type":"text","text":"\n"}]},{"role":"user","content":"Hi"}]`,
			`"system":[{"type":"text","text":"A"}],` + askedAs, nil},
		{"nobody but the system", `"messages":[{"role":"system","content":"A"}]`, `"messages":[{"role":"user","content":[{"type":"text","text":"A"}]}]`, nil},
		{"ISS: empty texts of the user", `"messages":[{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"x"},{"type":"text","text":" "}]}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":" "}]}]`, nil},
		{"an empty message beside one that is not", `"messages":[{"role":"user","content":""},{"role":"user","content":"Hi"}]`, askedAs, nil},
		{"ISS: no text beside a call", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"name":"f","arguments":""}}]},{"role":"tool","tool_call_id":"c1","content":"R"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},` + calledFAs + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"R"}]}],` + historyAs, nil},
		{"an assistant that says nothing", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":" "},{"role":"user","content":"Ho"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"text","text":"Ho"}]}]`, nil},
		{"a prefill", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"{"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"{"}]}]`, nil},
		{"a prefill of nothing but space", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":" \n"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`, nil},
		{"a refusal", `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"refusal":"No."},{"role":"assistant","content":[{"type":"refusal","refusal":"Never."}]},{"role":"user","content":"Why?"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"No."},{"type":"text","text":"Never."}]},{"role":"user","content":[{"type":"text","text":"Why?"}]}]`, nil},
		{"ISS: arguments stay exact", `"messages":[{"role":"assistant","content":"So:","tool_calls":[{"id":"call.1","type":"function","function":{"name":"f","arguments":" {\"n\":12345678901234567890,\"f\":1.10,\"a\":{\"z\":1,\"b\":2}} "}}]}]`,
			`"messages":[{"role":"assistant","content":[{"type":"text","text":"So:"},{"type":"tool_use","id":"call_2e1","name":"f","input":{"n":12345678901234567890,"f":1.10,"a":{"z":1,"b":2}}}]}],` + historyAs, nil},
		{"ISS: all results in one turn, then what the user says", `"messages":[{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}},{"id":"c2","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"1"},{"role":"user","content":"Hi"},{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"2"}]}]`,
			`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{}},{"type":"tool_use","id":"c2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"1"},{"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":"2"}]},{"type":"text","text":"Hi"}]}],` + historyAs, nil},
		{"results that are empty", `"messages":[{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}},{"id":"c2","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":""},{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":""}],"is_error":true,"cache_control":{"type":"ephemeral"}}]`,
			`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{}},{"type":"tool_use","id":"c2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":""},{"type":"tool_result","tool_use_id":"c2","content":[],"is_error":true,"cache_control":{"type":"ephemeral"}}]}],` + historyAs, nil},
		{"a result with an image", `"messages":[` + calledF + `,{"role":"tool","tool_call_id":"c1","content":[{"type":"image_url","image_url":{"url":"https://h/a.png"}}]}]`,
			`"messages":[` + calledFAs + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"image","source":{"type":"url","url":"https://h/a.png"}}]}]}],` + historyAs, nil},
		{"ISS: a result of no call", `"messages":[{"role":"tool","tool_call_id":"c9","content":"lost"},{"role":"tool","tool_call_id":"c8","content":""},{"role":"user","content":"Hi"}]`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"lost"},{"type":"text","text":"Hi"}]}]`, nil},
		{"a second result of a call, and one of an earlier turn", `"messages":[` + calledF + `,{"role":"tool","tool_call_id":"c1","content":"1"},{"role":"tool","tool_call_id":"c1","content":"2"},{"role":"assistant","content":"Ho"},{"role":"tool","tool_call_id":"c1","content":"3"}]`,
			`"messages":[` + calledFAs + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"1"},{"type":"text","text":"2"}]},{"role":"assistant","content":[{"type":"text","text":"Ho"}]},{"role":"user","content":[{"type":"text","text":"3"}]}],` + historyAs, nil},
		{"functions, the deprecated form", `"messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"2"}],"functions":[{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{}}}}],"function_call":{"name":"f"}`,
			`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"call_f","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_f","content":"1"}]},{"role":"assistant","content":[{"type":"tool_use","id":"call_f_2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_f_2","content":"2"}]}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{}}}}],"tool_choice":{"type":"tool","name":"f"}`, nil},
		{"names", `"messages":[{"role":"user","name":"Ann","content":"Hi"}]`, askedAs, []string{"messages.name"}},
		{"texts are passed as they were written", `"messages":[{"role":"user","content":"caf\u00e9 <b>\/\n\ud83d\ude00"}]`, `"messages":[{"role":"user","content":[{"type":"text","text":"caf\u00e9 <b>\/\n\ud83d\ude00"}]}]`, nil},
		{"ISS: no space at the end of what is to be gone on with", `"messages":[` + user + `,{"role":"assistant","content":"So \u00e9:\n\t\u00a0 "}]`, `"messages":[` + userAs + `,{"role":"assistant","content":[{"type":"text","text":"So é:"}]}]`, []string{"messages[1].content"}},
		{"nor a text of it alone", `"messages":[` + user + `,{"role":"assistant","content":[{"type":"text","text":"So: "},{"type":"text","text":" "}]}]`, `"messages":[` + userAs + `,{"role":"assistant","content":[{"type":"text","text":"So:"}]}]`, []string{"messages[1].content"}},
		{"where it is not the end it stays", `"messages":[{"role":"assistant","content":"So: "},` + user + `]`, `"messages":[{"role":"assistant","content":[{"type":"text","text":"So: "}]},` + userAs + `]`, nil},
		{"without it nothing changes", `"messages":[` + user + `,{"role":"assistant","content":"So\u003a"}]`, `"messages":[` + userAs + `,{"role":"assistant","content":[{"type":"text","text":"So\u003a"}]}]`, nil},
		{"ISS: thinking comes first, as it was", `"messages":[{"role":"assistant","content":"So:","reasoning_content":"hm","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}}],"thinking_blocks":[{"type":"thinking", "signature":"s\/1","thinking":"<hm> 1.0"},{"type":"redacted_thinking","data":"xx"},{"type":"thinking","thinking":"of another","signature":""},{"type":"thinking","thinking":"of another","signature":"gemini:x"}]},{"role":"tool","tool_call_id":"c1","content":"R"}]`,
			`"messages":[{"role":"assistant","content":[{"type":"thinking", "signature":"s\/1","thinking":"<hm> 1.0"},{"type":"redacted_thinking","data":"xx"},{"type":"text","text":"So:"},{"type":"tool_use","id":"c1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"R"}]}],` + historyAs, nil},
		{"thinking as parts", `"messages":[{"role":"assistant","content":[{"type":"text","text":"So:"},{"type":"thinking","thinking":"hm","signature":"s"}]}]`,
			`"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"So:"}]}]`, nil},
		{"cache_control of a message", `"messages":[{"role":"system","content":"A","cache_control":{"type":"ephemeral","ttl":"1h"}},{"role":"user","content":[{"type":"text","text":"B"},{"type":"text","text":""}],"cache_control":{"type":"ephemeral"}},{"role":"assistant","content":"C","cache_control":{"type":"ephemeral"},"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}}]},{"role":"user","content":[{"type":"text","text":"D","cache_control":{"type":"ephemeral"}}],"cache_control":{"type":"ephemeral","ttl":"1h"}}]`,
			`"system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":[{"type":"text","text":"B","cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":[{"type":"text","text":"C"},{"type":"tool_use","id":"c1","name":"f","input":{},"cache_control":{"type":"ephemeral"}}]},{"role":"user","content":[{"type":"text","text":"D","cache_control":{"type":"ephemeral"}}]}],` + historyAs, nil},
	})
}

func TestChatToMessagesMedia(t *testing.T) {
	t.Parallel()
	part := func(part, want string) (body, as string) {
		return `"messages":[{"role":"user","content":[` + part + `]}]`, `"messages":[{"role":"user","content":[` + want + `]}]`
	}
	var tests []toMessages
	for _, test := range [][3]string{
		{"an image by URL", `{"type":"image_url","image_url":{"url":"https://h/a?b=1","detail":"high"}}`, `{"type":"image","source":{"type":"url","url":"https://h/a?b=1"}}`},
		{"an image as a bare URL", `{"type":"image_url","image_url":"https://h/a"}`, `{"type":"image","source":{"type":"url","url":"https://h/a"}}`},
		{"an image in base64", `{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk+\/w=="},"cache_control":{"type":"ephemeral"}}`, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk+/w=="},"cache_control":{"type":"ephemeral"}}`},
		{"a JPEG by its other name", `{"type":"image_url","image_url":{"url":"data:image/JPG;charset=x;base64,aGk="}}`, `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"aGk="}}`},
		{"a PDF as an image", `{"type":"image_url","image_url":{"url":"data:application/pdf;base64,aGk="}}`, `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aGk="}}`},
		{"a PDF by URL", `{"type":"image_url","image_url":{"url":"https://h/a.PDF?b"}}`, `{"type":"document","source":{"type":"url","url":"https://h/a.PDF?b"}}`},
		{"a PDF as a file", `{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,aGk="}}`, `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aGk="},"title":"a.pdf"}`},
		{"an image as a file", `{"type":"file","file":{"filename":"a.png","file_data":"data:image/png;base64,aGk="}}`, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}`},
	} {
		body, want := part(test[1], test[2])
		tests = append(tests, toMessages{test[0], body, want, nil})
	}
	checkToMessages(t, Target{Model: "claude-sonnet-4-5"}, tests)
}

func TestChatToMessagesTools(t *testing.T) {
	t.Parallel()
	with := func(choice string) string { return askedTool + `,` + choice }
	as := func(choice string) string { return askedAs + `,` + toolsAs + `,"tool_choice":` + choice }
	checkToMessages(t, Target{Model: "claude-sonnet-4-5"}, []toMessages{
		{"a tool", asked + `,"tools":[{"type":"function","cache_control":{"type":"ephemeral"},"function":{"name":"f","description":"d","parameters":{"$schema":"s","type":"object","properties":{"b":{"$ref":"#/$defs/x"},"a":{"maximum":1.50}},"$defs":{"x":{}},"additionalProperties":false}}}]`,
			askedAs + `,"tools":[{"name":"f","description":"d","input_schema":{"$schema":"s","type":"object","properties":{"b":{"$ref":"#/$defs/x"},"a":{"maximum":1.50}},"$defs":{"x":{}},"additionalProperties":false},"cache_control":{"type":"ephemeral"}}]`, nil},
		{"ISS: schemas that lack what is required, no description", asked + `,"tools":[{"type":"function","function":{"name":"a","description":null}},{"type":"function","function":{"name":"b","description":"","parameters":{}}},{"type":"function","function":{"name":"c","parameters":{"type":"object"}}},{"type":"function","function":{"name":"d","parameters":{"properties":{"x":{}}}}},{"type":"function","function":{"name":"e","parameters":{"type":null,"properties":null,"$id":"x"}}}]`,
			askedAs + `,"tools":[{"name":"a","input_schema":{"type":"object","properties":{}}},{"name":"b","input_schema":{"type":"object","properties":{}}},{"name":"c","input_schema":{"type":"object","properties":{}}},{"name":"d","input_schema":{"type":"object","properties":{"x":{}}}},{"name":"e","input_schema":{"type":"object","properties":{},"$id":"x"}}]`, nil},
		{"ISS: strict, without what the decoder refuses", asked + `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"array","maxItems":3}}}}},{"type":"function","function":{"name":"g","strict":false}}]`,
			askedAs + `,"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"array","description":"{maxItems: 3}"}},"additionalProperties":false},"strict":true},{"name":"g","input_schema":{"type":"object","properties":{}}}]`, nil},
		{"no choice", askedTool, askedAs + `,` + toolsAs, nil},
		{"auto", with(`"tool_choice":"auto"`), as(`{"type":"auto"}`), nil},
		{"none", with(`"tool_choice":"none","parallel_tool_calls":false`), as(`{"type":"none"}`), nil},
		{"required", with(`"tool_choice":"required"`), as(`{"type":"any"}`), nil},
		{"a function", with(`"tool_choice":{"type":"function","function":{"name":"g"}}`), as(`{"type":"tool","name":"g"}`), nil},
		{"one at a time, ISS: without a choice", with(`"parallel_tool_calls":false`), as(`{"type":"auto","disable_parallel_tool_use":true}`), nil},
		{"one at a time, required", with(`"tool_choice":"required","parallel_tool_calls":false`), as(`{"type":"any","disable_parallel_tool_use":true}`), nil},
		{"one at a time, a function", with(`"tool_choice":{"type":"function","function":{"name":"g"}},"parallel_tool_calls":false`), as(`{"type":"tool","name":"g","disable_parallel_tool_use":true}`), nil},
		{"several at a time", with(`"parallel_tool_calls":true`), askedAs + `,` + toolsAs, nil},
		{"one at a time, without tools", asked + `,"parallel_tool_calls":false,"tool_choice":"auto"`, askedAs, nil},
		{"some tools", with(`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"g"}}]}}`),
			askedAs + `,"tools":[{"name":"g","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"auto"}`, nil},
		{"one of some tools", with(`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"x"}}]}},"parallel_tool_calls":false`),
			askedAs + `,"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}`, nil},
		{"search", asked + `,"web_search_options":{"search_context_size":"low","user_location":{"type":"approximate","approximate":{"city":"Oslo","country":"NO"}}}`,
			askedAs + `,"tools":[{"type":"web_search_20250305","name":"web_search","user_location":{"type":"approximate","city":"Oslo","country":"NO"}}]`, []string{"web_search_options.search_context_size"}},
		{"search beside functions that must not be called", askedTool + `,"web_search_options":{},"tool_choice":"none"`, askedAs + `,` + toolsAs + `,"tool_choice":{"type":"none"}`, []string{"web_search_options"}},
		{"search anywhere", asked + `,"web_search_options":{}`, askedAs + `,"tools":[{"type":"web_search_20250305","name":"web_search"}]`, nil},
	})
	checkToMessages(t, Target{Model: "claude-sonnet-4-0"}, []toMessages{
		{"strict, of a model that is not", asked + `,"tools":[{"type":"function","function":{"name":"f","strict":true}}]`,
			askedAs + `,"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}]`, []string{"tools.strict"}},
	})
}

func TestChatToMessagesParameters(t *testing.T) {
	t.Parallel()
	checkToMessages(t, Target{Model: "claude-sonnet-4-0"}, []toMessages{
		{"max_tokens", asked + `,"max_tokens":10`, `"max_tokens":10,` + askedAs, nil},
		{"max_completion_tokens goes before", asked + `,"max_completion_tokens":20,"max_tokens":10`, `"max_tokens":20,` + askedAs, nil},
		{"no tokens warm the cache", asked + `,"max_tokens":0`, `"max_tokens":0,` + askedAs, nil},
		{"sampling", asked + `,"temperature":0.70,"top_p":0.9,"top_k":40`, askedAs + `,"temperature":0.70,"top_p":0.9,"top_k":40`, nil},
		{"temperature above 1", asked + `,"temperature":1.5`, askedAs + `,"temperature":1`, []string{"temperature"}},
		{"nothing but the defaults", asked + `,"temperature":1,"top_p":1.0`, askedAs + `,"temperature":1`, nil},
		{"stop", asked + `,"stop":"a"`, askedAs + `,"stop_sequences":["a"]`, nil},
		{"ISS: stops of space", asked + `,"stop":["a","\n","<b>"]`, askedAs + `,"stop_sequences":["a","\u003cb\u003e"]`, []string{"stop"}},
		{"no stop", asked + `,"stop":[]`, askedAs, nil},
		{"stream", asked + `,"stream":true,"stream_options":{"include_usage":true}`, askedAs + `,"stream":true`, nil},
		{"user", asked + `,"user":"u-1"`, askedAs + `,"metadata":{"user_id":"u-1"}`, nil},
		{"ISS: user is an address", asked + `,"user":"a@example.com"`, askedAs, []string{"user"}},
		{"ISS: user is a phone number", asked + `,"user":"+1 (555) 123-4567"`, askedAs, []string{"user"}},
		{"a tier", asked + `,"service_tier":"auto"`, askedAs + `,"service_tier":"auto"`, nil},
		{"the default tier", asked + `,"service_tier":"default"`, askedAs + `,"service_tier":"standard_only"`, nil},
		{"another tier", asked + `,"service_tier":"flex"`, askedAs, []string{"service_tier"}},
		{"what there is no counterpart for", asked + `,"n":1,"logprobs":false,"top_logprobs":0,"modalities":["text"],"seed":1,"frequency_penalty":0.1,"presence_penalty":0.1,"logit_bias":{},"prediction":{},"safety_identifier":"s","prompt_cache_key":"k","store":true,"metadata":{"a":"b"},"made_up":null`,
			askedAs, []string{"seed", "frequency_penalty", "presence_penalty", "logit_bias", "prediction", "safety_identifier", "prompt_cache_key", "store", "metadata"}},
		{"text", asked + `,"response_format":{"type":"text"}`, askedAs, nil},
		{"json_object", asked + `,"response_format":{"type":"json_object"}`, `"system":[{"type":"text","text":` + jsonObject + `}],` + askedAs, []string{"response_format"}},
		{"a schema, of a model that has to call a tool", asked + `,` + schemaF, askedAs + `,"tools":[{"name":"json","description":"Give the answer through this tool.","input_schema":` + schemaAs + `}],"tool_choice":{"type":"tool","name":"json","disable_parallel_tool_use":true}`, nil},
		{"a schema beside tools", asked + `,"tools":[{"type":"function","function":{"name":"json"}}],` + schemaF,
			askedAs + `,"tools":[{"name":"json","input_schema":{"type":"object","properties":{}}},{"name":"json_answer","description":"Give the answer through this tool.","input_schema":` + schemaAs + `}],"tool_choice":{"type":"any"}`, nil},
		{"a schema beside tools that must not be called", askedTool + `,"tool_choice":"none",` + schemaF,
			askedAs + `,` + strings.TrimSuffix(toolsAs, "]") + `,{"name":"json","description":"Give the answer through this tool.","input_schema":` + schemaAs + `}],"tool_choice":{"type":"tool","name":"json","disable_parallel_tool_use":true}`, nil},
		{"a schema beside a tool that must be called", askedTool + `,"tool_choice":"required",` + schemaF, askedAs + `,` + toolsAs + `,"tool_choice":{"type":"any"}`, nil},
		{"a schema and thinking", asked + `,"reasoning_effort":"low",` + schemaF, askedAs + `,"tools":[{"name":"json","description":"Give the answer through this tool.","input_schema":` + schemaAs + `}],"tool_choice":{"type":"tool","name":"json","disable_parallel_tool_use":true}`, []string{"reasoning_effort"}},
	})
	checkToMessages(t, Target{Model: "claude-haiku-4-5", MaxOutput: 64000}, []toMessages{
		{"the model's maximum", asked, `"max_tokens":64000,` + askedAs, nil},
		{"a schema, of a model that can be held to one", asked + `,` + schemaF, `"max_tokens":64000,` + askedAs + `,"output_config":{"format":{"type":"json_schema","schema":` + schemaAs + `}}`, nil},
		{"temperature or top_p", asked + `,"temperature":0.5,"top_p":0.9`, `"max_tokens":64000,` + askedAs + `,"temperature":0.5`, []string{"top_p"}},
		{"top_p, and the default temperature", asked + `,"temperature":1.0,"top_p":0.9`, `"max_tokens":64000,` + askedAs + `,"top_p":0.9`, nil},
	})
	checkToMessages(t, Target{Model: "claude-opus-4-7"}, []toMessages{
		{"no sampling", asked + `,"temperature":0.5,"top_p":0.9,"top_k":4`, askedAs, []string{"temperature", "top_p", "top_k"}},
		{"sampling at its defaults", asked + `,"temperature":1,"top_p":1`, askedAs, nil},
	})
}

func TestChatToMessagesThinking(t *testing.T) {
	t.Parallel()
	effort := func(e string) string { return asked + `,"reasoning_effort":"` + e + `"` }
	budget := func(limit, n string) string {
		return `"max_tokens":` + limit + `,` + askedAs + `,"thinking":{"type":"enabled","budget_tokens":` + n + `}`
	}
	adaptive := func(e string) string {
		return askedAs + `,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"` + e + `"}`
	}
	changed := []string{"reasoning_effort"}
	call := func(id string, thought ...string) string {
		return `{"role":"assistant","content":null,"thinking_blocks":[` + strings.Join(thought, "") + `],"tool_calls":[{"id":"` + id + `","function":{"name":"f","arguments":"{}"}}]}`
	}
	callAs := func(id string, thought ...string) string {
		return `{"role":"assistant","content":[` + strings.Join(thought, "") + `{"type":"tool_use","id":"` + id + `","name":"f","input":{}}]}`
	}
	result := func(id string) string { return `{"role":"tool","tool_call_id":"` + id + `","content":"R"}` }
	resultAs := func(id, more string) string {
		return `{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + id + `","content":"R"}` + more + `]}`
	}
	const so, soAs = `{"role":"user","content":"so"}`, `,{"type":"text","text":"so"}`
	turns := func(all ...string) string { return `"messages":[` + strings.Join(all, ",") + `]` }
	const low, thinksLow = `"reasoning_effort":"low",`, `"max_tokens":5120,`
	const budgetLow = `,` + historyAs + `,"thinking":{"type":"enabled","budget_tokens":1024}`
	for model, tests := range map[string][]toMessages{
		"claude-sonnet-4-5": {
			{"it has thought before its first call, and not before the second", low + turns(user, call("a", thoughtA), result("a"), call("b"), result("b"), call("c"), result("c")),
				thinksLow + turns(userAs, callAs("a", thoughtA+","), resultAs("a", ""), callAs("b"), resultAs("b", ""), callAs("c"), resultAs("c", "")) + budgetLow, nil},
			{"it has not before the first", low + turns(user, call("a"), result("a"), call("b", thoughtA), result("b")),
				turns(userAs, callAs("a"), resultAs("a", ""), callAs("b", thoughtA+","), resultAs("b", "")) + `,` + historyAs, changed},
			{"nor since the user has spoken", low + turns(user, call("a", thoughtA), result("a"), so, call("b"), result("b")),
				turns(userAs, callAs("a", thoughtA+","), resultAs("a", soAs), callAs("b"), resultAs("b", "")) + `,` + historyAs, changed},
			{"the user speaks at the end", low + turns(user, call("a", thoughtA), result("a"), call("b"), result("b"), so),
				thinksLow + turns(userAs, callAs("a", thoughtA+","), resultAs("a", ""), callAs("b"), resultAs("b", soAs)) + budgetLow, nil},
			{"minimal", effort("minimal"), budget("5120", "1024"), nil},
			{"low", effort("low"), budget("5120", "1024"), nil},
			{"medium", effort("medium"), budget("6144", "2048"), nil},
			{"high", effort("high"), budget("8192", "4096"), nil},
			{"xhigh", effort("xhigh"), budget("12288", "8192"), nil},
			{"max", effort("max"), budget("20480", "16384"), nil},
			{"none", effort("none"), askedAs, nil},
			{"a limit below the budget", effort("high") + `,"max_completion_tokens":3000`, budget("3000", "1500"), changed},
			{"a limit just above the smallest budget", effort("high") + `,"max_completion_tokens":1500`, budget("1500", "1024"), changed},
			{"a limit below any budget", effort("high") + `,"max_completion_tokens":1000`, `"max_tokens":1000,` + askedAs, changed},
			{"sampling beside it", effort("low") + `,"temperature":0.5,"top_p":0.9,"top_k":5`, budget("5120", "1024"), []string{"temperature", "top_p", "top_k"}},
			{"the default temperature beside it", effort("low") + `,"temperature":1`, budget("5120", "1024"), nil},
			{"thinking as Anthropic has it", asked + `,"thinking":{"type":"enabled", "budget_tokens":9000}`, `"max_tokens":13096,` + askedAs + `,"thinking":{"type":"enabled", "budget_tokens":9000}`, nil},
			{"with an effort", effort("low") + `,"thinking":{"type":"enabled","budget_tokens":9000}`, budget("13096", "9000"), changed},
			{"a call without its thinking", `"reasoning_effort":"high","messages":[` + calledF + `,{"role":"tool","tool_call_id":"c1","content":"R"}]`,
				`"messages":[` + calledFAs + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"R"}]}],` + historyAs, changed},
		},
		"claude-sonnet-4-6": {
			{"high", effort("high"), askedAs + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}`, nil},
			{"xhigh, which it has not", effort("xhigh"), askedAs + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}`, changed},
			{"a tool that must be called", askedTool + `,"tool_choice":{"type":"function","function":{"name":"f"}},"reasoning_effort":"high"`,
				askedAs + `,` + toolsAs + `,"tool_choice":{"type":"tool","name":"f"},"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}`, nil},
			{"a tool that must be called, and thinking as Anthropic has it", askedTool + `,"tool_choice":"required","thinking":{"type":"adaptive"}`, askedAs + `,` + toolsAs + `,"tool_choice":{"type":"any"},"thinking":{"type":"adaptive"}`, nil},
			{"with a schema", effort("minimal") + `,` + schemaF, askedAs + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{"type":"json_schema","schema":` + schemaAs + `}}`, nil},
			{"thinking as Anthropic has it, with an effort", effort("max") + `,"thinking":{"type":"adaptive"}`, askedAs + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}`, nil},
			{"thinking is off, with an effort", effort("max") + `,"thinking":{"type":"disabled"}`, askedAs + `,"thinking":{"type":"disabled"}`, changed},
		},
		"claude-opus-4-8": {
			{"xhigh", effort("xhigh"), adaptive("xhigh"), nil}, {"none", effort("none"), askedAs, nil},
		},
		"claude-opus-5": {
			{"max", effort("max"), adaptive("max"), nil}, {"ISS: none", effort("none"), askedAs + `,"thinking":{"type":"disabled"}`, nil},
			{"a tool that must be called", askedTool + `,"tool_choice":"required"`, askedAs + `,` + toolsAs + `,"tool_choice":{"type":"any"},"thinking":{"type":"disabled"}`, nil},
			{"a tool that must be called, with an effort", askedTool + `,"tool_choice":"required","reasoning_effort":"low"`,
				askedAs + `,` + toolsAs + `,"tool_choice":{"type":"any"},"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}`, nil},
		},
		"claude-sonnet-5":   {{"none", effort("none"), askedAs + `,"thinking":{"type":"disabled"}`, nil}},
		"claude-sonnet-5-5": {{"none", effort("none"), askedAs + `,"thinking":{"type":"between_tools"}`, nil}},
		"claude-opus-5-5":   {{"ISS: none", effort("none"), askedAs + `,"output_config":{"effort":"low"}`, changed}},
		"claude-fable-5":    {{"ISS: none", effort("none"), askedAs + `,"output_config":{"effort":"low"}`, changed}, {"low", effort("low"), adaptive("low"), nil}},
		"claude-3-5-haiku-20241022": {
			{"a model that does not think", effort("high"), askedAs, changed}, {"none", effort("none"), askedAs, nil},
		},
		"deepseek-chat": {{"another vendor's", effort("none"), askedAs + `,"thinking":{"type":"disabled"}`, nil}, {"low", effort("low"), budget("5120", "1024"), nil}},
	} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			checkToMessages(t, Target{Model: model}, tests)
		})
	}
	checkToMessages(t, Target{Model: "claude-sonnet-4-5", MaxOutput: 8192}, []toMessages{
		{"a budget above the model's maximum", effort("max"), budget("8192", "4096"), changed},
	})
}

// TestChatWithoutCounterpart is what Anthropic has nothing of: the error names the parameter.
func TestChatWithoutCounterpart(t *testing.T) {
	t.Parallel()
	content := func(part string) string { return `"messages":[{"role":"user","content":[` + part + `]}]` }
	for _, test := range []struct{ param, code, body string }{
		{"n", "unsupported_parameter", asked + `,"n":2`},
		{"logprobs", "unsupported_parameter", asked + `,"logprobs":true`},
		{"top_logprobs", "unsupported_parameter", asked + `,"top_logprobs":2`},
		{"audio", "unsupported_parameter", asked + `,"audio":{"voice":"a"}`},
		{"modalities", "unsupported_parameter", asked + `,"modalities":["text","audio"]`},
		{"top_k", "invalid_type", asked + `,"top_k":"a"`},
		{"temperature", "invalid_value", asked + `,"temperature":1e999`},
		{"thinking", "invalid_type", asked + `,"thinking":true`},
		{"thinking.budget_tokens", "invalid_type", asked + `,"thinking":{"type":"enabled","budget_tokens":1.5}`},
		{"reasoning_effort", "invalid_value", asked + `,"reasoning_effort":"galactic"`},
		{"response_format", "invalid_type", asked + `,"response_format":"json"`},
		{"response_format.type", "invalid_value", asked + `,"response_format":{"type":"xml"}`},
		{"response_format.json_schema.schema", "missing_required_parameter", asked + `,"response_format":{"type":"json_schema","json_schema":{"name":"a"}}`},
		{"response_format.json_schema.schema", "invalid_type", asked + `,"response_format":{"type":"json_schema","json_schema":{"schema":true}}`},
		{"web_search_options", "invalid_type", asked + `,"web_search_options":true`},
		{"tool_choice", "invalid_value", askedTool + `,"tool_choice":"maybe"`},
		{"tool_choice", "invalid_type", askedTool + `,"tool_choice":7`},
		{"tool_choice.type", "unsupported_parameter", askedTool + `,"tool_choice":{"type":"custom"}`},
		{"tool_choice.function.name", "missing_required_parameter", askedTool + `,"tool_choice":{"type":"function"}`},
		{"tool_choice.allowed_tools.tools", "invalid_value", askedTool + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"x"}}]}}`},
		{"tool_choice.allowed_tools.tools[0]", "invalid_type", askedTool + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":["x"]}}`},
		{"tool_choice", "invalid_value", asked + `,"tool_choice":"required"`},
		{"tool_choice", "unsupported_parameter", askedTool + `,"tool_choice":"required","reasoning_effort":"low"`},
		{"tool_choice", "unsupported_parameter", askedTool + `,"tool_choice":{"type":"function","function":{"name":"f"}},"thinking":{"type":"enabled","budget_tokens":2000}`},
		{"messages", "invalid_value", `"messages":[]`},
		{"messages", "invalid_value", `"model":"x"`},
		{"messages[1].content", "invalid_value", `"messages":[{"role":"assistant","content":"a"},{"role":"user","content":" \n"}]`},
		{"messages[0].content", "invalid_value", `"messages":[{"role":"user","content":[]}]`},
		{"messages[0].content", "invalid_value", `"messages":[{"role":"user"}]`},
		{"messages[0].content[0].type", "unsupported_parameter", `"messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://h/a"}}]}]`},
		{"messages[0].content[1]", "unsupported_parameter", content(`{"type":"text","text":"a"},{"type":"input_audio","input_audio":{}}`)},
		{"messages[0].content[0].type", "unsupported_parameter", content(`{"type":"video_url"}`)},
		{"messages[0].content[0].image_url.url", "invalid_value", content(`{"type":"image_url","image_url":{"url":"data:image/tiff;base64,aGk="}}`)},
		{"messages[0].content[0].image_url.url", "invalid_value", content(`{"type":"image_url","image_url":{"url":"data:image/png,aGk="}}`)},
		{"messages[0].content[0].image_url.url", "invalid_value", content(`{"type":"image_url","image_url":{"url":"http://h/a.png"}}`)},
		{"messages[0].content[0].file.file_id", "unsupported_parameter", content(`{"type":"file","file":{"file_id":"f"}}`)},
		{"messages[0].content[0].file.file_data", "invalid_value", content(`{"type":"file","file":{"file_data":"aGk="}}`)},
		{"messages[0].content[0].file", "invalid_type", content(`{"type":"file"}`)},
		{"messages[0].audio", "unsupported_parameter", `"messages":[{"role":"assistant","audio":{"id":"a"}}]`},
		{"messages[0].tool_calls[0].function.arguments", "invalid_value", `"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"a\":"}}]}]`},
		{"messages[0].tool_calls[0].function.arguments", "invalid_value", `"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}]`},
	} {
		wantChatError(t, "claude-sonnet-4-5", test.param, test.code, test.body)
	}
	for _, model := range []string{"claude-opus-5-5", "claude-fable-5-1", "claude-sonnet-5-5", "claude-mythos-5-1"} {
		wantChatError(t, model, "tool_choice", "unsupported_parameter", askedTool+`,"tool_choice":"required"`)
		wantChatError(t, model, "tool_choice", "unsupported_parameter", askedTool+`,"tool_choice":"required","reasoning_effort":"low"`)
	}
}

func wantChatError(t *testing.T, model, param, code, body string) {
	t.Helper()
	got, err := Translate(Chat, Messages, []byte(`{`+body+`}`), &Target{Model: model})
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		t.Errorf("%s became %s", body, got.Body)
	case !ok || e.Status != 400 || e.Param != param || e.Code != code || !strings.Contains(e.Message, "'"+param):
		t.Errorf("%s: %#v, want %s: %s", body, err, param, code)
	}
}
