package dialect

import (
	"encoding/json"
	"strings"
)

// webSearch is the search of the web that the client has offered to the model.
type webSearch struct {
	at      string
	options json.RawMessage // web_search_options
	bounded bool            // to some sites, which those options have nothing for
}

// isWebSearch reports whether a tool is OpenAI's search of the web, of whatever version.
func isWebSearch(kind string) bool {
	return kind == "web_search" || strings.HasPrefix(kind, "web_search_preview") || strings.HasPrefix(kind, "web_search_20")
}

func readWebSearch(value []byte, at string) (*webSearch, error) {
	s := &webSearch{at: at}
	var w writer
	w.open('{')
	err := eachMember(value, at, func(name string, value []byte) error {
		switch {
		case isNull(value):
		case name == "search_context_size":
			w.key(name)
			w.raw(value)
		case name == "user_location":
			w.key(name)
			w.literal(`{"type":"approximate","approximate":`)
			w.b = append(append(w.b, value...), '}')
		case name == "filters":
			s.bounded = true
		}
		return nil
	})
	w.close('}')
	s.options = w.b
	return s, err
}

// offerSearch passes on that the model may search the web where it can, and may by tool_choice. Agents offer it as a matter
// of course, so that other models do without it.
func (r *responsesReader) offerSearch() error {
	offered, c := r.search, r.allowed
	alone := c != nil && c.search != "" && len(c.tools) == 0 // nothing else is allowed
	if alone {
		if r.r.Tools, r.tooled, r.r.ToolChoice = nil, nil, nil; c.mode == "required" {
			r.r.ToolChoice = json.RawMessage(`"required"`)
		}
	}
	switch {
	case offered == nil:
	case string(r.r.ToolChoice) == `"none"`, c != nil && c.search == "":
		offered = nil
	case offered.bounded, r.t.Beyond != Messages && (r.t.Beyond != Gemini || len(r.r.Tools) > 0): // Gemini has one or the other
		r.adjust(offered.at)
		offered = nil
	}
	switch {
	case offered != nil:
		r.r.Extra = append(r.r.Extra, Member{"web_search_options", offered.options})
	case alone:
		return Invalid(c.search+".type", "unsupported_tool", "'"+c.search+"' is not a tool that this model has.")
	}
	if string(r.r.ToolChoice) == `"required"` && len(r.r.Tools) == 0 && r.search != nil && (offered == nil || r.t.Beyond != Messages) {
		r.adjust("tool_choice") // Google's cannot be demanded
		r.r.ToolChoice = nil
	}
	return nil
}
