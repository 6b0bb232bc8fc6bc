package redisqueue

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

func request(n int) *overflow.Job {
	now := time.Now()
	return &overflow.Job{
		ID: overflow.NewID(now), Kind: overflow.Request, Owner: "team", Priority: n % overflow.Priorities,
		Model: "gpt-4o-mini", CreatedAt: now, Deadline: now.Add(time.Hour), MaxAttempts: 5, Payload: make([]byte, 2048),
	}
}

// each calls do b.N times from a number of goroutines.
func each(b *testing.B, goroutines int, do func(n int) error) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := do(int(n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A full cycle: enqueue, claim, complete; with as much of payload as of output. The
// server does not rewrite its file meanwhile, which it would every few seconds at this rate.
func BenchmarkCycle(b *testing.B) {
	for _, fsync := range []string{"everysec", "always"} {
		for _, size := range []int{256, 2048} {
			for _, goroutines := range []int{1, 16, 64, 256} {
				b.Run(fmt.Sprintf("%s/%dB/%d", fsync, size, goroutines), func(b *testing.B) {
					server := redisserver.Start(b, redisserver.AppendFsync(fsync), redisserver.Set("auto-aof-rewrite-percentage", "0"))
					cycle(b, openAt(b, server, "bench"), size, goroutines)
					b.ReportMetric(float64(server.CPUTime().Microseconds())/float64(b.N), "server-µs/op")
				})
			}
		}
	}
}

// cycle has goroutines enqueue and complete b.N jobs, which one more claims.
func cycle(b *testing.B, q *queue, size, goroutines int) {
	claimed := make(chan *overflow.Job, 2*goroutines)
	claims := 0
	var claimer sync.WaitGroup
	b.ResetTimer()
	claimer.Go(func() {
		for n := 0; n < b.N; claims++ {
			jobs, err := q.Claim(b.Context(), overflow.Order{Kind: overflow.Request, Max: goroutines, Lease: time.Minute})
			if err != nil {
				b.Error(err)
				return
			}
			for _, job := range jobs {
				claimed <- job
			}
			n += len(jobs)
		}
	})
	output := [][]byte{make([]byte, size)}
	each(b, goroutines, func(n int) error {
		job := request(n)
		job.Payload = make([]byte, size)
		if _, err := q.Enqueue(b.Context(), job, 1_000_000); err != nil {
			return err
		}
		job = <-claimed
		_, err := q.Apply(b.Context(), ref(job), overflow.Change{To: overflow.Completed, Head: []byte("200"), Output: output, Keep: time.Hour})
		return err
	})
	claimer.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(b.N)/float64(claims), "jobs/claim")
}

// How many of what concurrent clients enqueue is acknowledged in a second.
func BenchmarkEnqueue(b *testing.B) {
	for _, fsync := range []string{"everysec", "always"} {
		b.Run(fsync, func(b *testing.B) {
			q := openAt(b, redisserver.Start(b, redisserver.AppendFsync(fsync)), "bench")
			b.ResetTimer()
			each(b, 64, func(n int) error {
				_, err := q.Enqueue(b.Context(), request(n), 10_000_000)
				return err
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// From the enqueuing of a job, and from a scheduled job's time, to the end of the claim that waits for it.
func BenchmarkStart(b *testing.B) {
	for name, delay := range map[string]time.Duration{"now": 0, "scheduled": 30 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			server := redisserver.Start(b)
			q, other := openAt(b, server, "bench"), openAt(b, server, "bench")
			due := make(chan time.Time, 1)
			var late []time.Duration
			var claimer sync.WaitGroup
			claimer.Go(func() {
				for range b.N {
					if _, err := q.Claim(b.Context(), overflow.Order{Kind: overflow.Request, Max: 10, Lease: time.Minute}); err != nil {
						b.Error(err)
						return
					}
					late = append(late, time.Since(<-due))
				}
			})
			for n := range b.N {
				job := request(n)
				at := time.Now()
				if delay > 0 {
					at = at.Add(delay)
					job.RunAt = at
				}
				due <- at
				if _, err := other.Enqueue(b.Context(), job, 1000); err != nil {
					b.Fatal(err)
				}
				time.Sleep(delay + 5*time.Millisecond)
			}
			claimer.Wait()
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "µs-p99")
		})
	}
}
