package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// inGemini translates a request and returns its JSON without space.
func inGemini(t testing.TB, model, body string) (string, *Translation) {
	t.Helper()
	got, err := Translate(Chat, Gemini, []byte(body), &Target{Model: model, Shown: "shown"})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, got.Body); err != nil {
		t.Fatalf("%s: %v", got.Body, err)
	}
	if !got.ModelSpan.IsZero() {
		t.Error("the body names a model")
	}
	return b.String(), got
}

// requestTest is a request of chat completions, without its model, and what becomes of it.
type requestTest struct {
	name, model, body string
	want              string
	adjusted          string
}

const (
	oldModel   = "gemini-2.0-flash"
	model25    = "gemini-2.5-flash"
	model25Pro = "gemini-2.5-pro"
	model3     = "gemini-3-flash-preview"
	model3Pro  = "gemini-3-pro-preview"

	hi       = `"messages":[{"role":"user","content":"hi"}]`
	saysHi   = `"contents":[{"role":"user","parts":[{"text":"hi"}]}]`
	callOf   = `{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"n\":12345678901234567890}"}}]}`
	resultOf = `{"role":"tool","tool_call_id":"c1","content":"{\"n\": 12345678901234567890}"}`
)

func runRequests(t *testing.T, tests []requestTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			model := test.model
			if model == "" {
				model = model25
			}
			got, translation := inGemini(t, model, `{"model":"smart",`+test.body+`}`)
			if want := "{" + test.want + "}"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if adjusted := strings.Join(translation.Adjusted, ","); adjusted != test.adjusted {
				t.Errorf("adjusted %q, want %q", adjusted, test.adjusted)
			}
		})
	}
}

func TestMessagesToGemini(t *testing.T) {
	t.Parallel()
	runRequests(t, []requestTest{
		{name: "a text", body: hi, want: saysHi},
		{name: "a text stays as it was written", body: `"messages":[{"role":"user","content":"\u00e9\/\ud83d\ude00é"}]`, want: `"contents":[{"role":"user","parts":[{"text":"\u00e9\/\ud83d\ude00é"}]}]`},
		{
			name: "system and developer come first", body: `"messages":[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"},{"type":"text","text":""}]},{"role":"user","content":"hi"}]`,
			want: `"systemInstruction":{"parts":[{"text":"a"},{"text":"b"}]},` + saysHi,
		},
		{name: "an empty message beside one that is not", body: `"messages":[{"role":"user","content":""},{"role":"user","content":"hi"},{"role":"user","content":[]}]`, want: saysHi},
		{name: "an empty system message", body: `"messages":[{"role":"system","content":""},{"role":"user","content":"hi"}]`, want: saysHi},
		{name: "nothing but a system message", body: `"messages":[{"role":"system","content":"hi"}]`, want: saysHi},
		{
			name: "a system message in the midst keeps its place", body: `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},{"role":"system","content":"a"},{"role":"user","content":"b"}]`,
			want: `"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"ho"}]},{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]`,
		},
		{
			name: "Gemma has no system instruction", model: "gemma-3-27b-it", body: `"messages":[{"role":"system","content":"a"},{"role":"user","content":"hi"}]`,
			want: `"contents":[{"role":"user","parts":[{"text":"a"},{"text":"hi"}]}]`,
		},
		{
			name: "turns alternate", body: `"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"b"}],"name":"x"},{"role":"assistant","content":"c"},{"role":"assistant","content":""},{"role":"assistant","content":[{"type":"refusal","refusal":"d"}]},{"role":"assistant","refusal":"e"},{"role":"user","content":"f"}]`,
			want: `"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"c"},{"text":"d"},{"text":"e"}]},{"role":"user","parts":[{"text":"f"}]}]`,
		},
		{
			name: "a call and its result, to the digit", body: `"messages":[{"role":"user","content":"hi"},` + callOf + `,` + resultOf + `]`,
			want: saysHi[:len(saysHi)-1] + `,{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":12345678901234567890}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"{\"n\": 12345678901234567890}"}}}]}]`,
		},
		{
			name: "results stand in the order of their calls, before what else is said", model: model3,
			body: `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":""}},{"id":"b","function":{"name":"g","arguments":" {} "}}]},` +
				`{"role":"system","content":"s"},{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]},{"role":"user","content":"u"},{"role":"tool","tool_call_id":"a","content":""}]`,
			want: saysHi[:len(saysHi)-1] + `,{"role":"model","parts":[{"functionCall":{"id":"a","name":"f","args":{}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"id":"b","name":"g","args":{}}}]},` +
				`{"role":"user","parts":[{"functionResponse":{"id":"a","name":"f","response":{"output":""}}},{"functionResponse":{"id":"b","name":"g","response":{"output":"onetwo"}}},{"text":"s"},{"text":"u"}]}]`,
		},
		{
			name: "a result that nobody asked for is something that the user says",
			body: `"messages":[{"role":"user","content":"hi"},{"role":"tool","tool_call_id":"x","content":"lost"},` + callOf + `,` + resultOf + `,{"role":"tool","tool_call_id":"c1","content":"again"},{"role":"tool","tool_call_id":"x","content":""}]`,
			want: `"contents":[{"role":"user","parts":[{"text":"hi"},{"text":"lost"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":12345678901234567890}}}]},` +
				`{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"{\"n\": 12345678901234567890}"}}},{"text":"again"}]}]`,
		},
		{
			name: "two rounds with the same ID",
			body: `"messages":[{"role":"user","content":"hi"},` + callOf + `,{"role":"tool","tool_call_id":"c1","content":"1"},` + callOf + `,{"role":"tool","tool_call_id":"c1","content":"2"}]`,
			want: saysHi[:len(saysHi)-1] + `,{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":12345678901234567890}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"1"}}}]},` +
				`{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":12345678901234567890}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"2"}}}]}]`,
		},
		{
			name: "an image in a result follows it",
			body: `"messages":[{"role":"user","content":"hi"},` + callOf + `,{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]}]`,
			want: saysHi[:len(saysHi)-1] + `,{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":12345678901234567890}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"see"}}},{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}]`,
		},
	})
}

func TestSignaturesToGemini(t *testing.T) {
	t.Parallel()
	message := func(model, members, want string) requestTest {
		return requestTest{
			model: model, body: `"messages":[{"role":"user","content":"hi"},{"role":"assistant",` + members + `},{"role":"user","content":"a"}]`,
			want: saysHi[:len(saysHi)-1] + `,{"role":"model","parts":[` + want + `]},{"role":"user","parts":[{"text":"a"}]}]`,
		}
	}
	calls := func(first, second string) string {
		return `"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}` + first + `},{"id":"b","function":{"name":"g","arguments":"{}"}` + second + `}]`
	}
	signed := func(first, second string) string {
		return `{"functionCall":{"id":"a","name":"f","args":{}}` + first + `},{"functionCall":{"id":"b","name":"g","args":{}}` + second + `}`
	}
	const block = `"thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"gemini:text:VEVYVA=="},{"type":"thinking","thinking":"","signature":"gemini:Q0FMTA=="}]`
	const foreign = `"thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"RXAuLi4="},{"type":"redacted_thinking","data":"x"}]`
	tests := map[string]requestTest{
		"from extra_content":                         message(model3, calls(`,"extra_content":{"google":{"thought_signature":"QQ=="}}`, ``), signed(`,"thoughtSignature":"QQ=="`, ``)),
		"of each call":                               message(model3, calls(`,"extra_content":{"google":{"thought_signature":"QQ=="}}`, `,"extra_content":{"google":{"thought_signature":"Qg=="}}`), signed(`,"thoughtSignature":"QQ=="`, `,"thoughtSignature":"Qg=="`)),
		"from a block of thinking":                   message(model3, block+`,`+calls(``, ``), signed(`,"thoughtSignature":"Q0FMTA=="`, ``)),
		"extra_content before a block":               message(model3, block+`,`+calls(`,"extra_content":{"google":{"thought_signature":"QQ=="}}`, ``), signed(`,"thoughtSignature":"QQ=="`, ``)),
		"none: the documented constant":              message(model3, calls(``, ``), signed(`,"thoughtSignature":"skip_thought_signature_validator"`, ``)),
		"another vendor's is none":                   message(model3, foreign+`,`+calls(`,"extra_content":{"other":{"thought_signature":"x"}}`, ``), signed(`,"thoughtSignature":"skip_thought_signature_validator"`, ``)),
		"newest models want one as well":             message("gemini-flash-latest", calls(``, ``), signed(`,"thoughtSignature":"skip_thought_signature_validator"`, ``)),
		"older models want none":                     message(model25, calls(``, ``), strings.ReplaceAll(strings.ReplaceAll(signed(``, ``), `"id":"a",`, ``), `"id":"b",`, ``)),
		"older models may have one":                  message(model25, block+`,"content":"t"`, `{"text":"t","thoughtSignature":"VEVYVA=="}`),
		"of a text":                                  message(model3, block+`,"content":[{"type":"text","text":"s"},{"type":"text","text":"t"}]`, `{"text":"s"},{"text":"t","thoughtSignature":"VEVYVA=="}`),
		"another vendor's is not that of a text":     message(model3, foreign+`,"content":"t"`, `{"text":"t"}`),
		"thoughts without a signature are left out":  message(model3, `"reasoning_content":"hm","content":"t"`, `{"text":"t"}`),
		"what is no extra_content is no signature":   message(model3, calls(`,"extra_content":{"google":7}`, ``), signed(`,"thoughtSignature":"skip_thought_signature_validator"`, ``)),
		"a message of thoughts only is not sent":     {model: model3, body: `"messages":[{"role":"user","content":"hi"},{"role":"assistant",` + block + `}]`, want: saysHi},
		"messages of one turn have one call that is": message(model3, calls(``, ``)+`},{"role":"assistant",`+calls(``, ``), signed(`,"thoughtSignature":"skip_thought_signature_validator"`, ``)+`,`+signed(``, ``)),
	}
	var list []requestTest
	for name, test := range tests {
		test.name = name
		list = append(list, test)
	}
	runRequests(t, list)
}

func TestPartsToGemini(t *testing.T) {
	t.Parallel()
	part := func(name, part, want string) requestTest {
		return requestTest{name: name, body: `"messages":[{"role":"user","content":[` + part + `]}]`, want: `"contents":[{"role":"user","parts":[` + want + `]}]`}
	}
	runRequests(t, []requestTest{
		part("an image", `{"type":"image_url","image_url":{"url":"data:image/PNG;base64,iVBORw0K+/=","detail":"low"}}`, `{"inlineData":{"mimeType":"image/png","data":"iVBORw0K+/="}}`),
		part("an image elsewhere", `{"type":"image_url","image_url":{"url":"https://h/cat.WEBP?size=1#x"}}`, `{"fileData":{"mimeType":"image/webp","fileUri":"https://h/cat.WEBP?size=1#x"}}`),
		part("an image of a type that its URL does not tell", `{"type":"image_url","image_url":"https://h/cat"}`, `{"fileData":{"mimeType":"image/jpeg","fileUri":"https://h/cat"}}`),
		part("a film", `{"type":"image_url","image_url":{"url":"https://www.youtube.com/watch?v=1"}}`, `{"fileData":{"fileUri":"https://www.youtube.com/watch?v=1"}}`),
		part("a PDF", `{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}`, `{"inlineData":{"mimeType":"application/pdf","data":"JVBERi0="}}`),
		part("a file whose name tells its type", `{"type":"file","file":{"filename":"a.CSV","file_data":"data:;base64,YQ=="}}`, `{"inlineData":{"mimeType":"text/csv","data":"YQ=="}}`),
		part("a file at Google", `{"type":"file","file":{"file_id":"gs://bucket/a.pdf"}}`, `{"fileData":{"mimeType":"application/pdf","fileUri":"gs://bucket/a.pdf"}}`),
		part("sound", `{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}`, `{"inlineData":{"mimeType":"audio/wav","data":"UklGRg=="}}`),
		{
			name: "a file at Google for an old model", model: oldModel,
			body: `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://generativelanguage.googleapis.com/v1beta/files/a"}}]}]`,
			want: `"contents":[{"role":"user","parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/a"}}]}]`,
		},
	})
}

func TestToolsToGemini(t *testing.T) {
	t.Parallel()
	const f = `{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":["string","null"],"const":"x"}},"$defs":{},"additionalProperties":false}}}`
	const g = `{"type":"function","function":{"name":"g","description":"","strict":true,"parameters":{"type":"object","properties":{}}}}`
	const declaredF = `{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"a":{"type":["string","null"],"const":"x"}},"$defs":{},"additionalProperties":false}}`
	const declared = `,"tools":[{"functionDeclarations":[` + declaredF + `,{"name":"h"}]}]`
	const tools = hi + `,"tools":[` + f + `,{"type":"function","function":{"name":"h"}}]`
	config := func(s string) string { return `,"toolConfig":{"functionCallingConfig":{` + s + `}}` }
	runRequests(t, []requestTest{
		{name: "schemas stay as they were written", body: tools, want: saysHi + declared},
		{name: "an empty list", body: hi + `,"tools":[],"tool_choice":"auto","parallel_tool_calls":false`, want: saysHi},
		{name: "auto", body: tools + `,"tool_choice":"auto"`, want: saysHi + declared + config(`"mode":"AUTO"`)},
		{name: "none", body: tools + `,"tool_choice":"none"`, want: saysHi + declared + config(`"mode":"NONE"`)},
		{name: "required", body: tools + `,"tool_choice":"required"`, want: saysHi + declared + config(`"mode":"ANY"`)},
		{name: "a function", body: tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`, want: saysHi + declared + config(`"mode":"ANY","allowedFunctionNames":["f"]`)},
		{
			name: "some functions", body: tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`,
			want: saysHi + `,"tools":[{"functionDeclarations":[` + declaredF + `]}]` + config(`"mode":"AUTO"`),
		},
		{
			name: "one of some functions", body: tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}`,
			want: saysHi + `,"tools":[{"functionDeclarations":[` + declaredF + `]}]` + config(`"mode":"ANY"`),
		},
		{name: "strict", body: hi + `,"tools":[` + g + `]`, want: saysHi + `,"tools":[{"functionDeclarations":[{"name":"g"}]}]` + config(`"mode":"VALIDATED"`)},
		{name: "strict on an old model", model: oldModel, body: hi + `,"tools":[` + g + `]`, want: saysHi + `,"tools":[{"functionDeclarations":[{"name":"g"}]}]`},
		{name: "parallel calls cannot be forbidden", body: tools + `,"parallel_tool_calls":false`, want: saysHi + declared, adjusted: "parallel_tool_calls"},
		{name: "parallel calls", body: tools + `,"parallel_tool_calls":true`, want: saysHi + declared},
		{
			name: "the deprecated form", body: `"messages":[{"role":"user","content":"hi"},{"role":"assistant","function_call":{"name":"h","arguments":"{}"}},{"role":"function","name":"h","content":"r"}],"functions":[{"name":"h"}],"function_call":{"name":"h"}`,
			want: `"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"name":"h","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"h","response":{"output":"r"}}}]}],"tools":[{"functionDeclarations":[{"name":"h"}]}]` + config(`"mode":"ANY","allowedFunctionNames":["h"]`),
		},
		{name: "a search of the web", body: hi + `,"web_search_options":{}`, want: saysHi + `,"tools":[{"googleSearch":{}}]`},
		{name: "a search of the web with options", body: hi + `,"web_search_options":{"search_context_size":"low"}`, want: saysHi + `,"tools":[{"googleSearch":{}}]`, adjusted: "web_search_options"},
	})
}

func TestRequestsThatGeminiCannotServe(t *testing.T) {
	t.Parallel()
	user := func(part string) string { return `"messages":[{"role":"user","content":[` + part + `]}]` }
	for _, test := range []struct{ model, body, param string }{
		{"", hi + `,"n":0`, "n"},
		{"", hi + `,"n":2,"stream":true`, "n"},
		{"", hi + `,"seed":2147483648`, "seed"},
		{"", hi + `,"seed":1.5`, "seed"},
		{"", hi + `,"top_k":"1"`, "top_k"},
		{"", hi + `,"stop":["1","2","3","4","5","6"]`, "stop"},
		{"", hi + `,"logprobs":true`, "logprobs"},
		{"", hi + `,"top_logprobs":3`, "top_logprobs"},
		{"", hi + `,"audio":{}`, "audio"},
		{"", hi + `,"modalities":["text","audio"]`, "modalities"},
		{"", hi + `,"reasoning_effort":"much"`, "reasoning_effort"},
		{"", hi + `,"thinking":7`, "thinking"},
		{"", hi + `,"response_format":{"type":"xml"}`, "response_format.type"},
		{"", hi + `,"response_format":{"type":"json_schema","json_schema":{"name":"x"}}`, "response_format.json_schema.schema"},
		{"gemini-2.5-flash", hi + `,"response_format":{"type":"json_object"},"tools":[{"type":"function","function":{"name":"f"}}]`, "response_format"},
		{"gemini-2.0-flash", hi + `,"response_format":{"type":"json_object"},"web_search_options":{}`, "response_format"},
		{"", hi + `,"tools":[{"type":"web_search"}]`, "tools[0].type"},
		{"", hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"any"`, "tool_choice"},
		{"", hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}}`, "tool_choice.function.name"},
		{"", hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"custom"}`, "tool_choice.type"},
		{"", hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`, "tool_choice.allowed_tools.tools"},
		{"", hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"web_search_options":{}`, "web_search_options"},
		{"", hi + `,"web_search_options":1`, "web_search_options"},
		{"", `"messages":[{"role":"user","content":""}]`, "messages[0].content"},
		{"", `"messages":[{"role":"user","content":[]}]`, "messages[0].content"},
		{"", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}]`, "messages[1].tool_calls[0].function.arguments"},
		{"", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"a\":"}}]}]`, "messages[1].tool_calls[0].function.arguments"},
		{"", `"messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://h/a.png"}}]}]`, "messages[0].content[0].type"},
		{"", user(`{"type":"text","text":"a"},{"type":"video_url","video_url":{"url":"https://h"}}`), "messages[0].content[1].type"},
		{"", user(`{"type":"image_url","image_url":{"url":"data:image/png,raw"}}`), "messages[0].content[0].image_url.url"},
		{"", user(`{"type":"image_url","image_url":{"url":"data:;base64,aGk="}}`), "messages[0].content[0].image_url.url"},
		{"", user(`{"type":"image_url","image_url":{"url":"/etc/passwd"}}`), "messages[0].content[0].image_url.url"},
		{oldModel, user(`{"type":"image_url","image_url":{"url":"https://h/a.png"}}`), "messages[0].content[0].image_url.url"},
		{"", user(`{"type":"input_audio","input_audio":{"format":"wav"}}`), "messages[0].content[0].input_audio.data"},
		{"", user(`{"type":"input_audio","input_audio":{"data":"aGk=","format":"png"}}`), "messages[0].content[0].input_audio.format"},
		{"", user(`{"type":"input_audio"}`), "messages[0].content[0].input_audio"},
		{"", user(`{"type":"file","file":{"file_id":"file-abc"}}`), "messages[0].content[0].file.file_id"},
		{"", user(`{"type":"file","file":{"file_data":"JVBERi0="}}`), "messages[0].content[0].file.file_data"},
		{"", user(`{"type":"file","file":{}}`), "messages[0].content[0].file.file_data"},
	} {
		model := test.model
		if model == "" {
			model = model25
		}
		_, err := Translate(Chat, Gemini, []byte(`{"model":"m",`+test.body+`}`), &Target{Model: model})
		told, ok := errors.AsType[*Error](err)
		if !ok || told.Status != http.StatusBadRequest || told.Param != test.param || !strings.Contains(told.Message, "'"+strings.TrimSuffix(test.param, ".type")) {
			t.Errorf("%s: got %+v, want an error of %s", test.body, err, test.param)
		}
	}
}

func TestModelsOfGoogle(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]gemini{
		"gemini-2.5-pro":                         {version: 25, pro: true},
		"models/gemini-2.5-flash-lite":           {version: 25, lite: true},
		"gemini-2.5-flash-preview-09-2025":       {version: 25},
		"gemini-2.0-flash-001":                   {version: 20},
		"Gemini-3-Pro-Preview":                   {version: 30, pro: true},
		"gemini-3.1-flash-lite-preview":          {version: 31, lite: true},
		"gemini-flash-latest":                    {version: newestGemini},
		"gemini-pro-latest":                      {version: newestGemini, pro: true},
		"gemini-1.5-flash-latest":                {version: 15},
		"gemini-embedding-001":                   {},
		"gemma-3-27b-it":                         {gemma: true},
		"learnlm-2.0-flash":                      {},
		"tunedModels/mine":                       {},
		"gemini-2x-3.x-0-10-4.99":                {version: 49},
		"":                                       {},
		"gemini-live-2.5-flash-preview":          {version: 25},
		"gemini-robotics-er-1.5-preview":         {version: 15},
		"publishers/google/models/gemini-3-pro":  {version: 30, pro: true},
		"gemini-2.5-computer-use-preview-10-202": {version: 25},
	} {
		if got := geminiOf(name); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for name, want := range map[string]string{"gemini-3-pro": "models/gemini-3-pro", "models/a": "models/a", "tunedModels/a": "tunedModels/a"} {
		if got := GeminiResource(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestGeminisRequestSharesNothingWithTheClients(t *testing.T) {
	t.Parallel()
	body := conversation()
	got, err := Translate(Chat, Gemini, body, &Target{Model: model3})
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(got.Body)
	for i := range body {
		body[i] = 'x'
	}
	if !bytes.Equal(before, got.Body) {
		t.Error("it does")
	}
}

// sorted returns JSON with the members of its objects in the order of their names.
func sorted(t testing.TB, text string) string {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
