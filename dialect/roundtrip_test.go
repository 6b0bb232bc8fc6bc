package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// requests makes requests of what both dialects can express.
type requests struct {
	*rand.Rand
	calls int
}

func (r *requests) maybe() bool { return r.IntN(2) == 0 }

func (r *requests) pick(of ...string) string { return of[r.IntN(len(of))] }

// text returns a string of JSON, with what is easily damaged in it.
func (r *requests) text() string {
	return `"` + r.pick("a", "Grüß", `\u2028`, "\u2029", `\"`, `\\n`, `\n`, "<b>&", `\ud83c\udf0d`, "🌍", `\/`) + r.pick("", " b", " ", `\t`) + `."`
}

// object returns an object whose numbers and order are easily damaged.
func (r *requests) object(depth int) string {
	var members []string
	for i := range r.IntN(4) {
		members = append(members, fmt.Sprintf(`"%s%d":%s`, r.pick("b", "a", "é", `\u00e9`, "$ref"), i, r.value(depth)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (r *requests) value(depth int) string {
	if depth > 0 && r.maybe() {
		return r.pick(r.object(depth-1), "["+r.object(depth-1)+","+r.value(0)+"]")
	}
	return r.pick("12345678901234567890", "1.10", "-0.0", "1e400", "1E-7", "true", "null", `""`, r.text())
}

func (r *requests) schema() string {
	return r.pick(
		`{"type":"object","properties":{"b":{"type":"integer","enum":[12345678901234567890,1.10]},"a":{"$ref":"#/$defs/x"}},"required":["b","a"],"additionalProperties":false,"$defs":{"x":{"type":["string","null"]}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"z":{"anyOf":[{"type":"string"},{"type":"null"}]}},"type":"object","additionalProperties":false}`)
}

const (
	pngData = `"iVBORw0KGgo="`
	pdfData = `"JVBERi0xLjQ="`
)

// join joins what is not empty.
func join(separator string, of ...string) string {
	return strings.Join(slices.DeleteFunc(of, func(s string) bool { return s == "" }), separator)
}

// call returns the ID and the arguments of a new call.
func (r *requests) call() (id, arguments string) {
	r.calls++
	return fmt.Sprintf("%s_%d", r.pick("call", "toolu"), r.calls), r.object(2)
}

// chat is a request of chat completions.
func (r *requests) chat() string {
	part := func() string {
		return r.pick(`{"type":"text","text":`+r.text()+`}`, `{"type":"image_url","image_url":{"url":"data:image/png;base64,`+pngData[1:]+`}}`,
			`{"type":"image_url","image_url":{"url":"https://example.com/a.png?b=c&d"}}`,
			`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,`+pdfData[1:]+`}}`)
	}
	var messages []string
	if r.maybe() {
		messages = append(messages, `{"role":"`+r.pick("system", "developer")+`","content":`+r.text()+`}`)
	}
	tools := r.maybe()
	for range 1 + r.IntN(3) {
		messages = append(messages, `{"role":"user","content":`+r.pick(r.text(), `[`+part()+`]`, `[`+part()+`,`+part()+`]`)+`}`)
		if !tools || r.maybe() {
			messages = append(messages, `{"role":"assistant","content":`+r.text()+`}`)
			continue
		}
		var calls, results []string
		for range 1 + r.IntN(3) {
			id, arguments := r.call()
			calls = append(calls, `{"id":"`+id+`","type":"function","function":{"name":"f","arguments":`+Quote(arguments)+`}}`)
			results = append(results, `{"role":"tool","tool_call_id":"`+id+`","content":`+r.text()+`}`)
		}
		r.Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
		messages = append(messages, `{"role":"assistant","content":`+r.pick("null", r.text())+`,"tool_calls":[`+strings.Join(calls, ",")+`]}`)
		messages = append(messages, results...)
	}
	messages = append(messages, `{"role":"user","content":"so?"}`)
	rest := []string{`"model":"x"`, `"messages":[` + strings.Join(messages, ",") + `]`, `"max_completion_tokens":` + r.pick("1", "100000")}
	if tools {
		rest = append(rest, `"tools":[{"type":"function","function":{"name":"f","description":`+r.text()+`,"parameters":`+r.schema()+`}},{"type":"function","function":{"name":"g","parameters":`+r.schema()+`,"strict":true}}]`,
			r.pick("", `"tool_choice":"auto"`, `"tool_choice":"none"`, `"tool_choice":"required"`, `"tool_choice":{"type":"function","function":{"name":"g"}}`))
		if !strings.Contains(rest[len(rest)-1], "none") && rest[len(rest)-1] != "" {
			rest = append(rest, r.pick("", `"parallel_tool_calls":false`))
		}
	} else {
		rest = append(rest, r.pick("", `"reasoning_effort":"`+r.pick("low", "medium", "high", "max")+`"`))
	}
	if !strings.Contains(strings.Join(rest[3:], ""), "reasoning_effort") {
		rest = append(rest, r.pick("", `"temperature":0.70`, `"top_p":9e-1`))
	}
	rest = append(rest, r.pick("", `"stop":["a\n","b"]`), r.pick("", `"stream":true,"stream_options":{"include_usage":true}`), r.pick("", `"user":"user_1"`),
		r.pick("", `"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":`+r.schema()+`,"strict":true}}`), r.pick("", `"service_tier":"auto"`, `"service_tier":"default"`))
	r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return "{" + join(",", rest...) + "}"
}

// messages is a request of Anthropic's messages.
func (r *requests) messages() string {
	cache := func() string { return r.pick("", "", `,"cache_control":{"type":"ephemeral","ttl":"1h"}`) }
	block := func() string {
		return r.pick(`{"type":"text","text":`+r.text()+cache()+`}`, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":`+pngData+`}`+cache()+`}`,
			`{"type":"image","source":{"type":"url","url":"https://example.com/a.png?b=c&d"}}`,
			`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":`+pdfData+`},"title":"a.pdf"`+cache()+`}`,
			`{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}`)
	}
	tools, thinks := r.maybe(), r.maybe()
	var messages []string
	for range 1 + r.IntN(3) {
		messages = append(messages, `{"role":"user","content":`+r.pick(r.text(), `[`+block()+`]`, `[`+block()+`,`+block()+`]`)+`}`)
		thought := ""
		if thinks {
			thought = r.pick(`{"type":"thinking","thinking":`+r.text()+`,"signature":"c2ln"},`, `{"type":"redacted_thinking","data":"xyz="},`)
		}
		if !tools || r.maybe() {
			messages = append(messages, `{"role":"assistant","content":[`+thought+`{"type":"text","text":`+r.text()+`}]}`)
			continue
		}
		var calls, results []string
		for range 1 + r.IntN(3) {
			id, arguments := r.call()
			calls = append(calls, `{"type":"tool_use","id":"`+id+`","name":"f","input":`+arguments+`}`)
			results = append(results, `{"type":"tool_result","tool_use_id":"`+id+`","content":`+r.pick(r.text(), `[]`, `[`+block()+`]`, `[{"type":"text","text":"b"},`+block()+`]`)+cache()+`}`)
		}
		r.Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
		messages = append(messages, `{"role":"assistant","content":[`+thought+strings.Join(calls, ",")+`]}`, `{"role":"user","content":[`+strings.Join(results, ",")+`]}`)
	}
	messages = append(messages, `{"role":"user","content":"so?"}`)
	rest := []string{`"model":"x"`, `"messages":[` + strings.Join(messages, ",") + `]`, `"max_tokens":` + r.pick("2000", "100000"),
		r.pick("", `"system":`+r.text(), `"system":[{"type":"text","text":`+r.text()+cache()+`},{"type":"text","text":`+r.text()+`}]`)}
	if tools {
		rest = append(rest, `"tools":[{"name":"f","description":`+r.text()+`,"input_schema":`+r.schema()+cache()+`},{"name":"g","input_schema":`+r.schema()+`,"strict":true}]`,
			r.pick("", `"tool_choice":{"type":"auto"}`, `"tool_choice":{"type":"none"}`, `"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`))
	}
	if thinks {
		rest = append(rest, `"thinking":`+r.pick(`{"type":"enabled","budget_tokens":1024}`, `{"type":"adaptive","display":"omitted"}`))
	} else {
		rest = append(rest, r.pick("", `"temperature":0.70`, `"top_p":9e-1`), r.pick("", `"top_k":40`), r.pick("", `"thinking":{"type":"disabled"}`))
	}
	rest = append(rest, r.pick("", `"stop_sequences":["a\n","b"]`), r.pick("", `"stream":true`), r.pick("", `"metadata":{"user_id":"user_1"}`),
		r.pick("", `"output_config":{"format":{"type":"json_schema","schema":`+r.schema()+`}}`), r.pick("", `"service_tier":"auto"`, `"service_tier":"standard_only"`))
	r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return "{" + join(",", rest...) + "}"
}

// verbatim are the members whose bytes must stay, up to the space between tokens.
var verbatim = map[string]bool{"input": true, "input_schema": true, "parameters": true, "schema": true, "arguments": true}

// canonical returns a request in one form of those that mean the same: text is an array of parts, what one side says is
// one message, and members are in the order of their names but where the order is the user's.
func canonical(t testing.TB, body []byte) string {
	t.Helper()
	var root map[string]json.RawMessage
	if err := json.Unmarshal(body, &root); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	delete(root, "model")
	for from, to := range map[string]string{"max_tokens": "limit", "max_completion_tokens": "limit"} {
		if v, ok := root[from]; ok {
			root[to] = v
			delete(root, from)
		}
	}
	if system, ok := root["system"]; ok {
		root["system"] = asParts(system)
	}
	var messages []map[string]json.RawMessage
	var merged []map[string]json.RawMessage
	_ = json.Unmarshal(root["messages"], &messages)
	for _, m := range messages {
		if string(m["role"]) == `"developer"` {
			m["role"] = json.RawMessage(`"system"`)
		}
		m["content"] = asParts(m["content"])
		if n := len(merged); n > 0 && string(m["role"]) != `"tool"` && string(merged[n-1]["role"]) == string(m["role"]) && m["tool_calls"] == nil {
			merged[n-1]["content"] = joinArrays(merged[n-1]["content"], m["content"])
			continue
		}
		merged = append(merged, m)
	}
	root["messages"], _ = json.Marshal(merged)
	return inOrder(root)
}

func asParts(content json.RawMessage) json.RawMessage {
	switch {
	case isNull(content), string(content) == `""`:
		return json.RawMessage("[]")
	case content[0] == '"':
		return json.RawMessage(`[{"type":"text","text":` + string(content) + `}]`)
	}
	return content
}

func joinArrays(a, b json.RawMessage) json.RawMessage {
	inner := join(",", string(a[1:len(a)-1]), string(b[1:len(b)-1]))
	return json.RawMessage("[" + inner + "]")
}

// inOrder writes members in the order of their names.
func inOrder(members map[string]json.RawMessage) string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		value := members[name]
		var inner map[string]json.RawMessage
		var list []json.RawMessage
		b.WriteString("\n" + name + "=")
		switch {
		case value[0] == '"' && name == "arguments": // of which the quotes are no part
			b.Write(compact(unquoted(value)))
		case value[0] == '"':
			b.WriteString(Quote(string(unquoted(value))))
		case verbatim[name] || value[0] != '{' && value[0] != '[':
			var c bytes.Buffer
			_ = json.Compact(&c, value)
			b.Write(c.Bytes())
		case value[0] == '{':
			_ = json.Unmarshal(value, &inner)
			b.WriteString("{" + inOrder(inner) + "}")
		default:
			_ = json.Unmarshal(value, &list)
			for _, element := range list {
				if inner = nil; json.Unmarshal(element, &inner) == nil && inner != nil {
					if content, ok := inner["content"]; ok {
						inner["content"] = asParts(content)
					}
					b.WriteString("[" + inOrder(inner) + "]")
				} else {
					b.Write(element)
				}
			}
		}
	}
	return b.String()
}

// TestRequestsThereAndBack is that what both dialects can express is kept: each number as it was written, and in its
// order.
func TestRequestsThereAndBack(t *testing.T) {
	t.Parallel()
	there := &Target{Model: "claude-opus-4-6", Shown: "smart"}
	between := &Target{Model: "gpt-5", Shown: "smart", Between: true}
	for seed := range uint64(120) {
		r := &requests{Rand: rand.New(rand.NewPCG(seed, 5))}
		for _, way := range []struct {
			name          string
			body          string
			first, second API
			targets       [2]*Target
		}{
			{"OpenAI, Anthropic, OpenAI", r.chat(), Chat, Messages, [2]*Target{there, between}},
			{"Anthropic, OpenAI, Anthropic", r.messages(), Messages, Chat, [2]*Target{between, there}},
		} {
			middle, err := Translate(way.first, way.second, []byte(way.body), way.targets[0])
			if err != nil {
				t.Fatalf("%s, seed %d: %v\n%s", way.name, seed, err, way.body)
			}
			back, err := Translate(way.second, way.first, middle.Body, way.targets[1])
			if err != nil {
				t.Fatalf("%s, seed %d: %v\n%s\n%s", way.name, seed, err, way.body, middle.Body)
			}
			if adjusted := slices.Concat(middle.Adjusted, back.Adjusted); len(adjusted) > 0 {
				t.Errorf("%s, seed %d: adjusted %q", way.name, seed, adjusted)
			}
			body := back.Body
			if way.first == Chat { // what adaptive thinking is between
				body = bytes.Replace(body, []byte(`,"thinking":{"type":"adaptive"}`), nil, 1)
			}
			got, want := canonical(t, body), canonical(t, []byte(way.body))
			if got != want {
				g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
				i := 0
				for i < min(len(g), len(w)) && g[i] == w[i] {
					i++
				}
				t.Fatalf("%s, seed %d, line %d:\ngot  %q\nwant %q\n\nfrom %s\nvia  %s\nto   %s", way.name, seed, i, g[i:min(i+3, len(g))], w[i:min(i+3, len(w))], way.body, middle.Body, back.Body)
			}
		}
	}
}
