package mock

// outputItem is one item of a response's output: a message, or the call of a
// function.
type outputItem struct {
	id   string
	text string
	call *toolCall // nil for a message
}

func outputItems(q *prompt, r reply) (items []outputItem) {
	ids := q.random(idOfAnswer - 1)
	if r.calls == nil {
		return []outputItem{{id: ids.id("msg_", 48), text: r.text}}
	}
	for i := range r.calls {
		items = append(items, outputItem{id: ids.id("fc_", 48), call: &r.calls[i]})
	}
	return items
}

type messageItem struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string     `json:"type"`
	Annotations []struct{} `json:"annotations"`
	Logprobs    []struct{} `json:"logprobs"`
	Text        string     `json:"text"`
}

type functionItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Arguments string `json:"arguments"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
}

func newOutputText(text string) outputText {
	return outputText{Type: "output_text", Annotations: []struct{}{}, Logprobs: []struct{}{}, Text: text}
}

// object is the item as it is with that status: with nothing said while it is
// in progress, and whole afterwards.
func (it outputItem) object(status string) any {
	begun := status == "in_progress"
	if it.call != nil {
		item := functionItem{ID: it.id, Type: "function_call", Status: status, CallID: it.call.id, Name: it.call.name}
		if !begun {
			item.Arguments = it.call.arguments
		}
		return item
	}
	item := messageItem{ID: it.id, Type: "message", Status: status, Role: "assistant", Content: []outputText{}}
	if !begun {
		item.Content = append(item.Content, newOutputText(it.text))
	}
	return item
}
