package dialect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const (
	groupedTools = `{"type":"namespace","name":"agents","description":"Of agents.","tools":[{"type":"function","name":"close","parameters":{"type":"object"}},{"type":"custom","name":"tell","description":"Tells."}]}`
	patchTool    = `{"type":"custom","name":"patch","description":"Edits files.","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}`
)

// Tools that the client runs become functions, whatever their kind, and so do their calls in the conversation.
func TestResponsesToolKinds(t *testing.T) {
	t.Parallel()
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	function := func(name, description, parameters string) string {
		return `{"type":"function","function":{"name":"` + name + `","description":"` + description + `","parameters":` + parameters + `}}`
	}
	long := strings.Repeat("n", 60)
	checkToChat(t, Target{}, []toChat{
		{
			"tools in a namespace have its name before theirs", `"input":"hi","tools":[` + groupedTools + `]`,
			hi + `,"tools":[` + function("agents__close", "Of agents.", `{"type":"object"}`) + `,` + function("agents__tell", `Of agents.\n\nTells.`, customInput) + `]`,
		},
		{
			"a name that is too long is shortened, always in one way", `"input":"hi","tools":[{"type":"namespace","name":"` + long + `","description":"","tools":[{"type":"function","name":"close"}]}]`,
			hi + `,"tools":[{"type":"function","function":{"name":"` + shortened(long+"__close") + `"}}]`,
		},
		{
			"a tool that takes text is told its grammar", `"input":"hi","tools":[` + patchTool + `],"tool_choice":{"type":"custom","name":"patch"}`,
			hi + `,"tools":[` + function("patch", `Edits files.\n\nThe input must follow this grammar (lark):\nstart: x`, customInput) + `],"tool_choice":{"type":"function","function":{"name":"patch"}}`,
		},
		{
			"calls come back", `"input":[` + goes + `,{"type":"function_call","call_id":"a","namespace":"agents","name":"close","arguments":"{}"},{"type":"custom_tool_call","call_id":"b","name":"patch","input":"a\n\"b\""},` +
				outputA + `,{"type":"custom_tool_call_output","call_id":"b","output":"2"}]`,
			`"messages":[` + goes + `,{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"agents__close","arguments":"{}"}},` +
				`{"id":"b","type":"function","function":{"name":"patch","arguments":"{\"input\":\"a\\n\\\"b\\\"\"}"}}]},{"role":"tool","content":"1","tool_call_id":"a"},` + chatToolB + `]`,
		},
	})
}

// Calls are told as the client knows its tools, in a stream and as a whole, and however the arguments are cut into events.
func TestResponsesCallsOfToolKinds(t *testing.T) {
	t.Parallel()
	const tools = `,"tools":[` + groupedTools + `,` + patchTool + `]`
	for name, test := range map[string]struct{ function, arguments, item string }{
		"a function of a namespace": {"agents__close", `{"a":1}`, `"type":"function_call","status":"completed","call_id":"x","name":"close","namespace":"agents","arguments":"{\"a\":1}"}`},
		"a text":                    {"patch", `{"input":"a\nb"}`, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":"a\nb"}`},
		"a text in a namespace":     {"agents__tell", `{"input":""}`, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"tell","namespace":"agents","input":""}`},
		"spaces and escapes":        {"patch", ` { "input" : "\"\u00e9\ud83c\udf0d\\\ud83cx\u0001 🌍" } `, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":"\"é🌍\\` + "\uFFFD" + `x\u0001 🌍"}`},
		"an escape that is none":    {"patch", `{"input":"a\zb"}`, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":"a\\zb"}`},
		"another member first":      {"patch", `{"why":"w","input":"a"}`, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":"a"}`},
		"no JSON at all":            {"patch", `*** Begin "x"`, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":"*** Begin \"x\""}`},
		"nothing":                   {"patch", ``, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":""}`},
		"a text that has no end":    {"patch", `{"input":"a`, `"type":"custom_tool_call","status":"completed","call_id":"x","name":"patch","input":"a"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := `{"id":"fc_",`
			if strings.Contains(test.item, "custom") {
				prefix = `{"id":"ctc_",`
			}
			whole, err := responsesOf(t, tools).Whole(nil, []byte(wholeChat(`{"content":null,"tool_calls":[{"id":"x","type":"function","function":{"name":"`+test.function+`","arguments":`+Quote(test.arguments)+`}}]}`, "tool_calls")))
			if err != nil || !strings.Contains(anonymous(whole), `"output":[`+prefix+test.item+`]`) {
				t.Fatalf("%v: %s", err, whole)
			}
			wantResponse(t, whole)
			runes := []rune(test.arguments)
			for size := 1; size <= len(runes)+1; size++ {
				chunks := []string{toolChunk("0", "x", test.function, "")}
				for piece := range slices.Chunk(runes, size) {
					chunks = append(chunks, toolChunk("0", "", "", string(piece)))
				}
				out, err := feedChat(responsesOf(t, `,"stream":true`+tools), append(chunks, finishChunk("tool_calls"), chatUsageChunk, "[DONE]")...)
				if err != nil {
					t.Fatal(err)
				}
				f, err := follow(out)
				if err == nil {
					err = f.whole()
				}
				if err != nil || len(f.output) != 1 || anonymous(f.output[0]) != prefix+test.item {
					t.Fatalf("in pieces of %d: %v\n got %s\nwant %s", size, err, f.output, prefix+test.item)
				}
			}
		})
	}
}

// What arrives of a text is told at once, but for half an escape.
func TestResponsesTextIsNotHeldBack(t *testing.T) {
	t.Parallel()
	var c customText
	var got []string
	for _, piece := range []string{`{"inp`, `ut":"`, `a`, `\`, `n\u00`, `e9\ud83c\u`, `df0d`, `b"`, `}`} {
		got = append(got, string(c.add(piece)))
	}
	if want := []string{"", "", "a", "", `\n`, "é", "🌍", "b", ""}; !slices.Equal(got, want) || len(c.rest()) > 0 {
		t.Errorf("got %q and %q, want %q", got, c.rest(), want)
	}
}

func FuzzCustomText(f *testing.F) {
	for _, seed := range []string{`{"input":"a\nb"}`, `{"input":"\ud83c\udf0d`, `{"x":1,"input":"y"}`, `{`, `"`, `{"input":5}`} {
		f.Add(seed, 1)
	}
	f.Fuzz(func(t *testing.T, arguments string, size int) {
		arguments = strings.ToValidUTF8(arguments, "?") // as it has been read from JSON
		var c customText
		var text []byte
		runes := []rune(arguments)
		for piece := range slices.Chunk(runes, max(1, min(size, len(runes)))) {
			text = append(text, c.add(string(piece))...)
		}
		var got string
		if err := json.Unmarshal(quote(append(text, c.rest()...)), &got); err != nil {
			t.Fatalf("%v: %q of %q", err, text, arguments)
		}
		var want struct{ Input *string }
		if begins := strings.HasPrefix(strings.TrimLeft(arguments, " \t\r\n"), `{"input":"`); begins && json.Unmarshal([]byte(arguments), &want) == nil && strings.Count(arguments, `"`) == 4 && got != *want.Input {
			t.Errorf("got %q of %q", got, arguments)
		}
	})
}
