package dialect

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const (
	goes    = `{"role":"user","content":"go"}`
	callA   = `{"type":"function_call","id":"fc_1","call_id":"a","name":"f","arguments":"{\"x\":1.50}","status":"completed"}`
	callB   = `{"type":"function_call","call_id":"b","name":"g","arguments":"{}"}`
	outputA = `{"type":"function_call_output","call_id":"a","output":"1"}`
	outputB = `{"type":"function_call_output","call_id":"b","output":"2"}`

	chatCallA = `{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1.50}"}}`
	chatCallB = `{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}`
	chatToolA = `{"role":"tool","content":"1","tool_call_id":"a"}`
	chatToolB = `{"role":"tool","content":"2","tool_call_id":"b"}`
)

// thoughtItem is reasoning that carries a block.
func thoughtItem(block string) string {
	return `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"` + carrier([]json.RawMessage{json.RawMessage(block)}) + `"}`
}

const signedThought = `{"type":"thinking","thinking":"hm","signature":"s"}`

// toChat is a request of responses and what it becomes, both without the model.
type toChat struct{ name, body, want string }

func checkToChat(t *testing.T, target Target, tests []toChat) {
	t.Helper()
	target.Model, target.Shown = "m", "smart"
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := respond(t, `{"model":"smart",`+test.body+`}`, &target)
			want := `{"model":"m",` + test.want + `}`
			if got := string(tr.Body); got != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
			if string(tr.Body[tr.ModelSpan.Start:tr.ModelSpan.End]) != `"m"` {
				t.Errorf("the model is at %v", tr.ModelSpan)
			}
		})
	}
}

func TestResponsesToChat(t *testing.T) {
	t.Parallel()
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	checkToChat(t, Target{}, []toChat{
		{"a text", `"input":"hi"`, hi},
		{"instructions come first", `"input":"hi","instructions":"Be brief."`, `"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]`},
		{
			"messages without a type, and with parts",
			`"input":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"input_text","text":"what"},{"type":"input_image","image_url":"https://a/b.png","detail":"low"}]}]`,
			`"messages":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"what"},{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}}]}]`,
		},
		{
			"a file and a sound",
			`"input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="},{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]`,
			`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}},{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]`,
		},
		{
			"a refusal",
			`"input":[` + goes + `,{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"user","content":"why?"}]`,
			`"messages":[` + goes + `,{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"why?"}]`,
		},
		{
			"flat tools are nested",
			`"input":"hi","tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object","z":1.0,"a":2},"strict":true}],"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false`,
			hi + `,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","z":1.0,"a":2},"strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false`,
		},
		{
			"allowed tools",
			`"input":"hi","tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]}`,
			hi + `,"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}`,
		},
		{"a tool_choice that is a word", `"input":"hi","tools":[{"type":"function","name":"f"}],"tool_choice":"required"`, hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"`},
		{
			"a schema, its members in order", `"input":"hi","text":{"format":{"type":"json_schema","name":"n","schema":{"b":1,"a":2},"strict":true},"verbosity":"low"}`,
			hi + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"b":1,"a":2},"strict":true}},"verbosity":"low"`,
		},
		{"an object", `"input":"hi","text":{"format":{"type":"json_object"}}`, hi + `,"response_format":{"type":"json_object"}`},
		{"text", `"input":"hi","text":{"format":{"type":"text"}}`, hi},
		{
			"numbers are exact", `"input":"hi","max_output_tokens":20,"temperature":0.10,"top_p":1e-1,"reasoning":{"effort":"low","summary":"auto"}`,
			hi + `,"max_completion_tokens":20,"temperature":0.10,"top_p":1e-1,"reasoning_effort":"low"`,
		},
		{
			"what names the user", `"input":"hi","user":"u","safety_identifier":"s","prompt_cache_key":"k","service_tier":"flex"`,
			hi + `,"user":"u","service_tier":"flex","safety_identifier":"s","prompt_cache_key":"k"`,
		},
		{"logprobs", `"input":"hi","include":["message.output_text.logprobs"],"top_logprobs":3`, hi + `,"logprobs":true,"top_logprobs":3`},
		{"logprobs without others beside them", `"input":"hi","include":["message.output_text.logprobs"]`, hi + `,"logprobs":true`},
		{"others beside them, which are nothing without", `"input":"hi","top_logprobs":3`, hi + `,"top_logprobs":3,"logprobs":true`},
		{
			"what is for the Responses API alone", `"input":"hi","store":true,"metadata":{"a":"b"},"include":["reasoning.encrypted_content"],"truncation":"disabled","background":false,"top_logprobs":0,"previous_response_id":null,"conversation":null,"stream_options":{"include_obfuscation":false}`,
			hi,
		},
		{"a stream reports its usage", `"input":"hi","stream":true`, hi + `,"stream":true,"stream_options":{"include_usage":true}`},
	})
}

func TestResponsesConversations(t *testing.T) {
	t.Parallel()
	calling := func(content, calls string) string {
		return `{"role":"assistant","content":` + content + `,"tool_calls":[` + calls + `]}`
	}
	const says = `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"ok","annotations":[],"logprobs":[]}]}`
	const picture = `{"type":"input_image","image_url":"https://a/b.png"}`
	const chatPicture = `{"type":"image_url","image_url":{"url":"https://a/b.png"}}`
	with := func(items ...string) string { return `"input":[` + strings.Join(items, ",") + `]` }
	become := func(messages ...string) string { return `"messages":[` + strings.Join(messages, ",") + `]` }
	checkToChat(t, Target{}, []toChat{
		{"parallel calls are one message, with what is said before them", with(goes, says, callA, callB, outputA, outputB), become(goes, calling(`"ok"`, chatCallA+","+chatCallB), chatToolA, chatToolB)},
		{"what is said after them as well", with(goes, callA, says, outputA), become(goes, calling(`"ok"`, chatCallA), chatToolA)},
		{"one after the other", with(goes, callA, outputA, callB, outputB), become(goes, calling("null", chatCallA), chatToolA, calling("null", chatCallB), chatToolB)},
		{"an output directly follows its call", with(goes, callA, callB, outputB, goes, outputA), become(goes, calling("null", chatCallA+","+chatCallB), chatToolB, chatToolA, goes)},
		{
			"an ID may be used again", with(goes, callA, outputA, goes, callA, outputA),
			become(goes, calling("null", chatCallA), chatToolA, goes, calling("null", chatCallA), chatToolA),
		},
		{"two messages stay two", with(goes, says, says), become(goes, `{"role":"assistant","content":"ok"}`, `{"role":"assistant","content":"ok"}`)},
		{"reasoning leaves no trace", with(goes, thoughtItem(signedThought), callA, outputA), become(goes, calling("null", chatCallA), chatToolA)},
		{"reasoning that leads nowhere", with(`{"type":"reasoning","summary":[]}`, goes), become(goes)},
		{
			"an output with parts", with(goes, callA, `{"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]}`),
			become(goes, calling("null", chatCallA), `{"role":"tool","content":"a\n\nb","tool_call_id":"a"}`),
		},
		{
			"pictures of outputs are shown by the user", with(goes, callA, callB, `{"type":"function_call_output","call_id":"a","output":[`+picture+`]}`, outputB, `{"role":"user","content":"so?"}`),
			become(goes, calling("null", chatCallA+","+chatCallB), `{"role":"tool","content":"The result is in the message that follows.","tool_call_id":"a"}`, chatToolB,
				`{"role":"user","content":[{"type":"text","text":"The result of f:"},`+chatPicture+`,{"type":"text","text":"so?"}]}`),
		},
		{
			"also at the end", with(goes, callA, `{"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"1"},`+picture+`]}`),
			become(goes, calling("null", chatCallA), chatToolA, `{"role":"user","content":[{"type":"text","text":"The result of f:"},`+chatPicture+`]}`),
		},
	})
	thought := strings.TrimSuffix(calling("null", chatCallA), `,"tool_calls":[`+chatCallA+`]}`) + `,"reasoning_content":"hm","thinking_blocks":[` + signedThought + `]`
	t.Run("for another translator", func(t *testing.T) {
		t.Parallel()
		checkToChat(t, Target{Between: true}, []toChat{
			{"thinking goes to whoever has thought it", with(goes, thoughtItem(signedThought), callA, outputA), become(goes, thought+`,"tool_calls":[`+chatCallA+`]}`, chatToolA)},
			{
				"in its place", with(goes, says, thoughtItem(signedThought), callA, outputA),
				become(goes, `{"role":"assistant","content":[{"type":"text","text":"ok"}]}`, thought+`,"tool_calls":[`+chatCallA+`]}`, chatToolA),
			},
			{
				"but with the calls that it is among", with(goes, callA, thoughtItem(signedThought), callB, outputA, outputB),
				become(goes, thought+`,"tool_calls":[`+chatCallA+","+chatCallB+`]}`, chatToolA, chatToolB),
			},
			{
				"Gemini's signature of a text belongs to what came before", with(goes, says, `{"type":"reasoning","summary":[],"encrypted_content":"`+carrier([]json.RawMessage{json.RawMessage(`{"type":"thinking","thinking":"","signature":"gemini:text:s"}`)})+`"}`, goes),
				become(goes, `{"role":"assistant","content":[{"type":"text","text":"ok"}],"thinking_blocks":[{"type":"thinking","thinking":"","signature":"gemini:text:s"}]}`, goes),
			},
			{
				"another's reasoning has its text alone", with(goes, `{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"h"},{"type":"reasoning_text","text":"m"}],"encrypted_content":"gAAAA"}`, says),
				become(goes, `{"role":"assistant","content":[{"type":"text","text":"ok"}],"reasoning_content":"hm"}`),
			},
			{
				"pictures of outputs stay there", with(goes, callA, `{"type":"function_call_output","call_id":"a","output":[`+picture+`]}`),
				become(goes, calling("null", chatCallA), `{"role":"tool","content":[`+chatPicture+`],"tool_call_id":"a"}`),
			},
			{"a PDF by its URL", with(`{"role":"user","content":[{"type":"input_file","file_url":"https://a/b.PDF?c"}]}`), become(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.PDF?c"}}]}`)},
		})
	})
	t.Run("for Google's server of chat completions", func(t *testing.T) {
		t.Parallel()
		checkToChat(t, Target{Quirks: &Quirks{Extensions: []string{"extra_content"}}}, []toChat{{
			"signatures come back", with(goes, thoughtItem(`{"type":"thinking","thinking":"","signature":"gemini:sig"}`), callA, callB, outputA, outputB),
			become(goes, calling("null", strings.TrimSuffix(chatCallA, "}")+`,"extra_content":{"google":{"thought_signature":"sig"}}},`+chatCallB), chatToolA, chatToolB),
		}})
	})
	t.Run("for a server that wants reasoning back", func(t *testing.T) {
		t.Parallel()
		checkToChat(t, Target{Quirks: &Quirks{ReasoningBack: true}}, []toChat{{
			"it comes back", with(goes, `{"type":"reasoning","summary":[{"type":"summary_text","text":"h"},{"type":"summary_text","text":"m"}]}`, callA, outputA),
			become(goes, `{"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[`+chatCallA+`]}`, chatToolA),
		}})
	})
}

func TestResponsesAdjusted(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"input":"x","truncation":"auto","max_tool_calls":3,"context_management":[]`:                                 "truncation max_tool_calls context_management",
		`"input":"x","text":{"verbosity":"low","more":1},"user":"u"`:                                                 "text.more user text.verbosity",
		`"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://a/b","detail":"original"}]}]`: "input[0].content[0].detail",
		`"input":"x","reasoning":{"effort":"high"}`:                                                                  "reasoning.effort",
	} {
		tr := respond(t, `{"model":"m",`+members+`}`, &Target{Model: "gpt-4o", Quirks: &Quirks{Refused: []string{"user", "verbosity"}}})
		if got := strings.Join(tr.Adjusted, " "); got != want {
			t.Errorf("%s: adjusted is %s, want %s", members, got, want)
		}
	}
}

func TestResponsesThatNeedMore(t *testing.T) {
	t.Parallel()
	in := func(items string) string { return `{"input":[` + items + `]}` }
	said := func(parts string) string { return in(`{"role":"user","content":[` + parts + `]}`) }
	for body, param := range map[string]string{
		`{}`:           "input",
		`{"input":5}`:  "input",
		`{"input":[]}`: "input",
		`{"input":"x","previous_response_id":"r"}`:                                                   "previous_response_id",
		`{"input":"x","conversation":{"id":"c"}}`:                                                    "conversation",
		`{"input":"x","prompt":{"id":"p"}}`:                                                          "prompt",
		`{"input":"x","background":true}`:                                                            "background",
		`{"input":"x","include":5}`:                                                                  "include",
		`{"input":"x","metadata":5}`:                                                                 "metadata",
		`{"input":"x","instructions":["a"]}`:                                                         "instructions",
		`{"input":"x","max_output_tokens":1.5}`:                                                      "max_output_tokens",
		`{"input":"x","tools":[{"type":"function","name":"f"},{"type":"file_search"}]}`:              "tools[1].type",
		`{"input":"x","tools":[{"type":"custom"}]}`:                                                  "tools[0].name",
		`{"input":"x","tools":[{"type":"namespace","tools":[]}]}`:                                    "tools[0].name",
		`{"input":"x","tools":[{"type":"namespace","name":"n"}]}`:                                    "tools[0].tools",
		`{"input":"x","tools":[{"type":"namespace","name":"n","tools":[{"type":"mcp"}]}]}`:           "tools[0].tools[0].type",
		`{"input":"x","tools":[{"type":"function"}]}`:                                                "tools[0].name",
		`{"input":"x","tools":[{"name":"f"}]}`:                                                       "tools[0].type",
		`{"input":"x","tools":[{"type":"function","name":"f","parameters":[]}]}`:                     "tools[0].parameters",
		`{"input":"x","tool_choice":{"type":"mcp"}}`:                                                 "tool_choice.type",
		`{"input":"x","tool_choice":{"type":"function"}}`:                                            "tool_choice.name",
		`{"input":"x","tool_choice":5}`:                                                              "tool_choice",
		`{"input":"x","tool_choice":{"type":"allowed_tools","tools":[{"type":"image_generation"}]}}`: "tool_choice.tools[0].type",
		`{"input":"x","tool_choice":{"type":"allowed_tools","tools":[{"type":"function"}]}}`:         "tool_choice.tools[0].name",
		`{"input":"x","text":{"format":{"type":"grammar"}}}`:                                         "text.format.type",
		in(`{"type":"item_reference","id":"i"}`):                                                     "input[0]",
		in(`{"type":"code_interpreter_call"}`):                                                       "input[0].type",
		in(`{"role":"user"}`):                                                                        "input[0].content",
		in(`{"role":"nobody","content":"x"}`):                                                        "input[0].role",
		in(`{"role":"user","content":5}`):                                                            "input[0].content",
		said(`{"type":"input_image","file_id":"f"}`):                                                 "input[0].content[0].file_id",
		said(`{"type":"input_image"}`):                                                               "input[0].content[0].image_url",
		said(`{"type":"input_file","file_url":"https://a/b.pdf"}`):                                   "input[0].content[0].file_url",
		said(`{"type":"input_file"}`):                                                                "input[0].content[0].file_data",
		said(`{"type":"input_audio"}`):                                                               "input[0].content[0].input_audio",
		said(`{"type":"input_text"}`):                                                                "input[0].content[0].text",
		said(`{"type":"input_text","text":5}`):                                                       "input[0].content[0].text",
		said(`{"type":"computer_screenshot"}`):                                                       "input[0].content[0].type",
		said(`{"text":"a"}`):                                                                         "input[0].content[0].type",
		in(goes + "," + outputA):                                                                     "input[1].call_id",
		in(callA + "," + outputA + "," + outputA):                                                    "input[2].call_id",
		in(callA + "," + callA):                                                                      "input[1].call_id",
		in(`{"type":"function_call_output","output":"1"}`):                                           "input[0].call_id",
		in(`{"type":"function_call","call_id":"a"}`):                                                 "input[0].name",
		in(`{"type":"function_call","name":"a"}`):                                                    "input[0].call_id",
		in(callA + `,{"type":"function_call_output","call_id":"a"}`):                                 "input[1].output",
		in(goes + "," + callB + "," + callA + "," + outputB):                                         "input[2]",
		in(`{"type":"reasoning","summary":5}`):                                                       "input[0].summary",
		in(`{"type":"reasoning","summary":[{"text":5}]}`):                                            "input[0].summary[0].text",
	} {
		_, err := Translate(Responses, Chat, []byte(body), &Target{Model: "m"})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != 400 || told.Param != param {
			t.Errorf("%s: got %+v, want a 400 about %s", body, told, param)
		}
		whose := param[:max(0, strings.LastIndexByte(param, '.'))]
		if ok && !strings.Contains(told.Message, "'"+param+"'") && !strings.Contains(told.Message, "'"+whose+"'") {
			t.Errorf("%s: the message does not name %s: %s", body, param, told.Message)
		}
	}
}

// A tool that OpenAI runs is named.
func TestResponsesHostedTools(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"file_search", "code_interpreter", "mcp", "image_generation", "computer_use_preview", "local_shell"} {
		_, err := Translate(Responses, Messages, []byte(`{"model":"m","input":"x","tools":[{"type":"`+kind+`"}]}`), &Target{Model: "claude-sonnet-4-5"})
		if told, ok := errors.AsType[*Error](err); !ok || told.Code != "unsupported_tool" || !strings.Contains(told.Message, `"`+kind+`"`) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What the second translator refuses has the client's name.
func TestResponsesNamesOfTheClient(t *testing.T) {
	t.Parallel()
	for body, param := range map[string]string{
		`"instructions":"s","input":[` + goes + `,{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/tiff;base64,AA=="}]}]`: "input[1].content[1]",
		`"instructions":"s","input":[` + goes + `,` + thoughtItem(signedThought) + `,{"type":"function_call","call_id":"a","name":"f","arguments":"no"},` + outputA + `]`:         "input[2].arguments",
		`"input":[{"role":"user","content":" "}]`: "input[0].content",
		`"input":" "`: "input",
		`"input":"x","text":{"format":{"type":"json_schema","name":"n"}}`: "text.format.schema",
		`"input":"x","reasoning":{"effort":"enormous"}`:                   "reasoning.effort",
	} {
		_, err := Translate(Responses, Messages, []byte(`{"model":"m",`+body+`}`), &Target{Model: "claude-sonnet-4-5"})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != 400 || told.Param != param || strings.Contains(told.Message, "messages") || strings.Contains(told.Message, "response_format") {
			t.Errorf("%s: got %+v, want a 400 about %s", body, told, param)
		}
	}
	for param, want := range map[string]string{"tools[2].function.name": "tools[2].name", "messages[9].content": "messages[9].content", "messages[x": "messages[x", "messages[-1]": "messages[-1]", "response_format.type": "text.format.type", "n": "n"} {
		if got := responsesParam(param, []responsesOrigin{{item: "input"}}, []string{"tools[0]", "tools[1].tools[0]", "tools[2]"}); got != want {
			t.Errorf("%s is %s, want %s", param, got, want)
		}
	}
}

// An answer repeats its request after that is gone.
func TestResponsesDoNotKeepTheRequest(t *testing.T) {
	t.Parallel()
	body := []byte(`{"model":"smart","input":"x","instructions":"Be brief.","metadata":{"a":"b"},"tools":[{"type":"function","name":"f","parameters":{},"strict":null}],"tool_choice":"auto","text":{"format":{"type":"text"}},"reasoning":{"effort":"low"},"user":"u"}`)
	tr, err := Translate(Responses, Chat, body, &Target{Model: "m", Shown: "smart"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = '!'
	}
	Recycle(tr.Body)
	out, err := tr.Answers.Whole(nil, []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`))
	if r := wantResponse(t, out); err != nil || strings.Contains(string(out), "!") || r.Tools[0].Name != "f" || r.Metadata["a"] != "b" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestCarrier(t *testing.T) {
	t.Parallel()
	blocks := []json.RawMessage{json.RawMessage(signedThought), json.RawMessage(`{"type":"redacted_thinking","data":"é\n"}`)}
	got := carriedBlocks(carrier(blocks))
	if len(got) != 2 || string(got[0]) != string(blocks[0]) || string(got[1]) != string(blocks[1]) {
		t.Errorf("got %s", got)
	}
	for _, other := range []string{"", "gAAAAAB", carrierPrefix, carrierPrefix + "!", carrierPrefix + "e30", carrierPrefix + "WzEsMl0", carrierPrefix + "W3s"} {
		if got := carriedBlocks(other); got != nil {
			t.Errorf("%q has %s", other, got)
		}
	}
}

// Logprobs are not left out: who cannot tell them says so.
func TestResponsesLogprobsThatNobodyTells(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		to     API
		target Target
	}{
		{Messages, Target{Model: "claude-sonnet-4-5"}},
		{Gemini, Target{Model: "gemini-2.5-pro"}},
		{Chat, Target{Model: "m", Quirks: &Quirks{Refused: []string{"logprobs"}}}},
	} {
		for body, param := range map[string]string{`"include":["reasoning.encrypted_content","message.output_text.logprobs"]`: "include[1]", `"top_logprobs":2`: "top_logprobs", `"top_logprobs":"2"`: "top_logprobs"} {
			_, err := Translate(Responses, test.to, []byte(`{"model":"m","input":"x",`+body+`}`), &test.target)
			if told, ok := errors.AsType[*Error](err); !ok || told.Status != 400 || told.Param != param {
				t.Errorf("%s for %s: got %v", body, test.to, err)
			}
		}
	}
}
