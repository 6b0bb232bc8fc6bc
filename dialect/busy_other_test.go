//go:build !linux

package dialect

import "time"

var begun = time.Now()

// busy returns the time, as here nothing tells how long a thread has worked.
func busy() time.Duration { return time.Since(begun) }
