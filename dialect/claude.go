package dialect

import (
	"slices"
	"strings"
)

// claude is what differs between Anthropic's models. It is told from their names, as there
// is nothing else to tell it by: claude-3-5-haiku-20241022, claude-opus-4-7, claude-sonnet-5.
type claude struct {
	version int // 45 for 4.5, 0 if it cannot be told: such a model is treated like an old one
	family  string
}

func claudeOf(model string) claude {
	var c claude
	var numbers []int
	words := strings.FieldsFunc(model, func(r rune) bool { return strings.ContainsRune("-./:@", r) })
	at := slices.Index(words, "claude")
	if at < 0 {
		return c
	}
	for _, word := range words[at+1:] {
		n := 0
		for _, r := range word {
			if r < '0' || r > '9' {
				n = -1
				break
			}
			n = 10*n + int(r-'0')
		}
		switch {
		case n < 0 && c.family == "":
			c.family = word
		case n >= 0 && n < 100: // a longer one is a date
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > 0 {
		c.version = 10 * numbers[0]
	}
	if len(numbers) > 1 {
		c.version += min(numbers[1], 9)
	}
	return c
}

// structured reports whether the answer can be held to a schema (output_config.format).
func (c claude) structured() bool { return c.version >= 45 }

// adaptive reports whether the model decides itself how long it thinks, within output_config.effort.
func (c claude) adaptive() bool { return c.version >= 46 }

// adaptiveOnly reports whether it takes no other way of thinking, nor temperature, top_p or top_k.
func (c claude) adaptiveOnly() bool {
	return c.version >= 50 || c.family == "opus" && c.version >= 47
}

// eitherSampling reports whether it takes temperature or top_p, and not both.
func (c claude) eitherSampling() bool { return c.version >= 41 }

// thinkingBudgets are the tokens that efforts stand for where thinking has a budget. Anthropic takes no
// fewer than 1024.
var thinkingBudgets = map[string]int64{
	"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384,
}

// personal reports whether a user's ID looks like an e-mail address or a phone number, which Anthropic
// refuses.
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
