package redisqueue

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

// field is a field of a job's hash. In the hash, a field that is empty or zero is not there.
type field struct {
	name string
	get  func(*overflow.Job) string
	set  func(*overflow.Job, string) error
}

// fields are those that every job can have, in the order of NAMES in lua/lib.lua.
// Payload and Head come apart, since they can be long.
var fields = []field{
	text("state", func(j *overflow.Job) *overflow.State { return &j.State }),
	text("kind", func(j *overflow.Job) *overflow.Kind { return &j.Kind }),
	text("owner", func(j *overflow.Job) *string { return &j.Owner }),
	number("priority", func(j *overflow.Job) *int { return &j.Priority }),
	text("model", func(j *overflow.Job) *string { return &j.Model }),
	text("lane", func(j *overflow.Job) *string { return &j.Lane }),
	moment("run_at", func(j *overflow.Job) *time.Time { return &j.RunAt }),
	moment("created_at", func(j *overflow.Job) *time.Time { return &j.CreatedAt }),
	moment("started_at", func(j *overflow.Job) *time.Time { return &j.StartedAt }),
	moment("ended_at", func(j *overflow.Job) *time.Time { return &j.EndedAt }),
	moment("deadline", func(j *overflow.Job) *time.Time { return &j.Deadline }),
	moment("keep_until", func(j *overflow.Job) *time.Time { return &j.KeepUntil }),
	number("attempt", func(j *overflow.Job) *int { return &j.Attempt }),
	number("max_attempts", func(j *overflow.Job) *int { return &j.MaxAttempts }),
	number("run", func(j *overflow.Job) *int { return &j.Run }),
	number("crashes", func(j *overflow.Job) *int { return &j.Crashes }),
	number("snoozes", func(j *overflow.Job) *int { return &j.Snoozes }),
	text("lease", func(j *overflow.Job) *string { return &j.Lease }),
	moment("lease_until", func(j *overflow.Job) *time.Time { return &j.LeaseUntil }),
	{
		"cancel_asked",
		func(j *overflow.Job) string {
			if j.CancelAsked {
				return "1"
			}
			return ""
		},
		func(j *overflow.Job, v string) error { j.CancelAsked = v != ""; return nil },
	},
	text("unique", func(j *overflow.Job) *string { return &j.Unique }),
	text("fingerprint", func(j *overflow.Job) *string { return &j.Fingerprint }),
	text("parent", func(j *overflow.Job) *string { return &j.Parent }),
	text("reason", func(j *overflow.Job) *string { return &j.Reason }),
	text("error", func(j *overflow.Job) *string { return &j.Error }),
	number("output_size", func(j *overflow.Job) *int64 { return &j.OutputSize }),
	ours("entry"), // of the stream that the job is in
	ours("op"),    // the last change, by which a repeated one is known
}

func text[T ~string](name string, at func(*overflow.Job) *T) field {
	return field{
		name,
		func(j *overflow.Job) string { return string(*at(j)) },
		func(j *overflow.Job, v string) error { *at(j) = T(v); return nil },
	}
}

func number[T ~int | ~int64](name string, at func(*overflow.Job) *T) field {
	return field{
		name,
		func(j *overflow.Job) string {
			if *at(j) == 0 {
				return ""
			}
			return strconv.FormatInt(int64(*at(j)), 10)
		},
		func(j *overflow.Job, v string) error {
			if v == "" {
				return nil
			}
			n, err := strconv.ParseInt(v, 10, 64)
			*at(j) = T(n)
			return err
		},
	}
}

// moment is a time, in nanoseconds since 1970.
func moment(name string, at func(*overflow.Job) *time.Time) field {
	return field{
		name,
		func(j *overflow.Job) string { return nanoseconds(*at(j)) },
		func(j *overflow.Job, v string) (err error) {
			*at(j), err = parseTime(v)
			return err
		},
	}
}

// ours is a field that a Job does not have.
func ours(name string) field {
	return field{
		name,
		func(*overflow.Job) string { return "" },
		func(*overflow.Job, string) error { return nil },
	}
}

// nanoseconds returns a time as the scripts want it. It is "" for the zero time.
func nanoseconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}

func parseTime(v string) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return time.Unix(0, n).UTC(), err
}

// microseconds returns a duration as the scripts want it.
func microseconds(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

// appendNew appends what the scripts' function create is given of a new job. They are
// copies, since a call may end before it was sent.
func appendNew(args []any, j *overflow.Job) []any {
	args = append(args, string(j.Kind), j.Priority, nanoseconds(j.RunAt), nanoseconds(j.Deadline), nanoseconds(j.CreatedAt), j.Unique)
	for i := range fields {
		if v := fields[i].get(j); v != "" && fields[i].name != "run_at" {
			args = append(args, fields[i].name, v)
		}
	}
	if len(j.Payload) > 0 {
		args = append(args, "payload", string(j.Payload))
	}
	if len(j.Head) > 0 {
		args = append(args, "head", string(j.Head))
	}
	return args
}

// errReply: the server's answer is not what a script of ours returns.
var errReply = errors.New("the server's answer is not understood")

// unreadable returns errReply as the callers of a queue expect it.
func unreadable() error { return fmt.Errorf("%w: %w", overflow.ErrUnavailable, errReply) }

// errCorrupt: a job's record cannot be read.
var errCorrupt = errors.New("the job's record cannot be read")

// parseJob reads a job as the scripts have it: its fields and its ID. With errCorrupt it
// returns the job as far as it could be read.
func parseJob(reply any) (*overflow.Job, error) {
	values, ok := reply.([]any)
	if !ok || len(values) != len(fields)+1 {
		return nil, errReply
	}
	j := new(overflow.Job)
	j.ID = str(values[len(fields)])
	var broken error
	for i := range fields {
		if err := fields[i].set(j, str(values[i])); err != nil {
			broken = fmt.Errorf("%w: %s", errCorrupt, fields[i].name)
		}
	}
	if j.State != overflow.Executing { // what is there is of the run before
		j.Lease, j.LeaseUntil = "", time.Time{}
	}
	return j, broken
}

// parseJobs reads a list of jobs. Those that cannot be read are as far as they could be.
func parseJobs(reply any) ([]*overflow.Job, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, errReply
	}
	jobs := make([]*overflow.Job, 0, len(list))
	for _, v := range list {
		j, err := parseJob(v)
		if j == nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// blob returns what Redis has as a string, nil if that is empty.
func blob(reply any) []byte {
	if s := str(reply); s != "" {
		return []byte(s)
	}
	return nil
}

// str returns what Redis has as a string, "" if it has nothing.
func str(reply any) string {
	s, _ := reply.(string)
	return s
}
