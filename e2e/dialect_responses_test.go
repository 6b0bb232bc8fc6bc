package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
)

// responsesCase is one vendor as a client of OpenAI's responses sees it.
type responsesCase struct {
	chatCase
	provider string
}

func (c responsesCase) model(t testing.TB, name string, answers ...answerer) (string, *offer) {
	t.Helper()
	name = c.family + "-" + name
	return c.provider + "/" + name, c.v.serve(t, name, answers...)
}

// TestResponsesInOtherDialects has OpenAI's client use its newer API with servers that do not have it.
func TestResponsesInOtherDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	cases := map[string]func(*testing.T, responsesCase){
		"a response":                             responsesWhole,
		"a response that is cut":                 responsesCut,
		"a stream":                               responsesStreamed,
		"parallel tools, to the final answer":    responsesTools,
		"parallel tools in a stream, to the end": responsesToolsStreamed,
		"images, a PDF and a schema":             responsesMedia,
		"reasoning that comes back":              responsesReasoning,
		"what needs a memory is a 400":           responsesRefused,
		"a stream that breaks":                   responsesBroken,
	}
	for _, c := range []responsesCase{
		{chatCase{v: d.oai, family: "llama"}, "plain"},
		{chatCase{v: d.ant, family: "claude-sonnet-4-5"}, "ant"},
		{chatCase{v: d.gem, family: "gemini-3-pro-preview"}, "gem"},
	} {
		c.d, c.client = d, d.g.sdk(option.WithMaxRetries(0))
		for name, run := range cases {
			t.Run(c.provider+": "+name, func(t *testing.T) {
				t.Parallel()
				run(t, c)
			})
		}
	}
}

func respond(model string) responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: model, Instructions: openai.String("Be brief."),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hello")},
	}
}

func wantResponseUsage(t *testing.T, r responses.Response) {
	t.Helper()
	if u := r.Usage; u.InputTokens != int64(usual.in) || u.OutputTokens != int64(usual.out) || u.TotalTokens != int64(usual.in+usual.out) ||
		u.InputTokensDetails.CachedTokens != int64(usual.cached) || u.OutputTokensDetails.ReasoningTokens != int64(usual.reasoning) {
		t.Errorf("usage %s", u.RawJSON())
	}
}

func responsesWhole(t *testing.T, c responsesCase) {
	model, seen := c.model(t, "whole", say("Hello ", "there").says)
	params := respond(model)
	params.MaxOutputTokens, params.Temperature = openai.Int(300), openai.Float(0.25)
	got, err := c.client.Responses.New(t.Context(), params)
	if err != nil {
		t.Fatal(explain(err))
	}
	if got.OutputText() != "Hello there" || got.Model != model || got.Status != "completed" || !strings.HasPrefix(got.ID, "resp_") || got.Object != "response" {
		t.Errorf("got %s", got.RawJSON())
	}
	wantResponseUsage(t, *got)
	for _, key := range []string{"created_at", "error", "incomplete_details", "instructions", "metadata", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p"} {
		if !strings.Contains(got.RawJSON(), `"`+key+`":`) {
			t.Errorf("there is no %s, which is required: %s", key, got.RawJSON())
		}
	}
	if c.v == c.d.oai {
		seen.want(0, "messages.0.content", `"Be brief."`)
		seen.want(0, "messages.1.content", `"Say hello"`)
		seen.want(0, "max_tokens", `300`)
	}
}

func responsesCut(t *testing.T, c responsesCase) {
	model, _ := c.model(t, "cut", reply{text: []string{"Once upon"}, cut: true}.says)
	got, err := c.client.Responses.New(t.Context(), respond(model))
	if err != nil || got.Status != "incomplete" || got.IncompleteDetails.Reason != "max_output_tokens" || got.OutputText() != "Once upon" {
		t.Errorf("got %v, error %v", got, explain(err))
	}
	if got := followResponse(t, c, respond(model)); got.Status != "incomplete" {
		t.Errorf("the stream ends with %s", got.RawJSON())
	}
}

// followResponse drains a stream, holds its events to their order, and returns the response that it ends with.
func followResponse(t *testing.T, c responsesCase, params responses.ResponseNewParams) (last responses.Response) {
	t.Helper()
	stream := c.client.Responses.NewStreaming(t.Context(), params)
	defer stream.Close()
	open := map[string]string{} // what has begun, and what it has so far
	var kinds []string
	for n := int64(0); stream.Next(); n++ {
		e := stream.Current()
		kinds = append(kinds, e.Type)
		if e.SequenceNumber != n {
			t.Errorf("%s has the sequence number %d, not %d", e.Type, e.SequenceNumber, n)
		}
		if e.Response.ID != "" && e.Response.Model != params.Model {
			t.Errorf("%s names the model %q", e.Type, e.Response.Model)
		}
		item, part := fmt.Sprint("item ", e.OutputIndex), fmt.Sprint("part ", e.OutputIndex, " ", e.ContentIndex)
		switch e.Type {
		case "response.output_item.added":
			open[item] = ""
		case "response.content_part.added":
			open[part] = ""
		case "response.output_text.delta":
			open[part] += e.Delta
		case "response.function_call_arguments.delta":
			open[item] += e.Delta
		case "response.output_text.done":
			if open[part] != e.Text {
				t.Errorf("the text was %q and is %q", open[part], e.Text)
			}
		case "response.function_call_arguments.done":
			if open[item] != e.Arguments {
				t.Errorf("the arguments were %q and are %q", open[item], e.Arguments)
			}
		case "response.content_part.done":
			delete(open, part)
		case "response.output_item.done":
			if _, ok := open[item]; !ok {
				t.Errorf("an item ends that has not begun: %s", e.RawJSON())
			}
			delete(open, item)
		case "response.completed", "response.incomplete", "response.failed":
			last = e.Response
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(explain(err))
	}
	if len(kinds) < 3 || kinds[0] != "response.created" || kinds[1] != "response.in_progress" || last.ID == "" || len(open) > 0 {
		t.Errorf("the events are %v, open are %v", kinds, open)
	}
	return last
}

func responsesStreamed(t *testing.T, c responsesCase) {
	model, _ := c.model(t, "stream", say("Hel", "lo", " wörld 🌍", "\u2028\n\"quoted\"").says)
	got := followResponse(t, c, respond(model))
	if got.OutputText() != "Hello wörld 🌍\u2028\n\"quoted\"" || got.Status != "completed" {
		t.Errorf("got %s", got.RawJSON())
	}
	wantResponseUsage(t, got)
	// What is written on several lines is told on one.
	a := c.d.g.post(t, responsesPath, indented(`{"model":"`+model+`","input":"a","stream":true,"metadata":{"a":"b"},"tools":[{"type":"function","name":"now","parameters":{"type":"object","properties":{}}}]}`))
	for line := range strings.Lines(a.Body) {
		data, ok := strings.CutPrefix(line, "data: ")
		if ok && !json.Valid([]byte(data)) || !ok && line != "\n" && !strings.HasPrefix(line, "event: ") {
			t.Errorf("not a line of a stream: %.200q", line)
		}
	}
}

func respondTools(model string) responses.ResponseNewParams {
	params := respond(model)
	params.Tools = []responses.ToolUnionParam{
		responses.ToolParamOfFunction("get_weather", map[string]any{"type": "object", "properties": map[string]any{"location": map[string]any{"type": "string"}}, "required": []string{"location"}, "additionalProperties": false}, true),
		{OfFunction: &responses.FunctionToolParam{Name: "now"}},
	}
	return params
}

// nextInput is the input of the next turn: what came, as it came, and the results of the calls in it.
func nextInput(t *testing.T, r responses.Response) (params responses.ResponseNewParamsInputUnion) {
	t.Helper()
	items := []responses.ResponseInputItemUnionParam{responses.ResponseInputItemParamOfMessage("Say hello", "user")}
	var results []responses.ResponseInputItemUnionParam
	for _, item := range r.Output {
		items = append(items, param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(item.RawJSON())))
		if item.Type != "function_call" {
			continue
		}
		if n := len(results); len(bothTools.calls) > n && len(r.Output) > 3 {
			if want := bothTools.calls[n]; item.Name != want.name || item.Arguments.OfString != want.input {
				t.Errorf("call %d is %s, want %+v", n, item.RawJSON(), want)
			}
		}
		result := responses.ResponseInputItemParamOfFunctionCallOutput("it is " + item.Name)
		result.OfFunctionCallOutput.CallID = openai.String(item.CallID)
		results = append(results, result)
	}
	if len(results) == 0 {
		t.Fatalf("no tool is called: %s", r.RawJSON())
	}
	params.OfInputItemList = append(items, results...)
	return params
}

func responsesTools(t *testing.T, c responsesCase) {
	model, seen := c.model(t, "tools", bothTools.says, say("Warm and cold.").says)
	params := respondTools(model)
	first, err := c.client.Responses.New(t.Context(), params)
	if err != nil {
		t.Fatal(explain(err))
	}
	params.Input = nextInput(t, *first)
	second, err := c.client.Responses.New(t.Context(), params)
	if err != nil || second.OutputText() != "Warm and cold." {
		t.Fatalf("got %v, error %v", second, explain(err))
	}
	if _, x := seen.request(1); !strings.Contains(string(x.Body), "12345678901234567890") || strings.Count(string(x.Body), "it is ") != 3 {
		t.Errorf("the second turn is %s", x.Body)
	}
}

func responsesToolsStreamed(t *testing.T, c responsesCase) {
	model, _ := c.model(t, "tools-stream", bothTools.says, say("Warm", " and cold.").says)
	params := respondTools(model)
	params.Input = nextInput(t, followResponse(t, c, params))
	if second := followResponse(t, c, params); second.OutputText() != "Warm and cold." {
		t.Errorf("got %s", second.RawJSON())
	}
}

func responsesMedia(t *testing.T, c responsesCase) {
	model, _ := c.model(t, "media", say(`{"cats":2}`).says)
	params := respond(model)
	params.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: []responses.ResponseInputItemUnionParam{
		responses.ResponseInputItemParamOfMessage(responses.ResponseInputMessageContentListParam{
			{OfInputText: &responses.ResponseInputTextParam{Text: "How many?"}},
			{OfInputImage: &responses.ResponseInputImageParam{ImageURL: openai.String("https://example.com/cat.png"), Detail: "auto"}},
			{OfInputImage: &responses.ResponseInputImageParam{ImageURL: openai.String("data:image/png;base64,aGVsbG8="), Detail: "low"}},
			{OfInputFile: &responses.ResponseInputFileParam{FileData: openai.String("data:application/pdf;base64,aGVsbG8="), Filename: openai.String("a.pdf")}},
		}, "user"),
	}}
	params.Text.Format = responses.ResponseFormatTextConfigParamOfJSONSchema("cats", map[string]any{
		"type": "object", "properties": map[string]any{"cats": map[string]any{"type": "integer"}}, "required": []string{"cats"}, "additionalProperties": false,
	})
	got, err := c.client.Responses.New(t.Context(), params)
	if err != nil || got.OutputText() != `{"cats":2}` {
		t.Errorf("got %v, error %v", got, explain(err))
	}
}

func responsesReasoning(t *testing.T, c responsesCase) {
	model, _ := c.model(t, "reasoning", thinks.says, thinks.says, say("Cold.").says)
	params := respondTools(model)
	if c.v != c.d.oai { // whose model does not reason when told to
		params.Reasoning.Effort = openai.ReasoningEffortHigh
	}
	first, err := c.client.Responses.New(t.Context(), params)
	if err != nil {
		t.Fatal(explain(err))
	}
	streamed := followResponse(t, c, params)
	for _, r := range []responses.Response{*first, streamed} {
		if !strings.Contains(r.RawJSON(), thinks.thinking) || r.Output[0].Type != "reasoning" {
			t.Errorf("there is no reasoning in %s", r.RawJSON())
		}
	}
	params.Input = nextInput(t, *first)
	if got, err := c.client.Responses.New(t.Context(), params); err != nil || got.OutputText() != "Cold." {
		t.Errorf("got %v, error %v", got, explain(err))
	}
}

func responsesRefused(t *testing.T, c responsesCase) {
	model, seen := c.model(t, "refused", say("x").says)
	for name, more := range map[string]string{
		"previous_response_id": `"previous_response_id":"resp_1","input":"a"`,
		"conversation":         `"conversation":"conv_1","input":"a"`,
		"background":           `"background":true,"input":"a"`,
		"tools":                `"tools":[{"type":"file_search"}],"input":"a"`,
		"input":                `"input":[{"type":"item_reference","id":"msg_1"}]`,
	} {
		var got responses.Response
		err := c.client.Post(t.Context(), "responses", json.RawMessage(`{"model":"`+model+`",`+more+`}`), &got)
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != 400 || !strings.HasPrefix(e.Param, name) || e.Type != "invalid_request_error" {
			t.Errorf("%s: %v", name, explain(err))
		}
	}
	if seen.count() != 0 {
		t.Error("the vendor was asked")
	}
}

func responsesBroken(t *testing.T, c responsesCase) {
	broken := map[*vendor]string{
		c.d.oai: "data: " + errorJSON("Overloaded just now", "server_error", "overloaded") + "\n\n",
		c.d.ant: anthropicErrorEvent("overloaded_error", "Overloaded just now"),
		c.d.gem: "data: " + strings.ReplaceAll(geminiError(503, "UNAVAILABLE", "Overloaded just now"), "\n", "") + "\r\n\r\n",
	}[c.v]
	for name, way := range brokenStreams(c.v, bothTools, broken) {
		model, _ := c.model(t, strings.ReplaceAll(name, " ", "-"), way)
		a := c.d.g.post(t, responsesPath, `{"model":"`+model+`","input":"a","stream":true}`)
		if a.Err != nil || a.StatusCode != 200 && a.StatusCode < 500 || !strings.Contains(tailOf(a.Body), `"error"`) || strings.Contains(a.Body, "response.completed") {
			t.Errorf("%s: status %d, error %v, the end is %q", name, a.StatusCode, a.Err, tailOf(a.Body))
		}
		for n, event := range strings.Split(a.Body, "event: ")[1:] {
			if !strings.Contains(event, fmt.Sprintf(`"sequence_number":%d,`, n)) {
				t.Errorf("%s: event %d is %q", name, n, event)
			}
		}
		stream := c.client.Responses.NewStreaming(t.Context(), respond(model))
		failed := false
		for stream.Next() {
			kind := stream.Current().Type
			failed = failed || kind == "error" || kind == "response.failed"
		}
		if stream.Err() == nil && !failed {
			t.Errorf("%s: the SDK saw no error", name)
		}
	}
}
