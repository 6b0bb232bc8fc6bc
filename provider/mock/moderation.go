package mock

import "cmp"

// moderation is a call of moderations. Nothing is ever flagged.
type moderation struct {
	Model string `json:"model"`
	Input inputs `json:"input"`
}

// categories are those of omni-moderation.
var categories = []string{
	"harassment", "harassment/threatening", "hate", "hate/threatening",
	"illicit", "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent",
	"sexual", "sexual/minors", "violence", "violence/graphic",
}

func (m *moderation) prompt() (*prompt, error) {
	if len(m.Input) == 0 {
		return nil, refuse("input", "Missing required parameter: 'input'.")
	}
	q, err := newPrompt(cmp.Or(m.Model, "omni-moderation-latest")) // the model may be left out
	if err != nil {
		return nil, err
	}
	for _, in := range m.Input {
		q.count("input", in.text, in.tokens)
		q.asked = []string{in.text}
	}
	return q, nil
}

type moderationAnswer struct {
	ID      string             `json:"id"`
	Model   string             `json:"model"`
	Results []moderationResult `json:"results"`
}

type moderationResult struct {
	Flagged    bool                `json:"flagged"`
	Categories map[string]bool     `json:"categories"`
	Scores     map[string]float64  `json:"category_scores"`
	InputTypes map[string][]string `json:"category_applied_input_types"`
}

func (m *moderation) whole(q *prompt, _ []reply) any {
	const low = 0.0001
	answer := moderationAnswer{ID: q.random(idOfAnswer).id("modr-", 29), Model: q.model}
	for range m.Input {
		result := moderationResult{
			Categories: make(map[string]bool),
			Scores:     make(map[string]float64),
			InputTypes: make(map[string][]string),
		}
		for _, name := range categories {
			result.Categories[name], result.Scores[name] = false, low
			result.InputTypes[name] = []string{"text"}
		}
		answer.Results = append(answer.Results, result)
	}
	return answer
}

var _ endpoint = (*moderation)(nil)
