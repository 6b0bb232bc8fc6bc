package dialect

import (
	"strconv"
	"strings"
)

// gemini is what differs between the models that Google's API serves. It is told from their names, as there is
// nothing else to tell it by: gemini-2.5-flash-lite, gemini-3-pro-preview, gemini-flash-latest, gemma-3-27b-it.
type gemini struct {
	version   int // 25 for 2.5, 0 if it cannot be told: such a model is treated like an old one
	pro, lite bool
	gemma     bool
}

// newestGemini is the version of models that are named after none, such as gemini-flash-latest.
const newestGemini = 99

func geminiOf(model string) (g gemini) {
	words := strings.Split(strings.ToLower(model[strings.LastIndexByte(model, '/')+1:]), "-")
	latest := words[len(words)-1] == "latest"
	switch words[0] {
	case "gemini":
	case "gemma":
		g.gemma = true
		return g
	default:
		return g
	}
	for _, word := range words[1:] {
		switch {
		case word == "pro":
			g.pro = true
		case word == "lite":
			g.lite = true
		case g.version == 0:
			g.version = versionOf(word)
		}
	}
	if g.version == 0 && latest {
		g.version = newestGemini
	}
	return g
}

// versionOf reads 2.5 as 25 and 3 as 30, and anything else as 0.
func versionOf(word string) int {
	major, minor, _ := strings.Cut(word, ".")
	n, err := strconv.Atoi(major)
	if err != nil || n < 1 || n > 9 || len(major) != 1 {
		return 0
	}
	m := 0
	if minor != "" {
		if m, err = strconv.Atoi(minor); err != nil || m < 0 {
			return 0
		}
	}
	return 10*n + min(m, 9)
}

// jsonSchema reports whether schemas may be real JSON Schema (parametersJsonSchema, responseJsonSchema) and not only
// a subset of OpenAPI's.
func (g gemini) jsonSchema() bool { return g.version >= 25 }

// signs reports whether the model refuses a call of its own in the history that is not signed.
func (g gemini) signs() bool { return g.version >= 30 }

// fetches reports whether the model takes any https:// URL as a file
// (ai.google.dev/gemini-api/docs/file-input-methods).
func (g gemini) fetches() bool { return g.version >= 25 }

// level returns the thinkingLevel for an effort, and whether it is what was asked for.
func (g gemini) level(effort string) (level string, exact bool) {
	least := "minimal"
	if g.pro || g.version == 37 {
		least = "low"
	}
	switch effort {
	case "none":
		return least, false // it cannot be kept from thinking
	case "minimal":
		return least, least == "minimal"
	case "medium":
		if g.pro && g.version == 30 { // it knows low and high only
			return "high", false
		}
		return "medium", true
	case "xhigh", "max":
		return "high", false
	}
	return effort, true // low or high
}

// budgetRange is what the thinkingBudget of a 2.5 model may be (ai.google.dev/gemini-api/docs/thinking). All
// but pro take 0 as well, which is no thinking.
func (g gemini) budgetRange() (least, most int64) {
	switch {
	case g.pro:
		return 128, 32768
	case g.lite:
		return 512, 24576
	}
	return 1, 24576
}

// budget returns the thinkingBudget for an effort, and whether it is what was asked for. Low, medium and high are as
// Google's own server for OpenAI's dialect has them.
func (g gemini) budget(effort string) (tokens int64, exact bool) {
	least, most := g.budgetRange()
	switch effort {
	case "none":
		if g.pro {
			return least, false // it cannot be kept from thinking
		}
		return 0, true
	case "minimal":
		return 512, true
	case "low":
		return 1024, true
	case "medium":
		return 8192, true
	case "high":
		return 24576, true
	}
	return most, true // xhigh or max
}

// GeminiResource returns the name under which Google's API knows a model: models/gemini-2.5-pro for
// gemini-2.5-pro. A name that is one already, tunedModels/x included, stays as it is.
func GeminiResource(model string) string {
	if strings.HasPrefix(model, "models/") || strings.HasPrefix(model, "tunedModels/") {
		return model
	}
	return "models/" + model
}
