package provider

import "strings"

// Capability is a set of things that not every model can do.
type Capability uint16

// The capabilities. Chat, completions and embeddings are kinds of calls; Chat
// covers the calls that are a conversation, whatever the API. The others are
// what such a call may ask for.
const (
	Chat Capability = 1 << iota
	Completions
	Embeddings
	Tools
	Vision
	Audio
	JSONSchema
	Streaming

	// Kinds are the kinds of calls.
	Kinds = Chat | Completions | Embeddings
	// AllCapabilities is what a model can do of which nothing is known.
	AllCapabilities = 1<<iota - 1
)

var capabilityNames = [...]string{
	"chat", "completions", "embeddings", "tools", "vision", "audio", "json_schema", "streaming",
}

// ParseCapability returns the capability of that name, 0 if there is none.
func ParseCapability(name string) Capability {
	for i, n := range capabilityNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// CapabilityNames returns the names of all capabilities.
func CapabilityNames() []string { return capabilityNames[:] }

// Has reports whether c includes all of other.
func (c Capability) Has(other Capability) bool { return c&other == other }

// Names returns the names of what is in c.
func (c Capability) Names() []string {
	var names []string
	for i, n := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names, separated by commas.
func (c Capability) String() string { return strings.Join(c.Names(), ", ") }

// Needs is what a request asks of a model, as far as it can be told from its body.
type Needs struct {
	// Capabilities must all be there.
	Capabilities Capability
	// InputTokens is an estimate of the input, 0 when there is nothing to go by.
	// It is right to within a factor of two for most texts.
	InputTokens int
	// OutputTokens is the most that the client wants, 0 when it does not say.
	OutputTokens int
}
