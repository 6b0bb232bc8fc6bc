package dialect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/runestone-gateway/runestone/sse"
)

// Target is what a translator is told of the model that is asked.
type Target struct {
	// Model is the provider's own name for it, and Shown the one that answers show.
	Model, Shown string
	// MaxOutput is how many tokens it can answer with, 0 when that is not known.
	MaxOutput int
	// Quirks are the provider's, nil for none.
	Quirks *Quirks
	// Between is set for a request of Chat that is translated once more: it keeps extensions
	// that only a translator would understand, such as thinking_blocks and cache_control.
	Between bool
	// Beyond is what it is translated to then.
	Beyond API
	// Behind is what a request of Chat was translated from, "" for one that is the client's own.
	Behind API
}

// Quirks are how a server that speaks a dialect differs from who made it. The zero Quirks is OpenAI
// or Anthropic itself.
type Quirks struct {
	// MaxTokens: max_tokens is known and max_completion_tokens is not.
	MaxTokens bool
	// SystemRole: the role developer is not known, so it becomes system.
	SystemRole bool
	// OneSystem: there may be one system message only, and it comes first.
	OneSystem bool
	// ToolIDs9: IDs of tool calls are nine letters and digits (Mistral).
	ToolIDs9 bool
	// RequiredIsAny: tool_choice "required" is called "any" (Mistral).
	RequiredIsAny bool
	// NoUserAfterTool: what a user says may not directly follow the result of a tool (Mistral).
	NoUserAfterTool bool
	// Alternate: after the system messages, users and the assistant take turns (Perplexity).
	Alternate bool
	// EffortHigh: reasoning_effort is none or high (Mistral, Cohere).
	EffortHigh bool
	// ReasoningBack: the reasoning of an answer that calls tools must be sent back as
	// reasoning_content (DeepSeek).
	ReasoningBack bool
	// NoStreamOptions: stream_options is refused.
	NoStreamOptions bool
	// Extensions are parameters that OpenAI does not have and the server does, such as top_k,
	// which may be sent on.
	Extensions []string
	// Refused are parameters of OpenAI's that the server refuses: they are left out.
	Refused []string
}

// Translation is a request in another dialect, and the way back for its answer.
type Translation struct {
	// Body is the request, which shares no memory with the original's. See [Recycle].
	Body []byte
	// ModelSpan is where Body holds the value of "model", zero if it does not name one.
	ModelSpan Span
	// Stream is whether the answer is to be streamed.
	Stream bool
	// Adjusted names the client's parameters that were left out or changed, in the order of
	// the request. The answer shows them as Runestone-Adjusted.
	Adjusted []string
	// Betas are features of Anthropic's API that the request needs, for the header Anthropic-Beta.
	Betas []string
	// Answers translates what comes back.
	Answers Answers

	// names are the client's for parameters of the request that it was translated to, and rename
	// returns it for any other. Either may be nil.
	names  map[string]string
	rename func(param string) string
}

// clientName returns the client's name for a parameter of the request that it was translated to.
func (t *Translation) clientName(name string) string {
	if own := t.names[name]; own != "" {
		return own
	}
	if t.rename != nil {
		return t.rename(name)
	}
	return name
}

// alsoAdjusted returns what was adjusted, with parameters of the request that it was translated to, in the client's names.
func (t *Translation) alsoAdjusted(names []string) []string {
	if len(names) == 0 {
		return t.Adjusted
	}
	var all adjustments
	for _, name := range t.Adjusted {
		all.adjust(name)
	}
	for _, name := range names {
		all.adjust(t.clientName(name))
	}
	return all.adjusted()
}

// clientError returns an error about the request that it was translated to as one about the client's.
func (t *Translation) clientError(err error) error {
	told, ok := errors.AsType[*Error](err)
	if !ok || told.Param == "" || t.clientName(told.Param) == told.Param {
		return err
	}
	own := *told
	own.Param = t.clientName(told.Param)
	own.Message = strings.ReplaceAll(told.Message, "'"+told.Param+"'", "'"+own.Param+"'")
	return &own
}

// UpstreamError is [UpstreamError] for the answer to the request: a parameter has the client's name for it.
func (t *Translation) UpstreamError(status int, body []byte) *Error {
	told := UpstreamError(status, body)
	if own, ok := errors.AsType[*Error](t.clientError(told)); ok {
		return own
	}
	return told
}

// Answers translates the answer to one call. Its methods are not called concurrently, and
// what they append is the client's, framing included. What is passed to them is not kept.
type Answers interface {
	// Whole appends a whole answer of success. The error, if the body is none, is [ErrNotJSON]
	// or a *Error.
	Whole(dst, body []byte) ([]byte, error)
	// Event appends what the client gets for an event of the stream, at once. An event that reports
	// an error is returned as a *Error with the status that it would have had; the stream has ended then.
	Event(dst []byte, e sse.Event) ([]byte, error)
	// End appends what is missing once the stream has ended. The error is
	// io.ErrUnexpectedEOF if it broke off.
	End(dst []byte) ([]byte, error)
	// Done reports whether the stream is complete, so that it does not matter what still comes.
	Done() bool
	// Usage returns the tokens reported so far.
	Usage() Usage
	// Sequence returns the number of the next event, 0 where events have none: those of the Responses
	// API do.
	Sequence() int64
}

// translator translates a request. Its error is a *Error that names the parameter.
type translator func(body []byte, t *Target) (*Translation, error)

// translators are the pairs that are translated directly. What is not among them goes through Chat.
var translators = map[[2]API]translator{
	{Responses, Chat}: responsesToChat,
	{Chat, Messages}:  chatToMessages,
	{Chat, Gemini}:    chatToGemini,
	{Messages, Chat}:  messagesToChat,

	{Embeddings, GeminiEmbed}: embeddingsToGemini,
}

// Translates reports whether requests of one call can be translated to another.
func Translates(from, to API) bool {
	if translators[[2]API{from, to}] != nil {
		return true
	}
	return translators[[2]API{from, Chat}] != nil && translators[[2]API{Chat, to}] != nil
}

// Translate translates a request, which must be a JSON object that [ScanOpenAI] accepts. What cannot be
// expressed is an error that names the parameter, or is left out and listed in
// Adjusted. Errors are *Error.
func Translate(from, to API, body []byte, t *Target) (*Translation, error) {
	if direct := translators[[2]API{from, to}]; direct != nil {
		return direct(body, t)
	}
	first, second := translators[[2]API{from, Chat}], translators[[2]API{Chat, to}]
	if first == nil || second == nil {
		return nil, Invalid("", "unsupported_endpoint", fmt.Sprintf("%s cannot be served by a model that is asked through %s.", from, to))
	}
	half := *t
	half.Quirks, half.Between, half.Beyond = nil, true, to // the quirks are those of what comes out at the end
	inner, err := first(body, &half)
	if err != nil {
		return nil, err
	}
	rest := *t
	rest.Behind = from
	outer, err := second(inner.Body, &rest)
	Recycle(inner.Body)
	if err != nil {
		return nil, inner.clientError(err)
	}
	outer.Adjusted = inner.alsoAdjusted(outer.Adjusted)
	outer.Answers = &chain{first: outer.Answers, second: inner.Answers}
	return outer, nil
}

// chain translates answers twice: the first to Chat's, the second from there.
type chain struct {
	first, second Answers
	between       []byte
}

// Whole implements [Answers].
func (c *chain) Whole(dst, body []byte) ([]byte, error) {
	middle, err := c.first.Whole(nil, body)
	if err != nil {
		return dst, err
	}
	return c.second.Whole(dst, middle)
}

// Event implements [Answers].
func (c *chain) Event(dst []byte, e sse.Event) ([]byte, error) {
	between, err := c.first.Event(c.between[:0], e)
	c.between = between
	if err != nil {
		return dst, err
	}
	return c.pass(dst)
}

// pass translates the events that are between.
func (c *chain) pass(dst []byte) ([]byte, error) {
	for rest := c.between; len(rest) > 0; {
		n := sse.End(rest)
		if n == 0 {
			n = len(rest)
		}
		e := sse.Parse(rest[:n])
		rest = rest[n:]
		if !e.HasData {
			continue
		}
		var err error
		if dst, err = c.second.Event(dst, e); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// End implements [Answers].
func (c *chain) End(dst []byte) ([]byte, error) {
	between, err := c.first.End(c.between[:0])
	c.between = between
	if err != nil {
		return dst, err
	}
	if dst, err = c.pass(dst); err != nil {
		return dst, err
	}
	return c.second.End(dst)
}

// Done implements [Answers].
func (c *chain) Done() bool { return c.first.Done() || c.second.Done() }

// Usage implements [Answers].
func (c *chain) Usage() Usage { return c.first.Usage() }

// Sequence implements [Answers].
func (c *chain) Sequence() int64 { return c.second.Sequence() }
