package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// sdk is the official client, unmodified, pointed at the gateway.
func (g *gateway) sdk(opts ...option.RequestOption) *openai.Client {
	client := openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(g.URL()), option.WithAPIKey("sk-of-the-client"), option.WithUnsafeAllowHTTP(),
	}, opts...)...)
	return &client
}

func ask(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello")},
	}
}

// TestSDK is the matrix of the official Go SDK over what the API offers. Each case
// scripts an upstream model of its own, so all run at once through one gateway.
func TestSDK(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	client := g.sdk()
	cases := map[string]func(*testing.T, *upstream, *openai.Client){
		"a chat completion carries the asked-for model name":    sdkChat,
		"embeddings come back as the numbers that were sent":    sdkEmbeddings,
		"a legacy completion works":                             sdkCompletion,
		"a legacy completion streams":                           sdkCompletionStream,
		"a response works":                                      sdkResponse,
		"a response streams all its events in order":            sdkResponseStream,
		"a moderation works with a model":                       sdkModeration,
		"a moderation without a model goes to the one provider": sdkModerationNoModel,
		"a transcription upload arrives whole":                  sdkTranscription,
		"a large file upload arrives whole":                     sdkFile,
		"a chat stream accumulates":                             sdkChatStream,
		"a chat stream reports usage when asked":                sdkChatStreamUsage,
		"parallel tool calls work":                              sdkTools,
		"parallel tool calls stream":                            sdkToolsStream,
		"the second turn of a tool call arrives as it was sent": sdkToolResult,
	}
	up.on("/v1/models", playJSON(200, `{"object":"list","data":[{"id":"gpt-upstream","object":"model","created":1764000000,"owned_by":"openai"}]}`))
	t.Run("models", func(t *testing.T) { sdkModels(t, client) })
	t.Run("cases", func(t *testing.T) {
		for name, run := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, up, client)
			})
		}
	})
}

func sdkChat(t *testing.T, up *upstream, client *openai.Client) {
	route := up.on("gpt-upstream", playJSON(200, chatJSON("gpt-upstream", "Hello!")))
	for _, name := range []string{"smart", "fast", "up/gpt-upstream", "gpt-upstream"} {
		got, err := client.Chat.Completions.New(t.Context(), ask(name))
		if err != nil {
			t.Fatalf("asking for %s: %v", name, err)
		}
		if got.Choices[0].Message.Content != "Hello!" || got.Model != name || got.Usage.TotalTokens != 12 {
			t.Errorf("asking for %s: %s", name, got.RawJSON())
		}
		x := route.next(t)
		if auth := x.Req.Header.Get("Authorization"); auth != "Bearer "+upstreamKey {
			t.Errorf("the upstream saw Authorization %q", auth)
		}
	}
}

func sdkEmbeddings(t *testing.T, up *upstream, client *openai.Client) {
	up.on("emb", playJSON(200, embeddingJSON("emb")))
	got, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "up/emb",
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"one", "two"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Model != "up/emb" || got.Data[0].Embedding[1] != -0.009327292 || got.Data[1].Embedding[0] != 1e-7 {
		t.Errorf("got %s", got.RawJSON())
	}
}

func sdkCompletion(t *testing.T, up *upstream, client *openai.Client) {
	up.on("legacy", playJSON(200, completionJSON("legacy", "once", `"stop"`)))
	got, err := client.Completions.New(t.Context(), openai.CompletionNewParams{
		Model:  "up/legacy",
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Tell me")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Choices[0].Text != "once" || got.Model != "up/legacy" || got.Usage.TotalTokens != 6 {
		t.Errorf("got %s", got.RawJSON())
	}
}

func sdkCompletionStream(t *testing.T, up *upstream, client *openai.Client) {
	up.on("legacy-stream", playSSE("data: "+completionJSON("legacy-stream", "once ", "null")+"\n\n",
		"data: "+completionJSON("legacy-stream", "upon", `"stop"`)+"\n\n", doneEvent))
	stream := client.Completions.NewStreaming(t.Context(), openai.CompletionNewParams{
		Model:  "up/legacy-stream",
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Tell me")},
	})
	var text string
	for stream.Next() {
		text += stream.Current().Choices[0].Text
		if m := stream.Current().Model; m != "up/legacy-stream" {
			t.Errorf("a chunk names the model %q", m)
		}
	}
	if stream.Err() != nil || text != "once upon" {
		t.Errorf("got %q, error %v", text, stream.Err())
	}
}

func sdkResponse(t *testing.T, up *upstream, client *openai.Client) {
	up.on("resp", playJSON(200, responseJSON("resp", "completed", "Hello there")))
	got, err := client.Responses.New(t.Context(), responses.ResponseNewParams{
		Model: "up/resp",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hi")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.OutputText() != "Hello there" || got.Model != "up/resp" || got.Usage.TotalTokens != 43 {
		t.Errorf("got %s", got.RawJSON())
	}
}

func sdkResponseStream(t *testing.T, up *upstream, client *openai.Client) {
	events := responseEvents("resp-stream", "Hello", " there")
	up.on("resp-stream", playSSE(events...))
	stream := client.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{
		Model: "up/resp-stream",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hi")},
	})
	var text string
	var n int64
	for ; stream.Next(); n++ {
		event := stream.Current()
		if event.SequenceNumber != n {
			t.Errorf("event %d has the sequence number %d", n, event.SequenceNumber)
		}
		text += event.Delta
		if event.Response.ID != "" && event.Response.Model != "up/resp-stream" {
			t.Errorf("%s names the model %q", event.Type, event.Response.Model)
		}
	}
	if stream.Err() != nil || text != "Hello there" || int(n) != len(events) {
		t.Errorf("got %q in %d of %d events, error %v", text, n, len(events), stream.Err())
	}
}

const moderationJSON = `{"id":"modr-1","model":"mod","results":[{"flagged":true,"categories":{"violence":true},"category_scores":{"violence":0.9},"category_applied_input_types":{"violence":["text"]}}]}`

func sdkModeration(t *testing.T, up *upstream, client *openai.Client) {
	up.on("mod", playJSON(200, moderationJSON))
	got, err := client.Moderations.New(t.Context(), openai.ModerationNewParams{
		Model: "up/mod",
		Input: openai.ModerationNewParamsInputUnion{OfString: openai.String("...")},
	})
	if err != nil || !got.Results[0].Flagged {
		t.Fatalf("got %+v, error %v", got, err)
	}
}

func sdkModerationNoModel(t *testing.T, up *upstream, client *openai.Client) {
	up.on("/v1/moderations", playJSON(200, moderationJSON))
	got, err := client.Moderations.New(t.Context(), openai.ModerationNewParams{
		Input: openai.ModerationNewParamsInputUnion{OfString: openai.String("...")},
	})
	if err != nil || !got.Results[0].Flagged {
		t.Fatalf("got %+v, error %v", got, err)
	}
}

// noise is n bytes in which no two neighbourhoods are alike, so that any loss or shift shows.
func noise(n int) []byte {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// uploaded parses the multipart body that the upstream was sent.
func uploaded(t *testing.T, x *exchange) (file []byte, fields map[string][]string) {
	t.Helper()
	req := &http.Request{Method: http.MethodPost, Header: x.Req.Header, Body: io.NopCloser(bytes.NewReader(x.Body))}
	if err := req.ParseMultipartForm(64 << 20); err != nil {
		t.Fatalf("what the upstream got is no form: %v", err)
	}
	part, _, err := req.FormFile("file")
	if err != nil {
		t.Fatal(err)
	}
	file, err = io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	return file, req.MultipartForm.Value
}

func sdkTranscription(t *testing.T, up *upstream, client *openai.Client) {
	route := up.on("/v1/audio/transcriptions", playJSON(200, `{"text":"hello there"}`))
	audio := noise(300_000)
	got, err := client.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{
		Model: "gpt-4o-transcribe",
		File:  openai.File(bytes.NewReader(audio), "speech.mp3", "audio/mpeg"),
	})
	if err != nil || got.Text != "hello there" {
		t.Fatalf("got %+v, error %v", got, err)
	}
	file, fields := uploaded(t, route.next(t))
	if !bytes.Equal(file, audio) || fields["model"][0] != "gpt-4o-transcribe" {
		t.Errorf("the upstream got %d bytes and %v", len(file), fields)
	}
}

func sdkFile(t *testing.T, up *upstream, client *openai.Client) {
	route := up.on("/v1/files", playJSON(200, `{"id":"file-1","object":"file","bytes":9000000,"created_at":1764000000,"filename":"a.jsonl","purpose":"batch","status":"processed"}`))
	content := noise(9_000_000)
	got, err := client.Files.New(t.Context(), openai.FileNewParams{
		File:    openai.File(bytes.NewReader(content), "a.jsonl", "application/jsonl"),
		Purpose: openai.FilePurposeBatch,
	})
	if err != nil || got.ID != "file-1" {
		t.Fatalf("got %+v, error %v", got, err)
	}
	if file, _ := uploaded(t, route.next(t)); !bytes.Equal(file, content) {
		t.Errorf("the upstream got another file of %d bytes", len(file))
	}
}

func sdkModels(t *testing.T, client *openai.Client) {
	page, err := client.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range page.Data {
		listed[m.ID] = true
		if m.Object != "model" || m.OwnedBy == "" || m.Created < 0 {
			t.Errorf("not a model object: %s", m.RawJSON())
		}
	}
	if !listed["smart"] || !listed["fast"] || !listed["gpt-upstream"] {
		t.Errorf("the list lacks a model, an alias or what the provider lists: %v", listed)
	}
	for _, name := range []string{"smart", "fast"} {
		got, err := client.Models.Get(t.Context(), name)
		if err != nil || got.ID != name {
			t.Errorf("get %s: %+v, error %v", name, got, err)
		}
	}
}

// jsonEqual compares two documents as JSON.
func jsonEqual(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// wantAccumulated drains a chat stream into an accumulator.
func wantAccumulated(t *testing.T, ctx context.Context, client *openai.Client, params openai.ChatCompletionNewParams) *openai.ChatCompletionAccumulator {
	t.Helper()
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	defer stream.Close()
	acc := new(openai.ChatCompletionAccumulator)
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatalf("a chunk does not fit: %s", stream.Current().RawJSON())
		}
		if m := stream.Current().Model; m != params.Model {
			t.Errorf("a chunk names the model %q, not %q", m, params.Model)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(acc.ID) == "" {
		t.Fatal("the stream was empty")
	}
	return acc
}
