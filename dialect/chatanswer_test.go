package dialect

import (
	"encoding/json"
	"errors"
	"testing"
)

// seen is what of a ChatAnswer is compared.
func seen(a *ChatAnswer) string {
	type call struct {
		Index           int
		ID, Name, Args  string
		Extra, Verbatim string
	}
	type choice struct {
		Index                                     int
		Role, Content, Refusal, Reasoning, Finish string
		Verbatim                                  string
		Blocks                                    []json.RawMessage
		Calls                                     []call
	}
	var out struct {
		ID, Model, Tier string
		Choices         []choice
		Usage           *Usage
	}
	out.ID, out.Model, out.Tier = a.ID, a.Model, a.ServiceTier
	for _, c := range a.Choices {
		d := &c.Delta
		s := choice{c.Index, d.Role, d.Content, d.Refusal, d.Reasoning, c.FinishReason, string(d.ContentJSON) + string(d.ReasoningJSON), d.ThinkingBlocks, nil}
		for _, t := range d.ToolCalls {
			s.Calls = append(s.Calls, call{t.Index, t.ID, t.Name, t.Arguments, string(t.ExtraContent), string(t.ArgumentsJSON)})
		}
		out.Choices = append(out.Choices, s)
	}
	if a.HasUsage {
		out.Usage = &a.Usage
	}
	b, _ := json.Marshal(out)
	return string(b)
}

// like returns a choice of its own that says nothing but what is given, as seen shows it.
func like(c string) string {
	var out map[string]any
	_ = json.Unmarshal([]byte(`{"ID":"","Model":"","Tier":"","Choices":[],"Usage":null}`), &out)
	_ = json.Unmarshal([]byte(c), &out)
	b, _ := json.Marshal(out)
	return string(b)
}

// TestReadChatAnswer reads all with one ChatAnswer, so that what is left from one would show in the next.
func TestReadChatAnswer(t *testing.T) {
	t.Parallel()
	a := new(ChatAnswer)
	for _, test := range []struct{ name, data, choice string }{
		{"text", `{"id":"c1","model":"m","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":"a\"b"},"finish_reason":null}],"usage":null}`, `"Role":"assistant","Content":"a\"b","Verbatim":"\"a\\\"b\""`},
		{"everything null", `{"id":null,"model":null,"choices":[{"index":null,"delta":{"role":null,"content":null,"refusal":null,"reasoning":null,"tool_calls":null,"function_call":null},"finish_reason":null,"logprobs":null}],"usage":null,"error":null}`, ``},
		{"nothing in it", `{"choices":[{}]}`, ``},
		{"the wrong types", `{"id":1,"choices":[{"index":"x","delta":{"content":5,"tool_calls":{},"thinking_blocks":"x","reasoning":{}},"finish_reason":7}]}`, ``},
		{"no delta", `{"choices":[{"index":1,"delta":null,"finish_reason":"stop"}]}`, `"Index":1,"Finish":"stop"`},
		{"a whole message", `{"choices":[{"index":0,"message":{"role":"assistant","content":"x","refusal":"no"},"finish_reason":"length"}]}`, `"Role":"assistant","Content":"x","Refusal":"no","Finish":"length","Verbatim":"\"x\""`},
		{"reasoning_content", `{"choices":[{"delta":{"reasoning_content":"r","content":"c"}}]}`, `"Content":"c","Reasoning":"r","Verbatim":"\"c\"\"r\""`},
		{"reasoning, said twice", `{"choices":[{"delta":{"reasoning":"r","reasoning_content":"r"}}]}`, `"Reasoning":"r","Verbatim":"\"r\""`},
		{"Mistral's parts", `{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"},{"type":"text","text":"m"}]},{"type":"text","text":"so"},{"type":"thinking","thinking":"!"},{"type":"reference","reference_ids":[1]},"odd",null]}}]}`, `"Content":"so","Reasoning":"hmm!"`},
		{"blocks of thinking", `{"choices":[{"delta":{"thinking_blocks":[{"type":"thinking","signature":"s"},null]}}]}`, `"Blocks":[{"type":"thinking","signature":"s"}]`},
		{"a call", `{"choices":[{"delta":{"tool_calls":[{"index":2,"id":"x","type":"function","function":{"name":"f","arguments":"{\"a\":1}"},"extra_content":{"google":{}}}]}}]}`, `"Calls":[{"Index":2,"ID":"x","Name":"f","Args":"{\"a\":1}","Extra":"{\"google\":{}}","Verbatim":"\"{\\\"a\\\":1}\""}]`},
		{"calls without an index, and with arguments that are an object", `{"choices":[{"delta":{"tool_calls":[{"id":"x","function":{"name":"f","arguments":{"a": 1.10}}},{"index":null,"id":null,"function":null},7]}}]}`, `"Calls":[{"Index":-1,"ID":"x","Name":"f","Args":"{\"a\": 1.10}","Extra":"","Verbatim":""},{"Index":-1,"ID":"","Name":"","Args":"","Extra":"","Verbatim":""}]`},
		{"the same index with another ID", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x"},{"index":0,"id":"y"}]}}]}`, `"Calls":[{"Index":0,"ID":"x","Name":"","Args":"","Extra":"","Verbatim":""},{"Index":0,"ID":"y","Name":"","Args":"","Extra":"","Verbatim":""}]`},
		{"a function_call", `{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}}}]}`, `"Calls":[{"Index":0,"ID":"","Name":"f","Args":"{}","Extra":"","Verbatim":"\"{}\""}]`},
		{"a key that is escaped", `{"\u0063hoices":[{"d\u0065lta":{"content":"x"}}]}`, `"Content":"x","Verbatim":"\"x\""`},
	} {
		if err := readChatAnswer([]byte(test.data), a); err != nil || a.Error != nil {
			t.Errorf("%s: %v, %v", test.name, err, a.Error)
			continue
		}
		var got, want struct{ Choices []map[string]any }
		_ = json.Unmarshal([]byte(seen(a)), &got)
		blank := `{"Index":0,"Role":"","Content":"","Refusal":"","Reasoning":"","Finish":"","Verbatim":"","Blocks":[],"Calls":null}`
		_ = json.Unmarshal([]byte(`{"Choices":[`+blank+`]}`), &want)
		_ = json.Unmarshal([]byte("{"+test.choice+"}"), &want.Choices[0])
		for _, c := range got.Choices {
			if c["Blocks"] == nil {
				c["Blocks"] = []any{}
			}
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		if string(g) != string(w) {
			t.Errorf("%s: got  %s\nwant %s", test.name, g, w)
		}
	}
}

func TestChatAnswerUsage(t *testing.T) {
	t.Parallel()
	a := new(ChatAnswer)
	for _, test := range []struct{ name, data, want string }{
		{"at the top", `{"id":"x","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}`, `{"ID":"x","Usage":{"Input":9,"CachedInput":3,"CacheWrite":0,"CacheWriteHour":0,"Output":4,"Reasoning":0}}`},
		{"none", `{"choices":[],"usage":null}`, `{}`},
		{"of another type", `{"choices":[],"usage":[]}`, `{}`},
		{"Groq's", `{"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":1,"completion_tokens":2}}}`, `{"Usage":{"Input":1,"CachedInput":0,"CacheWrite":0,"CacheWriteHour":0,"Output":2,"Reasoning":0}}`},
		{"Moonshot's", `{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12,"cached_tokens":2}}]}`, `{"Usage":{"Input":3,"CachedInput":2,"CacheWrite":0,"CacheWriteHour":0,"Output":9,"Reasoning":0}}`},
		{"Groq's says nothing", `{"choices":[],"x_groq":null}`, `{}`},
	} {
		if err := readChatAnswer([]byte(test.data), a); err != nil || !a.HasChoices {
			t.Errorf("%s: %v", test.name, err)
		}
		a.Choices = nil
		var got map[string]any
		_ = json.Unmarshal([]byte(seen(a)), &got)
		got["Choices"] = []any{}
		g, _ := json.Marshal(got)
		if want := like(test.want); string(g) != want {
			t.Errorf("%s: got %s, want %s", test.name, g, want)
		}
	}
}

// TestChatAnswerErrors is every shape in which servers report an error with status 200.
func TestChatAnswerErrors(t *testing.T) {
	t.Parallel()
	a := new(ChatAnswer)
	for _, test := range []struct {
		name, data    string
		status        int
		code, message string
	}{
		{"OpenAI's", `{"error":{"message":"Slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`, 429, "rate_limit_exceeded", "Slow down"},
		{"OpenAI's server error", `{"error":{"message":"Oops","type":"server_error","param":null,"code":null}}`, 502, "", "Oops"},
		{"vLLM's", `{"object":"error","message":"Too long","type":"BadRequestError","param":null,"code":400}`, 400, "", "Too long"},
		{"OpenRouter's, with choices", `{"id":"x","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":429,"message":"Limited","metadata":{}}}`, 429, "rate_limit_exceeded", "Limited"},
		{"in a choice", `{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":503,"message":"Busy"}}]}`, 503, "overloaded", "Busy"},
		{"Google's, in an array", `[{"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}]`, 503, "overloaded", "Overloaded"},
		{"Ollama's, a string", `{"error":"model not loaded"}`, 502, "", "model not loaded"},
		{"an array of strings", `{"error":["one","two"]}`, 502, "", "one"},
		{"an object that says nothing", `{"error":{}}`, 502, "", "The provider reported an error."},
		{"true", `{"error":true}`, 502, "provider_error", "The provider reported an error."},
		{"Groq's", `{"x_groq":{"id":"r","error":"over capacity"},"choices":[]}`, 502, "", "over capacity"},
		{"Anthropic's type", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, 503, "overloaded", "Overloaded"},
	} {
		err := readChatAnswer([]byte(test.data), a)
		if err != nil || a.Error == nil || a.Error.Status != test.status || a.Error.Code != test.code || a.Error.Message != test.message {
			t.Errorf("%s: %v, %+v", test.name, err, a.Error)
		}
	}
	for _, data := range []string{`{"error":null,"choices":[]}`, `{"error":"","choices":[]}`, `{"error":false,"choices":[]}`, `{"error":[],"choices":[]}`} {
		if err := readChatAnswer([]byte(data), a); err != nil || a.Error != nil {
			t.Errorf("%s: %v, %+v", data, err, a.Error)
		}
	}
	for _, data := range []string{``, `[DONE]`, `null`, `"x"`, `[]`, `[null]`, `{`, `{"choices":[}`, `<html>`} {
		if err := readChatAnswer([]byte(data), a); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%q: %v, %+v", data, err, a.Error)
		}
	}
}
