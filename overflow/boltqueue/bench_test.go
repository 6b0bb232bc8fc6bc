package boltqueue

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// benchPayload is what a request of a chat weighs, about.
const benchPayload = 2 << 10

func openBench(b *testing.B) *Queue {
	b.Helper()
	q, err := Open(filepath.Join(b.TempDir(), "queue.db"), 8<<30, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	return q
}

func benchJob(payload []byte) *overflow.Job {
	now := time.Now()
	return &overflow.Job{
		ID: overflow.NewID(now), Kind: overflow.Request, Owner: "team-a", Priority: 1, Model: "gpt-4o-mini",
		CreatedAt: now, Deadline: now.Add(24 * time.Hour), MaxAttempts: 5, Payload: payload,
	}
}

// report adds percentiles of what was measured.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "jobs/s")
}

// clients runs f b.N times, from so many goroutines, and returns how long each took.
func clients(b *testing.B, n int, f func() error) []time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, n)
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range n {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	return slices.Concat(took...)
}

func BenchmarkEnqueue(b *testing.B) {
	payload := make([]byte, benchPayload)
	_, _ = rand.Read(payload)
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			q := openBench(b)
			report(b, clients(b, n, func() error {
				_, err := q.Enqueue(b.Context(), benchJob(payload), 0)
				return err
			}))
		})
	}
}

// A full cycle is an Enqueue, a Claim and a Completed with an answer, each of them
// on the disk before the next one begins.
func BenchmarkCycle(b *testing.B) {
	payload := make([]byte, benchPayload)
	_, _ = rand.Read(payload)
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			q := openBench(b)
			ctx := b.Context()
			report(b, clients(b, n, func() error {
				if _, err := q.Enqueue(ctx, benchJob(payload), 0); err != nil {
					return err
				}
				jobs, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
				if err != nil {
					return err
				}
				_, err = q.Apply(ctx, overflow.Ref{ID: jobs[0].ID, Lease: jobs[0].Lease},
					overflow.Change{To: overflow.Completed, Head: payload[:300], Output: [][]byte{payload}, Keep: time.Hour})
				return err
			}))
		})
	}
}

// The time is from the moment at which a job can run to when it was claimed: from the call of Enqueue, and
// from RunAt.
func BenchmarkRunnableToClaimed(b *testing.B) {
	for _, scheduled := range []bool{false, true} {
		b.Run(fmt.Sprintf("scheduled=%v", scheduled), func(b *testing.B) {
			q := openBench(b)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			took := make(chan time.Duration, 1)
			go func() {
				for {
					jobs, err := q.Claim(ctx, overflow.Order{Kind: overflow.Request, Max: 1, Lease: time.Minute})
					if err != nil {
						return
					}
					took <- time.Since(jobs[0].Deadline.Add(-24 * time.Hour))
				}
			}()
			var all []time.Duration
			b.ResetTimer()
			for b.Loop() {
				job := benchJob(make([]byte, benchPayload))
				if scheduled {
					job.RunAt = time.Now().Add(5 * time.Millisecond)
					job.Deadline = job.RunAt.Add(24 * time.Hour)
				}
				if _, err := q.Enqueue(ctx, job, 0); err != nil {
					b.Fatal(err)
				}
				all = append(all, <-took)
			}
			report(b, all)
		})
	}
}
