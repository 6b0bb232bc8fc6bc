package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// errOutrun is the cause of a call that was cancelled because another answered first.
var errOutrun = errors.New("another target answered first")

// result is what has come of one of two calls.
type result struct {
	resp *http.Response
	try  *attempt
	err  error
}

// race asks a target and, when it has not answered after that time, another one
// as well, if one is free. The first answer is taken, and the other call cancelled.
func (c *course) race(p pass, after time.Duration) (*http.Response, *attempt, error) {
	results := make(chan result, 2)
	start := func(p pass) *attempt {
		try := c.begin(p)
		if c.r.Body != nil {
			c.r.Body.Hold() // the request may be over before the slower call is
		}
		go func() {
			resp, err := try.do()
			if c.r.Body != nil {
				c.r.Body.Release()
			}
			results <- result{resp, try, err}
		}()
		return try
	}
	running := []*attempt{start(p)}
	timer := time.NewTimer(after)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if p, ok := c.second(running[0].target); ok {
				running = append(running, start(p))
			}
		case r := <-results:
			if len(running) == 1 {
				return r.resp, r.try, r.err
			}
			other := running[0]
			if other == r.try {
				other = running[1]
			}
			if r.err == nil {
				c.outrun(other, results)
				return r.resp, r.try, nil
			}
			c.settle(r.try, r.err)
			running = []*attempt{other}
		}
	}
}

// second returns a pass for another target than the first.
func (c *course) second(first *target) (pass, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempts >= c.app.retry.Attempts {
		return pass{}, false
	}
	m := c.mark(first)
	was := m.out
	m.out = true
	p, ok := c.choose()
	m.out = was
	if ok && !c.app.budget.take() {
		p.giveBack()
		return pass{}, false
	}
	return p, ok
}

// outrun cancels a call and settles it once it has ended, which it soon does.
func (c *course) outrun(try *attempt, results <-chan result) {
	try.call.cancel(errOutrun)
	go func() {
		r := <-results
		if r.err == nil {
			_ = r.resp.Body.Close()
			return
		}
		outcome, _ := try.call.outcome(context.Cause(try.call.ctx))
		try.call.end(outcome)
	}()
}
