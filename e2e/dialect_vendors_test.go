package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// inspected returns what a vendor has against a body.
func inspected(t *testing.T, v *vendor, path, query, body string) []offence {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://h"+path+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	switch v.provider {
	case "ant":
		req.Header.Set("X-Api-Key", upstreamKey)
		req.Header.Set("Anthropic-Version", "2023-06-01")
	case "gem":
		req.Header.Set("X-Goog-Api-Key", upstreamKey)
	default:
		req.Header.Set("Authorization", "Bearer "+upstreamKey)
	}
	i := &inspection{}
	i.read([]byte(body))
	v.inspect(&exchange{Req: req}, i)
	return i.offences
}

// TestVendorsAreStrict: what the tests of dialects rest on is that the vendors refuse what they should.
func TestVendorsAreStrict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		v     *vendor
		path  string
		right string
		wrong map[string]string // a part of right, and what makes it wrong
	}{
		"Anthropic": {newAnthropic(t), "/v1/messages",
			`{"model":"claude-sonnet-4-5","max_tokens":2000,"temperature":1,"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"` + signature("anthropic", "t") + `"},{"type":"text","text":"b"},{"type":"tool_use","id":"x","name":"f","input":{"n":null}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":""},{"type":"image","source":{"type":"url","url":"https://h/a.png"}}]}]}`,
			map[string]string{
				`"max_tokens":2000,`:               ``,
				`"temperature":1`:                  `"temperature":0.5`,
				`"max_tokens":2000`:                `"max_tokens":1000`,
				`"temperature":1,`:                 `"seed":1,"temperature":1,`,
				`"text":"b"`:                       `"text":""`,
				`"thinking":"t"`:                   `"thinking":"T"`,
				`"tool_use_id":"x"`:                `"tool_use_id":"y"`,
				`{"type":"ephemeral"`:              `{"type":"ephemeral","ttl":"2h"`,
				`"input_schema":{"type":"object"}`: `"input_schema":null`,
				`"input_schema":{"type"`:           `"description":null,"input_schema":{"type"`,
				`"input":{"n":null}`:               `"input":"{}"`,
				`{"role":"user","content":"a"},`:   ``,
				`"content":"a"`:                    `"content":""`,
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":""},`: `{"role":"user","content":[`,
				`https://h`: `http://h`,
			}},
		"OpenAI": {newOpenAI(t), "/v1/chat/completions",
			`{"model":"gpt-5","max_completion_tokens":5,"stop":null,"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":""}]},{"role":"assistant","content":null,"tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":"b"},{"role":"user","content":"c"}]}`,
			map[string]string{
				`"max_completion_tokens"`: `"max_tokens"`,
				`"stop":null`:             `"top_k":4`,
				`"name":"f"}}],"mess`:     `"name":"` + longTool + `"}}],"mess`,
				`"tool_call_id":"x"`:      `"tool_call_id":"y"`,
				`{"role":"tool","tool_call_id":"x","content":"b"},`: ``,
				`"content":"c"`:             `"content":null`,
				`"arguments":"{}"`:          `"arguments":{}`,
				`"content":null,"tool_`:     `"thinking_blocks":[],"content":null,"tool_`,
				`{"type":"text","text":""}`: ``,
				`"tools":[{"type":"function","function":{"name":"f"}}]`: `"tools":[]`,
			}},
		"Google": {newGemini(t), "/v1beta/models/gemini-3-pro:generateContent",
			`{"systemInstruction":{"parts":[{"text":"a"}]},"generationConfig":{"seed":5},"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING"}}}}]}],"contents":[{"role":"user","parts":[{"text":"b"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"` + skipSignature + `"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`,
			map[string]string{
				`"seed":5`:          `"seed":5000000000`,
				`{"type":"STRING"}`: `{"type":["STRING","NULL"]}`,
				`"type":"OBJECT"`:   `"type":"OBJECT","additionalProperties":false`,
				`"text":"b"`:        `"text":""`,
				`,"thoughtSignature":"` + skipSignature + `"`: ``,
				`{"role":"model"`:                                 `{"role":"user"`,
				`"name":"f","response":{}`:                        `"name":"f","response":"a"`,
				`{"functionResponse":{"name":"f","response":{}}}`: `{"text":"a"}`,
				`"generationConfig"`:                              `"generation_config"`,
			}},
	} {
		if found := inspected(t, c.v, c.path, "", c.right); len(found) > 0 {
			t.Errorf("%s refuses what is right: %v", name, found)
		}
		for part, instead := range c.wrong {
			if !strings.Contains(c.right, part) {
				t.Errorf("%s: there is no %s", name, part)
			}
			if found := inspected(t, c.v, c.path, "", strings.Replace(c.right, part, instead, 1)); len(found) == 0 {
				t.Errorf("%s takes %s for %s", name, instead, part)
			}
		}
	}
}
