package redisqueue

import (
	"fmt"
	"testing"
	"context"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

func TestDbx(t *testing.T) {
	s := redisserver.Start(t, redisserver.Set("auto-aof-rewrite-percentage", "0"))
	q := openAt(t, s, "bench")
	ctx := context.Background()
	n := 5000
	phase := func(name string, f func()) {
		f()
		c := s.CPUTime()
		for range n { f() }
		fmt.Println("==", name, float64((s.CPUTime()-c).Microseconds())/float64(n), "µs")
	}
	phase("ping", func() { q.client.Ping(ctx) })
	phase("eval", func() { q.client.Eval(ctx, "return 1", nil) })
	phase("set", func() { q.client.Set(ctx, "a", "1", 0) })
	phase("get script", func() { q.eval(ctx, q.client, getScript, []any{"x"}) })
	phase("turn script", func() { q.eval(ctx, q.client, turnScript, []any{"x", "10000000000", "x"}) })
	phase("claim script", func() { q.eval(ctx, q.client, claimScript, []any{"request", 1, "100", "x", "y"}) })
}
