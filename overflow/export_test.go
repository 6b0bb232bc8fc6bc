package overflow

import (
	"context"
	"net"
	"time"
)

// CallbackSchedule is callbackSchedule.
var CallbackSchedule = callbackSchedule[:]

// CallOver has callbacks by plain HTTP go over connections that dial opens, whose addresses
// nobody checks.
func (s *Setup) CallOver(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	s.webhooks.http.DialContext = dial
}

// HangUp closes connections for callbacks that nobody uses.
func (s *Setup) HangUp() { s.webhooks.http.CloseIdleConnections() }

// Calls returns to how many hosts, and for how many owners, calls are under way.
func (e *Engine) Calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.calls)
}

// ReturnLimit is returnLimit.
const ReturnLimit time.Duration = returnLimit
