package dialect

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// written returns a request of chat completions as it is written for a target.
func written(t testing.TB, body string, target Target) (string, []string) {
	t.Helper()
	r, err := readChatRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	target.Model = cmp.Or(target.Model, "theirs")
	const before = "what was there"
	out, span, adjusted := r.append([]byte(before), &target)
	if got := string(out[span.Start:span.End]); got != Quote(target.Model) {
		t.Errorf("the model is said to be %s", got)
	}
	text, ok := strings.CutPrefix(string(out), before)
	if !ok || !json.Valid([]byte(text)) {
		t.Errorf("it is no JSON: %s", out)
	}
	return text, adjusted
}

func TestWriteChatRequest(t *testing.T) {
	t.Parallel()
	const (
		hello = `"messages":[{"role":"user","content":"hi"}]`
		calls = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
		tool  = `{"role":"tool","content":"r","tool_call_id":"call_1"}`
	)
	for _, test := range []struct {
		name, body string
		target     Target
		want       string
		adjusted   string
	}{
		{"everything has its place", `{"model":"x",` + hello + `,"tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","$defs":{"b":1,"a":2}},"strict":true}},{"type":"function","function":{"name":"g"}}],"tool_choice":"required","parallel_tool_calls":false,"max_completion_tokens":9,"temperature":1.10,"top_p":1e-1,"stop":"x","response_format":{"type":"json_object"},"reasoning_effort":"low","user":"u","service_tier":"flex","seed":12345678901234567890,"stream":true}`, Target{},
			hello + `,"tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","$defs":{"b":1,"a":2}},"strict":true}},{"type":"function","function":{"name":"g"}}],"tool_choice":"required","parallel_tool_calls":false,"max_completion_tokens":9,"temperature":1.10,"top_p":1e-1,"stop":["x"],"response_format":{"type":"json_object"},"reasoning_effort":"low","user":"u","service_tier":"flex","seed":12345678901234567890,"stream":true,"stream_options":{"include_usage":true}`, ""},
		{"a server that knows max_tokens only", `{` + hello + `,"max_completion_tokens":9}`, Target{Quirks: &Quirks{MaxTokens: true}}, hello + `,"max_tokens":9`, ""},
		{"a server without stream_options", `{` + hello + `,"stream":true}`, Target{Quirks: &Quirks{NoStreamOptions: true}}, hello + `,"stream":true`, ""},
		{"a server without developers", `{"messages":[{"role":"developer","content":"d"},{"role":"user","content":"hi"}]}`, Target{Quirks: &Quirks{SystemRole: true}},
			`"messages":[{"role":"system","content":"d"},{"role":"user","content":"hi"}]`, ""},
		{"a server with developers", `{"messages":[{"role":"developer","content":"d"}]}`, Target{}, `"messages":[{"role":"developer","content":"d"}]`, ""},
		{"one system message, and later ones keep their place", `{"messages":[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"}]},{"role":"user","content":"hi"},{"role":"system","content":"c"}]}`, Target{Quirks: &Quirks{OneSystem: true}},
			`"messages":[{"role":"system","content":"a\n\nb\n"},{"role":"user","content":"hi"},{"role":"user","content":"c"}]`, ""},
		{"a system message does not part a call from its result", `{"messages":[` + calls + `,{"role":"system","content":"c"},` + tool + `,{"role":"user","content":"hi"}]}`, Target{},
			`"messages":[` + calls + `,` + tool + `,{"role":"system","content":"c"},{"role":"user","content":"hi"}]`, ""},
		{"nor the result from the end", `{"messages":[` + calls + `,{"role":"system","content":"c"},` + tool + `]}`, Target{},
			`"messages":[` + calls + `,` + tool + `,{"role":"system","content":"c"}]`, ""},
		{"IDs of nine letters and digits", `{"messages":[` + strings.ReplaceAll(calls+","+tool, "call_1", "toolu_01A") + `,` + strings.ReplaceAll(calls+","+tool, "call_1", "aB3456789") + `]}`, Target{Quirks: &Quirks{ToolIDs9: true}},
			`"messages":[` + strings.ReplaceAll(calls+","+tool, "call_1", "zrv4w79hf") + `,` + strings.ReplaceAll(calls+","+tool, "call_1", "aB3456789") + `]`, ""},
		{"IDs that are longer than OpenAI takes", `{"messages":[` + strings.ReplaceAll(calls+","+tool, "call_1", strings.Repeat("x", 41)) + `]}`, Target{},
			`"messages":[` + strings.ReplaceAll(calls+","+tool, "call_1", "call_3164596df4fdd018b2c567ec") + `]`, ""},
		{"nothing of a user after a tool", `{"messages":[` + calls + `,` + tool + `,{"role":"user","content":"hi"}]}`, Target{Quirks: &Quirks{NoUserAfterTool: true}},
			`"messages":[` + calls + `,` + tool + `,{"role":"assistant","content":"OK."},{"role":"user","content":"hi"}]`, ""},
		{"users and the assistant take turns (perplexityai/api-discussion#265)", `{"messages":[{"role":"system","content":"s"},{"role":"system","content":"t"},{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]},{"role":"assistant","content":"c"},{"role":"assistant","content":"d"},{"role":"system","content":"u"},{"role":"user","content":"e"}]}`, Target{Quirks: &Quirks{Alternate: true}},
			`"messages":[{"role":"system","content":"s"},{"role":"system","content":"t"},{"role":"user","content":"a\n\nb"},{"role":"assistant","content":"cd"},{"role":"user","content":"u\n\ne"}]`, ""},
		{"but calls and their results stay apart", `{"messages":[` + calls + `,` + calls + `,` + tool + `,{"role":"system","content":"s"},` + tool + `]}`, Target{Quirks: &Quirks{Alternate: true}},
			`"messages":[` + calls + `,` + calls + `,` + tool + `,` + tool + `,{"role":"user","content":"s"}]`, ""},
		{"no effort but high is known", `{` + hello + `,"reasoning_effort":"low"}`, Target{Quirks: &Quirks{EffortHigh: true}}, hello + `,"reasoning_effort":"high"`, "reasoning_effort"},
		{"nor is none left out", `{` + hello + `,"reasoning_effort":"none"}`, Target{Quirks: &Quirks{EffortHigh: true}}, hello + `,"reasoning_effort":"none"`, ""},
		{"required is called any", `{` + hello + `,"tools":[{"type":"function","function":{"name":"g"}}],"tool_choice":"required"}`, Target{Quirks: &Quirks{RequiredIsAny: true}},
			hello + `,"tools":[{"type":"function","function":{"name":"g"}}],"tool_choice":"any"`, ""},
		{"a choice among no tools", `{` + hello + `,"tools":[],"tool_choice":"auto","parallel_tool_calls":true}`, Target{}, hello, ""},
		{"reasoning that must come back", `{"messages":[{"role":"assistant","content":"a","reasoning_content":"r"},{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":""}}]},` + calls + `]}`, Target{Quirks: &Quirks{ReasoningBack: true}},
			`"messages":[{"role":"assistant","content":"a"},{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":""}}]},` +
				strings.Replace(calls, `"tool_calls"`, `"reasoning_content":"","tool_calls"`, 1) + `]`, ""},
		{"reasoning that nobody wants", `{"messages":[{"role":"assistant","content":"a","reasoning_content":"r","thinking_blocks":[{"type":"thinking"}],"cache_control":{"type":"ephemeral"},"odd":1}]}`, Target{}, `"messages":[{"role":"assistant","content":"a"}]`, ""},
		{"parameters that are refused", `{` + hello + `,"seed":1,"user":"u","temperature":1,"tools":[{"type":"function","function":{"name":"g"}}],"stop":["a"],"reasoning_effort":"low"}`, Target{Quirks: &Quirks{Refused: []string{"seed", "user", "temperature", "tools", "stop", "reasoning_effort"}}},
			hello, "tools temperature stop reasoning_effort user seed"},
		{"extensions", `{` + hello + `,"top_k":4,"min_p":0.10,"odd":{"b":1}}`, Target{Quirks: &Quirks{Extensions: []string{"top_k"}}}, hello + `,"top_k":4`, "min_p odd"},
		{"OpenAI's other parameters", `{` + hello + `,"n":2,"logprobs":true,"metadata":{"a":"b"},"store":false}`, Target{}, hello + `,"n":2,"logprobs":true,"metadata":{"a":"b"},"store":false`, ""},
		{"between two translations everything is kept", `{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],"odd":1},{"role":"assistant","content":"c","reasoning_content":"r","thinking_blocks":[{"type":"thinking","signature":"s"}],"tool_calls":[{"id":"` + strings.Repeat("x", 50) + `","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{}}}],"cache_control":{"type":"ephemeral"}}],"tools":[{"type":"function","function":{"name":"g"},"cache_control":{"type":"ephemeral"}}],"odd":2}`, Target{Between: true},
			`"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],"odd":1},{"role":"assistant","content":"c","reasoning_content":"r","thinking_blocks":[{"type":"thinking","signature":"s"}],"tool_calls":[{"id":"` + strings.Repeat("x", 50) + `","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{}}}],"cache_control":{"type":"ephemeral"}}],"tools":[{"type":"function","function":{"name":"g"},"cache_control":{"type":"ephemeral"}}],"odd":2`, ""},
		{"else what only a translator understands is not", `{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"https://x","detail":"low"},"cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":"c","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{}}}]}]}`, Target{},
			`"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x","detail":"low"}}]},{"role":"assistant","content":"c","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}]`, ""},
		{"extra_content where the server knows it", `{"messages":[{"role":"assistant","content":"c","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{}}}]}]}`, Target{Quirks: &Quirks{Extensions: []string{"extra_content"}}},
			`"messages":[{"role":"assistant","content":"c","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{}}}]}]`, ""},
		{"parts of every kind, and text as a string", `{"messages":[{"role":"user","name":"n","content":[{"type":"file","file":{"file_id":"f"}},{"type":"input_audio","input_audio":{"data":"x","format":"wav"}},{"type":"video_url","video_url":{"url":"v"}}]},{"role":"user","content":[{"type":"text","text":"\u00e9"},{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":""}]}`, Target{},
			`"messages":[{"role":"user","name":"n","content":[{"type":"file","file":{"file_id":"f"}},{"type":"input_audio","input_audio":{"data":"x","format":"wav"}},{"type":"video_url","video_url":{"url":"v"}}]},{"role":"user","content":"\u00e9\n\nb"},{"role":"assistant","content":"ab"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":""}]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, adjusted := written(t, test.body, test.target)
			if want := `{"model":"theirs",` + test.want + "}"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if want := strings.Fields(test.adjusted); !slices.Equal(adjusted, want) {
				t.Errorf("adjusted %q, want %q", adjusted, want)
			}
		})
	}
}

// TestWhatReasonersRefuse is that clients which set temperature and stop as a matter of course can use OpenAI's models
// that take none.
func TestWhatReasonersRefuse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ model, effort, adjusted string }{
		{"o1", "", "temperature top_p"},
		{"openai/o3-mini", "low", "temperature top_p stop"},
		{"o4-mini-2025-04-16", "", "temperature top_p stop"},
		{"gpt-5", "", "temperature top_p stop"},
		{"GPT-5-mini", "minimal", "temperature top_p stop"},
		{"gpt-5-chat-latest", "", ""},
		{"gpt-5.1", "", "stop"},
		{"gpt-5.2-2025-12-11", "none", "stop"},
		{"gpt-5.2", "high", "temperature top_p stop"},
		{"gpt-5.3-chat-latest", "", ""},
		{"gpt-5.5", "", "temperature top_p"},
		{"gpt-5.6-luna", "none", ""},
		{"gpt-4o", "", ""}, {"o3x", "", ""}, {"gpt-50", "", ""},
	} {
		body := `{"messages":[],"temperature":0.5,"top_p":0.9,"stop":["a"]`
		if test.effort != "" {
			body += `,"reasoning_effort":"` + test.effort + `"`
		}
		got, adjusted := written(t, body+"}", Target{Model: test.model})
		if strings.Join(adjusted, " ") != test.adjusted {
			t.Errorf("%s: adjusted %q, want %q", test.model, adjusted, test.adjusted)
		}
		for _, name := range []string{"temperature", "top_p", "stop"} {
			if strings.Contains(got, `"`+name+`"`) == slices.Contains(adjusted, name) {
				t.Errorf("%s: %s", test.model, got)
			}
		}
	}
	if got, adjusted := written(t, `{"messages":[],"temperature":1,"top_p":1.0}`, Target{Model: "o3"}); len(adjusted) > 0 {
		t.Errorf("1 is what they do: adjusted %q, %s", adjusted, got)
	}
}

// TestModelsWithoutThought is that agents, which ask for thinking as a matter of course, can use models that have none.
func TestModelsWithoutThought(t *testing.T) {
	t.Parallel()
	for model, none := range map[string]bool{
		"gpt-4o": true, "openai/gpt-4.1-mini": true, "gpt-3.5-turbo": true, "meta-llama/Llama-3.3-70B-Instruct": true, "groq/llama-3.1-8b-instant": true,
		"gpt-5": false, "o3": false, "openai/gpt-oss-120b": false, "deepseek-r1-distill-llama-70b": false, "qwen3-32b": false, "": false,
		"nvidia/llama-3.3-nemotron-super-49b": false,
		"grok-4":                              true, "xai/grok-4-0709": true, "grok-4-1-fast-reasoning": true, "grok-4.20-reasoning": true, "grok-3": true, "grok-code-fast-1": true, "grok-2-1212": true,
		"grok-3-mini": false, "grok-4.3": false, "grok-4.5": false, "grok-latest": false, "magistral-medium-latest": true, "devstral-2512": true, "mistral-small-latest": false,
	} {
		if thoughtless(model) != none {
			t.Errorf("%s: %v", model, !none)
		}
	}
}
