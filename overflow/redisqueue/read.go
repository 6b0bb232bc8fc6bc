package redisqueue

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// outputSize is how many bytes Output returns at most, unless one chunk is longer.
	outputSize = 1 << 20
	// maxList is how many jobs List returns at most.
	maxList = 1000
)

// Get implements overflow.Queue.
func (q *queue) Get(ctx context.Context, id string) (*overflow.Job, error) {
	return q.get(ctx, getScript, id)
}

// Find implements overflow.Queue.
func (q *queue) Find(ctx context.Context, unique string) (*overflow.Job, error) {
	return q.get(ctx, findScript, unique)
}

func (q *queue) get(ctx context.Context, s *script, key string) (*overflow.Job, error) {
	reply, err := q.runAlone(ctx, s, key)
	if err != nil {
		return nil, err
	}
	if err := verdict(reply); err != nil {
		return nil, err
	}
	return first(reply)
}

// Ahead implements overflow.Queue. It is exact, but for the order of jobs that have come back.
func (q *queue) Ahead(ctx context.Context, job *overflow.Job) (int, error) {
	if job.State != overflow.Available {
		return 0, q.alive(ctx)
	}
	reply, err := q.run(ctx, aheadScript, job.ID)
	if err != nil {
		return 0, err
	}
	numbers, err := integers(reply, 1)
	if err != nil {
		return 0, err
	}
	return int(numbers[0]), nil
}

// Output implements overflow.Queue.
func (q *queue) Output(ctx context.Context, id string, run, from int) ([][]byte, error) {
	reply, err := q.runAlone(ctx, outputScript, id, run, max(from, 0), outputSize)
	if err != nil {
		return nil, err
	}
	if err := verdict(reply); err != nil {
		return nil, err
	}
	if len(reply) != 2 {
		return nil, unreadable()
	}
	list, _ := reply[1].([]any)
	chunks := make([][]byte, len(list))
	for i, chunk := range list {
		s, _ := chunk.(string)
		chunks[i] = []byte(s)
	}
	return chunks, nil
}

// List implements overflow.Queue. It asks the server for a few jobs at a time, so that
// a long list, or a filter that few jobs pass, does not hold others up.
func (q *queue) List(ctx context.Context, f overflow.Filter) ([]*overflow.Job, error) {
	limit := min(max(f.Limit, 1), maxList)
	sets := indexes(f)
	before := f.Before
	var jobs []*overflow.Job
	for {
		args := append([]any{before, step, limit - len(jobs), f.Owner, f.Model}, sets...)
		reply, err := q.runAlone(ctx, listScript, args...)
		if err != nil {
			return nil, err
		}
		if len(reply) != 2 {
			return nil, unreadable()
		}
		some, err := parseJobs(reply[1])
		if err != nil {
			return nil, unreadable()
		}
		jobs = append(jobs, some...)
		before, _ = reply[0].(string)
		if before == "" || len(jobs) >= limit {
			return jobs, nil
		}
	}
}

// indexes names the sets in which the jobs are that a filter may let through.
func indexes(f overflow.Filter) (sets []any) {
	for _, kind := range overflow.Kinds {
		if f.Kind != "" && f.Kind != kind {
			continue
		}
		for _, state := range overflow.States {
			set := "i:" + string(kind) + ":" + string(state)
			switch {
			case len(f.States) > 0 && !slices.Contains(f.States, state):
			case state == overflow.Available:
				for p := range overflow.Priorities {
					sets = append(sets, set+":"+strconv.Itoa(p))
				}
			case state == overflow.Executing:
				sets = append(sets, "leases:"+string(kind))
			default:
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// Stats implements overflow.Queue. Bytes is the memory of the whole server.
func (q *queue) Stats(ctx context.Context) (overflow.Stats, error) {
	reply, err := q.run(ctx, statsScript)
	if err != nil {
		return overflow.Stats{}, err
	}
	stats, err := parseStats(reply)
	if err != nil {
		return overflow.Stats{}, unreadable()
	}
	return stats, nil
}

// parseStats reads what the script stats.lua returns.
func parseStats(reply []any) (overflow.Stats, error) {
	if len(reply) != 5 {
		return overflow.Stats{}, errReply
	}
	counts, ok := reply[2].([]any)
	oldest, ok2 := reply[3].([]any)
	lanes, ok3 := reply[4].([]any)
	if !ok || !ok2 || !ok3 || len(counts)%3 != 0 || len(oldest)%2 != 0 || len(lanes)%3 != 0 {
		return overflow.Stats{}, errReply
	}
	s := overflow.Stats{
		Jobs:   make(map[overflow.Kind]map[overflow.State]int),
		Paused: reply[0] == int64(1),
	}
	for c := range slices.Chunk(counts, 3) {
		kind, state := overflow.Kind(str(c[0])), overflow.State(str(c[1]))
		if s.Jobs[kind] == nil {
			s.Jobs[kind] = make(map[overflow.State]int)
		}
		n, _ := c[2].(int64)
		s.Jobs[kind][state] = int(n)
	}
	for c := range slices.Chunk(oldest, 2) {
		t, err := parseTime(str(c[1]))
		if err != nil {
			continue // a broken record is found when its job is claimed
		}
		s.Oldest = put(s.Oldest, overflow.Kind(str(c[0])), t)
	}
	for c := range slices.Chunk(lanes, 3) {
		n, _ := c[2].(int64)
		s.Lanes = append(s.Lanes, overflow.Lane{Kind: overflow.Kind(str(c[0])), Name: str(c[1]), Waiting: int(n)})
	}
	slices.SortFunc(s.Lanes, func(a, b overflow.Lane) int {
		return strings.Compare(string(a.Kind)+"\x00"+a.Name, string(b.Kind)+"\x00"+b.Name)
	})
	info := str(reply[1])
	s.Bytes, s.MaxBytes = infoNumber(info, "used_memory"), infoNumber(info, "maxmemory")
	return s, nil
}

// put sets an element of a map that may be nil.
func put[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	if m == nil {
		m = make(map[K]V)
	}
	m[k] = v
	return m
}

// infoValue returns a value of what INFO says, "" if it is not there.
func infoValue(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func infoNumber(info, name string) int64 {
	n, _ := strconv.ParseInt(infoValue(info, name), 10, 64)
	return n
}
