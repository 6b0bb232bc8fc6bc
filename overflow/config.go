package overflow

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Defaults of the configuration.
const (
	DefaultWorkers       = 20
	DefaultMaxAttempts   = 5
	DefaultBackoff       = caddy.Duration(2 * time.Second)
	DefaultMaxBackoff    = caddy.Duration(5 * time.Minute)
	DefaultJobTimeout    = caddy.Duration(5 * time.Minute)
	DefaultLease         = caddy.Duration(30 * time.Second)
	DefaultMaxAge        = caddy.Duration(24 * time.Hour)
	DefaultKeepResults   = caddy.Duration(time.Hour)
	DefaultKeepDiscarded = caddy.Duration(7 * 24 * time.Hour)
	DefaultMaxJobs       = 100_000
	DefaultShutdownGrace = caddy.Duration(30 * time.Second)
	DefaultPriority      = 1

	DefaultCallbackWorkers = 16
	DefaultCallbackPerHost = 4
	DefaultCallbackTimeout = caddy.Duration(20 * time.Second)
)

// The values of Config.Default.
const (
	Reject = "reject"
	Async  = "async"
)

// Config is how requests are queued that nobody can serve now. Zero fields mean the default.
type Config struct {
	// Off turns overflow off: whatever clients ask for, nothing is queued.
	Off bool `json:"off,omitempty"`

	// QueueRaw is where jobs are kept: a module of runestone.queues. Default
	// embedded, which is one file in Caddy's data directory.
	QueueRaw json.RawMessage `json:"queue,omitempty" caddy:"namespace=runestone.queues inline_key=type"`

	// Workers is how many jobs run at a time in this process. Default 20, at most 10000.
	Workers int `json:"workers,omitempty"`
	// PerProvider is how many calls of jobs a provider gets at a time from this process.
	// Default: no bound but Workers.
	PerProvider int `json:"per_provider,omitempty"`

	// MaxAttempts is how often a job is tried. A run that finds every target busy,
	// or that is ended by a shutdown, is no attempt. Default 5, at most 100.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// Backoff is how long to wait before the second attempt, about: a fifth more or
	// less, at random. It doubles with each attempt, up to MaxBackoff. Default 2s.
	Backoff caddy.Duration `json:"backoff,omitempty"`
	// MaxBackoff bounds Backoff. Default 5m, or Backoff if that is longer.
	MaxBackoff caddy.Duration `json:"max_backoff,omitempty"`

	// JobTimeout bounds one run of a job. Default 5m.
	JobTimeout caddy.Duration `json:"job_timeout,omitempty"`
	// Lease is how long a job stays with a process that gives no sign of life; it
	// gives one every third of it. Default 30s, at least 1s.
	Lease caddy.Duration `json:"lease,omitempty"`
	// MaxAge is how long after its creation a job is given up that is not done. Default 24h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// KeepResults is how long a job is kept that was completed or cancelled. Default 1h.
	KeepResults caddy.Duration `json:"keep_results,omitempty"`
	// KeepDiscarded is how long a job is kept that was given up. Default 168h.
	KeepDiscarded caddy.Duration `json:"keep_discarded,omitempty"`
	// MaxJobs is how many jobs may be queued or running. Default 100000.
	MaxJobs int `json:"max_jobs,omitempty"`

	// ShutdownGrace is how long running jobs may go on when the process exits,
	// before they are put back into the queue. Default 30s.
	ShutdownGrace caddy.Duration `json:"shutdown_grace,omitempty"`

	// Default says what a client gets that nobody can serve now and that has not
	// said what it wants: "reject" (an error) or "async" (a 202 and a job). Default reject.
	Default string `json:"default,omitempty"`
	// Priority is that of jobs whose request names none: 0, served first, to 3. Default 1.
	Priority *int `json:"priority,omitempty"`

	// Encrypt are secrets from which the keys are derived that what is stored is encrypted
	// with (AES-256-GCM): the first for what is written; all for what is read. Each
	// is at least 16 bytes long, usually a placeholder such as {env.QUEUE_KEY}. Default: stored as it came.
	Encrypt []string `json:"encrypt,omitempty"`

	// Callback is how clients' servers are told. Default: nobody is.
	Callback *CallbackConfig `json:"callback,omitempty"`
}

// CallbackConfig is how clients' servers are told that a job has ended, after
// the Standard Webhooks specification 1.0.0.
type CallbackConfig struct {
	// Allow are the hosts that may be called: a name, *.name for all below it, or
	// * for all. At least one.
	Allow []string `json:"allow"`
	// AllowPrivate are ranges of addresses (CIDR) that may be called although they
	// are not public, and by plain HTTP and on any port, such as 127.0.0.1/32 for development.
	AllowPrivate []string `json:"allow_private,omitempty"`
	// Secrets sign: each call with all of them, so that a receiver may know any of
	// them. At least one; "whsec_" and base64 of 24 to 64 bytes, or a placeholder for that.
	Secrets []string `json:"secrets"`
	// Workers is how many calls are made at a time. Default 16.
	Workers int `json:"workers,omitempty"`
	// PerHost is how many of them to one host. Default 4.
	PerHost int `json:"per_host,omitempty"`
	// Timeout bounds one call. Default 20s, at most 1m.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}
