package dialect

import (
	"encoding/json"
	"strconv"
)

// maxStop is how many stop sequences Gemini takes (ai.google.dev/api/generate-content#generationconfig).
const maxStop = 5

// writeConfig writes generationConfig, if there is anything to say in it.
func (g *geminiMaker) writeConfig() error {
	w := &g.w
	start := len(w.b)
	w.key("generationConfig")
	w.open('{')
	empty := len(w.b)
	w.optional("temperature", g.r.Temperature)
	w.optional("topP", g.r.TopP)
	w.optional("topK", g.topK)
	w.optional("candidateCount", g.candidates)
	if g.r.MaxTokens != nil {
		w.key("maxOutputTokens")
		w.whole(*g.r.MaxTokens)
	}
	if err := g.writeStop(); err != nil {
		return err
	}
	w.optional("seed", g.seed)
	for _, p := range [...]Member{{"presencePenalty", g.presence}, {"frequencyPenalty", g.frequency}} {
		if n, err := strconv.ParseFloat(string(p.Value), 64); err != nil || n != 0 { // many models refuse even none
			w.optional(p.Name, p.Value)
		}
	}
	if err := g.writeFormat(); err != nil {
		return err
	}
	if err := g.writeThinking(); err != nil {
		return err
	}
	if len(w.b) == empty {
		w.b = w.b[:start]
		w.comma = true
	} else {
		w.close('}')
	}
	for _, p := range [...]struct {
		name  string
		given bool
	}{{"user", g.r.User != ""}, {"service_tier", g.r.ServiceTier != "" && g.r.ServiceTier != "auto" && g.r.ServiceTier != "default"}} {
		if p.given {
			g.adjust(p.name)
		}
	}
	return nil
}

func (g *geminiMaker) writeStop() error {
	if len(g.r.Stop) > maxStop {
		return Invalid("stop", "invalid_value", "'stop' must have no more than "+strconv.Itoa(maxStop)+" sequences for this model.")
	}
	open := false
	for _, s := range g.r.Stop {
		if s == "" {
			continue
		}
		if !open {
			open = true
			g.w.key("stopSequences")
			g.w.open('[')
		}
		g.w.text(s)
	}
	if open {
		g.w.close(']')
	}
	return nil
}

// writeFormat has the answer follow a schema, or be JSON at least.
func (g *geminiMaker) writeFormat() error {
	if g.r.ResponseFormat == nil {
		return nil
	}
	kind := ""
	var schema json.RawMessage
	err := eachMember(g.r.ResponseFormat, "response_format", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			kind, err = readText(value, "response_format.type")
		case "json_schema":
			err = eachMember(value, "response_format.json_schema", func(name string, value []byte) error {
				if name == "schema" {
					schema = present(value)
				}
				return nil
			})
		}
		return err
	})
	const at = "response_format.json_schema.schema"
	switch {
	case err != nil:
		return err
	case kind == "" || kind == "text":
		return nil
	case kind != "json_object" && kind != "json_schema":
		return Invalid("response_format.type", "invalid_value", "'response_format.type' must be text, json_object or json_schema.")
	case kind == "json_schema" && schema == nil:
		return Invalid(at, "missing_required_parameter", "Missing required parameter: '"+at+"'.")
	}
	if (len(g.tools) > 0 || g.search != nil) && g.model.version < 30 { // ai.google.dev/gemini-api/docs/structured-output
		return Invalid("response_format", "unsupported_parameter", "'response_format' cannot be used together with tools on this model.")
	}
	g.w.member("responseMimeType", "application/json")
	switch {
	case kind == "json_object":
		return nil
	case g.model.jsonSchema():
		g.w.key("responseJsonSchema")
		g.w.raw(schema)
		return nil
	}
	return g.writeSchema("responseSchema", schema, at, true)
}

// writeThinking writes how much the model thinks, and that its thoughts are wanted. Without reasoning_effort or
// thinking that is the model's own choice, and the thoughts stay its own, as with OpenAI.
func (g *geminiMaker) writeThinking() error {
	effort, budget, thinks, err := g.effort()
	if err != nil || effort == "" && budget == 0 && !thinks {
		return err
	}
	name := "reasoning_effort"
	if g.r.ReasoningEffort == "" {
		name = "thinking"
	}
	if g.model.version < 25 {
		if effort != "none" {
			g.adjust(name)
		}
		return nil
	}
	w := &g.w
	w.key("thinkingConfig")
	w.open('{')
	exact := true
	switch {
	case g.model.version >= 30 && effort != "":
		var level string
		level, exact = g.model.level(effort)
		w.member("thinkingLevel", level)
	case g.model.version < 30 && budget > 0:
		least, most := g.model.budgetRange()
		w.key("thinkingBudget")
		w.whole(min(max(budget, least), most))
		exact = least <= budget && budget <= most
	case g.model.version < 30:
		tokens := int64(-1) // as many as it likes
		if effort != "" {
			tokens, exact = g.model.budget(effort)
		}
		w.key("thinkingBudget")
		w.whole(tokens)
	}
	if !exact {
		g.adjust(name)
	}
	if effort != "none" {
		w.key("includeThoughts")
		w.literal("true")
	}
	w.close('}')
	return nil
}

var efforts = map[string]bool{"none": true, "minimal": true, "low": true, "medium": true, "high": true, "xhigh": true, "max": true}

// effort returns what is asked for: by reasoning_effort, or by Anthropic's thinking, with the most tokens that it
// may take, 0 where that is not said. thinks is whether thinking is wanted in any case.
func (g *geminiMaker) effort() (effort string, budget int64, thinks bool, err error) {
	effort = g.r.ReasoningEffort
	if effort != "" && !efforts[effort] {
		return "", 0, false, Invalid("reasoning_effort", "invalid_value", "'reasoning_effort' must be one of none, minimal, low, medium, high, xhigh and max.")
	}
	if g.thinking == nil {
		return effort, 0, false, nil
	}
	kind := ""
	var tokens *int64
	err = eachMember(g.thinking, "thinking", func(name string, value []byte) (err error) {
		switch name {
		case "type":
			kind, err = readText(value, "thinking.type")
		case "budget_tokens":
			tokens, err = readWhole(value, "thinking.budget_tokens")
		}
		return err
	})
	switch {
	case err != nil:
		return "", 0, false, err
	case kind == "disabled":
		return "none", 0, false, nil
	case tokens == nil || *tokens <= 0:
		return effort, 0, true, nil
	case effort == "":
		effort = effortFor(*tokens)
	}
	return effort, *tokens, true, nil
}

// effortFor returns the effort that a budget comes closest to.
func effortFor(tokens int64) string {
	switch {
	case tokens <= 2048:
		return "low"
	case tokens <= 12288:
		return "medium"
	}
	return "high"
}
