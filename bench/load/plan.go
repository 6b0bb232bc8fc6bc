// Package load is the benchmark's client: keep-alive connections that send
// ready-made chat completion requests, check that every answer is complete,
// and measure. A single wrong answer fails the run, for a gateway that drops
// work is always fast.
package load

import (
	"slices"
	"time"

	"github.com/runestone-gateway/runestone/bench/proc"
)

// Kind says what a plan's connections do.
type Kind string

// The kinds.
const (
	Requests Kind = "requests" // one non-streamed answer after another
	Streams  Kind = "streams"  // one stream after another
	Open     Kind = "open"     // one slow stream each, all open at once
)

// Plan is one measurement.
type Plan struct {
	Kind        Kind
	Addr        string // of the gateway
	Connections int
	Total       int // requests or streams measured; Open measures one per connection
	WarmUp      int // requests or streams before them
	PromptBytes int

	// Of the streams:
	Chunks       int  // content chunks expected in each
	IncludeUsage bool // ask for the usage chunk
	// Stagger spreads the first streams of the connections over this time.
	Stagger time.Duration

	// Of Open, in this order:
	Settle time.Duration // before the idle memory is sampled
	Hold   time.Duration // with all streams open, before the memory is sampled
	Sample time.Duration // sampling, each of the two times

	Timeout time.Duration // for one exchange

	GatewayPID, UpstreamPID int // 0: not measured
}

// Result is what one measurement saw.
type Result struct {
	Done    int           `json:"done"`   // requests or streams
	Chunks  int           `json:"chunks"` // content chunks
	Elapsed time.Duration `json:"elapsed_ns"`
	CPU     proc.Usage    `json:"cpu_ns"`
	Latency Spread        `json:"latency_ns"` // of whole answers
	// ChunkDelay is the time from a chunk's being written by the upstream to
	// its being read here.
	ChunkDelay Spread `json:"chunk_delay_ns"`

	IdleKiB []int64 `json:"idle_kib,omitempty"` // samples of the gateway's memory
	OpenKiB []int64 `json:"open_kib,omitempty"`
}

// Spread summarises durations.
type Spread struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// summarise sorts durations in place.
func summarise(durations []time.Duration) Spread {
	if len(durations) == 0 {
		return Spread{}
	}
	slices.Sort(durations)
	last := len(durations) - 1
	return Spread{P50: durations[last/2], P99: durations[last*99/100], Max: durations[last]}
}
