package mock

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// tool is a function of the request: nested in a chat, flat in a response.
type tool struct {
	Type     string   `json:"type"`
	function          // as in a response
	Function function `json:"function"` // as in a chat
}

type function struct {
	Name       string          `json:"name"`
	Parameters json.RawMessage `json:"parameters"`
}

func (t tool) fn() function {
	if t.Function.Name != "" {
		return t.Function
	}
	return t.function
}

// toolbox is the tools of a call and which of them it wants used.
type toolbox struct {
	functions []function
	mode      string   // auto, none or required
	allowed   []string // none for all
	one       bool     // no parallel calls
}

type toolCall struct {
	name, arguments string
	pieces          []string // of arguments, one a token
	id              string
}

// toolChoice is a word, a tool, or a choice among tools.
type toolChoice struct {
	word string
	tool
	Mode    string `json:"mode"`
	Tools   []tool `json:"tools"`
	Allowed struct {
		Mode  string `json:"mode"`
		Tools []tool `json:"tools"`
	} `json:"allowed_tools"`
}

func (c *toolChoice) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &c.word) == nil {
		return nil
	}
	type plain toolChoice
	return json.Unmarshal(b, (*plain)(c))
}

// newToolbox holds the tools that choice leaves over.
func newToolbox(tools []tool, choice toolChoice, parallel *bool) (toolbox, error) {
	box := toolbox{mode: choice.word, one: parallel != nil && !*parallel}
	for _, t := range tools {
		if f := t.fn(); f.Name != "" {
			box.functions = append(box.functions, f)
		}
	}
	switch {
	case choice.Type == "allowed_tools":
		box.mode = choice.Mode + choice.Allowed.Mode
		for _, t := range append(choice.Tools, choice.Allowed.Tools...) {
			box.allowed = append(box.allowed, t.fn().Name)
		}
	case choice.fn().Name != "":
		box.mode, box.allowed = "required", []string{choice.fn().Name}
	}
	if box.mode == "" {
		box.mode = "auto"
	}
	if !slices.Contains([]string{"auto", "none", "required"}, box.mode) {
		return box, refuse("tool_choice", "Invalid 'tool_choice': '%s'; use none, auto, required or a tool.", box.mode)
	}
	for _, name := range box.allowed {
		if !slices.ContainsFunc(box.functions, func(f function) bool { return f.Name == name }) {
			return box, refuse("tool_choice", "Tool choice '%s' not found in 'tools' parameter.", name)
		}
	}
	if len(box.functions) == 0 && box.mode == "required" {
		return box, refuse("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.")
	}
	return box, nil
}

// find returns the function of that name, if it may be called.
func (b *toolbox) find(name string) (function, bool) {
	for _, f := range b.functions {
		if f.Name == name && (b.allowed == nil || slices.Contains(b.allowed, name)) {
			return f, true
		}
	}
	return function{}, false
}

// toolCalls returns the calls that q wants, none for an answer in words.
func (q *prompt) toolCalls(r *random) ([]toolCall, error) {
	box := &q.tools
	if len(box.functions) == 0 || box.mode == "none" || len(q.heard) > 0 {
		return nil, nil
	}
	calls, err := box.requested(q.lastAsked(), r)
	if err != nil {
		return nil, err
	}
	if len(calls) == 0 && box.mode == "required" {
		first := box.functions[0]
		if len(box.allowed) > 0 {
			first, _ = box.find(box.allowed[0])
		}
		calls = append(calls, newToolCall(first.Name, sample(first.Parameters, r), r))
	}
	if box.one && len(calls) > 1 {
		calls = calls[:1]
	}
	return calls, nil
}

// requested returns the calls written in text as call:NAME or call:NAME({...}).
// The name of no tool is plain text.
func (b *toolbox) requested(text string, r *random) (calls []toolCall, err error) {
	for {
		before, rest, ok := strings.Cut(text, "call:")
		if !ok {
			return calls, nil
		}
		var name string
		name, text = cutName(rest)
		f, ok := b.find(name)
		if !ok || endsInName(before) {
			continue
		}
		var arguments string
		if arguments, text, err = cutArguments(text); err != nil {
			return nil, err
		}
		if arguments == "" {
			arguments = sample(f.Parameters, r)
		}
		calls = append(calls, newToolCall(name, arguments, r))
	}
}

func isNameRune(c rune) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func cutName(s string) (name, rest string) {
	rest = strings.TrimLeftFunc(s, isNameRune)
	return s[:len(s)-len(rest)], rest
}

// endsInName is whether the "call:" after s is the end of a longer word.
func endsInName(s string) bool {
	last, _ := utf8.DecodeLastRuneInString(s)
	return isNameRune(last)
}

// cutArguments reads ({...}) at the start of s; "" when there are none.
func cutArguments(s string) (arguments, rest string, err error) {
	inner, ok := strings.CutPrefix(s, "(")
	if !ok {
		return "", s, nil
	}
	if rest, ok = strings.CutPrefix(inner, ")"); ok {
		return "", rest, nil
	}
	dec := json.NewDecoder(strings.NewReader(inner))
	var object json.RawMessage
	if err := dec.Decode(&object); err == nil && object[0] == '{' {
		rest = strings.TrimLeft(inner[dec.InputOffset():], " \t\r\n")
		if rest, ok = strings.CutPrefix(rest, ")"); ok {
			return string(object), rest, nil
		}
	}
	return "", "", refuse("", `The arguments of a call must be a JSON object, as in call:NAME({"city":"Oslo"}).`)
}

func newToolCall(name, arguments string, r *random) toolCall {
	arguments = strings.ToValidUTF8(arguments, "\uFFFD") // pieces needs whole characters
	return toolCall{name: name, arguments: arguments, pieces: pieces(arguments), id: r.id("call_", 24)}
}

// pieces splits s into parts of at most eight bytes, never within a character.
func pieces(s string) (parts []string) {
	const most = 8
	for s != "" {
		end := min(most, len(s))
		for end < len(s) && !utf8.RuneStart(s[end]) {
			end--
		}
		parts = append(parts, s[:end])
		s = s[end:]
	}
	return parts
}
