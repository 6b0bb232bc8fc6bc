// Package queuetest tests queues of jobs, and what enqueues into them.
//
// [Run] is the suite that every [overflow.Queue] passes. [NewQueue] is a queue in memory for
// tests of what uses one, and [AssertEnqueued] and its kin say what is to be in a queue.
package queuetest

import (
	"slices"
	"testing"

	"github.com/runestone-gateway/runestone/overflow"
)

// Backend says how a suite opens the queue under test. Its functions are called
// by several tests at a time.
type Backend struct {
	// Open opens a queue on a new, empty store; it is closed when the test ends, even if
	// the suite has closed it.
	Open func(t testing.TB) overflow.Queue
	// Reopen opens the store of q again as a new process would after q's died: q is
	// not used any more. The suite has called nothing on q (a backend that must be
	// closed first does that itself, without telling its jobs).
	Reopen func(t testing.TB, q overflow.Queue) overflow.Queue
	// Second, unless nil, opens the store of q a second time, as another process that
	// shares it would.
	Second func(t testing.TB, q overflow.Queue) overflow.Queue
}

// aTest is one sentence that is to be true of every queue.
type aTest struct {
	name string
	run  func(*rig)
}

// Run tests a queue, as subtests of t that run in parallel. It takes some seconds.
func Run(t *testing.T, b Backend) {
	for _, test := range slices.Concat(
		enqueueTests, claimTests, leaseTests, outputTests, changeTests, timeTests, readTests, watchTests, processTests, loadTests,
	) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(newRig(t, b))
		})
	}
}
