package openai

import (
	"fmt"
	"slices"

	"github.com/runestone-gateway/runestone/dialect"
)

// preset is a service or a server that speaks OpenAI's API.
type preset struct {
	name string // of the module
	base string // its URL, up to and including the version
	env  string // the customary variable of its key, "" for servers that one runs oneself

	// speaks are the calls that it knows. Those of OpenAI's API that are not understood, such as
	// audio, are passed on to any.
	speaks []dialect.API

	// quirks are how it differs from OpenAI, nil for OpenAI. Their Refused and Extensions are
	// for translated requests only: of others the server's answer says what it thinks of them.
	quirks *dialect.Quirks
}

// The calls by their short names, for the table.
const (
	chat        = dialect.Chat
	completions = dialect.Completions
	embeddings  = dialect.Embeddings
	responses   = dialect.Responses
	messages    = dialect.Messages
	countTokens = dialect.CountTokens
)

// unknownServer has the quirks of a server of which nothing is known: max_tokens and system are what every one
// understands. Models that are known to refuse max_tokens, such as gpt-5 behind a proxy, do not get it.
var unknownServer = dialect.Quirks{MaxTokens: true, SystemRole: true}

// presets are the modules of this package. OpenAI is the first. Sources, where no other is named: each vendor's page
// on its compatibility with OpenAI, as gathered in November 2026. Not looked up, but taken from general knowledge, are which of
// OpenRouter, Fireworks, llama.cpp and Hugging Face have responses and messages, and most extensions.
var presets = [...]preset{
	{
		name: "openai", base: DefaultBaseURL, env: "OPENAI_API_KEY",
		speaks: []dialect.API{chat, completions, embeddings, responses},
	},
	{
		// console.groq.com/docs/openai lists what is answered with a 400.
		name: "groq", base: "https://api.groq.com/openai/v1", env: "GROQ_API_KEY",
		speaks: []dialect.API{chat, responses},
		quirks: &dialect.Quirks{
			Refused:    []string{"logprobs", "top_logprobs", "logit_bias"},
			Extensions: []string{"reasoning_format", "include_reasoning"},
		},
	},
	{
		// docs.together.ai/docs/openai-api-compatibility; its logprobs are a number, and in a shape of their own.
		name: "together", base: "https://api.together.xyz/v1", env: "TOGETHER_API_KEY",
		speaks: []dialect.API{chat, completions, embeddings},
		quirks: &dialect.Quirks{
			MaxTokens: true, SystemRole: true,
			Refused:    []string{"logprobs", "top_logprobs"},
			Extensions: []string{"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"},
		},
	},
	{
		// It answers 422 to every parameter that it does not know (editor-code-assistant/eca#231), among
		// them store (Gitlawb/openclaude#739) and stream_options.include_usage: its streams have their usage in any case
		// (dnakov/anon-kode#53). docs.mistral.ai/capabilities/reasoning has none and high of the efforts.
		name: "mistral", base: "https://api.mistral.ai/v1", env: "MISTRAL_API_KEY",
		speaks: []dialect.API{chat, embeddings},
		quirks: &dialect.Quirks{
			MaxTokens: true, SystemRole: true, ToolIDs9: true, RequiredIsAny: true, NoUserAfterTool: true, NoStreamOptions: true, EffortHigh: true,
			Refused: []string{
				"seed", "user", "logit_bias", "logprobs", "top_logprobs", "store", "service_tier", "safety_identifier",
				"prompt_cache_key", "verbosity", "modalities", "audio", "web_search_options",
			},
			Extensions: []string{"random_seed", "safe_prompt", "prompt_mode"},
		},
	},
	{
		// The role developer is a 400 (earendil-works/pi#1048).
		name: "deepseek", base: "https://api.deepseek.com", env: "DEEPSEEK_API_KEY",
		speaks: []dialect.API{chat},
		quirks: &dialect.Quirks{MaxTokens: true, SystemRole: true, ReasoningBack: true, Extensions: []string{"thinking"}},
	},
	{
		// It has /v1/messages too, which it has deprecated.
		name: "xai", base: "https://api.x.ai/v1", env: "XAI_API_KEY",
		speaks: []dialect.API{chat, responses},
		quirks: &dialect.Quirks{SystemRole: true},
	},
	{
		// Messages must take turns (perplexityai/api-discussion#265); its description of the API has no logprobs.
		name: "perplexity", base: "https://api.perplexity.ai", env: "PERPLEXITY_API_KEY",
		speaks: []dialect.API{chat},
		quirks: &dialect.Quirks{
			MaxTokens: true, SystemRole: true, Alternate: true,
			Refused:    []string{"logprobs", "top_logprobs"},
			Extensions: []string{"top_k", "search_mode", "web_search_options"},
		},
	},
	{
		name: "openrouter", base: "https://openrouter.ai/api/v1", env: "OPENROUTER_API_KEY",
		speaks: []dialect.API{chat, completions, embeddings, responses, messages},
		quirks: &dialect.Quirks{
			Extensions: []string{"top_k", "min_p", "top_a", "repetition_penalty", "reasoning", "provider", "models", "plugins", "transforms"},
		},
	},
	{
		// docs.cohere.com/docs/compatibility-api: of the efforts there are none and high; stream_options, max_completion_tokens and
		// logprobs are known since August 2025 (cohere-ai/cohere-developer-experience#606).
		name: "cohere", base: "https://api.cohere.ai/compatibility/v1", env: "COHERE_API_KEY",
		speaks: []dialect.API{chat, embeddings},
		quirks: &dialect.Quirks{MaxTokens: true, SystemRole: true, EffortHigh: true},
	},
	{
		name: "fireworks", base: "https://api.fireworks.ai/inference/v1", env: "FIREWORKS_API_KEY",
		speaks: []dialect.API{chat, completions, embeddings, responses, messages},
		quirks: &dialect.Quirks{MaxTokens: true, SystemRole: true, Extensions: []string{"top_k", "min_p", "repetition_penalty"}},
	},
	{
		// inference-docs.cerebras.ai/resources/openai: system has the place of developer; some parameters are a 400, as is
		// parallel_tool_calls (agno-agi/agno#4508).
		name: "cerebras", base: "https://api.cerebras.ai/v1", env: "CEREBRAS_API_KEY",
		speaks: []dialect.API{chat, completions},
		quirks: &dialect.Quirks{
			SystemRole: true,
			Refused:    []string{"frequency_penalty", "presence_penalty", "logit_bias", "parallel_tool_calls", "prompt_cache_key", "verbosity"},
		},
	},
	{
		// Responses since 0.13.3; several system messages are refused by templates (maximhq/bifrost#6245).
		// docs.ollama.com/api/openai-compatibility does not list max_completion_tokens, and what it does not list is overlooked.
		name: "ollama", base: "http://localhost:11434/v1",
		speaks: []dialect.API{chat, completions, embeddings, responses, messages},
		quirks: &dialect.Quirks{MaxTokens: true, SystemRole: true, OneSystem: true, Extensions: []string{"top_k"}},
	},
	{
		name: "vllm", base: "http://localhost:8000/v1",
		speaks: []dialect.API{chat, completions, embeddings, responses, messages},
		quirks: &dialect.Quirks{
			SystemRole: true, OneSystem: true,
			Extensions: []string{
				"top_k", "min_p", "repetition_penalty", "chat_template_kwargs", "structured_outputs", "stop_token_ids", "ignore_eos",
			},
		},
	},
	{
		// tools/server/README.md: messages and its count_tokens since ggml-org/llama.cpp#17570.
		name: "llamacpp", base: "http://localhost:8080/v1",
		speaks: []dialect.API{chat, completions, embeddings, responses, messages, countTokens},
		quirks: &dialect.Quirks{
			MaxTokens: true, SystemRole: true, OneSystem: true,
			Extensions: []string{"top_k", "min_p", "repeat_penalty", "chat_template_kwargs", "grammar", "cache_prompt"},
		},
	},
	{
		name: "huggingface", base: "https://router.huggingface.co/v1", env: "HF_TOKEN",
		speaks: []dialect.API{chat, responses},
		quirks: &dialect.Quirks{MaxTokens: true, SystemRole: true},
	},
}

// calls are those that a server may be said to know.
var calls = [...]dialect.API{chat, completions, embeddings, responses, messages, countTokens}

const callNames = "chat, completions, embeddings, responses, messages and count_tokens"

// checkCall returns the error for what is none of calls.
func checkCall(call dialect.API) error {
	if slices.Contains(calls[:], call) {
		return nil
	}
	return fmt.Errorf("speaks has %q, which is no call that it may list: those are %s", string(call), callNames)
}
