package dialect

import (
	"slices"
	"testing"
)

// Models that bind thinking to what came before it refuse a request in which that has moved, unless they are asked to drop it.
func TestThinkingThatIsBound(t *testing.T) {
	t.Parallel()
	const (
		before   = `"messages":[{"role":"assistant","content":"So:","thinking_blocks":[` + thoughtA + `,` + thoughtC + `]},{"role":"user","content":"Hi"}]`
		unsigned = `"messages":[{"role":"assistant","content":"So:","thinking_blocks":[{"type":"thinking","thinking":"A","signature":""}]},{"role":"user","content":"Hi"}]`
		only     = `"messages":[{"role":"user","content":"Hm"},{"role":"assistant","content":null,"thinking_blocks":[` + thoughtA + `]},{"role":"user","content":"Hi"}]`
		with     = `"messages":[{"role":"assistant","content":[` + thoughtA + `,` + thoughtC + `,{"type":"text","text":"So:"}]},{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
		without  = `"messages":[{"role":"assistant","content":[{"type":"text","text":"So:"}]},{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
		drop     = `"block_binding":{"prefix_mismatch_behavior":"drop_block"}`
		adaptive = `,"thinking":{"type":"adaptive",` + drop + `}`
		asks     = `,"thinking":{"type":"adaptive","display":"summarized",` + drop + `},"output_config":{"effort":"low"}`
	)
	left := []string{"messages.thinking_blocks"}
	for _, test := range []struct {
		name, model, body, want string
		betas, adjusted         []string
	}{
		{"thinking comes back", "claude-opus-5-5", before, with + adaptive, []string{bindingBeta}, nil},
		{"to each of these", "claude-mythos-5-1", before, with + adaptive, []string{bindingBeta}, nil},
		{"and to", "us.anthropic.claude-haiku-5-5", before, with + adaptive, []string{bindingBeta}, nil},
		{"with an effort", "claude-fable-5-1", before + `,"reasoning_effort":"low"`, with + asks, []string{bindingBeta}, nil},
		{"the client says how to think", "claude-sonnet-5-5", before + `,"thinking":{"type":"adaptive"}`, with + adaptive, []string{bindingBeta}, nil},
		{"the client says what to do", "claude-sonnet-5-5", before + `,"thinking":{"type":"adaptive","block_binding":{"prefix_mismatch_behavior":"error"}}`,
			with + `,"thinking":{"type":"adaptive","block_binding":{"prefix_mismatch_behavior":"error"}}`, []string{bindingBeta}, nil},
		{"thinking is off", "claude-sonnet-5-5", before + `,"reasoning_effort":"none"`, without + `,"thinking":{"type":"between_tools"}`, nil, left},
		{"thinking is off, and there was nothing else", "claude-sonnet-5-5", only + `,"reasoning_effort":"none"`,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hm"}]},{"role":"user","content":[{"type":"text","text":"Hi"}]}],"thinking":{"type":"between_tools"}`, nil, left},
		{"none comes back", "claude-opus-5-5", asked, askedAs, nil, nil},
		{"none that is signed", "claude-opus-5-5", unsigned, without, nil, nil},
		{"a model that does not bind it", "claude-opus-5", before, with, nil, nil},
		{"an older one", "claude-mythos-5", before, with, nil, nil},
		{"another vendor's", "deepseek-chat", before, with, nil, nil},
	} {
		got, err := Translate(Chat, Messages, []byte("{"+test.body+"}"), &Target{Model: test.model})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if want := `{"model":"` + test.model + `","max_tokens":4096,` + test.want + `}`; string(got.Body) != want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got.Body, want)
		}
		if !slices.Equal(got.Betas, test.betas) || !slices.Equal(got.Adjusted, test.adjusted) {
			t.Errorf("%s: it needs %q, adjusted %q", test.name, got.Betas, got.Adjusted)
		}
	}
	got, err := Translate(Responses, Messages, []byte(`{"input":[`+thoughtItem(thoughtA)+`,{"type":"message","role":"assistant","content":"So:"},{"role":"user","content":"Hi"}],"reasoning":{"effort":"none"}}`), &Target{Model: "claude-sonnet-5-5"})
	if err != nil || !slices.Equal(got.Adjusted, []string{"input"}) {
		t.Errorf("%v, %+v", err, got)
	}
}
