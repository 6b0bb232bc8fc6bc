package providertest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/sse"
)

// readWhole reads a whole answer as a strict client does.
func readWhole(api dialect.API, body []byte) (outcome, error) {
	switch api {
	case dialect.Chat:
		return readChat(body)
	case dialect.Messages:
		return readMessage(body)
	case dialect.Responses:
		return readResponse(body)
	}
	return outcome{}, fmt.Errorf("no client of %s is known", api)
}

// readStream reads a streamed answer as a strict client does: the error says what it would
// not take.
func readStream(api dialect.API, stream []byte) (outcome, error) {
	var client interface {
		event(name string, data []byte) error
		end() (outcome, error)
	}
	switch api {
	case dialect.Chat:
		client = &chatClient{}
	case dialect.Messages:
		client = &messagesClient{open: -1}
	case dialect.Responses:
		client = &responsesClient{}
	default:
		return outcome{}, fmt.Errorf("no client of %s is known", api)
	}
	for len(stream) > 0 {
		n := sse.End(stream)
		if n == 0 {
			return outcome{}, errors.New("the last event is not closed by a blank line")
		}
		e := sse.Parse(stream[:n])
		stream = stream[n:]
		if !e.Fields {
			continue // a comment
		}
		if !e.HasData {
			return outcome{}, errors.New("an event has no data")
		}
		if err := client.event(string(e.Name), e.Data); err != nil {
			return outcome{}, fmt.Errorf("%w in %s", err, e.Data)
		}
	}
	return client.end()
}

// checkTools checks that the arguments of every call are an object, and that the calls have a name
// and an ID of their own. It removes the space from the arguments.
func checkTools(tools []tool, ids []string) error {
	seen := map[string]bool{}
	for i, t := range tools {
		var object map[string]json.RawMessage
		switch {
		case json.Unmarshal([]byte(t.Arguments), &object) != nil || object == nil:
			return fmt.Errorf("the arguments of the tool %s are no object: %s", t.Name, t.Arguments)
		case t.Name == "":
			return errors.New("a call of a tool has no name")
		case ids[i] == "" || seen[ids[i]]:
			return fmt.Errorf("the call of the tool %s has the ID %q, which is no name for it", t.Name, ids[i])
		}
		seen[ids[i]] = true
		tools[i].Arguments = string(compact([]byte(t.Arguments)))
	}
	return nil
}

type (
	chatCall struct {
		Index    *int
		ID, Type string
		Function tool
	}
	chatMessage struct {
		Role      string
		Content   *string
		Reasoning string     `json:"reasoning_content"`
		ToolCalls []chatCall `json:"tool_calls"`
	}
	chatAnswer struct {
		ID, Object, Model string
		Created           int64
		Choices           []struct {
			Index          int
			Delta, Message *chatMessage
			FinishReason   *string `json:"finish_reason"`
		}
		Usage *struct{}
		Error json.RawMessage
	}
)

func readChat(body []byte) (o outcome, err error) {
	var a chatAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return o, err
	}
	if a.Object != "chat.completion" || a.ID == "" || a.Created == 0 || a.Model != "smart" || len(a.Choices) != 1 || a.Usage == nil {
		return o, errors.New("a member is missing or wrong")
	}
	choice := a.Choices[0]
	if choice.Message == nil || choice.Message.Role != "assistant" || choice.FinishReason == nil {
		return o, errors.New("the choice has no message of the assistant or no finish_reason")
	}
	if choice.Message.Content != nil {
		o.Text = *choice.Message.Content
	}
	o.Reasoning, o.Finish = choice.Message.Reasoning, *choice.FinishReason
	var ids []string
	for _, call := range choice.Message.ToolCalls {
		o.Tools, ids = append(o.Tools, call.Function), append(ids, call.ID)
		if call.Type != "function" {
			return o, fmt.Errorf("a call of a tool has the type %q", call.Type)
		}
	}
	return o, checkTools(o.Tools, ids)
}

// chatClient reads chunks as openai-node's helper does, which is the strictest.
type chatClient struct {
	outcome
	id              string
	ids             []string
	roles, usages   int
	finished, ended bool
}

func (c *chatClient) event(name string, data []byte) error {
	if c.ended {
		return errors.New("something comes after [DONE]")
	}
	if string(data) == "[DONE]" {
		c.ended = true
		return nil
	}
	var a chatAnswer
	if err := json.Unmarshal(data, &a); err != nil {
		return err
	}
	switch {
	case name != "" || a.Error != nil:
		return errors.New("it has a name, or is an error")
	case a.Object != "chat.completion.chunk" || a.ID == "" || a.Created == 0 || a.Model != "smart" || c.id != "" && a.ID != c.id:
		return errors.New("a member is missing or another than before")
	case len(a.Choices) == 0:
		c.usages++
		if a.Usage == nil || !c.finished {
			return errors.New("a chunk without choices has no usage, or comes too early")
		}
		return nil
	case len(a.Choices) > 1 || a.Choices[0].Delta == nil || c.finished:
		return errors.New("the choices are not those of one answer that goes on")
	}
	c.id = a.ID
	choice := a.Choices[0]
	if c.roles == 0 && choice.Delta.Role != "assistant" {
		return errors.New("the first chunk has no role")
	}
	c.roles++
	if choice.FinishReason != nil {
		c.Finish, c.finished = *choice.FinishReason, true
	}
	return c.delta(choice.Delta)
}

func (c *chatClient) delta(d *chatMessage) error {
	if d.Content != nil {
		c.Text += *d.Content
	}
	c.Reasoning += d.Reasoning
	for _, call := range d.ToolCalls {
		switch {
		case call.Index == nil || *call.Index > len(c.Tools):
			return errors.New("the index of a call is missing or leaves one out")
		case *call.Index == len(c.Tools):
			c.Tools, c.ids = append(c.Tools, tool{}), append(c.ids, call.ID)
			if call.ID == "" || call.Function.Name == "" || call.Type != "function" {
				return errors.New("a call begins without its ID, name or type")
			}
		case call.ID != "" && call.ID != c.ids[*call.Index]:
			return errors.New("two calls have one index")
		}
		t := &c.Tools[*call.Index]
		t.Name += call.Function.Name
		t.Arguments += call.Function.Arguments
	}
	return nil
}

func (c *chatClient) end() (outcome, error) {
	switch {
	case !c.ended:
		return c.outcome, errors.New("there is no [DONE]")
	case !c.finished:
		return c.outcome, errors.New("there is no finish_reason")
	case c.usages > 1:
		return c.outcome, errors.New("the usage is told more than once")
	}
	return c.outcome, checkTools(c.Tools, c.ids)
}
