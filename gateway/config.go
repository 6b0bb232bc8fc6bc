package gateway

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/policy"
)

// Defaults of the configuration.
const (
	DefaultMaxBody      = 32 << 20
	DefaultDrainTimeout = caddy.Duration(30e9)

	DefaultConnectTimeout   = caddy.Duration(5e9)
	DefaultFirstByteTimeout = caddy.Duration(60e9)
	DefaultIdleTimeout      = caddy.Duration(30e9)
	DefaultTotalTimeout     = caddy.Duration(600e9)
)

// Config is what a user sets on the app.
type Config struct {
	// Providers are the upstream APIs by the name that targets give them. With
	// none, every provider whose customary environment variable holds a key
	// (OPENAI_API_KEY, ...) is used, and when no variable does, the mock
	// provider answers.
	Providers map[string]*Provider `json:"providers,omitempty"`

	// Models are what clients may ask for, by name.
	Models map[string]*Model `json:"models,omitempty"`

	// Aliases are further names: of a model, of another alias, or of a target
	// written provider/model.
	Aliases map[string]string `json:"aliases,omitempty"`

	// StrictModels refuses every name that is neither a model nor an alias.
	// Otherwise a name of the form provider/model goes to that provider, and
	// any other to the passthrough provider.
	StrictModels bool `json:"strict_models,omitempty"`

	// ReportModel is the model name that answers carry: "requested" (default),
	// the name that the client asked for, or "upstream", the provider's own.
	ReportModel string `json:"report_model,omitempty"`

	// Timeouts bound every upstream call, unless its provider sets its own.
	Timeouts *Timeouts `json:"timeouts,omitempty"`

	// MaxBody is the largest JSON request body in bytes; a larger one is
	// refused with 413. Uploads that are relayed as they arrive are not
	// bounded. Default 32 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// DrainTimeout is how long open streams may go on once the process has been
	// told to exit; then each gets an error event and ends. A shorter
	// grace_period of Caddy's shortens it, so that no stream is cut without
	// its error event. Default 30s.
	DrainTimeout caddy.Duration `json:"drain_timeout,omitempty"`
}

// Provider is one upstream API.
type Provider struct {
	// AdapterRaw says which API it speaks, and where.
	AdapterRaw json.RawMessage `json:"adapter" caddy:"namespace=runestone.providers inline_key=type"`

	// APIKeys are the credentials to present, usually placeholders such as
	// {env.OPENAI_API_KEY} or {file./run/secrets/openai}, which are resolved when the
	// configuration is loaded. Several take turns. None for a server that asks for none; an
	// adapter for a known service (openai without a base_url) then takes its customary variable, OPENAI_API_KEY.
	APIKeys []string `json:"api_keys,omitempty"`

	// Passthrough marks the provider that gets what names no configured model:
	// files, audio, fine-tuning, and bare model names unless strict_models is
	// set. At most one has it. A provider that stands alone needs no mark.
	Passthrough bool `json:"passthrough,omitempty"`

	// Timeouts overrides, field by field, the app's.
	Timeouts *Timeouts `json:"timeouts,omitempty"`
}

// Model is a name that clients ask for and the targets that can serve it.
type Model struct {
	// Targets can each serve the model. At least one.
	Targets []*policy.Target `json:"targets"`

	// PolicyRaw chooses among the targets. Default failover.
	PolicyRaw json.RawMessage `json:"policy,omitempty" caddy:"namespace=runestone.policies inline_key=type"`
}

// Timeouts bound an upstream call. Zero means the default; negative, none.
type Timeouts struct {
	// Connect bounds the dial and the TLS handshake. Default 5s.
	Connect caddy.Duration `json:"connect,omitempty"`
	// FirstByte bounds the wait for the first event of a stream. An answer
	// that is not streamed has only Total. Default 60s.
	FirstByte caddy.Duration `json:"first_byte,omitempty"`
	// Idle bounds the silence between two chunks of an answer. Default 30s.
	Idle caddy.Duration `json:"idle,omitempty"`
	// Total bounds the whole call. Default 10m.
	Total caddy.Duration `json:"total,omitempty"`
}
