//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// The benchmark measures through /proc and the kernel's process clocks. These
// stand-ins let the module build elsewhere and fail with a clear message.

var errNotLinux = fmt.Errorf("measuring processes on %s: %w", runtime.GOOS, errors.ErrUnsupported)

func CPUTime(int) (time.Duration, error) { return 0, errNotLinux }

func AnonymousKiB(int) (int64, error) { return 0, errNotLinux }

func machineBusy() (time.Duration, error) { return 0, errNotLinux }

func Pause(d time.Duration) { time.Sleep(d) }

func ChildAttributes() *syscall.SysProcAttr { return nil }

func RaiseFileLimit() (uint64, error) { return 0, errNotLinux }

func CPUModel() string { return "" }
