package policy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// memory is the time in which what was seen of a target loses weight by a
	// factor of e: it is that of the last minute or two that counts.
	memory = 30 * time.Second
	// forgotten is the weight below which failures count as none.
	forgotten = 0.001
)

// Stats is what the gateway has seen of a target, for policies to judge it by.
// The zero value has seen nothing, and a nil *Stats can be read as such. All
// methods may be called concurrently.
type Stats struct {
	inFlight      atomic.Int64
	whole, stream average

	mu     sync.Mutex    // held by who changes what follows, and the averages
	at     time.Time     // of which the weights are
	failed atomic.Uint64 // the bits of a float64, the failures' weight
}

// average is a mean of measurements that lose weight with time.
type average struct {
	mean   atomic.Int64 // in nanoseconds, 0 for none
	weight float64      // of all measurements together; 1 is that of a new one
}

// Begin counts a call as under way.
func (s *Stats) Begin() { s.inFlight.Add(1) }

// End is for each Begin, when the answer has ended.
func (s *Stats) End() { s.inFlight.Add(-1) }

// InFlight returns how many calls are under way.
func (s *Stats) InFlight() int {
	if s == nil {
		return 0
	}
	return int(s.inFlight.Load())
}

// Observe takes note of an answer: how long its first token took, counted from
// when the call was sent. Of an answer that is no stream that is its first byte,
// which comes when the provider has the whole of it.
func (s *Stats) Observe(stream bool, firstToken time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age()
	a := s.average(stream)
	a.weight++
	mean := a.mean.Load()
	mean += int64(float64(int64(firstToken)-mean) / a.weight)
	a.mean.Store(max(mean, 1))
}

// Failed takes note of a call that failed through the target's fault. A client
// that left is none, nor is a target that asked to be left alone for a while.
func (s *Stats) Failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed.Store(math.Float64bits(s.age() + 1))
}

// Latency returns the average time to the first token of streams, or of answers
// that are none; two scales, which should not be compared. The newest count most,
// but without newer ones the average stands. ok is false if there was none.
func (s *Stats) Latency(stream bool) (d time.Duration, ok bool) {
	if s == nil {
		return 0, false
	}
	d = time.Duration(s.average(stream).mean.Load())
	return d, d > 0
}

// FailureRatio returns which part of the recent calls failed, from 0 up to but not
// including 1. It is reckoned with one success more than there was, which never gets
// old: one failure alone counts for less than many, and all are forgotten in time.
func (s *Stats) FailureRatio() float64 {
	if s == nil || s.failed.Load() == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := s.age()
	return failed / (failed + s.whole.weight + s.stream.weight + 1)
}

func (s *Stats) average(stream bool) *average {
	if stream {
		return &s.stream
	}
	return &s.whole
}

// age brings the weights up to date, and returns that of the failures.
func (s *Stats) age() (failed float64) {
	now := time.Now()
	left := math.Exp(-float64(now.Sub(s.at)) / float64(memory))
	s.at = now
	s.whole.weight *= left
	s.stream.weight *= left
	if failed = math.Float64frombits(s.failed.Load()) * left; failed < forgotten {
		failed = 0
	}
	s.failed.Store(math.Float64bits(failed))
	return failed
}
