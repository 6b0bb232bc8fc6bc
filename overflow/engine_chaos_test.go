package overflow_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// ends counts how often each job came to its end.
type ends struct {
	mu    sync.Mutex
	count map[string]int
}

// chaos is a handle of a queue whose calls fail at times: before anything has happened, or after.
func chaos(queue overflow.Queue, random *rand.Rand, e *ends) *faultyQueue {
	var mu sync.Mutex
	fault := func() (before, after error) {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(25) {
		case 0:
			return overflow.ErrUnavailable, nil
		case 1:
			return nil, overflow.ErrUnavailable
		}
		return nil, nil
	}
	q := &faultyQueue{Queue: queue, get: queue.Get}
	q.claim = func(ctx context.Context, order overflow.Order) ([]*overflow.Job, error) {
		before, after := fault()
		if before != nil {
			return nil, before
		}
		jobs, err := queue.Claim(ctx, order)
		if after != nil && len(jobs) < 3 { // nobody has these now; more at a time would be too much
			return nil, after
		}
		return jobs, err
	}
	q.heartbeat = func(ctx context.Context, refs []overflow.Ref, lease time.Duration) ([]overflow.Pulse, error) {
		if before, after := fault(); before != nil || after != nil {
			return nil, overflow.ErrUnavailable
		}
		return queue.Heartbeat(ctx, refs, lease)
	}
	q.append = func(ctx context.Context, ref overflow.Ref, number int, chunk []byte) error {
		before, after := fault()
		if before != nil {
			return before
		}
		if err := queue.Append(ctx, ref, number, chunk); err != nil {
			return err
		}
		return after
	}
	q.apply = func(ctx context.Context, ref overflow.Ref, change overflow.Change) (*overflow.Job, error) {
		before, after := fault()
		if before != nil {
			return nil, before
		}
		job, err := queue.Apply(ctx, ref, change)
		if err == nil && job.State.Final() {
			e.mu.Lock()
			e.count[job.ID]++
			e.mu.Unlock()
		}
		if after != nil {
			return nil, after
		}
		return job, err
	}
	return q
}

// unreliable is a server that does all that servers do.
func unreliable(random *rand.Rand) serveFunc {
	var mu sync.Mutex
	return func(ctx context.Context, r *overflow.StoredRequest, job *overflow.Job) (*overflow.Answer, error) {
		mu.Lock()
		what, takes := random.IntN(20), time.Duration(random.IntN(3000))*time.Millisecond
		mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch what {
		case 0, 1:
			return fails(ctx, r, job)
		case 2, 3:
			return busy(ctx, r, job)
		case 4:
			return whole(http.StatusBadRequest, `"refused"`), nil
		case 5, 6, 7, 8, 9, 10:
			events := make(chan string)
			go func() {
				defer close(events)
				for n := range 10 {
					select {
					case events <- fmt.Sprintf("data: %s %d %d\n\n", job.ID, job.Run, n):
						time.Sleep(20 * time.Millisecond)
					case <-ctx.Done():
						return
					}
				}
			}()
			return stream(ctx, events), nil
		}
		return whole(http.StatusOK, fmt.Sprintf(`"%s %d"`, job.ID, job.Run)), nil
	}
}

// Two processes share a queue whose calls fail, and are reloaded all the time. Nothing is lost and
// nothing is recorded twice.
func TestNothingIsLostOrDoubledWhateverFails(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				queue, e := queuetest.NewQueue(), &ends{count: map[string]int{}}
				config := &overflow.Config{Workers: 8, MaxAttempts: 20, Lease: seconds(5), Callback: callbackConfig()}
				var worlds []*world
				for range 2 {
					w := newWorldOn(t, sharedQueue{chaos(queue, rand.New(rand.NewPCG(random.Uint64(), 2)), e)}, config).started()
					w.receive(func(http.ResponseWriter, *http.Request) {})
					w.server.do(unreliable(rand.New(rand.NewPCG(random.Uint64(), 3))))
					worlds = append(worlds, w)
				}
				read := newWorldOn(t, queue, config)
				var jobs []*overflow.Job
				for range 150 {
					jobs = append(jobs, read.submit("m", callTo("http://a.example/"), priority(random.IntN(4))))
				}
				for range 30 {
					time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
					w := worlds[random.IntN(2)]
					old := w.service
					w.setup, w.service = w.serve(config)
					w.setup.CallOver(func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed })
					w.service.Start()
					old.Stop()
				}
				for _, job := range jobs {
					for !read.get(job).State.Final() {
						time.Sleep(time.Second)
					}
					checkEnd(read, read.get(job), e)
				}
				told := map[string]int{}
				for _, job := range read.all(overflow.Callback) {
					told[job.Parent]++
				}
				for _, job := range jobs {
					if told[job.ID] != 1 {
						t.Errorf("%d callbacks tell of a job's end", told[job.ID])
					}
				}
			})
		})
	}
}

// checkEnd checks that a job has one end, and that its answer is its last run's.
func checkEnd(w *world, job *overflow.Job, e *ends) {
	w.Helper()
	e.mu.Lock()
	n := e.count[job.ID]
	e.mu.Unlock()
	if n != 1 {
		w.Errorf("a job has ended %d times", n)
	}
	answer, body := w.answer(job)
	switch {
	case job.State == overflow.Discarded && job.Reason == overflow.ReasonRefused && body == `"refused"`:
	case job.State == overflow.Discarded && job.Reason == overflow.ReasonCrashes && job.Crashes == overflow.MaxCrashes:
	case job.State != overflow.Completed:
		w.Errorf("it is %s %s (%s)", job.State, job.Reason, job.Error)
	case answer.Stream && strings.Count(body, fmt.Sprintf("data: %s %d ", job.ID, job.Run)) == 10 && strings.Count(body, "\n\n") == 10:
	case body == fmt.Sprintf(`"%s %d"`, job.ID, job.Run):
	default:
		w.Errorf("run %d has put out %q", job.Run, body)
	}
}
