package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestFailoverAcrossDialects: a model of two vendors answers each client in its own dialect, whichever of the
// two is down and in whichever way, and names the model as the client does.
func TestFailoverAcrossDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t,
		"model claude-first {\ntarget ant/claude-sonnet-4-5-pair\ntarget oai/gpt-4o-pair\n}",
		"model gpt-first {\ntarget oai/gpt-4o-pair\ntarget ant/claude-sonnet-4-5-pair\n}",
		"model gemini-first {\ntarget gem/gemini-3-pro-pair\ntarget ant/claude-sonnet-4-5-pair\n}")
	chat, messages := d.g.sdk(option.WithMaxRetries(0)), d.g.claude(anthropicoption.WithMaxRetries(0))
	vendors := map[string]*vendor{"claude-first": d.ant, "gpt-first": d.oai, "gemini-first": d.gem}
	names := map[*vendor]string{d.ant: "claude-sonnet-4-5-pair", d.oai: "gpt-4o-pair", d.gem: "gemini-3-pro-pair"}
	for _, model := range []string{"claude-first", "gpt-first", "gemini-first"} {
		first := vendors[model]
		for how, fail := range map[string]answerer{
			"a 500": refuses(500, `{"error":{"message":"down"}}`),
			"a 529": refuses(529, anthropicError("overloaded_error", "Overloaded")),
			"HTML":  refuses(502, "<html>bad gateway</html>"),
			"an error as the first event": func(v *vendor, x *exchange, _ string, stream bool) {
				event := map[*vendor]string{
					d.ant: anthropicErrorEvent("overloaded_error", "Overloaded"),
					d.oai: "data: " + errorJSON("Overloaded", "server_error", "overloaded") + "\n\n",
					d.gem: "data: " + strings.ReplaceAll(geminiError(503, "UNAVAILABLE", "Overloaded"), "\n", "") + "\r\n\r\n",
				}[v]
				if stream {
					v.stream(x, event)
				} else {
					x.json(503, `{"error":{"message":"down"}}`)
				}
			},
			"a ping and an end": func(v *vendor, x *exchange, _ string, stream bool) {
				if stream {
					v.stream(x, ": hello\n\n")
				} else {
					x.reset()
				}
			},
		} {
			t.Run(model+": "+how, func(t *testing.T) {
				for v, name := range names {
					if v == first {
						v.serve(t, name, fail)
					} else {
						v.serve(t, name, bothTools.says, bothTools.says, say("Warm and cold.").says)
					}
				}
				var raw *http.Response
				params := wantedTools(model)
				got, err := chat.Chat.Completions.New(t.Context(), params, option.WithResponseInto(&raw))
				if err != nil {
					t.Fatal(explain(err))
				}
				params.Messages = append(params.Messages, got.Choices[0].Message.ToParam())
				params.Messages = append(params.Messages, checkCalls(t, got.Choices[0])...)
				if p := raw.Header.Get("Runestone-Provider"); p == first.provider || got.Model != model || raw.Header.Get("Runestone-Attempts") == "1" {
					t.Errorf("%s answered as %s, after %s attempts", p, got.Model, raw.Header.Get("Runestone-Attempts"))
				}
				checkCalls(t, wantAccumulated(t, t.Context(), chat, wantedTools(model)).Choices[0])
				if acc := wantAccumulated(t, t.Context(), chat, params); acc.Choices[0].Message.Content != "Warm and cold." {
					t.Errorf("the end is %q", acc.Choices[0].Message.Content)
				}
				for v, name := range names {
					if v != first {
						v.serve(t, name, bothTools.says, bothTools.says, say("Warm and cold.").says)
					}
				}
				failoverMessages(t, messages, model)
			})
		}
	}
}

func failoverMessages(t *testing.T, client *anthropic.Client, model anthropic.Model) {
	t.Helper()
	params := messageTools(model)
	got, err := client.Messages.New(t.Context(), params)
	if err != nil {
		t.Fatal(explain(err))
	}
	params.Messages = append(params.Messages, got.ToParam(), anthropic.NewUserMessage(checkToolUse(t, *got)...))
	checkToolUse(t, accumulate(t, client, messageTools(model)))
	if end := accumulate(t, client, params); end.Content[0].Text != "Warm and cold." {
		t.Errorf("the end is %s", end.RawJSON())
	}
}

// TestConversationAcrossDialects: the turns of one conversation are answered by Anthropic, OpenAI and Google by
// turns, with thinking and tools, and each takes what the others have said.
func TestConversationAcrossDialects(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	var models []string
	for v, name := range map[*vendor]string{d.ant: "claude-sonnet-4-5-talk", d.oai: "gpt-4o-talk", d.gem: "gemini-3-pro-talk"} {
		v.serve(t, name, thinks.says, thinks.says)
		models = append(models, v.provider+"/"+name)
	}
	t.Run("chat", func(t *testing.T) {
		client := d.g.sdk()
		params := wantedTools("")
		for i := range 6 {
			params.Model = models[i%3]
			got, err := client.Chat.Completions.New(t.Context(), params)
			if err != nil {
				t.Fatal(explain(err))
			}
			message := got.Choices[0].Message
			params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("-7", message.ToolCalls[0].ID), openai.UserMessage("And now?"))
		}
	})
	t.Run("messages", func(t *testing.T) {
		client := d.g.claude()
		params := messageTools("")
		for i := range 6 {
			params.Model = models[i%3]
			got := accumulate(t, client, params)
			use := got.Content[len(got.Content)-1]
			params.Messages = append(params.Messages, got.ToParam(),
				anthropic.NewUserMessage(anthropic.NewToolResultBlock(use.ID, "-7", false), anthropic.NewTextBlock("And now?")))
		}
	})
}
