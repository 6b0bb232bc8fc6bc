package dialect

// API is a call of a vendor's API. Each has a dialect of its own.
type API string

// The calls whose requests and answers are understood. Other is any other.
const (
	Chat        API = "chat"         // OpenAI's POST /v1/chat/completions
	Completions API = "completions"  // OpenAI's POST /v1/completions
	Embeddings  API = "embeddings"   // OpenAI's POST /v1/embeddings
	Responses   API = "responses"    // OpenAI's POST /v1/responses
	Messages    API = "messages"     // Anthropic's POST /v1/messages
	CountTokens API = "count_tokens" // Anthropic's POST /v1/messages/count_tokens
	Other       API = "other"

	// Gemini is Google's generateContent and streamGenerateContent, and GeminiEmbed its
	// batchEmbedContents, which the gateway asks but does not offer.
	Gemini      API = "gemini"
	GeminiEmbed API = "gemini_embed"
)

// paths are those under which the gateway offers calls.
var paths = map[API]string{
	Chat: "/v1/chat/completions", Completions: "/v1/completions", Embeddings: "/v1/embeddings",
	Responses: "/v1/responses", Messages: "/v1/messages", CountTokens: "/v1/messages/count_tokens",
}

// APIOf returns the call that a path is.
func APIOf(path string) API {
	switch path {
	case "/v1/chat/completions":
		return Chat
	case "/v1/completions":
		return Completions
	case "/v1/embeddings":
		return Embeddings
	case "/v1/responses":
		return Responses
	case "/v1/messages":
		return Messages
	case "/v1/messages/count_tokens":
		return CountTokens
	}
	return Other
}

// Path returns the path under which a call is offered, "" for those that are not.
func (a API) Path() string { return paths[a] }

// Anthropic reports whether a call is one of Anthropic's API.
func (a API) Anthropic() bool { return a == Messages || a == CountTokens }
