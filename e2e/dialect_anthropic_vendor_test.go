package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// newAnthropic returns an upstream that validates and answers as api.anthropic.com does, as far as its
// documentation, its SDK's types and its observed errors tell.
func newAnthropic(t testing.TB) *vendor {
	return &vendor{
		provider: "ant", up: newUpstream(t),
		routes:  func(model string) []string { return []string{model} },
		inspect: inspectAnthropic,
		refusal: func(f offence) (int, string, []string) {
			return 400, anthropicError("invalid_request_error", f.path+": "+f.says), nil
		},
		streams: func(_ *exchange, body map[string]any) bool { return body["stream"] == true },
		whole:   reply.anthropic, events: reply.anthropicEvents,
		media: "text/event-stream; charset=utf-8",
		lines: []string{"request-id: " + anthropicRequest, "anthropic-organization-id: 0ec5", "anthropic-ratelimit-requests-limit: 4000", "anthropic-ratelimit-requests-remaining: 3999"},
	}
}

const anthropicRequest = "req_011CZkZaBF1tNoB5wlCeusgy"

// anthropicError is an error as Anthropic words it.
func anthropicError(kind, message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%s},"request_id":%q}`, kind, quote(message), anthropicRequest)
}

// anthropicErrorEvent is the event of one in the midst of a stream.
func anthropicErrorEvent(kind, message string) string {
	return fmt.Sprintf("event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":%q,\"message\":%s},\"request_id\":%q    }\n\n", kind, quote(message), anthropicRequest)
}

var (
	anthropicToolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	anthropicToolID   = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	newerClaude       = regexp.MustCompile(`opus-4-7|opus-4-8|sonnet-5|fable-5|mythos-5|opus-5`)
)

func inspectAnthropic(x *exchange, i *inspection) {
	i.header(x, "X-Api-Key", upstreamKey)
	i.header(x, "Authorization", "")
	i.header(x, "Anthropic-Version", "2023-06-01")
	i.header(x, "Content-Type", "application/json")
	counts := strings.HasSuffix(x.Req.URL.Path, "/count_tokens")
	if !counts && !i.check(x.Req.URL.Path == "/v1/messages", "path", "is %s", x.Req.URL.Path) {
		return
	}
	known := "!model !messages max_tokens system metadata stop_sequences stream temperature top_p top_k tools tool_choice thinking output_config service_tier cache_control"
	if strings.Contains(x.Req.Header.Get("Anthropic-Beta"), "context-management") {
		known += " context_management"
	}
	i.members("", i.body, known)
	i.noNulls("", i.body, "input", "input_schema", "schema")
	model := i.text("", i.body, "model")
	limit, has := i.number("", i.body, "max_tokens", 1, 128000, true)
	i.check(has || counts, "max_tokens", "Field required")
	a := &anthropicInspection{inspection: i, betas: x.Req.Header.Get("Anthropic-Beta")}
	a.system()
	a.tools()
	a.messages()
	a.thinking(model, limit)
	a.rest(model)
	i.check(a.breakpoints <= 4, "cache_control", "A maximum of 4 blocks with cache_control may be provided. Found %d.", a.breakpoints)
	if a.toolUse {
		i.check(i.body["tools"] != nil, "tools", "Requests which have `tool_use` or `tool_result` blocks must define tools")
	}
}

type anthropicInspection struct {
	*inspection
	breakpoints int
	toolUse     bool
	thinks      bool // by a budget
	betas       string
}

// cached counts a breakpoint.
func (a *anthropicInspection) cached(path string, obj map[string]any) {
	if v, ok := obj["cache_control"]; ok {
		a.breakpoints++
		control := a.object(join(path, "cache_control"), v)
		a.members(join(path, "cache_control"), control, "!type ttl")
		a.oneOf(join(path, "cache_control"), control, "type", "ephemeral")
		a.oneOf(join(path, "cache_control"), control, "ttl", "5m 1h")
	}
}

func (a *anthropicInspection) system() {
	if _, ok := a.body["system"].(string); ok {
		return
	}
	for n, block := range a.list("system", a.body["system"]) {
		path := join("system", n)
		a.oneOf(path, block, "type", "text")
		a.block(path, block)
	}
}

func (a *anthropicInspection) tools() {
	names := map[string]bool{}
	for n, tool := range a.list("tools", a.body["tools"]) {
		path := join("tools", n)
		a.cached(path, tool)
		if strings.HasPrefix(fmt.Sprint(tool["type"]), "web_search_") { // which it runs itself
			a.oneOf(path, tool, "type", "web_search_20250305")
			a.oneOf(path, tool, "name", "web_search")
			a.members(path, tool, "!type !name max_uses allowed_domains blocked_domains user_location cache_control")
			names["web_search"] = true
			continue
		}
		a.members(path, tool, "!name description !input_schema type strict cache_control eager_input_streaming")
		a.oneOf(path, tool, "type", "custom")
		name := a.text(path, tool, "name")
		a.matches(join(path, "name"), name, anthropicToolName)
		a.check(!names[name], path, "Tool names must be unique.")
		names[name] = true
		a.text(path, tool, "description")
		schema := a.object(join(path, "input_schema"), tool["input_schema"])
		a.check(schema["type"] == "object", join(path, "input_schema.type"), "Field required")
	}
	raw, ok := a.body["tool_choice"]
	if !ok {
		return
	}
	a.check(len(names) > 0, "tool_choice", "tool_choice may only be specified while providing tools")
	choice := a.object("tool_choice", raw)
	known := map[string]string{"auto": "type disable_parallel_tool_use", "any": "type disable_parallel_tool_use", "none": "type", "tool": "type !name disable_parallel_tool_use"}
	kind := a.oneOf("tool_choice", choice, "type", "auto any none tool")
	a.members("tool_choice", choice, known[kind])
	if kind == "tool" {
		a.check(names[a.text("tool_choice", choice, "name")], "tool_choice", "Tool '%s' not found in provided tools", choice["name"])
	}
}

// messages checks the turns: the first is the user's, and what tools have returned is in the one message
// after they were called, before anything else in it.
func (a *anthropicInspection) messages() {
	all := a.list("messages", a.body["messages"])
	a.check(len(all) > 0, "messages", "at least one message is required")
	var open []string // the calls of the message before
	for n, m := range all {
		path := join("messages", n)
		a.members(path, m, "!role !content")
		role := a.oneOf(path, m, "role", "user assistant")
		a.check(n > 0 || role == "user", path, "first message must use the \"user\" role")
		results := a.content(path, role, m["content"])
		for _, id := range open {
			a.check(slices.Contains(results, id), path, "`tool_use` ids were found without `tool_result` blocks immediately after: %s", id)
		}
		for _, id := range results {
			a.check(slices.Contains(open, id), path, "unexpected `tool_use_id` found in `tool_result` blocks: %s", id)
		}
		open = callIDs(m["content"])
		a.toolUse = a.toolUse || len(open) > 0
	}
	a.check(len(open) == 0, "messages", "the last message calls tools and nothing follows")
}

// callIDs returns the IDs of the calls in a content.
func callIDs(content any) (ids []string) {
	blocks, _ := content.([]any)
	for _, b := range blocks {
		if at(b, "type") == "tool_use" {
			ids = append(ids, fmt.Sprint(at(b, "id")))
		}
	}
	return ids
}

// content checks the blocks of a message and returns which calls it answers.
func (a *anthropicInspection) content(path, role string, content any) (results []string) {
	if s, ok := content.(string); ok {
		a.check(role == "assistant" || strings.TrimSpace(s) != "", path, "user messages must have non-empty content")
		return nil
	}
	blocks := a.list(join(path, "content"), content)
	a.check(role == "assistant" || len(blocks) > 0, path, "user messages must have non-empty content")
	others := false
	for n, b := range blocks {
		path := fmt.Sprintf("%s.content.%d", path, n)
		kind := a.block(path, b)
		switch kind {
		case "thinking", "redacted_thinking":
			a.check(role == "assistant", path, "thinking blocks are the assistant's")
		case "tool_use":
			a.check(role == "assistant", path, "`tool_use` blocks can only be in `assistant` messages")
		case "tool_result":
			a.check(role == "user", path, "`tool_result` blocks can only be in `user` messages")
			a.check(!others, path, "tool_result blocks must come first")
			id := fmt.Sprint(b["tool_use_id"])
			a.check(!slices.Contains(results, id), path, "each tool_use must have a single result. Found multiple `tool_result` blocks with id: %s", id)
			results = append(results, id)
		}
		others = others || kind != "tool_result"
	}
	return results
}

// block checks one block of a content.
func (a *anthropicInspection) block(path string, b map[string]any) string {
	a.cached(path, b)
	kind := a.oneOf(path, b, "type", "text image document tool_use tool_result thinking redacted_thinking")
	switch kind {
	case "text":
		a.members(path, b, "type !text cache_control citations")
		a.check(a.text(path, b, "text") != "", path, "text content blocks must be non-empty")
	case "image", "document":
		a.members(path, b, "type !source title context citations cache_control")
		a.source(join(path, "source"), kind, a.object(join(path, "source"), b["source"]))
	case "tool_use":
		a.members(path, b, "type !id !name !input cache_control")
		a.matches(join(path, "id"), a.text(path, b, "id"), anthropicToolID)
		a.matches(join(path, "name"), a.text(path, b, "name"), anthropicToolName)
		a.object(join(path, "input"), b["input"])
	case "tool_result":
		a.members(path, b, "type !tool_use_id content is_error cache_control")
		a.flag(path, b, "is_error")
		if _, ok := b["content"].(string); !ok {
			for n, part := range a.list(join(path, "content"), b["content"]) {
				a.oneOf(path, part, "type", "text image document")
				if part["text"] != "" {
					a.block(fmt.Sprintf("%s.content.%d", path, n), part)
				}
			}
		}
	case "thinking":
		a.members(path, b, "type !thinking !signature")
		a.check(b["signature"] == signature("anthropic", a.text(path, b, "thinking")), path, "Invalid `signature` in `thinking` block")
	case "redacted_thinking":
		a.members(path, b, "type !data")
		a.base64(path, a.text(path, b, "data"))
	}
	return kind
}

func (a *anthropicInspection) source(path, of string, s map[string]any) {
	media := map[string]string{"image": "image/jpeg image/png image/gif image/webp", "document": "application/pdf"}[of]
	switch a.oneOf(path, s, "type", "base64 url text") {
	case "base64":
		a.members(path, s, "type !media_type !data")
		a.oneOf(path, s, "media_type", media)
		a.base64(path, a.text(path, s, "data"))
	case "url":
		a.members(path, s, "type !url")
		a.check(strings.HasPrefix(a.text(path, s, "url"), "https://"), path, "Only HTTPS URLs are supported.")
	case "text":
		a.members(path, s, "type !media_type !data")
		a.oneOf(path, s, "media_type", "text/plain")
	}
}

// thinking checks what goes with it.
func (a *anthropicInspection) thinking(model string, limit float64) {
	raw, ok := a.body["thinking"]
	if !ok {
		return
	}
	thinking := a.object("thinking", raw)
	switch a.oneOf("thinking", thinking, "type", "enabled disabled adaptive") {
	case "enabled":
		a.thinks = true
		a.members("thinking", thinking, "type !budget_tokens display")
		budget, _ := a.number("thinking", thinking, "budget_tokens", 1024, 128000, true)
		a.check(limit == 0 || budget < limit, "max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`")
		a.check(!newerClaude.MatchString(model), "thinking.type", "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\"")
		a.check(!a.callsWithoutThinking(), "messages", "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block")
	case "adaptive":
		known := "type display"
		if strings.Contains(a.betas, "thinking-binding-controls-2026-08-01") {
			known += " block_binding"
		}
		a.members("thinking", thinking, known)
	case "disabled":
		a.members("thinking", thinking, "type")
		return
	}
	t, has := a.number("", a.body, "temperature", 0, 1, false)
	a.check(!has || t == 1, "temperature", "`temperature` may only be set to 1 when thinking is enabled")
	a.check(a.body["top_k"] == nil, "top_k", "`top_k` must be unset when thinking is enabled")
	kind := at(a.body, "tool_choice.type")
	a.check(!a.thinks || kind != "any" && kind != "tool", "tool_choice", "Thinking may not be enabled when tool_choice forces tool use.")
}

// callsWithoutThinking reports whether the turn that the model is to continue has begun without thinking.
func (a *anthropicInspection) callsWithoutThinking() bool {
	all, _ := a.body["messages"].([]any)
	without := false
	for n := len(all) - 1; n > 0; n-- {
		if at(all[n], "role") == "assistant" {
			first := at(all[n], "content.0.type")
			without = len(callIDs(at(all[n], "content"))) > 0 && first != "thinking" && first != "redacted_thinking"
		} else if n < len(all)-1 && at(all[n], "content.0.type") != "tool_result" {
			break // the turn began after it
		}
	}
	return without
}

func (a *anthropicInspection) rest(model string) {
	_, warm := a.number("", a.body, "temperature", 0, 1, false)
	_, top := a.number("", a.body, "top_p", 0, 1, false)
	_, k := a.number("", a.body, "top_k", 0, 500, true)
	a.check(!warm || !top, "temperature", "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
	if newerClaude.MatchString(model) {
		a.check(!warm && !top && !k, "temperature", "`temperature`, `top_p` and `top_k` are not supported for this model")
	}
	stops, _ := a.body["stop_sequences"].([]any)
	a.check(a.body["stop_sequences"] == nil || len(stops) > 0, "stop_sequences", "Input should be a valid list")
	for _, s := range stops {
		text, _ := s.(string)
		a.check(strings.TrimSpace(text) != "", "stop_sequences", "each stop sequence must contain non-whitespace")
	}
	a.flag("", a.body, "stream")
	a.oneOf("", a.body, "service_tier", "auto standard_only")
	if raw, ok := a.body["metadata"]; ok {
		metadata := a.object("metadata", raw)
		a.members("metadata", metadata, "user_id")
		user := a.text("metadata", metadata, "user_id")
		a.check(len(user) <= 256 && !strings.Contains(user, "@"), "metadata.user_id", "user_id appears to contain an email address")
	}
	raw, ok := a.body["output_config"]
	if !ok {
		return
	}
	config := a.object("output_config", raw)
	a.members("output_config", config, "effort format")
	a.oneOf("output_config", config, "effort", "low medium high xhigh max")
	if raw, ok := config["format"]; ok {
		format := a.object("output_config.format", raw)
		a.members("output_config.format", format, "!type !schema")
		a.oneOf("output_config.format", format, "type", "json_schema")
		a.schema("output_config.format.schema", format["schema"])
	}
}

// schema checks what the constrained decoder can do.
func (a *anthropicInspection) schema(path string, v any) {
	s := a.object(path, v)
	for _, key := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties", "not"} {
		_, has := s[key]
		a.check(!has, path, "For '%v' type, property '%s' is not supported", s["type"], key)
	}
	if s["type"] == "object" {
		a.check(s["additionalProperties"] == false, path, "For 'object' type, 'additionalProperties' must be explicitly set to false")
	}
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		a.schema(path+".properties."+name, p)
	}
	if items, ok := s["items"]; ok {
		a.schema(path+".items", items)
	}
}
