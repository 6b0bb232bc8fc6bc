package breaker

import (
	"errors"
	"time"
)

// State is what a [Breaker] makes of its target. The numbers are those of the
// metric runestone_breaker_state.
type State int32

// The states.
const (
	Closed   State = 0 // calls go through
	HalfOpen State = 1 // probes go through
	Open     State = 2 // nothing goes through
)

// String returns the state's name: closed, half_open or open.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half_open"
	}
	return "open"
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Outcome is what came of a call, for [Breaker] and [Limit].
type Outcome uint8

// The outcomes.
const (
	// Ignored says nothing about the target: the client left, the request was
	// wrong (4xx), the target asked for a pause, or there was no call.
	Ignored Outcome = iota
	// Success is an answer that arrived whole.
	Success
	// Failure is the target's: no connection, a timeout, 5xx, a broken stream.
	Failure
)

// Why [Breaker.Allow] refuses.
var (
	ErrOpen    = errors.New("the circuit breaker is open")
	ErrProbing = errors.New("the circuit breaker is half-open, and as many calls as it allows are under way")
	ErrPaused  = errors.New("the target has asked for a pause")
)

// Refusal is the error of [Breaker.Allow].
type Refusal struct {
	// Reason is ErrOpen, ErrProbing or ErrPaused. Of a breaker that is both open
	// and paused it is ErrOpen.
	Reason error
	// RetryAfter is how long the refusal is sure to stand; zero with
	// ErrProbing, which stands until one of the probes ends.
	RetryAfter time.Duration
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.RetryAfter <= 0 {
		return r.Reason.Error()
	}
	return r.Reason.Error() + ": try again in " + r.RetryAfter.String()
}

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

// Status is a [Breaker] at one moment.
type Status struct {
	State State `json:"state"`
	// OpenFor is the time until the next probe, 0 unless open.
	OpenFor Duration `json:"open_for"`
	// PausedFor is the time until the pause ends, 0 unless paused.
	PausedFor Duration `json:"paused_for"`
	// Calls and Failures are those within the window, 0 unless closed.
	Calls    int `json:"calls"`
	Failures int `json:"failures"`
}
