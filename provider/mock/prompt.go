package mock

import (
	"encoding/json"
	"strings"
)

// prompt is what a call asks for, whichever endpoint it came by.
type prompt struct {
	model  string
	stream bool
	asked  []string // the texts to reply to; only completions have several
	heard  []string // the tools' results that the conversation ends with
	words  int      // in all that was said
	hash   uint64   // of all that was said

	n      int // replies to each of asked
	limit  *int
	stop   []string
	format format
	tools  toolbox
}

func newPrompt(model string) (*prompt, error) {
	if model == "" {
		return nil, refuse("model", "You must provide a model parameter.")
	}
	return &prompt{model: model, hash: hash(hashOfNothing, model)}, nil
}

// hear takes in one message of a conversation.
func (q *prompt) hear(role, text string) {
	q.count(role, text, countWords(text))
	switch role {
	case "user":
		q.asked = []string{text}
		q.heard = nil
	case "tool", "function":
		q.heard = append(q.heard, text)
	default:
		q.heard = nil
	}
}

// count takes in a text that has a number of tokens of its own.
func (q *prompt) count(role, text string, tokens int) {
	q.words += tokens
	q.hash = hash(hash(q.hash, role), text)
}

// lastAsked is where the directives and the calls of tools are written.
func (q *prompt) lastAsked() string {
	if len(q.asked) == 0 {
		return ""
	}
	return q.asked[len(q.asked)-1]
}

// random returns the generator of the numbered thing that is made up.
func (q *prompt) random(index int) *random {
	r := random(hash(q.hash, "") + uint64(index))
	return &r
}

// content is the content of a message: a string, or parts of which some are text.
type content string

func (c *content) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '[' {
		return json.Unmarshal(b, (*string)(c))
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	texts := make([]string, 0, len(parts))
	for _, part := range parts {
		if part.Text != "" {
			texts = append(texts, part.Text)
		}
	}
	*c = content(strings.Join(texts, "\n"))
	return nil
}

// inputs is the input of embeddings, completions and moderations: a string,
// an array of strings, tokens, an array of tokens, or an array of text parts.
type inputs []input

type input struct {
	text   string
	tokens int
}

func (in *inputs) UnmarshalJSON(b []byte) error {
	var many []json.RawMessage
	var tokens []int64
	switch {
	case string(b) == "null":
		return nil
	case json.Unmarshal(b, &tokens) == nil && len(tokens) > 0:
		many = []json.RawMessage{b}
	case json.Unmarshal(b, &many) != nil:
		many = []json.RawMessage{b}
	}
	for _, one := range many {
		parsed, ok := parseInput(one)
		if !ok {
			return refuse("", "Invalid input: expected a string, an array of strings, or an array of tokens.")
		}
		*in = append(*in, parsed)
	}
	return nil
}

func parseInput(b []byte) (input, bool) {
	var text string
	if json.Unmarshal(b, &text) == nil {
		return input{text, countWords(text)}, true
	}
	var tokens []int64
	if json.Unmarshal(b, &tokens) == nil {
		return input{string(b), len(tokens)}, true
	}
	var part struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(b, &part) == nil {
		return input{part.Text, countWords(part.Text)}, true
	}
	return input{}, false
}

// stopSequences is a string or an array of strings.
type stopSequences []string

func (s *stopSequences) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(s))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*s = stopSequences{one}
	return nil
}

// format is the response format: of a chat, or of a response's text.
type format struct {
	Type       string          `json:"type"`
	Schema     json.RawMessage `json:"schema"`
	JSONSchema struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}
