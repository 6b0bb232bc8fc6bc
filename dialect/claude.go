package dialect

import (
	"slices"
	"strings"
)

// claude is what differs between Anthropic's models.
type claude struct {
	family string // opus, sonnet, ..., "" for any
	from   int    // the first version, 45 for 4.5

	structured bool // the answer can be held to a schema (output_config.format)
	adaptive   bool // it decides itself how long it thinks, within output_config.effort
	budget     bool // it can think with a budget
	noXHigh    bool // xhigh is not among its efforts
	always     bool // it thinks in any case
	thinks     bool // it thinks unless it is told not to
	// off is the value of thinking that has it not think. It is "" where there is no need to
	// say so, and where it cannot be had.
	off string
	// unforced: tool_choice must leave it the choice.
	unforced bool
	// bound: its thinking comes back where it was, or is refused.
	bound    bool
	sampling sampling
}

// sampling is which of temperature, top_p and top_k a model takes.
type sampling int

const (
	anySampling sampling = iota
	oneSampling          // temperature or top_p, and not both
	noSampling
)

const (
	thinkingOff  = `{"type":"disabled"}`
	betweenTools = `{"type":"between_tools"}`
)

// claudes are the models, the first that fits counting. The sources: protocols.md a.1 (vercel/ai's
// getModelCapabilities and rejectsSamplingParameters, measurements in experientiallabs/experiential#658 and #804); for
// efforts docs.claude.com/en/docs/build-with-claude/effort (xhigh from Opus 4.7 on, none before 4.6); for what can
// be switched off, and for tools that cannot be demanded, platform.claude.com's migration guides to Opus 5.5
// and Sonnet 5.5, which also say it of Opus 5 and Fable 5.1; for those whose thinking is bound the models that
// platform.claude.com's Preserved thinking names.
var claudes = []claude{
	{family: "opus", from: 55, structured: true, adaptive: true, always: true, unforced: true, bound: true, sampling: noSampling},
	{family: "sonnet", from: 55, structured: true, adaptive: true, thinks: true, off: betweenTools, unforced: true, bound: true, sampling: noSampling},
	{family: "haiku", from: 55, structured: true, adaptive: true, always: true, bound: true, sampling: noSampling},
	{family: "fable", from: 51, structured: true, adaptive: true, always: true, unforced: true, bound: true, sampling: noSampling},
	{family: "mythos", from: 51, structured: true, adaptive: true, always: true, unforced: true, bound: true, sampling: noSampling},
	{family: "mythos", structured: true, adaptive: true, always: true, sampling: noSampling},
	{family: "opus", from: 50, structured: true, adaptive: true, thinks: true, off: thinkingOff, sampling: noSampling},
	{family: "sonnet", from: 50, structured: true, adaptive: true, thinks: true, off: thinkingOff, sampling: noSampling},
	{from: 50, structured: true, adaptive: true, always: true, sampling: noSampling},
	{family: "opus", from: 47, structured: true, adaptive: true, sampling: noSampling},
	{from: 46, structured: true, adaptive: true, budget: true, noXHigh: true, sampling: oneSampling},
	{from: 45, structured: true, budget: true, sampling: oneSampling},
	{from: 41, budget: true, sampling: oneSampling},
	{from: 37, budget: true},
	{from: 1},
	{budget: true, off: thinkingOff}, // whatever else speaks this dialect
}

// claudeOf returns what is known of a model. It is told from the name, as there is nothing else to tell it
// by: claude-3-5-haiku-20241022, claude-opus-4-7, us.anthropic.claude-sonnet-4-5-20250929-v1:0.
func claudeOf(model string) claude {
	family, version := "", 0
	words := strings.FieldsFunc(model, func(r rune) bool { return strings.ContainsRune("-./:@[", r) })
	if at := slices.Index(words, "claude"); at >= 0 {
		family, version = claudeName(words[at+1:])
	}
	i := slices.IndexFunc(claudes, func(c claude) bool { return (c.family == "" || c.family == family) && version >= c.from })
	return claudes[i] // the last fits all
}

// claudeName reads what follows "claude" in a name.
func claudeName(words []string) (family string, version int) {
	var numbers []int
	for _, word := range words {
		n, isNumber := number(word)
		switch {
		case !isNumber && family == "":
			family = word
		case isNumber && n < 100: // a longer one is a date
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > 0 {
		version = 10 * numbers[0]
	}
	if len(numbers) > 1 {
		version += min(numbers[1], 9)
	}
	return family, version
}

func number(word string) (n int, ok bool) {
	for _, c := range []byte(word) {
		if !isDigit(c) || n > 1e9 {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, word != ""
}

// thinkingBudgets are the tokens that efforts stand for where thinking has a budget (BerriAI/litellm's
// constants.py).
var thinkingBudgets = map[string]int64{
	"minimal": minBudget, "low": minBudget, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384,
}

// minBudget is the smallest budget that Anthropic takes.
const minBudget = 1024

// personal reports whether a user's ID looks like an e-mail address or a phone number, which Anthropic
// refuses. A number alone is taken for an ID.
func personal(user string) bool {
	if strings.Contains(user, "@") {
		return true
	}
	digits := 0
	for _, r := range user {
		switch {
		case '0' <= r && r <= '9':
			digits++
		case !strings.ContainsRune("+-. ()", r):
			return false
		}
	}
	return digits >= 7 && digits <= 15 && strings.ContainsAny(user, "+-. (")
}
