//go:build linux

package boltqueue

import (
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/overflow"
)

func init() { children["limit"] = limited }

// limited fills a file that the system does not let grow as far as it might, which fails as a
// full disk does, and says what came of that.
func limited(q *Queue, say func(string)) {
	signal.Ignore(syscall.SIGXFSZ)
	running, err := runOne(q)
	if err != nil {
		say(err.Error())
		return
	}
	old := syscall.Rlimit{}
	_ = syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 6 << 20, Max: old.Max}); err != nil {
		say(err.Error())
		return
	}
	stored := 0
	for err == nil {
		if _, err = q.Enqueue(ctxChild, newJob(sized(100_000)), 0); err == nil {
			stored++
		}
	}
	say(fmt.Sprintf("stored some: %v, then unavailable: %v", stored > 10, errors.Is(err, overflow.ErrUnavailable)))
	_, err = q.Apply(ctxChild, overflow.Ref{ID: running.ID, Lease: running.Lease}, overflow.Change{To: overflow.Completed, Head: []byte("head")})
	say(fmt.Sprintf("ended: %v", err))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		say(err.Error())
		return
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err = q.Enqueue(ctxChild, newJob(sized(100_000)), 0); err == nil || time.Now().After(end) {
			break
		}
	}
	say(fmt.Sprintf("again: %v", err))
	n := 0
	for ; n <= stored; n++ {
		if _, err := runOne(q); err != nil {
			say(err.Error())
			return
		}
	}
	say(fmt.Sprintf("all there: %v, closed: %v", n == stored+1, q.Close()))
}

// The system's limit is a whole process's, so the test has one of its own.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	lines, _ := start(t, "limit", filepath.Join(t.TempDir(), "queue.db"))
	for _, want := range []string{
		"stored some: true, then unavailable: true", "ended: <nil>", "again: <nil>", "all there: true, closed: <nil>",
	} {
		if lines.Scan(); lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
	}
}
