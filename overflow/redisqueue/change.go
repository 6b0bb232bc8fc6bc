package redisqueue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// step is how many jobs a script is given at a time, so that it does not hold the server up.
const step = 200

// Enqueue implements overflow.Queue.
func (q *queue) Enqueue(ctx context.Context, job *overflow.Job, limit int) (*overflow.Job, error) {
	if err := valid(job); err != nil {
		return nil, err
	}
	j := fresh(job)
	reply, err := q.run(ctx, enqueueScript, appendNew([]any{j.ID, max(limit, 0), j.Unique}, j)...)
	if err != nil {
		return nil, err
	}
	if err := verdict(reply); err != nil {
		return nil, err
	}
	if reply[0] != "new" {
		return first(reply)
	}
	return created(j, reply)
}

// created returns a job that was stored, as it is now.
func created(j *overflow.Job, reply []any) (*overflow.Job, error) {
	if len(reply) != 2 {
		return nil, unreadable()
	}
	values, ok := reply[1].([]any)
	if !ok || len(values) != 2 {
		return nil, unreadable()
	}
	at, err := parseTime(str(values[1]))
	if err != nil {
		return nil, unreadable()
	}
	j.State, j.CreatedAt = overflow.State(str(values[0])), at
	if j.State != overflow.Scheduled {
		j.RunAt = time.Time{}
	}
	j.Payload, j.Head = slices.Clone(j.Payload), slices.Clone(j.Head)
	return j, nil
}

// valid returns an error if a job cannot be stored.
func valid(job *overflow.Job) error {
	switch {
	case job.ID == "":
		return fmt.Errorf("%w: a job without an ID", overflow.ErrState)
	case !slices.Contains(overflow.Kinds[:], job.Kind):
		return fmt.Errorf("%w: a job of the unknown kind %q", overflow.ErrState, job.Kind)
	case job.Priority < 0 || job.Priority >= overflow.Priorities:
		return fmt.Errorf("%w: a job of the priority %d", overflow.ErrState, job.Priority)
	}
	return nil
}

// fresh returns a copy of a job without what belongs to a state or a run.
func fresh(job *overflow.Job) *overflow.Job {
	j := *job
	j.State, j.Lane, j.Lease, j.CancelAsked, j.OutputSize = "", "", "", false, 0
	j.StartedAt, j.EndedAt, j.KeepUntil, j.LeaseUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return &j
}

// first returns the job that is the second element of an answer, with its payload
// and its head if they follow.
func first(reply []any) (*overflow.Job, error) {
	if len(reply) < 2 {
		return nil, unreadable()
	}
	job, _ := parseJob(reply[1]) // one that cannot be read is shown as far as it can
	if job == nil {
		return nil, unreadable()
	}
	if len(reply) == 4 {
		job.Payload, job.Head = blob(reply[2]), blob(reply[3])
	}
	return job, nil
}

// Append implements overflow.Queue.
func (q *queue) Append(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
	reply, err := q.run(ctx, appendScript, ref.ID, ref.Lease, number, string(chunk))
	if err != nil {
		return err
	}
	return verdict(reply)
}

// Apply implements overflow.Queue. The job that it returns has neither Payload nor Head.
func (q *queue) Apply(ctx context.Context, ref overflow.Ref, c overflow.Change) (*overflow.Job, error) {
	if !slices.Contains(overflow.States[:], c.To) {
		return nil, fmt.Errorf("%w: to the unknown state %q", overflow.ErrState, c.To)
	}
	refund := ""
	if c.Refund {
		refund = "1"
	}
	args := []any{
		ref.ID, ref.Lease, nonce(), string(c.To), c.Lane, microseconds(c.After), microseconds(c.Keep),
		refund, nanoseconds(c.Deadline), c.Reason, c.Error, string(c.Head), len(c.Output),
	}
	for _, chunk := range c.Output {
		args = append(args, string(chunk))
	}
	if c.Follow != nil {
		if err := valid(c.Follow); err != nil {
			return nil, err
		}
		args = appendNew(append(args, c.Follow.ID, c.Follow.Unique), fresh(c.Follow))
	}
	reply, err := q.run(ctx, applyScript, args...)
	if err != nil {
		return nil, err
	}
	if err := verdict(reply); err != nil {
		return nil, err
	}
	return first(reply)
}

// Heartbeat implements overflow.Queue.
func (q *queue) Heartbeat(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error) {
	pulses := make([]overflow.Pulse, 0, len(refs))
	for some := range slices.Chunk(refs, step) {
		args := []any{microseconds(lease), q.consumer}
		for _, ref := range some {
			args = append(args, ref.ID, ref.Lease)
		}
		reply, err := q.run(ctx, heartbeatScript, args...)
		if err != nil {
			return nil, err
		}
		codes, err := integers(reply, len(some))
		if err != nil {
			return nil, err
		}
		for _, code := range codes {
			pulses = append(pulses, overflow.Pulse(code))
		}
	}
	return pulses, nil
}

// Wake implements overflow.Queue.
func (q *queue) Wake(ctx context.Context, kind overflow.Kind, lane string, n int) (int, error) {
	woken := 0
	for woken < n {
		ask := min(n-woken, step)
		reply, err := q.run(ctx, wakeScript, string(kind), lane, ask)
		if err != nil {
			return woken, err
		}
		numbers, err := integers(reply, 2)
		if err != nil {
			return woken, err
		}
		woken += int(numbers[1])
		if int(numbers[0]) < ask {
			break
		}
	}
	return woken, nil
}

// Pause implements overflow.Queue.
func (q *queue) Pause(ctx context.Context, paused bool) error {
	flag := ""
	if paused {
		flag = "1"
	}
	_, err := q.run(ctx, pauseScript, flag)
	return err
}

// Turn implements overflow.Queue. Periods are counted by the server's clock.
func (q *queue) Turn(ctx context.Context, task string, every time.Duration) (bool, error) {
	reply, err := q.run(ctx, turnScript, task, strconv.FormatInt(max(1, every.Microseconds()), 10), nonce())
	if err != nil {
		return false, err
	}
	numbers, err := integers(reply, 1)
	return err == nil && numbers[0] == 1, err
}
