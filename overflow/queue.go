package overflow

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// What a queue's methods fail with, among others. Test for them with errors.Is.
var (
	// ErrNotFound: there is no such job, or no longer.
	ErrNotFound = errors.New("there is no such job")
	// ErrLost: the lease has run out, or the job was taken by somebody else.
	ErrLost = errors.New("the job's lease is lost")
	// ErrState: the job is in a state from which it cannot go there.
	ErrState = errors.New("the job's state does not allow that")
	// ErrFull: the queue takes no more jobs. Running jobs can still be ended.
	ErrFull = errors.New("the queue is full")
	// ErrUnavailable: the queue cannot be reached, or cannot keep what it is given.
	// Nothing is known to have been stored.
	ErrUnavailable = errors.New("the queue is not available")
	// ErrClosed: the queue has been closed.
	ErrClosed = errors.New("the queue is closed")
)

// Ref names a job and, if it runs, the lease under which it does.
type Ref struct {
	ID string
	// Lease is "" for a change from outside, such as an operator's.
	Lease string
}

// Change is a transition of a job: to which state, and what is recorded with it, in
// one step. If it fails, nothing of it has happened.
type Change struct {
	// To is where the job goes.
	//
	// With a lease the job is Executing and may go anywhere but there. To Available
	// releases it. Without a lease, Cancelled and Discarded are allowed from
	// Available, Waiting and Scheduled; Cancelled from Executing sets
	// CancelAsked and no more; and Available is allowed from Scheduled and Waiting, and
	// from Discarded and Cancelled, where it begins anew: Attempt, Crashes, Snoozes,
	// Reason, Error, CancelAsked and what it has put out are cleared, and Unique is
	// held again if it is free. Anything else is ErrState.
	To State
	// Lane is what a job waits for that goes to Waiting.
	Lane string
	// After is when a job becomes available that goes to Scheduled.
	After time.Duration
	// Refund gives the attempt back: nobody is to blame. It also counts one
	// more of Snoozes if the job goes to Waiting or Scheduled, which any run without it sets to 0.
	Refund bool
	// Deadline, unless zero, replaces the job's.
	Deadline time.Time

	Reason, Error string
	// Head and Output are recorded with a Completed or Discarded job. Output is
	// added after what Append has added.
	Head   []byte
	Output [][]byte
	// Keep is how long a job that ends is kept.
	Keep time.Duration
	// Follow is a job that is enqueued in the same step, limits or not.
	Follow *Job
}

// Order says which jobs to claim.
type Order struct {
	Kind Kind
	// Max is how many at most; at least 1.
	Max int
	// Lease is how long they are held without a heartbeat.
	Lease time.Duration
}

// Pulse is what a heartbeat learns of a job.
type Pulse uint8

// What a heartbeat can learn.
const (
	Alive       Pulse = iota // the lease is extended
	CancelAsked              // and somebody wants the job cancelled
	Lost                     // the lease is another's, or over
)

// Upkeep is what Maintain has done.
type Upkeep struct {
	// Rescued are the jobs whose lease had run out, or whose process had died. They are
	// available again, with one more crash and their attempt given back.
	Rescued []*Job
	// Overdue is how many were made available because their Deadline has passed.
	Overdue int
	// Removed is how many were removed because their time was over.
	Removed int
	// Repaired is how many had to be put back in order, because something was lost.
	Repaired int
}

// Filter says which jobs to list. Zero fields match all.
type Filter struct {
	Kind   Kind
	States []State
	Owner  string
	Model  string
	// Before is the ID after which to go on: the last one of the page before.
	Before string
	// Limit is how many at most, 1 to 1000.
	Limit int
}

// Stats is what a queue holds.
type Stats struct {
	Jobs map[Kind]map[State]int
	// Oldest is when the oldest job was created that has not ended, by kind.
	Oldest map[Kind]time.Time
	// Lanes are what Waiting jobs wait for.
	Lanes  []Lane
	Paused bool
	// Bytes is how much is stored and MaxBytes how much can be, 0 when that is not known.
	Bytes, MaxBytes int64
}

// NearlyFull reports whether so much is stored that new jobs may be refused.
func (s *Stats) NearlyFull() bool { return s.MaxBytes > 0 && s.Bytes > s.MaxBytes/10*8 }

// Lane is what jobs wait for.
type Lane struct {
	Kind    Kind
	Name    string
	Waiting int
}

// Queue keeps jobs. Its methods are safe for concurrent use, in one process or in
// as many as share the queue. Unless said otherwise, an error is one of this
// package's, wrapped, or the context's.
//
// Time is the queue's own, not the caller's: only durations are passed in, and
// Job.Deadline.
type Queue interface {
	// Enqueue stores a job durably, as Available, or as Scheduled if its RunAt lies
	// ahead, and returns it. It fills in CreatedAt if that is zero. A job that has the ID of one that is
	// there changes nothing and returns that: enqueuing twice is safe. If another job holds its
	// Unique, that one is returned and nothing is stored. With limit above 0 it is ErrFull
	// when as many Request jobs have not ended. ErrFull may also be the store's own.
	Enqueue(ctx context.Context, job *Job, limit int) (*Job, error)

	// Claim takes available jobs, those of the best priority first and among those the oldest
	// first, and waits until there is at least one. They are Executing then: Attempt
	// and Run are one more, Lease is new, what an earlier run put out is gone. While the
	// queue is paused no Request jobs are claimed.
	Claim(ctx context.Context, order Order) ([]*Job, error)

	// Heartbeat extends leases and says how each job is.
	Heartbeat(ctx context.Context, refs []Ref, lease time.Duration) ([]Pulse, error)

	// Append adds to what the present run has put out, durably: one chunk, whose number
	// is how many there were before. One that is there already changes nothing, so that appending
	// twice is safe; one that leaves a gap is ErrState.
	Append(ctx context.Context, ref Ref, number int, chunk []byte) error

	// Apply makes a change and returns the job after it.
	Apply(ctx context.Context, ref Ref, change Change) (*Job, error)

	// Wake makes up to n of those that wait in a lane available, in their order,
	// and returns how many.
	Wake(ctx context.Context, kind Kind, lane string, n int) (int, error)

	// Maintain does what time has made due, except making Scheduled jobs available,
	// which Claim sees to. Every process that claims calls it every second or so.
	Maintain(ctx context.Context) (Upkeep, error)

	Reader
	Control
}

// Reader shows what a queue holds.
type Reader interface {
	// Get returns a job.
	Get(ctx context.Context, id string) (*Job, error)
	// Find returns the job that holds a Unique.
	Find(ctx context.Context, unique string) (*Job, error)
	// Ahead returns how many jobs will be claimed before an Available one; roughly, if
	// exactly would be slow. It is 0 for a job in another state.
	Ahead(ctx context.Context, job *Job) (int, error)
	// Output returns what a run has put out, from chunk number from on, as many chunks as fit
	// into 1 MiB but at least one, if there is one. Only the latest run's is kept; of
	// another it is ErrNotFound.
	Output(ctx context.Context, id string, run, from int) ([][]byte, error)
	// Watch returns a channel that gets a value soon after a job changes state or is asked to be cancelled,
	// and, if output is set, after it puts something out, whichever process
	// does it. Several changes may give one value, and a value may come without a change. stop must be called.
	Watch(id string, output bool) (changed <-chan struct{}, stop func())
	// List returns jobs, the newest first.
	List(ctx context.Context, filter Filter) ([]*Job, error)
	// Stats returns counts. It is quick enough to be asked every second.
	Stats(ctx context.Context) (Stats, error)
}

// Control is a queue's operation.
type Control interface {
	// Pause stops or resumes the claiming of Request jobs, in every process.
	Pause(ctx context.Context, paused bool) error
	// Turn reports whether the caller is to do a periodic task now: true once in
	// each period, for one process of all that share the queue.
	Turn(ctx context.Context, task string, every time.Duration) (bool, error)
	// Close ends every call and frees the queue. Jobs that are claimed still are, and
	// are rescued later.
	Close() error
}

// Opener is what a module in the namespace runestone.queues implements.
type Opener interface {
	// Key names what would be opened, such as the file: configurations with one key
	// share one open queue, whatever their other options. It is called after Provision and opens nothing.
	Key() string
	// Open opens the queue. It does not wait for a server that is away.
	Open(logger *zap.Logger) (Queue, error)
}
