package dialect

import (
	"time"

	"golang.org/x/sys/unix"
)

// busy returns how long the present thread has worked: what else the machine does meanwhile does not count.
func busy() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}
