package gateway

import "strings"

// Kind is which call of the API a path is.
type Kind string

// The calls whose answers the gateway reads; any other is relayed unread.
const (
	Chat        Kind = "chat"
	Completions Kind = "completions"
	Embeddings  Kind = "embeddings"
	Responses   Kind = "responses"
	Other       Kind = "other"

	// Jobs is about requests that were queued; the gateway answers it itself.
	Jobs Kind = "overflow"
)

// JobsPath is where jobs are, each under its ID.
const JobsPath = "/v1/overflow/"

// KindOf returns the kind of call that a path is.
func KindOf(path string) Kind {
	switch path {
	case "/v1/chat/completions":
		return Chat
	case "/v1/completions":
		return Completions
	case "/v1/embeddings":
		return Embeddings
	case "/v1/responses":
		return Responses
	}
	if strings.HasPrefix(path, JobsPath) {
		return Jobs
	}
	return Other
}
