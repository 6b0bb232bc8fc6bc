package openai

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// adapt adds to the edits of a chat completion those without which the server would refuse, or overlook,
// what a client of OpenAI sends as a matter of course. It looks into a body only if a search finds
// the words in it.
func adapt(body []byte, q *dialect.Quirks, edits []provider.Edit) []provider.Edit {
	a := adapter{
		body: body, edits: edits,
		role:   q.SystemRole && bytes.Contains(body, []byte(`"developer"`)),
		limit:  q.MaxTokens && bytes.Contains(body, []byte(`"max_completion_tokens"`)),
		ids:    q.ToolIDs9 && (bytes.Contains(body, []byte(`"tool_calls"`)) || bytes.Contains(body, []byte(`"tool_call_id"`))),
		choice: q.RequiredIsAny && bytes.Contains(body, []byte(`"required"`)),
		usage:  q.NoStreamOptions && bytes.Contains(body, []byte(`"stream_options"`)),
	}
	if !a.role && !a.limit && !a.ids && !a.choice && !a.usage {
		return edits
	}
	if err := dialect.Members(body, a.member); err != nil {
		return edits // the server will say so
	}
	a.limits()
	a.remove()
	slices.SortStableFunc(a.edits, func(x, y provider.Edit) int {
		return cmp.Or(cmp.Compare(x.Start, y.Start), cmp.Compare(x.End, y.End))
	})
	return a.edits
}

// adapter collects the edits of one body.
type adapter struct {
	body  []byte
	edits []provider.Edit

	role, limit, ids, choice, usage bool // what to look for

	older, newer provider.Span // max_tokens and max_completion_tokens, from their names to their values' ends
	value        provider.Span // of the latter
	gone         []provider.Span
}

func (a *adapter) replace(at provider.Span, text string) {
	a.edits = append(a.edits, provider.Edit{Span: at, New: text})
}

func (a *adapter) member(key []byte, value provider.Span) bool {
	switch string(key) {
	case `"messages"`:
		if a.role || a.ids {
			a.elements(value, a.message)
		}
	case `"tool_choice"`:
		if a.choice && a.text(value) == `"required"` {
			a.replace(value, `"any"`)
		}
	case `"max_tokens"`:
		a.older = provider.Span{Start: a.start(key, value), End: value.End}
	case `"stream_options"`:
		if a.usage {
			a.gone = append(a.gone, provider.Span{Start: a.start(key, value), End: value.End})
		}
	case `"max_completion_tokens"`:
		a.newer, a.value = provider.Span{Start: a.start(key, value), End: value.End}, value
	}
	return true
}

func (a *adapter) text(at provider.Span) string { return string(a.body[at.Start:at.End]) }

// start returns where the name of a member begins: nothing but a colon and space is between it and the value.
func (a *adapter) start(key []byte, value provider.Span) int {
	return bytes.LastIndex(a.body[:value.Start], key)
}

// limits renames max_completion_tokens. If max_tokens is there as well, it goes: OpenAI would refuse the two.
func (a *adapter) limits() {
	if !a.limit || a.newer.IsZero() {
		return
	}
	if a.text(a.value) == "null" { // says nothing
		a.gone = append(a.gone, a.newer)
		return
	}
	if a.older.IsZero() {
		a.replace(provider.Span{Start: a.newer.Start, End: a.value.Start}, `"max_tokens":`)
		return
	}
	a.replace(provider.Span{Start: a.newer.Start, End: a.value.Start}, `"max_tokens":`)
	a.gone = append(a.gone, a.older)
}

// remove leaves out the members that are gone, which do not share a comma: those side by side go as one. Each takes the
// comma that follows, and the last of an object the one before.
func (a *adapter) remove() {
	slices.SortFunc(a.gone, func(x, y provider.Span) int { return cmp.Compare(x.Start, y.Start) })
	for i := 0; i < len(a.gone); i++ {
		gone := a.gone[i]
		for i+1 < len(a.gone) && len(bytes.Trim(a.body[gone.End:a.gone[i+1].Start], ", \t\r\n")) == 0 {
			i++
			gone.End = a.gone[i].End
		}
		before := bytes.TrimRight(a.body[:gone.Start], " \t\r\n")
		if after := bytes.TrimLeft(a.body[gone.End:], " \t\r\n"); after[0] == ',' {
			gone.End = len(a.body) - len(after) + 1
		} else if before[len(before)-1] == ',' {
			gone.Start = len(before) - 1
		}
		a.replace(gone, "")
	}
}

// elements visits the elements of an array, and members the members of an object, wherever in the body they are.
func (a *adapter) elements(array provider.Span, visit func(value provider.Span)) {
	_ = dialect.Elements(a.body[array.Start:array.End], func(value provider.Span) bool {
		visit(provider.Span{Start: array.Start + value.Start, End: array.Start + value.End})
		return true
	})
}

func (a *adapter) members(object provider.Span, visit func(key []byte, value provider.Span)) {
	_ = dialect.Members(a.body[object.Start:object.End], func(key []byte, value provider.Span) bool {
		visit(key, provider.Span{Start: object.Start + value.Start, End: object.Start + value.End})
		return true
	})
}

func (a *adapter) message(at provider.Span) {
	a.members(at, func(key []byte, value provider.Span) {
		switch string(key) {
		case `"role"`:
			if a.role && a.text(value) == `"developer"` {
				a.replace(value, `"system"`)
			}
		case `"tool_call_id"`:
			a.toolID(value)
		case `"tool_calls"`:
			a.elements(value, func(call provider.Span) {
				a.members(call, func(key []byte, value provider.Span) {
					if string(key) == `"id"` {
						a.toolID(value)
					}
				})
			})
		}
	})
}

// toolID replaces the ID of a tool's call by nine letters and digits made from it, the same wherever it stands.
func (a *adapter) toolID(at provider.Span) {
	id, isText := strings.CutPrefix(strings.TrimSuffix(a.text(at), `"`), `"`)
	if !a.ids || !isText || len(id) == 9 && strings.Trim(id, alphanumerics) == "" {
		return
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(id))
	digits := strconv.FormatUint(hash.Sum64(), 36) // of which the last are evenly spread
	a.replace(at, `"`+strings.Repeat("0", max(0, 9-len(digits)))+digits[max(0, len(digits)-9):]+`"`)
}

const alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
