package dialect

import "encoding/json"

// The shapes of OpenAI's chat completions, through which translators go. Values that are not looked into
// stay as they were written and alias the body they were read from; so do the members that are
// not known, in Extra.
type (
	// ChatRequest is a request.
	ChatRequest struct {
		Model             string
		Messages          []ChatMessage
		Tools             []ChatTool
		ToolChoice        json.RawMessage
		ParallelToolCalls *bool
		ResponseFormat    json.RawMessage
		MaxTokens         *int64 // max_completion_tokens, else max_tokens
		LimitName         string // which of the two that is
		Temperature       json.RawMessage
		TopP              json.RawMessage
		Stop              []string
		Stream            bool
		IncludeUsage      bool
		ReasoningEffort   string
		User              string
		ServiceTier       string
		Extra             []Member // the others, in their order
	}

	// ChatMessage is a message of a conversation.
	ChatMessage struct {
		Role string
		Name string
		// Content is what it says. Text is whether that was written as a string.
		Content []ChatPart
		Text    bool
		// ToolCalls are an assistant's, and ToolCallID is what a tool's message answers.
		ToolCalls  []ChatToolCall
		ToolCallID string
		Refusal    string

		// Extensions: reasoning as text, and as Anthropic's blocks with their signatures; and
		// Anthropic's cache_control.
		ReasoningContent string
		ThinkingBlocks   []json.RawMessage
		CacheControl     json.RawMessage

		Extra []Member
	}

	// ChatPart is a part of a message's content.
	ChatPart struct {
		Type string // text, image_url, input_audio, file, refusal, thinking, ...
		// Quoted is the text, of text and refusal, as it was written, with its quotes.
		Quoted json.RawMessage

		URL, Detail string // of image_url
		// File is the value of file, and Audio of input_audio.
		File, Audio json.RawMessage

		CacheControl json.RawMessage
		// Raw is the part as it was written.
		Raw json.RawMessage
	}

	// ChatToolCall is a call of a tool by the assistant. Arguments are JSON text, or
	// what the model took for it.
	ChatToolCall struct {
		ID, Name, Arguments string
		// ExtraContent is extra_content, in which Google's server has thought signatures.
		ExtraContent json.RawMessage
	}

	// ChatTool is a function that may be called.
	ChatTool struct {
		Name, Description string
		HasDescription    bool
		Parameters        json.RawMessage
		Strict            *bool
		CacheControl      json.RawMessage
	}

	// ChatDelta is a message of an answer, or what an event of a stream adds to it.
	ChatDelta struct {
		Role      string
		Content   string
		Refusal   string
		Reasoning string // reasoning_content or reasoning
		// ContentJSON and ReasoningJSON are the two as they were written, with their quotes, which saves
		// quoting them once more. They are nil where there is no such string.
		ContentJSON, ReasoningJSON json.RawMessage
		// ThinkingBlocks is an extension: Anthropic's blocks, or their signatures.
		ThinkingBlocks []json.RawMessage
		ToolCalls      []ChatToolDelta
		// Annotations are those of the text, such as citations of pages.
		Annotations []json.RawMessage
	}

	// ChatToolDelta is a call of a tool, or what an event adds to it.
	ChatToolDelta struct {
		Index int // -1 where there was none
		ChatToolCall
		// ArgumentsJSON are the arguments as they were written, with their quotes, nil if there is no such string.
		ArgumentsJSON json.RawMessage
	}

	// ChatChoice is an answer, or an event's part of it.
	ChatChoice struct {
		Index        int
		Delta        ChatDelta // delta or message
		FinishReason string
		// Logprobs is the array logprobs.content, nil if there is none.
		Logprobs json.RawMessage
	}

	// ChatAnswer is a whole answer (chat.completion) or an event of a stream (chat.completion.chunk).
	ChatAnswer struct {
		ID, Model, ServiceTier string
		Created                json.RawMessage
		Choices                []ChatChoice
		HasChoices             bool // there is an array of choices, if an empty one
		Usage                  Usage
		HasUsage               bool
		// SearchResults and Citations are extensions of Perplexity's: the sources of the answer, nil if there are none.
		SearchResults, Citations json.RawMessage
		// Error is what it reports as an error, with the status that it would have had.
		Error *Error

		walk *chatWalk
	}
)
