package dialect

import (
	"encoding/json"
	"strings"
	"testing"
)

// claudeTurn is what Claude says with thinking between its parts, and order what it comes to.
const (
	thoughtA, thoughtB, thoughtC = `{"type":"thinking","thinking":"A","signature":"S1"}`, `{"type":"thinking","thinking":"B","signature":"S2"}`, `{"type":"redacted_thinking","data":"C"}`
	useT1, useT2                 = `{"type":"tool_use","id":"t1","name":"f","input":{}}`, `{"type":"tool_use","id":"t2","name":"f","input":{}}`
	saysPre, saysMid             = `{"type":"text","text":"pre"}`, `{"type":"text","text":"mid"}`
)

// claudeTurns are turns of Claude's, as their blocks follow each other.
var claudeTurns = map[string][]string{
	"thinking between all":           {thoughtA, saysPre, thoughtB, useT1, thoughtC, useT2},
	"thinking after a call":          {thoughtA, useT1, thoughtB, useT2},
	"text and thinking after a call": {useT1, thoughtB, saysMid, useT2},
	"thinking after a text":          {saysPre, thoughtA, useT1},
	"in one order":                   {thoughtA, thoughtC, saysPre, useT1, useT2},
}

// sentBack returns the assistant's blocks of the request to Claude that follows an answer of items.
func sentBack(t *testing.T, items []json.RawMessage) string {
	t.Helper()
	var b strings.Builder
	results := ""
	for _, item := range items {
		b.WriteString("," + string(item))
		var call struct {
			ID string `json:"call_id"`
		}
		if _ = json.Unmarshal(item, &call); call.ID != "" {
			results += `,{"type":"function_call_output","call_id":"` + call.ID + `","output":"1"}`
		}
	}
	x, err := Translate(Responses, Messages, []byte(`{"model":"m","tools":[{"type":"function","name":"f"}],"input":[{"role":"user","content":"hi"}`+b.String()+results+`]}`), &Target{Model: "claude-opus-4-7"})
	if err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Messages []struct{ Content []json.RawMessage }
	}
	if err := json.Unmarshal(x.Body, &sent); err != nil || len(sent.Messages) != 3 {
		t.Fatalf("%v: %s", err, x.Body)
	}
	var blocks []string
	for _, block := range sent.Messages[1].Content {
		blocks = append(blocks, string(block))
	}
	return strings.Join(blocks, ",")
}

// What Claude has signed is signed with what came before it, so that it must come back in its place.
func TestThinkingKeepsItsPlaceInResponses(t *testing.T) {
	t.Parallel()
	for name, blocks := range claudeTurns {
		want := strings.Join(blocks, ",")
		ask := func() Answers {
			x, err := Translate(Responses, Messages, []byte(`{"model":"m","input":"hi","tools":[{"type":"function","name":"f"}]}`), &Target{Model: "claude-opus-4-7"})
			if err != nil {
				t.Fatal(err)
			}
			return x.Answers
		}
		whole, err := ask().Whole(nil, []byte(`{"type":"message","id":"msg_1","content":[`+want+`],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}`))
		var answer struct{ Output []json.RawMessage }
		if err != nil || json.Unmarshal(whole, &answer) != nil {
			t.Fatalf("%v: %s", err, whole)
		}
		if got := sentBack(t, answer.Output); got != want {
			t.Errorf("%s: a whole answer comes back as\n %s, want\n %s", name, got, want)
		}

		var stream strings.Builder
		stream.WriteString(started(`{}`))
		for i, block := range blocks {
			stream.WriteString(blockBegins(i, block[1:len(block)-1]) + blockEnds(i))
		}
		out, err := translateStream(ask(), stream.String()+ends("tool_use", `{}`))
		_, last, _ := strings.Cut(string(out), "event: response.completed\ndata: ")
		var done struct {
			Response struct{ Output []json.RawMessage }
		}
		if err != nil || json.Unmarshal([]byte(last), &done) != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := sentBack(t, done.Response.Output); got != want {
			t.Errorf("%s: a stream comes back as\n %s, want\n %s", name, got, want)
		}
	}
}

// The result of a call stands with the others, after the turn of the assistant that calls, however late it comes.
func TestResultsOfSplitTurns(t *testing.T) {
	t.Parallel()
	const thought, call1, call2, out1, out2 = `{"type":"reasoning","summary":[],"encrypted_content":"CARRIED"}`, `{"type":"function_call","call_id":"t1","name":"f","arguments":"{}"}`,
		`{"type":"function_call","call_id":"t2","name":"f","arguments":"{}"}`, `{"type":"function_call_output","call_id":"t1","output":"1"}`, `{"type":"function_call_output","call_id":"t2","output":"2"}`
	const says = `{"type":"message","role":"assistant","content":"mid"}`
	const result1, result2 = `{"type":"tool_result","tool_use_id":"t1","content":"1"}`, `{"type":"tool_result","tool_use_id":"t2","content":"2"}`
	turns := func(assistant, user string, more ...string) string {
		return `[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[` + assistant + `]},{"role":"user","content":[` + user + `]}` + strings.Join(more, "") + `]`
	}
	for name, test := range map[string]struct {
		items []string
		want  string
	}{
		"in their order":              {[]string{call1, thought, call2, out1, out2}, turns(useT1+","+thoughtB+","+useT2, result1+","+result2)},
		"in another":                  {[]string{call1, thought, call2, out2, out1}, turns(useT1+","+thoughtB+","+useT2, result2+","+result1)},
		"one with the user between":   {[]string{call1, thought, call2, out2, `{"role":"user","content":"so"}`, out1}, turns(useT1+","+thoughtB+","+useT2, result2+","+result1+`,{"type":"text","text":"so"}`)},
		"one after the next turn":     {[]string{call1, call2, out2, says, out1}, turns(useT1+","+useT2, result2+","+result1, `,{"role":"assistant","content":[`+saysMid+`]}`)},
		"each of two calls in a turn": {[]string{call1, out1, thought, call2, out2}, turns(useT1, result1, `,{"role":"assistant","content":[`+thoughtB+","+useT2+`]},{"role":"user","content":[`+result2+`]}`)},
	} {
		input := strings.ReplaceAll(strings.Join(test.items, ","), "CARRIED", carrier([]json.RawMessage{json.RawMessage(thoughtB)}))
		x, err := Translate(Responses, Messages, []byte(`{"model":"m","tools":[{"type":"function","name":"f"}],"input":[{"role":"user","content":"hi"},`+input+`]}`), &Target{Model: "claude-opus-4-7"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(x.Body), `"messages":`+test.want) {
			t.Errorf("%s: got\n %s, want\n %s", name, x.Body, test.want)
		}
	}
}

// An answer whose parts are in a message's order is one choice, as it is for clients of chat completions in any case.
func TestWholeAnswersOfOneChoice(t *testing.T) {
	t.Parallel()
	body := []byte(`{"type":"message","id":"msg_1","content":[` + strings.Join(claudeTurns["thinking between all"], ",") + `],"stop_reason":"tool_use"}`)
	got, err := newMessagesAnswers(t, "").Whole(nil, body)
	if err != nil || strings.Count(string(got), `"index":`) != 1 {
		t.Errorf("%v: %s", err, got)
	}
	chained := newMessagesAnswers(t, "")
	chained.out.chained = true
	got, err = chained.Whole(nil, body)
	if err != nil || strings.Count(string(got), `{"index":0,`) != 3 || strings.Count(string(got), `"finish_reason":"tool_calls"`) != 3 {
		t.Errorf("%v: %s", err, got)
	}
}
