package dialect

import (
	"strings"
	"testing"
)

func TestParametersToGemini(t *testing.T) {
	t.Parallel()
	config := func(name, model, body, want, adjusted string) requestTest {
		if want != "" {
			want = `,"generationConfig":{` + want + `}`
		}
		return requestTest{name: name, model: model, body: hi + "," + body, want: saysHi + want, adjusted: adjusted}
	}
	const schema = `{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string","maxLength":5}},"required":["a","b"],"additionalProperties":false}`
	runRequests(t, []requestTest{
		config("sampling, to the digit", "", `"temperature":1.00000000000000000001,"top_p":9e-1,"top_k":40,"seed":-2147483648,"presence_penalty":0.5,"frequency_penalty":-0.10`,
			`"temperature":1.00000000000000000001,"topP":9e-1,"topK":40,"seed":-2147483648,"presencePenalty":0.5,"frequencyPenalty":-0.10`, ""),
		config("penalties of nothing are not sent: many models refuse any", "", `"presence_penalty":0,"frequency_penalty":0.0`, "", ""),
		config("nulls are none", "", `"temperature":null,"seed":null,"n":null,"stop":null,"max_tokens":null,"response_format":null,"tools":null,"reasoning_effort":null`, "", ""),
		config("the older limit", "", `"max_tokens":5`, `"maxOutputTokens":5`, ""),
		config("the newer limit goes before the older", "", `"max_completion_tokens":6,"max_tokens":5`, `"maxOutputTokens":6`, ""),
		config("one stop sequence", "", `"stop":"\n"`, `"stopSequences":["\n"]`, ""),
		config("stop sequences", "", `"stop":["a","","b"]`, `"stopSequences":["a","b"]`, ""),
		config("several answers", "", `"n":3`, `"candidateCount":3`, ""),
		config("one answer", "", `"n":1`, "", ""),
		config("what Gemini does not have", "", `"logit_bias":{"1":5},"store":true,"metadata":{},"user":"u","service_tier":"flex","prediction":{},"logprobs":false,"top_logprobs":0,"modalities":["text"]`, "", "logit_bias,store,metadata,prediction,user,service_tier"),
		config("text", "", `"response_format":{"type":"text"}`, "", ""),
		config("JSON", "", `"response_format":{"type":"json_object"}`, `"responseMimeType":"application/json"`, ""),
		config("a schema", "", `"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":`+schema+`}}`, `"responseMimeType":"application/json","responseJsonSchema":`+schema, ""),
		config("JSON, and tools that may not be called", "gemini-2.5-pro", `"response_format":{"type":"json_object"},"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none"`, `"responseMimeType":"application/json"`, ""),
		config("a schema for an old model, in its order", oldModel, `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":`+schema+`}}`,
			`"responseMimeType":"application/json","responseSchema":{"type":"OBJECT","properties":{"b":{"type":"INTEGER"},"a":{"type":"STRING","maxLength":5}},"required":["a","b"],"propertyOrdering":["b","a"]}`, ""),
	})
	_, streamed := inGemini(t, model25, `{"model":"m","stream":true,`+hi+`}`)
	if !streamed.Stream {
		t.Error("a stream is not one any more")
	}
}

func TestReasoningToGemini(t *testing.T) {
	t.Parallel()
	const thoughts = `,"includeThoughts":true`
	for _, test := range []struct{ model, effort, want, adjusted string }{
		{model3, "none", `"thinkingLevel":"minimal"`, "reasoning_effort"},
		{model3, "minimal", `"thinkingLevel":"minimal"` + thoughts, ""},
		{model3, "low", `"thinkingLevel":"low"` + thoughts, ""},
		{model3, "medium", `"thinkingLevel":"medium"` + thoughts, ""},
		{model3, "high", `"thinkingLevel":"high"` + thoughts, ""},
		{model3, "xhigh", `"thinkingLevel":"high"` + thoughts, "reasoning_effort"},
		{model3, "max", `"thinkingLevel":"high"` + thoughts, "reasoning_effort"},
		{model3Pro, "none", `"thinkingLevel":"low"`, "reasoning_effort"},
		{model3Pro, "minimal", `"thinkingLevel":"low"` + thoughts, "reasoning_effort"},
		{model3Pro, "medium", `"thinkingLevel":"high"` + thoughts, "reasoning_effort"},
		{"gemini-3.1-pro-preview", "medium", `"thinkingLevel":"medium"` + thoughts, ""},
		{"gemini-3.7-flash", "minimal", `"thinkingLevel":"low"` + thoughts, "reasoning_effort"},
		{"gemini-pro-latest", "low", `"thinkingLevel":"low"` + thoughts, ""},
		{model25, "none", `"thinkingBudget":0`, ""},
		{model25, "minimal", `"thinkingBudget":512` + thoughts, ""},
		{model25, "low", `"thinkingBudget":1024` + thoughts, ""},
		{"gemini-2.5-flash-lite", "medium", `"thinkingBudget":8192` + thoughts, ""},
		{model25, "high", `"thinkingBudget":24576` + thoughts, ""},
		{model25, "max", `"thinkingBudget":24576` + thoughts, ""},
		{model25Pro, "none", `"thinkingBudget":128`, "reasoning_effort"},
		{model25Pro, "xhigh", `"thinkingBudget":32768` + thoughts, ""},
		{oldModel, "none", "", ""},
		{oldModel, "low", "", "reasoning_effort"},
		{"my-model", "low", "", "reasoning_effort"},
	} {
		want := "{" + saysHi + `,"generationConfig":{"thinkingConfig":{` + test.want + `}}}`
		if test.want == "" {
			want = "{" + saysHi + "}"
		}
		got, translation := inGemini(t, test.model, `{"model":"m",`+hi+`,"reasoning_effort":"`+test.effort+`"}`)
		if got != want || strings.Join(translation.Adjusted, ",") != test.adjusted {
			t.Errorf("%s, %s: got %s and %q, want %s", test.model, test.effort, got, translation.Adjusted, want)
		}
	}
}

func TestAnthropicsThinkingToGemini(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ model, members, want, adjusted string }{
		{model25, `"thinking":{"type":"enabled","budget_tokens":2000}`, `"thinkingBudget":2000,"includeThoughts":true`, ""},
		{model25, `"thinking":{"type":"enabled","budget_tokens":50000}`, `"thinkingBudget":24576,"includeThoughts":true`, "thinking"},
		{model25Pro, `"thinking":{"type":"enabled","budget_tokens":2000},"reasoning_effort":"high"`, `"thinkingBudget":2000,"includeThoughts":true`, ""},
		{model25, `"thinking":{"type":"adaptive"}`, `"thinkingBudget":-1,"includeThoughts":true`, ""},
		{model25, `"thinking":{"type":"disabled"},"reasoning_effort":"high"`, `"thinkingBudget":0`, ""},
		{model3, `"thinking":{"type":"enabled","budget_tokens":2000}`, `"thinkingLevel":"low","includeThoughts":true`, ""},
		{model3, `"thinking":{"type":"enabled","budget_tokens":10000}`, `"thinkingLevel":"medium","includeThoughts":true`, ""},
		{model3, `"thinking":{"type":"enabled","budget_tokens":32000}`, `"thinkingLevel":"high","includeThoughts":true`, ""},
		{model3, `"thinking":{"type":"enabled","budget_tokens":32000},"reasoning_effort":"low"`, `"thinkingLevel":"low","includeThoughts":true`, ""},
		{model3, `"thinking":{"type":"adaptive"}`, `"includeThoughts":true`, ""},
		{oldModel, `"thinking":{"type":"enabled","budget_tokens":2000}`, "", "thinking"},
	} {
		want := "{" + saysHi + `,"generationConfig":{"thinkingConfig":{` + test.want + `}}}`
		if test.want == "" {
			want = "{" + saysHi + "}"
		}
		got, translation := inGemini(t, test.model, `{"model":"m",`+hi+`,`+test.members+`}`)
		if got != want || strings.Join(translation.Adjusted, ",") != test.adjusted {
			t.Errorf("%s, %s: got %s and %q, want %s", test.model, test.members, got, translation.Adjusted, want)
		}
	}
}
