package dialect

import "testing"

func TestClaudeOf(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]claude{
		"claude-3-haiku-20240307":                      {from: 1},
		"claude-3-5-sonnet-latest":                     {from: 1},
		"claude-3-7-sonnet-20250219":                   {from: 37},
		"claude-sonnet-4-20250514":                     {from: 37},
		"anthropic.claude-sonnet-4-20250514-v1:0":      {from: 37},
		"claude-opus-4-1@20250805":                     {from: 41},
		"us.anthropic.claude-sonnet-4-5-20250929-v1:0": {from: 45},
		"claude-haiku-4-5":                             {from: 45},
		"anthropic/claude-opus-4.6":                    {from: 46},
		"claude-sonnet-4-6[1m]":                        {from: 46},
		"claude-opus-4-7":                              {from: 47, family: "opus"},
		"claude-opus-4-8-20260601":                     {from: 47, family: "opus"},
		"claude-sonnet-5":                              {from: 50, family: "sonnet"},
		"claude-opus-5-20260901":                       {from: 50, family: "opus"},
		"claude-opus-5-5":                              {from: 55, family: "opus"},
		"claude-sonnet-6":                              {from: 55, family: "sonnet"},
		"claude-fable-5":                               {from: 50},
		"claude-fable-5-1":                             {from: 51, family: "fable"},
		"claude-fable-5-2":                             {from: 51, family: "fable"},
		"claude-mythos-preview":                        {family: "mythos"},
		"claude-mythos-5":                              {family: "mythos"},
		"claude-mythos-5-1":                            {from: 51, family: "mythos"},
		"claude-haiku-5-5":                             {from: 55, family: "haiku"},
		"claude":                                       {},
		"claude-99999999999999999999-x":                {},
		"deepseek-chat-5":                              {},
		"":                                             {},
	} {
		if got := claudeOf(model); got.from != want.from || got.family != want.family {
			t.Errorf("%s is taken for %s from %d", model, got.family, got.from)
		}
	}
}

func TestPersonal(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]bool{
		"a@b.example": true, "+15551234567": true, "(555) 123-4567": true, "555.123.4567": true,
		"user-1": false, "1234567890": false, "": false, "550e8400-e29b-41d4-a716-446655440000": false, "1-2": false, "1111-2222-3333-4444-5555": false,
	} {
		if personal(user) != want {
			t.Errorf("%q: %t", user, !want)
		}
	}
}
