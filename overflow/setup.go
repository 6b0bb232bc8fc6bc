package overflow

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Setup is a Config ready for use: defaults are filled in, secrets are resolved. It
// holds nothing that needs closing.
type Setup struct {
	// Workers and MaxJobs are the Config's, or their defaults.
	Workers, MaxJobs int
	// Async is whether a client that has not said what it wants gets a job rather than an error.
	Async bool
	// Priority is that of jobs whose request names none.
	Priority int

	maxAttempts           int
	firstBackoff, longest time.Duration
	jobTimeout, lease     time.Duration
	maxAge                time.Duration
	keepResults           time.Duration
	keepDiscarded         time.Duration
	grace                 time.Duration
	callbackWorkers       int
	callbackPerHost       int
	server                Server
	sealer                *sealer
	webhooks              *callbacks
}

// NewSetup returns the setup that a Config describes, whose numbers are within their
// ranges; nil stands for the default one. Requests are served by server. An error names the field, and no secret.
func NewSetup(config *Config, server Server) (*Setup, error) {
	var c Config
	if config != nil {
		c = *config
	}
	span := func(d, otherwise caddy.Duration) time.Duration { return time.Duration(cmp.Or(d, otherwise)) }
	s := &Setup{
		Workers: cmp.Or(c.Workers, DefaultWorkers), MaxJobs: cmp.Or(c.MaxJobs, DefaultMaxJobs),
		Async: c.Default == Async, Priority: DefaultPriority,
		maxAttempts:  cmp.Or(c.MaxAttempts, DefaultMaxAttempts),
		firstBackoff: span(c.Backoff, DefaultBackoff), longest: span(c.MaxBackoff, max(DefaultMaxBackoff, c.Backoff)),
		jobTimeout: span(c.JobTimeout, DefaultJobTimeout), lease: span(c.Lease, DefaultLease),
		maxAge:      span(c.MaxAge, DefaultMaxAge),
		keepResults: span(c.KeepResults, DefaultKeepResults), keepDiscarded: span(c.KeepDiscarded, DefaultKeepDiscarded),
		grace:           span(c.ShutdownGrace, DefaultShutdownGrace),
		callbackWorkers: DefaultCallbackWorkers, callbackPerHost: DefaultCallbackPerHost,
		server: server,
	}
	s.firstBackoff = min(s.firstBackoff, s.longest)
	if c.Priority != nil {
		s.Priority = *c.Priority
	}
	if c.Callback != nil {
		s.callbackWorkers = cmp.Or(c.Callback.Workers, DefaultCallbackWorkers)
		s.callbackPerHost = cmp.Or(c.Callback.PerHost, DefaultCallbackPerHost)
	}
	var err error
	if s.sealer, err = newSealer(c.Encrypt); err != nil {
		return nil, err
	}
	if s.webhooks, err = newCallbacks(c.Callback); err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	return s, nil
}

// backoff returns how long to wait after so many failed attempts.
func (s *Setup) backoff(attempts int) time.Duration {
	d := s.firstBackoff
	for range min(attempts-1, 40) {
		if d = 2 * d; d >= s.longest {
			break
		}
	}
	return jitter(min(d, s.longest))
}
