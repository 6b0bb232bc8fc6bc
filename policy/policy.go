// Package policy chooses which target of a model to ask next. A policy is a
// Caddy module in the namespace runestone.policies whose type implements [Selector].
package policy

import "github.com/runestone-gateway/runestone/provider"

// Target is one provider's own model.
type Target struct {
	// Provider is the name of a configured provider.
	Provider string `json:"provider"`
	// Model is the provider's own name for the model.
	Model string `json:"model"`
}

// Selector picks the target to try next.
type Selector interface {
	// Select returns one of targets, which is never empty, is in the order of
	// the configuration and holds only those that r has not been tried on.
	// It is called concurrently, must be fast, and must not keep or modify targets.
	Select(targets []*Target, r *provider.Request) *Target
}
