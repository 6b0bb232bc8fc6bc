package dialect

import (
	"fmt"
	"strconv"
	"strings"
)

// same and numbered are items for [listed]: %d is the item's number.
func same(item string) func(int) string { return func(int) string { return item } }

func numbered(item string) func(int) string {
	return func(i int) string { return strings.ReplaceAll(item, "%d", strconv.Itoa(i)) }
}

// backwards is numbered from n-1 down.
func backwards(n int, item string) func(int) string {
	return func(i int) string { return numbered(item)(n - 1 - i) }
}

var longText = strings.Repeat("a", 400)

func said(messages string) string { return `{"model":"m","max_tokens":5,"messages":[` + messages + `]` }

// withSchema is a request of chat completions whose tool has a schema.
func withSchema(schema string) string {
	return said(`{"role":"user","content":"a"}`) + `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":` + schema + `}}]}`
}

const (
	chatUser     = `{"role":"user","content":"a"}`
	chatCall     = `{"id":"c%d","type":"function","function":{"name":"f%d","arguments":"{}"}}`
	chatResult   = `{"role":"tool","tool_call_id":"c%d","content":"r"}`
	messagesCall = `{"type":"tool_use","id":"c%d","name":"f","input":{}}`
	openCalls    = `{"type":"function_call","call_id":"c%d","name":"f","arguments":"{}"}`
	openResult   = `{"type":"function_call_output","call_id":"c%d","output":"r"}`
)

func chatCalls(n int, more string) string {
	return chatUser + `,{"role":"assistant","tool_calls":[` + listed(n, numbered(chatCall)) + `]},` + more
}

func inputs(items string) string { return `{"model":"m","input":[` + items + `]}` }

// linearRequests are requests with n of something.
var linearRequests = []struct {
	name   string
	from   API
	to     API // "" for all
	quirks Quirks
	body   func(n int) string
}{
	{"unknown members", Chat, "", Quirks{}, func(n int) string { return said(chatUser) + `,` + listed(n, numbered(`"k%d":1`)) + `}` }},
	{"unknown members", Messages, "", Quirks{}, func(n int) string { return said(chatUser) + `,` + listed(n, numbered(`"k%d":1`)) + `}` }},
	{"unknown members", Responses, "", Quirks{}, func(n int) string { return `{"model":"m","input":"a",` + listed(n, numbered(`"k%d":1`)) + `}` }},
	{"unknown members", Embeddings, "", Quirks{}, func(n int) string { return `{"model":"m","input":"a",` + listed(n, numbered(`"k%d":1`)) + `}` }},
	{"the same unknown member", Chat, "", Quirks{}, func(n int) string { return said(chatUser) + `,` + listed(n, same(`"k":1`)) + `}` }},
	{"calls and results", Chat, "", Quirks{}, func(n int) string { return said(chatCalls(n, listed(n, numbered(chatResult)))) + `}` }},
	{"calls and results backwards", Chat, "", Quirks{}, func(n int) string { return said(chatCalls(n, listed(n, backwards(n, chatResult)))) + `}` }},
	{"calls with one ID", Chat, "", Quirks{}, func(n int) string {
		call := strings.ReplaceAll(chatCall, "%d", "")
		return said(`{"role":"assistant","tool_calls":[`+listed(n, same(call))+`]},`+listed(n, same(strings.ReplaceAll(chatResult, "%d", "")))) + `}`
	}},
	{"many calls before turns with one", Chat, "", Quirks{}, func(n int) string {
		return said(chatCalls(n, listed(n, numbered(chatUser+`,{"role":"assistant","tool_calls":[`+chatCall+`]},`+chatResult)))) + `}`
	}},
	{"results of no calls", Chat, "", Quirks{}, func(n int) string {
		return said(chatCalls(n, listed(n, numbered(strings.ReplaceAll(chatResult, "c%d", "x%d"))))) + `}`
	}},
	{"tools", Chat, "", Quirks{}, func(n int) string {
		return said(chatUser) + `,"tools":[` + listed(n, numbered(`{"type":"function","function":{"name":"f%d","parameters":{"type":"object","properties":{"a":{}}}}}`)) + `]}`
	}},
	{"allowed tools", Chat, "", Quirks{}, func(n int) string {
		return said(chatUser) + `,"tools":[` + listed(n, numbered(`{"type":"function","function":{"name":"f%d"}}`)) +
			`],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[` + listed(n, backwards(n, `{"type":"function","function":{"name":"f%d"}}`)) + `]}}}`
	}},
	{"system messages amid others", Chat, "", Quirks{}, func(n int) string { return said(chatUser+`,`+listed(n, same(`{"role":"system","content":"a"}`))) + `}` }},
	{"turns", Chat, "", Quirks{}, func(n int) string { return said(listed(n, same(chatUser+`,{"role":"assistant","content":"a"}`))) + `}` }},
	{"properties that are required", Chat, "", Quirks{}, func(n int) string {
		return withSchema(`{"type":"object","properties":{` + listed(n, numbered(`"p%d":{}`)) + `},"required":[` + listed(n, backwards(n, `"p%d"`)) + `]}`)
	}},
	{"schemas in all of which there is a property", Chat, "", Quirks{}, func(n int) string {
		return withSchema(`{"allOf":[` + listed(n, numbered(`{"properties":{"p%d":{}}}`)) + `,` + listed(n, numbered(`{"properties":{"p%d":{}}}`)) + `]}`)
	}},
	{"types", Chat, "", Quirks{}, func(n int) string {
		return withSchema(`{"type":[` + listed(n, numbered(`"t%d"`)) + `],"description":"` + strings.Repeat(longText, n/100) + `"}`)
	}},
	{"a schema that is deep and long", Chat, Messages, Quirks{}, func(n int) string { // deeper the longer it is
		deep := min(n/20, 48)
		return withSchema(strings.Repeat(`{"type":"object","properties":{"a":`, deep) + `{"enum":[` + listed(n, same(`1`)) + `]}` + strings.Repeat(`}}`, deep))
	}},
	{"system messages amid others", Messages, "", Quirks{}, func(n int) string { return said(chatUser+`,`+listed(n, same(`{"role":"system","content":"a"}`))) + `}` }},
	{"messages that are merged", Messages, "", Quirks{Alternate: true}, func(n int) string { return said(chatUser+`,`+listed(n, same(`{"role":"system","content":"a"}`))) + `}` }},
	{"refusals that are merged", Responses, "", Quirks{Alternate: true}, func(n int) string {
		return inputs(listed(n, same(`{"role":"assistant","content":[{"type":"refusal","refusal":"`+longText+`"}]}`)))
	}},
	{"calls and results backwards", Messages, "", Quirks{}, func(n int) string {
		return said(chatUser+`,{"role":"assistant","content":[`+listed(n, numbered(messagesCall))+`]},{"role":"user","content":[`+
			listed(n, backwards(n, `{"type":"tool_result","tool_use_id":"c%d","content":"r"}`))+`]}`) + `}`
	}},
	{"thinking that is sent back", Messages, "", Quirks{ReasoningBack: true}, func(n int) string {
		return said(chatUser+`,{"role":"assistant","content":[`+listed(n, same(`{"type":"thinking","thinking":"`+longText+`","signature":"s"}`))+`,`+
			`{"type":"tool_use","id":"c","name":"f","input":{}}]}`) + `}`
	}},
	{"documents in documents", Messages, "", Quirks{}, func(n int) string { // deeper the longer they are
		deep := min(n/20, 48)
		return said(`{"role":"user","content":[`+strings.Repeat(`{"type":"document","source":{"type":"content","content":[`, deep)+
			listed(n, same(`{"type":"text","text":"a"}`))+strings.Repeat(`]}}`, deep)+`]}`) + `}`
	}},
	{"calls and results backwards", Responses, "", Quirks{}, func(n int) string {
		return inputs(listed(n, numbered(openCalls)) + `,` + listed(n, backwards(n, openResult)))
	}},
	{"calls with what is said between and results backwards", Responses, "", Quirks{}, func(n int) string {
		return inputs(listed(n, numbered(openCalls+`,`+chatUser)) + `,` + listed(n, backwards(n, openResult)))
	}},
	{"calls with what is said before their results", Responses, "", Quirks{}, func(n int) string {
		return inputs(listed(n, numbered(openCalls)) + `,` + listed(n, same(chatUser)) + `,` + listed(n, numbered(openResult)))
	}},
	{"reasoning", Responses, "", Quirks{}, func(n int) string {
		return inputs(chatUser + `,` + listed(n, same(`{"type":"reasoning","summary":[{"type":"summary_text","text":"`+longText+`"}]}`)) +
			`,{"role":"assistant","content":"a"}`)
	}},
	{"refusals", Responses, "", Quirks{}, func(n int) string {
		return inputs(`{"role":"assistant","content":[` + listed(n, same(`{"type":"refusal","refusal":"`+longText+`"}`)) + `]}`)
	}},
	{"tools in a namespace that is described", Responses, "", Quirks{}, func(n int) string {
		return `{"model":"m","input":"a","tools":[{"type":"namespace","name":"n","description":"` + strings.Repeat("a", 100*n) + `","tools":[` +
			listed(n, numbered(`{"type":"function","name":"f%d"}`)) + `]}]}`
	}},
	{"searches of the web", Responses, "", Quirks{}, func(n int) string { return inputs(chatUser + `,` + listed(n, same(`{"type":"web_search_call"}`))) }},
}

// events returns the events of a stream.
func events(all ...string) string {
	var b strings.Builder
	for _, data := range all {
		b.WriteString("data: " + data + "\n\n")
	}
	return b.String()
}

// eachEvent returns n events after those that begin the stream.
func eachEvent(n int, begin string, data func(i int) string) string {
	var b strings.Builder
	b.WriteString(begin)
	for i := range n {
		b.WriteString("data: " + data(i) + "\n\n")
	}
	return b.String()
}

func choice(message string) string {
	return `{"id":"x","choices":[{"index":0,"message":{` + message + `},"finish_reason":"stop"}]}`
}

func chatDelta(text string) string {
	return `{"id":"x","choices":[{"index":0,"delta":{` + text + `}}]}`
}

func content(blocks string) string {
	return `{"id":"x","type":"message","content":[` + blocks + `],"stop_reason":"end_turn"}`
}

func candidate(parts, more string) string {
	return `{"candidates":[{"content":{"parts":[` + parts + `]},"finishReason":"STOP"` + more + `}]}`
}

var messageStart = events(`{"type":"message_start","message":{"id":"x"}}`)

// linearAnswers are answers with n of something.
var linearAnswers = []struct {
	name   string
	to     API
	stream bool
	body   func(n int) string
}{
	{"calls", Chat, false, func(n int) string { return choice(`"tool_calls":[` + listed(n, numbered(chatCall)) + `]`) }},
	{"parts", Chat, false, func(n int) string {
		return choice(`"content":[` + listed(n, same(`{"type":"text","text":"`+longText+`"},{"type":"thinking","thinking":[{"text":"`+longText+`"}]}`)) + `]`)
	}},
	{"usage in usage", Chat, false, func(n int) string {
		deep := min(n/20, 48)
		return `{"choices":[],"usage":` + strings.Repeat(`{"type":"message","iterations":[`, deep) + listed(n, same(`{}`)) + strings.Repeat(`]}`, deep) + `}`
	}},
	{"calls with events in turn", Chat, true, func(n int) string {
		return eachEvent(n, "", func(i int) string {
			return chatDelta(fmt.Sprintf(`"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{}"}}]`, i%100, i%100))
		})
	}},
	{"arguments that do not begin", Chat, true, func(n int) string {
		return eachEvent(n, events(chatDelta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]`)), func(int) string {
			return chatDelta(`"tool_calls":[{"index":0,"function":{"arguments":"` + strings.Repeat(" ", 400) + `"}}]`)
		})
	}},
	{"blocks", Messages, false, func(n int) string { return content(listed(n, numbered(messagesCall))) }},
	{"blocks that cite", Messages, false, func(n int) string {
		return content(listed(n, same(`{"type":"text","text":"`+longText+`","citations":[{"url":"u"}]}`)))
	}},
	{"blocks that do not end", Messages, true, func(n int) string {
		return eachEvent(n, messageStart, func(i int) string {
			return fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":"c%d","name":"f","input":{}}}`, i, i)
		})
	}},
	{"signatures", Messages, true, func(n int) string {
		return eachEvent(n, messageStart+events(`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"`+strings.Repeat(longText, n/100)+`"}}`),
			same(`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}`))
	}},
	{"parts", Gemini, false, func(n int) string {
		return candidate(listed(n, same(`{"text":"`+longText+`"},{"text":"`+longText+`","thought":true}`)), "")
	}},
	{"citations back and forth", Gemini, false, func(n int) string {
		text := strings.Repeat(longText, n/10)
		return candidate(`{"text":"`+text+`"}`, `,"groundingMetadata":{"groundingChunks":[{"web":{"uri":"u"}}],"groundingSupports":[`+
			listed(min(n/10, 1000), same(`{"segment":{"startIndex":`+strconv.Itoa(len(text))+`,"endIndex":1},"groundingChunkIndices":[0]}`))+`]}`)
	}},
	{"parts", Gemini, true, func(n int) string {
		return eachEvent(n, "", same(`{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`))
	}},
}
