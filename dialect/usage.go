package dialect

import (
	"bytes"
	"strconv"
)

// Usage is what an answer cost in tokens. Input includes CachedInput, which the provider had in
// its cache, and CacheWrite, which it has put there; CacheWriteHour is the part of CacheWrite that it keeps for an
// hour instead of some minutes. Output includes Reasoning.
type Usage struct {
	Input, CachedInput, CacheWrite, CacheWriteHour, Output, Reasoning int64
}

// Merge takes what a later report says, which may leave out what an earlier one said: counts are
// those so far (Anthropic's message_delta), so that none gets smaller.
func (u *Usage) Merge(later Usage) {
	u.Input = max(u.Input, later.Input)
	u.CachedInput = max(u.CachedInput, later.CachedInput)
	u.CacheWrite = max(u.CacheWrite, later.CacheWrite)
	u.CacheWriteHour = max(u.CacheWriteHour, later.CacheWriteHour)
	u.Output = max(u.Output, later.Output)
	u.Reasoning = max(u.Reasoning, later.Reasoning)
}

// MayHaveUsage reports, cheaply, whether data could report usage. Inside a JSON string
// the quotes would be escaped, so text that speaks of usage is not taken for it.
func MayHaveUsage(data []byte) bool {
	for {
		i := bytes.Index(data, usageKey)
		if i < 0 {
			return false
		}
		data = data[i+len(usageKey):]
		rest := bytes.TrimLeft(data, " \t\r\n:")
		if len(rest) > 0 && rest[0] == '{' {
			return true
		}
	}
}

// ReadUsage reads a usage object of any of the dialects. It is false if there is none. A count that
// is not a number counts as not there, and the others stand.
func ReadUsage(object []byte) (Usage, bool) {
	var c usageCounts
	if len(object) == 0 || object[0] != '{' || c.readFrom(object) != nil {
		return Usage{}, false
	}
	return c.usage(), true
}

// choiceUsage returns the usage that is in a choice, where Moonshot's streams have it.
func choiceUsage(choices []byte) (usage Usage, ok bool) {
	if !MayHaveUsage(choices) {
		return Usage{}, false
	}
	_ = eachElement(choices, "choices", func(_ int, choice []byte) error {
		return eachMember(choice, "choices", func(name string, value []byte) error {
			if name == "usage" && !ok {
				usage, ok = ReadUsage(value)
			}
			return nil
		})
	})
	return usage, ok
}

// usageCounts are the counts of chat's, completions' and embeddings' usage (prompt, completion), of that of responses
// (input, output), and of Anthropic's messages, whose input leaves out what was read from the cache and written to it.
type usageCounts struct {
	prompt, completion, total int64
	input, output             int64
	read, written, hour       int64 // Anthropic's of its cache
	cached, stored, thought   int64 // parts of the others, as OpenAI has them
	iterations                []byte
	kind                      string // of an iteration
}

func (c *usageCounts) readFrom(object []byte) error {
	return eachChecked(object, "usage", func(name string, value []byte) error {
		c.member(name, value)
		return nil
	})
}

func (c *usageCounts) member(name string, value []byte) {
	switch name {
	case "prompt_tokens":
		c.prompt = count(value)
	case "completion_tokens":
		c.completion = count(value)
	case "total_tokens":
		c.total = count(value)
	case "input_tokens":
		c.input = count(value)
	case "output_tokens":
		c.output = count(value)
	case "cache_read_input_tokens":
		c.read = count(value)
	case "cache_creation_input_tokens":
		c.written = count(value)
	case "cached_tokens", "prompt_cache_hit_tokens": // Moonshot's and DeepSeek's
		c.cached = max(c.cached, count(value))
	case "iterations":
		c.iterations = value
	case "type":
		c.kind = string(unquoted(value))
	case "prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details", "cache_creation":
		c.details(value)
	}
}

// details reads what the counts have in them.
func (c *usageCounts) details(object []byte) {
	_ = eachMember(object, "usage", func(name string, value []byte) error { // anything else than an object says nothing
		switch name {
		case "cached_tokens":
			c.cached = max(c.cached, count(value))
		case "cache_write_tokens":
			c.stored = max(c.stored, count(value))
		case "reasoning_tokens", "thinking_tokens":
			c.thought = max(c.thought, count(value))
		case "ephemeral_1h_input_tokens":
			c.hour = count(value)
		}
		return nil
	})
}

// count reads a count of tokens. None is negative, whatever the server says.
func count(value []byte) int64 {
	if value[0] == '"' {
		value = unquoted(value)
	}
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return max(0, n)
	}
	n, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(n > 0 && n < maxCount) {
		return 0
	}
	return int64(n)
}

// maxCount is more than any count of tokens.
const maxCount = 1 << 53

// usage takes what is there in either way: some servers write both, for the same tokens.
func (c *usageCounts) usage() Usage {
	all := Usage{
		Input:          max(c.prompt, c.input+c.read+c.written),
		CachedInput:    max(c.read, c.cached),
		CacheWrite:     max(c.written, c.stored),
		CacheWriteHour: min(c.hour, c.written),
		Output:         max(c.completion, c.output),
		Reasoning:      c.thought,
	}
	if c.thought > 0 && c.total == c.prompt+c.completion+c.thought { // xAI counts it beside the completion
		all.Output += c.thought
	}
	all.Merge(iterated(c.iterations))
	return all
}

// iterated adds up what Anthropic's model was run for: the answer, and the compaction of the conversation before it,
// which the counts of the whole leave out. If another model has stepped in they are its own, and stand.
func iterated(iterations []byte) (all Usage) {
	if isNull(iterations) {
		return Usage{}
	}
	replaced := false
	_ = eachElement(iterations, "usage", func(_ int, object []byte) error {
		var c usageCounts
		if err := c.readFrom(object); err != nil {
			return err
		}
		switch c.kind {
		case "fallback_message":
			replaced = true
		case "message", "compaction":
			c.iterations = nil // which are what they are of
			u := c.usage()
			all.Input += u.Input
			all.CachedInput += u.CachedInput
			all.CacheWrite += u.CacheWrite
			all.CacheWriteHour += u.CacheWriteHour
			all.Output += u.Output
		}
		return nil
	})
	if replaced {
		return Usage{}
	}
	return all
}

// AskForUsage is for a stream whose client did not ask for its usage. It returns the one replacement in body that sets stream_options.include_usage
// to true. model and options are where body holds those members; options may be zero.
func AskForUsage(body []byte, model, options Span) (at Span, text string) {
	const member = `"include_usage":true`
	value := body[options.Start:options.End]
	switch {
	case len(value) == 0:
		return Span{model.End, model.End}, `,"stream_options":{` + member + `}`
	case value[0] != '{': // null
		return options, `{` + member + `}`
	}
	empty := true
	_ = Members(value, func(key []byte, v Span) bool {
		empty = false
		if name, err := unquote(key); err == nil && name == "include_usage" {
			at = Span{options.Start + v.Start, options.Start + v.End}
		}
		return true
	})
	inside := options.Start + 1
	switch {
	case at.End > 0:
		return at, "true"
	case empty:
		return Span{inside, inside}, member
	default:
		return Span{inside, inside}, member + ","
	}
}
