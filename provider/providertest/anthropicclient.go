package providertest

import (
	"encoding/json"
	"errors"
	"fmt"
)

// finishes are OpenAI's finish_reasons by Anthropic's stop_reasons.
var finishes = map[string]string{
	"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}

type (
	messagesUsage struct {
		InputTokens  *int64 `json:"input_tokens"`
		OutputTokens *int64 `json:"output_tokens"`
	}
	contentBlock struct {
		Type, Text, Thinking, ID, Name string
		Signature                      *string
		Input                          json.RawMessage
	}
	message struct {
		ID, Type, Role, Model string
		Content               []contentBlock
		StopReason            *string `json:"stop_reason"`
		Usage                 *messagesUsage
	}
)

func (m *message) check() error {
	if m.ID == "" || m.Type != "message" || m.Role != "assistant" || m.Model != "smart" || m.Content == nil ||
		m.Usage == nil || m.Usage.InputTokens == nil || m.Usage.OutputTokens == nil {
		return errors.New("a member of the message is missing or wrong")
	}
	return nil
}

// add takes a block into the outcome.
func (o *outcome) add(b *contentBlock, ids *[]string) error {
	switch b.Type {
	case "text":
		o.Text += b.Text
	case "thinking":
		o.Reasoning += b.Thinking
		if b.Signature == nil {
			return errors.New("a block of thinking has no signature")
		}
	case "redacted_thinking":
	case "tool_use":
		o.Tools = append(o.Tools, tool{b.Name, string(b.Input)})
		*ids = append(*ids, b.ID)
	default:
		return fmt.Errorf("a block has the type %q", b.Type)
	}
	return nil
}

func readMessage(body []byte) (o outcome, err error) {
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return o, err
	}
	if err := m.check(); err != nil {
		return o, err
	}
	var ids []string
	for i := range m.Content {
		if err := o.add(&m.Content[i], &ids); err != nil {
			return o, err
		}
	}
	if m.StopReason == nil || finishes[*m.StopReason] == "" {
		return o, errors.New("the stop_reason is missing or unknown")
	}
	o.Finish = finishes[*m.StopReason]
	return o, checkTools(o.Tools, ids)
}

// messagesClient reads events as Anthropic's SDKs do, and takes one open block at a time only.
type messagesClient struct {
	outcome
	ids     []string
	blocks  int // begun
	open    int // the index of the open block, -1 for none
	block   contentBlock
	partial string // input_json

	started, counted, ended bool
}

type messagesEvent struct {
	Type         string
	Message      *message
	Index        *int
	ContentBlock *contentBlock `json:"content_block"`
	Delta        struct {
		Type, Text, Thinking string
		Signature            string
		PartialJSON          string  `json:"partial_json"`
		StopReason           *string `json:"stop_reason"`
	}
	Usage *messagesUsage
}

func (c *messagesClient) event(name string, data []byte) error {
	var e messagesEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	switch {
	case e.Type != name:
		return fmt.Errorf("its name is %q", name)
	case name == "ping":
		return nil
	case c.started == (name == "message_start") || c.ended:
		return errors.New("it comes before the beginning, or after the end")
	}
	switch name {
	case "message_start":
		c.started = true
		if e.Message == nil {
			return errors.New("it has no message")
		}
		return e.Message.check()
	case "content_block_start", "content_block_delta", "content_block_stop":
		return c.content(name, &e)
	case "message_delta":
		if e.Usage == nil || e.Usage.OutputTokens == nil || c.open >= 0 {
			return errors.New("it has no usage, or a block is still open")
		}
		if c.counted = true; e.Delta.StopReason != nil {
			c.Finish = finishes[*e.Delta.StopReason]
		}
	case "message_stop":
		c.ended = true
	default:
		return errors.New("it is not known")
	}
	return nil
}

func (c *messagesClient) content(name string, e *messagesEvent) error {
	if e.Index == nil {
		return errors.New("it has no index")
	}
	if name == "content_block_start" {
		if c.open >= 0 || *e.Index != c.blocks || e.ContentBlock == nil {
			return errors.New("another block is open, or the index is not the next")
		}
		c.open, c.block, c.partial = *e.Index, *e.ContentBlock, ""
		c.blocks++
		if c.block.Type == "thinking" && c.block.Signature == nil {
			c.block.Signature = new(string)
		}
		return nil
	}
	if *e.Index != c.open {
		return errors.New("its block is not open")
	}
	if name == "content_block_stop" {
		c.open = -1
		if c.partial != "" {
			c.block.Input = json.RawMessage(c.partial)
		}
		return c.add(&c.block, &c.ids)
	}
	of := map[string]string{"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking", "input_json_delta": "tool_use"}
	if of[e.Delta.Type] != c.block.Type {
		return errors.New("it is not for a block of that type")
	}
	c.block.Text += e.Delta.Text
	c.block.Thinking += e.Delta.Thinking
	c.partial += e.Delta.PartialJSON
	return nil
}

func (c *messagesClient) end() (outcome, error) {
	switch {
	case !c.ended || !c.counted || c.open >= 0:
		return c.outcome, errors.New("there is no message_stop, or something is left out before it")
	case c.Finish == "":
		return c.outcome, errors.New("the stop_reason is missing or unknown")
	}
	return c.outcome, checkTools(c.Tools, c.ids)
}
