package dialect

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// chatToGemini translates a request of chat completions to one of Gemini's generateContent or, as the
// members are the same, streamGenerateContent.
func chatToGemini(body []byte, t *Target) (*Translation, error) {
	r, err := readChatRequest(body)
	if err != nil {
		return nil, err
	}
	g := &geminiMaker{r: r, t: t, model: geminiOf(t.Model)}
	if name := r.fit(t); name != "" {
		g.adjust(name)
	}
	if err := g.make(len(body)); err != nil {
		return nil, err
	}
	answers := &geminiAnswers{out: newChatWriter(t, r.IncludeUsage), searches: g.search != nil}
	return &Translation{Body: g.w.b, Stream: r.Stream, Adjusted: g.adjusted(), Answers: answers}, nil
}

// geminiMaker writes a request of Gemini's.
type geminiMaker struct {
	r     *ChatRequest
	t     *Target
	model gemini

	w writer
	adjustments

	system [][]byte // parts
	turns  []geminiTurn
	tools  []ChatTool

	candidates, topK, seed json.RawMessage
	presence, frequency    json.RawMessage
	thinking, search       json.RawMessage

	schemas, scanned int // how long the schemas have become, and how much has been read for them
}

func (g *geminiMaker) make(size int) error {
	g.tools = g.r.Tools
	for _, e := range g.r.Extra {
		if err := g.extra(e); err != nil {
			return err
		}
	}
	for i := range g.r.Messages {
		if err := g.message(&g.r.Messages[i], index("messages", i)); err != nil {
			return err
		}
	}
	if len(g.system) > 0 && (len(g.turns) == 0 || g.model.gemma) {
		g.sayAsUser()
	}
	for _, turn := range g.turns {
		if turn.empty != "" && len(turn.results)+len(turn.parts) == 0 {
			return Invalid(turn.empty, "invalid_value", "'"+turn.empty+"' is empty: this model needs something to answer.")
		}
	}
	w := &g.w
	w.b = scratch(size + 512)
	w.open('{')
	if len(g.system) > 0 {
		w.key("systemInstruction")
		w.open('{')
		g.writeParts(g.system)
		w.close('}')
	}
	g.writeTurns()
	if err := g.writeTools(); err != nil {
		return err
	}
	if err := g.writeConfig(); err != nil {
		return err
	}
	w.close('}')
	return nil
}

// sayAsUser has the user say what is in system: a conversation needs somebody who speaks, and Gemma has no
// systemInstruction.
func (g *geminiMaker) sayAsUser() {
	if len(g.turns) == 0 || g.turns[0].role != "user" {
		g.turns = slices.Insert(g.turns, 0, geminiTurn{role: "user"})
	}
	g.turns[0].parts = slices.Concat(g.system, g.turns[0].parts)
	g.system = nil
}

// extra reads a parameter that chat's shape does not name.
func (g *geminiMaker) extra(e Member) (err error) {
	switch e.Name {
	case "n":
		g.candidates, err = g.readCount(e.Value)
	case "top_k":
		g.topK, err = readNumber(e.Value, e.Name)
	case "seed":
		if _, bad := strconv.ParseInt(string(e.Value), 10, 32); bad != nil {
			return Invalid("seed", "invalid_value", "'seed' must be a whole number of 32 bits for this model: from -2147483648 to 2147483647.")
		}
		g.seed = e.Value
	case "presence_penalty":
		g.presence, err = readNumber(e.Value, e.Name)
	case "frequency_penalty":
		g.frequency, err = readNumber(e.Value, e.Name)
	case "thinking":
		g.thinking = e.Value
	case "web_search_options":
		g.search = e.Value
	case "logprobs":
		if string(e.Value) != "false" {
			err = Invalid("logprobs", "unsupported_parameter", "'logprobs' is not supported by this model.")
		}
	case "top_logprobs":
		if string(e.Value) != "0" {
			err = Invalid("top_logprobs", "unsupported_parameter", "'top_logprobs' is not supported by this model.")
		}
	case "audio":
		err = Invalid("audio", "unsupported_parameter", "'audio' is not supported by this model.")
	case "modalities":
		if text := string(e.Value); strings.Contains(text, `"audio"`) || strings.Contains(text, `"image"`) {
			err = Invalid("modalities", "unsupported_parameter", "'modalities' must be text for this model.")
		}
	default:
		g.adjust(e.Name)
	}
	return err
}

// readCount reads n. A stream can have one answer only.
func (g *geminiMaker) readCount(value []byte) (json.RawMessage, error) {
	n, err := strconv.ParseInt(string(value), 10, 32)
	switch {
	case err != nil || n < 1:
		return nil, Invalid("n", "invalid_value", "'n' must be a whole number, 1 or more.")
	case n == 1:
		return nil, nil
	case g.r.Stream:
		return nil, Invalid("n", "unsupported_parameter", "'n' must be 1 for a streamed answer of this model.")
	}
	return value, nil
}
