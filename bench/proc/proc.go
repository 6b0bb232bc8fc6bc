// Package proc reads what the kernel knows about running processes: CPU time,
// anonymous memory, and how busy the whole machine is. Everything that is
// particular to Linux in the benchmark is in this package.
package proc

import "time"

// Usage is the CPU time of each party at one moment, so that two of them can
// be subtracted.
type Usage struct {
	Gateway, Upstream, Load time.Duration
	// Machine is the time all processes together kept the cores busy. What is
	// left of it after the three above belongs to somebody else and is noise.
	Machine time.Duration
}

// Sub returns the time used since before.
func (u Usage) Sub(before Usage) Usage {
	return Usage{
		Gateway:  u.Gateway - before.Gateway,
		Upstream: u.Upstream - before.Upstream,
		Load:     u.Load - before.Load,
		Machine:  u.Machine - before.Machine,
	}
}

// Foreign is the time used by processes that are not part of the benchmark.
func (u Usage) Foreign() time.Duration {
	return max(0, u.Machine-u.Gateway-u.Upstream-u.Load)
}

// ReadUsage reads the clocks of the gateway, the upstream and the calling
// process. A PID of 0 stands for a party that does not exist; its time is 0.
func ReadUsage(gatewayPID, upstreamPID, selfPID int) (Usage, error) {
	var u Usage
	for _, party := range []struct {
		pid  int
		into *time.Duration
	}{{gatewayPID, &u.Gateway}, {upstreamPID, &u.Upstream}, {selfPID, &u.Load}} {
		if party.pid == 0 {
			continue
		}
		spent, err := CPUTime(party.pid)
		if err != nil {
			return Usage{}, err
		}
		*party.into = spent
	}
	var err error
	u.Machine, err = machineBusy()
	return u, err
}
