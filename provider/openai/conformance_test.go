package openai

import (
	"testing"

	"github.com/runestone-gateway/runestone/provider/providertest"
)

const exampleChat = `{"stream":true, "model" : "smart","messages":[{"role":"user","content":"smart\u0021 \"model\""}],"seed":12345678901234567890,"x":{"model":"smart"}}`

func bearer(secret string) (name, value string) { return "Authorization", "Bearer " + secret }

func TestConformance(t *testing.T) {
	t.Parallel()
	for i := range presets {
		known := &presets[i]
		t.Run(known.name, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, providertest.Case{
				Module:     "runestone.providers." + known.name,
				Config:     func(server string) string { return `{"base_url":"` + server + `/some/v1/"}` },
				Credential: bearer,
				Travels:    []string{"Openai-Beta"},
				Calls: []providertest.Call{
					{Name: "chat", Path: "/v1/chat/completions", Body: exampleChat, WantURL: "/some/v1/chat/completions"},
					{Name: "chat with another model", Path: "/v1/chat/completions", Body: exampleChat, Model: `org/a"b`, WantURL: "/some/v1/chat/completions"},
					{Name: "embeddings", Path: "/v1/embeddings", Body: `{"input":[1.0,2e3],"model":"a"}`, Model: "b", WantURL: "/some/v1/embeddings"},
					{Name: "a response", Path: "/v1/responses", Body: `{"input":"a","model":"a"}`, Model: "b", WantURL: "/some/v1/responses"},
					{Name: "without a body", Path: "/v1/models", Query: "a=%2F&b", WantURL: "/some/v1/models?a=%2F&b"},
					{Name: "what the gateway does not know", Path: "/v1/moderations", Body: `{"input":"x"}`, WantURL: "/some/v1/moderations"},
				},
			})
		})
	}
}
