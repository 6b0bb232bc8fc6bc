package dialect

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

// inChat translates a request of Anthropic's messages to one of chat completions.
func inChat(body string, target Target) (*Translation, error) {
	target.Model, target.Shown = "theirs", "smart"
	return Translate(Messages, Chat, []byte(body), &target)
}

// says is a conversation that begins with what the user says.
func says(content string) string { return `"messages":[{"role":"user","content":` + content + `}]` }

const (
	toolF       = `{"name":"f","input_schema":{"type":"object","properties":{}}}`
	chatF       = `{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}`
	usesF       = `{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]}`
	chatCallsF  = `{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	longName    = "mcp__plugin_playwright_playwright__browser_take_a_screenshot_of_the_whole_page"
	longName2   = "mcp__plugin_playwright_playwright__browser_take_a_screenshot_of_the_window"
	shortName   = "mcp__plugin_playwright_playwright__browser_take_a_scree_59786812"
	shortName2  = "mcp__plugin_playwright_playwright__browser_take_a_scree_786473e2"
	longUser    = "user_0af90af90af90af90af90af90af90af90af90af90af90af90af90af90af90af9_account__session_b2"
	hashedUser  = "cf432bde70acc4c419ea00aee274820016ae3c10b95d89c02aaefc9655c96dd6"
	schemaAB    = `{"type":"object","properties":{"b":{"type":"integer","maximum":12345678901234567890},"a":{"type":"string"}},"required":["b","a"],"additionalProperties":false}`
	answerAB    = `"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":` + schemaAB + `,"strict":true}}`
	cacheBlock  = `"cache_control":{"type":"ephemeral"}`
	pngBlock    = `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0K"}}`
	pngPart     = `{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0K"}}`
	pdfSource   = `"source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}`
	thoughtSent = `{"type":"thinking","thinking":"hm\n","signature":"c2ln"}`
)

func TestMessagesToChat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string // without the model and max_tokens
		target     Target
		want       string // without the model; max_completion_tokens is left out where it is 10
		adjusted   string
	}{
		{"a string", says(`"h\u00e9 \u2028"`), Target{}, says(`"h\u00e9 \u2028"`), ""},
		{"blocks of text", says(`[{"type":"text","text":"a"},{"type":"text","text":""},{"type":"text","text":"b","citations":null,` + cacheBlock + `}]`), Target{}, says(`"a\n\nb"`), ""},
		{"an empty message", says(`[]`), Target{}, says(`""`), ""},
		{"system as a string", `"system":"s",` + says(`"a"`), Target{}, `"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]`, ""},
		{"system as blocks, given last and in one message (bifrost#6245)", says(`"a"`) + `,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2;"},{"type":"text","text":"s",` + cacheBlock + `},{"type":"text","text":""},{"type":"text","text":"t\n"}]`, Target{}, `"messages":[{"role":"system","content":"s\n\nt\n"},{"role":"user","content":"a"}]`, ""},
		{"no system", `"system":[],` + says(`"a"`), Target{}, says(`"a"`), ""},
		{"a system message in the midst comes after the results of tools (litellm mid_conversation_system)", `"messages":[{"role":"user","content":"a"},` + usesF + `,{"role":"system","content":"s"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"r"}]}]`, Target{},
			`"messages":[{"role":"user","content":"a"},` + chatCallsF + `,{"role":"tool","content":"r","tool_call_id":"toolu_1"},{"role":"system","content":"s"}]`, ""},
		{"several messages of one role are one turn", `"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]},{"role":"assistant","content":"c"},` + usesF + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1"}]}]`, Target{},
			`"messages":[{"role":"user","content":"a\n\nb"},` + strings.Replace(chatCallsF, "null", `"c"`, 1) + `,{"role":"tool","content":"","tool_call_id":"toolu_1"}]`, ""},
		{"images", says(`[` + pngBlock + `,{"type":"image","source":{"type":"url","url":"https:\/\/example.com\/a.png"}},{"type":"text","text":"?"}]`), Target{},
			says(`[` + pngPart + `,{"type":"image_url","image_url":{"url":"https:\/\/example.com\/a.png"}},{"type":"text","text":"?"}]`), ""},
		{"PDFs", says(`[{"type":"document","title":"Contract",` + pdfSource + `},{"type":"document","context":"c",` + pdfSource + `}]`), Target{},
			says(`[{"type":"file","file":{"filename":"Contract","file_data":"data:application/pdf;base64,JVBERi0="}},{"type":"text","text":"c"},{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]`), ""},
		{"documents of text", says(`[{"type":"document","title":"T","context":"c","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"d\""}},{"type":"document","source":{"type":"content","content":[{"type":"text","text":"e"}]}},{"type":"document","source":{"type":"content","content":"f"}}]`), Target{},
			says(`"T\n\nc\n\nd\"\n\ne\n\nf"`), "messages[0].content[0].citations"},
		{"results of a search of the client's", says(`[{"type":"search_result","source":"https://a/?b","title":"T \"1\"","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}],"citations":{"enabled":true}},{"type":"search_result","source":"kb/1","content":[]},{"type":"text","text":"?"}]`), Target{},
			says(`"T \"1\"\n\nhttps://a/?b\n\nx\n\ny\n\nkb/1\n\n?"`), "messages[0].content[0].citations"},
		{"results of a search by a tool", `"messages":[` + usesF + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"search_result","source":"https://a","title":"T","content":[{"type":"text","text":"x"}]},{"type":"text","text":"y"}]}]}]`, Target{},
			`"messages":[` + chatCallsF + `,{"role":"tool","content":"T\n\nhttps://a\n\nx\n\ny","tool_call_id":"toolu_1"}]`, ""},
		{"results of a search, in a chain", says(`[{"type":"search_result","source":"https://a","title":"T","content":[{"type":"text","text":"x"}],` + cacheBlock + `}]`), Target{Between: true},
			says(`[{"type":"text","text":"T\n\nhttps://a"},{"type":"text","text":"x",` + cacheBlock + `}]`), ""},
		{"calls, whose numbers stay exact, and results, which come first", `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"b"},{"type":"text","text":"c"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"n": 12345678901234567890, "b": 1.10, "a":"\u00e9"}},{"type":"tool_use","id":"toolu_2","name":"g"}]},{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"toolu_2","content":[{"type":"text","text":"2"},{"type":"text","text":"3"}]},{"type":"tool_result","tool_use_id":"toolu_1","content":"1","is_error":false}]}]`, Target{},
			`"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"bc","tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"n\":12345678901234567890,\"b\":1.10,\"a\":\"\\u00e9\"}"}},{"id":"toolu_2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","content":"2\n\n3","tool_call_id":"toolu_2"},{"role":"tool","content":"1","tool_call_id":"toolu_1"},{"role":"user","content":"x"}]`, ""},
		{"results that are errors", `"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}},{"type":"tool_use","id":"2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"no","is_error":true},{"type":"tool_result","tool_use_id":"2","is_error":true}]}]`, Target{},
			`"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"Error: no","tool_call_id":"1"},{"role":"tool","content":"Error","tool_call_id":"2"}]`, ""},
		{"images in results follow them", `"messages":[` + usesF + `,{"role":"user","content":[{"type":"text","text":"so?"},{"type":"tool_result","tool_use_id":"toolu_1","content":[` + pngBlock + `]}]}]`, Target{},
			`"messages":[` + chatCallsF + `,{"role":"tool","content":"The result is in the message that follows.","tool_call_id":"toolu_1"},{"role":"user","content":[{"type":"text","text":"The result of f:"},` + pngPart + `,{"type":"text","text":"so?"}]}]`, ""},
		{"images in results beside text", `"messages":[` + usesF + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"},` + pngBlock + `]}]}]`, Target{},
			`"messages":[` + chatCallsF + `,{"role":"tool","content":"r","tool_call_id":"toolu_1"},{"role":"user","content":[{"type":"text","text":"The result of f:"},` + pngPart + `]}]`, ""},
		{"a result of nothing is what the user says", `"messages":[` + usesF + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"r"},{"type":"tool_result","tool_use_id":"toolu_1","content":"again"},{"type":"tool_result","tool_use_id":"other","content":"s"}]}]`, Target{},
			`"messages":[` + chatCallsF + `,{"role":"tool","content":"r","tool_call_id":"toolu_1"},{"role":"user","content":"again\n\ns"}]`, ""},
		{"thinking is not sent back", `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[` + thoughtSent + `,{"type":"redacted_thinking","data":"x"},{"type":"text","text":"b"}]},{"role":"user","content":"c"},{"role":"assistant","content":[` + thoughtSent + `]},{"role":"user","content":"d"}]`, Target{},
			`"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"user","content":"d"}]`, ""},
		{"but for DeepSeek, beside calls", `"messages":[{"role":"assistant","content":[` + thoughtSent + `,` + usesF[len(`{"role":"assistant","content":[`):len(usesF)-2] + `]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"r"}]}]`, Target{Quirks: &Quirks{ReasoningBack: true}},
			`"messages":[` + strings.Replace(chatCallsF, `"tool_calls"`, `"reasoning_content":"hm\n","tool_calls"`, 1) + `,{"role":"tool","content":"r","tool_call_id":"toolu_1"}]`, ""},
		{"what was begun for the model", `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"{"}]`, Target{}, `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"{"}]`, "messages"},
		{"tools", says(`"a"`) + `,"tools":[{"type":"custom","name":"f","description":"d","input_schema":` + schemaAB + `,"strict":true,` + cacheBlock + `,"input_examples":[{}]},{"name":"g","description":"","input_schema":{"type":"object"}},{"name":"h","description":null,"type":null,"strict":null,"input_schema":{"type":"object","properties":{},"$schema":"s"}}]`, Target{},
			says(`"a"`) + `,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":` + schemaAB + `,"strict":true}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"h","parameters":{"type":"object","properties":{},"$schema":"s"}}}]`, "tools[0].input_examples"},
		{"auto", says(`"a"`) + `,"tools":[` + toolF + `],"tool_choice":{"type":"auto"}`, Target{}, says(`"a"`) + `,"tools":[` + chatF + `],"tool_choice":"auto"`, ""},
		{"any, one at a time", says(`"a"`) + `,"tools":[` + toolF + `],"tool_choice":{"type":"any","disable_parallel_tool_use":true}`, Target{}, says(`"a"`) + `,"tools":[` + chatF + `],"tool_choice":"required","parallel_tool_calls":false`, ""},
		{"any, as Mistral calls it", says(`"a"`) + `,"tools":[` + toolF + `],"tool_choice":{"type":"any"}`, Target{Quirks: &Quirks{RequiredIsAny: true}}, says(`"a"`) + `,"tools":[` + chatF + `],"tool_choice":"any"`, ""},
		{"none", says(`"a"`) + `,"tools":[` + toolF + `],"tool_choice":{"type":"none","disable_parallel_tool_use":true}`, Target{}, says(`"a"`) + `,"tools":[` + chatF + `],"tool_choice":"none"`, ""},
		{"a tool", says(`"a"`) + `,"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":false},"tools":[` + toolF + `]`, Target{}, says(`"a"`) + `,"tools":[` + chatF + `],"tool_choice":{"type":"function","function":{"name":"f"}}`, ""},
		{"a choice without tools", says(`"a"`) + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"tools":[]`, Target{}, says(`"a"`), ""},
		{"names that are too long", `"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"` + longName2 + `","input":{}}]}],"tools":[{"name":"` + longName + `","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"` + longName + `"}`, Target{Between: true},
			`"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"` + shortName2 + `","arguments":"{}"}}]}],"tools":[{"type":"function","function":{"name":"` + shortName + `","parameters":{"type":"object","properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"` + shortName + `"}}`, ""},
		{"sampling, and what OpenAI has no name for", says(`"a"`) + `,"temperature":0.70,"top_p":9e-1,"top_k":40,"stop_sequences":["a","b"],"context_management":{"edits":[]},"cache_control":{"type":"ephemeral"}`, Target{}, says(`"a"`) + `,"temperature":0.70,"top_p":9e-1,"stop":["a","b"]`, "top_k context_management"},
		{"top_k where it is known", says(`"a"`) + `,"top_k":40`, Target{Quirks: &Quirks{Extensions: []string{"top_k"}}}, says(`"a"`) + `,"top_k":40`, ""},
		{"a stream", says(`"a"`) + `,"stream":true`, Target{}, says(`"a"`) + `,"stream":true,"stream_options":{"include_usage":true}`, ""},
		{"no stream, and nulls", says(`"a"`) + `,"stream":false,"thinking":null,"tools":null,"tool_choice":null,"metadata":null,"stop_sequences":null,"system":null,"top_k":null,"output_config":null,"container":null,"mcp_servers":[]`, Target{}, says(`"a"`), ""},
		{"thinking with much of a budget", says(`"a"`) + `,"thinking":{"type":"enabled","budget_tokens":31999}`, Target{}, says(`"a"`) + `,"reasoning_effort":"high"`, ""},
		{"thinking with some", says(`"a"`) + `,"thinking":{"type":"enabled","budget_tokens":2048}`, Target{}, says(`"a"`) + `,"reasoning_effort":"medium"`, ""},
		{"thinking with little", says(`"a"`) + `,"thinking":{"type":"enabled","budget_tokens":1024}`, Target{}, says(`"a"`) + `,"reasoning_effort":"low"`, ""},
		{"thinking that is up to the model", says(`"a"`) + `,"thinking":{"type":"adaptive","display":"omitted"}`, Target{}, says(`"a"`), ""},
		{"thinking between tools only, as Sonnet 5.5 has it", says(`"a"`) + `,"thinking":{"type":"between_tools"}`, Target{}, says(`"a"`), "thinking"},
		{"thinking with an effort", says(`"a"`) + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}`, Target{}, says(`"a"`) + `,"reasoning_effort":"xhigh"`, ""},
		{"an effort without thinking", says(`"a"`) + `,"thinking":{"type":"disabled"},"output_config":{"effort":"low","task_budget":{}}`, Target{}, says(`"a"`), "output_config.task_budget output_config.effort"},
		{"thinking as DeepSeek has it", says(`"a"`) + `,"thinking":{"type":"disabled"}`, Target{Quirks: &Quirks{Extensions: []string{"thinking"}}}, says(`"a"`) + `,"thinking":{"type":"disabled"}`, ""},
		{"thinking as DeepSeek has it, without a budget", says(`"a"`) + `,"thinking":{"type":"enabled","budget_tokens":4096}`, Target{Quirks: &Quirks{Extensions: []string{"thinking"}}}, says(`"a"`) + `,"reasoning_effort":"high","thinking":{"type":"enabled"}`, ""},
		{"a thinking that the server refuses", says(`"a"`) + `,"thinking":{"type":"enabled","budget_tokens":4096}`, Target{Quirks: &Quirks{Refused: []string{"reasoning_effort"}}}, says(`"a"`), "thinking"},
		{"an effort that the server refuses", says(`"a"`) + `,"output_config":{"effort":"low"}`, Target{Quirks: &Quirks{Refused: []string{"reasoning_effort"}}}, says(`"a"`), "output_config.effort"},
		{"a schema, whose bytes stay", says(`"a"`) + `,"output_config":{"format":{"type":"json_schema","schema":` + schemaAB + `}}`, Target{}, says(`"a"`) + `,` + answerAB, ""},
		{"a schema, as it was given before", says(`"a"`) + `,"output_format":{"type":"json_schema","schema":` + schemaAB + `}`, Target{}, says(`"a"`) + `,` + answerAB, ""},
		{"the user", says(`"a"`) + `,"metadata":{"user_id":"u1","odd":1},"service_tier":"auto","inference_geo":"global"`, Target{}, says(`"a"`) + `,"user":"u1"`, ""},
		{"a user that has more bytes than OpenAI takes", says(`"a"`) + `,"metadata":{"user_id":"` + longUser + `"}`, Target{}, says(`"a"`) + `,"user":"` + hashedUser + `"`, "metadata.user_id"},
		{"a user that the server refuses", says(`"a"`) + `,"metadata":{"user_id":"u1"}`, Target{Quirks: &Quirks{Refused: []string{"user"}}}, says(`"a"`), "metadata.user_id"},
		{"the standard tier", says(`"a"`) + `,"service_tier":"standard_only"`, Target{}, says(`"a"`) + `,"service_tier":"default"`, ""},
		{"more tokens than the model has", says(`"a"`), Target{MaxOutput: 4}, says(`"a"`) + `,"max_completion_tokens":4`, "max_tokens"},
		{"as many as it has", says(`"a"`), Target{MaxOutput: 10, Quirks: &Quirks{MaxTokens: true}}, says(`"a"`) + `,"max_tokens":10`, ""},
		{"a signature of Google's comes back", `"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"call_1__sig_c2ln","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1__sig_c2ln","content":"r"}]}]`, Target{Between: true},
			`"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig"}}}]},{"role":"tool","content":[{"type":"text","text":"r"}],"tool_call_id":"call_1"}]`, ""},
		{"and is kept from others", `"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1__sig_c2ln","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1__sig_c2ln","content":"r"}]}]`, Target{},
			`"messages":[` + chatCallsF + `,{"role":"tool","content":"r","tool_call_id":"toolu_1"}]`, ""},
		{"between two translations everything is kept", `"system":[{"type":"text","text":"s",` + cacheBlock + `}],"messages":[{"role":"user","content":[{"type":"text","text":"a",` + cacheBlock + `},{"type":"text","text":"b"},` + pngBlock[:len(pngBlock)-1] + `,` + cacheBlock + `},{"type":"document","source":{"type":"url","url":"https://x/a.PDF?b"}}]},{"role":"assistant","content":[` + thoughtSent + `,{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1",` + cacheBlock + `,"content":[` + pngBlock + `]}]},{"role":"assistant","content":"x"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{}},` + cacheBlock + `}],"thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"effort":"low"},"top_k":4,"odd":1,"stop_sequences":["1","2","3","4","5"],"metadata":{"user_id":"` + longUser + `"},"service_tier":"auto"`, Target{Between: true},
			`"messages":[{"role":"system","content":[{"type":"text","text":"s",` + cacheBlock + `}]},{"role":"user","content":[{"type":"text","text":"a",` + cacheBlock + `},{"type":"text","text":"b"},` + pngPart[:len(pngPart)-1] + `,` + cacheBlock + `},{"type":"image_url","image_url":{"url":"https://x/a.PDF?b"}}]},` + strings.Replace(chatCallsF, `"tool_calls"`, `"thinking_blocks":[`+thoughtSent+`],"tool_calls"`, 1) + `,{"role":"tool","content":[` + pngPart + `],"tool_call_id":"toolu_1",` + cacheBlock + `},{"role":"assistant","content":[{"type":"text","text":"x"}]}],"tools":[` + chatF[:len(chatF)-1] + `,` + cacheBlock + `}],"stop":["1","2","3","4","5"],"reasoning_effort":"low","user":"` + longUser + `","service_tier":"auto","top_k":4,"odd":1,"thinking":{"type":"enabled","budget_tokens":2000}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := inChat(`{"model":"smart","max_tokens":10,`+test.body+`}`, test.target)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(got.Body), `,"max_completion_tokens":10`, "", 1)
			if want := `{"model":"theirs",` + test.want + "}"; text != want || !json.Valid(got.Body) {
				t.Errorf("got  %s\nwant %s", text, want)
			}
			if want := strings.Fields(test.adjusted); !slices.Equal(got.Adjusted, want) {
				t.Errorf("adjusted %q, want %q", got.Adjusted, want)
			}
			if string(got.Body[got.ModelSpan.Start:got.ModelSpan.End]) != `"theirs"` || got.Stream != strings.Contains(test.body, `"stream":true`) {
				t.Errorf("model %v, stream %v", got.ModelSpan, got.Stream)
			}
		})
	}
}

// TestMessagesWithoutCounterpart is that what cannot be expressed is refused, and that the error names where it is, and
// nothing of what the user has said.
func TestMessagesWithoutCounterpart(t *testing.T) {
	t.Parallel()
	for param, body := range map[string]string{
		"max_tokens":                              says(`"a"`),
		"messages":                                `"max_tokens":1,"messages":[]`,
		"max_tokens ":                             says(`"a"`) + `,"max_tokens":"secret"`,
		"messages ":                               `"max_tokens":1,"messages":"secret"`,
		"messages[0]":                             `"max_tokens":1,"messages":["secret"]`,
		"messages[0].role":                        `"max_tokens":1,"messages":[{"role":"secret","content":"a"}]`,
		"messages[0].content":                     `"max_tokens":1,"messages":[{"role":"user"}]`,
		"messages[0].content ":                    `"max_tokens":1,` + says(`7`),
		"messages[0].content[0]":                  `"max_tokens":1,` + says(`["secret"]`),
		"messages[0].content[0].type":             `"max_tokens":1,` + says(`[{"text":"secret"}]`),
		"messages[0].content[0].type ":            `"max_tokens":1,` + says(`[{"type":"container_upload","file_id":"secret"}]`),
		"messages[0].content[0].source  ":         `"max_tokens":1,` + says(`[{"type":"search_result","title":"secret","content":[]}]`),
		"messages[0].content[0].source   ":        `"max_tokens":1,` + says(`[{"type":"search_result","source":{"url":"secret"},"title":"y","content":[]}]`),
		"messages[0].content[0].content[1].type":  `"max_tokens":1,` + says(`[{"type":"search_result","source":"x","title":"y","content":[{"type":"text","text":"secret"},{"type":"audio"}]}]`),
		"messages[0].content[0].type  ":           `"max_tokens":1,` + says(`[{"type":"tool_use","id":"secret","name":"y","input":{}}]`),
		"messages[0].content[0].text":             `"max_tokens":1,` + says(`[{"type":"text","text":7}]`),
		"messages[0].content[0].text ":            `"max_tokens":1,` + says(`[{"type":"text"}]`),
		"messages[0].content[1].source.type":      `"max_tokens":1,` + says(`[{"type":"text","text":"secret"},{"type":"image","source":{"type":"file","file_id":"secret"}}]`),
		"messages[0].content[0].source":           `"max_tokens":1,` + says(`[{"type":"document","source":{"type":"url","url":"https://secret/a.pdf"}}]`),
		"messages[0].content[0].source ":          `"max_tokens":1,` + says(`[{"type":"image"}]`),
		"messages[0].content[0].source.data":      `"max_tokens":1,` + says(`[{"type":"image","source":{"type":"base64","media_type":"secret"}}]`),
		"messages[0].content[0].tool_use_id":      `"max_tokens":1,` + says(`[{"type":"tool_result","content":"secret"}]`),
		"messages[0].content[0].content[0].type":  `"max_tokens":1,` + says(`[{"type":"tool_result","tool_use_id":"x","content":[{"type":"tool_reference","tool_name":"secret"}]}]`),
		"messages[1].content[0].type":             `"max_tokens":1,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"secret"}}]}]`,
		"messages[0].content[0].id":               `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","name":"secret","input":{}}]}]`,
		"messages[0].content[0].input":            `"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"x","name":"secret","input":"secret"}]}]`,
		"system":                                  `"max_tokens":1,"system":7,` + says(`"a"`),
		"system[0].type":                          `"max_tokens":1,"system":[{"type":"image","source":"secret"}],` + says(`"a"`),
		"tools[1].type":                           `"max_tokens":1,"tools":[` + toolF + `,{"type":"web_search_20250305","name":"web_search"}],` + says(`"a"`),
		"tools[0].name":                           `"max_tokens":1,"tools":[{"input_schema":{}}],` + says(`"a"`),
		"tools[0].input_schema":                   `"max_tokens":1,"tools":[{"name":"secret"}],` + says(`"a"`),
		"tool_choice.type":                        `"max_tokens":1,"tools":[` + toolF + `],"tool_choice":{"type":"secret"},` + says(`"a"`),
		"tool_choice.name":                        `"max_tokens":1,"tools":[` + toolF + `],"tool_choice":{"type":"tool"},` + says(`"a"`),
		"stop_sequences":                          `"max_tokens":1,"stop_sequences":["1","2","3","4","secret"],` + says(`"a"`),
		"thinking.type":                           `"max_tokens":1,"thinking":{"type":"secret"},` + says(`"a"`),
		"thinking.budget_tokens":                  `"max_tokens":1,"thinking":{"type":"enabled"},` + says(`"a"`),
		"output_config.effort":                    `"max_tokens":1,"output_config":{"effort":"secret"},` + says(`"a"`),
		"output_config.format.type":               `"max_tokens":1,"output_config":{"format":{"type":"secret"}},` + says(`"a"`),
		"output_config.format.schema":             `"max_tokens":1,"output_config":{"format":{"type":"json_schema"}},` + says(`"a"`),
		"container":                               `"max_tokens":1,"container":"secret",` + says(`"a"`),
		"mcp_servers":                             `"max_tokens":1,"mcp_servers":[{"url":"secret"}],` + says(`"a"`),
		"inference_geo":                           `"max_tokens":1,"inference_geo":"us",` + says(`"a"`),
		"service_tier":                            `"max_tokens":1,"service_tier":"secret",` + says(`"a"`),
		"temperature":                             `"max_tokens":1,"temperature":"secret",` + says(`"a"`),
		"metadata.user_id":                        `"max_tokens":1,"metadata":{"user_id":7},` + says(`"a"`),
		"stream":                                  `"max_tokens":1,"stream":"secret",` + says(`"a"`),
		"messages[0].content[0].content[0].text ": `"max_tokens":1,` + says(`[{"type":"tool_result","tool_use_id":"x","content":[{"type":"text"}]}]`),
	} {
		_, err := inChat(`{`+body+`}`, Target{})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != 400 || told.Type != "invalid_request_error" || !told.Final {
			t.Errorf("%s: %v", param, err)
			continue
		}
		if told.Param != strings.TrimSpace(param) || !strings.Contains(told.Message, strings.TrimSuffix(told.Param, ".type")) || strings.Contains(told.Message, "secret") {
			t.Errorf("%s: the error is about %q: %s", param, told.Param, told.Message)
		}
	}
}

// TestErrorsNameTheClientsParameters is that an error of the second of two translations speaks of what the client
// has sent.
func TestErrorsNameTheClientsParameters(t *testing.T) {
	t.Parallel()
	body := `{"max_tokens":1,"stop_sequences":["1","2","3","4","5","6"],` + says(`"a"`) + `}`
	_, err := Translate(Messages, Gemini, []byte(body), &Target{Model: "gemini-2.5-flash"})
	if told, ok := errors.AsType[*Error](err); !ok || told.Param != "stop_sequences" || !strings.HasPrefix(told.Message, "'stop_sequences' must") {
		t.Errorf("got %v", err)
	}
	body = `{"max_tokens":1,"metadata":{"user_id":"u"},"odd":1,` + says(`"a"`) + `}`
	got, err := Translate(Messages, Gemini, []byte(body), &Target{Model: "gemini-2.5-flash"})
	if err != nil || !slices.Equal(got.Adjusted, []string{"odd", "metadata.user_id"}) {
		t.Errorf("adjusted %q, error %v", got.Adjusted, err)
	}
}

// TestChainIsDoneWithTheProvider is that nothing is missing once the provider has said all, although the client's last
// events come with End.
func TestChainIsDoneWithTheProvider(t *testing.T) {
	t.Parallel()
	for from, body := range map[API]string{
		Messages:  `{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`,
		Responses: `{"model":"m","stream":true,"input":"hi"}`,
	} {
		got, err := Translate(from, Gemini, []byte(body), &Target{Model: "gemini-2.5-flash"})
		if err != nil {
			t.Fatal(err)
		}
		last := sse.Event{HasData: true, Data: []byte(`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}`)}
		if got.Answers.Done() {
			t.Errorf("%s: done before it began", from)
		}
		out, err := got.Answers.Event(nil, last)
		if err != nil || !got.Answers.Done() {
			t.Errorf("%s: error %v, not done after %s", from, err, out)
		}
		if end, err := got.Answers.End(nil); err != nil || len(end) == 0 {
			t.Errorf("%s: error %v, the end is %s", from, err, end)
		}
	}
}
