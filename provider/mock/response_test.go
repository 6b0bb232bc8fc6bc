package mock

import (
	"encoding/json"
	"strings"
	"testing"
)

const responseTools = `,"tools":[{"type":"function","name":"now","parameters":{"type":"object","properties":{}}}]`

// responseWants is a response's answer but for id, output, status and usage.
func responseWants(created, more string) string {
	return `{"id":"resp_...","object":"response","created_at":` + created + `,"background":false,"error":null,"model":"m",
		"service_tier":"default","top_logprobs":0,"metadata":{},"previous_response_id":null,"store":true,
		"reasoning":{"effort":null,"summary":null},"temperature":1,"top_p":1,"truncation":"disabled","user":null` + more + `}`
}

func TestAResponseHasEveryFieldOfOpenAIs(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"with words", `{"model":"m","input":"hi there","instructions":"be brief","max_output_tokens":4}`,
			`,"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"instructions":"be brief","max_output_tokens":4,
			"parallel_tool_calls":true,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],
			"output":[{"id":"msg_...","type":"message","status":"incomplete","role":"assistant",
				"content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"This is a simulated"}]}],
			"usage":{"input_tokens":4,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
				"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":8}`},
		{"with calls", `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"call:now({\"a\":1}) call:now"}]}],
				"parallel_tool_calls":true,"text":{"verbosity":"low"},"tool_choice":"auto"` + responseTools + `}`,
			`,"status":"completed","incomplete_details":null,"instructions":null,"max_output_tokens":null,
			"parallel_tool_calls":true,"text":{"verbosity":"low"},"tool_choice":"auto"` + responseTools + `,
			"output":[
				{"id":"fc_...","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"call_...","name":"now"},
				{"id":"fc_...","type":"function_call","status":"completed","arguments":"{}","call_id":"call_...","name":"now"}],
			"usage":{"input_tokens":2,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
				"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":6}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, got := post(t, quick(), "responses", tt.body)
			same(t, got, responseWants(number64(t, got, "created_at"), tt.want))
		})
	}
}

func TestAResponseAnswersWhatItsFunctionsReturned(t *testing.T) {
	t.Parallel()
	_, got := post(t, quick(), "responses", `{"model":"m","tool_choice":"required","input":[
		{"role":"user","content":"what time is it"},
		{"type":"function_call","call_id":"call_1","name":"now","arguments":"{}"},
		{"type":"function_call_output","call_id":"call_1","output":"12:30"}]`+responseTools+`}`)
	if !strings.Contains(string(got), `The tool returned: \"12:30\".`) {
		t.Errorf("got %s", got)
	}
}

func TestAResponseIsInTheFormatAskedFor(t *testing.T) {
	t.Parallel()
	got := ask[struct{ Output []messageItem }](t, quick(), "responses", `{"model":"m","input":"hi",
		"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object","required":["a"],"properties":{"a":{"type":"boolean"}}}}}}`)
	if text := got.Output[0].Content[0].Text; text != `{"a": true}` {
		t.Errorf("got %s", text)
	}
}

func TestAStreamedResponseHasItsEventsInOrder(t *testing.T) {
	t.Parallel()
	const message = "response.created response.in_progress response.output_item.added response.content_part.added "
	const done = "response.output_text.done response.content_part.done response.output_item.done "
	const call = "response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done response.output_item.done "
	tests := []struct{ name, body, want string }{
		{"of words", `"input":"mock:words=2"`,
			message + "response.output_text.delta response.output_text.delta " + done + "response.completed"},
		{"of words that are cut", `"input":"hi","max_output_tokens":1`,
			message + "response.output_text.delta " + done + "response.incomplete"},
		{"of calls", `"input":"call:now call:now"` + responseTools,
			"response.created response.in_progress " + call + call + "response.completed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, stream := post(t, quick(), "responses", `{"model":"m","stream":true,`+tt.body+`}`)
			var names []string
			for i, e := range events(t, stream) {
				names = append(names, e.name)
				var got struct {
					Type     string `json:"type"`
					Sequence int    `json:"sequence_number"`
				}
				if err := json.Unmarshal([]byte(e.data), &got); err != nil {
					t.Fatalf("decoding %s: %v", e.data, err)
				}
				if got.Type != e.name || got.Sequence != i {
					t.Errorf("event %d: %s", i, e.data)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTheEventsOfAStreamedResponseAreComplete(t *testing.T) {
	t.Parallel()
	_, stream := post(t, quick(), "responses", `{"model":"m","stream":true,"input":"mock:words=1"}`)
	list := events(t, stream)
	const at = `"item_id":"msg_...","output_index":0,"content_index":0`
	const text = `"type":"output_text","annotations":[],"logprobs":[]`
	want := []string{
		2: `{"type":"response.output_item.added","sequence_number":2,"output_index":0,
			"item":{"id":"msg_...","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
		3: `{"type":"response.content_part.added","sequence_number":3,` + at + `,"part":{` + text + `,"text":""}}`,
		4: `{"type":"response.output_text.delta","sequence_number":4,` + at + `,"delta":"This","logprobs":[]}`,
		5: `{"type":"response.output_text.done","sequence_number":5,` + at + `,"text":"This","logprobs":[]}`,
		6: `{"type":"response.content_part.done","sequence_number":6,` + at + `,"part":{` + text + `,"text":"This"}}`,
		7: `{"type":"response.output_item.done","sequence_number":7,"output_index":0,
			"item":{"id":"msg_...","type":"message","status":"completed","role":"assistant","content":[{` + text + `,"text":"This"}]}}`,
		8: ``,
	}
	if len(list) != len(want) {
		t.Fatalf("got %d events: %s", len(list), stream)
	}
	for i, w := range want {
		if w != "" {
			same(t, []byte(list[i].data), w)
		}
	}
	for i, e := range map[int]string{0: "in_progress", 1: "in_progress", 8: "completed"} {
		var got struct {
			Response struct {
				Status string          `json:"status"`
				Output []any           `json:"output"`
				Usage  json.RawMessage `json:"usage"`
			} `json:"response"`
		}
		if err := json.Unmarshal([]byte(list[i].data), &got); err != nil {
			t.Fatal(err)
		}
		begun := e == "in_progress"
		if r := got.Response; r.Status != e || (len(r.Output) == 0) != begun || (string(r.Usage) == "null") != begun {
			t.Errorf("event %d: %s", i, list[i].data)
		}
	}
}

func TestTheLastEventOfAStreamedResponseIsTheWholeResponse(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]string{
		"of words":    `"input":"hello “there”"`,
		"of calls":    `"input":"call:now call:now({\"a\":\"b\"})"` + responseTools,
		"of one word": `"input":"mock:words=1"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := quick()
			_, whole := post(t, p, "responses", `{"model":"m",`+fields+`}`)
			_, stream := post(t, p, "responses", `{"model":"m","stream":true,`+fields+`}`)
			list := events(t, stream)
			var last struct {
				Response map[string]any `json:"response"`
			}
			if err := json.Unmarshal([]byte(list[len(list)-1].data), &last); err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(whole, &want); err != nil {
				t.Fatal(err)
			}
			delete(last.Response, "created_at") // a second may have passed
			delete(want, "created_at")
			same(t, marshal(last.Response), string(marshal(want)))
			if said := joined(t, list, "response.output_text.delta"); said != "" && !strings.Contains(string(whole), string(marshal(said))) {
				t.Errorf("the deltas make %q, the whole is %s", said, whole)
			}
			if said := joined(t, list, "response.function_call_arguments.delta"); said != "" && said != `{}{"a":"b"}` {
				t.Errorf("the deltas make %q", said)
			}
		})
	}
}

// joined is the deltas of all events of that name.
func joined(t *testing.T, list []event, name string) (text string) {
	t.Helper()
	for _, e := range list {
		if e.name == name {
			var got struct {
				Delta string `json:"delta"`
			}
			if err := json.Unmarshal([]byte(e.data), &got); err != nil {
				t.Fatal(err)
			}
			text += got.Delta
		}
	}
	return text
}
