// Package keys knows who may ask for what, and how much of it.
//
// A [Directory] holds the API keys of the configuration, of a watched file and of
// Caddy's storage, and finds the [Caller] that a secret belongs to. A [Limiter] admits
// a caller's request, or refuses it, by what the caller, the model and the caller with that
// model have used lately; a [Lease] is what was admitted, is settled when the true
// usage is known, and writes the headers in which a client learns where it stands.
//
// # How limits count
//
// What is admitted counts for the whole of the limit's window, and at most a sixtieth of it longer:
// the window is sixty parts and the one that has begun. So no span of the window's
// length ever sees more than the limit, which neither the bucket of GCRA nor
// golang.org/x/time/rate promise (both admit twice the limit within the first window: what
// the bucket holds and what flows in), nor do they take a usage that becomes known
// later. go-redis/redis_rate and throttled are GCRA as well, cannot return what was taken
// too much, and check one limit at a time where we take from all or none. So both stores here,
// memory and Redis, are our own, and do the same to the microsecond.
package keys

import (
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Config says which API keys there are and what they may use. Without any source of keys
// (Keys, File, Stored) the gateway is open to everybody.
type Config struct {
	// Keys are keys of the configuration. Their names differ.
	Keys []*Key `json:"keys,omitempty"`

	// File is the path of a file with further keys; the gateway resolves placeholders in it. It has JSON objects one after another, one
	// a line or not, or one array of them, each a [Key] and none longer than
	// 1 MiB. It is read again within seconds of a change. Replace it at once, by
	// renaming another to its name. A file that cannot be used changes nothing, and the log says why.
	File string `json:"file,omitempty"`

	// Stored says that keys are also made, rotated and revoked while the gateway runs, and
	// kept in Caddy's storage, where every node of a cluster finds them within seconds.
	Stored bool `json:"stored,omitempty"`

	// Limits hold for each key that has no Limits of its own.
	Limits *Limits `json:"limits,omitempty"`

	// ModelLimits hold for all requests for a model together, by its name, with
	// whichever key and with none.
	ModelLimits map[string]*Limits `json:"model_limits,omitempty"`

	// Redis has several nodes count together. Default: each node counts by itself.
	Redis *Redis `json:"redis,omitempty"`
}

// Key is an API key: a name, by which limits count and logs tell who it was, and the secrets
// that stand for it.
type Key struct {
	// Name tells keys apart: letters, digits, dots, dashes and underscores, at most 64, the first
	// a letter or a digit. It is no secret.
	Name string `json:"name"`

	// Secrets each stand for the key, side by side, so that one may be replaced by another
	// without a moment in which neither works. At least one.
	Secrets []Secret `json:"secrets,omitempty"`

	// Models are the names that the key may ask for. One that ends in * stands for all that
	// begin with what is before it. Default: all.
	Models []string `json:"models,omitempty"`

	// Routes are the kinds of call that the key may make: chat, completions, embeddings,
	// responses, messages, count_tokens, overflow, other. Default: all.
	Routes []string `json:"routes,omitempty"`

	// Priority is the best place in the queue that the key may ask for, from 0, which is served
	// first, to 3. Default 0.
	Priority int `json:"priority,omitempty"`

	// Metadata is written to the log with each of the key's requests. At most 16
	// entries, together at most 4096 bytes.
	Metadata map[string]string `json:"metadata,omitempty"`

	// Limits hold for all requests with the key together. Default: those of the
	// configuration. Limits that are empty lift these.
	Limits *Limits `json:"limits,omitempty"`

	// ModelLimits hold for the key's requests for a model, by its name.
	ModelLimits map[string]*Limits `json:"model_limits,omitempty"`

	// Disabled turns the key off.
	Disabled bool `json:"disabled,omitempty"`

	// Ends is when the key ends, whatever its secrets say. Default: never.
	Ends time.Time `json:"ends,omitzero"`

	// Created is when the key was made, for lists.
	Created time.Time `json:"created,omitzero"`
}

// Secret is one secret of a key. It has either SHA256 or Secret.
type Secret struct {
	// SHA256 is the SHA-256 of the secret, 64 hexadecimal digits. A hash protects only what
	// nobody guesses: use it for random secrets, such as those of [NewSecret].
	SHA256 string `json:"sha256,omitempty"`

	// Secret is one or more placeholders, such as {env.TEAM_A_KEY} or
	// {file./run/secrets/team-a}, that stand for the secret. A file is read again when it changes.
	// The secret itself is refused here: a configuration is shown to those who may ask for it.
	// It has at least 16 characters.
	Secret string `json:"secret,omitempty"`

	// Ends is when the secret ends. Default: never.
	Ends time.Time `json:"ends,omitzero"`

	// Created is when the secret was made, for lists.
	Created time.Time `json:"created,omitzero"`
}

// Limits bound what is used in a time. Each that is not set is no limit.
type Limits struct {
	// Requests bounds how many requests are admitted in a window.
	Requests *Rate `json:"requests,omitempty"`

	// Tokens bounds the tokens of requests and answers together in a window: those of the request
	// are estimated when it comes, and all counted once its answer has ended.
	Tokens *Rate `json:"tokens,omitempty"`

	// Concurrency bounds how many requests are under way at a time, 1 to 1000000. Default: no bound.
	Concurrency int64 `json:"concurrency,omitempty"`

	// Budget bounds what answers cost in a period. A request is admitted as long as the budget
	// is not spent, so that those under way may exceed it by what they cost.
	Budget *Budget `json:"budget,omitempty"`
}

// Rate is so many in any window of a length.
type Rate struct {
	// N is how many, 1 to 1e12.
	N int64 `json:"n"`
	// Window is the length of the window, 1s to 366d.
	Window caddy.Duration `json:"window"`
}

// Budget is so much money in any period of a length.
type Budget struct {
	// USD is how much, up to 1000000.
	USD float64 `json:"usd"`
	// Period is the length of the period, 1s to 366d.
	Period caddy.Duration `json:"period"`
}

// Redis is where several nodes count together: Redis 6 or later, or Valkey.
type Redis struct {
	// URL is the server: redis://user:password@host:6379/0, or with rediss for TLS. A cluster
	// has ?addr=host:6379 for each further node, and sentinels have
	// ?master_name=NAME, and the server's &username= and &password= as well. Placeholders are
	// resolved. Required.
	URL string `json:"url"`

	// Name tells gateways on one server apart that do not count together: all keys begin with it.
	// It has letters, digits, dots, dashes and underscores, at most 64. Default runestone.
	Name string `json:"name,omitempty"`

	// Away is what happens while Redis does not answer: "open", in which each node
	// enforces the limits by itself, as it would without Redis, so that n nodes admit at most
	// n times as much; or "closed", in which every request that has a limit is refused. Default open.
	Away string `json:"away,omitempty"`
}

// The values of Redis.Away.
const (
	AwayOpen   = "open"
	AwayClosed = "closed"
)
