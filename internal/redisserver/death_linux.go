package redisserver

import (
	"os/exec"
	"syscall"
)

// setDeathSignal makes the server end with the test, even if that is killed.
func setDeathSignal(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
