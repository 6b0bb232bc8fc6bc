package gateway

import (
	"bytes"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/breaker"
	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/overflow"
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

	DefaultAttempts   = 3
	DefaultBackoff    = caddy.Duration(250e6)
	DefaultMaxBackoff = caddy.Duration(5e9)
	DefaultBudget     = 0.2

	DefaultLineWait   = caddy.Duration(30e9)
	DefaultLineLength = 1000
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

	// Breaker says when a target is left alone for a while because its calls fail.
	Breaker *breaker.Config `json:"breaker,omitempty"`

	// Retry says how often, and how soon, a request is tried again.
	Retry *Retry `json:"retry,omitempty"`

	// Line is where requests wait while no target can take them.
	Line *Line `json:"line,omitempty"`

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

	// Overflow is how requests are made durable that nobody can serve now, and run
	// later. Without it, the defaults hold, and the queue is opened when it is first
	// needed; with it, when the app starts.
	Overflow *overflow.Config `json:"overflow,omitempty"`

	// UsageLog has the logger runestone.usage write a line for each request that is over, and each run of a
	// queued one that was answered: with its tokens, their cost, and who asked. Default off.
	UsageLog bool `json:"usage_log,omitempty"`

	// Keys are the API keys of clients, and what these may use. Without any, the gateway is open
	// to everybody who reaches it.
	Keys *keys.Config `json:"keys,omitempty"`
}

// Provider is one upstream API.
type Provider struct {
	// AdapterRaw says which API it speaks, and where.
	AdapterRaw json.RawMessage `json:"adapter" caddy:"namespace=runestone.providers inline_key=type"`

	// APIKeys are the credentials to present. Several are used by their weights; one
	// that the provider refuses is set aside, one that it throttles pauses. None for a
	// server that asks for none; an adapter for a known service (openai without a
	// base_url) then takes its customary variable, OPENAI_API_KEY.
	APIKeys []APIKey `json:"api_keys,omitempty"`

	// MaxConcurrency bounds the calls that each target of the provider has at a
	// time: a fixed number (ceiling), or one that follows what the target can
	// take (adaptive). Default: no bound.
	MaxConcurrency *breaker.LimitConfig `json:"max_concurrency,omitempty"`

	// Probe is how often the provider is asked for its list of models, a tenth sooner or later, to see
	// whether it is there and accepts its API keys. The health of the gateway shows that; requests go to it in any
	// case. From 1s to 24h. Default: never.
	Probe caddy.Duration `json:"probe,omitempty"`

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

	// HedgeAfter overrides Retry's for this model; negative means never.
	HedgeAfter caddy.Duration `json:"hedge_after,omitempty"`
}

// APIKey is a credential for a provider. In JSON it is a string, or an object
// where it has a weight.
type APIKey struct {
	// Key is usually a placeholder such as {env.OPENAI_API_KEY} or
	// {file./run/secrets/openai}, which is resolved when the configuration is
	// loaded; a file is read again when it changes.
	Key string `json:"key"`
	// Weight is the key's share of the calls, in proportion to the others'.
	// Default 1, at most 1000000.
	Weight int `json:"weight,omitempty"`
}

// MarshalJSON writes a key without a weight as a string.
func (k APIKey) MarshalJSON() ([]byte, error) {
	if k.Weight == 0 {
		return json.Marshal(k.Key)
	}
	type plain APIKey
	return json.Marshal(plain(k))
}

// UnmarshalJSON reads a string or an object.
func (k *APIKey) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*k = APIKey{}
		return json.Unmarshal(b, &k.Key)
	}
	type plain APIKey
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode((*plain)(k))
}

// Retry says how a request is tried again, which is only done before the first byte of
// an answer has gone to the client. Another target is asked at once. The same target
// is asked again only after a failed connection, once, or when the pause that it
// asked for is over.
type Retry struct {
	// Attempts is how many calls a request may cost, the first included.
	// Default 3, at most 20; 1 means that nothing is tried again.
	Attempts int `json:"attempts,omitempty"`

	// Backoff is how long to wait before the same target is asked again, at
	// most: the wait is a random part of it. It doubles with each attempt, up
	// to MaxBackoff. A Retry-After of the provider wins. Default 250ms.
	Backoff caddy.Duration `json:"backoff,omitempty"`
	// MaxBackoff bounds Backoff. Default 5s, or Backoff if that is longer.
	MaxBackoff caddy.Duration `json:"max_backoff,omitempty"`

	// Budget is how many further calls there may be for each first call, as a
	// share, on top of a reserve for bursts of 100 calls that fills up by one a second. Default 0.2; negative: no bound.
	Budget float64 `json:"budget,omitempty"`

	// HedgeAfter is how long the first target of a stream may take to send anything
	// before a second is asked as well; the first to answer is taken and the other
	// cancelled. An answer that is not streamed sends nothing until it is complete, so there
	// is no hedge for it. Default, and if negative: never.
	HedgeAfter caddy.Duration `json:"hedge_after,omitempty"`
}

// Line is where requests wait, in memory and in turn, while no target can take them.
type Line struct {
	// Wait is how long a client waits that does not say (Prefer: wait=N), and the
	// longest that it may say. Default 30s; negative: nobody waits.
	Wait caddy.Duration `json:"wait,omitempty"`
	// Length is how many requests may wait. Default 1000, at most 1000000.
	Length int `json:"length,omitempty"`
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
