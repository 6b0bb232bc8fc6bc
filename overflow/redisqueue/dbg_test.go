package redisqueue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

func TestDbg(t *testing.T) {
	s := redisserver.Start(t, redisserver.Set("auto-aof-rewrite-percentage", "0"))
	q := openAt(t, s, "bench")
	ctx := context.Background()
	n := 8000
	phase := func(name string, f func()) {
		q.client.ConfigResetStat(ctx)
		c := s.CPUTime()
		f()
		fmt.Println("==", name, float64((s.CPUTime()-c).Microseconds())/float64(n), "µs/job")
		info, _ := q.client.Info(ctx, "commandstats").Result()
		fmt.Println(info)
	}
	phase("enqueue", func() {
		b := &testing.B{N: n}
		each(b, 64, func(i int) error { _, err := q.Enqueue(ctx, request(i), 1000000); return err })
	})
	var jobs []*overflow.Job
	phase("claim", func() {
		for len(jobs) < n {
			j, err := q.Claim(ctx, overflow.Order{Kind: "request", Max: 100, Lease: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, j...)
		}
	})
	phase("complete", func() {
		b := &testing.B{N: n}
		out := [][]byte{make([]byte, 2048)}
		each(b, 64, func(i int) error {
			j := jobs[i-1]
			_, err := q.Apply(ctx, overflow.Ref{ID: j.ID, Lease: j.Lease}, overflow.Change{To: overflow.Completed, Head: []byte("200"), Output: out, Keep: time.Hour})
			return err
		})
	})
}
