package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// geminiEmbeddings answers with one vector a request, of which the first begins with 0 and so on.
func geminiEmbeddings(_ *vendor, x *exchange, _ string, _ bool) {
	var vectors []string
	for n := range strings.Count(string(x.Body), `"content"`) {
		vectors = append(vectors, `{"values":[`+string(rune('0'+n))+`,0.0023064255,-1e-7]}`)
	}
	x.json(200, indented(`{"embeddings":[`+strings.Join(vectors, ",")+`]}`))
}

// TestEmbeddingsByGemini: OpenAI's client gets vectors of Google's.
func TestEmbeddingsByGemini(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	seen := d.gem.serve(t, "gemini-embedding-001", geminiEmbeddings)
	client := d.g.sdk(option.WithMaxRetries(0))
	for format, want := range map[string]int{"": 2, "float": 2, "one": 1} {
		params := openai.EmbeddingNewParams{Model: "gem/gemini-embedding-001", Dimensions: openai.Int(3)}
		params.Input.OfArrayOfStrings = []string{"one", "two"}
		if format == "one" {
			params.Input = openai.EmbeddingNewParamsInputUnion{OfString: openai.String("one")}
		} else if format != "" {
			params.EncodingFormat = openai.EmbeddingNewParamsEncodingFormat(format)
		}
		got, err := client.Embeddings.New(t.Context(), params)
		if err != nil {
			t.Fatal(explain(err))
		}
		if len(got.Data) != want || got.Model != "gem/gemini-embedding-001" || got.Object != "list" {
			t.Fatalf("got %s", got.RawJSON())
		}
		for n, e := range got.Data {
			if e.Index != int64(n) || e.Object != "embedding" || len(e.Embedding) != 3 || e.Embedding[0] != float64(n) || e.Embedding[2] != -1e-7 {
				t.Errorf("vector %d is %s", n, e.RawJSON())
			}
		}
	}
	if body, _ := seen.request(0); at(body, "requests.0.outputDimensionality") == nil {
		t.Errorf("the dimensions are lost: %v", body)
	}
	_, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "gem/gemini-embedding-001", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfTokens: []int64{1, 2}},
	})
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != 400 || !strings.HasPrefix(e.Param, "input") {
		t.Errorf("tokens: %v", explain(err))
	}
	// Anthropic has none.
	_, err = client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "ant/claude-sonnet-4-5", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("one")},
	})
	if !errors.As(err, &e) || e.StatusCode != 400 || e.Code != "unsupported_endpoint" {
		t.Errorf("Anthropic: %v", explain(err))
	}
}

// TestCostAcrossDialects: the tokens of a translated answer are counted and paid for like any, those from the cache
// at their own price; what answers show is the alias.
func TestCostAcrossDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t,
		"model by-ant {\ntarget ant/claude-sonnet-4-5-cost {\nprice 3 15 0.3\n}\n}\nalias also-ant by-ant",
		"model by-gem {\ntarget gem/gemini-3-pro-cost {\nprice 3 15 0.3\n}\n}\nalias also-gem by-gem",
		"model by-oai {\ntarget oai/gpt-4o-cost {\nprice 3 15 0.3\n}\n}\nalias also-oai by-oai")
	for name, c := range map[string]struct {
		v     *vendor
		model string
	}{"ant": {d.ant, "claude-sonnet-4-5-cost"}, "gem": {d.gem, "gemini-3-pro-cost"}, "oai": {d.oai, "gpt-4o-cost"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.v.serve(t, c.model, say("Hi.").says)
			chat, messages := d.g.sdk(), d.g.claude()
			got, err := chat.Chat.Completions.New(t.Context(), ask("also-"+name))
			if err != nil || got.Model != "also-"+name {
				t.Errorf("got %v, error %v", got, explain(err))
			}
			wantAccumulated(t, t.Context(), chat, ask("by-"+name))
			said, err := messages.Messages.New(t.Context(), tell("also-"+name))
			if err != nil || said.Model != "also-"+name {
				t.Errorf("got %v, error %v", said, explain(err))
			}
			accumulate(t, messages, tell("by-"+name))
			wantMetric(t, d.g, 400, "runestone_tokens_total", "input", "provider="+name)
			wantMetric(t, d.g, 80, "runestone_tokens_total", "output", "provider="+name)
			wantCost(t, d.g, "provider="+name, 4*(40*3+60*0.3+20*15)/1e6)
		})
	}
}

// TestEventsAreNotHeldBackInOtherDialects: each event of a vendor is the client's before the next is sent.
func TestEventsAreNotHeldBackInOtherDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	words := []string{"one ", "two ", "three ", "four"}
	for _, c := range []struct {
		v     *vendor
		model string
	}{{d.ant, "claude-sonnet-4-5-steps"}, {d.gem, "gemini-3-pro-steps"}, {d.oai, "gpt-4o-steps"}} {
		for path, body := range map[string]string{
			chatPath:      `{"model":%q,"stream":true,"messages":[{"role":"user","content":"a"}]}`,
			messagesPath:  `{"model":%q,"stream":true,"max_tokens":100,"messages":[{"role":"user","content":"a"}]}`,
			responsesPath: `{"model":%q,"stream":true,"input":"a"}`,
		} {
			if c.v == d.oai && path == responsesPath {
				continue // which it would have to have itself
			}
			t.Run(c.v.provider+path, func(t *testing.T) {
				t.Parallel()
				step := make(chan struct{})
				model := c.model + strings.ReplaceAll(path, "/", "-")
				c.v.serve(t, model, func(v *vendor, x *exchange, model string, _ bool) {
					x.head(http.StatusOK, "Content-Type: "+v.media, "Transfer-Encoding: chunked")
					for _, e := range v.events(say(words...), model) {
						x.chunk(e)
						for _, w := range words {
							if strings.Contains(e, quote(w)) {
								select {
								case <-step:
								case <-x.gone:
									return
								}
							}
						}
					}
					x.end()
				})
				s := d.g.open(t, path, strings.Replace(body, "%q", quote(c.v.provider+"/"+model), 1))
				for _, w := range words {
					for {
						event, err := s.next()
						if err != nil {
							t.Fatalf("%v after %q", err, event)
						}
						if strings.Contains(event, quote(w)) {
							break
						}
					}
					step <- struct{}{}
				}
				if rest, err := s.rest(); err != nil || rest == "" {
					t.Errorf("the end is %q, error %v", rest, err)
				}
			})
		}
	}
}
