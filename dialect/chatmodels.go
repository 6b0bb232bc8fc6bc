package dialect

import (
	"strconv"
	"strings"
)

// thoughtless reports whether a model is one of those that are known to refuse reasoning_effort, as they do not reason or
// do so in their own way, while agents ask for it as a matter of course. Of any other it is better to let the server say so.
// Sources, beside the vendors' pages: for Grok, which takes it as grok-3-mini and from 4.3 on, vercel/ai's @ai-sdk/xai 4.0.8 and
// acedergren/opencode-oci-provider v0.2.3; for Magistral and Devstral docs.mistral.ai/capabilities/reasoning.
func thoughtless(model string) bool {
	name := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	for _, family := range [...]string{
		"gpt-3", "gpt-4", "chatgpt-4o", "llama", "meta-llama", "codestral", "devstral", "magistral", "ministral", "mixtral", "pixtral", "command-r",
	} {
		if strings.HasPrefix(name, family) {
			return !strings.Contains(name, "reason") && !strings.Contains(name, "nemotron")
		}
	}
	grok, ok := strings.CutPrefix(name, "grok-")
	switch {
	case !ok:
		return false
	case grok == "4", strings.HasPrefix(grok, "4-"), strings.HasPrefix(grok, "4.1"), strings.HasPrefix(grok, "4.20"):
		return true
	}
	return strings.HasPrefix(grok, "2") || strings.HasPrefix(grok, "code-fast") || strings.HasPrefix(grok, "3") && !strings.HasPrefix(grok, "3-mini")
}

// reasoner is what is known of one of OpenAI's models that reason, wherever they are served.
type reasoner struct {
	family string
	minor  int  // of GPT-5, 0 for the first and for the o-series
	chat   bool // GPT-5 as ChatGPT has it, which does not reason
}

// readReasoner reads the name of a model. It is false for others than these.
func readReasoner(model string) (r reasoner, ok bool) {
	name := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	for _, family := range [...]string{"o1", "o3", "o4", "gpt-5"} {
		rest, found := strings.CutPrefix(name, family)
		if !found || rest != "" && rest[0] != '-' && rest[0] != '.' {
			continue
		}
		if minor, is := strings.CutPrefix(rest, "."); is {
			minor, _, _ = strings.Cut(minor, "-")
			r.minor, _ = strconv.Atoi(minor)
		}
		r.family, r.chat = family, strings.Contains(rest, "-chat")
		return r, true
	}
	return reasoner{}, false
}

// newLimit reports whether a model is one of OpenAI's that refuse max_tokens.
func newLimit(model string) bool {
	_, ok := readReasoner(model)
	return ok
}

// fixedSampling reports whether a model is one of OpenAI's that refuse any temperature and top_p but 1, as they do
// while they reason. From 5.1 to 5.4 they do so only when they are asked to (platform.openai.com/docs/guides/latest-model).
func fixedSampling(model, effort string) bool {
	r, ok := readReasoner(model)
	switch {
	case !ok || r.chat:
		return false
	case r.minor == 0:
		return true
	case r.minor < 5:
		return effort != "" && effort != "none"
	}
	return effort != "none"
}

// stopless reports whether a model is one of OpenAI's that refuse stop (o3 and o4-mini by OpenAI's OpenAPI description;
// huggingface/smolagents#1662, #1868, #1893; those from 5.5 on take it, BerriAI/litellm#28650).
func stopless(model string) bool {
	r, ok := readReasoner(model)
	return ok && !r.chat && r.minor < 5 && r.family != "o1"
}
