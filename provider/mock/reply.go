package mock

import "strings"

// reply is what is said to one prompt: a text, or calls of tools.
type reply struct {
	text   string
	calls  []toolCall
	finish string // stop, length or tool_calls
	tokens int
}

// replies makes up the replies to q, each of so many words.
func (q *prompt) replies(words int) ([]reply, error) {
	replies := make([]reply, 0, len(q.asked)*q.n)
	for _, asked := range q.asked {
		for range q.n {
			r := q.random(len(replies))
			calls, err := q.toolCalls(r)
			if err != nil {
				return nil, err
			}
			if len(calls) > 0 {
				replies = append(replies, callReply(calls))
				continue
			}
			text, err := q.document(q.speech(asked, words, r), r)
			if err != nil {
				return nil, err
			}
			replies = append(replies, q.textReply(text))
		}
	}
	return replies, nil
}

// speech is an answer to asked, or to what the tools said, of so many words.
func (q *prompt) speech(asked string, words int, r *random) string {
	w := writer{left: words}
	w.words("This is a simulated answer from " + q.model + " (Runestone's mock provider).")
	said, quoted := "You said: ", quote(asked)
	if len(q.heard) > 0 {
		said, quoted = "The tool returned: ", quote(strings.Join(q.heard, "; "))
	}
	if quoted != "" {
		w.words(said + quoted + ".")
	}
	w.sentences(r)
	return w.String()
}

// document puts text in the format that was asked for.
func (q *prompt) document(text string, r *random) (string, error) {
	switch q.format.Type {
	case "", "text":
		return text, nil
	case "json_object":
		return `{"reply": ` + string(appendQuoted(nil, text)) + `}`, nil
	case "json_schema":
		schema := q.format.Schema
		if schema == nil {
			schema = q.format.JSONSchema.Schema
		}
		if schema == nil {
			return "", refuse("response_format", "Missing required parameter: the format's schema.")
		}
		return sample(schema, r), nil
	}
	return "", refuse("response_format", "Invalid format '%s': use text, json_object or json_schema.", q.format.Type)
}

// textReply cuts text where q wants it to end.
func (q *prompt) textReply(text string) reply {
	for _, stop := range q.stop {
		if stop == "" {
			continue // it is found everywhere
		}
		text, _, _ = strings.Cut(text, stop)
	}
	finish := "stop"
	if q.limit != nil {
		var more bool
		if text, more = firstWords(text, *q.limit); more {
			finish = "length"
		}
	}
	return reply{text: text, finish: finish, tokens: countWords(text)}
}

func callReply(calls []toolCall) reply {
	rep := reply{calls: calls, finish: "tool_calls"}
	for _, c := range calls {
		rep.tokens += 1 + len(c.pieces)
	}
	return rep
}

// totalTokens is how many tokens were spoken, longest how many by the reply
// that took the longest: replies are spoken side by side.
func totalTokens(replies []reply) (total, longest int) {
	for _, r := range replies {
		total += r.tokens
		longest = max(longest, r.tokens)
	}
	return total, longest
}

// checkCounts refuses a call for no reply, or for one of no words.
func (q *prompt) checkCounts(limitParam string) error {
	const most = 128
	if q.n < 1 || q.n > most {
		return refuse("n", "Invalid 'n': %d is out of range; expected 1 to %d.", q.n, most)
	}
	if q.limit != nil && *q.limit < 1 {
		return refuse(limitParam, "Invalid '%s': %d is below the minimum of 1.", limitParam, *q.limit)
	}
	return nil
}
