// Package overflow makes requests durable that nobody can serve now, runs them later
// and keeps their answers. It knows a function that serves requests, not the gateway.
//
// A [Job] is a request, or the delivery of a callback. It lives in a [Queue], whose
// backends are the modules runestone.queues.*; the [Engine] takes jobs from the
// queue, runs them and records what came of them. A job is executed at least once;
// its end is recorded exactly once, because every change of a running job is fenced
// by the token of its lease.
package overflow

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Kind is what a job does. Each kind has its own order, and its own workers.
type Kind string

// The kinds of jobs.
const (
	// Request sends a stored request to a provider.
	Request Kind = "request"
	// Callback tells a client's server that a request has ended.
	Callback Kind = "callback"
)

// Kinds are all of them.
var Kinds = [...]Kind{Request, Callback}

// State is where a job is in its life.
type State string

// The states. Completed, Discarded and Cancelled are final.
const (
	// Available: it can be claimed.
	Available State = "available"
	// Waiting: nobody can take it now; it waits for room in its lane, and time
	// alone does not wake it.
	Waiting State = "waiting"
	// Scheduled: it becomes available at its RunAt.
	Scheduled State = "scheduled"
	// Executing: a worker holds its lease.
	Executing State = "executing"
	// Completed: its result is recorded.
	Completed State = "completed"
	// Discarded: it was given up; Reason says why.
	Discarded State = "discarded"
	// Cancelled: somebody asked for that.
	Cancelled State = "cancelled"
)

// States are all of them, in the order of a life.
var States = [...]State{Available, Waiting, Scheduled, Executing, Completed, Discarded, Cancelled}

// Final reports whether a job in this state has ended.
func (s State) Final() bool { return s == Completed || s == Discarded || s == Cancelled }

// Why a job was discarded.
const (
	ReasonAttempts = "max_attempts" // every attempt failed
	ReasonRefused  = "refused"      // a further attempt would fail as well
	ReasonCrashes  = "crashes"      // it ended the process that ran it, MaxCrashes times
	ReasonExpired  = "expired"      // it was not done by its Deadline
	ReasonOperator = "operator"     // an operator discarded it
	ReasonCorrupt  = "corrupt"      // its record cannot be read
)

const (
	// Priorities is how many there are: 0, which is served first, to 3.
	Priorities = 4
	// MaxCrashes is how often a job's lease may run out, or its process die,
	// before the job is given up as the likely cause.
	MaxCrashes = 3
)

// Job is what a queue keeps of a piece of work. What a queue returns is the caller's own.
type Job struct {
	// ID is "job_" and 32 hexadecimal digits that nobody can guess. The first
	// 12 are the time of creation in milliseconds, so that IDs sort by it.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Owner is who may see the job: what the API key is called inside, never the key.
	Owner string `json:"owner,omitempty"`
	// Priority is from 0, which is served first, to Priorities-1.
	Priority int    `json:"priority"`
	State    State  `json:"state"`
	Model    string `json:"model,omitempty"` // as the client named it; of a callback, the host

	// Lane is what a Waiting job waits for: a model, or of a callback the receiving host.
	Lane string `json:"lane,omitempty"`
	// RunAt is when a Scheduled job becomes available.
	RunAt     time.Time `json:"run_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"` // of the latest run
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Deadline is when a job is given up that is not done; zero for never. A
	// queue makes a job available once it has passed, whatever it waits for, so that a
	// worker can end it.
	Deadline time.Time `json:"deadline,omitzero"`
	// KeepUntil is when a job that has ended is removed, with all that is kept of it.
	KeepUntil time.Time `json:"keep_until,omitzero"`

	// Attempt is how many attempts were used up, the present one included.
	Attempt     int `json:"attempt"`
	MaxAttempts int `json:"max_attempts"`
	// Run is how often the job was claimed. It numbers what each run puts out.
	Run int `json:"run"`
	// Crashes is how many runs ended without a word.
	Crashes int `json:"crashes,omitempty"`
	// Snoozes is how many runs in a row found that nobody could take the job.
	Snoozes int `json:"snoozes,omitempty"`

	// Lease is the token that changes of an Executing job must show.
	Lease      string    `json:"lease,omitempty"`
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// CancelAsked is set when somebody cancels an Executing job.
	CancelAsked bool `json:"cancel_asked,omitempty"`

	// Unique, unless "", is held by at most one job at a time: from Enqueue until
	// the job is discarded, cancelled or removed. It names both owner and key.
	Unique string `json:"unique,omitempty"`
	// Fingerprint tells whether two requests with one Unique are the same.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Parent is the ID of the job that a callback tells of.
	Parent string `json:"parent,omitempty"`

	Reason string `json:"reason,omitempty"` // why it was discarded
	Error  string `json:"error,omitempty"`  // of the latest run; never content

	// OutputSize is how many bytes the present run, or the last, has put out.
	OutputSize int64 `json:"output_size,omitempty"`

	// Payload is what is to be done, and Head the beginning of what came of it.
	// Both are opaque to a queue. Get and Claim fill them in; List does not.
	Payload []byte `json:"-"`
	Head    []byte `json:"-"`
}

// NewID returns an ID for a job that is created now.
func NewID(now time.Time) string {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	_, _ = rand.Read(b[6:]) // never fails
	return "job_" + hex.EncodeToString(b[:])
}

// ValidID reports whether id has the form of one.
func ValidID(id string) bool {
	if len(id) != 36 || id[:4] != "job_" {
		return false
	}
	for i := 4; i < len(id); i++ {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
