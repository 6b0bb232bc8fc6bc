//go:build unix && !linux

package redisserver

import "os/exec"

// setDeathSignal does nothing: only Linux can make the server end with the test.
func setDeathSignal(*exec.Cmd) {}
