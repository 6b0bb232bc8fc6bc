package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
)

// The names of tools that agents have are as long as Anthropic allows, which is twice what OpenAI does. These two
// are the same for as long as that.
const (
	longTool  = "mcp__plugin_playwright_playwright__browser_take_a_screenshot_of_the_whole_page"
	otherTool = "mcp__plugin_playwright_playwright__browser_take_a_screenshot_of_the_window"
)

// agentBody is a request as a coding agent sends it: long system blocks in the cache, many tools, thinking, an
// ID of the user that is longer than others take, and what only Anthropic knows.
func agentBody(model string, messages ...string) string {
	tools := []string{
		`{"name":"Bash","description":"Runs a command.","input_schema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"command":{"type":"string"},"timeout":{"type":"number","exclusiveMinimum":0}},"required":["command"],"additionalProperties":false}}`,
		`{"name":"TodoWrite","description":"Keeps a list.","input_schema":{"type":"object","properties":{"todos":{"type":"array","items":{"type":"object","properties":{"content":{"type":"string","minLength":1},"status":{"type":"string","enum":["pending","in_progress","completed"]}},"required":["content","status"],"additionalProperties":false}}},"required":["todos"]}}`,
		`{"name":"ExitPlanMode","description":"","input_schema":{"type":"object","properties":{}}}`,
	}
	for i := range 40 {
		tools = append(tools, fmt.Sprintf(`{"name":"mcp__server__tool_%d","description":%s,"input_schema":{"type":"object","properties":{"anyOfThem":{"anyOf":[{"type":"string"},{"type":"null"}]},"ref":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"integer"}}}}`, i, quote(strings.Repeat("It does things. ", 40))))
	}
	tools = append(tools, `{"name":"`+longTool+`","input_schema":{"type":"object"}}`,
		`{"name":"`+otherTool+`","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}`)
	return fmt.Sprintf(`{"model":%q,"messages":[%s],"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli;"},{"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral"}},{"type":"text","text":%s,"cache_control":{"type":"ephemeral","ttl":"1h"}}],"tools":[%s],"metadata":{"user_id":"user_%s_account_%s_session_%s"},"max_tokens":32000,"thinking":{"budget_tokens":31999,"type":"enabled"},"temperature":1,"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"stream":true}`,
		model, strings.Join(messages, ","), quote(strings.Repeat("Be careful.\n", 3000)), strings.Join(tools, ","),
		strings.Repeat("0af9", 16), "b7d4c2c1-6c7e-4f0a-9f43-1f1f7d2f9f55", "f1c9a9a2-1e0b-4c1e-8a57-0a6a4f3b2a11")
}

var agentHeaders = []string{
	"anthropic-version: 2023-06-01", "anthropic-dangerous-direct-browser-access: true", "x-app: cli",
	"anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,prompt-caching-scope-2026-01-05",
	"User-Agent: claude-cli/2.1.0 (external, cli)", "x-api-key: sk-ant-of-the-client", "Authorization: Bearer sk-ant-of-the-client",
	"X-Stainless-Lang: js", "X-Stainless-Helper-Method: stream",
}

// readMessage puts a streamed message together with the SDK's accumulator.
func readMessage(t *testing.T, body string) (m anthropic.Message) {
	t.Helper()
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(strings.TrimPrefix(block, "event: "), "\ndata: ")
		if !ok {
			t.Fatalf("not an event: %q", block)
		}
		var event anthropic.MessageStreamEventUnion
		if err := json.Unmarshal([]byte(data), &event); err != nil || event.Type != name {
			t.Fatalf("%v: %q", err, block)
		}
		if name == "ping" {
			continue
		}
		if err := m.Accumulate(event); err != nil {
			t.Fatalf("%v: %q", err, block)
		}
	}
	return m
}

// TestCodingAgent: what a coding agent sends works with OpenAI's and Google's models and, untouched, with Anthropic's.
func TestCodingAgent(t *testing.T) {
	t.Parallel()
	d := startDialects(t,
		"model claude-sonnet-4-5-20250929 {\ntarget direct/gpt-5-agent\n}",
		"model claude-sonnet-4-5-20250930 {\ntarget oai/gpt-4o-agent\n}",
		"model claude-haiku-4-5-20251001 {\ntarget gem/gemini-3-pro-agent\n}",
		"model claude-opus-4-5-20251101 {\ntarget ant/claude-opus-4-5-agent\n}")
	for model, c := range map[string]struct {
		v    *vendor
		name string
	}{
		"claude-sonnet-4-5-20250929": {d.oai, "gpt-5-agent"},
		"claude-sonnet-4-5-20250930": {d.oai, "gpt-4o-agent"},
		"claude-haiku-4-5-20251001":  {d.gem, "gemini-3-pro-agent"},
		"claude-opus-4-5-20251101":   {d.ant, "claude-opus-4-5-agent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seen := c.v.serve(t, c.name, callsLast, say("Done.").says)
			first := `{"role":"user","content":[{"type":"text","text":"<system-reminder>\nx\n</system-reminder>"},{"type":"text","text":"Take a look","cache_control":{"type":"ephemeral"}}]}`
			a := d.g.post(t, messagesPath+"?beta=true", agentBody(model, first), agentHeaders...)
			if a.StatusCode != 200 || a.Err != nil {
				t.Fatalf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
			}
			m := readMessage(t, a.Body)
			use := m.Content[len(m.Content)-1]
			if m.Model != model || use.Name != otherTool || string(use.Input) != `{"a":1}` || m.Usage.InputTokens == 0 {
				t.Fatalf("got %s", m.RawJSON())
			}
			said, err := json.Marshal(m.ToParam())
			if err != nil {
				t.Fatal(err)
			}
			result := `{"role":"user","content":[{"tool_use_id":"` + use.ID + `","type":"tool_result","content":[{"type":"text","text":"ok"}],"is_error":false},{"type":"text","text":"<system-reminder>y</system-reminder>"}]}`
			a = d.g.post(t, messagesPath+"?beta=true", agentBody(model, first, string(said), result), agentHeaders...)
			if a.StatusCode != 200 || a.Err != nil || readMessage(t, a.Body).Content[0].Text != "Done." {
				t.Errorf("status %d, error %v: %s", a.StatusCode, a.Err, a.Body)
			}
			body, x := seen.request(1)
			if c.v == d.ant {
				if x.Req.URL.RawQuery != "beta=true" || !strings.Contains(x.Req.Header.Get("Anthropic-Beta"), "claude-code-20250219,") {
					t.Errorf("the request lost something: %s %v", x.Req.URL, x.Req.Header)
				}
				return
			}
			if strings.Contains(string(x.Head), "sk-ant-of-the-client") || strings.Contains(string(x.Body), "cache_control") {
				t.Error("something has leaked")
			}
			if c.name == "gpt-5-agent" && at(body, "reasoning_effort") != "high" {
				t.Errorf("reasoning_effort is %v", at(body, "reasoning_effort"))
			}
		})
	}
}

// callsLast thinks where the vendor shows that, and calls the last tool that it was told of.
func callsLast(v *vendor, x *exchange, model string, stream bool) {
	var body map[string]any
	_ = json.Unmarshal(x.Body, &body)
	tools, _ := body["tools"].([]any)
	if declared, ok := at(body, "tools.0.functionDeclarations").([]any); ok {
		tools = declared
	}
	last := tools[len(tools)-1]
	name, ok := at(last, "function.name").(string)
	if !ok {
		name, _ = at(last, "name").(string)
	}
	r := reply{thinking: "I shall look.", calls: []toolUse{{"toolu_last", name, `{"a":1}`}}}
	r.says(v, x, model, stream)
}
