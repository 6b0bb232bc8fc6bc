package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// ticksPerSecond is USER_HZ, which is 100 on every Linux port Go supports.
const ticksPerSecond = 100

// CPUTime returns the user and system time a process has used, in nanoseconds.
//
// It asks for the process's own CPU clock, as clock_getcpuclockid(3) does. The
// other sources are worse: /proc/PID/stat counts in ticks of 10 ms, and the sum
// over /proc/PID/task/*/schedstat loses the time of threads that have ended.
// This clock has the scheduler's precision and includes ended threads.
func CPUTime(pid int) (time.Duration, error) {
	const wholeProcess = 2 // CPUCLOCK_SCHED without CPUCLOCK_PERTHREAD_MASK
	clock := int32(^pid<<3 | wholeProcess)
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME,
		uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(ts.Nano()), nil
}

// AnonymousKiB returns the resident anonymous memory of a process: heap,
// stacks and runtime, without the pages of the binary, which depend on what
// code has been touched and not on what is open.
func AnonymousKiB(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(status, []byte("\nRssAnon:"))
	if !found {
		return 0, fmt.Errorf("process %d: no RssAnon in its status", pid)
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("process %d: empty RssAnon", pid)
	}
	return strconv.ParseInt(string(fields[0]), 10, 64)
}

// machineBusy sums the time of all cores since boot in which processes ran,
// or, on a virtual machine, could not ("steal"). Interrupts are left out: on
// the loopback they are the benchmark's own packets.
func machineBusy() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, fmt.Errorf("/proc/stat: unexpected first line %q", line)
	}
	var ticks int64
	for column, text := range fields[1:9] {
		if column >= 3 && column <= 6 { // idle, iowait, irq, softirq
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), nil
}

// Pause blocks the calling thread for d. The runtime's timers are driven by
// epoll with a resolution of one millisecond, so streams paced by time.Sleep
// would tick together; nanosleep is good to some 50 microseconds.
func Pause(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // an early return only makes the caller look again
}

// ChildAttributes keep the terminal's Ctrl-C away from a child, so that the
// runner alone ends it, and have the kernel end it if the runner is killed.
func ChildAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// RaiseFileLimit sets the limit of open files to the most allowed, for this
// process and its children, and returns it.
func RaiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return limit.Cur, nil
}

// CPUModel names the processor, or returns "" if /proc does not.
func CPUModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(info), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimLeft(line, "\t :"))
}
