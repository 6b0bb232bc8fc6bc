package redisqueue

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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
	return openWith(t, s, name, 0)
}

// openWith is openAt with the time that an answer may take, 0 for the default.
func openWith(t testing.TB, s *redisserver.Server, name string, answer time.Duration) *queue {
	t.Helper()
	logger := zap.NewNop()
	if _, ok := t.(*testing.T); ok { // it would stand between a benchmark's results
		logger = zaptest.NewLogger(t)
	}
	q := open(&redis.UniversalOptions{Addrs: []string{s.Addr()}, ReadTimeout: answer}, name, logger)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// busyAnswer is for a busy machine, which may keep the server waiting for longer than a gateway would wait.
const busyAnswer = 20 * time.Second

func TestQueue(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	again := func(t testing.TB, q overflow.Queue) overflow.Queue {
		prefix := q.(*queue).prefix
		return openWith(t, server, prefix[1:len(prefix)-2], busyAnswer)
	}
	queuetest.Run(t, queuetest.Backend{
		Open: func(t testing.TB) overflow.Queue {
			return openWith(t, server, fmt.Sprintf("test-%d", names.Add(1)), busyAnswer)
		},
		Reopen: func(t testing.TB, q overflow.Queue) overflow.Queue {
			_ = q.Close()
			return again(t, q)
		},
		Second: again,
	})
}
