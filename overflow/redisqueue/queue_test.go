package redisqueue

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

var names atomic.Int64

// openAt opens a queue of a server, of which the test has no other use.
func openAt(t testing.TB, s *redisserver.Server, name string) *queue {
	t.Helper()
	logger := zap.NewNop()
	if _, ok := t.(*testing.T); ok { // it would stand between a benchmark's results
		logger = zaptest.NewLogger(t)
	}
	q := open(&redis.UniversalOptions{Addrs: []string{s.Addr()}}, name, logger)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func TestQueue(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	again := func(t testing.TB, q overflow.Queue) overflow.Queue {
		prefix := q.(*queue).prefix
		return openAt(t, server, prefix[1:len(prefix)-2])
	}
	queuetest.Run(t, queuetest.Backend{
		Open: func(t testing.TB) overflow.Queue {
			return openAt(t, server, fmt.Sprintf("test-%d", names.Add(1)))
		},
		Reopen: func(t testing.TB, q overflow.Queue) overflow.Queue {
			_ = q.Close()
			return again(t, q)
		},
		Second: again,
	})
}
