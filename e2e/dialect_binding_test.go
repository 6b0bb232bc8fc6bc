package e2e

import (
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestThinkingThatIsBound: a model that binds its thinking to where it stood is asked to drop what has moved, with the feature
// of its API which that needs, beside the client's own.
func TestThinkingThatIsBound(t *testing.T) {
	t.Parallel()
	d := startDialects(t)
	seen := d.ant.serve(t, "claude-opus-5-5-bound", say("Cold.").says)
	block := `{"type":"thinking","thinking":"Hm.","signature":"` + signature("anthropic", "Hm.") + `"}`
	got, err := d.g.sdk().Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: "ant/claude-opus-5-5-bound",
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.UserMessage("Hi"), replay(`{"role":"assistant","content":"So:","thinking_blocks":[` + block + `]}`), openai.UserMessage("Is it cold?"),
		},
	}, option.WithHeader("Anthropic-Beta", "context-management-2025-06-27"))
	if err != nil || got.Choices[0].Message.Content != "Cold." {
		t.Fatalf("%v, %v", explain(err), got)
	}
	seen.want(0, "messages.1.content.0", block)
	seen.want(0, "thinking", `{"type":"adaptive","block_binding":{"prefix_mismatch_behavior":"drop_block"}}`)
	if betas := seen.raw[0].Req.Header.Values("Anthropic-Beta"); len(betas) != 1 || betas[0] != "context-management-2025-06-27,thinking-binding-controls-2026-08-01" {
		t.Errorf("the features are %q", betas)
	}
}
