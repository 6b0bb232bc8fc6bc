package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

const (
	azureVersion = "2024-10-21"

	// azureFilters is what Azure says of the prompt before anything else, and azureSafe of what it answers.
	azureFilters = `"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false}}}]`
	azureSafe    = `"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}`

	azureFiltered = `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"jailbreak":{"filtered":true,"detected":true}}}}}`
)

var azurePath = regexp.MustCompile(`^/openai/(?:v1|deployments/([a-z0-9.-]+))/(chat/completions|embeddings)$`)

// newAzure returns an upstream that answers as a resource of Azure OpenAI does: below a deployment for
// a dated version, and as the v1 API for none.
func newAzure(t testing.TB) *vendor {
	v := newOpenAI(t)
	v.provider = "azure"
	v.inspect = func(x *exchange, i *inspection) {
		i.header(x, "Api-Key", upstreamKey)
		i.header(x, "Authorization", "")
		i.header(x, "X-Api-Key", "")
		i.header(x, "Content-Type", "application/json")
		at := azurePath.FindStringSubmatch(x.Req.URL.Path)
		if !i.check(at != nil, "path", "is %s", x.Req.URL.Path) {
			return
		}
		query := ""
		if at[1] != "" {
			query = "api-version=" + azureVersion
			i.check(i.body["model"] == at[1], "model", "is %v below the deployment %s", i.body["model"], at[1])
		}
		i.check(x.Req.URL.RawQuery == query, "query", "is %q, not %q", x.Req.URL.RawQuery, query)
		if at[2] == "embeddings" {
			i.members("", i.body, "!input !model dimensions encoding_format user")
			return
		}
		i.members("", i.body, openAIParameters)
		o := &openAIInspection{inspection: i, reasoning: reasoningModel.MatchString(i.text("", i.body, "model"))}
		o.tools()
		o.messages()
		o.sampling()
		o.rest()
	}
	v.whole = func(r reply, model string) string {
		return strings.Replace(strings.Replace(r.chat(model), `"choices"`, azureFilters+`,"choices"`, 1), `"finish_reason"`, azureSafe+`,"finish_reason"`, 1)
	}
	v.events = func(r reply, model string) []string {
		events := []string{`data: {"choices":[],"created":0,"id":"","model":"","object":"",` + azureFilters + "}\n\n"}
		for _, e := range r.chatEvents(model) {
			events = append(events, strings.Replace(e, `,"logprobs":null`, `,"logprobs":null,`+azureSafe, 1))
		}
		return events
	}
	v.lines = append(v.lines, "apim-request-id: 4d1c", "x-ms-region: Sweden Central")
	return v
}

// answersWith answers with a body.
func answersWith(body string) answerer {
	return func(v *vendor, x *exchange, _ string, _ bool) { x.json(200, body, v.lines...) }
}

// TestAzure has the SDKs use a resource of Azure OpenAI in both of the ways that there are to its API.
func TestAzure(t *testing.T) {
	t.Parallel()
	up := newAzure(t)
	g := start(t, setup{App: fmt.Sprintf(`drain_timeout 2s
		provider dated azure {
			base_url %[1]s
			api_key %[2]s
			api_version %[3]s
			deployment gpt-4o my-gpt-4o
			deployment gpt-4o-filtered my-filtered
			deployment text-embedding-3-small my-embeddings
		}
		provider newer azure {
			base_url %[1]s/openai/v1/
			api_key %[2]s
			deployment gpt-4o v1-gpt-4o
			deployment gpt-4o-filtered v1-filtered
			deployment text-embedding-3-small v1-embeddings
		}
		%[4]s`, up.up.URL(), upstreamKey, azureVersion, steady)})
	for provider, prefix := range map[string]string{"dated": "my-", "newer": "v1-"} {
		path := "/openai/v1"
		if provider == "dated" {
			path = "/openai/deployments/my-gpt-4o"
		}
		c := azureCase{g: g, client: g.sdk(option.WithMaxRetries(0)), model: provider + "/gpt-4o", path: path}
		c.seen = up.serve(t, prefix+"gpt-4o", say("Hello ", "there").says)
		up.serve(t, prefix+"filtered", refuses(400, azureFiltered))
		c.embedded = up.serve(t, prefix+"embeddings", answersWith(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":2,"total_tokens":2}}`))
		for name, run := range map[string]func(*testing.T, azureCase){
			"chat":                                  azureChat,
			"a stream, with what comes before it":   azureStream,
			"embeddings":                            azureEmbeddings,
			"a prompt that is filtered":             azureRefused,
			"Anthropic's client, streamed":          azureClaude,
			"a response, where there is only chat":  azureResponse,
			"what is known of the route in the URL": azureRoute,
		} {
			if provider == "newer" && strings.HasPrefix(name, "a response") {
				continue // it has them itself
			}
			t.Run(provider+": "+name, func(t *testing.T) {
				t.Parallel()
				run(t, c)
			})
		}
	}
}

// azureCase is a way to Azure's API.
type azureCase struct {
	g              *gateway
	client         *openai.Client
	model, path    string
	seen, embedded *offer
}

func azureChat(t *testing.T, c azureCase) {
	params := ask(c.model)
	params.MaxCompletionTokens, params.Seed = openai.Int(30), openai.Int(7)
	got, err := c.client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(explain(err))
	}
	if got.Choices[0].Message.Content != "Hello there" || got.Model != c.model || got.Usage.PromptTokens != int64(usual.in) {
		t.Errorf("got %s", got.RawJSON())
	}
	for _, want := range []string{"prompt_filter_results", "content_filter_results"} {
		if !strings.Contains(got.RawJSON(), want) {
			t.Errorf("there is no %s in %s", want, got.RawJSON())
		}
	}
}

func azureStream(t *testing.T, c azureCase) {
	params := ask(c.model)
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := c.client.Chat.Completions.NewStreaming(t.Context(), params)
	acc := openai.ChatCompletionAccumulator{}
	first := ""
	for stream.Next() {
		chunk := stream.Current()
		if first == "" {
			first = chunk.RawJSON()
			continue // the accumulator takes the ID of the first, which has none
		}
		if !acc.AddChunk(chunk) {
			t.Fatalf("the SDK refuses %s", chunk.RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(explain(err))
	}
	if !strings.Contains(first, "prompt_filter_results") || !strings.Contains(first, `"choices":[]`) {
		t.Errorf("the first event is %s", first)
	}
	if len(acc.Choices) != 1 || acc.Choices[0].Message.Content != "Hello there" || acc.Usage.CompletionTokens != int64(usual.out) || acc.Model != c.model {
		t.Errorf("got %+v", acc.ChatCompletion)
	}
}

func azureEmbeddings(t *testing.T, c azureCase) {
	provider, _, _ := strings.Cut(c.model, "/")
	got, err := c.client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: provider + "/text-embedding-3-small", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("hello")},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	})
	if err != nil {
		t.Fatal(explain(err))
	}
	if len(got.Data) != 1 || len(got.Data[0].Embedding) != 2 || got.Data[0].Embedding[1] != -0.5 || got.Usage.PromptTokens != 2 {
		t.Errorf("got %s", got.RawJSON())
	}
	if _, raw := c.embedded.request(0); raw.Req.URL.Path != strings.Replace(c.path, "gpt-4o", "embeddings", 1)+"/embeddings" {
		t.Errorf("it came to %s", raw.Req.URL)
	}
}

// azureRefused has a prompt refused by a filter, which is neither the provider's failure nor another's to serve.
func azureRefused(t *testing.T, c azureCase) {
	_, err := c.client.Chat.Completions.New(t.Context(), ask(c.model+"-filtered"))
	refused, ok := errors.AsType[*openai.Error](err)
	if !ok || refused.StatusCode != 400 || refused.Code != "content_filter" || !strings.Contains(refused.RawJSON(), "ResponsibleAIPolicyViolation") {
		t.Errorf("OpenAI's client gets %v", explain(err))
	}
	params := anthropic.MessageNewParams{Model: c.model + "-filtered", MaxTokens: 10, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("a"))}}
	_, err = c.g.claude().Messages.New(t.Context(), params)
	told, ok := errors.AsType[*anthropic.Error](err)
	if !ok || told.StatusCode != 400 || !strings.Contains(told.RawJSON(), "invalid_request_error") || !strings.Contains(told.RawJSON(), "content management policy") {
		t.Errorf("Anthropic's client gets %v", explain(err))
	}
}

func azureClaude(t *testing.T, c azureCase) {
	got := accumulate(t, c.g.claude(), anthropic.MessageNewParams{
		Model: c.model, MaxTokens: 30, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello"))},
	})
	if len(got.Content) != 1 || got.Content[0].Text != "Hello there" || got.StopReason != "end_turn" || got.ID == "" || got.Model != c.model {
		t.Errorf("got %s", got.RawJSON())
	}
}

func azureResponse(t *testing.T, c azureCase) {
	got, err := c.client.Responses.New(t.Context(), respond(c.model))
	if err != nil || got.OutputText() != "Hello there" {
		t.Errorf("got %v, error %v", got, explain(err))
	}
}

func azureRoute(t *testing.T, c azureCase) {
	if _, err := c.client.Chat.Completions.New(t.Context(), ask(c.model)); err != nil {
		t.Fatal(explain(err))
	}
	_, raw := c.seen.request(0)
	if raw.Req.URL.Path != c.path+"/chat/completions" {
		t.Errorf("it came to %s", raw.Req.URL)
	}
	for name, values := range raw.Req.Header {
		if strings.Contains(strings.Join(values, ""), "sk-of-the-client") {
			t.Errorf("the client's key went on in %s", name)
		}
	}
}
