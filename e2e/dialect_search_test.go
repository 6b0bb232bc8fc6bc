package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// What a search of the web makes of a question: a text, of which a part is from a page.
const (
	searchLead, searchCited, searchEnd = "Já. ", "It was 12 °C.", " Bye."
	searchURL, searchTitle             = "https://weather.example/oslo", "Weather in Oslo"
)

// searched is the answer of a vendor whose model has searched the web.
func searched(v *vendor, x *exchange, model string, stream bool) {
	if v.provider == "gem" {
		searchedByGemini(v, x, model, stream)
		return
	}
	location := fmt.Sprintf(`{"type":"web_search_result_location","cited_text":"12 degrees","url":%q,"title":%q,"encrypted_index":"Eo8B"}`, searchURL, searchTitle)
	use := `{"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{"query":"weather oslo"}}`
	found := fmt.Sprintf(`{"type":"web_search_tool_result","tool_use_id":"srvtoolu_01","content":[{"type":"web_search_result","title":%q,"url":%q,"encrypted_content":"Eqg","page_age":"1 day ago"}]}`, searchTitle, searchURL)
	usage := `{"input_tokens":100,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":20,"server_tool_use":{"web_search_requests":1},"service_tier":"standard"}`
	if !stream {
		text := func(s, citations string) string {
			return fmt.Sprintf(`{"type":"text","text":%q,"citations":%s}`, s, citations)
		}
		x.json(http.StatusOK, fmt.Sprintf(`{"id":%q,"type":"message","role":"assistant","model":%q,"content":[%s],"stop_reason":"end_turn","stop_sequence":null,"usage":%s}`, anthropicID, model,
			strings.Join([]string{text(searchLead, "null"), use, found, text(searchCited, "["+location+"]"), text(searchEnd, "null")}, ","), usage))
		return
	}
	events := []string{anthropicEvent("message_start", fmt.Sprintf(`"message":{"model":%q,"id":%q,"type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":100,"output_tokens":1}}`, model, anthropicID))}
	n := 0
	block := func(start string, deltas ...string) {
		events = append(events, anthropicEvent("content_block_start", fmt.Sprintf(`"index":%d,"content_block":%s`, n, start)))
		for _, delta := range deltas {
			events = append(events, anthropicEvent("content_block_delta", fmt.Sprintf(`"index":%d,"delta":%s`, n, delta)))
		}
		events = append(events, anthropicEvent("content_block_stop", fmt.Sprintf(`"index":%d`, n)))
		n++
	}
	said := func(s string) string { return fmt.Sprintf(`{"type":"text_delta","text":%q}`, s) }
	empty := `{"type":"text","text":""}`
	block(empty, said(searchLead))
	block(`{"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{}}`, `{"type":"input_json_delta","partial_json":"{\"query\":\"weather oslo\"}"}`)
	block(found)
	block(`{"citations":[],"type":"text","text":""}`, `{"type":"citations_delta","citation":`+location+`}`, said(searchCited[:6]), said(searchCited[6:]))
	block(empty, said(searchEnd))
	v.stream(x, append(events, anthropicEvent("message_delta", `"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":`+usage), anthropicEvent("message_stop", ""))...)
}

func searchedByGemini(v *vendor, x *exchange, model string, stream bool) {
	grounding := fmt.Sprintf(`{"searchEntryPoint":{"renderedContent":"<div></div>"},"webSearchQueries":["weather oslo"],"groundingChunks":[{"web":{"uri":%q,"title":%q}}],"groundingSupports":[{"segment":{"startIndex":%d,"endIndex":%d,"text":%q},"groundingChunkIndices":[0]}]}`,
		searchURL, searchTitle, len(searchLead), len(searchLead+searchCited), searchCited) // in bytes
	part := func(text, more string) string {
		return fmt.Sprintf(`{"candidates":[{"content":{"parts":[{"text":%q}],"role":"model"},"index":0%s}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120},"modelVersion":%q,"responseId":"r1"}`, text, more, model)
	}
	end := `,"finishReason":"STOP","groundingMetadata":` + grounding
	if !stream {
		x.json(http.StatusOK, part(searchLead+searchCited+searchEnd, end))
		return
	}
	event := func(data string) string { return "data: " + data + "\r\n\r\n" }
	v.stream(x, event(part(searchLead+searchCited[:6], "")), event(part(searchCited[6:], "")), event(part(searchEnd, end)))
}

// TestSearchesOfTheWeb: OpenAI's client asks for a search, the vendor's own is made, and what it has found is cited as OpenAI
// does: by where in the text it is, in characters.
func TestSearchesOfTheWeb(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	client := d.g.sdk()
	for model, v := range map[string]*vendor{"ant/claude-sonnet-4-5-searching": d.ant, "gem/gemini-2.5-flash-searching": d.gem} {
		_, name, _ := strings.Cut(model, "/")
		v.serve(t, name, searched)
		want := func(of, text string, url, title string, start, end int64) {
			t.Helper()
			if text != searchLead+searchCited+searchEnd {
				t.Errorf("%s %s: the text is %q", model, of, text)
			}
			runes := []rune(text)
			if url != searchURL || title != searchTitle || start < 0 || end > int64(len(runes)) || start > end || string(runes[start:end]) != searchCited {
				t.Errorf("%s %s: %s %q is cited for %d to %d", model, of, url, title, start, end)
			}
		}
		params := openai.ChatCompletionNewParams{
			Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("How was it?")},
			WebSearchOptions: openai.ChatCompletionNewParamsWebSearchOptions{},
		}
		params.WebSearchOptions.SearchContextSize = "medium"
		whole, err := client.Chat.Completions.New(t.Context(), params)
		if err != nil || len(whole.Choices[0].Message.Annotations) != 1 {
			t.Fatalf("%s: %v, %+v", model, explain(err), whole)
		}
		c := whole.Choices[0].Message.Annotations[0].URLCitation
		want("chat", whole.Choices[0].Message.Content, c.URL, c.Title, c.StartIndex, c.EndIndex)

		asked := responses.ResponseNewParams{
			Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("How was it?")},
			Tools: []responses.ToolUnionParam{responses.ToolParamOfWebSearch(responses.WebSearchToolTypeWebSearch)},
		}
		answer, err := client.Responses.New(t.Context(), asked)
		if err != nil {
			t.Fatal(model, explain(err))
		}
		for of, r := range map[string]responses.Response{"response": *answer, "stream of a response": followResponse(t, responsesCase{chatCase: chatCase{client: client}}, asked)} {
			message := r.Output[len(r.Output)-1]
			if len(message.Content) != 1 || len(message.Content[0].Annotations) != 1 {
				t.Errorf("%s %s: %s", model, of, r.RawJSON())
				continue
			}
			c := message.Content[0].Annotations[0]
			want(of, r.OutputText(), c.URL, c.Title, c.StartIndex, c.EndIndex)
		}
	}
}
