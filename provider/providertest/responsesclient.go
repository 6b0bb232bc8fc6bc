package providertest

import (
	"encoding/json"
	"errors"
	"fmt"
)

type (
	responseItem struct {
		ID, Type, Status, Role string
		CallID                 string `json:"call_id"`
		Name, Arguments        string
		Content, Summary       []struct{ Type, Text string }
	}
	response struct {
		ID, Object, Status, Model string
		CreatedAt                 json.Number `json:"created_at"`
		Output                    []responseItem
		IncompleteDetails         *struct{ Reason string } `json:"incomplete_details"`
		Usage                     *struct {
			InputTokens  *int64 `json:"input_tokens"`
			OutputTokens *int64 `json:"output_tokens"`
			TotalTokens  *int64 `json:"total_tokens"`
		}
	}
)

// outcome checks a complete response and returns what it says.
func (r *response) outcome() (o outcome, err error) {
	if r.ID == "" || r.Object != "response" || r.Model != "smart" || r.CreatedAt == "" || r.Output == nil ||
		r.Usage == nil || r.Usage.InputTokens == nil || r.Usage.OutputTokens == nil || r.Usage.TotalTokens == nil {
		return o, errors.New("a member of the response is missing or wrong")
	}
	var ids []string
	for _, item := range r.Output {
		switch item.Type {
		case "message":
			for _, part := range item.Content {
				if part.Type == "output_text" {
					o.Text += part.Text
				}
			}
		case "reasoning":
			for _, part := range item.Summary {
				o.Reasoning += part.Text
			}
			if len(item.Summary) == 0 {
				for _, part := range item.Content {
					o.Reasoning += part.Text
				}
			}
		case "function_call":
			o.Tools, ids = append(o.Tools, tool{item.Name, item.Arguments}), append(ids, item.CallID)
		default:
			return o, fmt.Errorf("an item has the type %q", item.Type)
		}
		if item.ID == "" {
			return o, errors.New("an item has no ID")
		}
	}
	switch {
	case r.Status == "completed" && len(o.Tools) > 0:
		o.Finish = "tool_calls"
	case r.Status == "completed":
		o.Finish = "stop"
	case r.Status == "incomplete" && r.IncompleteDetails != nil && r.IncompleteDetails.Reason == "max_output_tokens":
		o.Finish = "length"
	case r.Status == "incomplete" && r.IncompleteDetails != nil:
		o.Finish = r.IncompleteDetails.Reason
	default:
		return o, fmt.Errorf("the status is %q", r.Status)
	}
	return o, checkTools(o.Tools, ids)
}

func readResponse(body []byte) (outcome, error) {
	var r response
	if err := json.Unmarshal(body, &r); err != nil {
		return outcome{}, err
	}
	return r.outcome()
}

// responsesClient reads events as OpenAI's description of them demands.
type responsesClient struct {
	next    int64 // sequence_number
	text    string
	args    map[int]string // by output_index
	open    map[int]bool
	items   int
	last    *response
	started bool
}

type responsesEvent struct {
	Type           string
	SequenceNumber *int64 `json:"sequence_number"`
	OutputIndex    *int   `json:"output_index"`
	Delta          string
	Arguments      string
	Item           *responseItem
	Response       *response
}

func (c *responsesClient) event(name string, data []byte) error {
	var e responsesEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	switch {
	case name != e.Type:
		return fmt.Errorf("its name is %q", name)
	case e.SequenceNumber == nil || *e.SequenceNumber != c.next:
		return fmt.Errorf("its sequence_number is not %d", c.next)
	case c.started == (name == "response.created") || c.last != nil:
		return errors.New("it comes before the beginning, or after the end")
	}
	c.next++
	switch name {
	case "response.created":
		c.started, c.args, c.open = true, map[int]string{}, map[int]bool{}
	case "response.completed", "response.incomplete":
		if c.last = e.Response; e.Response == nil || len(c.open) > 0 {
			return errors.New("it has no response, or an item is not done")
		}
	case "response.in_progress":
	default:
		if e.OutputIndex == nil {
			return errors.New("it has no output_index")
		}
		return c.output(name, &e)
	}
	return nil
}

func (c *responsesClient) output(name string, e *responsesEvent) error {
	at := *e.OutputIndex
	if name == "response.output_item.added" {
		if at != c.items {
			return errors.New("its output_index is not the next")
		}
		c.items++
		c.open[at] = true
		return nil
	}
	if !c.open[at] {
		return errors.New("its item is not open")
	}
	switch name {
	case "response.output_text.delta":
		c.text += e.Delta
	case "response.function_call_arguments.delta":
		c.args[at] += e.Delta
	case "response.function_call_arguments.done":
		if e.Arguments != c.args[at] {
			return errors.New("its arguments are others than those before")
		}
	case "response.output_item.done":
		delete(c.open, at)
		if e.Item == nil || e.Item.Type == "function_call" && e.Item.Arguments != c.args[at] {
			return errors.New("it has no item, or its arguments are others than those before")
		}
	}
	return nil
}

func (c *responsesClient) end() (outcome, error) {
	if c.last == nil {
		return outcome{}, errors.New("there is no event that ends it")
	}
	o, err := c.last.outcome()
	if err == nil && o.Text != c.text {
		err = fmt.Errorf("the text of the response is %q, and that of the deltas %q", o.Text, c.text)
	}
	return o, err
}
