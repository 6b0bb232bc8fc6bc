package dialect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"
)

// responsesTool is a tool that the model knows as a function of another name, or of another kind than the client's.
type responsesTool struct {
	namespace, name string
	custom          bool // the client takes text, not JSON
}

// standInName returns the name of the function that stands for a tool of a namespace. It is the same in every
// request of a conversation.
func standInName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return shortened(namespace + "__" + name)
}

// stand has the calls of a function be those of a tool.
func (r *responsesReader) stand(function string, tool responsesTool) {
	if r.kinds == nil {
		r.kinds = make(map[string]*responsesTool)
	}
	r.kinds[function] = &tool
}

// namespace reads tools that are grouped.
func (r *responsesReader) namespace(value []byte, at string) error {
	name, about, tools := "", "", json.RawMessage(nil)
	err := eachMember(value, at, func(member string, value []byte) (err error) {
		switch member {
		case "name":
			name, err = readText(value, at+".name")
		case "description":
			about, err = readText(value, at+".description")
		case "tools":
			tools = present(value)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case name == "":
		return missing(at + ".name")
	case tools == nil:
		return missing(at + ".tools")
	}
	return eachElement(tools, at+".tools", func(i int, value []byte) error {
		return r.grouped(value, index(at+".tools", i), name, about)
	})
}

// maxAbout bounds what the descriptions of namespaces become, in bytes.
const maxAbout = 4 << 20

// grouped reads a tool of a namespace. What is said of that goes before what is said of the tool.
func (r *responsesReader) grouped(value []byte, at, namespace, about string) error {
	kind, err := kindOf(value, at)
	switch {
	case err != nil:
	case kind == "function":
		err = r.function(value, at)
	case kind == "custom":
		err = r.custom(value, at)
	default:
		err = otherTool(at, kind)
	}
	if err != nil {
		return err
	}
	tool := &r.r.Tools[len(r.r.Tools)-1]
	own := responsesTool{namespace: namespace, name: tool.Name, custom: kind == "custom"}
	delete(r.kinds, tool.Name)
	tool.Name = standInName(namespace, tool.Name)
	r.stand(tool.Name, own)
	if about != "" {
		if r.about += len(about); r.about > maxAbout {
			return Invalid(at, "invalid_value", "'"+at+"' is in a namespace whose description is too long for so many tools, of which each is told it.")
		}
		tool.Description, tool.HasDescription = strings.TrimSpace(about+"\n\n"+tool.Description), true
	}
	return nil
}

// customInput are the parameters of a function that stands for a tool that takes text.
const customInput = `{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}`

// custom reads a tool that takes text. The model is told of its grammar, and is not held to it.
func (r *responsesReader) custom(value []byte, at string) error {
	tool := ChatTool{Parameters: json.RawMessage(customInput)}
	grammar, syntax := "", ""
	err := eachMember(value, at, func(member string, value []byte) (err error) {
		switch member {
		case "name":
			tool.Name, err = readText(value, at+".name")
		case "description":
			tool.Description, err = readText(value, at+".description")
		case "format":
			if isNull(value) {
				return nil
			}
			return eachMember(value, at+".format", func(member string, value []byte) (err error) {
				switch member {
				case "definition":
					grammar, err = readText(value, at+".format.definition")
				case "syntax":
					syntax, err = readText(value, at+".format.syntax")
				}
				return err
			})
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case tool.Name == "":
		return missing(at + ".name")
	}
	if grammar != "" {
		tool.Description = strings.TrimSpace(tool.Description + "\n\nThe input must follow this grammar (" + syntax + "):\n" + grammar)
		r.adjust(at + ".format")
	}
	tool.HasDescription = tool.Description != ""
	r.addTool(tool, at)
	r.stand(tool.Name, responsesTool{name: tool.Name, custom: true})
	return nil
}

func kindOf(value []byte, at string) (kind string, err error) {
	err = eachMember(value, at, func(name string, value []byte) (err error) {
		if name == "type" {
			kind, err = readText(value, at+".type")
		}
		return err
	})
	if err == nil && kind == "" {
		err = missing(at + ".type")
	}
	return kind, err
}

func otherTool(at, kind string) error {
	return Invalid(at+".type", "unsupported_tool", "'"+at+"' is a tool of the type "+known(kind)+", which this model does not have: it can be given tools of your own only.")
}

// customArguments returns the arguments of the function that stands for a tool that takes text.
func customArguments(input string) string {
	return `{"input":` + Quote(input) + `}`
}

// customText follows the arguments of such a function while they arrive, for the text that is in them.
type customText struct {
	raw  []byte // the arguments
	next int    // the first byte of raw that has not been passed on; 0 before the text begins
	done bool   // the text has ended

	tokens, seen int // of those before the text how many there have been, and how much of raw that was
}

// add adds to the arguments and returns what they add to the text, as JSON without quotes.
func (c *customText) add(arguments string) []byte {
	c.raw = append(c.raw, arguments...)
	if c.done || c.next == 0 && !c.begin() {
		return nil
	}
	var text []byte
	for c.next < len(c.raw) && !c.done {
		rest := c.raw[c.next:]
		switch n := bytes.IndexAny(rest, `"\\`); {
		case n < 0:
			text = append(text, rest...)
			c.next = len(c.raw)
		case n > 0:
			text = append(text, rest[:n]...)
			c.next += n
		case rest[0] == '"':
			c.done = true
		default:
			size := escapeSize(rest)
			if size == 0 { // more of it is to come
				return inner(appendJSON(nil, string(text)))
			}
			if size == 1 {
				text = append(text, '\\')
			} else {
				text, _ = appendUnescaped(text, rest[:size])
			}
			c.next += size
		}
	}
	return inner(appendJSON(nil, string(text)))
}

// begin finds where the text begins.
func (c *customText) begin() bool {
	tokens := [...]string{"{", `"input"`, ":", `"`}
	for _, token := range tokens[c.tokens:] {
		rest, ok := bytes.CutPrefix(bytes.TrimLeft(c.raw[c.seen:], " \t\r\n"), []byte(token))
		if c.seen = len(c.raw) - len(rest); !ok {
			return false
		}
		c.tokens++
	}
	c.next = c.seen
	return true
}

// escapeSize returns how long the escape is that text begins with, both halves if it is a surrogate pair; 0 if more must come
// before that is known. A backslash that begins no escape, as models make mistakes, is 1.
func escapeSize(text []byte) int {
	const unit = len(`\u0000`)
	r, rest := codeUnit(text)
	switch {
	case len(text) < 2:
		return 0
	case text[1] != 'u' && escapes[text[1]] == 0:
		return 1
	case text[1] != 'u':
		return 2
	case len(text) < unit:
		return 0
	case r < 0:
		return 1
	case r < 0xd800 || r >= 0xdc00, len(rest) > 0 && rest[0] != '\\', len(rest) > 1 && rest[1] != 'u':
		return unit
	case len(rest) < unit:
		return 0
	}
	if low, _ := codeUnit(rest); low < 0xdc00 || !utf16.IsSurrogate(low) {
		return unit
	}
	return 2 * unit
}

// rest returns what is missing of the text once the arguments are complete, as JSON without quotes. Those that are
// not what was asked for are the text themselves.
func (c *customText) rest() []byte {
	if c.done || c.next > 0 {
		return nil
	}
	input := json.RawMessage(nil)
	if err := eachChecked(c.raw, "", func(name string, value []byte) error {
		if name == "input" && value[0] == '"' {
			input = slices.Clone(value)
		}
		return nil
	}); err == nil && input != nil {
		return inner(input)
	}
	return inner(appendJSON(nil, string(c.raw)))
}
