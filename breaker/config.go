package breaker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Defaults of [Config].
const (
	DefaultFailures     = 5
	DefaultFailureRatio = 0.5
	DefaultMinimumCalls = 20
	DefaultWindow       = Duration(time.Minute)
	DefaultOpenFor      = Duration(30 * time.Second)
	DefaultMaxOpenFor   = Duration(10 * time.Minute)
	DefaultHalfOpen     = 2
)

// Bounds of [Config]: a breaker that is open for longer than a day is a target
// that was taken out of the configuration.
const (
	minDuration = Duration(10 * time.Millisecond)
	maxDuration = Duration(24 * time.Hour)
	maxHalfOpen = 1000
)

// Config says when a [Breaker] opens, and for how long. The zero value means the
// defaults.
type Config struct {
	// Failures in a row open the breaker when none of them is older than
	// Window; a success starts the row over, an ignored call does not. So a busy
	// target is not shut out for the odd failure among thousands of answers, which
	// is for FailureRatio to judge. Negative: no such rule. Default 5.
	Failures int `json:"failures,omitempty"`

	// FailureRatio of the calls within Window opens the breaker, once there
	// have been MinimumCalls of them: 0.5 is every second call. Ignored calls are not
	// counted. It is looked at when a call fails. Above 0, up to 1;
	// negative: no such rule. Default 0.5.
	FailureRatio float64 `json:"failure_ratio,omitempty"`

	// MinimumCalls that must have ended within Window for FailureRatio to mean
	// anything. Default 20.
	MinimumCalls int `json:"minimum_calls,omitempty"`

	// Window is how long an outcome counts. It moves on by tenths, so that up to
	// a tenth less than it is looked at. A breaker that has been closed for as
	// long is stable: its next opening is a first one. Default 60s, from 10ms to 24h.
	Window Duration `json:"window,omitempty"`

	// OpenFor is how long the breaker stays open the first time, give or take a
	// tenth, so that many breakers do not probe in step. Each opening that
	// follows on a failed probe, or before the breaker was stable again, lasts
	// twice as long as the one before. Default 30s, from 10ms to 24h.
	OpenFor Duration `json:"open_for,omitempty"`

	// MaxOpenFor is never exceeded. Default 10m, or OpenFor if that is longer;
	// at least OpenFor, at most 24h.
	MaxOpenFor Duration `json:"max_open_for,omitempty"`

	// HalfOpen is how many probes are let through at a time once OpenFor has
	// passed, and how many successes among them close the breaker. One failure
	// opens it again. Default 2, at most 1000.
	HalfOpen int `json:"half_open,omitempty"`

	// SlowCall makes a success count as a failure when its first token took
	// longer than this. Zero: slowness is no failure. Default 0, at most 24h.
	SlowCall Duration `json:"slow_call,omitempty"`
}

// Validate returns what is wrong with c, naming the fields as JSON does.
func (c Config) Validate() error {
	f := c.filled()
	return errors.Join(
		within("window", f.Window, minDuration),
		within("open_for", f.OpenFor, minDuration),
		within("max_open_for", f.MaxOpenFor, min(f.OpenFor, maxDuration)),
		within("slow_call", f.SlowCall, 0),
		// Written so that NaN fails too.
		check(f.FailureRatio < 0 || f.FailureRatio <= 1, "failure_ratio must be at most 1, not %v", f.FailureRatio),
		check(f.MinimumCalls >= 1, "minimum_calls must be at least 1, not %d", f.MinimumCalls),
		check(f.HalfOpen >= 1 && f.HalfOpen <= maxHalfOpen, "half_open must be from 1 to %d, not %d", maxHalfOpen, f.HalfOpen),
	)
}

func (c Config) filled() Config {
	c.Failures = cmp.Or(c.Failures, DefaultFailures)
	c.FailureRatio = cmp.Or(c.FailureRatio, DefaultFailureRatio)
	c.MinimumCalls = cmp.Or(c.MinimumCalls, DefaultMinimumCalls)
	c.Window = cmp.Or(c.Window, DefaultWindow)
	c.OpenFor = cmp.Or(c.OpenFor, DefaultOpenFor)
	c.MaxOpenFor = cmp.Or(c.MaxOpenFor, min(max(DefaultMaxOpenFor, c.OpenFor), maxDuration))
	c.HalfOpen = cmp.Or(c.HalfOpen, DefaultHalfOpen)
	return c
}

func within(name string, d, least Duration) error {
	return check(d >= least && d <= maxDuration, "%s must be from %v to %v, not %v", name, least, maxDuration, d)
}

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// Duration is a time.Duration that JSON may write as caddy.Duration does: as a
// number of nanoseconds, or as a string such as "1m30s" or "1d12h". It is here so
// that this file needs nothing of Caddy.
type Duration time.Duration

// String formats d as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		return json.Unmarshal(b, (*int64)(d))
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if days, rest, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil {
			return fmt.Errorf("invalid duration %q", s)
		}
		s = strconv.FormatFloat(n*24, 'f', -1, 64) + "h" + rest
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}
