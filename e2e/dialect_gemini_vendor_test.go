package e2e

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// newGemini returns an upstream that validates and answers as generativelanguage.googleapis.com does.
func newGemini(t testing.TB) *vendor {
	return &vendor{
		provider: "gem", up: newUpstream(t),
		routes: func(model string) []string {
			at := "/v1beta/models/" + model + ":"
			return []string{at + "generateContent", at + "streamGenerateContent", at + "batchEmbedContents"}
		},
		inspect: inspectGemini,
		refusal: func(f offence) (int, string, []string) {
			return 400, geminiError(400, "INVALID_ARGUMENT", f.path+": "+f.says, `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":`+quote(f.path)+`,"description":`+quote(f.says)+`}]}`), nil
		},
		streams: func(x *exchange, _ map[string]any) bool {
			return strings.HasSuffix(x.Req.URL.Path, ":streamGenerateContent")
		},
		whole: reply.gemini, events: reply.geminiEvents,
		media: "text/event-stream",
		lines: []string{"Vary: Origin", "Server: scaffolding on HTTPServer2", "X-Xss-Protection: 0"},
	}
}

// geminiError is an error as Google words it.
func geminiError(code int, status, message string, details ...string) string {
	more := ""
	if len(details) > 0 {
		more = `,"details":[` + strings.Join(details, ",") + `]`
	}
	return indented(fmt.Sprintf(`{"error":{"code":%d,"message":%s,"status":%q%s}}`, code, quote(message), status, more))
}

var (
	geminiName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$`)
	geminiPath  = regexp.MustCompile(`^/v1beta/models/([^:/]+):(\w+)$`)
	geminiThree = regexp.MustCompile(`^gemini-3`)
)

// skipSignature is Google's constant for calls that another model has made.
const skipSignature = "skip_thought_signature_validator"

func inspectGemini(x *exchange, i *inspection) {
	i.header(x, "X-Goog-Api-Key", upstreamKey)
	i.header(x, "Authorization", "")
	i.header(x, "X-Api-Key", "")
	i.header(x, "Content-Type", "application/json")
	m := geminiPath.FindStringSubmatch(x.Req.URL.Path)
	if !i.check(m != nil, "path", "is %s", x.Req.URL.Path) {
		return
	}
	g := &geminiInspection{inspection: i, third: geminiThree.MatchString(m[1])}
	switch m[2] {
	case "batchEmbedContents":
		i.check(x.Req.URL.RawQuery == "", "query", "is %q", x.Req.URL.RawQuery)
		g.embed("models/" + m[1])
		return
	case "streamGenerateContent":
		i.check(x.Req.URL.RawQuery == "alt=sse", "query", "is %q", x.Req.URL.RawQuery)
	default:
		i.check(x.Req.URL.RawQuery == "", "query", "is %q", x.Req.URL.RawQuery)
	}
	i.members("", i.body, "!contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent")
	i.noNulls("", i.body, "args", "response", "parametersJsonSchema", "responseJsonSchema", "enum", "default")
	if raw, ok := i.body["systemInstruction"]; ok {
		system := i.object("systemInstruction", raw)
		i.members("systemInstruction", system, "!parts role")
		g.parts("systemInstruction", "", system["parts"])
	}
	g.contents()
	g.tools()
	g.config()
}

type geminiInspection struct {
	*inspection
	third    bool
	declared []string
}

func (g *geminiInspection) embed(model string) {
	g.members("", g.body, "!requests")
	requests := g.list("requests", g.body["requests"])
	g.check(len(requests) > 0 && len(requests) <= 100, "requests", "at most 100 requests can be in one batch")
	for n, r := range requests {
		path := join("requests", n)
		g.members(path, r, "!model !content taskType title outputDimensionality")
		g.check(r["model"] == model, path, "model is %v, not %s", r["model"], model)
		content := g.object(path, r["content"])
		g.members(path, content, "!parts role")
		g.parts(path, "", content["parts"])
	}
}

// contents checks that roles alternate and that what was called is answered at once, as often.
func (g *geminiInspection) contents() {
	all := g.list("contents", g.body["contents"])
	g.check(len(all) > 0, "contents", "contents is not specified")
	before, called := "", 0
	for n, c := range all {
		path := join("contents", n)
		g.members(path, c, "!parts !role")
		role := g.oneOf(path, c, "role", "user model")
		g.check(role != before, path, "Please ensure that multiturn requests alternate between user and model.")
		g.check(n > 0 || role == "user", path, "Please ensure that single turn requests are from the user")
		calls, results := g.parts(path, role, c["parts"])
		g.check(results == called, path, "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn. %d and %d", results, called)
		before, called = role, calls
	}
	g.check(before == "user", "contents", "the last turn is the model's")
	g.check(called == 0, "contents", "the last turn calls functions")
}

// parts checks the parts of a content and returns how many are calls and results.
func (g *geminiInspection) parts(path, role string, v any) (calls, results int) {
	parts := g.list(join(path, "parts"), v)
	g.check(len(parts) > 0, join(path, "parts"), "must not be empty")
	for n, p := range parts {
		path := fmt.Sprintf("%s.parts.%d", path, n)
		data := 0
		for _, key := range []string{"text", "inlineData", "fileData", "functionCall", "functionResponse"} {
			if _, ok := p[key]; ok {
				data++
			}
		}
		g.check(data == 1, path, "required oneof field 'data' must have one initialized field, not %d", data)
		g.members(path, p, "text inlineData fileData functionCall functionResponse thought thoughtSignature")
		if s, ok := p["text"]; ok {
			g.check(s != "", path, "Unable to submit request because it must have a text parameter")
		}
		g.media(path, p)
		if raw, ok := p["functionCall"]; ok {
			g.check(role == "model", path, "functionCall is the model's")
			call := g.object(path, raw)
			g.members(join(path, "functionCall"), call, "!name args id")
			g.object(join(path, "functionCall.args"), call["args"])
			calls++
			g.signed(path, p, calls)
		}
		if raw, ok := p["functionResponse"]; ok {
			g.check(role == "user", path, "functionResponse is the user's")
			response := g.object(path, raw)
			g.members(join(path, "functionResponse"), response, "!name !response id")
			g.check(g.text(path, response, "name") != "", path, "function_response.name: Name cannot be empty.")
			g.object(join(path, "functionResponse.response"), response["response"])
			results++
		}
	}
	return calls, results
}

// signed checks the signature of the nth call of a turn.
func (g *geminiInspection) signed(path string, p map[string]any, n int) {
	s, has := p["thoughtSignature"]
	name := fmt.Sprint(at(p, "functionCall.name"))
	g.check(!g.third || n > 1 || has, path, "Function call is missing a thought_signature in functionCall parts.")
	g.check(!has || s == skipSignature || s == signature("gemini", name), path, "Thought signature is not valid.")
}

func (g *geminiInspection) media(path string, p map[string]any) {
	if raw, ok := p["inlineData"]; ok {
		blob := g.object(path, raw)
		g.members(join(path, "inlineData"), blob, "!mimeType !data")
		g.oneOf(join(path, "inlineData"), blob, "mimeType", "image/png image/jpeg image/webp image/gif image/heic application/pdf text/plain audio/wav audio/mp3")
		g.base64(join(path, "inlineData.data"), g.text(path, blob, "data"))
	}
	if raw, ok := p["fileData"]; ok {
		file := g.object(path, raw)
		g.members(join(path, "fileData"), file, "mimeType !fileUri")
	}
}

func (g *geminiInspection) tools() {
	for n, tool := range g.list("tools", g.body["tools"]) {
		path := join("tools", n)
		if _, ok := tool["googleSearch"]; ok {
			g.members(path, tool, "!googleSearch")
			g.members(join(path, "googleSearch"), g.object(path, tool["googleSearch"]), "timeRangeFilter excludeDomains")
			g.check(len(g.body["tools"].([]any)) == 1, path, "Built-in tools and Function Calling cannot be combined in the same request.")
			continue
		}
		g.members(path, tool, "!functionDeclarations")
		for k, f := range g.list(path, tool["functionDeclarations"]) {
			path := fmt.Sprintf("%s.functionDeclarations.%d", path, k)
			g.members(path, f, "!name description parameters parametersJsonSchema response behavior")
			g.matches(path, g.text(path, f, "name"), geminiName)
			g.declared = append(g.declared, fmt.Sprint(f["name"]))
			if p, ok := f["parameters"]; ok {
				g.check(f["parametersJsonSchema"] == nil, path, "parameters and parameters_json_schema are mutually exclusive")
				g.schema(join(path, "parameters"), p)
			}
		}
	}
	raw, ok := g.body["toolConfig"]
	if !ok {
		return
	}
	g.check(len(g.declared) > 0, "toolConfig", "Function calling config is set without function_declarations.")
	config := g.object("toolConfig", raw)
	g.members("toolConfig", config, "!functionCallingConfig")
	calling := g.object("toolConfig", config["functionCallingConfig"])
	g.members("toolConfig.functionCallingConfig", calling, "mode allowedFunctionNames")
	mode := g.oneOf("toolConfig", calling, "mode", "AUTO ANY NONE VALIDATED")
	allowed, _ := calling["allowedFunctionNames"].([]any)
	g.check(len(allowed) == 0 || mode == "ANY" || mode == "VALIDATED", "toolConfig", "allowed_function_names is only valid with mode ANY")
	for _, name := range allowed {
		g.check(slices.Contains(g.declared, fmt.Sprint(name)), "toolConfig", "%v is not declared", name)
	}
}

// schema checks the subset of OpenAPI's schemas that the API knows.
func (g *geminiInspection) schema(path string, v any) {
	s := g.object(path, v)
	g.members(path, s, "type format title description nullable enum maxItems minItems properties required minProperties maxProperties minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum")
	kind := strings.ToUpper(g.text(path, s, "type"))
	g.check(kind != "" || s["anyOf"] != nil, path, "schema didn't specify the schema type field")
	properties, _ := s["properties"].(map[string]any)
	g.check(kind != "OBJECT" || len(properties) > 0, path, "properties: should be non-empty for OBJECT type")
	g.check(kind != "ARRAY" || s["items"] != nil, path, "items: missing field.")
	for name, p := range properties {
		g.schema(path+".properties."+name, p)
	}
	if items, ok := s["items"]; ok {
		g.schema(path+".items", items)
	}
	for n, of := range g.list(path, s["anyOf"]) {
		g.schema(fmt.Sprintf("%s.anyOf.%d", path, n), of)
	}
	values, _ := s["enum"].([]any)
	for _, v := range values {
		_, ok := v.(string)
		g.check(ok, path, "enum: only allowed for STRING type")
	}
}

func (g *geminiInspection) config() {
	raw, ok := g.body["generationConfig"]
	if !ok {
		return
	}
	const path = "generationConfig"
	c := g.object(path, raw)
	g.members(path, c, "temperature topP topK candidateCount maxOutputTokens stopSequences seed presencePenalty frequencyPenalty responseLogprobs logprobs responseMimeType responseSchema responseJsonSchema thinkingConfig responseModalities mediaResolution")
	g.number(path, c, "temperature", 0, 2, false)
	g.number(path, c, "topP", 0, 1, false)
	g.number(path, c, "topK", 1, 1000, true)
	g.number(path, c, "candidateCount", 1, 8, true)
	g.number(path, c, "maxOutputTokens", 1, 65536, true)
	g.number(path, c, "seed", math.MinInt32, math.MaxInt32, true)
	stops, _ := c["stopSequences"].([]any)
	g.check(len(stops) <= 5, path, "at most 5 stop sequences")
	mime := g.oneOf(path, c, "responseMimeType", "text/plain application/json text/x.enum")
	if s, ok := c["responseSchema"]; ok {
		g.check(mime == "application/json", path, "response_schema requires a response_mime_type of application/json")
		g.schema(path+".responseSchema", s)
	}
	if _, ok := c["responseJsonSchema"]; ok {
		g.check(mime == "application/json" && c["responseSchema"] == nil, path, "response_json_schema requires a response_mime_type of application/json")
	}
	if raw, ok := c["thinkingConfig"]; ok {
		t := g.object(path, raw)
		g.members(path+".thinkingConfig", t, "includeThoughts thinkingBudget thinkingLevel")
		_, budget := g.number(path, t, "thinkingBudget", -1, 32768, true)
		level := strings.ToLower(g.text(path, t, "thinkingLevel"))
		g.check(level == "" || g.third, path, "Thinking level is not supported for this model.")
		g.check(level == "" || slices.Contains([]string{"minimal", "low", "medium", "high"}, level), path, "unknown thinking level %q", level)
		g.check(!budget || level == "", path, "You can only set one of thinking budget and thinking level.")
	}
}
