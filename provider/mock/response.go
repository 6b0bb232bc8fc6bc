package mock

import (
	"encoding/json"
	"time"
)

// response is a call of responses.
type response struct {
	Model  string        `json:"model"`
	Input  responseInput `json:"input"`
	Stream bool          `json:"stream"`
	echoed
}

// echoed is the part of the call that its answer repeats.
type echoed struct {
	Instructions       *string         `json:"instructions"`
	MaxOutputTokens    *int            `json:"max_output_tokens"`
	Metadata           json.RawMessage `json:"metadata"`
	ParallelToolCalls  *bool           `json:"parallel_tool_calls"`
	PreviousResponseID *string         `json:"previous_response_id"`
	Reasoning          json.RawMessage `json:"reasoning"`
	Store              *bool           `json:"store"`
	Temperature        *float64        `json:"temperature"`
	Text               json.RawMessage `json:"text"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	Tools              json.RawMessage `json:"tools"`
	TopP               *float64        `json:"top_p"`
	Truncation         *string         `json:"truncation"`
	User               *string         `json:"user"`
}

// responseInput is a string, or a list of items.
type responseInput []responseItem

type responseItem struct {
	Type    string  `json:"type"`
	Role    string  `json:"role"`
	Content content `json:"content"`
	Output  content `json:"output"` // of a function that was called
}

func (in *responseInput) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] == '[' || string(b) == "null" {
		return json.Unmarshal(b, (*[]responseItem)(in))
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*in = responseInput{{Role: "user", Content: content(text)}}
	return nil
}

func (r *response) prompt() (*prompt, error) {
	q, err := newPrompt(r.Model)
	if err != nil {
		return nil, err
	}
	if len(r.Input) == 0 {
		return nil, refuse("input", "Missing required parameter: 'input'.")
	}
	q.asked = []string{""} // there is a reply even if no user said anything
	q.hear("system", valueOr(r.Instructions, ""))
	for _, item := range r.Input {
		switch item.Type {
		case "", "message":
			q.hear(item.Role, string(item.Content))
		case "function_call_output":
			q.hear("tool", string(item.Output))
		}
	}
	q.stream, q.n, q.limit = r.Stream, 1, r.MaxOutputTokens
	if err := r.readOptions(q); err != nil {
		return nil, err
	}
	return q, q.checkCounts("max_output_tokens")
}

// readOptions reads what is kept as it was sent.
func (r *response) readOptions(q *prompt) error {
	var options struct {
		Text struct {
			Format format `json:"format"`
		} `json:"text"`
		Tools      []tool     `json:"tools"`
		ToolChoice toolChoice `json:"tool_choice"`
	}
	err := decode(marshal(map[string]json.RawMessage{
		"text": r.Text, "tools": r.Tools, "tool_choice": r.ToolChoice,
	}), &options)
	if err != nil {
		return err
	}
	q.format = options.Text.Format
	q.tools, err = newToolbox(options.Tools, options.ToolChoice, r.ParallelToolCalls)
	return err
}

// responseObject is the answer of responses, and the end of its stream.
type responseObject struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	CreatedAt         int64              `json:"created_at"`
	Status            string             `json:"status"`
	Background        bool               `json:"background"`
	Error             *struct{}          `json:"error"`
	IncompleteDetails *incompleteDetails `json:"incomplete_details"`
	Model             string             `json:"model"`
	Output            []any              `json:"output"`
	ServiceTier       string             `json:"service_tier"`
	TopLogprobs       int                `json:"top_logprobs"`
	Usage             *responseUsage     `json:"usage"`
	echoed
}

type incompleteDetails struct {
	Reason string `json:"reason"`
}

type responseUsage struct {
	InputTokens         int                   `json:"input_tokens"`
	InputTokensDetails  responseInputDetails  `json:"input_tokens_details"`
	OutputTokens        int                   `json:"output_tokens"`
	OutputTokensDetails responseOutputDetails `json:"output_tokens_details"`
	TotalTokens         int                   `json:"total_tokens"`
}

type responseInputDetails struct {
	CachedTokens     int `json:"cached_tokens"`
	CacheWriteTokens int `json:"cache_write_tokens"`
}

type responseOutputDetails struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

// started returns the answer as it is before its first word.
func (r *response) started(q *prompt) responseObject {
	return responseObject{
		ID:          q.random(idOfAnswer).id("resp_", 48),
		Object:      "response",
		CreatedAt:   time.Now().Unix(),
		Status:      "in_progress",
		Model:       q.model,
		Output:      []any{},
		ServiceTier: "default",
		echoed:      r.withDefaults(),
	}
}

// withDefaults returns e with OpenAI's defaults for what the call left out.
func (e echoed) withDefaults() echoed {
	raw := func(field *json.RawMessage, missing string) {
		if *field == nil || string(*field) == "null" {
			*field = json.RawMessage(missing)
		}
	}
	raw(&e.Metadata, `{}`)
	raw(&e.Reasoning, `{"effort":null,"summary":null}`)
	raw(&e.Text, `{"format":{"type":"text"},"verbosity":"medium"}`)
	raw(&e.ToolChoice, `"auto"`)
	raw(&e.Tools, `[]`)
	e.ParallelToolCalls = new(valueOr(e.ParallelToolCalls, true))
	e.Store = new(valueOr(e.Store, true))
	e.Temperature = new(valueOr(e.Temperature, 1))
	e.TopP = new(valueOr(e.TopP, 1))
	e.Truncation = new(valueOr(e.Truncation, "disabled"))
	return e
}

// finished returns o with the reply in it.
func (o responseObject) finished(q *prompt, r reply, items []outputItem) responseObject {
	o.Status = r.status()
	if o.Status == "incomplete" {
		o.IncompleteDetails = &incompleteDetails{Reason: "max_output_tokens"}
	}
	for _, item := range items {
		o.Output = append(o.Output, item.object(o.Status))
	}
	o.Usage = &responseUsage{
		InputTokens:  q.words,
		OutputTokens: r.tokens,
		TotalTokens:  q.words + r.tokens,
	}
	return o
}

// status is how a response ends that was r.
func (r reply) status() string {
	if r.finish == "length" {
		return "incomplete"
	}
	return "completed"
}

func (r *response) whole(q *prompt, replies []reply) any {
	return r.started(q).finished(q, replies[0], outputItems(q, replies[0]))
}
